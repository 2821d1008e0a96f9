//! One step, measured in a process of its own.

use std::{hint::black_box, net::IpAddr, path::Path};

use anyhow::{Context as _, Result, anyhow, ensure};
use ipnet::IpNet;
use palisade_engine::{
    Connections, PolicyProgram,
    connections::{By, Groups, Query},
    diff::{Difference, State},
    model::{
        Cluster, Family, Flow, Inventory, IpBlock, Peer, PolicyPort, PolicyRule, PortMatch, PortRange, Protocol,
        Traffic,
    },
};
use palisade_manifest::{ReadOptions, Reading, read_paths};

use crate::clock::{Stopwatch, peak_kib};

/// What is measured. Each needs those before it, which are done first and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Step {
    /// Files to a cluster.
    Read,
    /// A cluster to a program.
    Compile,
    /// A thousand connections, each judged and explained.
    Explain,
    /// All that may pass, by workload: as rows, each with its ends named.
    Connections,
    /// What one rule more gains and loses; the second program's compilation is counted.
    Diff,
}

impl Step {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 5] = [Self::Read, Self::Compile, Self::Explain, Self::Connections, Self::Diff];

    /// What together may cost no more than reading.
    pub(crate) const COUNTED: [Self; 2] = [Self::Compile, Self::Connections];

    /// As the table says it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Compile => "compile",
            Self::Explain => "explain one",
            Self::Connections => "all connections",
            Self::Diff => "diff of one policy",
        }
    }
}

/// What a child tells its parent, on one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// User CPU of reading, in seconds: in the same process, as the ratio is to it.
    pub(crate) read: f64,
    /// User CPU of the step, in seconds.
    pub(crate) step: f64,
    /// The most memory that the process had, in KiB.
    pub(crate) peak: u64,
    /// Identities, when they are known; then rows of connections.
    pub(crate) found: [usize; 2],
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { read, step, peak, found: [identities, rows] } = self;
        write!(f, "{read} {step} {peak} {identities} {rows}")
    }
}

impl std::str::FromStr for Measured {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [read, step, peak, identities, rows] = words.as_slice() else {
            return Err(anyhow!("a child said {line:?}"));
        };
        let found = [identities.parse()?, rows.parse()?];
        Ok(Self { read: read.parse()?, step: step.parse()?, peak: peak.parse()?, found })
    }
}

/// Does a step on the files of `folder`, as often as it takes to be measurable.
pub(crate) fn measure(step: Step, folder: &Path) -> Result<Measured> {
    let (cluster, read) = timed(|| cluster_of(folder))?;
    let mut found = [0, 0];
    let mut compile = || {
        let program = PolicyProgram::compile(&cluster);
        found[0] = program.identities().len();
        Ok(program)
    };
    let taken = match step {
        Step::Read => read,
        Step::Compile => timed(compile)?.1,
        Step::Explain => {
            let program = compile()?;
            let flows = flows(&cluster)?;
            let ((), all) = timed(|| {
                for flow in &flows {
                    // An explanation begins with the verdict.
                    black_box(program.explain(&cluster, flow));
                }
                Ok(())
            })?;
            all / flows.len() as f64
        }
        Step::Connections => {
            let program = compile()?;
            let (rows, taken) = timed(|| Ok(grouped(&cluster, &program)))?;
            found[1] = rows;
            taken
        }
        Step::Diff => {
            let program = compile()?;
            let other = with_one_rule_more(folder)?;
            let (changes, taken) = timed(|| {
                let new = PolicyProgram::compile(&other);
                let state = |cluster, program| State { cluster, program };
                Ok(Difference::new(state(&cluster, &program), state(&other, &new)).changes.len())
            })?;
            ensure!(changes > 0, "a rule more, and nothing differs");
            found[1] = changes;
            taken
        }
    };
    Ok(Measured { read, step: taken, peak: peak_kib()?, found })
}

/// All connections as `palisade connections` has them: rows by workload, every end named.
fn grouped(cluster: &Cluster, program: &PolicyProgram) -> usize {
    let connections = Connections::new(cluster, program);
    let rows = connections.rectangles(connections.allowed(), &Query::default());
    let groups = Groups::new(cluster, program, By::Workload);
    for row in &rows {
        black_box((groups.name(&connections, &row.from), groups.name(&connections, &row.to)));
    }
    rows.len()
}

/// The cluster of `folder`, with a rule more in a policy from the middle that lets somebody in.
fn with_one_rule_more(folder: &Path) -> Result<Cluster> {
    let mut inventory = inventory_of(folder)?;
    let middle = inventory.policies.len() / 2;
    let policy = inventory.policies.iter_mut().skip(middle).find(|policy| !policy.ingress.is_empty());
    // An address and a port that nothing else is about: whatever else there is, this is gained.
    let cidr = IpNet::from(IpAddr::from([192, 0, 2, 77]));
    let block = IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() };
    let port = PolicyPort { protocol: Protocol::Sctp, port: PortMatch::Range(PortRange::single(9)), at: None };
    let rule = PolicyRule { peers: vec![Peer::IpBlock(block)], ports: vec![port], at: None };
    policy.context("no policy lets anybody in")?.ingress.push(rule);
    consistent(inventory)
}

/// The user CPU seconds of some work, and what came out.
fn timed<T>(mut work: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let mut stopwatch = Stopwatch::new()?;
    loop {
        let made = black_box(stopwatch.run(&mut work)??);
        if let Some(seconds) = stopwatch.enough()? {
            return Ok((made, seconds));
        }
    }
}

/// Reading, as every command does it.
fn cluster_of(folder: &Path) -> Result<Cluster> {
    consistent(inventory_of(folder)?)
}

fn inventory_of(folder: &Path) -> Result<Inventory> {
    let Reading { inventory, diagnostics, .. } = read_paths(&[folder], &ReadOptions::default());
    ensure!(diagnostics.is_empty(), "{} findings in a generated cluster", diagnostics.len());
    Ok(inventory)
}

fn consistent(inventory: Inventory) -> Result<Cluster> {
    inventory.into_cluster().map_err(|conflicts| anyhow!("{} conflicts in a generated cluster", conflicts.len()))
}

/// A thousand connections between pods all over the cluster.
fn flows(cluster: &Cluster) -> Result<Vec<Flow>> {
    let pods: Vec<_> = cluster.pods().filter_map(|(id, _)| cluster.side_of_pod(id, Family::V4)).collect();
    let at = |place: usize| pods.get(place % pods.len()).copied().context("a cluster without pods");
    // Primes: no two flows have the same ends, and every namespace has its turn.
    let pairs = (0..1_000).map(|n| Ok((at(n * 7_919)?, at(n * 104_729 + 1)?)));
    pairs.map(|pair| pair.and_then(|(from, to)| Ok(Flow::new(from, to, Traffic::Port(Protocol::Tcp, 8080))?))).collect()
}
