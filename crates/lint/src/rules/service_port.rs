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

use palisade_engine::model::{Pod, PortMatch, Service, ServicePort, TargetPort};

use crate::{Finding, Level, Lint, Subject, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP302",
    name: "service-port",
    level: Some(Level::Warning),
    source: include_str!("service_port.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if subject.cluster.services().is_empty() {
        return;
    }
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, port) in rule.ports.iter().enumerate() {
                let PortMatch::Range(range) = port.port else { continue };
                if range.first() != range.last() {
                    continue;
                }
                let pods: Vec<&Pod> = subject
                    .destinations(id, direction, index)
                    .into_iter()
                    .flat_map(|identity| subject.pods(identity))
                    .collect();
                let listens =
                    |pod: &&Pod| pod.ports.iter().any(|p| p.port == range.first() && p.protocol == port.protocol);
                if pods.is_empty() || pods.iter().any(listens) {
                    continue;
                }
                let translated = subject.cluster.services().iter().find_map(|service| {
                    let offered =
                        service.ports.iter().find(|p| p.port == range.first() && p.protocol == port.protocol)?;
                    let pod = pods.iter().find(|pod| selects(subject, service, pod))?;
                    let target = target(offered, pod)?;
                    (target != range.first()).then_some((service, target))
                });
                let Some((service, target)) = translated else { continue };
                let message = format!(
                    "{range} is the port of the Service {}; its pods listen on {target}, and policies see the pods' port",
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

fn selects(subject: &Subject<'_>, service: &Service, pod: &Pod) -> bool {
    service.id.namespace == pod.id.namespace
        && service
            .selector
            .as_ref()
            .is_some_and(|selector| !selector.is_everything() && subject.matches(selector, &pod.labels))
}

fn target(offered: &ServicePort, pod: &Pod) -> Option<u16> {
    match &offered.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Named(name) => {
            pod.ports.iter().find(|p| p.name.as_ref() == Some(name) && p.protocol == offered.protocol).map(|p| p.port)
        }
    }
}
