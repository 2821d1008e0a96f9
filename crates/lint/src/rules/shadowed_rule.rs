//! A cluster-wide rule that an earlier one shadows
//!
//! ## What it does
//! Finds rules of a cluster-wide policy that can never act, whatever pods come and go: an earlier rule of the
//! same list matches everything that they match.
//!
//! ## Why is this bad
//! The first rule that matches acts. A Deny behind an Accept of the same peers denies nothing.
//!
//! ## Example
//! ```yaml
//! ingress:
//! - {action: Accept, from: [{namespaces: {}}]}
//! - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}
//! ```
//!
//! ## Use instead
//! ```yaml
//! ingress:
//! - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}
//! - {action: Accept, from: [{namespaces: {}}]}
//! ```
//!
//! ## Where it comes from
//! ClusterNetworkPolicy v1alpha2: rules are asked in order.

use palisade_engine::model::Direction;

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP602",
    name: "shadowed-rule",
    level: Some(Level::Warning),
    source: include_str!("shadowed_rule.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let program = subject.program;
    for (id, policy) in subject.cluster.cluster_policies() {
        for direction in Direction::ALL {
            let rules = policy.rules(direction);
            for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_understood()) {
                let Some(narrow) = program.rule_of(id, direction, index) else { continue };
                let wider = (0..index).find(|earlier| {
                    let wide = program.rule_of(id, direction, *earlier);
                    wide.is_some_and(|wide| program.covers(wide, narrow))
                });
                let Some((wider, earlier)) = wider.and_then(|place| Some((place, rules.get(place)?))) else { continue };
                let what = if earlier.action == rule.action { "already does" } else { "is first, and it does" };
                let message =
                    format!("{direction}[{index}] never acts: {direction}[{wider}] {what} {}", earlier.action);
                let finding = Finding::new(format!("{} {}", policy.kind, policy.name), message);
                let finding = finding.at(format!("spec.{direction}[{index}]"), rule.at, "never reached");
                findings.push(finding.also(earlier.at, "matches all of it"));
            }
        }
    }
}
