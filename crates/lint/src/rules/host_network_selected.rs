//! Host-network pods that a policy seems to select
//!
//! ## What it does
//! Finds policies whose `podSelector` matches the labels of pods with `hostNetwork: true`.
//!
//! ## Why is this bad
//! Such a pod uses its node's network and address. No policy applies to it, whatever the labels say.
//!
//! ## Example
//! A policy for `app: node-exporter`, whose pods run in the host network.
//!
//! ## Use instead
//! The node's own firewall; or take the pods off the host network.
//!
//! ## Where it comes from
//! The Kubernetes documentation: NetworkPolicy and hostNetwork pods.

use crate::{Finding, Level, Lint, Subject, subject::place};

pub(crate) const LINT: Lint = Lint {
    code: "NP503",
    name: "host-network-selected",
    level: Some(Level::Warning),
    source: include_str!("host_network_selected.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (_, policy, object) in subject.policies() {
        // A policy for all pods is not about these.
        if policy.subject.is_everything() {
            continue;
        }
        let mut pods = subject.host_network_pods(policy).filter(|pod| !subject.wishes.at(pod.at, LINT.code));
        let Some(first) = pods.next() else { continue };
        let more = pods.count();
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message =
            format!("{} has no effect on {}{others}: host-network pods are their node", policy.id.name, first.id);
        let at = place(&policy.subject).or(policy.at);
        findings.push(
            Finding::new(&object, message)
                .at("spec.podSelector", at, "matches host-network pods")
                .also(first.at, "hostNetwork: true")
                .help("only ipBlock peers of other policies, and the node's own firewall, concern these pods"),
        );
    }
}
