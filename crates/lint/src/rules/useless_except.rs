//! An except that takes nothing away
//!
//! ## What it does
//! Finds entries of `except` that lie inside another entry.
//!
//! ## Why is this bad
//! It changes nothing, and reads as if it did.
//!
//! ## Example
//! ```yaml
//! ipBlock:
//!   cidr: 0.0.0.0/0
//!   except: [10.0.0.0/8, 10.1.0.0/16]
//! ```
//!
//! ## Use instead
//! ```yaml
//!   except: [10.0.0.0/8]
//! ```
//!
//! ## Where it comes from
//! IPBlock.except in the API reference.

use palisade_engine::model::Peer;

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP404",
    name: "useless-except",
    level: Some(Level::Warning),
    source: include_str!("useless_except.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, _, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::IpBlock(block) = peer else { continue };
                for (entry, except) in block.except.iter().enumerate() {
                    let outer = block.except.iter().enumerate().find(|(other, outer)| {
                        *other != entry && outer.contains(except) && (*outer != except || *other < entry)
                    });
                    let Some((other, outer)) = outer else { continue };
                    let message = format!("the except {except} takes nothing away that {outer} does not");
                    let field = format!("{}.ipBlock.except[{entry}]", peer_field(direction, index, number));
                    let at = block.except_at.get(entry).copied().or(block.at);
                    let finding = Finding::new(&object, message).at(field, at, "inside the other");
                    findings.push(finding.also(block.except_at.get(other).copied(), "the other"));
                }
            }
        }
    }
}
