//! A peer written twice
//!
//! ## What it does
//! Finds two items of one rule's `from` or `to` that say the same, in whatever order.
//!
//! ## Why is this bad
//! It allows nothing more, and whoever changes one of them believes to have changed what is allowed.
//!
//! ## Example
//! ```yaml
//! from:
//! - podSelector: {matchLabels: {app: web, tier: front}}
//! - podSelector: {matchLabels: {tier: front, app: web}}
//! ```
//!
//! ## Use instead
//! One of them; `--fix` takes the later one out.
//!
//! ## Where it comes from
//! The items of `from` and `to` are alternatives.

use std::collections::{HashMap, hash_map::Entry};

use palisade_engine::model::{LabelSelector, NamespaceScope, Operator, Peer};

use crate::{Finding, Level, Lint, Subject, finding::remove, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP206",
    name: "duplicate-peer",
    level: Some(Level::Warning),
    source: include_str!("duplicate_peer.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id).filter(|(.., rule)| rule.peers.len() > 1) {
            let mut seen: HashMap<String, &Peer> = HashMap::new();
            for (number, peer) in rule.peers.iter().enumerate() {
                let earlier = match seen.entry(said(peer)) {
                    Entry::Occupied(earlier) => *earlier.get(),
                    Entry::Vacant(place) => {
                        place.insert(peer);
                        continue;
                    }
                };
                let message = format!("a peer of {} is written twice in one rule", policy.id.name);
                let field = peer_field(direction, index, number);
                let finding = Finding::new(&object, message).at(&field, peer.at(), "and again here");
                findings.push(finding.also(earlier.at(), "first here").fix(remove(policy, field, "take it out")));
            }
        }
    }
}

/// What a peer says, the same for all that say the same.
fn said(peer: &Peer) -> String {
    match peer {
        Peer::IpBlock(block) => {
            let mut except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
            except.sort();
            except.dedup();
            format!("{} without {}", block.cidr, except.join(" "))
        }
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => format!("pods {}", asked(pods)),
        Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
            format!("pods {} of {}", asked(pods), asked(namespaces))
        }
    }
}

/// The requirements of a selector; no label has a line end or a blank in it.
fn asked(selector: &LabelSelector) -> String {
    let mut asked: Vec<String> = selector
        .requirements
        .iter()
        .map(|requirement| {
            let among = |values: &[palisade_engine::model::Name]| {
                let mut values: Vec<&str> = values.iter().map(|value| &**value).collect();
                values.sort_unstable();
                values.dedup();
                values.join(",")
            };
            match &requirement.operator {
                Operator::In(values) => format!("{} in {}", requirement.key, among(values)),
                Operator::NotIn(values) => format!("{} notin {}", requirement.key, among(values)),
                Operator::Exists => format!("{} exists", requirement.key),
                Operator::DoesNotExist => format!("{} missing", requirement.key),
            }
        })
        .collect();
    asked.sort();
    asked.dedup();
    format!("[{}]", asked.join("\n"))
}
