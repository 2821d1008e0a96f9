//! Ends as people name them: workloads, pods, namespaces, nodes, and prefixes of the outside.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use rustc_hash::FxHashMap;

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
    /// By identity: the groups of its pods, and how many there are of each.
    of_identity: Vec<Vec<(UnitId, u32)>>,
    namespaces: BTreeMap<Name, NamespaceUnits>,
    /// Whether these are all pods of the cluster.
    whole: bool,
}

#[derive(Debug, Default)]
struct NamespaceUnits {
    units: Vec<UnitId>,
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
        let pods = program.identities().flat_map(|(_, identity)| identity.pods.iter().copied());
        Self::grouped(cluster, program, by, pods, true)
    }

    /// Groups only these pods: others are not named, and a whole namespace is not told.
    pub fn of_pods(cluster: &Cluster, program: &PolicyProgram, by: By, pods: &[PodId]) -> Self {
        Self::grouped(cluster, program, by, pods.iter().copied(), false)
    }

    fn grouped(
        cluster: &Cluster,
        program: &PolicyProgram,
        by: By,
        pods: impl Iterator<Item = PodId>,
        whole: bool,
    ) -> Self {
        let mut units: BTreeMap<(Name, UnitKind), Vec<PodId>> = BTreeMap::new();
        for pod in pods {
            let object = cluster.pod(pod);
            units.entry((object.id.namespace.clone(), kind(object, by))).or_default().push(pod);
        }
        let units: Vec<Unit> =
            units.into_iter().map(|((namespace, kind), pods)| Unit { namespace, kind, pods }).collect();
        let mut of_identity: Vec<FxHashMap<UnitId, u32>> = vec![FxHashMap::default(); program.identities().len()];
        let mut namespaces: BTreeMap<Name, NamespaceUnits> = BTreeMap::new();
        for (index, unit) in units.iter().enumerate() {
            let id = UnitId(number(index));
            let namespace = namespaces.entry(unit.namespace.clone()).or_default();
            namespace.units.push(id);
            namespace.pods += number(unit.pods.len());
            for pod in &unit.pods {
                let counts = program.identity_of(*pod).and_then(|identity| of_identity.get_mut(identity.0 as usize));
                if let Some(counts) = counts {
                    *counts.entry(id).or_default() += 1;
                }
            }
        }
        let of_identity = of_identity.into_iter().map(|counts| {
            let mut counts: Vec<(UnitId, u32)> = counts.into_iter().collect();
            counts.sort_unstable();
            counts
        });
        Self { of_identity: of_identity.collect(), units, namespaces, whole }
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
            // INVARIANT of Ends: identities come first.
            let Some(units) = self.of_identity.get(end as usize) else { break };
            for (unit, pods) in units {
                *counts.entry(*unit).or_default() += pods;
            }
        }
        counts
    }

    /// Names the members of a set: whole namespaces where they are in it, and the fewer of those that
    /// are in it and those that are not.
    pub fn name(&self, connections: &Connections, set: &EndSet) -> Members {
        let nodes = nodes(connections, set);
        let outside = outside(connections, set);
        let all_others = nodes.is_none() && outside == OutsideMembers::All;
        Members { pods: self.pods(&self.counts(set), all_others), nodes, outside }
    }

    /// `all_others`: whoever is no pod is in the set.
    fn pods(&self, counts: &BTreeMap<UnitId, u32>, all_others: bool) -> PodMembers {
        if counts.is_empty() {
            return PodMembers::None;
        }
        let parts = self.parts(counts);
        if !self.whole || self.units.len() < 2 {
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

    fn parts(&self, counts: &BTreeMap<UnitId, u32>) -> Vec<Part> {
        let mut parts = Vec::new();
        for (name, namespace) in &self.namespaces {
            let found = namespace.units.iter().filter_map(|unit| Some((*unit, counts.get(unit).copied()?)));
            let found: Vec<(UnitId, u32)> = found.collect();
            let pods: u32 = found.iter().map(|(_, pods)| pods).sum();
            if self.whole && namespace.units.len() > 1 && pods == namespace.pods {
                parts.push(Part::Namespace(name.clone()));
                continue;
            }
            parts.extend(found.into_iter().map(|(unit, pods)| {
                if pods as usize == self.unit(unit).pods.len() { Part::Unit(unit) } else { Part::Some(unit, pods) }
            }));
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
    let mut found: Vec<NodeId> = Vec::new();
    let mut all = true;
    for (id, end) in ends.iter() {
        if let End::Node { node, .. } = end {
            if set.contains(id.number()) {
                found.push(*node);
            } else {
                all = false;
            }
        }
    }
    found.dedup();
    (!all || found.is_empty()).then_some(found)
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
