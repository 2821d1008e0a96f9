//! What is true today, as assertions to start from.
//!
//! ```text
//! all connections ──► per workload and direction: who, by traffic ──► disjoint parts of the traffic
//!                 ──► ends by name ──► workloads of one namespace that say the same, together
//! ```

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{By, Cell, End, EndSet, Groups, OutsideMembers, Unit, UnitId, UnitKind},
    model::{Cluster, Direction, PodId, PortRange, Protocol},
    sets::{PrefixSet, TrafficSet},
};

use super::{blocks, ports::written};
use crate::endpoint::{Kind, Resolver, Selection};

/// How many names stand in a test's name.
const NAMED: usize = 3;

/// A test to write.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// Whom it is about.
    pub(super) units: Vec<(Direction, UnitNumber)>,
    pub(super) assertions: Vec<DraftAssertion>,
}

/// The place of a workload in [`Groups::units`].
pub(super) type UnitNumber = usize;

/// An assertion to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DraftAssertion {
    /// `only`
    pub(super) key: &'static str,
    pub(super) from: Vec<EndText>,
    pub(super) to: Vec<EndText>,
    /// `ports` or `exceptPorts`, where there are any.
    pub(super) ports: Option<(&'static str, Vec<String>)>,
}

/// An end as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EndText {
    /// A name or a network.
    Name(String),
    /// `cidr` and `except`.
    Block(String, Vec<String>),
}

/// Makes drafts.
pub(super) struct Starter<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
    connections: &'a Connections,
    groups: &'a Groups,
    /// How each workload is written, by its place.
    names: Vec<Vec<String>>,
    /// How many workloads a namespace has.
    in_namespace: BTreeMap<&'a str, usize>,
    /// Of these also what only an address that is not known would tell is told.
    cautious: &'a BTreeSet<(Direction, UnitNumber)>,
}

/// Who is at the other end, and on which ports; `None`: on all.
type Said = Vec<(Vec<EndText>, Option<Vec<String>>)>;

/// Who may send, or be sent, what; by disjoint parts of all traffic.
type Parts = Vec<(TrafficSet, EndSet)>;

/// The tests of a cluster. Of the `cautious` ones also who would come through if an address that is not
/// known should be such as a policy asks for.
pub(super) fn drafts(cluster: &Cluster, cautious: &BTreeSet<(Direction, UnitNumber)>) -> Vec<Draft> {
    let program = PolicyProgram::compile(cluster);
    let connections = Connections::new(cluster, &program);
    let groups = Groups::new(cluster, &program, By::Workload);
    let names = groups.units().iter().map(|unit| unit_names(cluster, unit)).collect();
    let mut in_namespace: BTreeMap<&str, usize> = BTreeMap::new();
    for unit in groups.units() {
        *in_namespace.entry(&unit.namespace).or_default() += 1;
    }
    let (program, connections, groups) = (&program, &connections, &groups);
    let starter = Starter { cluster, program, connections, groups, names, in_namespace, cautious };
    Direction::ALL.into_iter().flat_map(|direction| starter.direction(direction)).collect()
}

