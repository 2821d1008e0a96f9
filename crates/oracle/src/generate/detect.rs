//! Which of the [`Feature`]s a scenario has.

use std::{collections::BTreeSet, net::IpAddr};

use palisade_engine::model::{
    Cluster, ContainerPort, Direction, Endpoint, Family, Flow, IpBlock, LabelSelector, NamespaceScope, NetworkPolicy,
    Operator, Peer, Pod, PolicyRule, PolicyTypes, PortMatch, Protocol, Side, Traffic,
};

use super::{Feature, Scenario, edges::edges, labels::METADATA_NAME};
use crate::{
    peers::contains,
    selectors::{has_own_network, is_subject},
};

/// The features that a scenario has.
pub fn features(scenario: &Scenario) -> BTreeSet<Feature> {
    let mut found = BTreeSet::new();
    let cluster = &scenario.cluster;
    for (_, policy) in cluster.policies() {
        of_policy(policy, &mut found);
    }
    of_selection(cluster, &mut found);
    of_names(cluster, &mut found);
    of_blocks(cluster, &mut found);
    of_pods(cluster, &mut found);
    for flow in &scenario.flows {
        of_flow(cluster, flow, &mut found);
    }
    found
}

type Found = BTreeSet<Feature>;

fn add(found: &mut Found, feature: Feature, holds: bool) {
    if holds {
        found.insert(feature);
    }
}

fn of_policy(policy: &NetworkPolicy, found: &mut Found) {
    of_selector(&policy.subject, found);
    add(found, Feature::EmptySubject, policy.subject.is_everything());
    found.insert(match policy.policy_types {
        None if policy.egress.is_empty() => Feature::TypesMissing,
        None => Feature::TypesMissingWithEgress,
        Some(PolicyTypes { ingress: true, egress: true }) => Feature::TypesBoth,
        Some(PolicyTypes { egress: true, .. }) => Feature::TypesEgress,
        Some(PolicyTypes { .. }) => Feature::TypesIngress,
    });
    for direction in Direction::ALL {
        let rules = policy.rules(direction);
        add(found, Feature::SeveralRules, rules.len() > 1);
        if let Some(types) = policy.policy_types {
            let listed = if direction == Direction::Ingress { types.ingress } else { types.egress };
            add(found, Feature::TypeWithoutRules, listed && rules.is_empty());
            add(found, Feature::RulesOfTypeNotListed, !listed && !rules.is_empty());
        }
        of_ranges(rules, found);
        for rule in rules {
            add(found, Feature::AnyPeer, rule.peers.is_empty());
            add(found, Feature::AnyPort, rule.ports.is_empty());
            add(found, Feature::AnyPeerAnyPort, rule.peers.is_empty() && rule.ports.is_empty());
            add(found, Feature::SeveralPeers, rule.peers.len() > 1);
            rule.peers.iter().for_each(|peer| of_peer(peer, found));
        }
    }
}

fn of_peer(peer: &Peer, found: &mut Found) {
    let Peer::Pods { namespaces, pods, .. } = peer else { return };
    of_selector(pods, found);
    match namespaces {
        NamespaceScope::Own => {
            found.insert(Feature::PodSelectorAlone);
            add(found, Feature::EmptyPodSelector, pods.is_everything());
        }
        NamespaceScope::Matching(selector) => {
            of_selector(selector, found);
            add(found, Feature::EmptyNamespaceSelector, selector.is_everything());
            add(found, Feature::NamespaceSelectorAlone, pods.is_everything());
            add(found, Feature::BothSelectors, !selector.is_everything() && !pods.is_everything());
            let by_name = selector.requirements.iter().any(|requirement| requirement.key.as_str() == METADATA_NAME);
            add(found, Feature::NamespaceByName, by_name);
        }
    }
}

fn of_selector(selector: &LabelSelector, found: &mut Found) {
    for requirement in &selector.requirements {
        found.insert(match &requirement.operator {
            Operator::In(values) if values.len() == 1 => Feature::MatchLabels,
            Operator::In(_) => Feature::InSeveral,
            Operator::NotIn(_) => Feature::NotIn,
            Operator::Exists => Feature::Exists,
            Operator::DoesNotExist => Feature::DoesNotExist,
        });
    }
}

