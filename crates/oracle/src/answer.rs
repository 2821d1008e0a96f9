//! The answer to a flow, from its two halves. Rules 1.2 to 1.9, section 2 and 5.1. Which policies count is decided
//! first, one by one: those that are enforced, or the audited ones too.

use palisade_engine::model::{Cluster, ClusterTier, Direction, Endpoint, Family, Flow, Mode, NetworkPolicy, Pod, Side};

use crate::{
    maybe::Maybe,
    peers::peers_match,
    ports::ports_match,
    selectors::{has_own_network, is_subject},
    tiers::{Ways, cluster_tier, has_say},
};

/// May the flow's first packet pass?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Yes.
    Allow,
    /// No: at least one direction denies it.
    Deny,
    /// 1.2: only an address that is not known could decide.
    Undetermined,
}

/// Which policies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Those that are enforced.
    Enforced,
    /// The audited ones too.
    WithAudited,
}

impl Count {
    /// Whether a policy counts. Its own mode is said last; `or_else` is that of the namespace of a NetworkPolicy.
    pub(crate) fn holds(self, own: Option<Mode>, or_else: Option<Mode>) -> bool {
        let audited = match (own, or_else) {
            (Some(own), _) => own == Mode::Audit,
            (None, Some(namespace)) => namespace == Mode::Audit,
            (None, None) => false,
        };
        self == Self::WithAudited || !audited
    }
}

/// What one direction says to a flow: egress at its source, or ingress at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HalfAnswer {
    /// No policy has a say: the end of that direction is not a pod with a network of its own, or
    /// both ends are one pod, or they are a pod and its node.
    NotJudged,
    /// No policy isolates the pod in that direction, so everything is allowed.
    NotIsolated,
    /// The pod is isolated, and a rule allows the flow; or no tier says otherwise (5.1).
    Allowed,
    /// The pod is isolated, and no rule allows the flow; or a rule denies it.
    Denied,
    /// It depends on an address that is not known, or on what a domain name resolves to.
    Undetermined,
}

/// The answer to a whole flow, of the enforced policies.
pub fn answer(cluster: &Cluster, flow: &Flow) -> Answer {
    answer_counting(cluster, flow, Count::Enforced)
}

/// The answer to a whole flow.
pub fn answer_counting(cluster: &Cluster, flow: &Flow, count: Count) -> Answer {
    // 2.3: a connection needs both.
    let halves =
        [Direction::Egress, Direction::Ingress].map(|direction| half_counting(cluster, flow, direction, count));
    // 1.2: one denial is certain, whatever the other half would say if it knew the address.
    if halves.contains(&HalfAnswer::Denied) {
        Answer::Deny
    } else if halves.contains(&HalfAnswer::Undetermined) {
        Answer::Undetermined
    } else {
        Answer::Allow
    }
}

/// The answer of one direction, of the enforced policies. 7.1: on a node this is what is decided for its own pods.
pub fn half(cluster: &Cluster, flow: &Flow, direction: Direction) -> HalfAnswer {
    half_counting(cluster, flow, direction, Count::Enforced)
}

/// The answer of one direction.
pub fn half_counting(cluster: &Cluster, flow: &Flow, direction: Direction, count: Count) -> HalfAnswer {
    // 1.6: what a Service brings back to the pod itself is for cluster-wide policies alone.
    let to_itself = is_one_pod(flow);
    if (to_itself && !flow.is_through_service()) || is_pod_and_its_node(cluster, flow) {
        return HalfAnswer::NotJudged;
    }
    // 2.1: each direction on its own, at the pod that it is about.
    let (own, _) = ends(flow, direction);
    // 1.9, 1.3: nobody's policy applies to a node (so to a host-network pod) or an outside address.
    let Endpoint::Pod(id) = own.endpoint else { return HalfAnswer::NotJudged };
    let pod = cluster.pod(id);
    if !has_own_network(pod) {
        return HalfAnswer::NotJudged;
    }

    // 2.1: isolated by at least one policy of that type that selects the pod.
    let isolating = if to_itself { Vec::new() } else { isolating_policies(cluster, pod, direction, count) };
    if isolating.is_empty() && ClusterTier::ALL.iter().all(|tier| !has_say(cluster, *tier, pod, direction, count)) {
        return HalfAnswer::NotIsolated;
    }

    // 5.1: Admin, then NetworkPolicy, then Baseline, then allowed.
    let tier = |tier| cluster_tier(cluster, tier, pod, flow, direction, count);
    let ways = tier(ClusterTier::Admin)
        .then(|| network_policies(cluster, &isolating, flow, direction))
        .then(|| tier(ClusterTier::Baseline))
        .then(|| Ways::ALLOWED);
    match (ways.allowed, ways.denied) {
        (true, true) => HalfAnswer::Undetermined,
        (true, false) => HalfAnswer::Allowed,
        (false, _) => HalfAnswer::Denied,
    }
}

