//! A named port that no pod defines
//!
//! ## What it does
//! Finds named ports that none of the pods they are looked up on has, or has with another protocol.
//!
//! ## Why is this bad
//! A destination without a port of that name and protocol does not match: the rule allows nothing by it.
//!
//! ## Example
//! ```yaml
//! ports:
//! - port: http      # the container calls it `web`
//! ```
//!
//! ## Use instead
//! The name in `spec.containers[].ports[].name`, with its protocol, or the number.
//!
//! ## Where it comes from
//! NetworkPolicyPort.port in the API reference: the name is that of a port on the destination pod.

use palisade_engine::model::{Pod, PortMatch};

use crate::{Finding, Level, Lint, Subject, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP301",
    name: "named-port-undefined",
    level: Some(Level::Warning),
    source: include_str!("named_port_undefined.rs"),
    check,
};

/// Kinds of pods that are looked through for a hint.
const MOST: usize = 1_000;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, port) in rule.ports.iter().enumerate() {
                let PortMatch::Named(name) = &port.port else { continue };
                let mut destinations = subject.destinations(id, direction, index).peekable();
                if destinations.peek().is_none()
                    || destinations
                        .any(|pods| !subject.program.identity(pods).port_numbers(name, port.protocol).is_empty())
                {
                    continue;
                }
                let destinations = || subject.destinations(id, direction, index).take(MOST);
                let pods = || destinations().filter_map(|identity| subject.pods(identity).next());
                let defines =
                    |pod: &Pod| pod.ports.iter().any(|p| p.name.as_ref() == Some(name) && p.protocol != port.protocol);
                let message = format!(
                    "no pod that this rule of {} is about has a {} port named `{name}`",
                    policy.id.name, port.protocol
                );
                let mut finding =
                    Finding::new(&object, message).at(port_field(direction, index, number), port.at, "matches no port");
                if let Some(pod) = pods().find(|pod| defines(pod)) {
                    let other = pod.ports.iter().find(|p| p.name.as_ref() == Some(name)).map(|p| p.protocol);
                    let other = other.map_or_else(String::new, |protocol| protocol.to_string());
                    finding = finding.help(format!("{} has it with {other}: write `protocol: {other}`", pod.id));
                } else {
                    let mut names: Vec<&str> =
                        pods().flat_map(|pod| &pod.ports).filter_map(|p| p.name.as_deref()).collect();
                    names.sort_unstable();
                    names.dedup();
                    if !names.is_empty() {
                        finding = finding.help(format!("their ports are named {}", names.join(", ")));
                    }
                }
                findings.push(finding);
            }
        }
    }
}