fn of_ranges(rules: &[PolicyRule], found: &mut Found) {
    let items = || rules.iter().flat_map(|rule| &rule.ports);
    for item in items() {
        found.insert(match item.protocol {
            Protocol::Tcp => Feature::Tcp,
            Protocol::Udp => Feature::Udp,
            Protocol::Sctp => Feature::Sctp,
        });
        match &item.port {
            PortMatch::All => add(found, Feature::PortWithoutNumber, true),
            PortMatch::Named(_) => add(found, Feature::NamedPort, true),
            PortMatch::Range(range) => add(found, Feature::EndPort, range.first() < range.last()),
        }
    }
    for (index, one) in items().enumerate() {
        for other in items().skip(index + 1).filter(|other| other.protocol == one.protocol) {
            if let (PortMatch::Range(a), PortMatch::Range(b)) = (&one.port, &other.port) {
                let overlap = a != b && a.first() <= b.last() && b.first() <= a.last();
                add(found, Feature::OverlappingRanges, overlap);
            }
        }
    }
}

fn of_selection(cluster: &Cluster, found: &mut Found) {
    for (_, pod) in cluster.pods().filter(|(_, pod)| has_own_network(pod)) {
        let selecting: Vec<_> = cluster.policies().filter(|(_, policy)| is_subject(policy, pod)).collect();
        add(found, Feature::NotSelected, selecting.is_empty());
        for direction in Direction::ALL {
            let isolating = selecting.iter().filter(|(_, policy)| match policy.policy_types {
                Some(types) if direction == Direction::Ingress => types.ingress,
                Some(types) => types.egress,
                None => direction == Direction::Ingress || !policy.egress.is_empty(),
            });
            let isolating = isolating.count();
            add(found, Feature::SeveralPolicies, isolating > 1);
            add(found, Feature::IsolatedOneWay, isolating == 0 && !selecting.is_empty());
        }
    }
}

fn of_names(cluster: &Cluster, found: &mut Found) {
    for item in rules(cluster).flat_map(|rule| &rule.ports) {
        let PortMatch::Named(name) = &item.port else { continue };
        let mut everywhere = BTreeSet::new();
        for (_, pod) in cluster.pods().filter(|(_, pod)| has_own_network(pod)) {
            let named = || pod.ports.iter().filter(|port| port.name.as_ref() == Some(name));
            let same = |port: &&ContainerPort| port.protocol == item.protocol;
            let numbers: BTreeSet<u16> = named().filter(same).map(|port| port.port).collect();
            add(found, Feature::NameOnSeveralNumbers, numbers.len() > 1);
            add(found, Feature::NameOnSeveralProtocols, !numbers.is_empty() && named().any(|port| !same(&port)));
            add(found, Feature::NameMissing, named().next().is_none());
            everywhere.extend((!numbers.is_empty()).then_some(numbers));
        }
        add(found, Feature::NameDiffers, everywhere.len() > 1);
    }
}

fn of_blocks(cluster: &Cluster, found: &mut Found) {
    let pods: Vec<IpAddr> =
        (cluster.pods().filter(|(_, pod)| has_own_network(pod))).flat_map(|(_, pod)| pod.addresses.iter()).collect();
    let nodes: Vec<IpAddr> = cluster.nodes().flat_map(|(_, node)| node.addresses.clone()).collect();
    for block in blocks(cluster) {
        let v4 = Family::of(block.cidr.addr()) == Family::V4;
        found.insert(if v4 { Feature::BlockV4 } else { Feature::BlockV6 });
        add(found, Feature::BlockOfEverything, is_everything(block));
        add(found, Feature::BlockOfOne, block.cidr.prefix_len() == block.cidr.max_prefix_len());
        add(found, Feature::BlockExcept, !block.except.is_empty());
        let excepted = |address: &IpAddr| block.except.iter().any(|except| contains(except, *address));
        add(found, Feature::ExceptHoldsPod, pods.iter().any(excepted));
        if !is_everything(block) {
            let holds = |address: &IpAddr| contains(&block.cidr, *address) && !excepted(address);
            add(found, Feature::BlockHoldsPod, pods.iter().any(holds));
            add(found, Feature::BlockHoldsNode, nodes.iter().any(holds));
        }
    }
}

