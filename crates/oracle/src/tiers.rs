//! Cluster-wide policies and the tiers. Section 5.

use std::net::IpAddr;

use ipnet::IpNet;
use palisade_engine::model::{
    Action, Cluster, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule,
    ClusterSubject, ClusterTier, Direction, DomainName, Endpoint, Family, Flow, IpBlock, LabelSelector, Pod, PortRange,
    Side, Traffic,
};

use crate::{
    answer::Count,
    maybe::Maybe,
    peers::block_matches,
    selectors::{has_own_network, selects},
};

/// Every way in which something can come out, as far as unknown addresses leave more than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) allowed: bool,
    pub(crate) denied: bool,
    /// 5.2: the tier leaves it to the next one.
    pub(crate) passed: bool,
}

impl Ways {
    pub(crate) const ALLOWED: Self = Self { allowed: true, denied: false, passed: false };
    pub(crate) const DENIED: Self = Self { allowed: false, denied: true, passed: false };
    pub(crate) const PASSED: Self = Self { allowed: false, denied: false, passed: true };

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            allowed: self.allowed || other.allowed,
            denied: self.denied || other.denied,
            passed: self.passed || other.passed,
        }
    }

    /// 5.1: what passes comes out as the next tier lets it.
    pub(crate) fn then(self, next: impl FnOnce() -> Self) -> Self {
        if self.passed { Self { passed: false, ..self }.or(next()) } else { self }
    }
}

/// What a tier says to a flow of a pod.
pub(crate) fn cluster_tier(
    cluster: &Cluster,
    tier: ClusterTier,
    pod: &Pod,
    flow: &Flow,
    direction: Direction,
    count: Count,
) -> Ways {
    let mut rules: Vec<&ClusterRule> = Vec::new();
    // 5.2: the rules of a tier's policies, by priority, then in the policy's order.
    for policy in in_order(cluster, tier, count) {
        if is_subject(cluster, policy, pod) {
            rules.extend(policy.rules(direction));
        }
    }
    first_match(cluster, &rules, flow, direction)
}

/// Whether a tier has a rule at all for a pod.
pub(crate) fn has_say(cluster: &Cluster, tier: ClusterTier, pod: &Pod, direction: Direction, count: Count) -> bool {
    let mut policies = in_order(cluster, tier, count).into_iter();
    policies.any(|policy| is_subject(cluster, policy, pod) && !policy.rules(direction).is_empty())
}

/// 5.2: the first rule that matches acts. Of a rule that may match, both ways are followed.
fn first_match(cluster: &Cluster, rules: &[&ClusterRule], flow: &Flow, direction: Direction) -> Ways {
    // 5.3, 5.8: what no rule matches goes on to the next tier; behind Baseline it is allowed.
    let Some((rule, rest)) = rules.split_first() else { return Ways::PASSED };
    // 5.7: a Deny or Pass that is not understood is a Deny for everything.
    let action = if rule.action == Action::Pass && !rule.is_understood() { Action::Deny } else { rule.action };
    let acts = match action {
        Action::Accept => Ways::ALLOWED,
        Action::Deny => Ways::DENIED,
        Action::Pass => Ways::PASSED,
    };
    match rule_matches(cluster, rule, flow, direction) {
        Maybe::Yes => acts,
        Maybe::No => first_match(cluster, rest, flow, direction),
        Maybe::Unknown => acts.or(first_match(cluster, rest, flow, direction)),
    }
}

/// 5.2: by ascending priority; 5.5: at one priority by name, and then by kind. A BaselineAdminNetworkPolicy
/// has no priority and comes last; another one without is one whose place was not understood, and comes first.
fn in_order(cluster: &Cluster, tier: ClusterTier, count: Count) -> Vec<&ClusterPolicy> {
    let mut policies: Vec<&ClusterPolicy> =
        cluster.cluster_policies().map(|(_, policy)| policy).filter(|policy| policy.tier == tier).collect();
    policies.retain(|policy| count.holds(policy.mode, None));
    let place = |policy: &ClusterPolicy| match policy.priority {
        Some(priority) => i32::from(priority),
        None if policy.kind == ClusterPolicyKind::BaselineAdmin => 1001,
        None => -1,
    };
    policies.sort_by_key(|policy| (place(policy), policy.name.to_string(), policy.kind));
    policies
}

/// 5.6: host-networked pods are no subject.
pub(crate) fn is_subject(cluster: &Cluster, policy: &ClusterPolicy, pod: &Pod) -> bool {
    let everything = LabelSelector::everything();
    let (namespaces, pods) = match &policy.subject {
        ClusterSubject::Namespaces(namespaces) => (namespaces, &everything),
        ClusterSubject::Pods { namespaces, pods } => (namespaces, pods),
        // 7.8: a subject that cannot be read changes nothing.
        ClusterSubject::NotUnderstood => return false,
    };
    pod_matches(cluster, namespaces, pods, pod)
}

