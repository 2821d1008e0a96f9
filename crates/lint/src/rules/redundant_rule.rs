//! A rule that another one makes redundant
//!
//! ## What it does
//! Finds rules that allow nothing which another rule of the same policy and direction does not,
//! whatever pods come and go: by the conditions of the selectors, the addresses and the ports.
//!
//! ## Why is this bad
//! Whoever takes the redundant rule out believes to have closed something.
//!
//! ## Example
//! ```yaml
//! ingress:
//! - from: [{podSelector: {}}]
//! - from: [{podSelector: {matchLabels: {app: web}}}]
//! ```
//!
//! ## Use instead
//! The narrower rule alone, or the wider one alone.
//!
//! ## Where it comes from
//! The union of a policy's rules is what is allowed.

use crate::{Finding, Level, Lint, Subject, finding::remove, subject::rule_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP501",
    name: "redundant-rule",
    level: Some(Level::Warning),
    source: include_str!("redundant_rule.rs"),
    check,
};

/// A policy with more rules than this was not written by hand.
const MOST: usize = 300;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        if policy.ingress.len().max(policy.egress.len()) > MOST {
            continue;
        }
        for (direction, index, rule) in subject.rules(id) {
            let Some(mine) = subject.compiled(id, direction, index) else { continue };
            let mut others = subject.rules(id).filter(|(other, number, _)| *other == direction && *number != index);
            let wider = others.find(|(_, number, _)| {
                let Some(other) = subject.compiled(id, direction, *number) else { return false };
                // Of two equal rules the later one is the redundant one.
                subject.program.covers(other, mine) && (*number < index || !subject.program.covers(mine, other))
            });
            let Some((_, number, other)) = wider else { continue };
            let message = format!(
                "{direction}[{index}] of {} allows nothing that {direction}[{number}] does not",
                policy.id.name
            );
            let finding = Finding::new(&object, message).at(rule_field(direction, index), rule.at, "redundant");
            let fix = remove(policy, rule_field(direction, index), "take the rule out");
            findings.push(finding.also(other.at, "allows all of it").fix(fix));
        }
    }
}
