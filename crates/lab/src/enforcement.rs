//! The experiment: every flow without rules, then with them, and what the rules themselves report.
//!
//! A flow that does not pass without rules proves nothing, whatever happens with them; a silent flow
//! counts as dropped only when a node's ruleset logged that very packet and its counter moved.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Direction, Endpoint, Flow, NodeId, PodId, Side},
    verdict::Outcome,
};
use palisade_linux::{
    nflog::{Collected, Collector, NfLog, NfLogError, Options as LogOptions},
    packet::Tuple,
};
use palisade_nftables::{
    difference::Difference,
    netlink::{ApplyError, Kernel, OpenError, ReadError},
    plan::{Log, Options, Plan, plan},
};

use crate::{
    probe::{self, Observation, Probe, ProbeError, Timing},
    wiring::{self, HostRef, Network, NodeHost, OutsideHost, PodHost, Topology, Wiring, WiringError},
};

/// The NFLOG group of the lab's rulesets; each node has a network namespace, and so groups, of its own.
const LOG_GROUP: u16 = 1;
/// How the names of the interfaces begin that lead to a pod.
pub(crate) const POD_INTERFACES: &str = "pod";

/// What the lab saw.
#[derive(Debug)]
pub struct Report {
    /// Of each flow, in the order given.
    pub results: Vec<FlowResult>,
    /// What was in the kernel.
    pub rules: RuleStats,
    /// How long each part took.
    pub times: Times,
}

/// What was predicted and seen of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowResult {
    /// What the engine says.
    pub predicted: Outcome,
    /// What real packets say.
    pub observed: Observed,
    /// At which ends audited policies would deny it.
    pub audit: Audit,
}

/// In which directions audited policies would deny a flow on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What the engine says.
    pub predicted: BTreeSet<Direction>,
    /// What the rulesets logged.
    pub observed: BTreeSet<Direction>,
}

/// What became of a flow under the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It was answered.
    Reached,
    /// It was dropped, and the ruleset says so.
    Dropped {
        /// The node that dropped it.
        node: String,
        /// The chain that did: its name stands for the policies that isolate.
        chain: String,
    },
    /// Nothing came back, and no ruleset reports a drop: it proves nothing.
    Lost,
    /// An answer that says no; a ruleset never gives one.
    Refused(String),
}

impl FlowResult {
    /// Whether prediction and observation agree.
    pub fn as_predicted(&self) -> bool {
        let verdict = match self.observed {
            Observed::Reached => self.predicted == Outcome::Allow,
            Observed::Dropped { .. } => self.predicted == Outcome::Deny,
            Observed::Lost | Observed::Refused(_) => false,
        };
        verdict && self.audit.predicted == self.audit.observed
    }
}

/// Sizes of the rulesets of all nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    /// Profiles that isolate somebody.
    pub profiles: usize,
    /// Sets and maps.
    pub sets: usize,
    /// Their elements.
    pub elements: usize,
    /// Chains.
    pub chains: usize,
}

/// How long the parts of a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Namespaces, links and routes.
    pub up: Duration,
    /// Rulesets planned and in the kernel.
    pub rules: Duration,
    /// Both passes of probes.
    pub probes: Duration,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Making namespaces and links.
    Wiring,
    /// Trying flows without rules: how many are done, of how many.
    WithoutRules(usize, usize),
    /// Loading the rulesets.
    Rules,
    /// Trying flows with rules.
    WithRules(usize, usize),
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The network could not be made.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The probes could not be sent.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel did not take a ruleset.
    #[error("the kernel does not take the ruleset of node {node}: {source}")]
    Apply {
        /// The node.
        node: String,
        /// Why.
        source: ApplyError,
    },
    /// No netlink socket.
    #[error("node {node}: {source}")]
    Open {
        /// The node.
        node: String,
        /// Why.
        source: OpenError,
    },
    /// The counters of a ruleset could not be read.
    #[error("cannot read the counters of node {node}: {source}")]
    Counters {
        /// The node.
        node: String,
        /// Why.
        source: ReadError,
    },
    /// The log of a ruleset could not be read.
    #[error("cannot read what the rulesets log: {0}")]
    Log(#[from] NfLogError),
    /// A thread could not be started.
    #[error("cannot start reading what the rulesets log: {0}")]
    Thread(#[from] std::io::Error),
    /// A namespace could not be entered.
    #[error(transparent)]
    NetNs(#[from] palisade_linux::netns::NetNsError),
    /// An end of a flow has no address, or no place in the lab.
    #[error("flow {index} cannot be sent: {end} has no address in the lab")]
    NoAddress {
        /// Which flow, from 0.
        index: usize,
        /// Which end.
        end: &'static str,
    },
    /// Flows that fail even without rules.
    #[error("{} of {total} connections fail without any rules, so the lab would prove nothing; the first is number {first}: {why}", failed.len())]
    Unreachable {
        /// How many flows there are.
        total: usize,
        /// Which failed, from 0.
        failed: Vec<usize>,
        /// The first.
        first: usize,
        /// What was seen of it.
        why: String,
    },
    /// The logs have gaps.
    #[error(
        "{0} packets that were dropped could not be told apart: the kernel's log ran over; try fewer flows at once"
    )]
    LogOverrun(u64),
}

