//! What the pods of a profile need in the table, and what that is made from.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram,
    compile::{Counting, IdentityId, Ports, ProfileId, Rule as PolicyRule, RulePorts},
    model::{Direction, DomainName, Protocol},
};

use super::peers::PodSet;
use crate::ruleset::{Chain, Name, Set};

/// What the pods of one profile need in the table. All but the sets of pods follows from the rules.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The chain that judges them.
    pub(super) chain: Name,
    /// The chain that judges what a Service brought back to the pod that sent it, where that is another one.
    pub(super) for_itself: Option<Name>,
    /// All chains, that one among them.
    pub(super) chains: BTreeMap<Name, Chain>,
    /// The sets and maps that never change.
    pub(super) sets: BTreeMap<Name, Set>,
    /// The sets of pods.
    pub(super) pods: BTreeMap<Name, PodSet>,
    /// What is learned from for some of the sets.
    pub(super) learned: BTreeMap<Name, Vec<DomainName>>,
    /// The chains among them that drop, each with the profile that it belongs to.
    pub(super) denials: Vec<(Name, ProfileId)>,
    /// The chains among them that log what audited policies would deny, and let it pass.
    pub(super) audits: Vec<(Name, AuditChain)>,
    /// The named ports whose numbers, all over the cluster, it depends on.
    pub(super) ports: BTreeSet<(palisade_engine::model::Name, Protocol)>,
}

/// A chain that logs what audited policies would deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// In which direction.
    pub direction: Direction,
    /// The audited policies, as `namespace/name`, or the name alone of a cluster-wide one; by name.
    pub policies: Vec<String>,
    /// The NetworkPolicies among them, which would isolate.
    pub isolating: Vec<String>,
}

/// What a piece is made from: profiles, and the numbers that the pod's own named ports have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PieceKey {
    /// The profile of the enforced policies; `None` when none affects the pod.
    pub(super) enforced: Option<ProfileId>,
    /// That of all policies; `None` where no audited policy affects the pod, or none that may deny more.
    pub(super) with_audited: Option<ProfileId>,
    pub(super) named: NamedPorts,
}

impl PieceKey {
    /// Its profiles.
    pub(super) fn profiles(&self) -> impl Iterator<Item = ProfileId> + use<> {
        self.enforced.into_iter().chain(self.with_audited)
    }
}

/// The numbers that a pod's own named ports have: what an ingress profile depends on besides its rules.
pub(super) type NamedPorts = Vec<(palisade_engine::model::Name, Protocol, Vec<u16>)>;

/// What judges the pods of an identity in a direction; `None` when no policy affects them.
pub(super) fn piece_key(program: &PolicyProgram, identity: IdentityId, direction: Direction) -> Option<PieceKey> {
    let [enforced, all] = [Counting::Enforced, Counting::WithAudited]
        .map(|counting| program.profile_counting(identity, direction, counting));
    let affects = |id: &ProfileId| !program.profile(*id).is_open();
    let (enforced, with_audited) = (Some(enforced).filter(affects), Some(all).filter(|id| *id != enforced));
    let with_audited = with_audited.filter(|all| may_deny_more(program, enforced, *all));
    // Who has all rules has the enforced ones.
    let rules = with_audited.or(enforced).map(|id| program.profile(id))?;
    let mut named: NamedPorts = Vec::new();
    if direction == Direction::Ingress {
        let rules = rules.tiers.iter().flat_map(|tier| &tier.rules).map(|id| program.rule(*id));
        for (protocol, name) in rules.flat_map(named_in) {
            let numbers = program.identity(identity).port_numbers(name, protocol).to_vec();
            named.push((name.clone(), protocol, numbers));
        }
        named.sort();
        named.dedup();
    }
    Some(PieceKey { enforced, with_audited, named })
}

/// Whether all policies may deny what the enforced ones let pass. Where these isolate a pod already, another
/// NetworkPolicy only adds to what is allowed, and need not be asked; a cluster-wide one may deny.
fn may_deny_more(program: &PolicyProgram, enforced: Option<ProfileId>, all: ProfileId) -> bool {
    let isolated = enforced.is_some_and(|id| program.profile(id).isolating().next().is_some());
    let policies = program.profile(all).tiers.iter().flat_map(|tier| &tier.policies);
    !isolated || policies.into_iter().any(|policy| policy.network().is_none() && program.is_audited(*policy))
}

fn named_in(rule: &PolicyRule) -> impl Iterator<Item = (Protocol, &palisade_engine::model::Name)> {
    let ports = match &rule.ports {
        Ports::All => [].iter(),
        Ports::Of(ports) => ports.iter(),
    };
    ports.filter_map(|port| match &port.ports {
        RulePorts::Named(name) => Some((port.protocol, name)),
        RulePorts::Range(_) => None,
    })
}
