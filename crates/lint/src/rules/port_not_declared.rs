//! A port that no selected pod declares
//!
//! ## What it does
//! Finds ingress rules for a port number that none of the pods the policy selects declares, while they do
//! declare others.
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

use palisade_engine::model::{Direction, Pod, PortMatch};

use crate::{Finding, Level, Lint, Subject, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP303",
    name: "port-not-declared",
    level: Some(Level::Note),
    source: include_str!("port_not_declared.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id).filter(|(direction, ..)| *direction == Direction::Ingress) {
            for (number, port) in rule.ports.iter().enumerate() {
                let PortMatch::Range(range) = port.port else { continue };
                let pods: Vec<&Pod> = subject
                    .destinations(id, direction, index)
                    .into_iter()
                    .flat_map(|identity| subject.pods(identity))
                    .collect();
                let mut declared: Vec<String> = pods
                    .iter()
                    .flat_map(|pod| &pod.ports)
                    .map(|declared| format!("{} {}", declared.protocol, declared.port))
                    .collect();
                let meets =
                    |pod: &&Pod| pod.ports.iter().any(|p| range.contains(p.port) && p.protocol == port.protocol);
                if declared.is_empty() || pods.iter().any(meets) {
                    continue;
                }
                declared.sort();
                declared.dedup();
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
