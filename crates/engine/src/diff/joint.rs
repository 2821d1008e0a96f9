//! Who is who in two states of a cluster.

use rustc_hash::{FxHashMap, FxHashSet};

use super::State;
use crate::{
    compile::IdentityId,
    connections::{Connections, End, EndId, EndSet},
    model::{Cluster, Family, Name, ObjectRef, Pod, PodId, WorkloadKind},
};

/// An end in both states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JointEnd {
    /// In the old state; `None` for one that is new.
    pub old: Option<EndId>,
    /// In the new state; `None` for one that is gone.
    pub new: Option<EndId>,
}

/// The ends of two states, by number: pods first.
#[derive(Debug)]
pub struct JointEnds {
    list: Vec<JointEnd>,
    old_pods: Vec<(u32, PodId)>,
    new_pods: Vec<(u32, PodId)>,
    /// By end: those with whom no policy applies.
    exempt: FxHashMap<u32, EndSet>,
    pub(super) old: SideEnds,
    pub(super) new: SideEnds,
}

/// One state's part in the joint ends.
#[derive(Debug)]
pub(super) struct SideEnds {
    of_joint: Vec<Option<EndId>>,
    /// By end: the joint ends that it is part of.
    joints: Vec<Vec<u32>>,
    present: [EndSet; 2],
    here: EndSet,
}

type WorkloadKey<'a> = (&'a Name, WorkloadKind, &'a Name);

impl JointEnds {
    pub(super) fn new(old: (State<'_>, &Connections), new: (State<'_>, &Connections)) -> Self {
        let (pairs, old_pods, new_pods) = pods(old.0, new.0);
        let end = |connections: &Connections, id: Option<IdentityId>| id.map(|id| connections.ends().of_identity(id));
        let pairs = pairs.into_iter().map(|(a, b)| JointEnd { old: end(old.1, a), new: end(new.1, b) });
        let mut list: Vec<JointEnd> = pairs.collect();
        list.extend(nodes(old, new));
        list.extend(outside(old.1, new.1));
        let side = |connections: &Connections, end: fn(&JointEnd) -> Option<EndId>| {
            SideEnds::new(connections, list.iter().map(end).collect())
        };
        let exempt = exempt(&list, (old, &old_pods), (new, &new_pods));
        let (old, new) = (side(old.1, |end| end.old), side(new.1, |end| end.new));
        Self { list, old_pods, new_pods, exempt, old, new }
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none. There always is: the outside.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The members of a set.
    pub fn members<'a>(&'a self, set: &'a EndSet) -> impl Iterator<Item = JointEnd> + 'a {
        set.iter().filter_map(|index| self.list.get(index as usize).copied())
    }

    /// The pods of the old state, each by the number of a joint end that it is part of.
    pub fn old_pods(&self) -> impl Iterator<Item = (u32, PodId)> + '_ {
        self.old_pods.iter().copied()
    }

    /// Likewise of the new state.
    pub fn new_pods(&self) -> impl Iterator<Item = (u32, PodId)> + '_ {
        self.new_pods.iter().copied()
    }

    /// A set as ends of the old state, without those that are new.
    pub fn in_old(&self, set: &EndSet) -> EndSet {
        self.members(set).filter_map(|end| end.old).map(EndId::number).collect()
    }

    /// A set as ends of the new state, without those that are gone.
    pub fn in_new(&self, set: &EndSet) -> EndSet {
        self.members(set).filter_map(|end| end.new).map(EndId::number).collect()
    }

    /// Those between whom and `end` no policy applies in either state: a pod that is alone is itself,
    /// and pods that all run on one node always reach it and are reached by it.
    pub fn exempt(&self, end: u32) -> Option<&EndSet> {
        self.exempt.get(&end)
    }

    /// Those that are in both states, or have a family in the one that they are in.
    pub(super) fn comparable(&self, family: Family) -> EndSet {
        let (Some(old), Some(new)) = (self.old.present.get(family as usize), self.new.present.get(family as usize))
        else {
            return EndSet::new();
        };
        (old & new) | (old - &self.new.here) | (new - &self.old.here)
    }
}

