//! Ports of one rule that overlap
//!
//! ## What it does
//! Finds two items of one rule's `ports` with ports in common.
//!
//! ## Why is this bad
//! It allows nothing more, and whoever changes one of them believes to have changed what is allowed.
//!
//! ## Example
//! ```yaml
//! ports:
//! - {port: 8000, endPort: 8100}
//! - {port: 8080}
//! ```
//!
//! ## Use instead
//! One of them.
//!
//! ## Where it comes from
//! The items of `ports` are alternatives.

use palisade_engine::model::{PolicyPort, PortMatch, PortRange};

use crate::{Finding, Level, Lint, Subject, finding::remove, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP305",
    name: "overlapping-ports",
    level: Some(Level::Warning),
    source: include_str!("overlapping_ports.rs"),
    check,
};

/// A rule with more ports than this was not written by hand.
const MOST: usize = 1_000;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id).filter(|(.., rule)| rule.ports.len() <= MOST) {
            for (number, port) in rule.ports.iter().enumerate() {
                let mut before = rule.ports.iter().take(number).enumerate();
                let Some((first, earlier)) = before.find(|(_, earlier)| overlap(earlier, port)) else {
                    continue;
                };
                let message = format!("{port} and {earlier} of one rule overlap");
                let finding = Finding::new(&object, message).at(
                    port_field(direction, index, number),
                    port.at,
                    "allowed already, in whole or in part",
                );
                let needless = match (holds(earlier, port), holds(port, earlier)) {
                    (true, _) => Some(number),
                    (false, true) => Some(first),
                    (false, false) => None,
                };
                let fix = needless.and_then(|item| {
                    remove(policy, port_field(direction, index, item), "take the one out that the other holds")
                });
                findings.push(finding.also(earlier.at, "by this one").fix(fix));
            }
        }
    }
}

fn range(port: &PolicyPort) -> Option<PortRange> {
    match &port.port {
        PortMatch::All => Some(PortRange::ALL),
        PortMatch::Range(range) => Some(*range),
        PortMatch::Named(_) => None,
    }
}

/// Whether one holds all of another, which overlaps with it.
fn holds(wide: &PolicyPort, narrow: &PolicyPort) -> bool {
    match (range(wide), range(narrow)) {
        (Some(wide), Some(narrow)) => wide.first() <= narrow.first() && narrow.last() <= wide.last(),
        (Some(PortRange::ALL), None) => true,
        _ => wide.port == narrow.port,
    }
}

fn overlap(a: &PolicyPort, b: &PolicyPort) -> bool {
    a.protocol == b.protocol
        && match (range(a), range(b)) {
            (Some(a), Some(b)) => a.first() <= b.last() && b.first() <= a.last(),
            // All ports of the protocol hold the one with a name.
            (Some(PortRange::ALL), None) | (None, Some(PortRange::ALL)) => true,
            _ => a.port == b.port,
        }
}
