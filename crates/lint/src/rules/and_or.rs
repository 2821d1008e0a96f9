//! AND written as OR, or OR as AND
//!
//! ## What it does
//! Finds a `namespaceSelector` and a `podSelector` as two items of a list where one item seems to be meant
//! (no pod of the policy's own namespace is what the `podSelector` asks for, but pods of those namespaces
//! are), and the reverse.
//!
//! ## Why is this bad
//! Two items are alternatives: every pod of the other namespace is let in. One `-` makes the difference
//! between a few pods and a whole namespace.
//!
//! ## Example
//! ```yaml
//! - from:
//!   - namespaceSelector: {matchLabels: {team: a}}
//!   - podSelector: {matchLabels: {app: client}}
//! ```
//!
//! ## Use instead
//! ```yaml
//! - from:
//!   - namespaceSelector: {matchLabels: {team: a}}
//!     podSelector: {matchLabels: {app: client}}
//! ```
//!
//! ## Where it comes from
//! "Behavior of to and from selectors" in the Kubernetes documentation.

use palisade_engine::model::{LabelSelector, NamespaceScope, Peer, Pod};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint =
    Lint { code: "NP203", name: "and-or", level: Some(Level::Warning), source: include_str!("and_or.rs"), check };

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_pods {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            let pairs = rule.peers.iter().zip(rule.peers.iter().skip(1)).enumerate();
            for (number, (first, second)) in pairs {
                let Some((namespaces, pods)) = apart(first, second) else { continue };
                let own = |pod: &Pod| pod.id.namespace == policy.id.namespace;
                if any(subject, pods, own) || !any(subject, pods, |pod| in_matching(subject, namespaces, pod)) {
                    continue;
                }
                let message = format!(
                    "two items are alternatives (OR): {} takes every pod of a namespace {namespaces}",
                    policy.id.name
                );
                let field = peer_field(direction, index, number + 1);
                let finding = Finding::new(&object, message).at(field, second.at(), "a second item");
                let finding = finding.also(first.at(), "the first item");
                findings.push(finding.help("if both must hold, make it one item: drop the `-` of the second"));
            }
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, at } = peer else { continue };
                let own = |pod: &Pod| pod.id.namespace == policy.id.namespace;
                let meant = pods.is_everything() || namespaces.is_everything();
                let both = any(subject, pods, |pod| in_matching(subject, namespaces, pod));
                if meant
                    || both
                    || !any(subject, pods, own)
                    || !any(subject, &LabelSelector::everything(), |pod| in_matching(subject, namespaces, pod))
                {
                    continue;
                }
                let message = format!(
                    "both selectors must hold (AND), and no pod meets both, so this peer of {} is nobody",
                    policy.id.name
                );
                let finding = Finding::new(&object, message).at(peer_field(direction, index, number), *at, "one item");
                findings.push(finding.help("if either is enough, make it two items: put `- ` before podSelector"));
            }
        }
    }
}

/// A namespaceSelector alone and a podSelector alone, in either order.
fn apart<'p>(first: &'p Peer, second: &'p Peer) -> Option<(&'p LabelSelector, &'p LabelSelector)> {
    let namespaces = |peer: &'p Peer| match peer {
        Peer::Pods { namespaces: NamespaceScope::Matching(selector), pods, .. } if pods.is_everything() => {
            Some(selector)
        }
        _ => None,
    };
    let pods = |peer: &'p Peer| match peer {
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } if !pods.is_everything() => Some(pods),
        _ => None,
    };
    namespaces(first).zip(pods(second)).or_else(|| namespaces(second).zip(pods(first)))
}

fn any(subject: &Subject<'_>, selector: &LabelSelector, also: impl Fn(&Pod) -> bool) -> bool {
    subject.cluster.pods().any(|(_, pod)| pod.is_live() && subject.matches(selector, &pod.labels) && also(pod))
}

fn in_matching(subject: &Subject<'_>, selector: &LabelSelector, pod: &Pod) -> bool {
    subject.cluster.namespace(&pod.id.namespace).is_some_and(|namespace| subject.matches(selector, &namespace.labels))
}