impl SideEnds {
    fn new(connections: &Connections, of_joint: Vec<Option<EndId>>) -> Self {
        let ends = connections.ends();
        let mut joints = vec![Vec::new(); ends.len()];
        let (mut here, mut present) = (EndSet::new(), [EndSet::new(), EndSet::new()]);
        for (joint, end) in (0u32..).zip(&of_joint) {
            let Some(end) = end else { continue };
            here.insert(joint);
            for (family, set) in Family::ALL.into_iter().zip(&mut present) {
                if ends.is_present(*end, family) {
                    set.insert(joint);
                }
            }
            if let Some(list) = joints.get_mut(end.number() as usize) {
                list.push(joint);
            }
        }
        Self { of_joint, joints, present, here }
    }

    pub(super) fn end(&self, joint: u32) -> Option<EndId> {
        self.of_joint.get(joint as usize).copied().flatten()
    }

    /// A set of this state's ends as joint ends.
    pub(super) fn translate(&self, set: &EndSet) -> EndSet {
        set.iter().filter_map(|end| self.joints.get(end as usize)).flatten().copied().collect()
    }
}

/// What a pod is in the two states.
type Pair = (Option<IdentityId>, Option<IdentityId>);

/// Pods by the number of the pair that they are of.
type Numbered = Vec<(u32, PodId)>;

/// Every pair of identities that some pod has in the two states, and the pods of each state.
fn pods(old: State<'_>, new: State<'_>) -> (Vec<Pair>, Numbered, Numbered) {
    let (old, new) = (Pods::new(old), Pods::new(new));
    let mut old_pairs: Vec<(Pair, PodId)> = Vec::new();
    let mut new_pairs: Vec<(Pair, PodId)> = Vec::new();
    for (name, (pod, id, identity)) in &old.by_name {
        let others = match new.by_name.get(name) {
            Some((_, _, other)) => vec![Some(*other)],
            None => new.of_workload(pod),
        };
        old_pairs.extend(others.into_iter().map(|other| ((Some(*identity), other), *id)));
    }
    for (name, (pod, id, identity)) in &new.by_name {
        let others = match old.by_name.get(name) {
            Some((_, _, other)) => vec![Some(*other)],
            None => old.of_workload(pod),
        };
        new_pairs.extend(others.into_iter().map(|other| ((other, Some(*identity)), *id)));
    }
    let mut list: Vec<Pair> = old_pairs.iter().chain(&new_pairs).map(|(pair, _)| *pair).collect();
    list.sort_unstable();
    list.dedup();
    let numbers: FxHashMap<Pair, u32> = list.iter().copied().zip(0u32..).collect();
    let numbered = |pairs: Vec<(Pair, PodId)>| -> Numbered {
        pairs.into_iter().filter_map(|(pair, pod)| Some((*numbers.get(&pair)?, pod))).collect()
    };
    let (old_pods, new_pods) = (numbered(old_pairs), numbered(new_pairs));
    (list, old_pods, new_pods)
}

/// The pods of one state that have an identity.
struct Pods<'a> {
    by_name: FxHashMap<&'a ObjectRef, (&'a Pod, PodId, IdentityId)>,
    by_workload: FxHashMap<WorkloadKey<'a>, FxHashSet<IdentityId>>,
}

impl<'a> Pods<'a> {
    fn new(state: State<'a>) -> Self {
        let mut pods = Self { by_name: FxHashMap::default(), by_workload: FxHashMap::default() };
        for (id, pod) in state.cluster.pods() {
            let Some(identity) = state.program.identity_of(id) else { continue };
            pods.by_name.insert(&pod.id, (pod, id, identity));
            if let Some(key) = workload(pod) {
                pods.by_workload.entry(key).or_default().insert(identity);
            }
        }
        pods
    }

