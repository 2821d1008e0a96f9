//! Cluster-wide policies: their tiers, priorities, subjects, rules and peers.

use ipnet::IpNet;
use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject,
    ClusterTier, Direction, LabelSelector, Labels, Name, Pod, PortMatch, PortRange,
};

use super::{
    blocks::ip_block,
    cluster::World,
    domain_names::names,
    labels::{NODE_KEYS, namespace_selector, node_selector, pod_selector},
    ports::{rule_port, rule_ports},
    random::Rng,
};

/// Labels for the nodes of a cluster, which its policies may ask for.
pub(crate) fn node_labels(rng: &mut Rng) -> Labels {
    super::labels::labels(rng, &NODE_KEYS)
}

/// The policies of a cluster, at most one of them a BaselineAdminNetworkPolicy.
pub(crate) fn policies(rng: &mut Rng, world: &World) -> Vec<ClusterPolicy> {
    let count = rng.weighted([(5, 0), (20, 1), (30, 2), (25, 3), (20, 5)]);
    let mut policies: Vec<ClusterPolicy> = (0..count).map(|index| policy(rng, world, index)).collect();
    let mut seen = false;
    policies.retain(|policy| {
        let another = policy.kind == ClusterPolicyKind::BaselineAdmin && std::mem::replace(&mut seen, true);
        !another || policy.kind != ClusterPolicyKind::BaselineAdmin
    });
    policies
}

fn policy(rng: &mut Rng, world: &World, index: usize) -> ClusterPolicy {
    let kind = rng.weighted([
        (70, ClusterPolicyKind::Cluster),
        (18, ClusterPolicyKind::Admin),
        (12, ClusterPolicyKind::BaselineAdmin),
    ]);
    let tier = match kind {
        ClusterPolicyKind::Cluster => rng.weighted([(60, ClusterTier::Admin), (40, ClusterTier::Baseline)]),
        ClusterPolicyKind::Admin => ClusterTier::Admin,
        ClusterPolicyKind::BaselineAdmin => ClusterTier::Baseline,
    };
    // Few priorities: 5.5 happens.
    let priority = (kind != ClusterPolicyKind::BaselineAdmin).then(|| rng.one_of([0, 10, 10, 50, 1000]));
    let name = match kind {
        ClusterPolicyKind::BaselineAdmin => Name::from("default"),
        // So that the order of names is not that in which they are read.
        _ => Name::from(format!("wide-{}", (index * 7 + 3) % 10)),
    };
    let rules = |rng: &mut Rng, direction: Direction| -> Vec<ClusterRule> {
        let count = rng.weighted([(30, 0), (30, 1), (25, 2), (15, 4)]);
        (0..count).map(|_| rule(rng, world, direction, kind)).collect()
    };
    let subject = subject(rng, world);
    let (ingress, egress) = (rules(rng, Direction::Ingress), rules(rng, Direction::Egress));
    ClusterPolicy {
        kind,
        name,
        annotations: Labels::default(),
        mode: None,
        tier,
        priority,
        subject,
        ingress,
        egress,
        at: None,
    }
}

fn subject(rng: &mut Rng, world: &World) -> ClusterSubject {
    let model = rng.pick(&world.pods);
    let namespaces = namespaces(rng, world, model);
    match rng.below(100) {
        0..=49 => ClusterSubject::Namespaces(namespaces),
        50..=96 => ClusterSubject::Pods { namespaces, pods: pod_selector(rng, model.map(|pod| &pod.labels)) },
        // 7.8
        _ => ClusterSubject::NotUnderstood,
    }
}

fn namespaces(rng: &mut Rng, world: &World, like: Option<&Pod>) -> LabelSelector {
    let like = like.and_then(|pod| world.namespace_labels(&pod.id.namespace));
    namespace_selector(rng, &world.namespace_names(), like)
}

fn rule(rng: &mut Rng, world: &World, direction: Direction, kind: ClusterPolicyKind) -> ClusterRule {
    let action = match kind {
        ClusterPolicyKind::BaselineAdmin => rng.one_of([Action::Accept, Action::Deny]),
        _ => rng.weighted([(38, Action::Accept), (38, Action::Deny), (24, Action::Pass)]),
    };
    // 5.7
    if rng.chance(3) {
        return ClusterRule { name: None, action, matches: ClusterMatch::NotUnderstood, at: None };
    }
    let count = rng.weighted([(65, 1), (25, 2), (10, 3)]);
    let with_names = direction == Direction::Egress && action == Action::Accept && kind == ClusterPolicyKind::Cluster;
    let peers = (0..count).map(|_| peer(rng, world, direction, with_names)).collect();
    let ports = (!rng.chance(45)).then(|| ports(rng)).filter(|ports| !ports.is_empty());
    let name = rng.chance(40).then(|| Name::from("a rule"));
    ClusterRule { name, action, matches: ClusterMatch::Of { peers, ports }, at: None }
}

fn peer(rng: &mut Rng, world: &World, direction: Direction, with_names: bool) -> ClusterPeer {
    let model = rng.pick(&world.pods);
    let kind = rng.below(if direction == Direction::Ingress { 60 } else { 100 });
    match kind {
        0..=24 => ClusterPeer::Namespaces { namespaces: namespaces(rng, world, model), at: None },
        25..=59 => {
            let namespaces = namespaces(rng, world, model);
            ClusterPeer::Pods { namespaces, pods: pod_selector(rng, model.map(|pod| &pod.labels)), at: None }
        }
        60..=74 => {
            let like = rng.pick(&world.nodes).map(|node| &node.labels);
            ClusterPeer::Nodes { nodes: node_selector(rng, like), at: None }
        }
        75..=92 if !with_names || kind < 86 => networks(rng, world),
        _ if with_names => ClusterPeer::DomainNames { names: names(rng), at: None },
        _ => networks(rng, world),
    }
}

fn networks(rng: &mut Rng, world: &World) -> ClusterPeer {
    let mut networks: Vec<IpNet> = Vec::new();
    for _ in 0..rng.weighted([(60, 1), (30, 2), (10, 3)]) {
        let network = ip_block(rng, world).cidr;
        // Two halves of everything are everything, which the oracle does not see of an unknown address.
        let halves = network.prefix_len() == 1 && networks.iter().any(|other| other.prefix_len() == 1);
        if !networks.contains(&network) && !halves {
            networks.push(network);
        }
    }
    ClusterPeer::Networks { networks, at: None, networks_at: Vec::new() }
}

/// As the ports of NetworkPolicies; a name without a protocol.
fn ports(rng: &mut Rng) -> Vec<ClusterPort> {
    let mut items = rule_ports(rng);
    if items.is_empty() {
        items.push(rule_port(rng));
    }
    let of = |port: palisade_engine::model::PolicyPort| match port.port {
        PortMatch::All => ClusterPort::Numbers { protocol: port.protocol, ports: PortRange::ALL, at: None },
        PortMatch::Range(ports) => ClusterPort::Numbers { protocol: port.protocol, ports, at: None },
        PortMatch::Named(name) => ClusterPort::Named { name, at: None },
    };
    items.into_iter().map(of).collect()
}
