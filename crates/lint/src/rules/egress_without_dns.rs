//! Isolated egress without DNS
//!
//! ## What it does
//! Finds pods whose egress is isolated while no rule allows port 53, to anyone.
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
//! egress has it by intent.

use std::collections::BTreeMap;

use palisade_engine::model::{Direction, PolicyId, PortMatch, Protocol};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP103",
    name: "egress-without-dns",
    level: Some(Level::Warning),
    source: include_str!("egress_without_dns.rs"),
    check,
};

/// The port of DNS (RFC 1035).
const DNS: u16 = 53;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut without: BTreeMap<PolicyId, Vec<String>> = BTreeMap::new();
    for (identity, known) in subject.program.identities() {
        let profile = subject.program.profile(subject.program.profile_of(identity, Direction::Egress));
        let policies = profile.tiers.iter().flat_map(|tier| tier.policies.iter().copied());
        let Some(first) = policies.clone().next() else { continue };
        if policies.into_iter().any(|policy| allows_dns(subject, policy)) {
            continue;
        }
        let pods = known.pods.iter().map(|pod| subject.cluster.pod(*pod).id.name.to_string());
        without.entry(first).or_default().extend(pods);
    }
    for (id, mut pods) in without {
        pods.sort();
        let policy = subject.cluster.policy(id);
        let who = match pods.as_slice() {
            [one] => format!("{}/{one}", policy.id.namespace),
            [one, ..] => format!("{}/{one} and {} more", policy.id.namespace, pods.len() - 1),
            [] => continue,
        };
        let message =
            format!("{who} may not resolve names: {} isolates egress and no rule allows port 53", policy.id.name);
        let at = policy.egress.first().and_then(|rule| rule.at).or(policy.at);
        let finding =
            Finding::new(format!("NetworkPolicy {}", policy.id), message).at("spec.egress", at, "no rule for DNS");
        findings.push(finding.help("allow UDP and TCP 53 to the namespace kubernetes.io/metadata.name=kube-system"));
    }
}

fn allows_dns(subject: &Subject<'_>, policy: PolicyId) -> bool {
    subject.cluster.policy(policy).egress.iter().any(|rule| {
        rule.ports.is_empty()
            || rule.ports.iter().any(|port| match &port.port {
                PortMatch::All => port.protocol == Protocol::Udp,
                PortMatch::Range(range) => port.protocol == Protocol::Udp && range.contains(DNS),
                // A name may be that of the DNS port on the pods it is about.
                PortMatch::Named(name) => name.contains("dns"),
            })
    })
}