fn pod_matches(cluster: &Cluster, namespaces: &LabelSelector, pods: &LabelSelector, pod: &Pod) -> bool {
    let labels = cluster.namespaces().find(|namespace| namespace.name == pod.id.namespace).map(|ns| &ns.labels);
    has_own_network(pod) && labels.is_some_and(|labels| selects(namespaces, labels)) && selects(pods, &pod.labels)
}

fn rule_matches(cluster: &Cluster, rule: &ClusterRule, flow: &Flow, direction: Direction) -> Maybe {
    let (peers, ports) = match &rule.matches {
        ClusterMatch::Of { peers, ports } if rule.is_understood() => (peers, ports),
        // 5.7: an Accept matches nothing, all others everything.
        _ => return Maybe::from(rule.action != Action::Accept),
    };
    let other = match direction {
        Direction::Ingress => flow.from(),
        Direction::Egress => flow.to(),
    };
    let family = flow.from().address.or(flow.to().address).map(Family::of);
    let peers = Maybe::any(peers.iter().map(|peer| peer_matches(cluster, peer, other, family)));
    let ports = ports.as_ref().is_none_or(|ports| ports_match(cluster, ports, flow.to(), flow.traffic()));
    Maybe::from(ports).and(peers)
}

pub(crate) fn peer_matches(cluster: &Cluster, peer: &ClusterPeer, other: Side, family: Option<Family>) -> Maybe {
    let everything = LabelSelector::everything();
    let is_pod = |namespaces: &LabelSelector, pods: &LabelSelector| match other.endpoint {
        // 5.6: nor are they peers; has_own_network sees to it.
        Endpoint::Pod(id) => pod_matches(cluster, namespaces, pods, cluster.pod(id)),
        Endpoint::Node(_) | Endpoint::Outside => false,
    };
    match peer {
        ClusterPeer::Namespaces { namespaces, .. } => is_pod(namespaces, &everything).into(),
        ClusterPeer::Pods { namespaces, pods, .. } => is_pod(namespaces, pods).into(),
        // 5.6: by status.addresses, that is, whoever is that node.
        ClusterPeer::Nodes { nodes, .. } => match other.endpoint {
            Endpoint::Node(id) => selects(nodes, &cluster.node(id).labels).into(),
            Endpoint::Pod(_) | Endpoint::Outside => Maybe::No,
        },
        // 5.6: by address alone, also inside of the cluster.
        ClusterPeer::Networks { networks, .. } => {
            Maybe::any(networks.iter().map(|network| block_matches(&block(*network), other.address, family)))
        }
        ClusterPeer::DomainNames { names, .. } => {
            Maybe::any(names.iter().map(|name| name_matches(cluster, name, other, family)))
        }
    }
}

/// A name means the addresses that it was told to have. Without being told, it may mean any address
/// outside, and if it is a name of the cluster's own, any.
fn name_matches(cluster: &Cluster, name: &DomainName, other: Side, family: Option<Family>) -> Maybe {
    let told = cluster.resolved().iter().filter(|told| name.holds(&told.name));
    let is_one = Maybe::any(told.map(|told| block_matches(&block(one(told.address)), other.address, family)));
    let is_whole = cluster.resolved().iter().any(|told| told.name == *name);
    let may_be = match other.endpoint {
        Endpoint::Outside => true,
        Endpoint::Pod(_) | Endpoint::Node(_) => name.may_be_inside(),
    };
    if is_whole || !may_be { is_one } else { is_one.max(Maybe::Unknown) }
}

fn one(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn block(cidr: IpNet) -> IpBlock {
    IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() }
}

fn ports_match(cluster: &Cluster, ports: &[ClusterPort], to: Side, traffic: Traffic) -> bool {
    // 4.6: ports never match traffic that has none.
    let Traffic::Port(protocol, number) = traffic else { return false };
    ports.iter().any(|item| match item {
        ClusterPort::Numbers { protocol: of, ports, .. } => *of == protocol && within(*ports, number),
        // 4.5: on the destination pod, with the protocol that the container's port has.
        ClusterPort::Named { name, .. } => match to.endpoint {
            Endpoint::Pod(id) if has_own_network(cluster.pod(id)) => cluster
                .pod(id)
                .ports
                .iter()
                .any(|port| port.name.as_ref() == Some(name) && port.protocol == protocol && port.port == number),
            Endpoint::Pod(_) | Endpoint::Node(_) | Endpoint::Outside => false,
        },
    })
}

fn within(ports: PortRange, number: u16) -> bool {
    ports.first() <= number && number <= ports.last()
}
