//! The sets that hold the members of unions of peers, and the look-ups that find them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use palisade_engine::{
    PolicyProgram,
    compile::{IdentityId, NodeSetId},
    model::{Cluster, DomainName, Endpoint, Family, Name, Protocol},
    sets::PrefixSet,
};
use rustc_hash::FxHashMap;

use super::{
    digit,
    names::content_name,
    unions::{Before, Earlier, Peer, PortNumber, UnionId, Unions, Who, texts},
};
use crate::ruleset::{Elements, End, Expression, Key, Passing, Set, SetKind, shortened};

/// The identities, those with pods, behind each named port that some rule uses.
#[derive(Debug, Default)]
pub(super) struct NamedPortIndex(FxHashMap<(Name, Protocol), BTreeMap<u16, BTreeSet<IdentityId>>>);

impl NamedPortIndex {
    pub(super) fn new(program: &PolicyProgram) -> Self {
        let mut index = Self::default();
        for (id, _) in program.identities() {
            index.update(program, id);
        }
        index
    }

    /// Takes in that an identity has pods, or none. Returns the named ports that have other numbers now.
    pub(super) fn update(&mut self, program: &PolicyProgram, id: IdentityId) -> Vec<(Name, Protocol)> {
        let identity = program.identity(id);
        let mut changed = Vec::new();
        for (name, protocol, numbers) in identity.named_ports() {
            let port = (name.clone(), protocol);
            let by_number = self.0.entry(port.clone()).or_default();
            let before = by_number.len();
            for number in numbers {
                if identity.pods.is_empty() {
                    let is_last = by_number.get_mut(number).is_some_and(|ids| ids.remove(&id) && ids.is_empty());
                    if is_last {
                        by_number.remove(number);
                    }
                } else {
                    by_number.entry(*number).or_default().insert(id);
                }
            }
            if by_number.len() != before {
                changed.push(port);
            }
        }
        changed
    }

    /// Every number that some pod gives to a named port, ascending.
    pub(super) fn numbers(&self, name: &Name, protocol: Protocol) -> impl Iterator<Item = u16> {
        self.0.get(&(name.clone(), protocol)).into_iter().flat_map(|numbers| numbers.keys().copied())
    }

    /// Who gives this name to this port.
    fn identities(&self, (name, protocol, number): &PortNumber) -> impl Iterator<Item = IdentityId> {
        let numbers = self.0.get(&(name.clone(), *protocol));
        numbers.and_then(|numbers| numbers.get(number)).into_iter().flatten().copied()
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

/// A set of pods by address: its elements come and go with the pods.
#[derive(Clone, Debug)]
pub(super) struct PodSet {
    pub(super) family: Family,
    /// Who is in it: whoever one of these means, and that only a pod can be.
    pub(super) peers: Vec<Peer>,
    /// But whom one of these denies.
    before: Vec<Before>,
    /// Both as text.
    comment: String,
}

impl PodSet {
    /// The set as it is now.
    pub(super) fn fill(&self, cluster: &Cluster, program: &PolicyProgram, ports: &NamedPortIndex) -> Set {
        let mut elements = BTreeMap::new();
        for peer in &self.peers {
            let mut add = |id: IdentityId| {
                for pod in &program.identity(id).pods {
                    let address = cluster.pod(*pod).addresses.of(self.family);
                    // Where two pods say that they have it, it is one's.
                    let address = address.filter(|address| cluster.endpoint_of(*address) == Endpoint::Pod(*pod));
                    let meant = |address: &IpAddr| {
                        peer.has(program, id, *address) && !self.is_denied_before(program, id, *address)
                    };
                    elements.extend(address.filter(meant).map(|address| (Key::Address(address), None)));
                }
            };
            match (peer.who, &peer.with_port) {
                (_, Some(port)) => ports.identities(port).for_each(&mut add),
                (Who::Pods(selector), None) => program.selected(selector).for_each(&mut add),
                // These two are never asked for by pod: anyone needs no set, and a block has one of prefixes.
                // Nodes are no pods, and what names resolve to is learned.
                (Who::Anyone | Who::Block(_) | Who::Nodes(_) | Who::Names(_), None) => {}
            }
        }
        Set {
            kind: SetKind::Addresses(self.family),
            is_map: false,
            comment: Some(self.comment.clone()),
            passing: None,
            elements: elements.into(),
        }
    }

    /// Whether the address of a pod of that identity is in it.
    pub(super) fn has(&self, program: &PolicyProgram, identity: IdentityId, address: IpAddr) -> bool {
        self.peers.iter().any(|peer| peer.has(program, identity, address))
            && !self.is_denied_before(program, identity, address)
    }

    fn is_denied_before(&self, program: &PolicyProgram, identity: IdentityId, address: IpAddr) -> bool {
        let means = |earlier: &&Earlier| earlier.peers.iter().any(|peer| peer.has(program, identity, address));
        self.before.iter().any(|before| before.iter().find(means).is_some_and(|earlier| earlier.denies))
    }

    /// Every peer that decides who is in it.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().chain(self.before.iter().flatten().flat_map(|earlier| &earlier.peers))
    }
}

/// The look-ups that together find the members of a union that is not of anyone, with the sets that they
/// need.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// In the order in which they are asked: per family pods by address, then nodes, then prefixes, then what
    /// names resolve to.
    pub(super) asked: Vec<Lookup>,
    /// The sets of pods, by name.
    pub(super) pods: Vec<(String, PodSet)>,
    /// The sets of nodes and of prefixes, by name.
    pub(super) fixed: Vec<(String, Set)>,
    /// The sets of addresses that are learned, by name, each with what is learned from.
    pub(super) learned: Vec<(String, Vec<DomainName>)>,
}

