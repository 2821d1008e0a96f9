//! An ipBlock that is only a Service's address
//!
//! ## What it does
//! Finds ipBlocks that hold the cluster address of a Service and no pod and no node: a single address, or a
//! range no wider than clusters have for Services (a /12, or a /108 of IPv6).
//!
//! ## Why is this bad
//! A Service's address is translated to a pod's before a policy sees the packet: the rule never matches.
//!
//! ## Example
//! ```yaml
//! - ipBlock: {cidr: 10.96.0.10/32}     # the Service kube-dns
//! ```
//!
//! ## Use instead
//! ```yaml
//! - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
//!   podSelector: {matchLabels: {k8s-app: kube-dns}}
//! ```
//!
//! ## Where it comes from
//! The Kubernetes documentation on ipBlock and rewritten addresses.

use palisade_engine::{model::Peer, sets::PrefixSet};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP402",
    name: "service-address",
    level: Some(Level::Warning),
    source: include_str!("service_address.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::IpBlock(block) = peer else { continue };
                let set = PrefixSet::block(block.cidr, &block.except);
                let single = block.cidr.prefix_len() == block.cidr.max_prefix_len();
                // A wider one is a company's network, of which Services are only a part.
                let narrow = block.cidr.prefix_len() >= if block.cidr.addr().is_ipv4() { 12 } else { 108 };
                if !narrow || subject.index.pods_at(&set).is_some() || subject.index.holds_node(&set) {
                    continue;
                }
                let Some(service) = subject.index.service_at(&set) else { continue };
                let message = match single {
                    true => format!(
                        "{} of {} is the address of the Service {}, which policies never see",
                        block.cidr, policy.id.name, service.id
                    ),
                    false => format!(
                        "{} of {} holds the address of the Service {} and no pod: policies never see Services",
                        block.cidr, policy.id.name, service.id
                    ),
                };
                let field = format!("{}.ipBlock.cidr", peer_field(direction, index, number));
                let finding = Finding::new(&object, message).at(
                    field,
                    block.cidr_at.or(block.at),
                    "does not match after translation",
                );
                findings
                    .push(finding.also(service.at, "the Service").help("select the pods behind it by their labels"));
            }
        }
    }
}
