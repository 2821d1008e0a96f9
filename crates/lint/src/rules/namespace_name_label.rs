//! A `name` label on namespaces that nobody sets
//!
//! ## What it does
//! Finds `namespaceSelector`s that ask for a label such as `name: monitoring` which no namespace of the input
//! carries, when the input has Namespace objects.
//!
//! ## Why is this bad
//! Kubernetes sets no label `name`. Where nobody sets it by hand, the peer is nobody: the rule allows nothing
//! by it, and DNS rules for `name: kube-system` are the ones most often lost.
//!
//! ## Example
//! ```yaml
//! - namespaceSelector:
//!     matchLabels: {name: monitoring}
//! ```
//!
//! ## Use instead
//! ```yaml
//! - namespaceSelector:
//!     matchLabels: {kubernetes.io/metadata.name: monitoring}
//! ```
//!
//! ## Where it comes from
//! "Targeting a Namespace by its name" in the Kubernetes documentation: `kubernetes.io/metadata.name` is set
//! by the control plane on every namespace. Tutorials write `name` and mention the label in passing.

use palisade_engine::model::{LabelSelector, Name, NamespaceScope, Operator, Peer, Requirement};

use super::contradictory_selector::contradiction;
use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP204",
    name: "namespace-name-label",
    level: Some(Level::Warning),
    source: include_str!("namespace_name_label.rs"),
    check,
};

/// Labels that tutorials take for the namespace's name.
const KEYS: [&str; 4] = ["name", "namespace", "ns", "metadata.name"];

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_namespaces {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Pods { namespaces: NamespaceScope::Matching(selector), at, .. } = peer else { continue };
                if !subject.index.namespaces_matching(selector).is_empty() || contradiction(selector).is_some() {
                    continue;
                }
                let Some((requirement, name)) = name_label(subject, selector) else { continue };
                let message = format!(
                    "no namespace of the input carries the label `{}: {name}`, so this peer of {} is nobody",
                    requirement.key, policy.id.name
                );
                let field = format!("{}.namespaceSelector", peer_field(direction, index, number));
                let finding = Finding::new(&object, message).at(
                    field,
                    requirement.at.or(selector.at).or(*at),
                    "Kubernetes does not set this label",
                );
                let exists = subject.cluster.namespace(name).and_then(|namespace| namespace.at);
                findings.push(
                    finding
                        .also(exists, "the namespace of that name")
                        .help(format!("every namespace carries its name: `kubernetes.io/metadata.name: {name}`")),
                );
            }
        }
    }
}

/// The requirement of a selector that takes a label for the namespace's name, which no namespace carries.
pub(crate) fn name_label<'s>(
    subject: &Subject<'_>,
    selector: &'s LabelSelector,
) -> Option<(&'s Requirement, &'s Name)> {
    selector.requirements.iter().find_map(|requirement| {
        let Operator::In(values) = &requirement.operator else { return None };
        let carried = || {
            let mut carried = subject.cluster.namespaces().filter_map(|ns| ns.labels.get(&requirement.key));
            carried.any(|value| values.contains(value))
        };
        (KEYS.contains(&&*requirement.key) && !carried()).then(|| Some((requirement, values.first()?))).flatten()
    })
}
