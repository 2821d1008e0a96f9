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

use palisade_engine::{
    compile::{Peers, RulePeer},
    model::{LabelSelector, NamespaceScope, NetworkPolicy, Peer},
};

use crate::{Finding, Level, Lint, Subject, index::matches, subject::peer_field};

pub(crate) const LINT: Lint =
    Lint { code: "NP203", name: "and-or", level: Some(Level::Warning), source: include_str!("and_or.rs"), check };

/// Kinds of pods that are looked through for one that meets both.
const MOST_PODS: usize = 10_000;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_pods {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            let compiled = subject.compiled(id, direction, index).map(|rule| &subject.program.rule(rule).peers);
            let Some(Peers::Of(compiled)) = compiled else { continue };
            let items: Vec<(&Peer, &RulePeer)> = rule.peers.iter().zip(compiled).collect();
            for (number, (first, second)) in items.iter().zip(items.iter().skip(1)).enumerate() {
                let Some((namespaces, pods)) = apart(first, second).or_else(|| apart(second, first)) else { continue };
                if !is_nobody(subject, pods.1) || !some_of(subject, namespaces.1, pods.0) {
                    continue;
                }
                let message = format!(
                    "two items are alternatives (OR): this rule of {} takes every pod of the namespaces {}, whatever its labels",
                    policy.id.name, namespaces.0
                );
                let field = peer_field(direction, index, number + 1);
                let finding = Finding::new(&object, message).at(field, second.0.at(), "a second item");
                let finding = finding.also(first.0.at(), "the first item");
                let finding = finding.help(format!("no pod of namespace {} is {}", policy.id.namespace, pods.0));
                findings.push(finding.help("if both must hold, make it one item: drop the `-` of the second"));
            }
            for (number, (peer, compiled)) in items.iter().enumerate() {
                if !is_nobody(subject, compiled) || !as_one_item(subject, policy, peer) {
                    continue;
                }
                let message = format!(
                    "both selectors must hold (AND), and no pod meets both, so this peer of {} is nobody",
                    policy.id.name
                );
                let field = peer_field(direction, index, number);
                let finding = Finding::new(&object, message).at(field, peer.at(), "one item");
                findings.push(finding.help("if either is enough, make it two items: put a `-` before podSelector too"));
            }
        }
    }
}

/// Whether a peer with both selectors, which no pod meets, makes sense as two items: pods of the policy's
/// own namespace meet the one, and the namespaces of the other have pods.
pub(crate) fn as_one_item(subject: &Subject<'_>, policy: &NetworkPolicy, peer: &Peer) -> bool {
    let Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } = peer else { return false };
    if pods.is_everything() || namespaces.is_everything() {
        return false;
    }
    let own = subject.index.identities_in(&policy.id.namespace);
    own.iter().any(|id| matches(pods, &subject.program.identity(*id).labels)) && {
        let others = subject.index.namespaces_matching(namespaces);
        others.iter().any(|namespace| !subject.index.identities_in(&namespace.name).is_empty())
    }
}

type Item<'p> = (&'p LabelSelector, &'p RulePeer);

/// A namespaceSelector alone, then a podSelector alone.
fn apart<'p>(first: &(&'p Peer, &'p RulePeer), second: &(&'p Peer, &'p RulePeer)) -> Option<(Item<'p>, Item<'p>)> {
    let Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods: all, .. } = first.0 else { return None };
    let Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } = second.0 else { return None };
    (all.is_everything() && !pods.is_everything()).then_some(((namespaces, first.1), (pods, second.1)))
}

fn is_nobody(subject: &Subject<'_>, peer: &RulePeer) -> bool {
    matches!(peer, RulePeer::Pods { members, .. } if subject.program.members(*members).is_empty())
}

/// Whether some of a peer's pods meet a selector.
fn some_of(subject: &Subject<'_>, peer: &RulePeer, pods: &LabelSelector) -> bool {
    let RulePeer::Pods { members, .. } = peer else { return false };
    let mut members = subject.program.selected(*members).take(MOST_PODS);
    members.any(|id| matches(pods, &subject.program.identity(id).labels))
}
