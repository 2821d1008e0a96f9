//! Sets of addresses, both families, and their way back to prefixes.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

use super::RangeSet;
use crate::model::Family;

/// A set of IPv4 and IPv6 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixSet {
    v4: RangeSet<u32>,
    v6: RangeSet<u128>,
}

impl PrefixSet {
    /// The set without members.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The addresses of `cidr` that are in none of `except`.
    pub fn block(cidr: IpNet, except: &[IpNet]) -> Self {
        let taken: Self = except.iter().copied().collect();
        std::iter::once(cidr).collect::<Self>().difference(&taken)
    }

    /// Whether `address` is a member.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether there is no member of that family.
    pub fn is_empty_in(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4.is_empty(),
            Family::V6 => self.v6.is_empty(),
        }
    }

    /// Whether every address of that family is a member.
    pub fn is_all_in(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4.is_all(),
            Family::V6 => self.v6.is_all(),
        }
    }

    /// The IPv4 members.
    pub fn v4(&self) -> &RangeSet<u32> {
        &self.v4
    }

    /// The IPv6 members.
    pub fn v6(&self) -> &RangeSet<u128> {
        &self.v6
    }

    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Members of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// Members of this one that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: self.v4.difference(&other.v4), v6: self.v6.difference(&other.v6) }
    }

    /// The fewest prefixes that make up the set, IPv4 first, ascending.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        let v4 = self.v4.ranges().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.ranges().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(iter: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in iter {
            match prefix {
                IpNet::V4(net) => v4.push(bounds_v4(net)),
                IpNet::V6(net) => v6.push(bounds_v6(net)),
            }
        }
        Self { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
    }
}

impl<'a> FromIterator<&'a PrefixSet> for PrefixSet {
    /// The members of any.
    fn from_iter<I: IntoIterator<Item = &'a Self>>(iter: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in iter {
            v4.extend(set.v4.ranges());
            v6.extend(set.v6.ranges());
        }
        Self { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
    }
}

impl fmt::Display for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, prefix) in self.prefixes().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{prefix}")?;
        }
        Ok(())
    }
}

fn bounds_v4(net: Ipv4Net) -> (u32, u32) {
    (net.network().to_bits(), net.broadcast().to_bits())
}

fn bounds_v6(net: Ipv6Net) -> (u128, u128) {
    (net.network().to_bits(), net.broadcast().to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn except_takes_away_from_its_block() {
        let set = PrefixSet::block(net("10.0.0.0/8"), &[net("10.1.0.0/16")]);
        assert!(set.contains("10.0.255.255".parse().unwrap()));
        assert!(!set.contains("10.1.0.0".parse().unwrap()));
        assert!(!set.contains("10.1.255.255".parse().unwrap()));
        assert!(set.contains("10.2.0.0".parse().unwrap()));
        assert!(!set.contains("11.0.0.0".parse().unwrap()));
        assert!(set.is_empty_in(Family::V6));
    }

    #[test]
    fn whole_families_are_known() {
        let set: PrefixSet = [net("0.0.0.0/1"), net("128.0.0.0/1"), net("::/0")].into_iter().collect();
        assert!(set.is_all_in(Family::V4) && set.is_all_in(Family::V6));
        assert_eq!(set.to_string(), "0.0.0.0/0, ::/0");
    }

    #[test]
    fn prefixes_are_the_fewest() {
        let set = PrefixSet::block(net("10.0.0.0/30"), &[net("10.0.0.0/32")]);
        assert_eq!(set.to_string(), "10.0.0.1/32, 10.0.0.2/31");
        let set = PrefixSet::block(net("2001:db8::/126"), &[net("2001:db8::3/128")]);
        assert_eq!(set.to_string(), "2001:db8::/127, 2001:db8::2/128");
    }

    #[test]
    fn algebra_holds_in_both_families_at_once() {
        let a: PrefixSet = [net("10.0.0.0/9"), net("2001:db8::/33")].into_iter().collect();
        let b: PrefixSet = [net("10.128.0.0/9"), net("2001:db8:8000::/33")].into_iter().collect();
        let whole: PrefixSet = [net("10.0.0.0/8"), net("2001:db8::/32")].into_iter().collect();
        assert_eq!(a.union(&b), whole);
        assert_eq!(whole.intersection(&b), b);
        assert_eq!(whole.difference(&b), a);
        assert!(a.intersection(&b).is_empty() && !a.is_empty());
        let (v4, v6) = (PrefixSet::block(net("10.0.0.0/8"), &[]), PrefixSet::block(net("2001:db8::/32"), &[]));
        assert!(!v4.is_empty() && !v6.is_empty(), "one family is enough");
    }
}
