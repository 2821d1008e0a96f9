//! What flow logs saw, between the ends of a cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
};

use anyhow::Result;
use palisade_engine::model::{Cluster, Family, ObjectRef, PodId, Side, Traffic};
use palisade_flows::{Connection, End, Seen, Subject, Tally, record::FlowProtocol};

use crate::{flow_log, screen};

/// How many of what was left out are told by name.
const MOST: usize = 20;

/// A connection that was seen, between two ends of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) source: Side,
    pub(crate) destination: Side,
    pub(crate) traffic: Traffic,
    pub(crate) seen: Seen,
}

/// What flow logs say of a cluster, and what of them could not count.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) connections: Vec<Met>,
    pub(crate) tally: Tally,
    /// Ends that the cluster does not have, and nothing of the same workload in their place.
    pub(crate) unknown: BTreeSet<String>,
    /// Connections whose log tells no port though their protocol has them.
    pub(crate) without_port: u64,
}

/// The connections of files. Lines that cannot be read are told.
///
/// # Errors
/// When a file cannot be read at all.
pub(crate) fn read(paths: &[PathBuf]) -> Result<(Vec<Connection>, Tally)> {
    flow_log::of_files(paths)
}

impl Observed {
    /// Finds the ends of connections in a cluster.
    pub(crate) fn of(cluster: &Cluster, connections: &[Connection], tally: Tally) -> Self {
        let finder = Finder::new(cluster);
        let mut observed = Self { tally, ..Self::default() };
        let mut places: HashMap<(Side, Side, Traffic), usize> = HashMap::new();
        for connection in connections {
            let met = match finder.met(connection) {
                Ok(met) => met,
                Err(missing) => {
                    observed.missing(missing);
                    continue;
                }
            };
            // Pods of one workload that were replaced are all the one that stands for them now.
            match places.entry((met.source, met.destination, met.traffic)) {
                std::collections::hash_map::Entry::Occupied(place) => {
                    if let Some(before) = observed.connections.get_mut(*place.get()) {
                        before.seen.merge(&met.seen);
                    }
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(observed.connections.len());
                    observed.connections.push(met);
                }
            }
        }
        observed
    }

    /// Counts a connection that the cluster does not have.
    pub(crate) fn missing(&mut self, missing: Missing) {
        match missing {
            Missing::Port => self.without_port += 1,
            Missing::Ends(ends) => self.unknown.extend(ends),
        }
    }

    /// Says what of the flow logs does not count.
    pub(crate) fn told(&self) {
        flow_log::left_out(&self.tally);
        if self.without_port > 0 {
            screen::note(&format!(
                "{} connections are told without their port, and left out (Calico's flow logs have it with \
                 `flowLogsFileAggregationKindForAllowed: 1` or 0)",
                self.without_port
            ));
        }
        if !self.unknown.is_empty() {
            let names: Vec<&String> = self.unknown.iter().collect();
            let names = flow_log::plain(&screen::shortened(&names, ", ", MOST));
            screen::note(&format!("left out, since the cluster does not have them: {names}"));
        }
    }

    /// Whether everything that could be read of the flow logs counts, so that an answer is about all of them.
    pub(crate) fn is_whole(&self) -> bool {
        self.tally.unreadable == 0 && self.tally.beyond == 0
    }
}

fn unknown(end: &End) -> String {
    match &end.subject {
        Subject::Pod { namespace, pod: Some(pod), .. } => format!("{namespace}/{pod}"),
        Subject::Address => "ends without a name and without an address".to_owned(),
        Subject::Pod { .. } | Subject::Node { .. } => end.to_string(),
    }
}

/// Who an end is in the cluster.
#[derive(Clone, Copy)]
enum Found {
    Pod(PodId, Option<IpAddr>),
    Side(Side),
}

/// Why a connection of a log is none of a cluster.
pub(crate) enum Missing {
    /// Its log tells no port, though its protocol has them.
    Port,
    /// The cluster does not have these ends.
    Ends(Vec<String>),
}

/// Finds the ends of logs in a cluster.
pub(crate) struct Finder<'a> {
    cluster: &'a Cluster,
    /// One live pod of each workload, by `namespace/kind/name`.
    workloads: HashMap<String, PodId>,
    /// Every live pod, by `namespace/name`.
    pods: BTreeMap<String, PodId>,
}

