//! From what is to what is allowed: a [`Cluster`] becomes a [`PolicyProgram`].
//!
//! ```text
//! pods ─────────► identity   pods that no policy can tell apart, numbered
//! namespaces ─┐
//! identities ─┴─► selector   one bitmap a requirement, one a peer selector
//! policies ─────► rule       action × peers × ports + origin   (policy: how one is read)
//! rules ────────► profile    per identity and direction: the rules that judge it, tier by tier
//!                            (cluster-wide policies before and behind NetworkPolicy, by priority)
//! changes ──────► update     what a change of the cluster changes of all that
//! ```

mod cluster_policy;
mod identity;
mod interner;
mod nodes;
mod policy;
mod profile;
mod rule;
mod scope;
mod selector;
mod update;

use roaring::RoaringBitmap;

pub(crate) use self::interner::Interner;
use self::{identity::Identities, nodes::NodeSets, profile::Profiles, scope::Selectors};
pub use self::{
    identity::{Identity, IdentityId},
    nodes::NodeSetId,
    profile::{Counting, Otherwise, Profile, ProfileId, Tier, TierRules},
    rule::{Action, Peers, Ports, Rule, RuleId, RuleOrigin, RulePeer, RulePort, RulePorts},
    selector::RequirementId,
    update::Touched,
};
use crate::{
    model::{Cluster, ClusterTier, Direction, DomainName, Mode, Name, NodeId, Operator, PodId, PolicyRef},
    sets::PrefixSet,
};

/// A set of identities of one program: those that a peer or subject selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId(u32);

/// An ipBlock of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u32);

/// The domain names of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameListId(u32);

/// The compiled meaning of a cluster's policies.
///
/// INVARIANT: every id in it was made by it and has its value; lists never shrink. What has gone from the
/// cluster leaves something behind that nothing refers to ([`Live`](crate::live::Live) compiles anew before it
/// gets much).
#[derive(Debug)]
pub struct PolicyProgram {
    identities: Identities,
    selectors: Selectors,
    blocks: Interner<PrefixSet>,
    name_lists: Interner<Vec<DomainName>>,
    nodes: NodeSets,
    rules: Vec<Rule>,
    profiles: Profiles,
    /// Which policies count where nobody says.
    counting: Counting,
}

impl PolicyProgram {
    /// Compiles the policies of `cluster`.
    pub fn compile(cluster: &Cluster) -> Self {
        Self::compile_with(cluster, true)
    }

    fn compile_with(cluster: &Cluster, by_block: bool) -> Self {
        let identities = Identities::new(cluster, by_block);
        let named = identities.list().iter().map(|identity| (&identity.namespace, &identity.labels));
        let mut program = Self {
            selectors: Selectors::new(cluster.namespaces(), named),
            identities,
            blocks: Interner::default(),
            name_lists: Interner::default(),
            nodes: NodeSets::new(cluster),
            rules: Vec::new(),
            profiles: Profiles::default(),
            counting: Counting::Enforced,
        };
        for direction in Direction::ALL {
            program.add_cluster_halves(cluster, ClusterTier::Admin, direction);
            for (id, policy) in cluster.policies() {
                program.add_half(cluster, id, policy, direction);
            }
            program.add_cluster_halves(cluster, ClusterTier::Baseline, direction);
            for identity in program.identity_ids() {
                program.profiles.settle(identity, direction);
            }
        }
        program
    }

    /// The same program, whose every answer counts the audited policies too: what enforcing them would come to.
    #[must_use]
    pub fn with_audited(mut self) -> Self {
        self.counting = Counting::WithAudited;
        self
    }

    /// Which policies count for its answers.
    pub fn counting(&self) -> Counting {
        self.counting
    }

    fn identity_ids(&self) -> impl Iterator<Item = IdentityId> + use<> {
        (0..u32::try_from(self.identities.list().len()).unwrap_or(u32::MAX)).map(IdentityId)
    }

    /// The identity of a pod; `None` for one that has ended or is its node.
    pub fn identity_of(&self, pod: PodId) -> Option<IdentityId> {
        self.identities.of_pod(pod)
    }

    /// Every identity.
    pub fn identities(&self) -> impl ExactSizeIterator<Item = (IdentityId, &Identity)> {
        self.identities.list().iter().enumerate().map(|(index, identity)| (IdentityId(index as u32), identity))
    }