    /// The identities of a pod's workload; one `None` when there is no such workload.
    fn of_workload(&self, pod: &Pod) -> Vec<Option<IdentityId>> {
        match workload(pod).and_then(|key| self.by_workload.get(&key)) {
            Some(identities) => identities.iter().copied().map(Some).collect(),
            None => vec![None],
        }
    }
}

fn workload(pod: &Pod) -> Option<WorkloadKey<'_>> {
    pod.workload.as_ref().map(|(kind, name)| (&pod.id.namespace, *kind, name))
}

/// Which pairs of ends no policy is about, whatever pods of them are meant.
fn exempt(
    list: &[JointEnd],
    old: ((State<'_>, &Connections), &Numbered),
    new: ((State<'_>, &Connections), &Numbered),
) -> FxHashMap<u32, EndSet> {
    let mut nodes: FxHashMap<&Name, Vec<u32>> = FxHashMap::default();
    for (number, end) in (0u32..).zip(list) {
        let side = end.old.map(|end| (old.0, end)).or(end.new.map(|end| (new.0, end)));
        if let Some(((state, connections), end)) = side
            && let End::Node { node, .. } = connections.ends().get(end)
        {
            nodes.entry(&state.cluster.node(*node).name).or_default().push(number);
        }
    }
    // By end: its pods, and the nodes that they run on.
    let mut pods: FxHashMap<u32, (FxHashSet<&ObjectRef>, FxHashSet<Option<&Name>>)> = FxHashMap::default();
    for ((state, _), numbered) in [(old.0, old.1), (new.0, new.1)] {
        for (number, pod) in numbered {
            let object = state.cluster.pod(*pod);
            let entry = pods.entry(*number).or_default();
            entry.0.insert(&object.id);
            entry.1.insert(state.cluster.node_of(*pod).map(|node| &state.cluster.node(node).name));
        }
    }
    let mut exempt: FxHashMap<u32, EndSet> = FxHashMap::default();
    for (number, (names, on)) in pods {
        if names.len() == 1 {
            exempt.entry(number).or_default().insert(number);
        }
        let mut on = on.into_iter();
        if let (Some(Some(node)), None) = (on.next(), on.next()) {
            for node in nodes.get(node).into_iter().flatten() {
                exempt.entry(number).or_default().insert(*node);
                exempt.entry(*node).or_default().insert(number);
            }
        }
    }
    exempt
}

/// The ends of each node by name; the first with the first, and so on.
fn nodes(old: (State<'_>, &Connections), new: (State<'_>, &Connections)) -> Vec<JointEnd> {
    let (old, new) = (node_ends(old.0.cluster, old.1), node_ends(new.0.cluster, new.1));
    let mut names: Vec<&Name> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let mut list = Vec::new();
    for name in names {
        let ends = |of: &FxHashMap<&Name, Vec<EndId>>| of.get(name).cloned().unwrap_or_default();
        let (old, new) = (ends(&old), ends(&new));
        let pairs = (0..old.len().max(new.len())).map(|index| (old.get(index).copied(), new.get(index).copied()));
        list.extend(pairs.map(|(old, new)| JointEnd { old, new }));
    }
    list
}

fn node_ends<'a>(cluster: &'a Cluster, connections: &Connections) -> FxHashMap<&'a Name, Vec<EndId>> {
    let mut ends: FxHashMap<&Name, Vec<EndId>> = FxHashMap::default();
    for (id, end) in connections.ends().iter() {
        if let End::Node { node, .. } = end {
            ends.entry(&cluster.node(*node).name).or_default().push(id);
        }
    }
    ends
}

/// Both were cut at the same addresses: the first outside end of one is the first of the other.
fn outside(old: &Connections, new: &Connections) -> Vec<JointEnd> {
    let ends = |connections: &Connections| {
        let list = connections.ends().members(connections.ends().outside()).map(|(id, _)| id);
        list.collect::<Vec<EndId>>()
    };
    ends(old).into_iter().zip(ends(new)).map(|(old, new)| JointEnd { old: Some(old), new: Some(new) }).collect()
}
