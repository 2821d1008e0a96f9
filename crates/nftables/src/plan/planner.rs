//! The plan of one node, kept current: what a change touches is planned anew, the rest stays.
//!
//! ```text
//! local pod ──► piece of its egress profile ─┬─► chains, port maps, sets of prefixes   counted by their users
//!          └──► piece of its ingress profile ┴─► sets of pods ◄── addresses of all pods, as identities change
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use palisade_engine::{
    PolicyProgram,
    compile::{IdentityId, ProfileId, SelectorId, Touched},
    model::{Cluster, Direction, DomainName, Endpoint, Family, NodeId, PodAddresses, PodId, Protocol},
    sets::PrefixSet,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    JUDGE, Options,
    dispatch::withdraw,
    forward, judge, map_name,
    peers::{NamedPortIndex, PodSet},
    piece::{AuditChain, Piece, PieceKey, piece_key},
    profile::ProfilePlanner,
    self_name, source,
    unions::Who,
    unknown::{Misfit, UnknownPods, hold, know, outside_of},
};
use crate::{
    draft::Draft,
    ruleset::{Elements, FORWARD, Key, Name, Set, SetKind},
};

/// Plans the ruleset of a node, and goes on planning as the cluster changes.
#[derive(Debug)]
pub struct Planner {
    node: NodeId,
    options: Options,
    ports: NamedPortIndex,
    families: Vec<Family>,
    /// Where an address that nobody is known to have is held closed.
    held: PrefixSet,
    pods: FxHashMap<PodId, LocalPod>,
    pub(super) pieces: FxHashMap<PieceKey, Installed>,
    /// How many pieces need each chain and each set, and how many pods a chain of their own.
    pub(super) chain_users: FxHashMap<Name, usize>,
    set_users: FxHashMap<Name, usize>,
    denials: BTreeMap<Name, ProfileId>,
    audits: BTreeMap<Name, AuditChain>,
    pod_sets: FxHashMap<Name, PodSet>,
    /// The sets of addresses that are learned, each with the names that they are learned from.
    learned: BTreeMap<Name, Vec<DomainName>>,
    by_selector: FxHashMap<SelectorId, BTreeSet<Name>>,
    /// The sets that ask for a named port, of whomever.
    by_port: FxHashMap<(palisade_engine::model::Name, Protocol), BTreeSet<Name>>,
}

/// A pod of this node.
#[derive(Debug)]
pub(super) struct LocalPod {
    identity: IdentityId,
    pub(super) addresses: PodAddresses,
    /// By direction.
    pub(super) pieces: [Option<PieceKey>; 2],
    /// The chains of its addresses.
    own: Vec<Name>,
}

/// A piece that is in the draft.
#[derive(Debug)]
pub(super) struct Installed {
    /// How many pods it judges.
    users: usize,
    /// Without its chains, sets and maps, but for their names.
    pub(super) chain: Name,
    pub(super) for_itself: Option<Name>,
    chains: Vec<Name>,
    sets: Vec<Name>,
    /// Whether it asks for addresses that are learned.
    learns: bool,
    ports: BTreeSet<(palisade_engine::model::Name, Protocol)>,
}

/// What is planned from.
#[derive(Clone, Copy)]
struct Sight<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
}

impl Planner {
    /// Plans everything; `draft` becomes that.
    pub fn new(cluster: &Cluster, program: &PolicyProgram, node: NodeId, options: Options, draft: &mut Draft) -> Self {
        let sight = Sight { cluster, program };
        let mut fresh = Draft::default();
        let mut planner = Self {
            node,
            ports: NamedPortIndex::new(program),
            families: families(cluster),
            held: options.unknown_pods.prefixes(cluster, node),
            pods: FxHashMap::default(),
            pieces: FxHashMap::default(),
            chain_users: FxHashMap::default(),
            set_users: FxHashMap::default(),
            denials: BTreeMap::new(),
            audits: BTreeMap::new(),
            pod_sets: FxHashMap::default(),
            learned: BTreeMap::new(),
            by_selector: FxHashMap::default(),
            by_port: FxHashMap::default(),
            options,
        };
        planner.skeleton(&mut fresh);
        for (id, _) in cluster.pods() {
            planner.place(sight, id, &mut fresh);
        }
        if !planner.held.is_empty() {
            let of_pods = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
            let of_nodes = cluster.nodes().flat_map(|(_, node)| node.addresses.iter().copied());
            of_pods.chain(of_nodes).for_each(|address| know(&mut fresh, cluster, &planner.held, address));
        }
        draft.become_ruleset(fresh.into_ruleset());
        planner
    }

