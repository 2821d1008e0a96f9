//! A peer's podSelector that matches no pod
//!
//! ## What it does
//! Finds peers whose `podSelector` matches no pod of the namespaces it is about, when the input has pods.
//!
//! ## Why is this bad
//! The peer is nobody, so the rule allows nothing by it.
//!
//! ## Example
//! ```yaml
//! - podSelector:
//!     matchLabels: {app: bakend}
//! ```
//!
//! ## Use instead
//! The label that the pods carry; for pods of another namespace, a `namespaceSelector` beside it.
//!
//! ## Where it comes from
//! A `podSelector` without a `namespaceSelector` selects pods of the policy's own namespace.

use palisade_engine::{
    compile::{Peers, RulePeer},
    model::{NamespaceScope, Peer},
};

use super::{and_or::as_one_item, contradictory_selector::contradiction};
use crate::{
    Finding, Level, Lint, Subject,
    index::matches,
    nearest::{Hints, nearest_label},
    subject::{peer_field, place},
};

pub(crate) const LINT: Lint = Lint {
    code: "NP202",
    name: "pod-selector-matches-nothing",
    level: Some(Level::Warning),
    source: include_str!("pod_selector_matches_nothing.rs"),
    check,
};

/// Namespaces whose pods' labels are compared.
const MOST_NAMESPACES: usize = 50;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_pods {
        return;
    }
    let mut hints = Hints::default();
    for (id, policy, object) in subject.policies() {
        for (direction, index, written) in subject.rules(id) {
            let Some(rule) = subject.compiled(id, direction, index) else { continue };
            let Peers::Of(peers) = &subject.program.rule(rule).peers else { continue };
            for (number, (peer, compiled)) in written.peers.iter().zip(peers).enumerate() {
                let (Peer::Pods { namespaces, pods, at }, RulePeer::Pods { members, .. }) = (peer, compiled) else {
                    continue;
                };
                if pods.is_everything()
                    || !subject.program.members(*members).is_empty()
                    || contradiction(pods).is_some()
                    || as_one_item(subject, policy, peer)
                {
                    continue;
                }
                let (meant, whose): (Vec<&str>, String) = match namespaces {
                    NamespaceScope::Own => (vec![&policy.id.namespace], format!("namespace {}", policy.id.namespace)),
                    NamespaceScope::Matching(selector) => {
                        let matching = subject.index.namespaces_matching(selector);
                        (
                            matching.iter().map(|namespace| namespace.name.as_str()).collect(),
                            "those namespaces".to_owned(),
                        )
                    }
                };
                // A namespace without pods may be somebody else's part of the input.
                let has_pods = |namespace: &&str| {
                    !subject.index.pods_in(namespace).is_empty() || !subject.index.host_pods_in(namespace).is_empty()
                };
                if !meant.iter().any(has_pods) {
                    continue;
                }
                let field = format!("{}.podSelector", peer_field(direction, index, number));
                let message = format!("no pod of {whose} is {pods}, so this peer of {} is nobody", policy.id.name);
                let mut finding = Finding::new(&object, message).at(field, place(pods).or(*at), "matches no pod");
                let mut hosts = meant.iter().flat_map(|namespace| subject.index.host_pods_in(namespace));
                let labels: Vec<_> =
                    meant.iter().take(MOST_NAMESPACES).map(|namespace| subject.index.labels_in(namespace)).collect();
                if let Some(host) = hosts.find(|pod| matches(pods, &pod.labels)) {
                    finding = finding.help(format!(
                        "{} has these labels, but host-network pods are their node: only an ipBlock takes them",
                        host.id
                    ));
                } else if let Some(near) = hints.of(format!("{pods} in {}", meant.join(",")), || {
                    nearest_label(pods, || labels.iter().flat_map(|labels| labels.iter().copied()))
                }) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                } else if let Some(other) = subject.index.elsewhere(pods, &policy.id.namespace) {
                    finding = finding.help(format!(
                        "namespace {0} has such pods: `namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {0}}}}}`",
                        other.id.namespace
                    ));
                }
                findings.push(finding);
            }
        }
    }
}
