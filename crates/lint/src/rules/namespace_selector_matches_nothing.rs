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

use palisade_engine::model::{NamespaceScope, Operator, Peer};

use super::{contradictory_selector::contradiction, namespace_name_label::name_label};
use crate::{
    Finding, Level, Lint, Subject,
    nearest::{Hints, nearest_label},
    subject::{peer_field, place},
};

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
    let mut hints = Hints::default();
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Pods { namespaces: NamespaceScope::Matching(selector), at, .. } = peer else { continue };
                if !subject.index.namespaces_matching(selector).is_empty()
                    || contradiction(selector).is_some()
                    || name_label(subject, selector).is_some()
                {
                    continue;
                }
                let field = format!("{}.namespaceSelector", peer_field(direction, index, number));
                let place = place(selector).or(*at);
                let message =
                    format!("no namespace of the input is {selector}, so this peer of {} is nobody", policy.id.name);
                let mut finding = Finding::new(&object, message).at(field, place, "matches no namespace");
                let named = selector.requirements.iter().find_map(|requirement| match &requirement.operator {
                    Operator::In(values) => values.iter().find(|value| subject.cluster.namespace(value).is_some()),
                    _ => None,
                });
                let labels = || subject.cluster.namespaces().flat_map(|namespace| namespace.labels.iter());
                if let Some(name) = named {
                    finding = finding
                        .help(format!("every namespace carries its name: `kubernetes.io/metadata.name: {name}`"));
                } else if let Some(near) = hints.of(selector.to_string(), || nearest_label(selector, labels)) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                }
                findings.push(finding);
            }
        }
    }
}