impl<'a> Finder<'a> {
    /// Finds ends in that cluster.
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let (mut workloads, mut pods) = (HashMap::new(), BTreeMap::new());
        for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_live()) {
            pods.insert(pod.id.to_string(), id);
            if let Some((kind, name)) = &pod.workload {
                workloads.entry(format!("{}/{kind}/{name}", pod.id.namespace)).or_insert(id);
            }
        }
        Self { cluster, workloads, pods }
    }

    /// The connection between ends of the cluster.
    pub(crate) fn met(&self, connection: &Connection) -> Result<Met, Missing> {
        let Connection { source, destination, protocol, port, seen } = connection;
        let traffic = match (protocol, port) {
            (FlowProtocol::WithPorts(protocol), Some(port)) => Traffic::Port(*protocol, *port),
            (FlowProtocol::WithPorts(_), None) => return Err(Missing::Port),
            (FlowProtocol::Icmp | FlowProtocol::Icmpv6 | FlowProtocol::Other(_), _) => Traffic::Portless,
        };
        let (Some(from), Some(to)) = (self.end(source), self.end(destination)) else {
            let missing = [source, destination].into_iter().filter(|end| self.end(end).is_none());
            return Err(Missing::Ends(missing.map(unknown).collect()));
        };
        let family = source.address.or(destination.address).map(Family::of);
        let Some((source, destination)) = self.sides(from, to, family) else {
            return Err(Missing::Ends(vec![format!("{source} and {destination} of one IP family")]));
        };
        Ok(Met { source, destination, traffic, seen: *seen })
    }

    fn end(&self, end: &End) -> Option<Found> {
        match &end.subject {
            Subject::Pod { namespace, pod, workload } => {
                let id = self.pod(namespace, pod.as_deref(), workload.as_deref())?;
                Some(Found::Pod(id, end.address))
            }
            Subject::Node { node } => match (self.cluster.find_node(node), end.address) {
                (Some(id), Some(address)) => {
                    let side = self.cluster.side_of_node(id, Family::of(address));
                    Some(Found::Side(Side { address: Some(address), ..side }))
                }
                (Some(id), None) => Some(Found::Side(self.cluster.side_of_node(id, Family::V4))),
                (None, address) => Some(Found::Side(self.cluster.side_of_address(address?))),
            },
            Subject::Address => Some(Found::Side(self.cluster.side_of_address(end.address?))),
        }
    }

    /// The pod, or another of its workload where it has been replaced since.
    fn pod(&self, namespace: &str, pod: Option<&str>, workload: Option<&str>) -> Option<PodId> {
        let by_name = pod.and_then(|pod| self.cluster.find_pod(&ObjectRef::new(namespace, pod)));
        if let Some(id) = by_name {
            return Some(id).filter(|id| self.cluster.pod(*id).is_live());
        }
        let by_workload = workload.and_then(|workload| self.workloads.get(&format!("{namespace}/{workload}")).copied());
        by_workload.or_else(|| {
            // Pods whose names begin alike, told as one.
            let beginning = format!("{namespace}/{}", pod?.strip_suffix('*')?);
            let (name, id) = self.pods.range(beginning.clone()..).next()?;
            name.starts_with(&beginning).then_some(*id)
        })
    }

    /// The ends of one family: that of the log, or one that both have.
    fn sides(&self, from: Found, to: Found, family: Option<Family>) -> Option<(Side, Side)> {
        let families = Family::ALL.into_iter().filter(|known| family.is_none_or(|family| family == *known));
        let pairs = families.filter_map(|family| Some((self.side(from, family)?, self.side(to, family)?)));
        let pairs: Vec<(Side, Side)> = pairs.collect();
        // With addresses, if there are any: rules of networks ask for them.
        let known = pairs.iter().find(|(from, to)| from.address.is_some() && to.address.is_some());
        known.or(pairs.first()).copied()
    }

    /// The address that the cluster knows counts; a pod that was replaced has left its own.
    fn side(&self, found: Found, family: Family) -> Option<Side> {
        match found {
            Found::Pod(id, logged) => {
                let mut side = self.cluster.side_of_pod(id, family)?;
                side.address = side.address.or(logged.filter(|address| Family::of(*address) == family));
                Some(side)
            }
            Found::Side(side) => side.address.is_none_or(|address| Family::of(address) == family).then_some(side),
        }
    }
}
