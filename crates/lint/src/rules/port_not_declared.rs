//! A port that no selected pod declares
//!
//! ## What it does
//! Finds ingress rules for a port number that none of the pods the policy selects declares and no Service sends
//! to, while they do declare others.
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

use palisade_engine::model::{Direction, PortMatch};

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
        for (direction, index, rule) in subject.rules(id).filter(|(direction, ..)| *direction == Direction::Ingress) {
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
                let message = format!("no pod that {} selects declares {port}", policy.id.name);
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
