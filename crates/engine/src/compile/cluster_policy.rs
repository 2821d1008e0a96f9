//! Cluster-wide policies as rules of the Admin and the Baseline tier.
//!
//! ```text
//! policies of a tier ──► by priority, then by name ──► each policy's rules, in order ──► one list
//! ```
//!
//! A rule that was not understood fails closed: an Accept matches nothing, a Deny or a Pass becomes a
//! Deny of everything (documentation of ClusterNetworkPolicy's peers, v1alpha2).

use super::{
    Action, IdentityId, NameListId, Peers, PolicyProgram, Ports, Rule, RuleId, RuleOrigin, RulePeer, RulePort,
    RulePorts, SelectorId, Tier, profile::PolicyHalf, scope::Scope,
};
use crate::{
    model::{
        Cluster, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyId, ClusterPort, ClusterRule, ClusterSubject,
        ClusterTier, Direction, LabelSelector, PolicyRef, Protocol, resolution,
    },
    sets::PrefixSet,
};

impl PolicyProgram {
    /// Compiles the policies of a tier, in the order in which they are asked. A policy without rules of the
    /// direction has nothing to say in it.
    pub(super) fn add_cluster_halves(&mut self, cluster: &Cluster, tier: ClusterTier, direction: Direction) {
        let mut policies: Vec<(ClusterPolicyId, &ClusterPolicy)> = cluster.cluster_policies().collect();
        policies.retain(|(_, policy)| policy.tier == tier && !policy.rules(direction).is_empty());
        policies.sort_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
        for (id, policy) in policies {
            self.add_cluster_half(cluster, id, policy, direction);
        }
    }

    fn add_cluster_half(
        &mut self,
        cluster: &Cluster,
        id: ClusterPolicyId,
        policy: &ClusterPolicy,
        direction: Direction,
    ) {
        let subjects = match &policy.subject {
            ClusterSubject::Namespaces(namespaces) => self.pods_of(namespaces, &LabelSelector::everything()).2,
            ClusterSubject::Pods { namespaces, pods } => self.pods_of(namespaces, pods).2,
            ClusterSubject::NotUnderstood => return,
        };
        let policy_ref = PolicyRef::Cluster(id);
        let rules = policy.rules(direction).iter().enumerate();
        let rules = rules
            .map(|(index, rule)| self.cluster_rule(cluster, RuleOrigin { policy: policy_ref, direction, index }, rule))
            .collect();
        let tier = match policy.tier {
            ClusterTier::Admin => Tier::Admin,
            ClusterTier::Baseline => Tier::Baseline,
        };
        let selected: Vec<IdentityId> = self.selected(subjects).collect();
        let mode = cluster.mode_of(policy_ref);
        let half = PolicyHalf { policy: policy_ref, tier, direction, subjects, rules, mode };
        self.profiles.add(half, selected.into_iter());
    }

    fn cluster_rule(&mut self, cluster: &Cluster, origin: RuleOrigin, rule: &ClusterRule) -> RuleId {
        let rule = match &rule.matches {
            ClusterMatch::Of { peers, ports } if rule.is_understood() => Rule {
                origin,
                action: rule.action,
                peers: Peers::Of(peers.iter().map(|peer| self.cluster_peer(cluster, peer)).collect()),
                ports: ports.as_ref().map_or(Ports::All, |ports| Ports::Of(ports_of(ports))),
            },
            _ if rule.action == Action::Accept => {
                Rule { origin, action: Action::Accept, peers: Peers::Of(Vec::new()), ports: Ports::All }
            }
            _ => Rule { origin, action: Action::Deny, peers: Peers::Any, ports: Ports::All },
        };
        self.push_rule(rule)
    }

    fn cluster_peer(&mut self, cluster: &Cluster, peer: &ClusterPeer) -> RulePeer {
        match peer {
            ClusterPeer::Namespaces { namespaces, .. } => self.pods_peer(namespaces, &LabelSelector::everything()),
            ClusterPeer::Pods { namespaces, pods, .. } => self.pods_peer(namespaces, pods),
            ClusterPeer::Nodes { nodes, .. } => {
                let (requirements, members) = self.nodes.select(nodes);
                RulePeer::Nodes { requirements, members }
            }
            ClusterPeer::Networks { networks, .. } => {
                let networks: Vec<PrefixSet> = networks.iter().map(|net| PrefixSet::block(*net, &[])).collect();
                RulePeer::Block(self.addresses(networks.iter().collect()))
            }
            ClusterPeer::DomainNames { names, .. } => {
                let found = resolution(names, cluster.resolved());
                let addresses: Vec<PrefixSet> =
                    found.addresses.iter().map(|address| PrefixSet::block((*address).into(), &[])).collect();
                let mut names = names.clone();
                names.sort_unstable();
                names.dedup();
                RulePeer::Names {
                    names: NameListId(self.name_lists.intern(names)),
                    known: self.addresses(addresses.iter().collect()),
                    may_be_outside: found.may_be_outside,
                    may_be_inside: found.may_be_inside,
                }
            }
        }
    }

    fn pods_peer(&mut self, namespaces: &LabelSelector, pods: &LabelSelector) -> RulePeer {
        let (namespaces, pods, members) = self.pods_of(namespaces, pods);
        RulePeer::Pods { namespaces: Some(namespaces), pods, members }
    }

    fn pods_of(
        &mut self,
        namespaces: &LabelSelector,
        pods: &LabelSelector,
    ) -> (Vec<super::RequirementId>, Vec<super::RequirementId>, SelectorId) {
        let namespaces = self.selectors.namespace_requirements(namespaces);
        let pods = self.selectors.pod_requirements(pods);
        let members = self.selectors.selector(Scope::Matching(namespaces.clone()), &pods);
        (namespaces, pods, members)
    }
}

/// A name has no protocol here: it is any container port of that name.
fn ports_of(ports: &[ClusterPort]) -> Vec<RulePort> {
    let of = |(written, port): (usize, &ClusterPort)| -> Vec<RulePort> {
        match port {
            ClusterPort::Numbers { protocol, ports, .. } => {
                vec![RulePort { protocol: *protocol, ports: RulePorts::Range(*ports), written }]
            }
            ClusterPort::Named { name, .. } => {
                let named = |protocol| RulePort { protocol, ports: RulePorts::Named(name.clone()), written };
                Protocol::ALL.map(named).into()
            }
        }
    };
    ports.iter().enumerate().flat_map(of).collect()
}
