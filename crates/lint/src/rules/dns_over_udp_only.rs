//! DNS allowed over UDP alone
//!
//! ## What it does
//! Finds egress rules that allow UDP 53 to pods that no policy allows TCP 53.
//!
//! ## Why is this bad
//! An answer that does not fit into a UDP datagram is asked for again over TCP. Small names resolve,
//! large ones do not, and nobody finds out why.
//!
//! ## Example
//! ```yaml
//!     ports:
//!     - {protocol: UDP, port: 53}
//! ```
//!
//! ## Use instead
//! ```yaml
//!     ports:
//!     - {protocol: UDP, port: 53}
//!     - {protocol: TCP, port: 53}
//! ```
//!
//! ## Where it comes from
//! RFC 7766: DNS over TCP is not optional.

use std::collections::HashSet;

use palisade_engine::{
    compile::ProfileId,
    model::{Direction, PolicyId, PolicyRule, PortMatch, Protocol},
};

use palisade_manifest::{Safety, fix::Value};

use crate::{
    Finding, Level, Lint, Subject,
    finding::add,
    subject::{port_field, rule_field},
};

pub(crate) const LINT: Lint = Lint {
    code: "NP104",
    name: "dns-over-udp-only",
    level: Some(Level::Note),
    source: include_str!("dns_over_udp_only.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let profiles = subject.program.identities().map(|(id, _)| subject.program.profile_of(id, Direction::Egress));
    let profiles: HashSet<ProfileId> = profiles.collect();
    let with_tcp: HashSet<ProfileId> = profiles.into_iter().filter(|id| takes_tcp(subject, *id)).collect();
    for (id, policy, object) in subject.policies() {
        if !subject.program.affects(id, Direction::Egress) || policy.egress.iter().any(allows_tcp) {
            continue;
        }
        if elsewhere(subject, id, &with_tcp) {
            continue;
        }
        for (index, rule) in policy.egress.iter().enumerate() {
            let dns = rule.ports.iter().position(|port| {
                port.protocol == Protocol::Udp
                    && matches!(port.port, PortMatch::Range(range) if range.first() == 53 && range.last() == 53)
            });
            let Some((port, at)) = dns.and_then(|port| Some((port, rule.ports.get(port)?.at))) else { continue };
            let message =
                format!("{} allows DNS over UDP alone: answers too large for UDP come over TCP 53", policy.id.name);
            let field = port_field(Direction::Egress, index, port);
            let finding = Finding::new(&object, message).at(field, at, "UDP alone");
            let tcp = Value::map([("port", Value::Number(53)), ("protocol", Value::text("TCP"))]);
            let list = format!("{}.ports[]", rule_field(Direction::Egress, index));
            let fix = add(policy, Safety::ChangesMeaning, list, tcp, "add TCP 53");
            findings
                .push(finding.help("add the same port with `protocol: TCP` (--fix --unsafe-fixes adds it)").fix(fix));
        }
    }
}

/// Whether other policies allow the same pods, all of them, TCP 53.
fn elsewhere(subject: &Subject<'_>, policy: PolicyId, with_tcp: &HashSet<ProfileId>) -> bool {
    let Some(selector) = subject.program.subjects_of(policy) else { return false };
    let mut pods = subject.program.selected(selector).peekable();
    pods.peek().is_some() && pods.all(|pod| with_tcp.contains(&subject.program.profile_of(pod, Direction::Egress)))
}

fn takes_tcp(subject: &Subject<'_>, profile: ProfileId) -> bool {
    let mut policies = subject.program.profile(profile).isolating();
    policies.any(|policy| subject.cluster.policy(policy).egress.iter().any(allows_tcp))
}

fn allows_tcp(rule: &PolicyRule) -> bool {
    rule.ports.is_empty()
        || rule.ports.iter().any(|port| {
            port.protocol == Protocol::Tcp
                && match &port.port {
                    PortMatch::All => true,
                    PortMatch::Range(range) => range.contains(53),
                    PortMatch::Named(name) => name.contains("dns"),
                }
        })
}
