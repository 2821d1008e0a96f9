//! What the page knows, compact: no pair is written down. The page looks pairs up in the relation.

use std::collections::BTreeMap;

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{End, EndSet, Members, OutsideMembers, Part, PodMembers, Relation, UnitId, UnitKind},
    model::{Cluster, Direction, Family},
};
use serde::Serialize;

use super::{
    rules::{PolicyData, ProfileData, RuleData, Rules},
    tables::{NONE, Tables, number, signed},
};
use crate::{
    connections::{
        names::{Namer, prefixes},
        table::{Row, Table},
        text::{readable, traffic},
    },
    input::Excerpts,
};

/// The whole of it.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pods: usize,
    /// Namespaces, then the nodes, then the outside.
    groups: Vec<GroupData>,
    units: Vec<UnitData>,
    ends: EndsData,
    certain: RelationData,
    /// What is possible, when addresses that are not known decide something.
    #[serde(skip_serializing_if = "Option::is_none")]
    possible: Option<RelationData>,
    policies: Vec<PolicyData>,
    profiles: Vec<ProfileData>,
    rules: Vec<RuleData>,
    list: Vec<RowData>,
    undecided: Vec<RowData>,
    /// Peers that select nobody: the rule and the selector.
    unmatched: Vec<(u32, String)>,
    #[serde(flatten)]
    tables: Tables,
}

/// What it is (0 a namespace, 1 the nodes, 2 the outside), and its name.
#[derive(Debug, Serialize)]
struct GroupData(u8, String);

/// Group, kind, name, ends each with how many pods, and the nodes that its pods run on, as units.
#[derive(Debug, Serialize)]
struct UnitData(u32, u32, String, Vec<u32>, Vec<u32>);

/// Everything about ends, by number. Only the first ones are pods.
#[derive(Debug, Default, Serialize)]
struct EndsData {
    /// 1 for IPv4, 2 for IPv6, 3 for both.
    families: Vec<u8>,
    /// How many pods.
    pods: Vec<u32>,
    /// The labels that policies look at, as text.
    labels: Vec<u32>,
    /// Profiles.
    ingress: Vec<i32>,
    egress: Vec<i32>,
}

/// The row of each destination; a row is sources and their cell, and so on.
#[derive(Debug, Serialize)]
struct RelationData {
    of: Vec<u32>,
    rows: Vec<Vec<u32>>,
}

/// From, to and traffic as text, then from and to as sets, and the traffic.
#[derive(Debug, Serialize)]
struct RowData(u32, u32, u32, u32, u32, u32);

/// What the data is made of.
pub(crate) struct Page<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) program: &'a PolicyProgram,
    pub(crate) connections: &'a Connections,
    pub(crate) namer: &'a Namer<'a>,
    pub(crate) excerpts: &'a Excerpts,
    pub(crate) table: &'a Table,
}