/// Runs the experiment: brings `cluster` up, tries `flows` without and with the rulesets of
/// `program`, and takes everything down again.
///
/// The calling thread must be in a network namespace that it may leave and whose children it may
/// make: see `palisade_linux::sandbox`. Every pod and node that a flow names has an address.
///
/// # Errors
/// When it could not be carried out, or would prove nothing.
pub fn run(
    cluster: &Cluster,
    program: &PolicyProgram,
    flows: &[Flow],
    timing: Timing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, LabError> {
    run_wired(cluster, program, flows, (timing, Wiring::Routed), progress)
}

/// As [`run`], with pods joined with their nodes in another way.
///
/// # Errors
/// As [`run`].
pub fn run_wired(
    cluster: &Cluster,
    program: &PolicyProgram,
    flows: &[Flow],
    (timing, wiring): (Timing, Wiring),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, LabError> {
    progress(Progress::Wiring);
    let start = Instant::now();
    let places = Places::of(cluster, flows);
    let probes = places.probes(flows)?;
    let network = Network::up_with(&places.topology, wiring::Options { wiring, ..wiring::Options::default() })?;
    let mut times = Times { up: start.elapsed(), ..Times::default() };

    let start = Instant::now();
    let without = probe::run(&network, &probes, timing, &mut |done, all| progress(Progress::WithoutRules(done, all)))?;
    all_reached(&without)?;
    times.probes = start.elapsed();

    progress(Progress::Rules);
    let start = Instant::now();
    let options = Options {
        pod_interfaces: vec![POD_INTERFACES.to_owned()],
        log: Some(Log { group: LOG_GROUP, limit: None }),
        ..Options::default()
    };
    let plans: Vec<Plan> = cluster.nodes().map(|(node, _)| plan(cluster, program, node, &options)).collect();
    let mut kernels = load(cluster, &network, &plans)?;
    let rules = stats(&plans);
    times.rules = start.elapsed();

    let start = Instant::now();
    let logs = open_logs(&network)?;
    let collector = Collector::start(logs)?;
    let with = probe::run(&network, &probes, timing, &mut |done, all| progress(Progress::WithRules(done, all)))?;
    let collected = collector.stop()?;
    times.probes += start.elapsed();

    let logged = logged(cluster, &collected, &mut kernels, &plans)?;
    let result = |(seen, flow): (&Observation, &Flow)| FlowResult {
        predicted: program.verdict(cluster, flow).outcome(),
        observed: observed(seen, &logged.drops),
        audit: Audit {
            predicted: program.would_deny_on_the_way(cluster, flow).into_keys().collect(),
            observed: logged.audits.get(&seen.tuple).cloned().unwrap_or_default(),
        },
    };
    let results = with.iter().zip(flows).map(result).collect();
    Ok(Report { results, rules, times })
}

/// Where everyone is.
struct Places {
    topology: Topology,
    pods: HashMap<PodId, usize>,
    outside: HashMap<IpAddr, usize>,
}

impl Places {
    fn of(cluster: &Cluster, flows: &[Flow]) -> Self {
        let mut places = Self { topology: Topology::default(), pods: HashMap::new(), outside: HashMap::new() };
        for (_, node) in cluster.nodes() {
            let host = NodeHost { name: node.name.to_string(), addresses: node.addresses.clone() };
            places.topology.nodes.push(host);
        }
        for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network) {
            let Some(node) = cluster.node_of(id) else { continue };
            places.pods.insert(id, places.topology.pods.len());
            let (v4, v6) = (pod.addresses.v4, pod.addresses.v6);
            places.topology.pods.push(PodHost { name: pod.id.to_string(), node: node.index(), v4, v6 });
        }
        for side in flows.iter().flat_map(|flow| [flow.from(), flow.to()]) {
            if let (Endpoint::Outside, Some(address)) = (side.endpoint, side.address) {
                places.outside.entry(address).or_insert_with(|| {
                    places.topology.outside.push(OutsideHost { address });
                    places.topology.outside.len() - 1
                });
            }
        }
        places
    }

    fn probes(&self, flows: &[Flow]) -> Result<Vec<Probe>, LabError> {
        let probe = |index: usize, flow: &Flow| {
            let (from, source) = self.end(flow.from()).ok_or(LabError::NoAddress { index, end: "its source" })?;
            let (to, destination) = self.end(flow.to()).ok_or(LabError::NoAddress { index, end: "its destination" })?;
            Ok(Probe { from, source, to, destination, traffic: flow.traffic() })
        };
        flows.iter().enumerate().map(|(index, flow)| probe(index, flow)).collect()
    }

    fn end(&self, side: Side) -> Option<(HostRef, IpAddr)> {
        let address = side.address?;
        let host = match side.endpoint {
            Endpoint::Pod(pod) => HostRef::Pod(*self.pods.get(&pod)?),
            Endpoint::Node(node) => HostRef::Node(NodeId::index(node)),
            Endpoint::Outside => HostRef::Outside(*self.outside.get(&address)?),
        };
        Some((host, address))
    }
}

fn all_reached(observations: &[Observation]) -> Result<(), LabError> {
    let failed = observations.iter().enumerate().filter(|(_, seen)| seen.outcome != probe::Outcome::Reached);
    let failed: Vec<(usize, &Observation)> = failed.collect();
    match failed.first() {
        None => Ok(()),
        Some((first, seen)) => Err(LabError::Unreachable {
            total: observations.len(),
            failed: failed.iter().map(|(index, _)| *index).collect(),
            first: *first,
            why: format!("{:?}", seen.outcome),
        }),
    }
}

fn load(cluster: &Cluster, network: &Network, plans: &[Plan]) -> Result<Vec<Kernel>, LabError> {
    let mut kernels = Vec::new();
    for (((_, node), netns), plan) in cluster.nodes().zip(network.nodes()).zip(plans) {
        let difference = Difference::between(None, &plan.ruleset);
        let name = || node.name.to_string();
        let loaded = netns.run(|| {
            let mut kernel = Kernel::open().map_err(|source| LabError::Open { node: name(), source })?;
            kernel.apply(&difference).map_err(|source| LabError::Apply { node: name(), source })?;
            Ok::<_, LabError>(kernel)
        })?;
        kernels.push(loaded?);
    }
    Ok(kernels)
}

fn stats(plans: &[Plan]) -> RuleStats {
    plans.iter().fold(RuleStats::default(), |sum, plan| RuleStats {
        profiles: sum.profiles + plan.profiles,
        sets: sum.sets + plan.ruleset.sets.len(),
        elements: sum.elements + plan.ruleset.sets.values().map(|set| set.elements.len()).sum::<usize>(),
        chains: sum.chains + plan.ruleset.chains.len(),
    })
}

fn open_logs(network: &Network) -> Result<Vec<NfLog>, LabError> {
    let logs = network.nodes().iter().map(|netns| NfLog::open(netns, LOG_GROUP, LogOptions::default()));
    Ok(logs.collect::<Result<_, _>>()?)
}

/// What rulesets said of packets.
#[derive(Default)]
struct Logged {
    /// Those that were dropped, each with the node and the chain.
    drops: HashMap<Tuple, (String, String)>,
    /// Those that audited policies would deny, each with the directions.
    audits: HashMap<Tuple, BTreeSet<Direction>>,
}

/// What rulesets said of packets. A chain whose counter has counted less than it logged is not believed.
fn logged(
    cluster: &Cluster,
    collected: &[Collected],
    kernels: &mut [Kernel],
    plans: &[Plan],
) -> Result<Logged, LabError> {
    let lost: u64 = collected.iter().map(|log| log.losses.records + log.losses.overruns + log.losses.malformed).sum();
    if lost > 0 {
        return Err(LabError::LogOverrun(lost));
    }
    let mut found = Logged::default();
    for ((((_, node), log), kernel), plan) in cluster.nodes().zip(collected).zip(kernels).zip(plans) {
        let counters =
            kernel.counters().map_err(|source| LabError::Counters { node: node.name.to_string(), source })?;
        let mut logged: BTreeMap<&str, u64> = BTreeMap::new();
        for record in &log.records {
            *logged.entry(&record.prefix).or_default() += 1;
        }
        for record in &log.records {
            let chain = record.prefix.as_str();
            let counted: u64 =
                counters.iter().filter(|counter| counter.chain == chain).map(|counter| counter.packets).sum();
            if counted < logged.get(chain).copied().unwrap_or_default() {
                continue;
            }
            let Some(tuple) = record.tuple() else { continue };
            match plan.audits.get(chain) {
                Some(audit) => _ = found.audits.entry(tuple).or_default().insert(audit.direction),
                None => _ = found.drops.insert(tuple, (node.name.to_string(), chain.to_owned())),
            }
        }
    }
    Ok(found)
}

fn observed(seen: &Observation, drops: &HashMap<Tuple, (String, String)>) -> Observed {
    match seen.outcome {
        probe::Outcome::Reached => Observed::Reached,
        probe::Outcome::NoAnswer => match drops.get(&seen.tuple) {
            Some((node, chain)) => Observed::Dropped { node: node.clone(), chain: chain.clone() },
            None => Observed::Lost,
        },
        probe::Outcome::Refused(errno) | probe::Outcome::Failed(errno) => Observed::Refused(errno.to_string()),
    }
}
