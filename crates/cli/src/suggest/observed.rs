//! Flow logs, folded into connections between the ends of a cluster.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader, stdin},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use palisade_agent::flow_log::record::{
    FlowDirection, FlowEnd, FlowProtocol, FlowRecord, FlowVerdict, Line, PodEnd, Who,
};
use palisade_engine::model::{Cluster, Endpoint, ObjectRef, PodId, Protocol, Side};
use palisade_suggest::Observed;

/// What flow logs say, and what of them could not count.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) observed: Vec<Observed>,
    /// Lines of protocols without ports.
    pub(crate) portless: u64,
    /// Lines that were dropped before they were written.
    pub(crate) lost: u64,
    /// Pods that the cluster does not have, and nothing of the same workload in their place.
    pub(crate) unknown: BTreeSet<String>,
}

type Key = (Side, Side, Protocol, u16);

struct Counts {
    /// Once at each end that judged it; the greater of the two is how often it was made.
    egress: u64,
    ingress: u64,
    denied: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Folds flow logs, a line at a time.
pub(crate) fn read(cluster: &Cluster, paths: &[PathBuf], with_denied: bool) -> Result<Reading> {
    let mut reading = Reading::default();
    let mut counts: HashMap<Key, Counts> = HashMap::new();
    for path in paths {
        let name = path.display();
        let lines: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).with_context(|| format!("cannot read {name}"))?))
        };
        for (number, line) in lines.lines().enumerate() {
            let at = || format!("{name}:{}", number + 1);
            let line = line.with_context(at)?;
            if line.trim().is_empty() {
                continue;
            }
            match Line::parse(&line).with_context(at)? {
                Line::Flow(record) => reading.take(cluster, &record, &mut counts),
                Line::Lost(lost) => reading.lost = reading.lost.saturating_add(lost),
                Line::CaughtUp => {}
            }
        }
    }
    // What left one node and was denied at the other was not made.
    let counts = counts.into_iter().filter(|(_, count)| {
        if with_denied { true } else { count.ingress > 0 || (count.egress > 0 && count.denied == 0) }
    });
    reading.observed = counts
        .map(|((source, destination, protocol, port), seen)| Observed {
            source,
            destination,
            protocol,
            port,
            count: seen.egress.max(seen.ingress).max(if with_denied { seen.denied } else { 0 }),
            first: seen.first,
            last: seen.last,
        })
        .collect();
    Ok(reading)
}

impl Reading {
    fn take(&mut self, cluster: &Cluster, record: &FlowRecord, counts: &mut HashMap<Key, Counts>) {
        let (FlowProtocol::WithPorts(protocol), Some(port)) = (record.protocol, record.dst.port) else {
            self.portless += 1;
            return;
        };
        let ends = (self.side(cluster, &record.src), self.side(cluster, &record.dst));
        let (Some(source), Some(destination)) = ends else { return };
        let seen = counts.entry((source, destination, protocol, port)).or_insert(Counts {
            egress: 0,
            ingress: 0,
            denied: 0,
            first: record.time,
            last: record.time,
        });
        match (record.verdict, record.direction) {
            (FlowVerdict::Denied, _) => seen.denied += 1,
            // What audited policies would deny passes.
            (FlowVerdict::Accepted | FlowVerdict::WouldDeny, FlowDirection::Egress) => seen.egress += 1,
            (FlowVerdict::Accepted | FlowVerdict::WouldDeny, FlowDirection::Ingress) => seen.ingress += 1,
            (FlowVerdict::Accepted | FlowVerdict::WouldDeny, FlowDirection::Both) => {
                seen.egress += 1;
                seen.ingress += 1;
            }
        }
        seen.first = seen.first.min(record.time);
        seen.last = seen.last.max(record.time);
    }

    fn side(&mut self, cluster: &Cluster, end: &FlowEnd) -> Option<Side> {
        let endpoint = match &end.who {
            Who::Pod(pod) => match find(cluster, pod) {
                Some(id) => Endpoint::Pod(id),
                None => {
                    self.unknown.insert(format!("{}/{}", pod.namespace, pod.pod));
                    return None;
                }
            },
            Who::Node { node } => match cluster.find_node(node) {
                Some(id) => Endpoint::Node(id),
                None => return Some(cluster.side_of_address(end.ip)),
            },
            Who::Outside {} => return Some(cluster.side_of_address(end.ip)),
        };
        Some(Side { endpoint, address: Some(end.ip.to_canonical()) })
    }
}

/// The pod, or another of its workload where it has been replaced since.
fn find(cluster: &Cluster, end: &PodEnd) -> Option<PodId> {
    if let Some(id) = cluster.find_pod(&ObjectRef::new(end.namespace.as_str(), end.pod.as_str())) {
        return Some(id).filter(|id| cluster.pod(*id).is_live());
    }
    let workload = end.workload.as_deref()?;
    let of_workload = cluster.pods().find(|(_, pod)| {
        let name = || pod.workload.as_ref().map(|(kind, name)| format!("{}/{name}", kind.short()));
        pod.is_live() && *pod.id.namespace == *end.namespace && name().as_deref() == Some(workload)
    });
    of_workload.map(|(id, _)| id)
}
