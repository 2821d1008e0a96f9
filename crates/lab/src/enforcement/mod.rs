//! The experiment: every flow without rules, then with them, and what the rules themselves report.
//!
//! A flow that does not pass without rules proves nothing, whatever happens with them; a silent flow
//! counts as dropped only when a node's ruleset logged that very packet and its counter moved.

mod logged;
mod report;

pub use report::{Audit, FlowResult, Observed, Report, RuleStats, Times};

use std::{collections::HashMap, net::IpAddr, time::Instant};

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Endpoint, Flow, NodeId, PodId, Side},
};
use palisade_linux::nflog::{Collector, NfLogError};
use palisade_nftables::{
    difference::Difference,
    netlink::{ApplyError, Kernel, OpenError, ReadError},
    plan::{Log, Options, Plan, plan},
};

use self::logged::{logged, observed, open_logs};
use crate::{
    probe::{self, Observation, Probe, ProbeError, Timing},
    wiring::{self, HostRef, Network, NodeHost, OutsideHost, PodHost, Topology, Wiring, WiringError},
};

/// The NFLOG group of the lab's rulesets; each node has a network namespace, and so groups, of its own.
const LOG_GROUP: u16 = 1;
/// How the names of the interfaces begin that lead to a pod.
pub(crate) const POD_INTERFACES: &str = "pod";

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
