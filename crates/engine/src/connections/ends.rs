//! Who can be at an end of a connection, numbered: identities first, then nodes, then the outside.

use std::net::IpAddr;

use roaring::RoaringBitmap;

use super::segments::Segments;
use crate::{
    compile::{IdentityId, PolicyProgram},
    model::{Cluster, Family, NodeId},
    sets::PrefixSet,
};

/// An end of one [`super::Connections`], by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndId(pub(super) u32);

impl EndId {
    /// The number by which it is a member of an [`EndSet`].
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Who is at an end: those whom no policy tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The pods of an identity.
    Pods(IdentityId),
    /// A node at one of its addresses of each family. A node without any has one end without any.
    Node {
        /// The node.
        node: NodeId,
        /// Its address, by family.
        addresses: [Option<IpAddr>; 2],
    },
    /// Addresses from `first` to `last` that neither a live pod nor a node has.
    Outside {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
}

/// A set of ends of one [`super::Connections`], by [`EndId::number`].
pub type EndSet = RoaringBitmap;

/// Every end of a cluster.
///
/// INVARIANT: identity `n` is end `n`.
#[derive(Debug)]
pub struct Ends {
    list: Vec<End>,
    pods: EndSet,
    nodes: EndSet,
    outside: EndSet,
    families: [FamilyEnds; 2],
}

/// What is known of the ends in one family.
#[derive(Debug)]
pub(super) struct FamilyEnds {
    pub(super) family: Family,
    /// Those that can have a connection of this family.
    pub(super) present: EndSet,
    /// Those of them whose address is not known.
    pub(super) unknown: EndSet,
    segments: Segments,
    /// The number of the outside end of segment 0.
    outside: u32,
    /// The outside ends of this family that are there.
    outside_set: EndSet,
    /// Which node each node's end is of.
    nodes: Vec<(u32, u32)>,
    /// The segments of the known addresses of pods and nodes, ascending.
    at: Vec<(u32, u32)>,
}

impl Ends {
    /// The ends of `cluster`. The outside is cut where one of `told_apart` begins or ends; the program's
    /// own ipBlocks must be among them.
    pub(super) fn new(cluster: &Cluster, program: &PolicyProgram, told_apart: &[&PrefixSet]) -> Self {
        let mut list: Vec<End> = program.identities().map(|(id, _)| End::Pods(id)).collect();
        let pods = (0..number(list.len())).collect();
        for (node, object) in cluster.nodes() {
            let of = |family: Family| object.addresses.iter().copied().filter(move |a| Family::of(*a) == family);
            let (mut v4, mut v6) = (of(Family::V4), of(Family::V6));
            let mut next = [v4.next(), v6.next()];
            loop {
                list.push(End::Node { node, addresses: next });
                next = [v4.next(), v6.next()];
                if next == [None, None] {
                    break;
                }
            }
        }
        let first_outside = number(list.len());
        let nodes = (number(program.identities().len())..first_outside).collect();
        let families = Family::ALL.map(|family| {
            let blocks = told_apart.iter().copied();
            let outside = number(list.len());
            let segments = Segments::new(family, blocks);
            for segment in 0..segments.len() {
                let (first, last) = segments.bounds(segment);
                list.push(End::Outside { first, last });
            }
            FamilyEnds::new(cluster, program, &list, segments, outside)
        });
        let outside = (first_outside..number(list.len())).collect();
        Self { list, pods, nodes, outside, families }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none. There always is: the outside.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every end.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (EndId, &End)> {
        self.list.iter().enumerate().map(|(index, end)| (EndId(number(index)), end))
    }

    /// One end.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: an EndId is the number of an end")]
    pub fn get(&self, id: EndId) -> &End {
        &self.list[id.0 as usize]
    }

    /// The members of a set.
    pub fn members<'a>(&'a self, set: &'a EndSet) -> impl Iterator<Item = (EndId, &'a End)> + 'a {
        set.iter().filter_map(|index| Some((EndId(index), self.list.get(index as usize)?)))
    }

    /// The end of an identity's pods.
    pub fn of_identity(&self, identity: IdentityId) -> EndId {
        EndId(identity.0)
    }

    /// The outside ends that make up a set of addresses which the outside was cut by.
    pub fn of_prefixes(&self, prefixes: &PrefixSet) -> EndSet {
        let of = |family| self.family(family).in_block(prefixes) & &self.outside;
        of(Family::V4) | of(Family::V6)
    }

    /// The end that an outside address is part of. The address must be nobody's here.
    pub fn of_outside(&self, address: IpAddr) -> EndId {
        let address = address.to_canonical();
        let ends = self.family(Family::of(address));
        EndId(ends.outside + ends.segments.of(address))
    }

