//! Egress to the whole internet
//!
//! ## What it does
//! Finds egress rules to `0.0.0.0/0` or `::/0` without `except`.
//!
//! ## Why is this bad
//! The whole internet includes the cluster: every pod, every node, the cloud's metadata service at
//! 169.254.169.254. A rule that means "outside" opens the inside too.
//!
//! ## Example
//! ```yaml
//! - to:
//!   - ipBlock: {cidr: 0.0.0.0/0}
//! ```
//!
//! ## Use instead
//! ```yaml
//!   - ipBlock:
//!       cidr: 0.0.0.0/0
//!       except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16]
//! ```
//!
//! ## Where it comes from
//! An ipBlock matches by address alone, pods' addresses included.

use palisade_engine::model::{Direction, Peer};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP405",
    name: "whole-internet-egress",
    level: Some(Level::Note),
    source: include_str!("whole_internet_egress.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id).filter(|(direction, ..)| *direction == Direction::Egress) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::IpBlock(block) = peer else { continue };
                if block.cidr.prefix_len() > 0 || !block.except.is_empty() {
                    continue;
                }
                let message = format!(
                    "{} lets its pods out to {}, and that includes the cluster itself",
                    policy.id.name, block.cidr
                );
                let field = format!("{}.ipBlock.cidr", peer_field(direction, index, number));
                let finding = Finding::new(&object, message).at(
                    field,
                    block.cidr_at.or(block.at),
                    "everything, inside and outside",
                );
                findings.push(finding.help("take the cluster's and the private ranges away with `except`"));
            }
        }
    }
}
