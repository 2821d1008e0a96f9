//! A cluster-wide policy that locks out DNS or kube-system
//!
//! ## What it does
//! Finds rules of the Admin tier that deny, without an earlier exception in the same policy, name resolution
//! (UDP port 53 to every namespace, to kube-system, or to every address) or everything that comes into kube-system.
//!
//! ## Why is this bad
//! The Admin tier cannot be overridden by a NetworkPolicy: no name resolves any more, or the cluster's own
//! services are no longer reached.
//!
//! ## Example
//! ```yaml
//! egress:
//! - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
//! ```
//!
//! ## Use instead
//! ```yaml
//! egress:
//! - action: Accept
//!   to: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
//!   protocols: [{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]
//! - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
//! ```
//!
//! ## Where it comes from
//! The user stories of the network policy API; every tutorial of a default deny.

use palisade_engine::model::{
    Action, Cluster, ClusterPeer, ClusterPolicy, ClusterPort, ClusterRule, ClusterSubject, ClusterTier, Direction,
    LabelSelector, Labels, Protocol,
};

use crate::{Finding, Level, Lint, Subject, index::matches};

pub(crate) const LINT: Lint = Lint {
    code: "NP603",
    name: "locked-out",
    level: Some(Level::Warning),
    source: include_str!("locked_out.rs"),
    check,
};

/// Where the cluster's own services run.
const SYSTEM: &str = "kube-system";

const DNS_PORT: u16 = 53;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let labels = system(subject.cluster);
    for (_, policy) in subject.cluster.cluster_policies().filter(|(_, policy)| policy.tier == ClusterTier::Admin) {
        if let Some(index) = denies_dns(policy, &labels) {
            tell(
                policy,
                Direction::Egress,
                index,
                "denies name resolution (UDP 53), and nothing before it lets it pass",
                findings,
            );
        }
        if selects_all_of(&policy.subject, &labels)
            && let Some(index) = denies_all_namespaces(policy)
        {
            tell(
                policy,
                Direction::Ingress,
                index,
                "denies everything that comes into kube-system from pods",
                findings,
            );
        }
    }
}

/// The labels of the namespace of the cluster's own services, or what they are at least.
pub(super) fn system(cluster: &Cluster) -> Labels {
    let given = cluster.namespace(SYSTEM).map(|namespace| namespace.labels.clone());
    given.unwrap_or_else(|| [("kubernetes.io/metadata.name", SYSTEM)].into_iter().collect())
}

fn tell(policy: &ClusterPolicy, direction: Direction, index: usize, what: &str, findings: &mut Vec<Finding>) {
    let at = policy.rules(direction).get(index).and_then(|rule| rule.at);
    let message = format!("{} {direction}[{index}] {what}", policy.name);
    let finding = Finding::new(format!("{} {}", policy.kind, policy.name), message);
    findings.push(finding.at(format!("spec.{direction}[{index}]"), at, "no NetworkPolicy can override it"));
}

/// The rule that denies resolution, unless an earlier one is about it.
fn denies_dns(policy: &ClusterPolicy, system: &Labels) -> Option<usize> {
    let index =
        policy.egress.iter().position(|rule| takes_dns(rule) && rule.peers().iter().any(|peer| holds(peer, system)))?;
    (policy.egress.get(index)?.action == Action::Deny).then_some(index)
}

/// Whether a rule is about UDP port 53.
pub(super) fn takes_dns(rule: &ClusterRule) -> bool {
    let is_dns = |port: &ClusterPort| match port {
        ClusterPort::Numbers { protocol, ports, .. } => *protocol == Protocol::Udp && ports.contains(DNS_PORT),
        ClusterPort::Named { name, .. } => name.contains("dns"),
    };
    rule.ports().is_empty() || rule.ports().iter().any(is_dns)
}

fn holds(peer: &ClusterPeer, system: &Labels) -> bool {
    match peer {
        ClusterPeer::Namespaces { namespaces, .. } | ClusterPeer::Pods { namespaces, .. } => {
            matches(namespaces, system)
        }
        ClusterPeer::Networks { networks, .. } => networks.iter().any(|network| network.prefix_len() == 0),
        ClusterPeer::Nodes { .. } | ClusterPeer::DomainNames { .. } => false,
    }
}

fn selects_all_of(subject: &ClusterSubject, labels: &Labels) -> bool {
    match subject {
        ClusterSubject::Namespaces(namespaces) => matches(namespaces, labels),
        ClusterSubject::Pods { namespaces, pods } => pods.is_everything() && matches(namespaces, labels),
        ClusterSubject::NotUnderstood => false,
    }
}

/// The first ingress rule, when it denies all traffic from every namespace.
fn denies_all_namespaces(policy: &ClusterPolicy) -> Option<usize> {
    let everyone = |selector: &LabelSelector| selector.is_everything();
    let rule = policy.ingress.first()?;
    let from_all = rule.peers().iter().any(|peer| match peer {
        ClusterPeer::Namespaces { namespaces, .. } => everyone(namespaces),
        ClusterPeer::Pods { namespaces, pods, .. } => everyone(namespaces) && everyone(pods),
        ClusterPeer::Nodes { .. } | ClusterPeer::Networks { .. } | ClusterPeer::DomainNames { .. } => false,
    });
    (rule.action == Action::Deny && rule.ports().is_empty() && from_all).then_some(0)
}