    /// The ends of a node: one for each pair of its addresses.
    pub fn of_node(&self, node: NodeId) -> impl Iterator<Item = EndId> + '_ {
        let nodes = self.members(&self.nodes);
        let ends = nodes.filter(move |(_, end)| matches!(end, End::Node { node: of, .. } if *of == node));
        ends.map(|(id, _)| id)
    }

    /// All pods.
    pub fn pods(&self) -> &EndSet {
        &self.pods
    }

    /// All nodes.
    pub fn nodes(&self) -> &EndSet {
        &self.nodes
    }

    /// Everything outside.
    pub fn outside(&self) -> &EndSet {
        &self.outside
    }

    /// Whether an end can have connections of a family.
    pub fn is_present(&self, end: EndId, family: Family) -> bool {
        self.family(family).present.contains(end.0)
    }

    /// Everyone who can have connections of a family.
    pub fn present(&self, family: Family) -> &EndSet {
        &self.family(family).present
    }

    #[expect(clippy::indexing_slicing, reason = "one for each of the two families")]
    pub(super) fn family(&self, family: Family) -> &FamilyEnds {
        &self.families[family as usize]
    }
}

impl FamilyEnds {
    fn new(cluster: &Cluster, program: &PolicyProgram, list: &[End], segments: Segments, outside: u32) -> Self {
        let family = segments.family();
        let (mut present, mut unknown, mut at) = (EndSet::new(), EndSet::new(), Vec::new());
        let mut owned: Vec<IpAddr> = Vec::new();
        let mut nodes = Vec::new();
        for (index, end) in (0u32..).zip(list) {
            let (address, has_other) = match end {
                End::Pods(identity) => {
                    let mut addresses = program.identity(*identity).pods.iter().map(|pod| cluster.pod(*pod).addresses);
                    // Whether its pods have an address of a family is the same for all of an identity.
                    let Some(first) = addresses.next() else { continue };
                    owned.extend(std::iter::once(first).chain(addresses).filter_map(|a| a.of(family)));
                    (first.of(family), first.iter().next().is_some())
                }
                End::Node { node, addresses } => {
                    nodes.push((number(node.index()), index));
                    let address = addresses.get(family as usize).copied().flatten();
                    owned.extend(address);
                    (address, *addresses != [None, None])
                }
                End::Outside { .. } => continue,
            };
            match address {
                Some(address) => {
                    present.insert(index);
                    at.push((segments.of(address), index));
                }
                None if !has_other => {
                    present.insert(index);
                    unknown.insert(index);
                }
                None => {}
            }
        }
        at.sort_unstable();
        // What of a segment is nobody's here is outside.
        owned.sort_unstable();
        owned.dedup();
        let mut taken = vec![0u128; segments.len() as usize];
        for address in owned {
            if let Some(count) = taken.get_mut(segments.of(address) as usize) {
                *count += 1;
            }
        }
        let left = (0u32..).zip(taken).filter(|(segment, taken)| segments.size(*segment) != Some(*taken));
        let outside_set: EndSet = left.map(|(segment, _)| outside + segment).collect();
        present |= &outside_set;
        Self { family, present, unknown, segments, outside, outside_set, nodes, at }
    }

    /// The outside of this family.
    pub(super) fn outside(&self) -> &EndSet {
        &self.outside_set
    }

    /// The ends of some nodes, which are given by [`NodeId::index`].
    pub(super) fn of_nodes(&self, members: &RoaringBitmap) -> EndSet {
        let ends = self.nodes.iter().filter(|(node, _)| members.contains(*node)).map(|(_, end)| *end);
        ends.filter(|end| self.present.contains(*end)).collect()
    }

    /// Whom a block holds for certain.
    pub(super) fn in_block(&self, block: &PrefixSet) -> EndSet {
        if block.is_all_in(self.family) {
            return self.present.clone();
        }
        let mut ends = EndSet::new();
        for (first, last) in self.segments.runs(block) {
            ends.insert_range(self.outside + first..=self.outside + last);
            let from = self.at.partition_point(|(segment, _)| *segment < first);
            let rest = self.at.get(from..).unwrap_or_default();
            ends.extend(rest.iter().take_while(|(segment, _)| *segment <= last).map(|(_, end)| *end));
        }
        ends & &self.present
    }

    /// Whom a block holds if their address, which is not known, should be in it.
    pub(super) fn perhaps_in_block(&self, block: &PrefixSet) -> Option<&EndSet> {
        let undecided = !block.is_empty_in(self.family) && !block.is_all_in(self.family) && !self.unknown.is_empty();
        undecided.then_some(&self.unknown)
    }
}

pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