impl Lookups {
    /// Of a union; `families` are those that pods have: packets of another one never get to a pod's chain.
    pub(super) fn of(
        cluster: &Cluster,
        program: &PolicyProgram,
        families: &[Family],
        (unions, union): (&Unions, UnionId),
    ) -> Self {
        let (mut pods, mut blocks, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        let mut names: Vec<DomainName> = Vec::new();
        for peer in unions.peers(union) {
            match (peer.who, &peer.with_port) {
                (Who::Block(id), None) => blocks.push(program.block(id)),
                (Who::Nodes(id), None) => nodes.push(id),
                (Who::Names(id), None) => names.extend_from_slice(program.name_list(id)),
                // Only pods give names to ports.
                (Who::Nodes(_) | Who::Names(_), Some(_)) => {}
                _ => pods.push(peer.clone()),
            }
        }
        names.sort_unstable();
        names.dedup();
        let prefixes: PrefixSet = blocks.into_iter().collect();
        let mut lookups = Self::default();
        for &family in families {
            if prefixes.is_all_in(family) {
                continue;
            }
            if !pods.is_empty() {
                let (name, set) = pod_set(program, &pods, unions.before(union).cloned().collect(), family);
                lookups.asked.push(Lookup::Set(family, name.clone()));
                lookups.pods.push((name, set));
            }
            if !nodes.is_empty() {
                let (name, set) = node_set(cluster, program, &nodes, family);
                lookups.asked.push(Lookup::Set(family, name.clone()));
                lookups.fixed.push((name, set));
            }
            if !prefixes.is_empty_in(family) {
                let (name, set) = prefix_set(&prefixes, family);
                lookups.asked.push(Lookup::Set(family, name.clone()));
                lookups.fixed.push((name, set));
            }
            if !names.is_empty() {
                let (name, set) = learned_set(&names, family);
                lookups.asked.push(Lookup::Set(family, name.clone()));
                lookups.fixed.push((name.clone(), set));
                lookups.learned.push((name, names.clone()));
            }
        }
        let whole = families.iter().filter(|family| prefixes.is_all_in(**family));
        lookups.asked.extend(whole.map(|family| Lookup::Family(*family)));
        lookups
    }
}

/// The name depends on what is asked for, not on who is there: pods come and go without a new set.
fn pod_set(program: &PolicyProgram, peers: &[Peer], before: Vec<Before>, family: Family) -> (String, PodSet) {
    let step = |Earlier { denies, peers }: &Earlier| {
        format!("{} {}", if *denies { "deny" } else { "let on" }, peers_text(program, peers))
    };
    let list = |list: &Before| format!("; before: {}", list.iter().map(step).collect::<Vec<_>>().join(", then "));
    // Sorted as text: the numbers of selectors and prefixes depend on what was read first.
    let mut lists: Vec<String> = before.iter().map(list).collect();
    lists.sort();
    let text = peers_text(program, peers) + &lists.concat();
    let name = content_name(&format!("pods{}", digit(family)), &text);
    (name, PodSet { family, peers: peers.to_vec(), before, comment: shortened(text, 120) })
}

fn peers_text<'p>(program: &PolicyProgram, peers: impl IntoIterator<Item = &'p Peer>) -> String {
    let mut texts: Vec<String> = peers.into_iter().map(|peer| peer.text(program)).collect();
    texts.sort();
    texts.join(" | ")
}

/// The addresses of nodes, by what is asked for as [`pod_set`].
fn node_set(cluster: &Cluster, program: &PolicyProgram, sets: &[NodeSetId], family: Family) -> (String, Set) {
    let mut texts: Vec<&str> = sets.iter().map(|set| program.node_set_text(*set)).collect();
    texts.sort_unstable();
    let text = texts.join(" | ");
    let is_one = |id| sets.iter().any(|set| program.selects_node(*set, id));
    let nodes = cluster.nodes().filter(|(id, _)| is_one(*id)).map(|(_, node)| node);
    let addresses = nodes.flat_map(|node| &node.addresses).filter(|address| Family::of(**address) == family);
    let elements = addresses.map(|address| (Key::Address(*address), None)).collect();
    let name = content_name(&format!("nodes{}", digit(family)), &text);
    let comment = Some(shortened(text, 120));
    (name, Set { kind: SetKind::Addresses(family), is_map: false, comment, passing: None, elements })
}

/// The addresses that names resolve to, by the names as [`pod_set`]: equal lists share what was learned, and
/// keep it through changes of policy.
fn learned_set(names: &[DomainName], family: Family) -> (String, Set) {
    let text = texts(names).join(" | ");
    let name = content_name(&format!("names{}", digit(family)), &text);
    let comment = Some(shortened(text, 120));
    let (kind, passing) = (SetKind::Addresses(family), Some(Passing::LEARNED));
    (name, Set { kind, is_map: false, comment, passing, elements: Elements::default() })
}

fn prefix_set(prefixes: &PrefixSet, family: Family) -> (String, Set) {
    let elements = range_keys(prefixes, family).map(|key| (key, None)).collect();
    let set = Set { kind: SetKind::AddressRanges(family), is_map: false, comment: None, passing: None, elements };
    let text = format!("{:?}", set.elements);
    (content_name(&format!("nets{}", digit(family)), &text), set)
}

/// The prefixes of one family as keys of a set of ranges.
pub(super) fn range_keys(prefixes: &PrefixSet, family: Family) -> impl Iterator<Item = Key> + '_ {
    let v4 = prefixes.v4().ranges().filter(move |_| family == Family::V4);
    let v6 = prefixes.v6().ranges().filter(move |_| family == Family::V6);
    let v4 = v4.map(|(first, last)| Key::Range4(first.into(), last.into()));
    v4.chain(v6.map(|(first, last)| Key::Range6(first.into(), last.into())))
}
