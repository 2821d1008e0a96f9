//! What the tests share: a small cluster, random ones, and a kernel that several hold.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and fails so"
)]

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use palisade_agent::{
    Change, Key, Kind, Object, Table,
    enforce::{Failure, Found},
};
use palisade_engine::{
    PolicyProgram,
    model::{
        Cluster, Inventory, LabelSelector, Labels, Name, Namespace, NamespaceScope, NetworkPolicy, Node, ObjectRef,
        Peer, Phase, Pod, PodAddresses, PolicyRule, Requirement,
    },
};
use palisade_nftables::{
    difference::Difference,
    fake::FakeKernel,
    plan::{Options, plan},
    ruleset::Ruleset,
};
use palisade_oracle::generate::Generator;

/// Numbers that look random, the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// A kernel that several agents, and a hand that meddles, have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneKernel(pub(crate) Arc<Mutex<FakeKernel>>);

impl OneKernel {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut FakeKernel) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn ruleset(&self) -> Option<Ruleset> {
        self.with(|kernel| kernel.ruleset().cloned())
    }

    pub(crate) fn transactions(&self) -> usize {
        self.with(|kernel| kernel.transactions())
    }
}

impl Table for OneKernel {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        self.with(|kernel| Table::apply(kernel, difference))
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        self.with(|kernel| kernel.found(wanted))
    }
}

pub(crate) fn pod(name: &str, node: &str, last: u8) -> Pod {
    Pod {
        labels: [("app", name)].into_iter().collect(),
        node: Some(node.into()),
        addresses: PodAddresses { v4: Some(Ipv4Addr::new(10, 244, 0, last)), v6: None },
        ..Pod::running(ObjectRef::new("prod", name))
    }
}

pub(crate) fn node(name: &str, last: u8) -> Node {
    let addresses = vec![Ipv4Addr::new(192, 168, 0, last).into()];
    Node { name: name.into(), labels: Labels::default(), addresses, pod_prefixes: Vec::new(), at: None }
}

/// Lets only `from` reach `to`, all pods of `prod` by their label `app`.
pub(crate) fn only(from: &str, to: &str) -> NetworkPolicy {
    let app = |name: &str| [Requirement::equals("app", name)].into_iter().collect::<LabelSelector>();
    let peer = Peer::Pods { namespaces: NamespaceScope::Own, pods: app(from), at: None };
    NetworkPolicy {
        id: ObjectRef::new("prod", format!("{from}-to-{to}")),
        annotations: Labels::default(),
        mode: None,
        subject: app(to),
        policy_types: None,
        ingress: vec![PolicyRule { peers: vec![peer], ports: Vec::new(), at: None }],
        egress: Vec::new(),
        at: None,
    }
}

/// Two nodes, three pods, one policy.
pub(crate) fn small() -> Vec<Change> {
    let namespace = Namespace { name: "prod".into(), labels: Labels::default(), mode: None, at: None };
    vec![
        Change::Set(Object::Pod(pod("web", "n1", 1))),
        Change::Set(Object::Pod(pod("db", "n1", 2))),
        Change::Set(Object::Pod(pod("other", "n2", 3))),
        Change::Set(Object::Policy(only("web", "db"))),
        Change::Set(Object::Namespace(namespace)),
        Change::Set(Object::Node(node("n1", 1))),
        Change::Set(Object::Node(node("n2", 2))),
    ]
}

pub(crate) fn synced() -> impl Iterator<Item = Change> {
    Kind::ALL.into_iter().map(Change::Synced)
}

pub(crate) fn gone(name: &str) -> Change {
    Change::Gone(Key::Pod(ObjectRef::new("prod", name)))
}

