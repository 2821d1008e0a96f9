//! The answer for programs: JSON and CSV. Nothing is folded, and every end is named.

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{EndSet, OutsideMembers, UnitKind},
    model::{Cluster, PortRange, Protocol},
    sets::TrafficSet,
};
use serde::Serialize;

use super::{
    names::{Namer, prefixes},
    table::{Row, Table, Unmatched},
    text::traffic,
};

/// What JSON says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    connections: Vec<RowData>,
    /// What only an address that is not known would tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undecided: Vec<RowData>,
    /// Peers of rules that select no pod of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<UnmatchedData>,
    /// Workloads that run no pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_pods: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RowData {
    from: Vec<EndData>,
    to: Vec<EndData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(flatten)]
    traffic: TrafficData,
    /// Whether it holds for some pods of these namespaces only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    some_pods: bool,
}

/// Traffic by protocol, each range as `80` or `8000-8100`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrafficData {
    /// As people read it.
    text: String,
    /// Whether it is everything, also without ports.
    everything: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tcp: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    udp: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sctp: Vec<String>,
    /// Whether traffic without ports (ICMP) is in it.
    portless: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EndData {
    Pods {
        namespace: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// How many of its pods.
        pods: u32,
        /// How many it has.
        of: usize,
    },
    Node {
        node: String,
    },
    Outside {
        outside: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
struct UnmatchedData {
    namespace: String,
    policy: String,
    rule: String,
    selector: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// Makes data of tables.
pub(crate) struct Writer<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) program: &'a PolicyProgram,
    pub(crate) connections: &'a Connections,
    pub(crate) from: Namer<'a>,
    pub(crate) to: Namer<'a>,
}

impl Writer<'_> {
    /// The whole answer.
    pub(crate) fn answer(&self, table: &Table) -> Answer {
        Answer {
            connections: table.rows.iter().map(|row| self.row(row)).collect(),
            undecided: table.undecided.iter().map(|row| self.row(row)).collect(),
            unmatched: table.unmatched.iter().map(|unmatched| self.unmatched(unmatched)).collect(),
            without_pods: table.without_pods.clone(),
        }
    }

    /// A line for each pair of ends.
    pub(crate) fn csv(&self, table: &Table) -> String {
        let mut text = "from,to,traffic\n".to_owned();
        for row in &table.rows {
            let (from, to) = (self.each(&self.from, &row.from), self.each(&self.to, &row.to));
            let traffic = quoted(&traffic(row));
            for from in &from {
                // A pod to itself is no question.
                for to in to.iter().filter(|to| to.0 != from.0 || from.1 > 1).map(|to| &to.0) {
                    let from = &from.0;
                    text.push_str(&format!("{from},{to},{traffic}\n"));
                }
            }
        }
        text
    }

    fn row(&self, row: &Row) -> RowData {
        RowData {
            from: self.ends(&self.from, &row.from),
            to: self.ends(&self.to, &row.to),
            family: row.family.map(|family| family.to_string()),
            traffic: (&row.traffic).into(),
            some_pods: row.partial,
        }
    }

    fn ends(&self, namer: &Namer<'_>, set: &EndSet) -> Vec<EndData> {
        let members = namer.groups.name(self.connections, set);
        let counts = namer.groups.counts(set).into_iter();
        let mut ends: Vec<EndData> = counts
            .map(|(id, pods)| {
                let unit = namer.groups.unit(id);
                let (kind, name) = match &unit.kind {
                    UnitKind::Namespace => (None, None),
                    UnitKind::Pod(name) => (Some("pod"), Some(name.to_string())),
                    UnitKind::Workload(kind, name) => (Some(kind.short()), Some(name.to_string())),
                };
                EndData::Pods { namespace: unit.namespace.to_string(), kind, name, pods, of: unit.pods.len() }
            })
            .collect();
        let nodes = match members.nodes {
            None => self.cluster.nodes().map(|(id, _)| id).collect(),
            Some(nodes) => nodes,
        };
        ends.extend(nodes.into_iter().map(|node| EndData::Node { node: self.cluster.node(node).name.to_string() }));
        match members.outside {
            OutsideMembers::None => {}
            OutsideMembers::All => ends.push(EndData::Outside { outside: vec!["0.0.0.0/0".into(), "::/0".into()] }),
            OutsideMembers::Prefixes(set) => {
                ends.push(EndData::Outside { outside: set.prefixes().map(|prefix| prefix.to_string()).collect() });
            }
        }
        ends
    }

    /// Every end by itself, ready for CSV, and how many it is.
    fn each(&self, namer: &Namer<'_>, set: &EndSet) -> Vec<(String, usize)> {
        let ends = self.ends(namer, set).into_iter().map(|end| match end {
            EndData::Pods { namespace, kind: Some(kind), name: Some(name), of, .. } => {
                (format!("{namespace}/{kind}/{name}"), of)
            }
            EndData::Pods { namespace, of, .. } => (format!("ns/{namespace}"), of),
            EndData::Node { node } => (format!("node/{node}"), 1),
            EndData::Outside { .. } => match namer.groups.name(self.connections, set).outside {
                OutsideMembers::Prefixes(set) => (prefixes(&set).join(", "), 1),
                OutsideMembers::All | OutsideMembers::None => ("outside".to_owned(), 1),
            },
        });
        ends.map(|(end, size)| (quoted(&end), size)).collect()
    }

    fn unmatched(&self, unmatched: &Unmatched) -> UnmatchedData {
        let origin = self.program.rule(unmatched.rule).origin;
        let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
        let name = self.cluster.policy_name(origin.policy);
        let (namespace, policy) = name.split_once('/').unwrap_or(("", &name));
        UnmatchedData {
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
            rule: format!("{}[{}]", origin.direction, origin.index),
            selector: unmatched.selector.clone(),
            file: at.map(|at| self.cluster.sources().name(at.file).to_owned()),
            line: at.map(|at| at.start.line),
        }
    }
}

impl From<&TrafficSet> for TrafficData {
    fn from(set: &TrafficSet) -> Self {
        let ranges = |protocol| {
            let ranges = set.of(protocol).ranges().filter_map(|(first, last)| PortRange::new(first, last));
            ranges.map(|range| range.to_string()).collect()
        };
        Self {
            text: set.to_string(),
            everything: set.is_all(),
            tcp: ranges(Protocol::Tcp),
            udp: ranges(Protocol::Udp),
            sctp: ranges(Protocol::Sctp),
            portless: set.portless(),
        }
    }
}

/// A field of CSV (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
