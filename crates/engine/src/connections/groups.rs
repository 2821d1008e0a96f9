//! Ends as people name them: workloads, pods, namespaces, nodes, and prefixes of the outside.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{Connections, End, EndSet, ends::number};
use crate::{
    compile::PolicyProgram,
    model::{Cluster, Family, Name, NodeId, Pod, PodId, WorkloadKind},
    sets::PrefixSet,
};

/// What ends are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// Each pod by itself.
    Pod,
    /// A workload's pods together; a pod without one by itself.
    #[default]
    Workload,
    /// A namespace's pods together.
    Namespace,
}

/// What one group of pods is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitKind {
    /// The pods of a workload.
    Workload(WorkloadKind, Name),
    /// One pod.
    Pod(Name),
    /// The pods of the namespace.
    Namespace,
}

/// One group of pods.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its namespace.
    pub namespace: Name,
    /// What it is.
    pub kind: UnitKind,
    /// Its pods that have a network of their own.
    pub pods: Vec<PodId>,
}

/// A group of one [`Groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(u32);

impl UnitId {
    /// The place in [`Groups::units`], from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The pods of a cluster in groups, in the order of their names.
#[derive(Debug)]
pub struct Groups {
    units: Vec<Unit>,
    /// By the number that a set has for some pods: their groups, and how many there are of each.
    of_number: Vec<Vec<(UnitId, u32)>>,
    namespaces: BTreeMap<Name, NamespaceUnits>,
    /// Whether these are all pods of the cluster.
    whole: bool,
}

#[derive(Debug, Default)]
struct NamespaceUnits {
    units: u32,
    pods: u32,
}

/// A set of ends, named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The pods.
    pub pods: PodMembers,
    /// The nodes; `None` stands for every one of the cluster (where there are any).
    pub nodes: Option<Vec<NodeId>>,
    /// The outside.
    pub outside: OutsideMembers,
}

/// The pods of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PodMembers {
    /// No pod.
    #[default]
    None,
    /// Every pod but these.
    AllBut(Vec<Part>),
    /// These.
    Parts(Vec<Part>),
}

/// Some pods of a set that have one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All pods of a namespace that has several groups.
    Namespace(Name),
    /// All pods of a group.
    Unit(UnitId),
    /// So many of a group's pods; the others are not in the set.
    Some(UnitId, u32),
}

/// The outside addresses of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutsideMembers {
    /// None.
    #[default]
    None,
    /// All, of every family that pods use.
    All,
    /// These.
    Prefixes(PrefixSet),
}

impl Groups {
    /// Groups the pods of `cluster`.
    pub fn new(cluster: &Cluster, program: &PolicyProgram, by: By) -> Self {
        let pods = program.identities().flat_map(|(id, identity)| identity.pods.iter().map(move |pod| (id.0, *pod)));
        Self::grouped(cluster, by, pods, true)
    }

    /// Groups only these pods: others are not named, and a whole namespace is not told.
    pub fn of_pods(cluster: &Cluster, program: &PolicyProgram, by: By, pods: &[PodId]) -> Self {
        let pods = pods.iter().filter_map(|pod| Some((program.identity_of(*pod)?.0, *pod)));
        Self::grouped(cluster, by, pods, false)
    }

    /// Groups all pods of `cluster`, each given with the number by which sets mean it.
    pub fn numbered(cluster: &Cluster, by: By, pods: impl Iterator<Item = (u32, PodId)>) -> Self {
        Self::grouped(cluster, by, pods, true)
    }

    fn grouped(cluster: &Cluster, by: By, pods: impl Iterator<Item = (u32, PodId)>, whole: bool) -> Self {
        let mut members: BTreeMap<(Name, UnitKind), Vec<(u32, PodId)>> = BTreeMap::new();
        for (number, pod) in pods {
            let object = cluster.pod(pod);
            members.entry((object.id.namespace.clone(), kind(object, by))).or_default().push((number, pod));
        }
        let mut units = Vec::with_capacity(members.len());
        let mut of_number: Vec<Vec<(UnitId, u32)>> = Vec::new();
        let mut namespaces: BTreeMap<Name, NamespaceUnits> = BTreeMap::new();
        for (index, ((namespace, kind), mut members)) in members.into_iter().enumerate() {
            let id = UnitId(number(index));
            members.sort_unstable();
            for (number, _) in &members {
                let number = *number as usize;
                of_number.resize_with(of_number.len().max(number + 1), Vec::new);
                let counts = of_number.get_mut(number).into_iter();
                counts.for_each(|counts| match counts.last_mut() {
                    Some((last, count)) if *last == id => *count += 1,
                    _ => counts.push((id, 1)),
                });
            }
            let mut pods: Vec<PodId> = members.into_iter().map(|(_, pod)| pod).collect();
            pods.sort_unstable();
            pods.dedup();
            let own = namespaces.entry(namespace.clone()).or_default();
            own.units += 1;
            own.pods += number(pods.len());
            units.push(Unit { namespace, kind, pods });
        }
        Self { of_number, units, namespaces, whole }
    }

    /// Every group, by namespace and then by kind and name.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// One group.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: a UnitId is the place of a unit")]
    pub fn unit(&self, id: UnitId) -> &Unit {
        &self.units[id.index()]
    }