    /// Takes in what became different; `draft` becomes what follows.
    pub fn update(&mut self, cluster: &Cluster, program: &PolicyProgram, touched: &Touched, draft: &mut Draft) {
        let sight = Sight { cluster, program };
        if families(cluster) != self.families || self.options.unknown_pods.prefixes(cluster, self.node) != self.held {
            *self = Self::new(cluster, program, self.node, self.options.clone(), draft);
            return;
        }
        let mut ports = FxHashSet::default();
        for identity in &touched.identities {
            ports.extend(self.ports.update(program, *identity));
        }
        self.renumber(sight, &ports, draft);
        let judged_anew = |identity: &IdentityId| {
            Direction::ALL.into_iter().any(|direction| touched.profiles.contains(&(*identity, direction)))
        };
        let mut pods = touched.pods.clone();
        if !touched.profiles.is_empty() {
            pods.extend(self.pods.iter().filter(|(_, pod)| judged_anew(&pod.identity)).map(|(id, _)| *id));
        }
        for pod in pods {
            self.place(sight, pod, draft);
        }
        self.members(sight, touched, draft);
        for address in touched.addresses.iter().map(|(address, _)| address).chain(&touched.hosts) {
            know(draft, cluster, &self.held, *address);
        }
    }

    /// Whether nothing would be held closed any more, where that is asked for.
    pub fn loses_prefixes(&self, cluster: &Cluster, node: NodeId) -> bool {
        let unknown_pods = &self.options.unknown_pods;
        *unknown_pods != UnknownPods::Allow && unknown_pods.prefixes(cluster, node).is_empty()
    }

    /// Whether every pod of the node would be held closed if it were not known, where that is asked for.
    ///
    /// # Errors
    /// When there is no prefix, or a pod of the node lies outside of all.
    pub fn check_held(&self, cluster: &Cluster) -> Result<(), Misfit> {
        match self.options.unknown_pods {
            UnknownPods::Allow => Ok(()),
            UnknownPods::Deny(_) if self.held.is_empty() => {
                Err(Misfit::NoPrefixes(cluster.node(self.node).name.clone()))
            }
            UnknownPods::Deny(_) => outside_of(&self.held, self.pods.keys().map(|id| cluster.pod(*id))),
        }
    }

    /// The profiles behind each chain that drops, by its name, which is also the prefix of its log.
    pub fn denials(&self) -> &BTreeMap<Name, ProfileId> {
        &self.denials
    }

    /// The chains that log what audited policies would deny, by name, which is also the prefix of their log.
    pub fn audits(&self) -> &BTreeMap<Name, AuditChain> {
        &self.audits
    }

    /// The sets of addresses that are learned, each with the names that they are learned from. They are part of
    /// the ruleset, but for their elements.
    pub fn learned(&self) -> &BTreeMap<Name, Vec<DomainName>> {
        &self.learned
    }

    /// The addresses of this node's pods for which addresses are learned.
    pub fn learning(&self) -> BTreeSet<IpAddr> {
        if self.learned.is_empty() {
            return BTreeSet::new();
        }
        let learns = |key: &PieceKey| self.pieces.get(key).is_some_and(|piece| piece.learns);
        let pods = self.pods.values().filter(|pod| pod.pieces.iter().flatten().any(learns));
        pods.flat_map(|pod| pod.addresses.iter()).collect()
    }

    /// How many profiles isolate a pod of this node, or would.
    pub fn profiles(&self) -> usize {
        let profiles: FxHashSet<ProfileId> = self.pieces.keys().flat_map(PieceKey::profiles).collect();
        profiles.len()
    }

    /// What is there without any pod.
    fn skeleton(&self, draft: &mut Draft) {
        let empty = |kind, is_map| Set { kind, is_map, comment: None, passing: None, elements: Elements::default() };
        for family in Family::ALL {
            for direction in Direction::ALL {
                draft.put_set(&map_name(direction, family), empty(SetKind::Addresses(family), true));
            }
            draft.put_set(&self_name(family), empty(SetKind::AddressPairs(family), false));
        }
        if !self.options.pod_interfaces.is_empty() {
            source::skeleton(draft);
        }
        let unknown = hold(draft, &self.held, self.options.log);
        draft.put_chain(&JUDGE.to_owned(), judge(&self.options, unknown));
        draft.put_chain(&FORWARD.to_owned(), forward());
    }

