//! A namespace with policies but without a default deny
//!
//! ## What it does
//! Finds namespaces in which some pods are isolated for ingress and others are under no ingress policy.
//!
//! ## Why is this bad
//! Pods that no policy selects are open to everyone, those that will be added tomorrow too. Where
//! policies are used, the namespace usually means to be closed.
//!
//! ## Example
//! A namespace with one policy that selects `app: db`, and ten other Deployments.
//!
//! ## Use instead
//! ```yaml
//! kind: NetworkPolicy
//! metadata: {name: default-deny-ingress}
//! spec:
//!   podSelector: {}
//!   policyTypes: [Ingress]
//! ```
//!
//! ## Where it comes from
//! The default policies of the Kubernetes documentation.

use std::collections::BTreeMap;

use palisade_engine::model::{Direction, Name, PolicyId};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP106",
    name: "no-default-deny",
    level: Some(Level::Note),
    source: include_str!("no_default_deny.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut open: BTreeMap<&Name, usize> = BTreeMap::new();
    for (identity, known) in subject.program.identities() {
        if subject.program.profile(subject.program.profile_of(identity, Direction::Ingress)).is_open() {
            *open.entry(&known.namespace).or_default() += known.pods.len();
        }
    }
    let mut first: BTreeMap<&Name, PolicyId> = BTreeMap::new();
    for (id, policy) in subject.cluster.policies().filter(|(id, _)| subject.program.affects(*id, Direction::Ingress)) {
        first.entry(&policy.id.namespace).or_insert(id);
    }
    for (namespace, id) in first {
        let Some(count) = open.get(namespace) else { continue };
        let pods = if *count == 1 { "1 pod stays".to_owned() } else { format!("{count} pods stay") };
        let policy = subject.cluster.policy(id);
        let message = format!("namespace {namespace} has policies but no default deny: {pods} open to everyone");
        let finding = Finding::new(format!("NetworkPolicy {}", policy.id), message);
        let finding = finding.at("spec.podSelector", policy.subject.at.or(policy.at), "selects only some of the pods");
        findings.push(
            finding.help(format!("add a policy with `podSelector: {{}}` and `policyTypes: [Ingress]` to {namespace}")),
        );
    }
}
