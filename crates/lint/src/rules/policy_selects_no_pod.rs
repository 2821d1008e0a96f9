//! A policy that selects no pod
//!
//! ## What it does
//! Finds policies whose `podSelector` matches no pod of their namespace, when the input has pods.
//!
//! ## Why is this bad
//! The policy protects nothing. Most often a label was misspelt, or the policy is in another namespace
//! than the pods.
//!
//! ## Example
//! ```yaml
//! spec:
//!   podSelector:
//!     matchLabels: {app: bakend}
//! ```
//!
//! ## Use instead
//! The label that the pods carry: `kubectl get pods --show-labels`.
//!
//! ## Where it comes from
//! NetworkPolicySpec.podSelector selects pods of the policy's own namespace only.

use super::contradictory_selector::contradiction;
use crate::{Finding, Level, Lint, Subject, nearest::nearest_label, subject::place};

pub(crate) const LINT: Lint = Lint {
    code: "NP105",
    name: "policy-selects-no-pod",
    level: Some(Level::Warning),
    source: include_str!("policy_selects_no_pod.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.has_pods {
        return;
    }
    for (id, policy, object) in subject.policies() {
        let selected = subject.program.subjects_of(id).map(|selector| subject.program.members(selector).len());
        if selected != Some(0) || subject.selects_host_network(policy) || contradiction(&policy.subject).is_some() {
            continue;
        }
        let namespace = &policy.id.namespace;
        let message = match policy.subject.is_everything() {
            true => format!("{} selects no pod: namespace {namespace} has none", policy.id.name),
            false => format!("{} selects no pod: none of namespace {namespace} is {}", policy.id.name, policy.subject),
        };
        let at = place(&policy.subject).or(policy.at);
        let mut finding = Finding::new(&object, message).at("spec.podSelector", at, "matches no pod");
        let labels = subject.index.labels_in(namespace);
        if let Some(near) = nearest_label(&policy.subject, || labels.iter().copied()) {
            finding = finding.help(format!("did you mean `{near}`?"));
        } else if let Some(other) = subject.index.elsewhere(&policy.subject, namespace) {
            finding = finding.help(format!(
                "namespace {} has such pods; a policy selects pods of its own namespace",
                other.id.namespace
            ));
        }
        findings.push(finding);
    }
}