fn of_pods(cluster: &Cluster, found: &mut Found) {
    let only_mentioned = |labels: usize| labels == 1;
    let mentioned = cluster.namespaces().any(|namespace| only_mentioned(namespace.labels.iter().len()));
    add(found, Feature::NamespaceOnlyMentioned, mentioned);
    let own: Vec<&Pod> = cluster.pods().map(|(_, pod)| pod).filter(|pod| has_own_network(pod)).collect();
    let families = Family::ALL.into_iter().filter(|family| own.iter().any(|pod| pod.addresses.of(*family).is_some()));
    let families = families.count();
    for (_, pod) in cluster.pods() {
        add(found, Feature::StandIn, pod.stand_in);
        add(found, Feature::HostNetworkPod, pod.host_network && pod.is_live());
        let reused = |address| matches!(cluster.endpoint_of(address), Endpoint::Pod(_));
        add(found, Feature::EndedAddressReused, !pod.is_live() && pod.addresses.iter().any(reused));
    }
    for pod in &own {
        let count = pod.addresses.iter().count();
        add(found, Feature::PodWithoutAddress, count == 0 && !pod.stand_in);
        add(found, Feature::SingleFamilyPod, count == 1 && families == 2);
        add(found, Feature::DualStackPod, count == 2);
        let twin = |other: &&Pod| {
            other.id.namespace == pod.id.namespace
                && other.labels == pod.labels
                && matches!((&other.node, &pod.node), (Some(a), Some(b)) if a != b)
        };
        add(found, Feature::Twins, own.iter().any(twin));
    }
}

fn of_flow(cluster: &Cluster, flow: &Flow, found: &mut Found) {
    let (from, to) = (flow.from(), flow.to());
    match (from.endpoint, to.endpoint) {
        (Endpoint::Pod(a), Endpoint::Pod(b)) => add(found, Feature::Itself, a == b),
        (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
            let own = cluster.node_of(pod) == Some(node);
            found.insert(if own { Feature::OwnNode } else { Feature::OtherNode });
        }
        (Endpoint::Pod(_), Endpoint::Outside) | (Endpoint::Outside, Endpoint::Pod(_)) => {}
        (Endpoint::Node(_) | Endpoint::Outside, Endpoint::Node(_) | Endpoint::Outside) => {
            found.insert(Feature::NeitherIsPod);
        }
    }
    let host = |side: Side| match side.endpoint {
        Endpoint::Node(node) => {
            cluster.pods().any(|(id, pod)| pod.is_live() && pod.host_network && cluster.node_of(id) == Some(node))
        }
        Endpoint::Pod(_) | Endpoint::Outside => false,
    };
    add(found, Feature::FromHostNetwork, host(from));
    add(found, Feature::ToHostNetwork, host(to));
    add(found, Feature::UnknownAddress, from.address.is_none() || to.address.is_none());
    for side in [from, to].into_iter().filter(|side| side.endpoint == Endpoint::Outside) {
        side.address.iter().for_each(|address| of_outside(cluster, *address, found));
    }
    match flow.traffic() {
        Traffic::Portless => add(found, Feature::Portless, true),
        Traffic::Port(protocol, port) => of_port(cluster, protocol, port, found),
    }
}

fn of_outside(cluster: &Cluster, address: IpAddr, found: &mut Found) {
    let narrow: Vec<&IpBlock> = blocks(cluster).filter(|block| !is_everything(block)).collect();
    let inside = narrow.iter().any(|block| contains(&block.cidr, address));
    add(found, Feature::OutsideInBlock, inside);
    add(found, Feature::OutsideOfBlocks, !inside && !narrow.is_empty());
    for block in blocks(cluster).flat_map(|block| std::iter::once(&block.cidr).chain(&block.except)) {
        let edges = edges(block);
        let several = block.prefix_len() < block.max_prefix_len();
        add(found, Feature::FirstOfBlock, several && edges.first == Some(address));
        add(found, Feature::LastOfBlock, several && edges.last == Some(address));
        add(found, Feature::BeforeBlock, edges.before == Some(address));
        add(found, Feature::AfterBlock, edges.after == Some(address));
    }
}

fn of_port(cluster: &Cluster, protocol: Protocol, port: u16, found: &mut Found) {
    for item in rules(cluster).flat_map(|rule| &rule.ports).filter(|item| item.protocol == protocol) {
        let PortMatch::Range(range) = &item.port else { continue };
        let several = range.first() < range.last();
        add(found, Feature::FirstOfRange, several && port == range.first());
        add(found, Feature::LastOfRange, several && port == range.last());
        add(found, Feature::BeforeRange, range.first().checked_sub(1) == Some(port));
        add(found, Feature::AfterRange, range.last().checked_add(1) == Some(port));
    }
}

fn rules(cluster: &Cluster) -> impl Iterator<Item = &PolicyRule> {
    cluster.policies().flat_map(|(_, policy)| policy.ingress.iter().chain(&policy.egress))
}

fn blocks(cluster: &Cluster) -> impl Iterator<Item = &IpBlock> {
    rules(cluster).flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
        Peer::IpBlock(block) => Some(block),
        Peer::Pods { .. } => None,
    })
}

fn is_everything(block: &IpBlock) -> bool {
    block.cidr.prefix_len() == 0
}
