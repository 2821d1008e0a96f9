//! A UDP port allowed as TCP
//!
//! ## What it does
//! Finds ports of services that use UDP (DNS uses it first), allowed for TCP and nowhere in the policy for UDP.
//! A port that the pods declare for TCP is left alone.
//!
//! ## Why is this bad
//! A port without `protocol` is TCP. The rule then allows what nobody sends.
//!
//! ## Example
//! ```yaml
//! ports:
//! - port: 123     # NTP is UDP
//! ```
//!
//! ## Use instead
//! ```yaml
//! ports:
//! - {protocol: UDP, port: 123}
//! ```
//!
//! ## Where it comes from
//! NetworkPolicyPort.protocol defaults to TCP; the ports are IANA's.

use palisade_engine::model::{PortMatch, Protocol};

use crate::{Finding, Level, Lint, Subject, subject::port_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP304",
    name: "udp-port-as-tcp",
    level: Some(Level::Warning),
    source: include_str!("udp_port_as_tcp.rs"),
    check,
};

/// Ports that are used over UDP (DNS over both, but over UDP first), with who uses them.
const UDP_PORTS: [(u16, &str); 15] = [
    (53, "DNS"),
    (67, "DHCP"),
    (68, "DHCP"),
    (69, "TFTP"),
    (123, "NTP"),
    (137, "NetBIOS"),
    (138, "NetBIOS"),
    (161, "SNMP"),
    (162, "SNMP"),
    (500, "IKE"),
    (1812, "RADIUS"),
    (1813, "RADIUS"),
    (5353, "mDNS"),
    (4789, "VXLAN"),
    (51820, "WireGuard"),
];

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, rule) in subject.rules(id) {
            for (number, port) in rule.ports.iter().enumerate() {
                let PortMatch::Range(range) = port.port else { continue };
                let known = UDP_PORTS.iter().find(|(known, _)| range.first() == *known && range.last() == *known);
                let Some((known, user)) = known.filter(|_| port.protocol == Protocol::Tcp) else { continue };
                let ports = policy.rules(direction).iter().flat_map(|rule| &rule.ports);
                let over_udp = ports.filter(|other| other.protocol == Protocol::Udp).any(|other| match &other.port {
                    PortMatch::All => true,
                    PortMatch::Range(range) => range.contains(*known),
                    PortMatch::Named(name) => *known == 53 && name.contains("dns"),
                });
                let declared = || {
                    let mut pods = subject.destinations(id, direction, index);
                    pods.any(|pods| subject.index.declared(pods).contains(&(Protocol::Tcp, *known)))
                };
                if over_udp || (*known != 53 && declared()) {
                    continue;
                }
                let message =
                    format!("port {known} is {user}, which uses UDP, and {} allows it for TCP alone", policy.id.name);
                let finding = Finding::new(&object, message).at(port_field(direction, index, number), port.at, "TCP");
                findings.push(finding.help("a port without `protocol` is TCP: add `protocol: UDP`"));
            }
        }
    }
}
