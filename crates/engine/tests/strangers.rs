//! What the rules say of a pod and an address that none of them asks for is what becomes of one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::indexing_slicing,
    reason = "test code: a wrong fixture shall fail"
)]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use palisade_engine::{
    PolicyProgram,
    model::{
        Cluster, ClusterPeer, Direction, Endpoint, Family, Flow, LabelSelector, NamespaceScope, Operator, Peer, Pod,
        Traffic,
    },
    strangers::Whom,
};
use palisade_oracle::generate::Generator;
use support::{With as _, pod};

const POD: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 2);

/// A pod that is unlike all others, in a namespace that has nothing but its name.
fn stranger(node: &str) -> Pod {
    pod("of-strangers/stranger", "").on(node).ip(&POD.to_string())
}

/// Whether a selector asks for nothing, or for what the stranger does not have.
fn asks(selector: &LabelSelector) -> bool {
    let asks = |operator: &Operator| matches!(operator, Operator::In(_) | Operator::Exists);
    let own = |key: &str| key == "kubernetes.io/metadata.name";
    selector.requirements.iter().all(|one| asks(&one.operator) && !(own(&one.key) && one.operator == Operator::Exists))
}

/// Whether no rule is about the stranger or the address outside in particular.
fn suits(cluster: &Cluster, program: &PolicyProgram) -> bool {
    let of_policies = cluster.policies().all(|(_, policy)| {
        let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction));
        rules.flat_map(|rule| &rule.peers).all(|peer| match peer {
            Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => asks(namespaces) && asks(pods),
            Peer::Pods { .. } | Peer::IpBlock(_) => true,
        })
    });
    let of_wide = cluster.cluster_policies().all(|(_, policy)| {
        let rules = Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction));
        rules.flat_map(|rule| rule.peers()).all(|peer| match peer {
            ClusterPeer::Namespaces { namespaces, .. } => asks(namespaces),
            ClusterPeer::Pods { namespaces, pods, .. } => asks(namespaces) && asks(pods),
            ClusterPeer::Nodes { .. } | ClusterPeer::Networks { .. } => true,
            ClusterPeer::DomainNames { .. } => false,
        })
    });
    let holds = |address: Ipv4Addr| {
        program.blocks().any(|block| block.contains(address.into()) && !block.is_all_in(Family::V4))
    };
    of_policies && of_wide && !holds(POD) && !holds(OUTSIDE)
}

#[test]
fn what_rules_say_of_strangers_is_what_becomes_of_them() {
    let (mut suited, mut open, mut closed) = (0, 0, 0);
    for seed in 0..6_000 {
        let generator = Generator::new(seed).with_cluster_policies();
        let mut inventory = generator.inventory();
        let Some(node) = inventory.nodes.first().map(|node| node.name.clone()) else { continue };
        inventory.pods.push(stranger(&node));
        let Ok(cluster) = inventory.into_cluster() else { continue };
        let program = PolicyProgram::compile(&cluster);
        let known = [POD, OUTSIDE].map(|address| cluster.endpoint_of(address.into()));
        if !matches!(known, [Endpoint::Pod(_), Endpoint::Outside]) || !suits(&cluster, &program) {
            continue;
        }
        suited += 1;
        for (id, identity) in program.identities().filter(|(_, identity)| &*identity.namespace != "of-strangers") {
            let Some(pod) = identity.pods.first() else { continue };
            let Some(address) = cluster.pod(*pod).addresses.v4 else { continue };
            for (whom, from) in [(Whom::Pod, POD), (Whom::Outside, OUTSIDE)] {
                let profile = program.profile_of(id, Direction::Ingress);
                let rules = program.concerning(profile, &[Family::V4], whom);
                let stance = program.stance(&rules, Some(id));
                let side = |address: Ipv4Addr| cluster.side_of_address(IpAddr::from(address));
                let flow = Flow::new(side(from), side(address), Traffic::Portless).unwrap();
                let found = program.half_traffic(&flow, Direction::Ingress);
                assert_eq!(found.allowed, stance.allowed, "seed {seed}: {from} to {}", cluster.pod(*pod).id);
                if stance.allowed.is_all() {
                    open += 1;
                } else {
                    closed += 1;
                }
            }
        }
    }
    assert!(suited > 100 && open > 500 && closed > 500, "{suited} clusters, {open} open, {closed} closed");
}