    /// The groups that have pods in a set, each with how many.
    pub fn counts(&self, set: &EndSet) -> BTreeMap<UnitId, u32> {
        let mut counts = BTreeMap::new();
        for end in set.iter() {
            // Pods come first.
            let Some(units) = self.of_number.get(end as usize) else { break };
            for (unit, pods) in units {
                *counts.entry(*unit).or_default() += pods;
            }
        }
        counts
    }

    /// Names the members of a set: whole namespaces where they are in it, and the fewer of those that
    /// are in it and those that are not.
    pub fn name(&self, connections: &Connections, set: &EndSet) -> Members {
        self.name_numbered(connections, set, set)
    }

    /// The same where the pods are `pods` by other numbers than those of the ends.
    pub fn name_numbered(&self, connections: &Connections, pods: &EndSet, set: &EndSet) -> Members {
        let nodes = nodes(connections, set);
        let outside = outside(connections, set);
        let all_others = nodes.is_none() && outside == OutsideMembers::All;
        Members { pods: self.pods(&self.counts(pods), all_others), nodes, outside }
    }

    /// `all_others`: whoever is no pod is in the set.
    fn pods(&self, counts: &BTreeMap<UnitId, u32>, all_others: bool) -> PodMembers {
        if counts.is_empty() {
            return PodMembers::None;
        }
        let parts = self.parts(counts);
        let (inside, all) = (counts.values().sum::<u32>(), self.namespaces.values().map(|ns| ns.pods).sum::<u32>());
        if !self.whole || self.units.len() < 2 || inside < all / 2 {
            return PodMembers::Parts(parts);
        }
        let mut missing: BTreeMap<UnitId, u32> = BTreeMap::new();
        for (index, unit) in self.units.iter().enumerate() {
            let id = UnitId(number(index));
            let rest = number(unit.pods.len()) - counts.get(&id).copied().unwrap_or_default();
            if rest > 0 {
                missing.insert(id, rest);
            }
        }
        let but = self.parts(&missing);
        let fewer = if all_others { but.len() < parts.len() } else { but.len() * 3 < parts.len() };
        if but.is_empty() || (fewer && but.len() < 4) { PodMembers::AllBut(but) } else { PodMembers::Parts(parts) }
    }

    /// Units are numbered by namespace, so the parts of one are next to each other.
    fn parts(&self, counts: &BTreeMap<UnitId, u32>) -> Vec<Part> {
        let counts: Vec<(UnitId, u32)> = counts.iter().map(|(unit, pods)| (*unit, *pods)).collect();
        let mut parts = Vec::new();
        for found in counts.chunk_by(|(a, _), (b, _)| self.unit(*a).namespace == self.unit(*b).namespace) {
            let name = found.first().map(|(unit, _)| &self.unit(*unit).namespace);
            let whole = name.and_then(|name| Some((name, self.namespaces.get(name)?)));
            let pods: u32 = found.iter().map(|(_, pods)| pods).sum();
            match whole {
                Some((name, namespace)) if self.whole && namespace.units > 1 && namespace.pods == pods => {
                    parts.push(Part::Namespace(name.clone()));
                }
                _ => parts.extend(found.iter().map(|(unit, pods)| {
                    let all = *pods as usize == self.unit(*unit).pods.len();
                    if all { Part::Unit(*unit) } else { Part::Some(*unit, *pods) }
                })),
            }
        }
        parts
    }
}

fn kind(pod: &Pod, by: By) -> UnitKind {
    match (by, &pod.workload) {
        (By::Namespace, _) => UnitKind::Namespace,
        (By::Workload, Some((kind, name))) => UnitKind::Workload(*kind, name.clone()),
        (By::Workload, None) | (By::Pod, _) => UnitKind::Pod(pod.id.name.clone()),
    }
}

fn nodes(connections: &Connections, set: &EndSet) -> Option<Vec<NodeId>> {
    let ends = connections.ends();
    let inside = set & ends.nodes();
    if !inside.is_empty() && inside.len() == ends.nodes().len() {
        return None;
    }
    let mut found: Vec<NodeId> = Vec::new();
    for (_, end) in ends.members(&inside) {
        if let End::Node { node, .. } = end {
            found.push(*node);
        }
    }
    found.dedup();
    Some(found)
}

fn outside(connections: &Connections, set: &EndSet) -> OutsideMembers {
    let ends = connections.ends();
    let outside = set & ends.outside();
    if outside.is_empty() {
        return OutsideMembers::None;
    }
    let used = Family::ALL.into_iter().filter(|family| !ends.present(*family).is_disjoint(ends.pods()));
    let whole = used.fold(EndSet::new(), |all, family| all | ends.present(family)) & ends.outside();
    if whole.is_subset(&outside) {
        return OutsideMembers::All;
    }
    OutsideMembers::Prefixes(prefixes(connections, &outside))
}

/// The addresses of some outside ends.
pub(super) fn prefixes(connections: &Connections, outside: &EndSet) -> PrefixSet {
    let mut nets: Vec<IpNet> = Vec::new();
    for (_, end) in connections.ends().members(outside) {
        let End::Outside { first, last } = end else { continue };
        match (first, last) {
            (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => {
                nets.extend(Ipv4Subnets::new(*a, *b, 0).map(IpNet::V4));
            }
            (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => {
                nets.extend(Ipv6Subnets::new(*a, *b, 0).map(IpNet::V6));
            }
            _ => {}
        }
    }
    nets.into_iter().collect()
}