impl Starter<'_> {
    /// The tests about one direction: workloads of a namespace that say the same are one.
    fn direction(&self, direction: Direction) -> Vec<Draft> {
        let mut drafts: Vec<(String, Said, Vec<UnitNumber>)> = Vec::new();
        for (number, unit) in self.groups.units().iter().enumerate() {
            if !self.is_isolated(unit, direction) {
                continue;
            }
            let parts = self.parts(number, unit, direction).into_iter().map(|(traffic, ends)| {
                let ports = (traffic != everything()).then(|| written(&traffic));
                (self.texts(&ends), ports)
            });
            let said: Said = parts.collect();
            // Those of one namespace come one after the other.
            let mut own = drafts.iter_mut().rev().take_while(|draft| draft.0 == *unit.namespace);
            match own.find(|draft| draft.1 == said) {
                Some((_, _, units)) => units.push(number),
                None => drafts.push((unit.namespace.to_string(), said, vec![number])),
            }
        }
        drafts.iter().map(|(_, said, units)| self.draft(units, said, direction)).collect()
    }

    fn draft(&self, numbers: &[UnitNumber], said: &Said, direction: Direction) -> Draft {
        let units: Vec<&Unit> = numbers.iter().filter_map(|number| self.groups.units().get(*number)).collect();
        let own: Vec<EndText> =
            numbers.iter().filter_map(|number| self.names.get(*number)).flatten().cloned().map(EndText::Name).collect();
        let ends = |other: Vec<EndText>| match direction {
            Direction::Ingress => (other, own.clone()),
            Direction::Egress => (own.clone(), other),
        };
        let key = match direction {
            Direction::Ingress => "only",
            Direction::Egress => "onlyTo",
        };
        let mut assertions = Vec::new();
        for (others, ports) in said {
            let (from, to) = ends(others.clone());
            let ports = ports.as_ref().map(|ports| ("ports", ports.clone()));
            assertions.push(DraftAssertion { key, from, to, ports });
        }
        if said.iter().all(|(_, ports)| ports.is_some()) {
            let listed: Vec<String> = said.iter().flat_map(|(_, ports)| ports.iter().flatten().cloned()).collect();
            let (from, to) = ends(vec![EndText::Name("anyone".to_owned())]);
            let ports = (!listed.is_empty()).then_some(("exceptPorts", listed));
            assertions.push(DraftAssertion { key: "deny", from, to, ports });
        }
        let who: Vec<String> = units.iter().map(|unit| self.title(unit)).collect();
        let who = crate::screen::shortened(&who, ", ", NAMED);
        let verb = |one: &'static str, several| if units.len() == 1 { one } else { several };
        let name = match (direction, said.is_empty()) {
            (Direction::Ingress, true) => format!("nothing reaches {who}"),
            (Direction::Ingress, false) => format!("what reaches {who}"),
            (Direction::Egress, true) => format!("{who} {} nothing", verb("reaches", "reach")),
            (Direction::Egress, false) => format!("what {who} {}", verb("reaches", "reach")),
        };
        Draft { name, units: numbers.iter().map(|number| (direction, *number)).collect(), assertions }
    }

    fn is_isolated(&self, unit: &Unit, direction: Direction) -> bool {
        let profiles = unit.pods.iter().filter_map(|pod| self.program.identity_of(*pod));
        let mut profiles = profiles.map(|id| self.program.profile(self.program.profile_of(id, direction)));
        profiles.any(|profile| !profile.is_open())
    }

    /// Who reaches a workload, or whom it reaches.
    fn parts(&self, number: UnitNumber, unit: &Unit, direction: Direction) -> Parts {
        let is_cautious = self.cautious.contains(&(direction, number));
        let possible = self.connections.possible().filter(|_| is_cautious);
        let relation = possible.unwrap_or(self.connections.allowed());
        let ends = self.connections.ends();
        let identities = unit.pods.iter().filter_map(|pod| self.program.identity_of(*pod));
        let own: EndSet = identities.map(|identity| ends.of_identity(identity).number()).collect();
        let mut by_traffic: BTreeMap<TrafficSet, EndSet> = BTreeMap::new();
        let mut add = |cell: &Cell, set: &EndSet| {
            let [v4, v6] = [cell.v4, cell.v6].map(|id| id.map(|id| self.connections.traffic(id).clone()));
            let traffic = v4.unwrap_or_default().union(&v6.unwrap_or_default()).intersection(&everything());
            if !traffic.is_empty() {
                *by_traffic.entry(traffic).or_default() |= set;
            }
        };
        match direction {
            Direction::Ingress => {
                for (end, _) in ends.members(&own) {
                    relation.to(end).sources.iter().for_each(|(set, cell)| add(cell, set));
                }
            }
            Direction::Egress => {
                for row in relation.rows() {
                    let sources = row.sources.iter().filter(|(set, _)| !set.is_disjoint(&own));
                    sources.for_each(|(_, cell)| add(cell, &row.destinations));
                }
            }
        }
        // A pod always reaches itself, and no policy says so.
        let itself = if self.is_one_pod(&own) { own } else { EndSet::new() };
        let others = by_traffic.into_iter().map(|(traffic, set)| (traffic, set - &itself));
        disjoint(others.filter(|(_, set)| !set.is_empty()))
    }

    fn is_one_pod(&self, set: &EndSet) -> bool {
        let pods = self.connections.ends().members(set).map(|(_, end)| match end {
            End::Pods(identity) => self.program.identity(*identity).pods.len(),
            End::Node { .. } | End::Outside { .. } => 0,
        });
        pods.sum::<usize>() == 1
    }

    /// Ends by names that last: workloads, namespaces, networks. Rather more than less.
    fn texts(&self, set: &EndSet) -> Vec<EndText> {
        let outside = self.groups.name(self.connections, set).outside;
        let networks = match &outside {
            OutsideMembers::Prefixes(networks) => networks.clone(),
            OutsideMembers::None | OutsideMembers::All => PrefixSet::empty(),
        };
        let mut texts: BTreeSet<EndText> = BTreeSet::new();
        let counts = self.groups.counts(set);
        let mut namespaces: BTreeMap<&str, Vec<UnitId>> = BTreeMap::new();
        for id in counts.into_keys() {
            namespaces.entry(&self.groups.unit(id).namespace).or_default().push(id);
        }
        for (namespace, units) in namespaces {
            let all = self.in_namespace.get(namespace).copied().unwrap_or_default();
            if all > 1 && all == units.len() {
                texts.insert(EndText::Name(format!("ns/{namespace}")));
                continue;
            }
            // Whoever has an address in a network is meant by that.
            let is_within = |pod: &PodId| self.cluster.pod(*pod).addresses.iter().any(|a| networks.contains(a));
            let other = units.into_iter().filter(|id| !self.groups.unit(*id).pods.iter().all(is_within));
            let names = other.filter_map(|id| self.names.get(id.index())).flatten();
            texts.extend(names.cloned().map(EndText::Name));
        }
        for (_, end) in self.connections.ends().members(set) {
            if let End::Node { node, .. } = end {
                let node = self.cluster.node(*node);
                if !node.addresses.iter().any(|address| networks.contains(*address)) {
                    texts.insert(EndText::Name(format!("node/{}", node.name)));
                }
            }
        }
        let mut texts: Vec<EndText> = texts.into_iter().collect();
        if outside == OutsideMembers::All {
            texts.push(EndText::Name("outside".to_owned()));
        }
        texts.extend(blocks::of(&networks).into_iter().map(|block| match block.except.as_slice() {
            [] => EndText::Name(block.cidr.to_string()),
            except => EndText::Block(block.cidr.to_string(), except.iter().map(ToString::to_string).collect()),
        }));
        texts
    }

    fn title(&self, unit: &Unit) -> String {
        match &unit.kind {
            UnitKind::Workload(_, name) | UnitKind::Pod(name) => format!("{}/{name}", unit.namespace),
            UnitKind::Namespace => unit.namespace.to_string(),
        }
    }
}

