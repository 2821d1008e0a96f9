//! An ipBlock over the addresses of pods
//!
//! ## What it does
//! Finds ipBlocks, other than a whole family, that hold addresses of the cluster's pods.
//!
//! ## Why is this bad
//! Pod addresses come and go: today's database is tomorrow's stranger. Pods are meant by labels.
//!
//! ## Example
//! ```yaml
//! - ipBlock: {cidr: 10.244.1.0/24}     # the pods of a node
//! ```
//!
//! ## Use instead
//! ```yaml
//! - podSelector: {matchLabels: {app: web}}
//! ```
//!
//! ## Where it comes from
//! The Kubernetes documentation: ipBlocks should be cluster-external addresses, since pod addresses are
//! ephemeral.

use palisade_engine::{
    model::{Family, Peer},
    sets::PrefixSet,
};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP401",
    name: "ip-block-over-pods",
    level: Some(Level::Warning),
    source: include_str!("ip_block_over_pods.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::IpBlock(block) = peer else { continue };
                if block.cidr.prefix_len() == 0 {
                    continue;
                }
                let set = PrefixSet::block(block.cidr, &block.except);
                let Some((pod, count)) = subject.index.pods_at(&set) else { continue };
                let others = match count - 1 {
                    0 => String::new(),
                    1 => " and of one more pod".to_owned(),
                    more => format!(" and of {more} more pods"),
                };
                let family = Family::of(block.cidr.addr());
                let message = format!(
                    "the ipBlock {} of {} holds the {family} address of {}{others}",
                    block.cidr, policy.id.name, pod.id
                );
                let field = format!("{}.ipBlock.cidr", peer_field(direction, index, number));
                let finding = Finding::new(&object, message).at(field, block.cidr_at.or(block.at), "holds pods");
                findings.push(finding.help("pod addresses change; select pods by their labels"));
            }
        }
    }
}
