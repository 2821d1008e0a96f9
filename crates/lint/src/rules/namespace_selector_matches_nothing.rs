//! A namespaceSelector that matches no namespace
//!
//! ## What it does
//! Finds `namespaceSelector`s that no namespace of the input meets, when the input has Namespace objects.
//!
//! ## Why is this bad
//! The peer is nobody, so the rule allows nothing by it. Namespaces carry few labels of their own; the one
//! that each has is `kubernetes.io/metadata.name`.
//!
//! ## Example
//! ```yaml
//! - namespaceSelector:
//!     matchLabels: {team: paymnts}
//! ```
//!
//! ## Use instead
//! ```yaml
//! - namespaceSelector:
//!     matchLabels: {kubernetes.io/metadata.name: payments}
//! ```
//!
//! ## Where it comes from
//! "Targeting a Namespace by its name" in the Kubernetes documentation.

use palisade_engine::model::{Labels, NamespaceScope, Operator, Peer};

use crate::{Finding, Level, Lint, Subject, nearest::nearest_label, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP201",
    name: "namespace-selector-matches-nothing",
    level: Some(Level::Warning),
    source: include_str!("namespace_selector_matches_nothing.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_namespaces {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Pods { namespaces: NamespaceScope::Matching(selector), at, .. } = peer else { continue };
                if subject.cluster.namespaces().any(|namespace| subject.matches(selector, &namespace.labels)) {
                    continue;
                }
                let field = format!("{}.namespaceSelector", peer_field(direction, index, number));
                let place =
                    selector.requirements.first().and_then(|requirement| requirement.at).or(selector.at).or(*at);
                let message = format!("no namespace is {selector}, so this peer of {} is nobody", policy.id.name);
                let mut finding = Finding::new(&object, message).at(field, place, "matches no namespace");
                let named = selector.requirements.iter().find_map(|requirement| match &requirement.operator {
                    Operator::In(values) => values.iter().find(|value| subject.cluster.namespace(value).is_some()),
                    _ => None,
                });
                let labels: Vec<&Labels> = subject.cluster.namespaces().map(|namespace| &namespace.labels).collect();
                if let Some(name) = named {
                    finding = finding
                        .help(format!("every namespace carries its name: `kubernetes.io/metadata.name: {name}`"));
                } else if let Some(near) = nearest_label(selector, &labels) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                }
                findings.push(finding);
            }
        }
    }
}