/// A workload by one name, when that means its pods and nobody else; else each of its pods.
fn unit_names(cluster: &Cluster, unit: &Unit) -> Vec<String> {
    if let UnitKind::Workload(kind, name) = &unit.kind {
        let text = format!("{}/{kind}/{name}", unit.namespace);
        let found = Selection::parse(&Resolver { cluster, namespace: "" }, &text);
        if found.is_ok_and(|found| found.pods == unit.pods && found.nodes.is_empty()) {
            return vec![text];
        }
    }
    unit.pods.iter().map(|pod| pod_name(cluster, *pod)).collect()
}

/// A name in two parts, unless that could be read in another way.
fn pod_name(cluster: &Cluster, pod: PodId) -> String {
    let id = &cluster.pod(pod).id;
    let is_kind = Kind::parse(&id.namespace).is_some();
    if is_kind || matches!(id.namespace.as_str(), "ns" | "namespace" | "namespaces") {
        format!("{}/pod/{}", id.namespace, id.name)
    } else {
        id.to_string()
    }
}

/// All traffic that there can be: no packet has port 0.
fn everything() -> TrafficSet {
    let zero = Protocol::ALL.into_iter().map(|protocol| (protocol, PortRange::single(0))).collect();
    TrafficSet::all().difference(&zero)
}

/// The same with every kind of traffic in one part only, whose ends are all that have it.
fn disjoint(grants: impl Iterator<Item = (TrafficSet, EndSet)>) -> Parts {
    let mut parts: Parts = Vec::new();
    for (mut traffic, ends) in grants {
        let mut split: Parts = Vec::new();
        for (has, set) in &mut parts {
            let both = has.intersection(&traffic);
            if both.is_empty() {
                continue;
            }
            traffic = traffic.difference(&both);
            let rest = has.difference(&both);
            if rest.is_empty() {
                *set |= &ends;
            } else {
                *has = rest;
                split.push((both, &*set | &ends));
            }
        }
        parts.append(&mut split);
        if !traffic.is_empty() {
            parts.push((traffic, ends));
        }
    }
    // Of equal ends one part.
    let mut merged: Parts = Vec::new();
    for (traffic, ends) in parts {
        match merged.iter_mut().find(|(_, other)| *other == ends) {
            Some((known, _)) => *known = known.union(&traffic),
            None => merged.push((traffic, ends)),
        }
    }
    merged.sort_by_cached_key(|(traffic, _)| written(traffic));
    merged
}
