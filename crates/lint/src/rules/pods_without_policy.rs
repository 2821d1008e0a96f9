//! Pods under no policy at all
//!
//! ## What it does
//! Finds namespaces without any policy, when other namespaces have some.
//!
//! ## Why is this bad
//! Their pods may connect to everything that does not isolate itself, and take connections from everyone.
//!
//! ## Example
//! A new namespace that nobody has written policies for.
//!
//! ## Use instead
//! A default deny, and rules for what is needed.
//!
//! ## Where it comes from
//! The default policies of the Kubernetes documentation: without any, all traffic is allowed.

use std::collections::BTreeMap;

use palisade_engine::model::{Name, Pod};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP504",
    name: "pods-without-policy",
    level: Some(Level::Note),
    source: include_str!("pods_without_policy.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if subject.cluster.policies().len() == 0 {
        return;
    }
    let mut pods: BTreeMap<&Name, Vec<&Pod>> = BTreeMap::new();
    for (_, pod) in subject.cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network) {
        pods.entry(&pod.id.namespace).or_default().push(pod);
    }
    for (_, policy) in subject.cluster.policies() {
        pods.remove(&policy.id.namespace);
    }
    for (namespace, pods) in pods {
        let Some(first) = pods.first() else { continue };
        let count = if pods.len() == 1 { "its pod is".to_owned() } else { format!("its {} pods are", pods.len()) };
        let at = subject.cluster.namespace(namespace).and_then(|namespace| namespace.at).or(first.at);
        let message = format!("namespace {namespace} has no policy: {count} open in both directions");
        findings.push(Finding::new(format!("Namespace {namespace}"), message).at(
            "metadata.name",
            at,
            "under no policy",
        ));
    }
}
