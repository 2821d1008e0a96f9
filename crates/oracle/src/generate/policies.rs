//! NetworkPolicies: their subjects, types, rules and peers.

use palisade_engine::model::{
    LabelSelector, Name, NamespaceScope, NetworkPolicy, ObjectRef, Peer, Pod, PolicyRule, PolicyTypes,
};

use super::{
    blocks::ip_block,
    cluster::World,
    labels::{namespace_selector, pod_selector},
    ports::rule_ports,
    random::Rng,
};

/// The policy number `index`, in a namespace that has pods if there is any.
pub(crate) fn policy(rng: &mut Rng, world: &World, index: usize) -> Option<NetworkPolicy> {
    let model = rng.pick(&world.pods).filter(|_| rng.below(20) > 0);
    let namespace = match model {
        Some(pod) => pod.id.namespace.clone(),
        None => rng.pick(&world.namespaces)?.name.clone(),
    };
    // 2.7: everything of the namespace, or what some pod of it looks like.
    let subject =
        if rng.chance(27) { LabelSelector::everything() } else { pod_selector(rng, model.map(|pod| &pod.labels)) };
    let policy_types = rng.weighted([
        (38, None),
        (19, Some(PolicyTypes { ingress: true, egress: false })),
        (17, Some(PolicyTypes { ingress: false, egress: true })),
        (26, Some(PolicyTypes { ingress: true, egress: true })),
    ]);
    let ingress = match policy_types {
        None | Some(PolicyTypes { ingress: true, .. }) => rng.weighted([(20, 0), (47, 1), (24, 2), (9, 3)]),
        // 2.6: rules of a type that is not listed.
        Some(_) => rng.weighted([(80, 0), (20, 1)]),
    };
    let egress = match policy_types {
        // 2.5: the rules decide whether there is egress at all.
        None => rng.weighted([(62, 0), (28, 1), (10, 2)]),
        Some(PolicyTypes { egress: true, .. }) => rng.weighted([(20, 0), (47, 1), (24, 2), (9, 3)]),
        Some(_) => rng.weighted([(80, 0), (20, 1)]),
    };
    let rules = |rng: &mut Rng, count: usize| (0..count).map(|_| rule(rng, world, &namespace)).collect();
    Some(NetworkPolicy {
        id: ObjectRef::new(namespace.clone(), format!("policy-{index}")),
        annotations: palisade_engine::model::Labels::default(),
        mode: None,
        subject,
        policy_types,
        ingress: rules(rng, ingress),
        egress: rules(rng, egress),
        at: None,
    })
}

fn rule(rng: &mut Rng, world: &World, namespace: &Name) -> PolicyRule {
    let count = rng.weighted([(13, 0), (53, 1), (25, 2), (9, 3)]);
    let peers = (0..count).map(|_| peer(rng, world, namespace)).collect();
    PolicyRule { peers, ports: rule_ports(rng), at: None }
}

fn peer(rng: &mut Rng, world: &World, namespace: &Name) -> Peer {
    if rng.chance(36) {
        return Peer::IpBlock(ip_block(rng, world));
    }
    let own = rng.chance(35);
    // Somebody whom the peer shall be like: of the own namespace when only those can match.
    let candidates: Vec<&Pod> = world.pods.iter().filter(|pod| !own || pod.id.namespace == *namespace).collect();
    let model = rng.pick(&candidates).copied();
    if own {
        let pods = pod_selector(rng, model.map(|pod| &pod.labels));
        return Peer::Pods { namespaces: NamespaceScope::Own, pods, at: None };
    }
    let like = model.and_then(|pod| world.namespace_labels(&pod.id.namespace));
    let namespaces = NamespaceScope::Matching(namespace_selector(rng, &world.namespace_names(), like));
    // `namespaceSelector` alone, or both.
    let pods =
        if rng.chance(42) { LabelSelector::everything() } else { pod_selector(rng, model.map(|pod| &pod.labels)) };
    Peer::Pods { namespaces, pods, at: None }
}
