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

use palisade_engine::model::Labels;

use crate::{Finding, Level, Lint, Subject, nearest::nearest_label};

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
        if selected != Some(0) || subject.selects_host_network(policy) {
            continue;
        }
        let namespace = &policy.id.namespace;
        let message = format!("{} selects no pod of namespace {namespace}: {}", policy.id.name, policy.subject);
        let at = policy
            .subject
            .requirements
            .first()
            .and_then(|requirement| requirement.at)
            .or(policy.subject.at)
            .or(policy.at);
        let mut finding = Finding::new(&object, message).at("spec.podSelector", at, "matches no pod");
        let pods = || subject.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_live());
        let labels: Vec<&Labels> = pods().filter(|pod| pod.id.namespace == *namespace).map(|pod| &pod.labels).collect();
        if let Some(near) = nearest_label(&policy.subject, &labels) {
            finding = finding.help(format!("did you mean `{near}`?"));
        } else if let Some(other) = pods().find(|pod| subject.matches(&policy.subject, &pod.labels)) {
            finding = finding.help(format!(
                "namespace {} has such pods; a policy selects pods of its own namespace",
                other.id.namespace
            ));
        }
        findings.push(finding);
    }
}
