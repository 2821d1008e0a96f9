//! Unions of peers, and the sets that hold them.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram,
    compile::{BlockId, IdentityId, NodeSetId, SelectorId},
    model::{Cluster, Family, Name, Protocol},
    sets::PrefixSet,
};
use rustc_hash::FxHashMap;

use super::{digit, names::content_name};
use crate::ruleset::{End, Expression, Key, Set, SetKind, shortened};

/// One peer of a union.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer {
    pub(super) who: Who,
    /// Only pods that give this name to this port.
    pub(super) with_port: Option<(Name, Protocol, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    Anyone,
    Pods(SelectorId),
    Block(BlockId),
    Nodes(NodeSetId),
}

/// Peers of which any may be the other end: equal unions have one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnionId(u32);

impl UnionId {
    /// Anyone at all.
    pub(super) const ANY: Self = Self(0);
}

/// The unions of one plan, each held once.
#[derive(Debug)]
pub(super) struct Unions {
    ids: FxHashMap<BTreeSet<Peer>, UnionId>,
    /// By id; the first one stands for anyone.
    peers: Vec<BTreeSet<Peer>>,
    merged: FxHashMap<Vec<UnionId>, UnionId>,
}

impl Default for Unions {
    fn default() -> Self {
        Self { ids: FxHashMap::default(), peers: vec![BTreeSet::new()], merged: FxHashMap::default() }
    }
}

impl Unions {
    /// The union of some peers.
    pub(super) fn of(&mut self, peers: impl IntoIterator<Item = Peer>) -> UnionId {
        let peers: BTreeSet<Peer> = peers.into_iter().collect();
        if peers.iter().any(|peer| peer.who == Who::Anyone && peer.with_port.is_none()) {
            return UnionId::ANY;
        }
        if let Some(id) = self.ids.get(&peers) {
            return *id;
        }
        let id = UnionId(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        self.peers.push(peers.clone());
        self.ids.insert(peers, id);
        id
    }

    /// The union of some unions.
    pub(super) fn merge(&mut self, mut ids: Vec<UnionId>) -> UnionId {
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [UnionId::ANY, ..] => return UnionId::ANY,
            [one] => return *one,
            _ => {}
        }
        if let Some(id) = self.merged.get(&ids) {
            return *id;
        }
        let peers: Vec<Peer> = ids.iter().flat_map(|id| self.peers(*id)).cloned().collect();
        let id = self.of(peers);
        self.merged.insert(ids, id);
        id
    }

    /// The peers of a union; none for the union of anyone.
    pub(super) fn peers(&self, id: UnionId) -> impl Iterator<Item = &Peer> {
        self.peers.get(id.0 as usize).into_iter().flatten()
    }
}

/// The identities behind each named port that some rule uses.
struct NamedPortIndex(FxHashMap<(Name, Protocol), BTreeMap<u16, Vec<IdentityId>>>);

impl NamedPortIndex {
    fn new(program: &PolicyProgram) -> Self {
        let mut index: FxHashMap<(Name, Protocol), BTreeMap<u16, Vec<IdentityId>>> = FxHashMap::default();
        for (id, identity) in program.identities() {
            for (name, protocol, numbers) in identity.named_ports() {
                let by_number = index.entry((name.clone(), protocol)).or_default();
                for number in numbers {
                    by_number.entry(*number).or_default().push(id);
                }
            }
        }
        Self(index)
    }

    fn numbers(&self, name: &Name, protocol: Protocol) -> impl Iterator<Item = u16> {
        self.0.get(&(name.clone(), protocol)).into_iter().flat_map(|numbers| numbers.keys().copied())
    }

    /// Who gives this name to this port.
    fn identities(&self, (name, protocol, number): &(Name, Protocol, u16)) -> &[IdentityId] {
        let numbers = self.0.get(&(name.clone(), *protocol));
        numbers.and_then(|numbers| numbers.get(number)).map_or(&[], Vec::as_slice)
    }
}

/// A question that together with others finds the members of a union.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// Everyone of a family.
    Family(Family),
    /// Whoever is in the set of this name.
    Set(Family, String),
}

impl Lookup {
    /// The expression that asks whether `end` is one of them.
    pub(super) fn expression(&self, end: End) -> Expression {
        match self {
            Self::Family(family) => Expression::Family(*family),
            Self::Set(family, name) => Expression::AddressIn(end, *family, name.clone()),
        }
    }
}

/// What sets of peers are filled from.
pub(super) struct Members<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a PolicyProgram,
    named_ports: NamedPortIndex,
    /// The families that pods have: packets of another one never get to a pod's chain.
    families: Vec<Family>,
}

impl<'a> Members<'a> {
    pub(super) fn new(cluster: &'a Cluster, program: &'a PolicyProgram) -> Self {
        let has = |family: &Family| cluster.pods().any(|(_, pod)| pod.is_live() && pod.addresses.of(*family).is_some());
        let families = Family::ALL.into_iter().filter(has).collect();
        Self { cluster, program, named_ports: NamedPortIndex::new(program), families }
    }

    /// Every number that some pod gives to a named port, ascending.
    pub(super) fn numbers(&self, name: &Name, protocol: Protocol) -> impl Iterator<Item = u16> {
        self.named_ports.numbers(name, protocol)
    }

