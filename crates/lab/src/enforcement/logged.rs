//! What the rulesets themselves report of the packets that they dropped or would drop.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use palisade_engine::model::{Cluster, Direction};
use palisade_linux::{
    nflog::{Collected, NfLog, Options as LogOptions},
    packet::Tuple,
};
use palisade_nftables::{netlink::Kernel, plan::Plan};

use super::{LOG_GROUP, LabError, Observed};
use crate::{
    probe::{self, Observation},
    wiring::Network,
};

/// Opens the log of every node's rulesets, in the order of the nodes.
pub(super) fn open_logs(network: &Network) -> Result<Vec<NfLog>, LabError> {
    let logs = network.nodes().iter().map(|netns| NfLog::open(netns, LOG_GROUP, LogOptions::default()));
    Ok(logs.collect::<Result<_, _>>()?)
}

/// What rulesets said of packets.
#[derive(Default)]
pub(super) struct Logged {
    /// Those that were dropped, each with the node and the chain.
    pub(super) drops: HashMap<Tuple, (String, String)>,
    /// Those that audited policies would deny, each with the directions.
    pub(super) audits: HashMap<Tuple, BTreeSet<Direction>>,
}

/// What rulesets said of packets. A chain whose counter has counted less than it logged is not believed.
pub(super) fn logged(
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

/// What became of a flow, by what was seen of it and by the drops that rulesets report.
pub(super) fn observed(seen: &Observation, drops: &HashMap<Tuple, (String, String)>) -> Observed {
    match seen.outcome {
        probe::Outcome::Reached => Observed::Reached,
        probe::Outcome::NoAnswer => match drops.get(&seen.tuple) {
            Some((node, chain)) => Observed::Dropped { node: node.clone(), chain: chain.clone() },
            None => Observed::Lost,
        },
        probe::Outcome::Refused(errno) | probe::Outcome::Failed(errno) => Observed::Refused(errno.to_string()),
    }
}
