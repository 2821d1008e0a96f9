//! An except that takes nothing away
//!
//! ## What it does
//! Finds entries of `except` that lie inside another entry, and those that another item of the same rule
//! allows again as a whole.
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

use ipnet::IpNet;
use palisade_engine::{
    model::{IpBlock, Peer},
    sets::PrefixSet,
};

use crate::{Finding, Level, Lint, Subject, finding::remove, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP404",
    name: "useless-except",
    level: Some(Level::Warning),
    source: include_str!("useless_except.rs"),
    check,
};

/// Other items of a rule that are looked at.
const MOST: usize = 64;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::IpBlock(block) = peer else { continue };
                let field = |entry: usize| format!("{}.ipBlock.except[{entry}]", peer_field(direction, index, number));
                let at = |entry: usize| block.except_at.get(entry).copied().or(block.at);
                for (entry, other) in inside(&block.except) {
                    let (Some(except), Some(outer)) = (block.except.get(entry), block.except.get(other)) else {
                        continue;
                    };
                    let message = format!("the except {except} takes nothing away that {outer} does not");
                    let finding = Finding::new(&object, message).at(field(entry), at(entry), "inside the other");
                    let finding = finding.also(block.except_at.get(other).copied(), "the other");
                    findings.push(finding.fix(remove(policy, field(entry), "take it out")));
                }
                for (entry, except) in block.except.iter().enumerate() {
                    let Some(again) = allowed_again(&rule.peers, number, *except) else { continue };
                    let message =
                        format!("the except {except} takes nothing away: this rule allows {} too", again.cidr);
                    let finding = Finding::new(&object, message).at(field(entry), at(entry), "allowed all the same");
                    let finding = finding.also(again.cidr_at.or(again.at), "by this item");
                    let finding = finding.help("an except takes away from its own block only; items are alternatives");
                    findings.push(finding.fix(remove(policy, field(entry), "take it out")));
                }
            }
        }
    }
}

/// Which entries lie inside which other ones; of two equal ones the later is inside the earlier.
fn inside(except: &[IpNet]) -> Vec<(usize, usize)> {
    let mut order: Vec<(usize, &IpNet)> = except.iter().enumerate().collect();
    // A prefix comes before all that it holds.
    order.sort_by_key(|(entry, net)| (net.network(), net.prefix_len(), *entry));
    let mut outer: Option<(usize, &IpNet)> = None;
    let mut found = Vec::new();
    for (entry, net) in order {
        match outer {
            Some((other, around)) if around.contains(net) => found.push((entry, other)),
            _ => outer = Some((entry, net)),
        }
    }
    found.sort_unstable();
    found
}

/// Another block of the rule that holds all of an except.
fn allowed_again(peers: &[Peer], own: usize, except: IpNet) -> Option<&IpBlock> {
    let others = peers.iter().enumerate().filter(|(number, _)| *number != own).take(MOST);
    others.into_iter().find_map(|(_, peer)| match peer {
        Peer::IpBlock(block) if block.cidr.contains(&except) => {
            let taken = block.except.iter().copied().collect::<PrefixSet>();
            let wanted = PrefixSet::block(except, &[]);
            (wanted.intersection(&taken).is_empty()).then_some(block)
        }
        _ => None,
    })
}