impl Page<'_> {
    pub(super) fn data(&self) -> Data {
        let mut tables = Tables::default();
        let (groups, units) = self.units(&mut tables);
        let mut rules = Rules::new(self.cluster, self.program, self.connections, self.excerpts);
        Data {
            pods: self.program.identities().map(|(_, identity)| identity.pods.len()).sum(),
            groups,
            units,
            ends: self.ends(&mut tables),
            certain: self.relation(self.connections.allowed(), &mut tables),
            possible: self.connections.possible().map(|relation| self.relation(relation, &mut tables)),
            policies: rules.policies(&mut tables),
            profiles: rules.profiles(),
            rules: rules.rules(&mut tables),
            list: self.list(&self.table.rows, &mut tables),
            undecided: self.list(&self.table.undecided, &mut tables),
            unmatched: {
                let list = self.table.unmatched.iter();
                list.map(|unmatched| (rules.number(unmatched.rule), readable(&unmatched.selector))).collect()
            },
            tables,
        }
    }

    fn ends(&self, tables: &mut Tables) -> EndsData {
        let ends = self.connections.ends();
        let mut data = EndsData::default();
        for (id, end) in ends.iter() {
            let has = Family::ALL.map(|family| u8::from(ends.is_present(id, family)));
            data.families.push(has.into_iter().zip([1, 2]).map(|(has, bit)| has * bit).sum());
            let End::Pods(identity) = end else { continue };
            let profile = |direction| {
                let profile = self.program.profile_of(*identity, direction);
                if self.program.profile(profile).is_open() { NONE } else { signed(number(profile.index())) }
            };
            data.ingress.push(profile(Direction::Ingress));
            data.egress.push(profile(Direction::Egress));
            let identity = self.program.identity(*identity);
            data.pods.push(number(identity.pods.len()));
            let labels: Vec<String> = identity.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            data.labels.push(tables.text(&labels.join(", ")));
        }
        data
    }

    fn relation(&self, relation: &Relation, tables: &mut Tables) -> RelationData {
        let mut of = vec![0; self.connections.ends().len()];
        let mut rows = Vec::with_capacity(relation.rows().len());
        for (index, row) in relation.rows().iter().enumerate() {
            for end in &row.destinations {
                if let Some(slot) = of.get_mut(end as usize) {
                    *slot = number(index);
                }
            }
            let pairs =
                row.sources.iter().flat_map(|(set, cell)| [tables.set(set), tables.cell(self.connections, *cell)]);
            rows.push(pairs.collect());
        }
        RelationData { of, rows }
    }

    fn list(&self, rows: &[Row], tables: &mut Tables) -> Vec<RowData> {
        let line = |set| self.namer.line(&self.namer.groups.name(self.connections, set));
        let rows = rows.iter().map(|row| {
            let (from, to) = (tables.text(&line(&row.from)), tables.text(&line(&row.to)));
            let (says, passes) = (tables.text(&traffic(row)), tables.traffic(&row.traffic));
            RowData(from, to, says, tables.set(&row.from), tables.set(&row.to), passes)
        });
        rows.collect()
    }

    fn units(&self, tables: &mut Tables) -> (Vec<GroupData>, Vec<UnitData>) {
        let mut groups: Vec<GroupData> = Vec::new();
        let mut units: Vec<UnitData> = Vec::new();
        // Pods first, then nodes: so nodes have their numbers already.
        let first_node = number(self.namer.groups.units().len());
        let every = self.namer.groups.counts(self.connections.ends().pods());
        for (id, unit) in every.into_keys().map(|id| (id, self.namer.groups.unit(id))) {
            let name = unit.namespace.to_string();
            if groups.last().is_none_or(|group| group.1 != name) {
                groups.push(GroupData(0, name));
            }
            let mut ends: BTreeMap<u32, u32> = BTreeMap::new();
            let mut nodes: Vec<u32> = Vec::new();
            for pod in &unit.pods {
                let Some(identity) = self.program.identity_of(*pod) else { continue };
                *ends.entry(self.connections.ends().of_identity(identity).number()).or_default() += 1;
                nodes.extend(self.cluster.node_of(*pod).map(|node| first_node + number(node.index())));
            }
            nodes.sort_unstable();
            nodes.dedup();
            let kind = match &unit.kind {
                UnitKind::Workload(kind, _) => kind.short(),
                UnitKind::Pod(_) => "pod",
                UnitKind::Namespace => "namespace",
            };
            let ends = ends.into_iter().flat_map(<[u32; 2]>::from).collect();
            units.push(UnitData(number(groups.len() - 1), tables.text(kind), self.unit_name(id), ends, nodes));
        }
        if self.cluster.nodes().len() > 0 {
            groups.push(GroupData(1, "nodes".to_owned()));
        }
        for (node, object) in self.cluster.nodes() {
            let ends = self.connections.ends().of_node(node).flat_map(|end| [end.number(), 1]).collect();
            let kind = tables.text("node");
            units.push(UnitData(number(groups.len() - 1), kind, object.name.to_string(), ends, Vec::new()));
        }
        groups.push(GroupData(2, "outside".to_owned()));
        for (name, ends) in self.outside() {
            let ends = ends.iter().flat_map(|end| [end, 1]).collect();
            units.push(UnitData(number(groups.len() - 1), tables.text("outside"), name, ends, Vec::new()));
        }
        (groups, units)
    }

    /// A group's name within its namespace.
    fn unit_name(&self, id: UnitId) -> String {
        let unit = self.namer.groups.unit(id);
        if unit.kind == UnitKind::Namespace {
            return "all pods".to_owned();
        }
        let members = Members {
            pods: PodMembers::Parts(vec![Part::Unit(id)]),
            nodes: Some(Vec::new()),
            outside: OutsideMembers::None,
        };
        let text = self.namer.line(&members);
        text.strip_prefix(&format!("{}/", unit.namespace)).map_or(text.clone(), str::to_owned)
    }

    /// The outside in the parts that ipBlocks tell apart, by name, of the families that pods have.
    fn outside(&self) -> Vec<(String, EndSet)> {
        let ends = self.connections.ends();
        let mut parts: BTreeMap<(Family, Vec<usize>), EndSet> = BTreeMap::new();
        for (id, end) in ends.members(ends.outside()) {
            let End::Outside { first, .. } = end else { continue };
            let family = if first.is_ipv4() { Family::V4 } else { Family::V6 };
            if !ends.is_present(id, family) || ends.present(family).is_disjoint(ends.pods()) {
                continue;
            }
            let blocks = self.program.blocks().enumerate().filter(|(_, block)| block.contains(*first));
            parts.entry((family, blocks.map(|(index, _)| index).collect())).or_default().insert(id.number());
        }
        let parts = parts.into_iter().map(|((family, _), set)| {
            let name = match self.namer.groups.name(self.connections, &set).outside {
                OutsideMembers::Prefixes(set) => prefixes(&set).join("; "),
                OutsideMembers::All | OutsideMembers::None => {
                    if family == Family::V4 { "0.0.0.0/0" } else { "::/0" }.to_owned()
                }
            };
            (name, set)
        });
        parts.collect()
    }
}
