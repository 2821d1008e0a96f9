//! Peers, and unions of them: who may be the other end where some rules act alike.

use std::{collections::BTreeSet, net::IpAddr};

use palisade_engine::{
    PolicyProgram,
    compile::{BlockId, IdentityId, NameListId, NodeSetId, SelectorId},
    model::{DomainName, Name, Protocol},
};
use rustc_hash::FxHashMap;

/// One peer of a union.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer {
    pub(super) who: Who,
    /// Only pods that give this name to this port.
    pub(super) with_port: Option<PortNumber>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    Anyone,
    Pods(SelectorId),
    Block(BlockId),
    Nodes(NodeSetId),
    Names(NameListId),
}

/// A named port with one of the numbers that pods give it.
pub(super) type PortNumber = (Name, Protocol, u16);

impl Peer {
    /// Anyone at all.
    pub(super) const ANYONE: Self = Self { who: Who::Anyone, with_port: None };

    /// Whether it is asked for by the addresses of pods: only pods give names to ports.
    fn is_pod(&self) -> bool {
        matches!((self.who, &self.with_port), (Who::Pods(_), _) | (Who::Anyone | Who::Block(_), Some(_)))
    }

    /// Whether it can mean a pod: a prefix can, unless it is none.
    pub(super) fn may_be_pod(&self, program: &PolicyProgram) -> bool {
        match self.who {
            Who::Anyone | Who::Pods(_) => true,
            Who::Block(block) => !program.block(block).is_empty(),
            Who::Nodes(_) | Who::Names(_) => false,
        }
    }

    /// Whether it means the pod of that identity at that address.
    pub(super) fn has(&self, program: &PolicyProgram, id: IdentityId, address: IpAddr) -> bool {
        let with_port =
            |(name, protocol, number): &PortNumber| program.identity(id).port_numbers(name, *protocol).contains(number);
        self.with_port.as_ref().is_none_or(with_port)
            && match self.who {
                Who::Anyone => true,
                Who::Pods(selector) => program.selects(selector, id),
                Who::Block(block) => program.block(block).contains(address),
                // No pod is a node, and no name gives a name to a port.
                Who::Nodes(_) | Who::Names(_) => false,
            }
    }

    pub(super) fn text(&self, program: &PolicyProgram) -> String {
        let who = match self.who {
            Who::Anyone => "any pod".to_owned(),
            Who::Pods(selector) => program.selector_text(selector).to_owned(),
            Who::Block(block) => program.block(block).to_string(),
            Who::Nodes(nodes) => program.node_set_text(nodes).to_owned(),
            Who::Names(names) => texts(program.name_list(names)).join(" | "),
        };
        match &self.with_port {
            None => who,
            Some((name, protocol, number)) => format!("{who} with {name}={number}/{protocol}"),
        }
    }
}

/// Peers of which any may be the other end: equal unions have one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnionId(u32);

impl UnionId {
    /// Anyone at all.
    pub(super) const ANY: Self = Self(0);
}

/// Peers that an earlier tier's rules of one action in a row are about, as far as they can be pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Earlier {
    /// Whether it denies them, or lets them on.
    pub(super) denies: bool,
    pub(super) peers: BTreeSet<Peer>,
}

/// What is asked before: the first that means a pod says whether it is denied.
pub(super) type Before = Vec<Earlier>;

/// Any of the peers, but whom one of the lists denies before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Union {
    peers: BTreeSet<Peer>,
    before: BTreeSet<Before>,
}

/// The unions of one plan, each held once.
#[derive(Debug)]
pub(super) struct Unions {
    ids: FxHashMap<Union, UnionId>,
    /// By id; the first one stands for anyone.
    unions: Vec<Union>,
    merged: FxHashMap<Vec<UnionId>, UnionId>,
}

impl Default for Unions {
    fn default() -> Self {
        let unions = vec![Union::default()];
        Self { ids: FxHashMap::default(), unions, merged: FxHashMap::default() }
    }
}

impl Unions {
    /// The union of some peers.
    pub(super) fn of(&mut self, peers: impl IntoIterator<Item = Peer>) -> UnionId {
        let peers: BTreeSet<Peer> = peers.into_iter().collect();
        if peers.contains(&Peer::ANYONE) {
            return UnionId::ANY;
        }
        self.id(Union { peers, before: BTreeSet::new() })
    }

    /// The pods of a union, but those that are denied before; `None` when there cannot be any.
    pub(super) fn pods_but(&mut self, union: UnionId, before: BTreeSet<Before>) -> Option<UnionId> {
        let peers: BTreeSet<Peer> = self.peers(union).filter(|peer| peer.is_pod()).cloned().collect();
        (!peers.is_empty()).then(|| self.id(Union { peers, before }))
    }

    /// The union without its pods; `None` when that is nobody.
    pub(super) fn without_pods(&mut self, union: UnionId) -> Option<UnionId> {
        let peers: BTreeSet<Peer> = self.peers(union).filter(|peer| !peer.is_pod()).cloned().collect();
        match union {
            UnionId::ANY => Some(union),
            _ => (!peers.is_empty()).then(|| self.of(peers)),
        }
    }

    fn id(&mut self, union: Union) -> UnionId {
        if let Some(id) = self.ids.get(&union) {
            return *id;
        }
        let id = UnionId(u32::try_from(self.unions.len()).unwrap_or(u32::MAX));
        self.unions.push(union.clone());
        self.ids.insert(union, id);
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
        self.unions.get(id.0 as usize).into_iter().flat_map(|union| &union.peers)
    }

    /// The lists that say who is denied before, though the union has them.
    pub(super) fn before(&self, id: UnionId) -> impl Iterator<Item = &Before> {
        self.unions.get(id.0 as usize).into_iter().flat_map(|union| &union.before)
    }
}

pub(super) fn texts(names: &[DomainName]) -> Vec<&str> {
    names.iter().map(DomainName::as_str).collect()
}
