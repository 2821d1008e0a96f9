//! What is tried: every pod to every listening port, or the rows of a table.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use palisade_engine::model::{Cluster, Direction, Family, Flow, Peer, PodId, PortMatch, Protocol, Side, Traffic};
use palisade_lab::outside;

use crate::{
    endpoint::{EndName, Resolver, cases},
    flows::{self, Expected, FlowTable},
};

/// The connections of a run, and how a matrix shows them.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// Who opens connections, in order.
    pub(crate) rows: Vec<String>,
    /// Who receives them.
    pub(crate) columns: Vec<Column>,
    pub(crate) trials: Vec<Trial>,
    /// The cells of ends that are one and the same.
    pub(crate) itself: BTreeSet<(usize, usize)>,
}

/// A receiver and what it receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) traffic: Traffic,
}

/// One connection in one family.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) family: Family,
    pub(crate) flow: Flow,
    pub(crate) expected: Option<Expected>,
    /// Where the table says so.
    pub(crate) at: Option<String>,
}

impl Trials {
    /// `prod/frontend -> prod/database TCP 5432 (IPv4)`
    pub(crate) fn describe(&self, trial: &Trial) -> String {
        format!("{} ({})", self.connection(trial), trial.family)
    }

    /// `prod/frontend -> prod/database TCP 5432`
    pub(crate) fn connection(&self, trial: &Trial) -> String {
        let row = self.rows.get(trial.row).map_or("?", String::as_str);
        let column = self.columns.get(trial.column).map_or("?", |column| column.name.as_str());
        format!("{row} -> {column} {}", trial.flow.traffic())
    }

    fn row(&mut self, name: &str) -> usize {
        position(&mut self.rows, name.to_owned())
    }

    fn column(&mut self, column: Column) -> usize {
        position(&mut self.columns, column)
    }

    fn push(&mut self, place: (usize, usize), family: Family, ends: (Side, Side), traffic: Traffic) {
        let (row, column) = place;
        if ends.0.endpoint == ends.1.endpoint && ends.0.address == ends.1.address {
            self.itself.insert(place);
        } else if let (Some(_), Some(_), Ok(flow)) =
            (ends.0.address, ends.1.address, Flow::new(ends.0, ends.1, traffic))
        {
            self.trials.push(Trial { row, column, family, flow, expected: None, at: None });
        }
    }
}

fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// The rows of a table; those of pods at both ends in every family that both have.
pub(crate) fn of_table(resolver: &Resolver<'_>, table: &FlowTable, family: Option<Family>) -> Result<Trials> {
    let mut trials = Trials::default();
    for row in &table.rows {
        let from = flows::only(resolver.source(&row.from)?, &row.from).with_context(|| row.at.clone())?;
        let to = flows::only(resolver.destination(&row.target())?.0, &row.to).with_context(|| row.at.clone())?;
        let named = [&row.from, &row.to].into_iter().any(|end| matches!(end, EndName::Address(_)));
        let family = if named { None } else { family };
        let place = (trials.row(&from.label), trials.column(Column { name: to.label.clone(), traffic: row.traffic }));
        for case in cases(resolver, &[from], &[to], family).with_context(|| row.at.clone())? {
            let Some(family) = case.family else { continue };
            let (row_index, column) = place;
            let (flow, expected, at) = (case.flow, row.expected, Some(row.at.clone()));
            trials.trials.push(Trial { row: row_index, column, family, flow, expected, at });
        }
    }
    Ok(trials)
}

/// Every live pod, and a few outside hosts, to every port that a live pod declares; and the pods to
/// the outside hosts.
pub(crate) fn of_all(resolver: &Resolver<'_>, family: Option<Family>) -> Result<Trials> {
    let cluster = resolver.cluster;
    let families: Vec<Family> = match family {
        Some(family) => vec![family],
        None => Family::ALL.into_iter().filter(|family| has(cluster, *family)).collect(),
    };
    let mut trials = Trials::default();
    let pods: Vec<PodId> = cluster.pods().filter(|(_, pod)| pod.is_live()).map(|(id, _)| id).collect();
    let outside = outside::addresses(cluster, &families);

    let mut targets: Vec<(usize, End)> = Vec::new();
    for pod in &pods {
        let mut ports: Vec<Traffic> =
            cluster.pod(*pod).ports.iter().map(|port| Traffic::Port(port.protocol, port.port)).collect();
        ports.sort();
        ports.dedup();
        for traffic in ports {
            let name = cluster.pod(*pod).id.to_string();
            targets.push((trials.column(Column { name, traffic }), End::Pod(*pod)));
        }
    }
    let declared = targets.len();
    let ports = outside_ports(cluster);
    for address in &outside {
        for traffic in &ports {
            let column = trials.column(Column { name: address.to_string(), traffic: *traffic });
            targets.push((column, End::Address(*address)));
        }
    }
    let sources = pods.iter().map(|pod| (cluster.pod(*pod).id.to_string(), End::Pod(*pod)));
    let sources = sources.chain(outside.iter().map(|address| (address.to_string(), End::Address(*address))));
    for (name, source) in sources {
        let row = trials.row(&name);
        let reachable = if matches!(source, End::Pod(_)) { targets.len() } else { declared };
        for (column, target) in targets.iter().take(reachable) {
            for family in &families {
                let ends = (source.side(cluster, *family), target.side(cluster, *family));
                if let ((Some(from), Some(to)), Some(of)) = (ends, trials.columns.get(*column)) {
                    let traffic = of.traffic;
                    trials.push((row, *column), *family, (from, to), traffic);
                }
            }
        }
    }
    Ok(trials)
}

#[derive(Clone, Copy, Debug)]
enum End {
    Pod(PodId),
    Address(std::net::IpAddr),
}

impl End {
    fn side(self, cluster: &Cluster, family: Family) -> Option<Side> {
        match self {
            Self::Pod(pod) => cluster.side_of_pod(pod, family),
            Self::Address(address) => (Family::of(address) == family).then(|| cluster.side_of_address(address)),
        }
    }
}

fn has(cluster: &Cluster, family: Family) -> bool {
    cluster.pods().any(|(_, pod)| pod.is_live() && pod.addresses.of(family).is_some())
}

/// The ports worth trying on an outside host: those of egress rules that may mean one, else 443.
fn outside_ports(cluster: &Cluster) -> Vec<Traffic> {
    let rules = cluster.policies().flat_map(|(_, policy)| policy.rules(Direction::Egress));
    let rules = rules.filter(|rule| rule.peers.iter().any(|peer| matches!(peer, Peer::IpBlock(_))));
    let numbers: BTreeSet<Traffic> = rules
        .flat_map(|rule| &rule.ports)
        .filter_map(|port| match &port.port {
            PortMatch::Range(range) => Some(Traffic::Port(port.protocol, range.first())),
            PortMatch::All | PortMatch::Named(_) => None,
        })
        .take(3)
        .collect();
    if numbers.is_empty() { vec![Traffic::Port(Protocol::Tcp, 443)] } else { numbers.into_iter().collect() }
}
