//! A port that no selected pod declares
//!
//! ## What it does
//! Finds rules for a port number that none of the pods they are about declares and no Service sends to, while they
//! do declare others: for ingress the pods that the policy selects, for egress the pods that the rule reaches,
//! if it reaches only certain pods and each of them declares some port.
//!
//! ## Why is this bad
//! Containers need not declare their ports, but most do: the number may be a mistake.
//!
//! ## Example
//! A policy allows 8080, and the containers declare 80.
//!
//! ## Use instead
//! The port that the container listens on; or declare it.
//!
//! ## Where it comes from
//! `spec.containers[].ports` is informative; a policy compares numbers with packets.

use palisade_engine::model::{Direction, NamespaceScope, Peer, PolicyId, PolicyRule, PortMatch};

use super::service_port::{Sent, sent};
use crate::{Finding, Level, Lint, Subject, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP303",
    name: "port-not-declared",
    level: Some(Level::Note),
    source: include_str!("port_not_declared.rs"),
    check,
};

/// Kinds of pods, and their ports, that are named.
const MOST: usize = 64;
const MOST_NAMED: usize = 6;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            if direction == Direction::Egress && !reaches_known_pods(subject, id, index, rule) {
                continue;
            }
            for (number, port) in rule.ports.iter().enumerate() {
                if !matches!(port.port, PortMatch::Range(_))
                    || !matches!(sent(subject, id, direction, index, port), Sent::Unknown)
                {
                    continue;
                }
                let pods = subject.destinations(id, direction, index).take(MOST);
                let mut declared: Vec<_> = pods.flat_map(|pods| subject.index.declared(pods)).collect();
                declared.sort();
                declared.dedup();
                if declared.is_empty() {
                    continue;
                }
                let declared: Vec<String> =
                    declared.iter().take(MOST_NAMED).map(|(protocol, port)| format!("{protocol} {port}")).collect();
                let message = match direction {
                    Direction::Ingress => format!("no pod that {} selects declares {port}", policy.id.name),
                    Direction::Egress => {
                        format!("no pod that egress[{index}] of {} reaches declares {port}", policy.id.name)
                    }
                };
                let finding = Finding::new(&object, message).at(
                    port_field(direction, index, number),
                    port.at,
                    "declared by none",
                );
                findings.push(finding.help(format!("they declare {}", declared.join(", "))));
            }
        }
    }
}

/// Whether an egress rule reaches certain pods alone, each of which declares some port: only then a port that
/// none declares is nobody's.
fn reaches_known_pods(subject: &Subject<'_>, policy: PolicyId, index: usize, rule: &PolicyRule) -> bool {
    let certain = |peer: &Peer| match peer {
        Peer::IpBlock(_) => false,
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => !pods.is_everything(),
        Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
            !(pods.is_everything() && namespaces.is_everything())
        }
    };
    // More are not looked at; what cannot be seen whole is not told of.
    let mut pods = subject.destinations(policy, Direction::Egress, index);
    !rule.peers.is_empty()
        && rule.peers.iter().all(certain)
        && pods.by_ref().take(MOST).all(|identity| subject.index.each_declares(identity))
        && pods.next().is_none()
}
