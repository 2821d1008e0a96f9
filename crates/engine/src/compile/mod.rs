//! From what is to what is allowed: a [`Cluster`] becomes a [`PolicyProgram`].
//!
//! ```text
//! pods ─────────► identity   pods that no policy can tell apart, numbered
//! namespaces ─┐
//! identities ─┴─► selector   one bitmap a requirement, one a peer selector
//! policies ─────► rule       action × peers × ports + origin
//! rules ────────► profile    per identity and direction: the rules that judge it, tier by tier
//!                            (cluster-wide policies before and behind NetworkPolicy, by priority)
//! ```

mod cluster_policy;
mod identity;
mod interner;
mod nodes;
mod profile;
mod rule;
mod selector;

use std::borrow::Cow;

use ipnet::IpNet;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

pub(crate) use self::interner::Interner;
pub use self::{
    identity::{Identity, IdentityId},
    nodes::NodeSetId,
    profile::{Otherwise, Profile, ProfileId, Tier, TierRules},
    rule::{Action, Peers, Ports, Rule, RuleId, RuleOrigin, RulePeer, RulePort, RulePorts},
    selector::RequirementId,
};
use self::{nodes::NodeSets, selector::LabelIndex};
use crate::{
    model::{
        Cluster, ClusterTier, Direction, LabelSelector, Name, NamespaceScope, NetworkPolicy, NodeId, Peer, PodId,
        PolicyId, PolicyRef, PolicyRule, PortMatch, PortRange,
    },
    sets::PrefixSet,
};

/// A set of identities of one program: those that a peer or subject selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId(u32);

/// An ipBlock of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u32);

/// The compiled meaning of a cluster's policies.
///
/// INVARIANT: every id in it was made by it and has its value; lists never shrink.
#[derive(Debug)]
pub struct PolicyProgram {
    identities: Vec<Identity>,
    identity_of: Vec<Option<IdentityId>>,
    namespaces: FxHashMap<Name, u32>,
    namespace_labels: LabelIndex,
    pod_labels: LabelIndex,
    selectors: Vec<RoaringBitmap>,
    selector_texts: Vec<String>,
    blocks: Vec<PrefixSet>,
    nodes: NodeSets,
    rules: Vec<Rule>,
    profiles: Vec<Profile>,
    /// By identity: its ingress and its egress profile.
    subjects: Vec<[ProfileId; 2]>,
    /// What each policy came to, in the directions that it affects.
    halves: FxHashMap<(PolicyRef, Direction), PolicyHalf>,
}

/// What makes two selectors the same: the namespaces, and the requirements in any order.
type SelectorKey = (Scope, Vec<RequirementId>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    One(Name),
    Matching(Vec<RequirementId>),
}

impl PolicyProgram {
    /// Compiles the policies of `cluster`.
    pub fn compile(cluster: &Cluster) -> Self {
        Compiler::new(cluster).run()
    }

    /// The identity of a pod; `None` for one that has ended or is its node.
    pub fn identity_of(&self, pod: PodId) -> Option<IdentityId> {
        self.identity_of.get(pod.index()).copied().flatten()
    }

    /// Every identity.
    pub fn identities(&self) -> impl ExactSizeIterator<Item = (IdentityId, &Identity)> {
        self.identities.iter().enumerate().map(|(index, identity)| (IdentityId(index as u32), identity))
    }