/// What the NetworkPolicies that isolate a pod in a direction say to a flow.
fn network_policies(cluster: &Cluster, isolating: &[&NetworkPolicy], flow: &Flow, direction: Direction) -> Ways {
    // 5.3: for a pod that is not isolated, the next tier decides.
    if isolating.is_empty() {
        return Ways::PASSED;
    }
    let (own, other) = ends(flow, direction);
    // 1.4: a flow has one family; either address tells it.
    let family = other.address.or(own.address).map(Family::of);
    // 2.2: the union of all their rules in that direction, in no order.
    // 2.6: no rules, nothing allowed: the union of nothing.
    let allowed = Maybe::any(isolating.iter().flat_map(|policy| {
        policy.rules(direction).iter().map(|rule| {
            // A rule allows what both its peers and its ports match; its ports never depend on an
            // address, so a rule of other ports leaves nothing open (1.2).
            let ports = Maybe::from(ports_match(cluster, &rule.ports, flow.to(), flow.traffic()));
            ports.and(peers_match(cluster, policy, &rule.peers, other, family))
        })
    }));
    match allowed {
        Maybe::Yes => Ways::ALLOWED,
        Maybe::Unknown => Ways::ALLOWED.or(Ways::DENIED),
        Maybe::No => Ways::DENIED,
    }
}

/// The end that a direction is about, and the other one.
fn ends(flow: &Flow, direction: Direction) -> (Side, Side) {
    match direction {
        Direction::Ingress => (flow.to(), flow.from()),
        Direction::Egress => (flow.from(), flow.to()),
    }
}

/// 1.6: a pod always reaches itself.
fn is_one_pod(flow: &Flow) -> bool {
    matches!((flow.from().endpoint, flow.to().endpoint), (Endpoint::Pod(a), Endpoint::Pod(b)) if a == b)
}

/// 1.7: a pod and the node that it runs on always reach each other, whoever begins.
fn is_pod_and_its_node(cluster: &Cluster, flow: &Flow) -> bool {
    match (flow.from().endpoint, flow.to().endpoint) {
        (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
            cluster.node_of(pod) == Some(node)
        }
        _ => false,
    }
}

fn isolating_policies<'a>(
    cluster: &'a Cluster,
    pod: &Pod,
    direction: Direction,
    count: Count,
) -> Vec<&'a NetworkPolicy> {
    let counts = |policy: &&NetworkPolicy| {
        let namespace = cluster.namespaces().find(|namespace| namespace.name == policy.id.namespace);
        count.holds(policy.mode, namespace.and_then(|namespace| namespace.mode))
    };
    let policies = cluster.policies().map(|(_, policy)| policy).filter(counts);
    policies.filter(|policy| is_subject(policy, pod) && has_type(policy, direction)).collect()
}

/// Whether the policy isolates in that direction.
fn has_type(policy: &NetworkPolicy, direction: Direction) -> bool {
    match (policy.policy_types, direction) {
        // 2.6: what is listed counts, with or without rules; rules of a type not listed do not.
        (Some(types), Direction::Ingress) if types.ingress || types.egress => types.ingress,
        (Some(types), Direction::Egress) if types.ingress || types.egress => types.egress,
        // 2.5: missing, null or empty: ingress always, egress when there is at least one rule of it.
        (_, Direction::Ingress) => true,
        (_, Direction::Egress) => !policy.egress.is_empty(),
    }
}
