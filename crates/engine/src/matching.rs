//! Does a rule match a flow? By which of its peers and of its ports, as far as the addresses are known.

use std::net::IpAddr;

use crate::{
    compile::{Peers, PolicyProgram, Ports, RuleId, RulePeer, RulePort, RulePorts},
    model::{Direction, Endpoint, Family, Flow, PortRange, Protocol, Side, Traffic},
    sets::{PrefixSet, TrafficSet},
    verdict::Matched,
};

/// Whether something is so, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    Yes,
    No,
    Unknown,
}

impl PolicyProgram {
    /// Whether a rule matches a flow, and by which of its peers and ports.
    pub(crate) fn matches(&self, id: RuleId, flow: &Flow) -> (Certainty, Matched) {
        let (certainty, peer) = self.peers_match(id, flow);
        let mut matched = Matched { rule: id, peer, port: None };
        match &self.rule(id).ports {
            Ports::All => (certainty, matched),
            Ports::Of(ports) => match ports.iter().position(|port| self.port_matches(port, flow)) {
                None => (Certainty::No, matched),
                found => {
                    matched.port = found;
                    (certainty, matched)
                }
            },
        }
    }

    /// Whether one of a rule's peers is the flow's other end, and which.
    pub(crate) fn peers_match(&self, id: RuleId, flow: &Flow) -> (Certainty, Option<usize>) {
        let rule = self.rule(id);
        let Peers::Of(peers) = &rule.peers else { return (Certainty::Yes, None) };
        let other = other_end(flow, rule.origin.direction);
        let family = family(flow);
        let mut unknown = (Certainty::No, None);
        for (index, peer) in peers.iter().enumerate() {
            match self.peer_matches(peer, other, family) {
                Certainty::Yes => return (Certainty::Yes, Some(index)),
                Certainty::Unknown if unknown.1.is_none() => unknown = (Certainty::Unknown, Some(index)),
                Certainty::Unknown | Certainty::No => {}
            }
        }
        unknown
    }

    /// Whether a peer is the other end of a flow of this family.
    pub(crate) fn peer_matches(&self, peer: &RulePeer, other: Side, family: Option<Family>) -> Certainty {
        let known = |is: bool| if is { Certainty::Yes } else { Certainty::No };
        match (peer, other.endpoint) {
            (RulePeer::Pods { members, .. }, Endpoint::Pod(pod)) => {
                known(self.identity_of(pod).is_some_and(|identity| self.selects(*members, identity)))
            }
            (RulePeer::Pods { .. }, Endpoint::Node(_) | Endpoint::Outside) => Certainty::No,
            (RulePeer::Block(block), _) => in_block(self.block(*block), other.address, family),
            (RulePeer::Nodes { members, .. }, Endpoint::Node(node)) => known(self.selects_node(*members, node)),
            (RulePeer::Nodes { .. }, Endpoint::Pod(_) | Endpoint::Outside) => Certainty::No,
            (RulePeer::Names { known, may_be_outside, may_be_inside, .. }, endpoint) => {
                let may_be = match endpoint {
                    Endpoint::Outside => *may_be_outside,
                    Endpoint::Pod(_) | Endpoint::Node(_) => *may_be_inside,
                };
                match in_block(self.block(*known), other.address, family) {
                    Certainty::No if may_be => Certainty::Unknown,
                    certainty => certainty,
                }
            }
        }
    }

    /// Whether one item of a rule's ports matches the flow; a name is looked up on the destination.
    pub(crate) fn port_matches(&self, port: &RulePort, flow: &Flow) -> bool {
        let Traffic::Port(protocol, number) = flow.traffic() else { return false };
        protocol == port.protocol
            && match &port.ports {
                RulePorts::Range(range) => range.contains(number),
                RulePorts::Named(name) => match flow.to().endpoint {
                    Endpoint::Pod(pod) => self
                        .identity_of(pod)
                        .is_some_and(|id| self.identity(id).port_numbers(name, protocol).contains(&number)),
                    Endpoint::Node(_) | Endpoint::Outside => false,
                },
            }
    }

    /// The traffic that a rule's ports mean towards a destination.
    pub(crate) fn rule_traffic(&self, id: RuleId, to: Side) -> TrafficSet {
        let Ports::Of(ports) = &self.rule(id).ports else { return TrafficSet::all() };
        let mut ranges: Vec<(Protocol, PortRange)> = Vec::new();
        for port in ports {
            match (&port.ports, to.endpoint) {
                (RulePorts::Range(range), _) => ranges.push((port.protocol, *range)),
                (RulePorts::Named(name), Endpoint::Pod(pod)) => {
                    let numbers = self.identity_of(pod).map(|id| self.identity(id).port_numbers(name, port.protocol));
                    let numbers = numbers.unwrap_or_default().iter();
                    ranges.extend(numbers.map(|number| (port.protocol, PortRange::single(*number))));
                }
                (RulePorts::Named(_), Endpoint::Node(_) | Endpoint::Outside) => {}
            }
        }
        ranges.into_iter().collect()
    }
}

/// The end that a rule's peers are compared with.
pub(crate) fn other_end(flow: &Flow, direction: Direction) -> Side {
    match direction {
        Direction::Egress => flow.to(),
        Direction::Ingress => flow.from(),
    }
}

/// The family of a flow, as far as one of its ends tells.
pub(crate) fn family(flow: &Flow) -> Option<Family> {
    flow.from().address.or(flow.to().address).map(Family::of)
}

fn in_block(block: &PrefixSet, address: Option<IpAddr>, family: Option<Family>) -> Certainty {
    match (address, family) {
        (Some(address), _) if block.contains(address) => Certainty::Yes,
        (Some(_), _) => Certainty::No,
        (None, Some(family)) if block.is_empty_in(family) => Certainty::No,
        (None, Some(family)) if block.is_all_in(family) => Certainty::Yes,
        (None, None) if block.is_empty() => Certainty::No,
        (None, _) => Certainty::Unknown,
    }
}
