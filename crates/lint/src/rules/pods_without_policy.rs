//! Pods under no policy at all
//!
//! ## What it does
//! Finds pods that no policy selects, in namespaces without any ingress policy, when the input has policies.
//! The cluster's own namespaces (`kube-system`) are left alone.
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

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    compile::IdentityId,
    model::{Direction, Name, Pod},
};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP504",
    name: "pods-without-policy",
    level: Some(Level::Note),
    source: include_str!("pods_without_policy.rs"),
    check,
};

/// Namespaces whose pods come with the cluster.
const OF_THE_CLUSTER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if subject.cluster.policies().len() == 0 {
        return;
    }
    let closed = |id: &IdentityId| {
        let open = |direction| subject.program.profile(subject.program.profile_of(*id, direction)).is_open();
        !Direction::ALL.into_iter().all(open)
    };
    let own = |namespace: &Name| OF_THE_CLUSTER.contains(&namespace.as_str());
    let mut open: BTreeMap<&Name, Vec<IdentityId>> = BTreeMap::new();
    for (id, identity) in subject.program.identities().filter(|(id, known)| !closed(id) && !own(&known.namespace)) {
        open.entry(&identity.namespace).or_default().push(id);
    }
    let mut with_policies: BTreeSet<&Name> = BTreeSet::new();
    for (id, policy) in subject.cluster.policies() {
        with_policies.insert(&policy.id.namespace);
        // Where ingress policies are used, NP106 tells of the pods that none of them selects.
        if subject.program.affects(id, Direction::Ingress) {
            open.remove(&policy.id.namespace);
        }
    }
    for (namespace, identities) in open {
        let silent = |pod: &&Pod| subject.wishes.at(pod.at, LINT.code);
        let mut pods = identities.iter().flat_map(|id| subject.pods(*id)).filter(|pod| !silent(pod));
        let Some(first) = pods.next() else { continue };
        let count = pods.count() + 1;
        let message = match (with_policies.contains(namespace), count) {
            (false, 1) => format!("namespace {namespace} has no policy: its pod is open in both directions"),
            (false, _) => format!("namespace {namespace} has no policy: its {count} pods are open in both directions"),
            (true, 1) => {
                format!("no policy of namespace {namespace} selects {}: it is open in both directions", first.id.name)
            }
            (true, _) => format!(
                "no policy of namespace {namespace} selects {count} of its pods: they are open in both directions"
            ),
        };
        let at = subject.cluster.namespace(namespace).and_then(|namespace| namespace.at).or(first.at);
        let finding = Finding::new(format!("Namespace {namespace}"), message);
        findings.push(
            finding
                .at("metadata.name", at, "under no policy")
                .help(format!("begin with a policy with `podSelector: {{}}` and both `policyTypes` in {namespace}")),
        );
    }
}
