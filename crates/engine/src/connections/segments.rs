//! The addresses of one family, cut where some ipBlock begins or ends.
//!
//! No policy can tell two addresses of one segment apart, so one answer holds for all of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{model::Family, sets::PrefixSet};

/// The address space of a family as consecutive segments, numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments {
    family: Family,
    /// Where each one begins, ascending.
    ///
    /// INVARIANT: the first is 0, so there is always a segment that holds an address.
    starts: Vec<u128>,
}

impl Segments {
    /// The segments that the given sets tell apart.
    pub(super) fn new<'a>(family: Family, blocks: impl Iterator<Item = &'a PrefixSet>) -> Self {
        let mut starts = vec![0];
        for (first, last) in blocks.flat_map(|block| ranges(block, family)) {
            starts.push(first);
            starts.extend(last.checked_add(1).filter(|next| *next <= top(family)));
        }
        starts.sort_unstable();
        starts.dedup();
        Self { family, starts }
    }

    /// The family.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// The segment that holds an address.
    pub(super) fn of(&self, address: IpAddr) -> u32 {
        self.at(bits(address))
    }

    /// The first and the last address of a segment.
    pub(super) fn bounds(&self, segment: u32) -> (IpAddr, IpAddr) {
        let (first, last) = self.bits_of(segment);
        (address(self.family, first), address(self.family, last))
    }

    /// How many addresses a segment has; `None` for more than a `u128` counts.
    pub(super) fn size(&self, segment: u32) -> Option<u128> {
        let (first, last) = self.bits_of(segment);
        (last - first).checked_add(1)
    }

    /// The runs of segments, first and last, that make up a set which was among those given.
    pub(super) fn runs<'a>(&'a self, block: &'a PrefixSet) -> impl Iterator<Item = (u32, u32)> + 'a {
        ranges(block, self.family).into_iter().map(|(first, last)| (self.at(first), self.at(last)))
    }

    fn at(&self, bits: u128) -> u32 {
        let after = self.starts.partition_point(|start| *start <= bits);
        u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn bits_of(&self, segment: u32) -> (u128, u128) {
        let start = |index: usize| self.starts.get(index).copied();
        let first = start(segment as usize).unwrap_or(0);
        (first, start(segment as usize + 1).map_or(top(self.family), |next| next - 1))
    }
}

fn ranges(block: &PrefixSet, family: Family) -> Vec<(u128, u128)> {
    match family {
        Family::V4 => block.v4().ranges().map(|(first, last)| (first.into(), last.into())).collect(),
        Family::V6 => block.v6().ranges().collect(),
    }
}

fn top(family: Family) -> u128 {
    match family {
        Family::V4 => u32::MAX.into(),
        Family::V6 => u128::MAX,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        // INVARIANT: IPv4 segments end at `top`.
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cidr: &str, except: &[&str]) -> PrefixSet {
        let except: Vec<_> = except.iter().map(|net| net.parse().unwrap()).collect();
        PrefixSet::block(cidr.parse().unwrap(), &except)
    }

    #[test]
    fn a_block_is_whole_segments() {
        let blocks = [set("10.0.0.0/8", &["10.1.0.0/16"]), set("2001:db8::/32", &[]), set("0.0.0.0/0", &[])];
        let segments = Segments::new(Family::V4, blocks.iter());
        assert_eq!(segments.len(), 5, "before, 10.0/16, 10.1/16, the rest of 10/8, after");
        assert_eq!(segments.runs(&blocks[0]).collect::<Vec<_>>(), [(1, 1), (3, 3)]);
        assert_eq!(segments.runs(&blocks[2]).collect::<Vec<_>>(), [(0, 4)]);
        assert_eq!(segments.runs(&blocks[1]).count(), 0, "the other family");
        assert_eq!(segments.of("10.1.2.3".parse().unwrap()), 2);
        assert_eq!(segments.bounds(2), ("10.1.0.0".parse().unwrap(), "10.1.255.255".parse().unwrap()));
        assert_eq!(segments.size(2), Some(65_536));
    }

    #[test]
    fn the_ends_of_the_space_hold() {
        let whole = [set("::/0", &[])];
        let segments = Segments::new(Family::V6, whole.iter());
        assert_eq!((segments.len(), segments.size(0)), (1, None));
        let half = [set("8000::/1", &[])];
        let segments = Segments::new(Family::V6, half.iter());
        assert_eq!(segments.bounds(1).1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse::<IpAddr>().unwrap());
    }
}