/// The objects of a random cluster that an agent watches, ordered by name.
pub(crate) fn inventory(seed: u64) -> Inventory {
    let generator = Generator::new(seed);
    // Every second one with cluster-wide policies.
    let generator = if seed.is_multiple_of(2) { generator } else { generator.with_cluster_policies() };
    // And of those, every second one with audited policies.
    let generator = if seed % 4 < 2 { generator } else { generator.with_modes() };
    let mut inventory = generator.inventory();
    inventory.cluster_policies.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    inventory.resolved.clear();
    inventory.workloads.clear();
    inventory.services.clear();
    inventory.endpoint_slices.clear();
    inventory.namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    inventory.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    inventory.pods.sort_by(|a, b| a.id.cmp(&b.id));
    inventory.policies.sort_by(|a, b| a.id.cmp(&b.id));
    inventory
}

pub(crate) fn objects(inventory: &Inventory) -> Vec<Object> {
    (inventory.namespaces.iter().cloned().map(Object::Namespace))
        .chain(inventory.nodes.iter().cloned().map(Object::Node))
        .chain(inventory.pods.iter().cloned().map(Object::Pod))
        .chain(inventory.policies.iter().cloned().map(Object::Policy))
        .chain(inventory.cluster_policies.iter().cloned().map(Object::ClusterPolicy))
        .collect()
}

/// What may have been told of an object before what holds: other versions, and that it was gone.
pub(crate) fn history(object: &Object, others: &[Object], dice: &mut Dice) -> VecDeque<Change> {
    let mut history = VecDeque::new();
    for _ in 0..dice.below(4) {
        let mut old = object.clone();
        match (&mut old, &others[dice.below(others.len())]) {
            // One field each, so that none is overlooked when it is the only one to change.
            (Object::Pod(old), Object::Pod(other)) => match dice.below(8) {
                0 => old.addresses = other.addresses,
                1 => old.labels = other.labels.clone(),
                2 => old.node = other.node.clone(),
                3 => old.host_network = !old.host_network,
                4 => old.host_addresses = other.addresses,
                5 => old.phase = Phase::Failed,
                6 => old.ports = other.ports.clone(),
                _ => *old = Pod { id: old.id.clone(), ..other.clone() },
            },
            (Object::Node(old), Object::Pod(other)) => old.addresses = other.addresses.iter().collect(),
            (Object::Node(old), Object::Node(other)) => old.addresses = other.addresses.clone(),
            (Object::Namespace(old), Object::Namespace(other)) => match dice.below(2) {
                0 => old.labels = other.labels.clone(),
                _ => old.mode = other.mode,
            },
            (Object::ClusterPolicy(old), Object::ClusterPolicy(other)) => {
                (old.tier, old.priority) = (other.tier, other.priority);
                (old.ingress, old.egress) = (other.egress.clone(), other.ingress.clone());
            }
            (Object::Node(old), Object::Namespace(other)) => old.labels = other.labels.clone(),
            (Object::Policy(old), Object::Policy(other)) => {
                (old.subject, old.ingress) = (other.subject.clone(), other.egress.clone());
                old.mode = other.mode;
            }
            _ => {}
        }
        history.push_back(if dice.below(3) == 0 { Change::Gone(object.key()) } else { Change::Set(old) });
    }
    history.push_back(Change::Set(object.clone()));
    history
}

/// The ruleset of every node.
pub(crate) fn rulesets(cluster: &Cluster) -> Vec<(Name, Ruleset)> {
    let program = PolicyProgram::compile(cluster);
    let ruleset = |id| plan(cluster, &program, id, &Options::default()).ruleset;
    let mut rulesets: Vec<_> = cluster.nodes().map(|(id, node)| (node.name.clone(), ruleset(id))).collect();
    rulesets.sort_by(|(a, _), (b, _)| a.cmp(b));
    rulesets
}

/// The ruleset of some node of a random cluster.
pub(crate) fn ruleset(seed: u64) -> Ruleset {
    let cluster = inventory(seed).into_cluster().unwrap();
    let all = rulesets(&cluster).into_iter().map(|(_, ruleset)| ruleset);
    all.max_by_key(|ruleset| ruleset.chains.len()).unwrap_or_default()
}
