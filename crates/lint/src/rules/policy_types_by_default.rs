//! policyTypes left to its default while egress rules exist
//!
//! ## What it does
//! Finds policies with `egress` rules, without `ingress` rules and without `policyTypes`. Who wrote rules for
//! both directions meant both.
//!
//! ## Why is this bad
//! The default lists Ingress always, and Egress because there are egress rules. A policy that was meant
//! to be about egress alone then isolates ingress too, and without ingress rules nobody reaches the pods.
//!
//! ## Example
//! ```yaml
//! spec:
//!   podSelector: {}
//!   egress:
//!   - {}
//! ```
//!
//! ## Use instead
//! ```yaml
//!   policyTypes: [Egress]
//! ```
//!
//! ## Where it comes from
//! NetworkPolicySpec.policyTypes in the API reference.

use palisade_manifest::{Safety, fix::Value};

use crate::{Finding, Level, Lint, Subject, finding::add};

pub(crate) const LINT: Lint = Lint {
    code: "NP102",
    name: "policy-types-by-default",
    level: Some(Level::Warning),
    source: include_str!("policy_types_by_default.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (_, policy, object) in subject.policies() {
        if policy.policy_types.is_some() || policy.egress.is_empty() || !policy.ingress.is_empty() {
            continue;
        }
        let message = format!(
            "{} leaves policyTypes to the default, Ingress and Egress: its pods take no connection by it",
            policy.id.name
        );
        let finding =
            Finding::new(&object, message).at("spec.policyTypes", policy.at, "egress rules alone, and no policyTypes");
        let finding = finding.help("write `policyTypes: [Egress]` if only egress is meant, else `[Ingress, Egress]`");
        let both = Value::List(vec![Value::text("Ingress"), Value::text("Egress")]);
        let fix = add(policy, Safety::Safe, "spec.policyTypes", both, "write `policyTypes: [Ingress, Egress]`");
        findings.push(finding.fix(fix));
    }
}
