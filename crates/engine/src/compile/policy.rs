//! How a policy is read: the only place where its rules become what the program asks.

use super::{
    PolicyProgram,
    profile::{PolicyHalf, Tier},
    rule::{Action, Peers, Ports, Rule, RuleId, RuleOrigin, RulePeer, RulePort, RulePorts},
    scope::Scope,
};
use crate::{
    compile::{BlockId, IdentityId},
    model::{
        Cluster, Direction, Name, NamespaceScope, NetworkPolicy, Peer, PolicyId, PolicyRule, PortMatch, PortRange,
    },
    sets::PrefixSet,
};

impl PolicyProgram {
    /// Compiles what a policy says in one direction, and notes whom it selects. Says who that is; nobody, when
    /// it does not affect this direction.
    pub(super) fn add_half(
        &mut self,
        cluster: &Cluster,
        id: PolicyId,
        policy: &NetworkPolicy,
        direction: Direction,
    ) -> Vec<IdentityId> {
        if !affects(policy, direction) {
            return Vec::new();
        }
        let namespace = &policy.id.namespace;
        let subject = self.selectors.pod_requirements(&policy.subject);
        let subjects = self.selectors.selector(Scope::One(namespace.clone()), &subject);
        let rules = policy.rules(direction).iter().enumerate();
        let rules = rules
            .map(|(index, rule)| self.add_rule(RuleOrigin { policy: id.into(), direction, index }, namespace, rule))
            .collect();
        let selected: Vec<IdentityId> = self.selected(subjects).collect();
        let mode = cluster.mode_of(id.into());
        self.profiles.add(
            PolicyHalf { policy: id.into(), tier: Tier::NetworkPolicy, direction, subjects, rules, mode },
            selected.iter().copied(),
        );
        selected
    }

    fn add_rule(&mut self, origin: RuleOrigin, namespace: &Name, rule: &PolicyRule) -> RuleId {
        let peers = match rule.peers.as_slice() {
            [] => Peers::Any,
            peers => Peers::Of(peers.iter().map(|peer| self.peer(namespace, peer)).collect()),
        };
        let ports = match rule.ports.as_slice() {
            [] => Ports::All,
            ports => {
                let ports = ports.iter().enumerate().map(|(written, port)| RulePort {
                    protocol: port.protocol,
                    ports: ports_of(&port.port),
                    written,
                });
                Ports::Of(ports.collect())
            }
        };
        self.push_rule(Rule { origin, action: Action::Accept, peers, ports })
    }

    pub(super) fn push_rule(&mut self, rule: Rule) -> RuleId {
        self.rules.push(rule);
        RuleId(u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX))
    }

    fn peer(&mut self, own: &Name, peer: &Peer) -> RulePeer {
        match peer {
            Peer::Pods { namespaces, pods, .. } => {
                let pods = self.selectors.pod_requirements(pods);
                let namespaces = match namespaces {
                    NamespaceScope::Own => None,
                    NamespaceScope::Matching(selector) => Some(self.selectors.namespace_requirements(selector)),
                };
                let scope = namespaces.clone().map_or_else(|| Scope::One(own.clone()), Scope::Matching);
                let members = self.selectors.selector(scope, &pods);
                RulePeer::Pods { namespaces, pods, members }
            }
            Peer::IpBlock(block) => RulePeer::Block(self.addresses(PrefixSet::block(block.cidr, &block.except))),
        }
    }

    /// Some addresses, as what a rule asks.
    pub(super) fn addresses(&mut self, addresses: PrefixSet) -> BlockId {
        BlockId(self.blocks.intern(addresses))
    }
}

/// Whether a policy isolates the pods it selects in a direction: the type is listed, or none is and
/// the default counts (`policyTypes`: Ingress always, Egress when there is an egress rule).
fn affects(policy: &NetworkPolicy, direction: Direction) -> bool {
    // Listing nothing is the same as not listing.
    let listed = policy.policy_types.filter(|types| types.ingress || types.egress);
    match (listed, direction) {
        (Some(types), Direction::Ingress) => types.ingress,
        (Some(types), Direction::Egress) => types.egress,
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => !policy.egress.is_empty(),
    }
}

fn ports_of(port: &PortMatch) -> RulePorts {
    match port {
        PortMatch::All => RulePorts::Range(PortRange::ALL),
        PortMatch::Range(range) => RulePorts::Range(*range),
        PortMatch::Named(name) => RulePorts::Named(name.clone()),
    }
}
