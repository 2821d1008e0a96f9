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
    model::{Labels, NamespaceScope, Peer},
};

use crate::{Finding, Level, Lint, Subject, nearest::nearest_label, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP202",
    name: "pod-selector-matches-nothing",
    level: Some(Level::Warning),
    source: include_str!("pod_selector_matches_nothing.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_pods {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, written) in subject.rules(id) {
            let Some(rule) = subject.compiled(id, direction, index) else { continue };
            let Peers::Of(peers) = &subject.program.rule(rule).peers else { continue };
            for (number, (peer, compiled)) in written.peers.iter().zip(peers).enumerate() {
                let (Peer::Pods { namespaces, pods, at }, RulePeer::Pods { members, .. }) = (peer, compiled) else {
                    continue;
                };
                if pods.is_everything() || !subject.program.members(*members).is_empty() {
                    continue;
                }
                let meant = |namespace: &str| match namespaces {
                    NamespaceScope::Own => *policy.id.namespace == *namespace,
                    NamespaceScope::Matching(selector) => {
                        subject.cluster.namespace(namespace).is_some_and(|ns| subject.matches(selector, &ns.labels))
                    }
                };
                if !subject.cluster.namespaces().any(|namespace| meant(&namespace.name)) {
                    continue;
                }
                let field = format!("{}.podSelector", peer_field(direction, index, number));
                let place = pods.requirements.first().and_then(|requirement| requirement.at).or(pods.at).or(*at);
                let whose = match namespaces {
                    NamespaceScope::Own => format!("namespace {}", policy.id.namespace),
                    NamespaceScope::Matching(_) => "those namespaces".to_owned(),
                };
                let message = format!("no pod of {whose} is {pods}, so this peer of {} is nobody", policy.id.name);
                let mut finding = Finding::new(&object, message).at(field, place, "matches no pod");
                let live = || subject.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_live());
                let labels: Vec<&Labels> =
                    live().filter(|pod| meant(&pod.id.namespace)).map(|pod| &pod.labels).collect();
                if let Some(near) = nearest_label(pods, &labels) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                } else if let Some(other) = live().find(|pod| subject.matches(pods, &pod.labels)) {
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