    /// The look-ups that together find the members of a union that is not of anyone, and the sets that
    /// they need: per family pods by address, then prefixes.
    pub(super) fn lookups<'p>(&self, peers: impl Iterator<Item = &'p Peer>) -> (Vec<Lookup>, Vec<(String, Set)>) {
        let (mut pods, mut blocks, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        for peer in peers {
            match (peer.who, &peer.with_port) {
                (Who::Block(id), None) => blocks.push(self.program.block(id)),
                (Who::Nodes(id), None) => nodes.push(id),
                // No node gives a name to a port.
                (Who::Nodes(_), Some(_)) => {}
                _ => pods.push(peer),
            }
        }
        let prefixes: PrefixSet = blocks.into_iter().collect();
        let (mut lookups, mut sets) = (Vec::new(), Vec::new());
        let mut look_up = |family, (name, set): (String, Set)| {
            lookups.push(Lookup::Set(family, name.clone()));
            sets.push((name, set));
        };
        for &family in &self.families {
            if prefixes.is_all_in(family) {
                continue;
            }
            if !pods.is_empty() {
                look_up(family, self.pod_set(&pods, family));
            }
            if !nodes.is_empty() {
                look_up(family, self.node_set(&nodes, family));
            }
            if !prefixes.is_empty_in(family) {
                look_up(family, prefix_set(&prefixes, family));
            }
        }
        let whole = self.families.iter().filter(|family| prefixes.is_all_in(**family));
        lookups.extend(whole.map(|family| Lookup::Family(*family)));
        (lookups, sets)
    }

    /// The name depends on what is asked for, not on who is there: pods come and go without a new set.
    fn pod_set(&self, peers: &[&Peer], family: Family) -> (String, Set) {
        let members: BTreeSet<IdentityId> = peers.iter().flat_map(|peer| self.identities(peer, family)).collect();
        let mut texts: Vec<String> = peers.iter().map(|peer| self.text(peer)).collect();
        texts.sort();
        let text = texts.join(" | ");
        let addresses = members.iter().flat_map(|id| &self.program.identity(*id).pods);
        let addresses = addresses.filter_map(|pod| self.cluster.pod(*pod).addresses.of(family));
        let elements = addresses.map(|address| (Key::Address(address), None)).collect();
        let name = content_name(&format!("pods{}", digit(family)), &text);
        let comment = Some(shortened(text, 120));
        (name, Set { kind: SetKind::Addresses(family), is_map: false, comment, elements })
    }

    /// The addresses of nodes, by what is asked for as [`Self::pod_set`].
    fn node_set(&self, sets: &[NodeSetId], family: Family) -> (String, Set) {
        let mut texts: Vec<&str> = sets.iter().map(|set| self.program.node_set_text(*set)).collect();
        texts.sort_unstable();
        let text = texts.join(" | ");
        let is_one = |id| sets.iter().any(|set| self.program.selects_node(*set, id));
        let nodes = self.cluster.nodes().filter(|(id, _)| is_one(*id)).map(|(_, node)| node);
        let addresses = nodes.flat_map(|node| &node.addresses).filter(|address| Family::of(**address) == family);
        let elements = addresses.map(|address| (Key::Address(*address), None)).collect();
        let name = content_name(&format!("nodes{}", digit(family)), &text);
        let comment = Some(shortened(text, 120));
        (name, Set { kind: SetKind::Addresses(family), is_map: false, comment, elements })
    }

    /// The identities that a peer means, by their addresses of one family.
    fn identities(&self, peer: &Peer, family: Family) -> Vec<IdentityId> {
        let program = self.program;
        let with_port = peer.with_port.as_ref().map(|port| self.named_ports.identities(port).iter().copied());
        match (peer.who, with_port) {
            (Who::Anyone, Some(ids)) => ids.collect(),
            (Who::Pods(selector), Some(ids)) => ids.filter(|id| program.selects(selector, *id)).collect(),
            (Who::Pods(selector), None) => program.selected(selector).collect(),
            (Who::Block(block), Some(ids)) => {
                // Pods of one identity are in the same prefixes: one of them speaks for all.
                let address = |id: &IdentityId| {
                    program.identity(*id).pods.first().and_then(|pod| self.cluster.pod(*pod).addresses.of(family))
                };
                ids.filter(|id| address(id).is_some_and(|address| program.block(block).contains(address))).collect()
            }
            // These are never asked for by pod: anyone needs no set, a block has one of prefixes, nodes are no pods.
            (Who::Anyone | Who::Block(_), None) | (Who::Nodes(_), _) => Vec::new(),
        }
    }

    fn text(&self, peer: &Peer) -> String {
        let who = match peer.who {
            Who::Anyone => "any pod".to_owned(),
            Who::Pods(selector) => self.program.selector_text(selector).to_owned(),
            Who::Block(block) => self.program.block(block).to_string(),
            Who::Nodes(nodes) => self.program.node_set_text(nodes).to_owned(),
        };
        match &peer.with_port {
            None => who,
            Some((name, protocol, number)) => format!("{who} with {name}={number}/{protocol}"),
        }
    }
}

fn prefix_set(prefixes: &PrefixSet, family: Family) -> (String, Set) {
    let elements = match family {
        Family::V4 => {
            let ranges = prefixes.v4().ranges();
            ranges.map(|(first, last)| (Key::Range4(first.into(), last.into()), None)).collect()
        }
        Family::V6 => {
            let ranges = prefixes.v6().ranges();
            ranges.map(|(first, last)| (Key::Range6(first.into(), last.into()), None)).collect()
        }
    };
    let set = Set { kind: SetKind::AddressRanges(family), is_map: false, comment: None, elements };
    let text = format!("{:?}", set.elements);
    (content_name(&format!("nets{}", digit(family)), &text), set)
}