    /// One identity.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn identity(&self, id: IdentityId) -> &Identity {
        &self.identities[id.0 as usize]
    }

    /// The identities that a selector selects, by number.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn members(&self, id: SelectorId) -> &RoaringBitmap {
        &self.selectors[id.0 as usize]
    }

    /// What a selector asks for, as text: equal texts ask for the same, in every cluster.
    /// `prod/app=web` are pods of one namespace, `[team=a]/app=web` those of namespaces by label.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn selector_text(&self, id: SelectorId) -> &str {
        &self.selector_texts[id.0 as usize]
    }

    /// The identities that a selector selects.
    pub fn selected(&self, id: SelectorId) -> impl Iterator<Item = IdentityId> + '_ {
        self.members(id).iter().map(IdentityId)
    }

    /// Whether a selector selects an identity.
    pub fn selects(&self, id: SelectorId, identity: IdentityId) -> bool {
        self.members(id).contains(identity.0)
    }

    /// The addresses of an ipBlock.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn block(&self, id: BlockId) -> &PrefixSet {
        &self.blocks[id.0 as usize]
    }

    /// The addresses of every ipBlock.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &PrefixSet> {
        self.blocks.iter()
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
        &self.profiles
    }

    /// One profile.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram")]
    pub fn profile(&self, id: ProfileId) -> &Profile {
        &self.profiles[id.index()]
    }

    /// The profile that judges an identity in a direction.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram: one pair an identity")]
    pub fn profile_of(&self, identity: IdentityId, direction: Direction) -> ProfileId {
        self.subjects[identity.0 as usize][direction as usize]
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
        self.halves.contains_key(&(policy.into(), direction))
    }

    /// The identities that a policy selects; `None` for one that affects no direction.
    pub fn subjects_of(&self, policy: impl Into<PolicyRef>) -> Option<SelectorId> {
        let policy = policy.into();
        Direction::ALL.into_iter().find_map(|direction| self.halves.get(&(policy, direction))).map(|half| half.subjects)
    }

    /// A policy's rule by its place; `None` for one of a direction that the policy does not affect.
    pub fn rule_of(&self, policy: impl Into<PolicyRef>, direction: Direction, index: usize) -> Option<RuleId> {
        self.halves.get(&(policy.into(), direction))?.rules.get(index).copied()
    }

    /// Whether a requirement on pods holds for an identity.
    pub fn pod_has(&self, requirement: RequirementId, identity: IdentityId) -> bool {
        self.pod_labels.holds(requirement, identity.0)
    }

    /// Whether a requirement on namespaces holds for a namespace of the cluster.
    pub fn namespace_has(&self, requirement: RequirementId, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|index| self.namespace_labels.holds(requirement, *index))
    }
}

struct Compiler<'a> {
    cluster: &'a Cluster,
    identities: Vec<Identity>,
    identity_of: Vec<Option<IdentityId>>,
    namespaces: FxHashMap<Name, u32>,
    /// The identities of each namespace, by its number.
    in_namespace: Vec<RoaringBitmap>,
    /// The identities of the namespaces that a `namespaceSelector` means, by its requirements.
    in_matching: FxHashMap<Vec<RequirementId>, RoaringBitmap>,
    namespace_labels: LabelIndex,
    pod_labels: LabelIndex,
    selector_ids: Interner<SelectorKey>,
    selectors: Vec<RoaringBitmap>,
    selector_texts: Vec<String>,
    blocks: Interner<PrefixSet>,
    nodes: NodeSets,
    rules: Vec<Rule>,
}

/// The rules that one policy has in one direction.
#[derive(Clone, Debug)]
struct PolicyHalf {
    policy: PolicyRef,
    tier: Tier,
    subjects: SelectorId,
    rules: Vec<RuleId>,
}

