//! An ipBlock that is only a Service's address
//!
//! ## What it does
//! Finds ipBlocks that hold the cluster address of a Service and no pod and no node.
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
                let services = subject.cluster.services();
                let Some(service) =
                    services.iter().find(|service| service.addresses.iter().any(|address| set.contains(*address)))
                else {
                    continue;
                };
                let pods = subject.cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
                let nodes = subject.cluster.nodes().flat_map(|(_, node)| node.addresses.iter().copied());
                if block.cidr.prefix_len() == 0 || pods.chain(nodes).any(|address| set.contains(address)) {
                    continue;
                }
                let message = format!(
                    "{} of {} is about the address of the Service {}, which policies never see",
                    block.cidr, policy.id.name, service.id
                );
                let field = format!("{}.ipBlock.cidr", peer_field(direction, index, number));
                let finding = Finding::new(&object, message).at(
                    field,
                    block.cidr_at.or(block.at),
                    "never matches after translation",
                );
                findings
                    .push(finding.also(service.at, "the Service").help("select the pods behind it by their labels"));
            }
        }
    }
}
