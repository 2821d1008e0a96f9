//! Of what an address that is not known would tell: what makes no difference.
//!
//! "Only 203.0.113.0/24 reaches the ledger" holds whatever the address of a pod will be that no rule
//! but an ipBlock within 203.0.113.0/24 could let through: either it is not let through, or it is one
//! of those who may.

use palisade_engine::{
    compile::{Action, IdentityId, Peers, Ports, Rule, RulePeer, RulePorts},
    connections::{End, EndId, EndSet, Rectangle},
    model::{Direction, PortRange},
    sets::TrafficSet,
};

use super::judge::{Judge, Spare};

impl Judge<'_> {
    /// A rectangle of connections that are not certain, without those that make no difference.
    pub(super) fn without_spared(&self, rectangle: Rectangle, spare: &Spare) -> Vec<Rectangle> {
        let ends = self.connections.ends();
        let mut parts: Vec<(EndSet, EndSet)> = Vec::new();
        for (to, _) in ends.members(&rectangle.to) {
            let left = ends.members(&rectangle.from).filter(|(from, _)| {
                let (subject, other) = match spare.direction {
                    Direction::Ingress => (to, *from),
                    Direction::Egress => (*from, to),
                };
                !self.is_spared(subject, other, &rectangle, spare)
            });
            let left: EndSet = left.map(|(from, _)| from.number()).collect();
            match parts.iter_mut().find(|(from, _)| *from == left) {
                Some((_, destinations)) => _ = destinations.insert(to.number()),
                None => parts.push((left, std::iter::once(to.number()).collect())),
            }
        }
        let parts = parts.into_iter().filter(|(from, _)| !from.is_empty());
        parts.map(|(from, to)| Rectangle { from, to, ..rectangle.clone() }).collect()
    }

    /// Whether the other end could be let through only by an address within the networks.
    fn is_spared(&self, subject: EndId, other: EndId, found: &Rectangle, spare: &Spare) -> bool {
        let ends = self.connections.ends();
        let End::Pods(identity) = ends.get(subject) else { return false };
        let other = match ends.get(other) {
            End::Pods(identity) => Some(*identity),
            End::Node { .. } => None,
            End::Outside { .. } => return false,
        };
        let profile = self.program.profile(self.program.profile_of(*identity, spare.direction));
        let mut rules = profile.tiers.iter().flat_map(|tier| &tier.rules).map(|rule| self.program.rule(*rule));
        !profile.is_open() && rules.all(|rule| self.is_within(rule, other, found, spare))
    }

    /// Whether a rule lets nobody through but members of the networks, as far as this is about.
    fn is_within(&self, rule: &Rule, other: Option<IdentityId>, found: &Rectangle, spare: &Spare) -> bool {
        if !speaks_of(&rule.ports, &found.traffic) {
            return true;
        }
        let Peers::Of(peers) = &rule.peers else { return false };
        rule.action == Action::Accept
            && peers.iter().all(|peer| match peer {
                RulePeer::Pods { members, .. } => !other.is_some_and(|other| self.program.selects(*members, other)),
                RulePeer::Nodes { .. } | RulePeer::Names { .. } => false,
                RulePeer::Block(block) => {
                    let block = self.program.block(*block);
                    let is_of_another = found.family.is_some_and(|family| block.is_empty_in(family));
                    is_of_another || block.difference(&spare.networks).is_empty()
                }
            })
    }
}

/// Whether ports may mean some of this traffic. What a name means is not looked up: it may.
fn speaks_of(ports: &Ports, traffic: &TrafficSet) -> bool {
    let Ports::Of(ports) = ports else { return true };
    ports.iter().any(|port| match &port.ports {
        RulePorts::Range(range) => has_any(traffic, port.protocol, *range),
        RulePorts::Named(_) => has_any(traffic, port.protocol, PortRange::ALL),
    })
}

fn has_any(traffic: &TrafficSet, protocol: palisade_engine::model::Protocol, range: PortRange) -> bool {
    !traffic.intersection(&TrafficSet::ports(protocol, range)).is_empty()
}
