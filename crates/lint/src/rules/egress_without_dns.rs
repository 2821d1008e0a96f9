//! Isolated egress without DNS
//!
//! ## What it does
//! Finds pods whose egress is isolated while no rule allows UDP port 53 to where the cluster's DNS may be:
//! rules to outside addresses alone do not count. Pods that may send nothing at all are left alone, unless a
//! default deny isolates them and no policy of the namespace allows DNS to anyone. So are pods for which a
//! cluster-wide policy of the Admin tier decides about DNS before any NetworkPolicy.
//!
//! ## Why is this bad
//! Nearly every connection begins with a name. Without DNS the pods fail to find what the other rules
//! allow them to reach, and it looks like the network is slow or broken.
//!
//! ## Example
//! ```yaml
//! spec:
//!   podSelector: {}
//!   policyTypes: [Egress]
//!   egress:
//!   - to:
//!     - podSelector: {matchLabels: {app: db}}
//!     ports:
//!     - port: 5432
//! ```
//!
//! ## Use instead
//! ```yaml
//!   - to:
//!     - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
//!       podSelector: {matchLabels: {k8s-app: kube-dns}}
//!     ports:
//!     - {protocol: UDP, port: 53}
//!     - {protocol: TCP, port: 53}
//! ```
//!
//! ## Where it comes from
//! The most frequent mistake of every tutorial's list; the Kubernetes documentation's default deny for
//! egress has it by intent. A DNS server outside, such as 8.8.8.8, knows no
//! Service of the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::IpNet;
use palisade_engine::{
    compile::{ProfileId, Tier},
    model::{
        Action, ClusterPeer, ClusterRule, Direction, LabelSelector, NamespaceScope, NetworkPolicy, Peer, Pod, PolicyId,
        PolicyRule, PortMatch, Protocol,
    },
};

use palisade_manifest::{Safety, fix::Value};

use super::locked_out::{system, takes_dns};
use crate::{Finding, Level, Lint, Subject, finding::add, index::matches};

pub(crate) const LINT: Lint = Lint {
    code: "NP103",
    name: "egress-without-dns",
    level: Some(Level::Warning),
    source: include_str!("egress_without_dns.rs"),
    check,
};

/// The port of DNS (RFC 1035).
const DNS: u16 = 53;

/// Where a cluster's DNS may listen: private addresses, those of a link, and those of carriers.
const INSIDE: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// What a policy says of DNS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dns {
    /// Some rule may reach the cluster's.
    Allowed,
    /// Rules for port 53 reach outside addresses alone.
    Outside,
    /// No rule is about port 53.
    Absent,
}

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut dns: HashMap<PolicyId, Dns> = HashMap::new();
    let mut resolving: HashSet<&str> = HashSet::new();
    for (id, policy) in subject.cluster.policies().filter(|(id, _)| subject.program.affects(*id, Direction::Egress)) {
        let says = says(subject, policy);
        if says == Dns::Allowed {
            resolving.insert(&policy.id.namespace);
        }
        dns.insert(id, says);
    }
    let mut blamed: HashMap<ProfileId, Option<PolicyId>> = HashMap::new();
    let mut without: BTreeMap<PolicyId, Vec<String>> = BTreeMap::new();
    for (identity, known) in subject.program.identities() {
        let profile = subject.program.profile_of(identity, Direction::Egress);
        let id = *blamed.entry(profile).or_insert_with(|| {
            if admins_decide(subject, profile) {
                return None;
            }
            let policies: Vec<PolicyId> = subject.program.profile(profile).isolating().collect();
            if policies.iter().any(|id| dns.get(id) == Some(&Dns::Allowed)) {
                return None;
            }
            let rules = |id: &&PolicyId| !subject.cluster.policy(**id).egress.is_empty();
            // Pods that may send nothing at all need no names, unless nobody thought of any in the namespace.
            let closed = |id: &&PolicyId| {
                let policy = subject.cluster.policy(**id);
                policy.subject.is_everything() && !resolving.contains(policy.id.namespace.as_str())
            };
            policies.iter().find(rules).or_else(|| policies.iter().find(closed)).copied()
        });
        let Some(id) = id else { continue };
        let pods = known.pods.iter().map(|pod| subject.cluster.pod(*pod));
        let pods = pods.filter(|pod| !subject.wishes.at(pod.at, LINT.code)).map(|pod| pod.id.name.to_string());
        without.entry(id).or_default().extend(pods);
    }
    for (id, mut pods) in without {
        pods.sort();
        let policy = subject.cluster.policy(id);
        let who = match pods.as_slice() {
            [one] => format!("{}/{one}", policy.id.namespace),
            [one, ..] => format!("{}/{one} and {} more", policy.id.namespace, pods.len() - 1),
            [] => continue,
        };
        let why = match dns.get(&id) {
            Some(Dns::Outside) => "allows port 53 to outside addresses alone",
            _ => "isolates egress and no rule allows port 53 to the cluster's DNS",
        };
        let message = format!("{who} may not resolve names: {} {why}", policy.id.name);
        let at = policy.egress.first().and_then(|rule| rule.at).or(policy.at);
        let finding =
            Finding::new(format!("NetworkPolicy {}", policy.id), message).at("spec.egress", at, "no rule for DNS");
        let help = "allow UDP and TCP 53 to the namespace with `kubernetes.io/metadata.name: kube-system` \
                    (--fix --unsafe-fixes adds it)";
        let fix = add(policy, Safety::ChangesMeaning, "spec.egress[]", rule(), "add a rule for DNS in kube-system");
        findings.push(finding.help(help).fix(fix));
    }
}

