//! A Service's port where the pods listen on another
//!
//! ## What it does
//! Finds port numbers that none of the pods they are about declares, while a Service of these pods has
//! that port and sends it to another one.
//!
//! ## Why is this bad
//! Policies see packets after Service translation: the port is the pod's, never the Service's. The rule
//! allows a port where nobody listens, and not the one where the pods do.
//!
//! ## Example
//! A Service with `port: 80, targetPort: 8080`, and a policy that allows port 80 to its pods.
//!
//! ## Use instead
//! ```yaml
//! ports:
//! - port: 8080
//! ```
//!
//! ## Where it comes from
//! The Kubernetes documentation: policies apply to the pods' addresses and ports.

use palisade_engine::{
    compile::IdentityId,
    model::{Direction, Pod, PolicyId, PolicyPort, PortMatch, Service, ServicePort, TargetPort},
};

use crate::{Finding, Level, Lint, Subject, index::matches, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP302",
    name: "service-port",
    level: Some(Level::Warning),
    source: include_str!("service_port.rs"),
    check,
};

/// Kinds of pods whose Services are looked at.
const MOST: usize = 64;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, port) in rule.ports.iter().enumerate() {
                let Sent::Elsewhere(service, target) = sent(subject, id, direction, index, port) else { continue };
                let PortMatch::Range(range) = port.port else { continue };
                let message = format!(
                    "{range} is the port of the Service {}, and policies see that of its pods, {target}",
                    service.id
                );
                let finding = Finding::new(&object, message).at(
                    port_field(direction, index, number),
                    port.at,
                    format!("write `port: {target}`"),
                );
                findings.push(
                    finding
                        .also(service.at, format!("sends {range} to {target}"))
                        .help(format!("{} allows a port where nobody listens", policy.id.name)),
                );
            }
        }
    }
}

/// What is known of a single port that a rule allows, on the pods it is about.
pub(crate) enum Sent<'a> {
    /// A pod declares it, or a Service sends to it.
    There,
    /// A Service takes it and sends it to another port.
    Elsewhere(&'a Service, u16),
    /// Nothing.
    Unknown,
}

/// What is known of a port of a rule.
pub(crate) fn sent<'a>(
    subject: &Subject<'a>,
    policy: PolicyId,
    direction: Direction,
    index: usize,
    port: &PolicyPort,
) -> Sent<'a> {
    let PortMatch::Range(range) = port.port else { return Sent::Unknown };
    let declares = |identity: IdentityId| {
        let ports = subject.index.declared(identity);
        ports.iter().any(|(protocol, number)| *protocol == port.protocol && range.contains(*number))
    };
    if subject.destinations(policy, direction, index).any(declares) {
        return Sent::There;
    }
    let mut found = Sent::Unknown;
    for identity in subject.destinations(policy, direction, index).take(MOST) {
        let Some(pod) = subject.pods(identity).next() else { continue };
        for service in subject.index.services_in(&pod.id.namespace).iter().filter(|service| selects(service, pod)) {
            for offered in service.ports.iter().filter(|offered| offered.protocol == port.protocol) {
                let Some(target) = target(offered, pod) else { continue };
                if range.contains(target) {
                    return Sent::There;
                }
                if range.first() == range.last() && range.contains(offered.port) && matches!(found, Sent::Unknown) {
                    found = Sent::Elsewhere(service, target);
                }
            }
        }
    }
    found
}

fn selects(service: &Service, pod: &Pod) -> bool {
    service.selector.as_ref().is_some_and(|selector| !selector.is_everything() && matches(selector, &pod.labels))
}

fn target(offered: &ServicePort, pod: &Pod) -> Option<u16> {
    match &offered.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Named(name) => {
            pod.ports.iter().find(|p| p.name.as_ref() == Some(name) && p.protocol == offered.protocol).map(|p| p.port)
        }
    }
}