    /// Gives a pod what it needs in the table, if it is of this node, and takes what it had.
    fn place(&mut self, sight: Sight<'_>, id: PodId, draft: &mut Draft) {
        let now = self.local(sight, id);
        for key in now.iter().flat_map(|pod| pod.pieces.iter().flatten()) {
            self.acquire(sight, key, draft);
        }
        let before = self.pods.remove(&id);
        for (address, pod) in before.iter().flat_map(|pod| pod.addresses.iter().map(move |address| (address, pod))) {
            // Unless another pod has it now.
            if sight.cluster.endpoint_of(address) == Endpoint::Pod(id) || !self.is_judged(sight, address) {
                withdraw(address, pod, draft);
            }
        }
        if let Some(mut pod) = now {
            pod.own = self.direct(&pod, draft);
            self.pods.insert(id, pod);
        }
        if let Some(before) = before {
            self.remove_own(&before.own, draft);
            before.pieces.iter().flatten().for_each(|key| self.release(key, draft));
        }
    }

    /// The pod as one of this node, with a network of its own.
    fn local(&self, Sight { cluster, program }: Sight<'_>, id: PodId) -> Option<LocalPod> {
        let identity = program.identity_of(id)?;
        if cluster.node_of(id) != Some(self.node) {
            return None;
        }
        let pieces = Direction::ALL.map(|direction| piece_key(program, identity, direction));
        Some(LocalPod { identity, addresses: cluster.pod(id).addresses, pieces, own: Vec::new() })
    }

    /// Whether a pod of this node that has been placed at the address has it.
    fn is_judged(&self, sight: Sight<'_>, address: IpAddr) -> bool {
        let Endpoint::Pod(id) = sight.cluster.endpoint_of(address) else { return false };
        self.pods.get(&id).is_some_and(|pod| pod.addresses.iter().any(|known| known == address))
    }

    fn acquire(&mut self, sight: Sight<'_>, key: &PieceKey, draft: &mut Draft) {
        if let Some(piece) = self.pieces.get_mut(key) {
            piece.users += 1;
            return;
        }
        let piece = self.install(sight, key, 1, draft);
        self.pieces.insert(key.clone(), piece);
    }

    fn release(&mut self, key: &PieceKey, draft: &mut Draft) {
        let Some(piece) = self.pieces.get_mut(key) else { return };
        piece.users -= 1;
        if piece.users == 0
            && let Some(piece) = self.pieces.remove(key)
        {
            self.uninstall(&piece, draft);
        }
    }

    /// Pieces that depend on what numbers named ports have, all over the cluster, when these changed.
    fn renumber(
        &mut self,
        sight: Sight<'_>,
        ports: &FxHashSet<(palisade_engine::model::Name, Protocol)>,
        draft: &mut Draft,
    ) {
        let concerned = |piece: &Installed| piece.ports.iter().any(|port| ports.contains(port));
        let keys: Vec<PieceKey> =
            self.pieces.iter().filter(|(_, piece)| concerned(piece)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(before) = self.pieces.remove(&key) else { continue };
            let piece = self.install(sight, &key, before.users, draft);
            self.pieces.insert(key.clone(), piece);
            let has = |pod: &LocalPod| pod.pieces.iter().flatten().any(|known| *known == key);
            let ids: Vec<PodId> = self.pods.iter().filter(|(_, pod)| has(pod)).map(|(id, _)| *id).collect();
            for id in ids {
                let Some(mut pod) = self.pods.remove(&id) else { continue };
                let own = self.direct(&pod, draft);
                let before = std::mem::replace(&mut pod.own, own);
                self.remove_own(&before, draft);
                self.pods.insert(id, pod);
            }
            self.uninstall(&before, draft);
        }
    }

    fn install(&mut self, sight: Sight<'_>, key: &PieceKey, users: usize, draft: &mut Draft) -> Installed {
        let Sight { cluster, program } = sight;
        let planner = ProfilePlanner::new(cluster, program, &self.options, &self.ports, &self.families);
        let Piece { chain, for_itself, chains, sets, pods, learned, denials, audits, ports } = planner.plan(key);
        let learns = !learned.is_empty();
        self.learned.extend(learned);
        let names = (chains.keys().cloned().collect(), sets.keys().chain(pods.keys()).cloned().collect());
        for (name, set) in sets {
            if count(&mut self.set_users, &name) {
                draft.put_set(&name, set);
            }
        }
        for (name, set) in pods {
            if count(&mut self.set_users, &name) {
                draft.put_set(&name, set.fill(cluster, program, &self.ports));
                self.index(&name, &set, |names, name| _ = names.insert(name.clone()));
                self.pod_sets.insert(name, set);
            }
        }
        for (name, chain) in chains {
            if count(&mut self.chain_users, &name) {
                draft.put_chain(&name, chain);
            }
        }
        self.denials.extend(denials);
        self.audits.extend(audits);
        let (chains, sets) = names;
        Installed { users, chain, for_itself, chains, sets, learns, ports }
    }