    /// One identity.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn identity(&self, id: IdentityId) -> &Identity {
        &self.identities.list()[id.0 as usize]
    }

    /// The identities that a selector selects, by number.
    pub fn members(&self, id: SelectorId) -> &RoaringBitmap {
        self.selectors.members(id)
    }

    /// What a selector asks for, as text: equal texts ask for the same, in every cluster.
    /// `prod/app=web` are pods of one namespace, `[team=a]/app=web` those of namespaces by label.
    pub fn selector_text(&self, id: SelectorId) -> &str {
        self.selectors.text(id)
    }

    /// The identities that a selector selects.
    pub fn selected(&self, id: SelectorId) -> impl Iterator<Item = IdentityId> + '_ {
        self.members(id).iter().map(IdentityId)
    }

    /// Whether a selector selects an identity.
    pub fn selects(&self, id: SelectorId, identity: IdentityId) -> bool {
        self.members(id).contains(identity.0)
    }

    /// Every selector that selects an identity.
    pub fn selecting(&self, identity: IdentityId) -> Vec<SelectorId> {
        let Identity { namespace, labels, .. } = self.identity(identity);
        self.selectors.selecting(identity, namespace, labels)
    }

    /// The addresses of an ipBlock.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn block(&self, id: BlockId) -> &PrefixSet {
        &self.blocks.values()[id.0 as usize]
    }

    /// The addresses of every ipBlock.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &PrefixSet> {
        self.blocks.values().iter()
    }

    /// The names of a `domainNames` peer, in order, each once.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn name_list(&self, id: NameListId) -> &[DomainName] {
        &self.name_lists.values()[id.0 as usize]
    }

    /// One rule.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// Every rule.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (RuleId, &Rule)> {
        self.rules.iter().enumerate().map(|(index, rule)| (RuleId(index as u32), rule))
    }

    /// Every profile, by [`ProfileId::index`].
    pub fn profiles(&self) -> &[Profile] {
        self.profiles.list()
    }

    /// One profile.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn profile(&self, id: ProfileId) -> &Profile {
        &self.profiles.list()[id.index()]
    }

    /// The profile that judges an identity in a direction.
    pub fn profile_of(&self, identity: IdentityId, direction: Direction) -> ProfileId {
        self.profile_counting(identity, direction, self.counting)
    }

    /// The profile that judges an identity in a direction when these policies count. The two are one where no
    /// audited policy selects the identity.
    pub fn profile_counting(&self, identity: IdentityId, direction: Direction, counting: Counting) -> ProfileId {
        self.profiles.of(identity, direction, counting)
    }

    /// Whether a policy is audited; one that has no say is not.
    pub fn is_audited(&self, policy: impl Into<PolicyRef>) -> bool {
        let policy = policy.into();
        let mut halves = Direction::ALL.into_iter().filter_map(|direction| self.profiles.half(policy, direction));
        halves.next().is_some_and(|half| half.mode == Mode::Audit)
    }

    /// The nodes that a `nodes` peer selects, by [`NodeId::index`].
    pub fn node_members(&self, id: NodeSetId) -> &RoaringBitmap {
        self.nodes.members(id)
    }

    /// Whether a `nodes` peer selects a node.
    pub fn selects_node(&self, id: NodeSetId, node: NodeId) -> bool {
        self.nodes.members(id).contains(nodes::number(node))
    }

    /// What a `nodes` peer asks for, as text: equal texts ask for the same, in every cluster.
    pub fn node_set_text(&self, id: NodeSetId) -> &str {
        self.nodes.text(id)
    }

    /// Whether a requirement on nodes holds for a node.
    pub fn node_has(&self, requirement: RequirementId, node: NodeId) -> bool {
        self.nodes.holds(requirement, node)
    }

    /// Whether some rule asks for a domain name of which it is not known what it resolves to.
    pub fn has_open_names(&self) -> bool {
        let peers = self.rules.iter().flat_map(|rule| match &rule.peers {
            Peers::Any => [].iter(),
            Peers::Of(peers) => peers.iter(),
        });
        peers.into_iter().any(|peer| {
            matches!(peer, RulePeer::Names { may_be_outside, may_be_inside, .. } if *may_be_outside || *may_be_inside)
        })
    }

    /// Whether a policy has a say in a direction: a NetworkPolicy that isolates the pods that it selects,
    /// a cluster-wide policy that has rules.
    pub fn affects(&self, policy: impl Into<PolicyRef>, direction: Direction) -> bool {
        self.profiles.half(policy.into(), direction).is_some()
    }

    /// The identities that a policy selects; `None` for one that affects no direction.
    pub fn subjects_of(&self, policy: impl Into<PolicyRef>) -> Option<SelectorId> {
        let policy = policy.into();
        let mut halves = Direction::ALL.into_iter().filter_map(|direction| self.profiles.half(policy, direction));
        halves.next().map(|half| half.subjects)
    }

    /// A policy's rule by its place; `None` for one of a direction that the policy does not affect.
    pub fn rule_of(&self, policy: impl Into<PolicyRef>, direction: Direction, index: usize) -> Option<RuleId> {
        self.profiles.half(policy.into(), direction)?.rules.get(index).copied()
    }

    /// Whether a requirement on pods holds for an identity.
    pub fn pod_has(&self, requirement: RequirementId, identity: IdentityId) -> bool {
        self.selectors.pod_labels().holds(requirement, identity.0)
    }

    /// Whether a requirement on namespaces holds for a namespace of the cluster.
    pub fn namespace_has(&self, requirement: RequirementId, namespace: &str) -> bool {
        self.selectors.namespace_has(requirement, namespace)
    }

    /// What some requirements on namespaces ask.
    pub(crate) fn asked_of_namespaces(&self, of: &[RequirementId]) -> impl Iterator<Item = (&Name, &Operator)> {
        self.selectors.namespace_labels().asked(of)
    }

    /// What some requirements on pods ask.
    pub(crate) fn asked_of_pods(&self, of: &[RequirementId]) -> impl Iterator<Item = (&Name, &Operator)> {
        self.selectors.pod_labels().asked(of)
    }

    /// What some requirements on nodes ask.
    pub(crate) fn asked_of_nodes(&self, of: &[RequirementId]) -> impl Iterator<Item = (&Name, &Operator)> {
        self.nodes.asked(of)
    }
}
