//! Whether one rule allows all that another one allows: by what they say, not by who is there today.

use crate::{
    compile::{IdentityId, Peers, PolicyProgram, Ports, RequirementId, Rule, RuleId, RulePeer, RulePorts},
    model::{PortRange, Protocol},
    sets::{PortSet, PrefixSet, TrafficSet},
};

impl PolicyProgram {
    /// Whether `wide` allows everything that `narrow` allows, whatever pods come and go. Both are rules
    /// of one namespace and direction. `false` may also mean that it cannot be told from the rules alone.
    pub fn covers(&self, wide: RuleId, narrow: RuleId) -> bool {
        let (wide, narrow) = (self.rule(wide), self.rule(narrow));
        wide.origin.direction == narrow.origin.direction
            && self.peers_cover(&wide.peers, &narrow.peers)
            && ports_cover(&wide.ports, &narrow.ports)
    }

    /// The traffic that a rule means towards pods of an identity.
    pub fn traffic_towards(&self, rule: &Rule, destination: IdentityId) -> TrafficSet {
        self.traffic_of(rule, Some(destination))
    }

    /// The same; where the destination is not known, without the ports that a rule gives by name.
    pub(crate) fn traffic_of(&self, rule: &Rule, destination: Option<IdentityId>) -> TrafficSet {
        let Ports::Of(ports) = &rule.ports else { return TrafficSet::all() };
        let sets = ports.iter().flat_map(|port| {
            let ranges: Vec<PortRange> = match &port.ports {
                RulePorts::Range(range) => vec![*range],
                RulePorts::Named(name) => {
                    let identity = destination.map(|destination| self.identity(destination));
                    let numbers = identity.map_or(&[][..], |one| one.port_numbers(name, port.protocol));
                    numbers.iter().map(|number| PortRange::single(*number)).collect()
                }
            };
            ranges.into_iter().map(|range| TrafficSet::ports(port.protocol, range))
        });
        sets.fold(TrafficSet::empty(), |all, set| all.union(&set))
    }

    fn peers_cover(&self, wide: &Peers, narrow: &Peers) -> bool {
        let (wide, narrow) = match (wide, narrow) {
            (Peers::Any, _) => return true,
            (Peers::Of(_), Peers::Any) => return false,
            (Peers::Of(wide), Peers::Of(narrow)) => (wide, narrow),
        };
        narrow.iter().all(|peer| self.items_cover(wide, peer))
    }

    /// Whether some peers, one with another, mean whoever one peer means.
    fn items_cover(&self, wide: &[RulePeer], narrow: &RulePeer) -> bool {
        match narrow {
            RulePeer::Block(block) => {
                let blocks = wide.iter().filter_map(|peer| match peer {
                    RulePeer::Block(block) => Some(self.block(*block)),
                    RulePeer::Pods { .. } | RulePeer::Nodes { .. } | RulePeer::Names { .. } => None,
                });
                let union = blocks.fold(PrefixSet::empty(), |all, block| all.union(block));
                self.block(*block).difference(&union).is_empty()
            }
            RulePeer::Nodes { requirements, .. } => wide.iter().any(|peer| match peer {
                RulePeer::Nodes { requirements: wide, .. } => fewer(wide, requirements),
                RulePeer::Block(_) | RulePeer::Pods { .. } | RulePeer::Names { .. } => false,
            }),
            // Names may come to mean anything, and the same ones the same.
            RulePeer::Names { names, .. } => {
                wide.iter().any(|peer| matches!(peer, RulePeer::Names { names: wide, .. } if wide == names))
            }
            RulePeer::Pods { namespaces, pods, .. } => wide.iter().any(|peer| match peer {
                RulePeer::Block(_) | RulePeer::Nodes { .. } | RulePeer::Names { .. } => false,
                RulePeer::Pods { namespaces: wide_namespaces, pods: wide_pods, .. } => {
                    let scope = match (wide_namespaces, namespaces) {
                        (None, None) => true,
                        (None, Some(_)) => false,
                        (Some(wide), None) => wide.is_empty(),
                        (Some(wide), Some(narrow)) => fewer(wide, narrow),
                    };
                    scope && fewer(wide_pods, pods)
                }
            }),
        }
    }
}

/// All conditions of `wide` are among those of `narrow`: whoever meets `narrow` meets `wide`.
fn fewer(wide: &[RequirementId], narrow: &[RequirementId]) -> bool {
    wide.iter().all(|requirement| narrow.contains(requirement))
}

fn ports_cover(wide: &Ports, narrow: &Ports) -> bool {
    let (wide, narrow) = match (wide, narrow) {
        (Ports::All, _) => return true,
        (Ports::Of(_), Ports::All) => return false,
        (Ports::Of(wide), Ports::Of(narrow)) => (wide, narrow),
    };
    let numbers = |protocol: Protocol| -> PortSet {
        let ranges = wide.iter().filter(|port| port.protocol == protocol).filter_map(|port| match &port.ports {
            RulePorts::Range(range) => Some((range.first(), range.last())),
            RulePorts::Named(_) => None,
        });
        ranges.collect()
    };
    narrow.iter().all(|port| {
        let numbers = numbers(port.protocol);
        match &port.ports {
            RulePorts::Range(range) => PortSet::range(range.first(), range.last()).is_subset(&numbers),
            RulePorts::Named(name) => {
                let same = |other: &&crate::compile::RulePort| {
                    other.protocol == port.protocol && matches!(&other.ports, RulePorts::Named(other) if other == name)
                };
                numbers.is_all() || wide.iter().any(|other| same(&other))
            }
        }
    })
}
