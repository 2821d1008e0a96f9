//! Unions of peers, and the sets that hold them.

use std::collections::BTreeSet;

use palisade_engine::{
    PolicyProgram,
    compile::{BlockId, IdentityId, SelectorId},
    model::{Cluster, Family, Name, Protocol},
    sets::PrefixSet,
};

use super::digit;
use crate::ruleset::{End, Expression, Key, Set, SetKind, shortened};

/// Peers of which any may be the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Union {
    /// Anyone at all.
    Any,
    /// One of these.
    Of(BTreeSet<Peer>),
}

/// One of a union.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) who: Who,
    /// Only pods that give this name to this port.
    pub(super) with_port: Option<(Name, Protocol, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Anyone,
    Pods(SelectorId),
    Block(BlockId),
}

impl Union {
    pub(super) fn of(peers: impl IntoIterator<Item = Peer>) -> Self {
        let peers: BTreeSet<Peer> = peers.into_iter().collect();
        let anyone = |peer: &Peer| peer.who == Who::Anyone && peer.with_port.is_none();
        if peers.iter().any(anyone) { Self::Any } else { Self::Of(peers) }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Any, _) => {}
            (Self::Of(_), Self::Any) => *self = Self::Any,
            (Self::Of(mine), Self::Of(theirs)) => mine.extend(theirs.iter().cloned()),
        }
    }
}

/// A set that a union needs, or that it needs none.
pub(super) enum Lookup {
    /// Everyone of a family.
    Family(Family),
    /// Whoever is in this set.
    Set(Family, Set, String),
}

impl Lookup {
    /// The expression that asks whether `end` is one of them, under the set's name.
    pub(super) fn expression(&self, end: End, name: &str) -> Expression {
        match self {
            Self::Family(family) => Expression::Family(*family),
            Self::Set(family, _, _) => Expression::AddressIn(end, *family, name.to_owned()),
        }
    }
}

/// The look-ups that together find the members of a union that is not `Any`: per family pods by
/// address, then prefixes.
pub(super) fn lookups(cluster: &Cluster, program: &PolicyProgram, peers: &BTreeSet<Peer>) -> Vec<Lookup> {
    let block = |peer: &Peer| match (peer.who, &peer.with_port) {
        (Who::Block(id), None) => Some(id),
        _ => None,
    };
    let pods: Vec<&Peer> = peers.iter().filter(|peer| block(peer).is_none()).collect();
    let prefixes = peers.iter().filter_map(block).fold(PrefixSet::empty(), |all, id| all.union(program.block(id)));
    let mut lookups = Vec::new();
    for family in Family::ALL {
        if !pods.is_empty() && !prefixes.is_all_in(family) {
            lookups.push(pod_set(cluster, program, &pods, family));
        }
        if prefixes.is_all_in(family) {
            lookups.push(Lookup::Family(family));
        } else if !prefixes.is_empty_in(family) {
            lookups.push(prefix_set(&prefixes, family));
        }
    }
    lookups
}

/// The text depends on what is asked for, not on who is there: pods come and go without a new set.
fn pod_set(cluster: &Cluster, program: &PolicyProgram, peers: &[&Peer], family: Family) -> Lookup {
    let mut members: BTreeSet<IdentityId> = BTreeSet::new();
    let mut texts = Vec::new();
    for peer in peers {
        members.extend(identities(cluster, program, peer, family));
        texts.push(text(program, peer));
    }
    texts.sort();
    let text = texts.join(" | ");
    let addresses = members.iter().flat_map(|id| &program.identity(*id).pods);
    let addresses = addresses.filter_map(|pod| cluster.pod(*pod).addresses.of(family));
    let elements = addresses.map(|address| (Key::Address(address), None)).collect();
    let kind = SetKind::Addresses(family);
    let set = Set { kind, is_map: false, comment: Some(shortened(text.clone(), 120)), elements };
    Lookup::Set(family, set, super::names::content_name(&format!("pods{}", digit(family)), &text))
}

fn prefix_set(prefixes: &PrefixSet, family: Family) -> Lookup {
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
    Lookup::Set(family, set, super::names::content_name(&format!("nets{}", digit(family)), &text))
}

/// The identities that a peer means, by their addresses of one family.
fn identities(cluster: &Cluster, program: &PolicyProgram, peer: &Peer, family: Family) -> Vec<IdentityId> {
    let all = program.identities();
    all.filter(|(id, identity)| {
        let has_port = peer
            .with_port
            .as_ref()
            .is_none_or(|(name, protocol, number)| identity.port_numbers(name, *protocol).contains(number));
        has_port
            && match peer.who {
                Who::Anyone => true,
                Who::Pods(selector) => program.selects(selector, *id),
                // Pods of one identity are in the same prefixes: one of them speaks for all.
                Who::Block(block) => {
                    let address = identity.pods.first().and_then(|pod| cluster.pod(*pod).addresses.of(family));
                    address.is_some_and(|address| program.block(block).contains(address))
                }
            }
    })
    .map(|(id, _)| id)
    .collect()
}

fn text(program: &PolicyProgram, peer: &Peer) -> String {
    let who = match peer.who {
        Who::Anyone => "any pod".to_owned(),
        Who::Pods(selector) => program.selector_text(selector).to_owned(),
        Who::Block(block) => program.block(block).to_string(),
    };
    match &peer.with_port {
        None => who,
        Some((name, protocol, number)) => format!("{who} with {name}={number}/{protocol}"),
    }
}