/// Whether the Admin tier accepts what goes to the cluster's DNS, or denies it, which is another rule's to tell
/// (NP603): what NetworkPolicies say of it counts no more.
fn admins_decide(subject: &Subject<'_>, profile: ProfileId) -> bool {
    let tiers = subject.program.profile(profile).tiers.iter().filter(|tier| tier.tier == Tier::Admin);
    let origins = tiers.flat_map(|tier| &tier.rules).map(|rule| subject.program.rule(*rule).origin);
    let mut rules = origins.filter_map(|origin| {
        let policy = subject.cluster.cluster_policy(origin.policy.cluster()?);
        policy.rules(origin.direction).get(origin.index)
    });
    let first = rules.find(|rule| takes_dns(rule) && rule.peers().iter().any(|peer| may_be_dns(subject, rule, peer)));
    first.is_some_and(|rule| rule.action != Action::Pass)
}

/// Whether the cluster's DNS may be among a peer; likewise.
fn may_be_dns(subject: &Subject<'_>, rule: &ClusterRule, peer: &ClusterPeer) -> bool {
    let names_it = !rule.ports().is_empty();
    match peer {
        ClusterPeer::Networks { networks, .. } => networks.iter().any(is_inside),
        // Where each node has a cache of its own.
        ClusterPeer::Nodes { .. } => names_it,
        ClusterPeer::Namespaces { namespaces, .. } | ClusterPeer::Pods { namespaces, .. } => {
            names_it || matches(namespaces, &system(subject.cluster))
        }
        ClusterPeer::DomainNames { .. } => false,
    }
}

/// UDP and TCP 53 to kube-system.
fn rule() -> Value {
    let labels = Value::map([("kubernetes.io/metadata.name", Value::text("kube-system"))]);
    let peer = Value::map([("namespaceSelector", Value::map([("matchLabels", labels)]))]);
    let port = |protocol| Value::map([("port", Value::Number(DNS)), ("protocol", Value::text(protocol))]);
    Value::map([("to", Value::List(vec![peer])), ("ports", Value::List(vec![port("UDP"), port("TCP")]))])
}

fn says(subject: &Subject<'_>, policy: &NetworkPolicy) -> Dns {
    let about = |rule: &&PolicyRule| rule.ports.is_empty() || names_dns(rule);
    let allows =
        |rule: &PolicyRule| rule.peers.is_empty() || rule.peers.iter().any(|peer| reaches(subject, policy, rule, peer));
    if policy.egress.iter().filter(about).any(allows) {
        Dns::Allowed
    } else if policy.egress.iter().any(names_dns) {
        Dns::Outside
    } else {
        Dns::Absent
    }
}

/// Whether a rule's ports name that of DNS.
fn names_dns(rule: &PolicyRule) -> bool {
    rule.ports.iter().any(|port| match &port.port {
        PortMatch::All => port.protocol == Protocol::Udp,
        PortMatch::Range(range) => port.protocol == Protocol::Udp && range.contains(DNS),
        // A name may be that of the DNS port on the pods it is about.
        PortMatch::Named(name) => name.contains("dns"),
    })
}

/// Whether the cluster's DNS may be among a peer. Whoever names port 53 means the peer to be it.
fn reaches(subject: &Subject<'_>, policy: &NetworkPolicy, rule: &PolicyRule, peer: &Peer) -> bool {
    match peer {
        Peer::IpBlock(block) => is_inside(&block.cidr),
        Peer::Pods { .. } if names_dns(rule) => true,
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => serves_dns(subject, &policy.id.namespace, pods),
        Peer::Pods { namespaces: NamespaceScope::Matching(selector), pods, .. } => {
            let namespaces = subject.index.namespaces_matching(selector);
            selector.is_everything() && pods.is_everything()
                || namespaces.iter().any(|namespace| serves_dns(subject, &namespace.name, pods))
        }
    }
}

/// Whether a cluster's DNS may have an address of a network.
fn is_inside(network: &IpNet) -> bool {
    let mut inside = INSIDE.iter().filter_map(|net| net.parse::<IpNet>().ok());
    inside.any(|net| net.contains(network) || network.contains(&net))
}

/// Whether a selected pod of a namespace declares the port of DNS; in kube-system some pod always does.
fn serves_dns(subject: &Subject<'_>, namespace: &str, pods: &LabelSelector) -> bool {
    let declares = |pod: &Pod| pod.ports.iter().any(|port| port.port == DNS);
    namespace == "kube-system" && pods.is_everything()
        || subject.index.pods_in(namespace).iter().any(|pod| declares(pod) && matches(pods, &pod.labels))
}