    fn uninstall(&mut self, piece: &Installed, draft: &mut Draft) {
        for name in &piece.chains {
            if discount(&mut self.chain_users, name) {
                draft.remove_chain(name);
                self.denials.remove(name);
                self.audits.remove(name);
            }
        }
        for name in &piece.sets {
            if discount(&mut self.set_users, name) {
                draft.remove_set(name);
                self.learned.remove(name);
                if let Some(set) = self.pod_sets.remove(name) {
                    self.index(name, &set, |names, name| _ = names.remove(name));
                }
            }
        }
    }

    /// Keeps the index from what a set asks for to the set.
    fn index(&mut self, name: &Name, set: &PodSet, change: impl Fn(&mut BTreeSet<Name>, &Name)) {
        for peer in set.deciding() {
            match (peer.who, &peer.with_port) {
                (Who::Pods(selector), _) => change(self.by_selector.entry(selector).or_default(), name),
                (_, Some((port, protocol, _))) => {
                    change(self.by_port.entry((port.clone(), *protocol)).or_default(), name);
                }
                (Who::Anyone | Who::Block(_) | Who::Nodes(_) | Who::Names(_), _) => {}
            }
        }
    }

    /// Puts addresses into the sets of pods that have them now, and takes them out of those that had.
    fn members(&mut self, sight: Sight<'_>, touched: &Touched, draft: &mut Draft) {
        let program = sight.program;
        let mut sets_of: FxHashMap<IdentityId, FxHashSet<&Name>> = FxHashMap::default();
        for (selector, identity) in &touched.members {
            if let Some(sets) = self.by_selector.get(selector) {
                sets_of.entry(*identity).or_default().extend(sets);
            }
        }
        for (identity, sets) in &sets_of {
            for pod in &program.identity(*identity).pods {
                for address in sight.cluster.pod(*pod).addresses.iter() {
                    sets.iter().for_each(|name| self.member(sight, name, address, draft));
                }
            }
        }
        let mut known: FxHashMap<IdentityId, FxHashSet<&Name>> = FxHashMap::default();
        for (address, identity) in &touched.addresses {
            let sets = known.entry(*identity).or_insert_with(|| {
                let mut sets = sets_of.remove(identity).unwrap_or_default();
                let selectors = program.selecting(*identity);
                sets.extend(selectors.iter().filter_map(|selector| self.by_selector.get(selector)).flatten());
                for (name, protocol, _) in program.identity(*identity).named_ports() {
                    sets.extend(self.by_port.get(&(name.clone(), protocol)).into_iter().flatten());
                }
                sets
            });
            sets.iter().for_each(|name| self.member(sight, name, *address, draft));
        }
    }

    fn member(&self, Sight { cluster, program }: Sight<'_>, name: &Name, address: IpAddr, draft: &mut Draft) {
        let Some(set) = self.pod_sets.get(name).filter(|set| set.family == Family::of(address)) else { return };
        let identity = match cluster.endpoint_of(address) {
            Endpoint::Pod(pod) => program.identity_of(pod),
            Endpoint::Node(_) | Endpoint::Outside => None,
        };
        match identity.is_some_and(|identity| set.has(program, identity, address)) {
            true => draft.put_element(name, Key::Address(address), None),
            false => draft.remove_element(name, Key::Address(address)),
        }
    }
}

/// The families that pods have.
fn families(cluster: &Cluster) -> Vec<Family> {
    Family::ALL.into_iter().filter(|family| cluster.pods_with(*family) > 0).collect()
}

/// One more needs it; says whether it is the first.
pub(super) fn count(users: &mut FxHashMap<Name, usize>, name: &Name) -> bool {
    let count = users.entry(name.clone()).or_default();
    *count += 1;
    *count == 1
}

/// One less needs it; says whether it was the last.
pub(super) fn discount(users: &mut FxHashMap<Name, usize>, name: &Name) -> bool {
    let Some(count) = users.get_mut(name) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        users.remove(name);
    }
    is_last
}
