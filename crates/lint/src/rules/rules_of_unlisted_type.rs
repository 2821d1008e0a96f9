//! Rules of a type that policyTypes does not list
//!
//! ## What it does
//! Finds `ingress` or `egress` rules in a policy whose `policyTypes` lists the other direction only.
//!
//! ## Why is this bad
//! Such rules count for nothing: the policy does not affect that direction. Whoever wrote them meant to
//! allow something, or to isolate, and neither happens.
//!
//! ## Example
//! ```yaml
//! spec:
//!   podSelector: {}
//!   policyTypes: [Ingress]
//!   egress:
//!   - to:
//!     - podSelector: {}
//! ```
//!
//! ## Use instead
//! ```yaml
//!   policyTypes: [Ingress, Egress]
//! ```
//! or take the rules out.
//!
//! ## Where it comes from
//! NetworkPolicySpec.policyTypes in the API reference: a policy affects the directions that are listed.

use palisade_engine::model::Direction;

use crate::{Finding, Level, Lint, Subject, subject::rule_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP101",
    name: "rules-of-unlisted-type",
    level: Some(Level::Warning),
    source: include_str!("rules_of_unlisted_type.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for direction in Direction::ALL {
            let Some(first) = policy.rules(direction).first() else { continue };
            if subject.program.affects(id, direction) {
                continue;
            }
            let listed = match direction {
                Direction::Ingress => "Ingress",
                Direction::Egress => "Egress",
            };
            let message = format!(
                "the {direction} rules of {} count for nothing: policyTypes does not list {listed}",
                policy.id.name
            );
            let finding = Finding::new(&object, message).at(rule_field(direction, 0), first.at, "has no effect");
            findings.push(finding.help(format!("list `{listed}` in spec.policyTypes, or take the rules out")));
        }
    }
}
