//! The whole of one IP family in a dual-stack cluster
//!
//! ## What it does
//! Finds policies with `0.0.0.0/0` and no `::/0` in a direction, or the reverse, when pods have addresses of
//! both families.
//!
//! ## Why is this bad
//! `0.0.0.0/0` holds no IPv6 address. Clients that come by IPv6 are dropped, or pods that prefer IPv6 wait
//! for a timeout before each connection.
//!
//! ## Example
//! ```yaml
//! - ipBlock: {cidr: 0.0.0.0/0}
//! ```
//!
//! ## Use instead
//! ```yaml
//! - ipBlock: {cidr: 0.0.0.0/0}
//! - ipBlock: {cidr: "::/0"}
//! ```
//!
//! ## Where it comes from
//! An ipBlock is of one family.

use palisade_engine::model::{Family, Peer};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP403",
    name: "one-family-internet",
    level: Some(Level::Warning),
    source: include_str!("one_family_internet.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let dual = subject.cluster.pods().any(|(_, pod)| pod.addresses.v4.is_some() && pod.addresses.v6.is_some());
    if !dual {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            let whole = |peer: &Peer| match peer {
                Peer::IpBlock(block) if block.cidr.prefix_len() == 0 => Some(Family::of(block.cidr.addr())),
                _ => None,
            };
            let found = rule.peers.iter().enumerate().find_map(|(number, peer)| Some((number, peer, whole(peer)?)));
            let Some((number, peer, family)) = found else { continue };
            // The other family may be in a rule of its own.
            let all = policy.rules(direction).iter().flat_map(|rule| &rule.peers);
            if policy.rules(direction).iter().any(|rule| rule.peers.is_empty())
                || all.filter_map(whole).any(|other| other != family)
            {
                continue;
            }
            let (mine, other) = match family {
                Family::V4 => ("0.0.0.0/0", "::/0"),
                Family::V6 => ("::/0", "0.0.0.0/0"),
            };
            let message = format!(
                "{} takes all of {family} and nothing of the other family, and this cluster has both",
                policy.id.name
            );
            let field = format!("{}.ipBlock.cidr", peer_field(direction, index, number));
            let place = match peer {
                Peer::IpBlock(block) => block.cidr_at.or(block.at),
                Peer::Pods { at, .. } => *at,
            };
            let finding = Finding::new(&object, message).at(field, place, format!("{mine} alone"));
            findings.push(finding.help(format!("add an item `ipBlock: {{cidr: \"{other}\"}}`")));
        }
    }
}