impl<'a> Compiler<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let (identities, identity_of) = identity::identities(cluster);
        let namespaces: FxHashMap<Name, u32> = cluster.namespaces().map(|ns| ns.name.clone()).zip(0u32..).collect();
        let mut in_namespace = vec![RoaringBitmap::new(); namespaces.len()];
        for (member, identity) in (0u32..).zip(&identities) {
            let bitmap = namespaces.get(&identity.namespace).and_then(|index| in_namespace.get_mut(*index as usize));
            if let Some(bitmap) = bitmap {
                bitmap.insert(member);
            }
        }
        Self {
            cluster,
            namespace_labels: LabelIndex::new(cluster.namespaces().map(|ns| &ns.labels)),
            pod_labels: LabelIndex::new(identities.iter().map(|identity| &identity.labels)),
            identities,
            identity_of,
            namespaces,
            in_namespace,
            in_matching: FxHashMap::default(),
            selector_ids: Interner::default(),
            selectors: Vec::new(),
            selector_texts: Vec::new(),
            blocks: Interner::default(),
            nodes: NodeSets::new(cluster),
            rules: Vec::new(),
        }
    }

    fn run(mut self) -> PolicyProgram {
        let mut profiles = Vec::new();
        let mut subjects = vec![[ProfileId(0); 2]; self.identities.len()];
        let mut all_halves = FxHashMap::default();
        for direction in Direction::ALL {
            // Tier by tier: an identity's halves stay in this order.
            let mut halves = self.cluster_halves(ClusterTier::Admin, direction);
            let policies = self.cluster.policies();
            halves.extend(policies.filter_map(|(id, policy)| self.policy_half(id, policy, direction)));
            halves.extend(self.cluster_halves(ClusterTier::Baseline, direction));
            for (pair, profile) in subjects.iter_mut().zip(self.profiles(direction, &halves, &mut profiles)) {
                if let Some(slot) = pair.get_mut(direction as usize) {
                    *slot = profile;
                }
            }
            all_halves.extend(halves.into_iter().map(|half| ((half.policy, direction), half)));
        }
        PolicyProgram {
            identities: self.identities,
            identity_of: self.identity_of,
            namespaces: self.namespaces,
            namespace_labels: self.namespace_labels,
            pod_labels: self.pod_labels,
            selectors: self.selectors,
            selector_texts: self.selector_texts,
            blocks: self.blocks.into_values(),
            nodes: self.nodes,
            rules: self.rules,
            profiles,
            subjects,
            halves: all_halves,
        }
    }

    fn policy_half(&mut self, id: PolicyId, policy: &NetworkPolicy, direction: Direction) -> Option<PolicyHalf> {
        if !affects(policy, direction) {
            return None;
        }
        let namespace = &policy.id.namespace;
        let subject = self.pod_labels.requirements(&policy.subject);
        let subjects = self.selector(Scope::One(namespace.clone()), &subject);
        let rules = policy
            .rules(direction)
            .iter()
            .enumerate()
            .map(|(index, rule)| self.rule(RuleOrigin { policy: id.into(), direction, index }, namespace, rule));
        let rules = rules.collect();
        Some(PolicyHalf { policy: id.into(), tier: Tier::NetworkPolicy, subjects, rules })
    }

    fn rule(&mut self, origin: RuleOrigin, namespace: &Name, rule: &PolicyRule) -> RuleId {
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
        self.add_rule(Rule { origin, action: Action::Accept, peers, ports })
    }

    fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.rules.push(rule);
        RuleId(u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX))
    }

    fn peer(&mut self, own: &Name, peer: &Peer) -> RulePeer {
        match peer {
            Peer::Pods { namespaces, pods, .. } => {
                let pods = self.pod_labels.requirements(pods);
                let namespaces = match namespaces {
                    NamespaceScope::Own => None,
                    NamespaceScope::Matching(selector) => Some(self.namespace_requirements(selector)),
                };
                let scope = namespaces.clone().map_or_else(|| Scope::One(own.clone()), Scope::Matching);
                let members = self.selector(scope, &pods);
                RulePeer::Pods { namespaces, pods, members }
            }
            Peer::IpBlock(block) => RulePeer::Block(self.block(block.cidr, &block.except)),
        }
    }

    fn namespace_requirements(&mut self, selector: &LabelSelector) -> Vec<RequirementId> {
        self.namespace_labels.requirements(selector)
    }

    fn block(&mut self, cidr: IpNet, except: &[IpNet]) -> BlockId {
        self.addresses(PrefixSet::block(cidr, except))
    }

    fn addresses(&mut self, addresses: PrefixSet) -> BlockId {
        BlockId(self.blocks.intern(addresses))
    }

    fn selector(&mut self, scope: Scope, pods: &[RequirementId]) -> SelectorId {
        let scope = match scope {
            Scope::Matching(requirements) => Scope::Matching(sorted(&requirements)),
            one @ Scope::One(_) => one,
        };
        let id = self.selector_ids.intern((scope.clone(), sorted(pods)));
        if id as usize == self.selectors.len() {
            let pods_by_label = self.pod_labels.select(pods);
            let members = pods_by_label & &*self.identities_in(&scope);
            self.selectors.push(members);
            self.selector_texts.push(self.selector_text(&scope, pods));
        }
        SelectorId(id)
    }

    fn selector_text(&self, scope: &Scope, pods: &[RequirementId]) -> String {
        let namespaces = match scope {
            Scope::One(name) => name.to_string(),
            Scope::Matching(requirements) => format!("[{}]", self.namespace_labels.text(requirements)),
        };
        format!("{namespaces}/{}", self.pod_labels.text(pods))
    }

    fn identities_in(&mut self, scope: &Scope) -> Cow<'_, RoaringBitmap> {
        let of = |index: u32| self.in_namespace.get(index as usize);
        match scope {
            Scope::One(name) => match self.namespaces.get(name).and_then(|index| of(*index)) {
                Some(members) => Cow::Borrowed(members),
                None => Cow::Owned(RoaringBitmap::new()),
            },
            Scope::Matching(requirements) => {
                let members = self.in_matching.entry(requirements.clone()).or_insert_with(|| {
                    let namespaces = self.namespace_labels.select(requirements);
                    namespaces.iter().filter_map(of).fold(RoaringBitmap::new(), |members, bitmap| members | bitmap)
                });
                Cow::Borrowed(members)
            }
        }
    }

    /// Each identity's profile in one direction; new ones are added to `profiles`.
    fn profiles(&self, direction: Direction, halves: &[PolicyHalf], profiles: &mut Vec<Profile>) -> Vec<ProfileId> {
        let mut selected_by: Vec<Vec<u32>> = vec![Vec::new(); self.identities.len()];
        for (number, half) in (0u32..).zip(halves) {
            let subjects = self.selectors.get(half.subjects.0 as usize);
            for member in subjects.into_iter().flatten() {
                if let Some(list) = selected_by.get_mut(member as usize) {
                    list.push(number);
                }
            }
        }
        let mut known: FxHashMap<Vec<u32>, ProfileId> = FxHashMap::default();
        let ids = selected_by.into_iter().map(|list| {
            *known.entry(list).or_insert_with_key(|list| {
                profiles.push(profile(direction, list, halves));
                ProfileId(u32::try_from(profiles.len() - 1).unwrap_or(u32::MAX))
            })
        });
        ids.collect()
    }
}

/// The halves that select some pods, tier by tier. A pod selected by any NetworkPolicy of this direction is
/// isolated: what no rule accepts is denied. What no cluster-wide policy decides goes on.
fn profile(direction: Direction, selected_by: &[u32], halves: &[PolicyHalf]) -> Profile {
    let mut tiers: Vec<TierRules> = Vec::new();
    for half in selected_by.iter().filter_map(|number| halves.get(*number as usize)) {
        match tiers.last_mut().filter(|tier| tier.tier == half.tier) {
            Some(tier) => {
                tier.policies.push(half.policy);
                tier.rules.extend(&half.rules);
            }
            None => tiers.push(TierRules {
                tier: half.tier,
                policies: vec![half.policy],
                rules: half.rules.clone(),
                otherwise: match half.tier {
                    Tier::NetworkPolicy => Otherwise::Deny,
                    Tier::Admin | Tier::Baseline => Otherwise::NextTier,
                },
            }),
        }
    }
    Profile { direction, tiers }
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

fn sorted(requirements: &[RequirementId]) -> Vec<RequirementId> {
    let mut requirements = requirements.to_vec();
    requirements.sort_unstable();
    requirements.dedup();
    requirements
}
