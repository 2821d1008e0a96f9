//! Where a block begins and ends: the addresses at which a mistake by one shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use palisade_engine::model::Family;

/// An address as a number, with the bits that its family has.
pub(crate) fn to_number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

/// The address of that number; `None` when the family has no such number.
pub(crate) fn from_number(number: u128, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => u32::try_from(number).ok().map(|number| IpAddr::V4(Ipv4Addr::from(number))),
        Family::V6 => Some(IpAddr::V6(Ipv6Addr::from(number))),
    }
}

/// The block of that prefix length that holds the address.
pub(crate) fn block_of(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |block| block.trunc())
}

/// The first and the last address of a block, and the ones right before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edges {
    pub(crate) before: Option<IpAddr>,
    pub(crate) first: Option<IpAddr>,
    pub(crate) last: Option<IpAddr>,
    pub(crate) after: Option<IpAddr>,
}

/// The edges of a block.
pub(crate) fn edges(block: &IpNet) -> Edges {
    let family = Family::of(block.addr());
    let (first, bits) = to_number(block.addr());
    let host_bits = u32::from(bits.saturating_sub(block.prefix_len()));
    let hosts = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
    let last = first | hosts;
    let at = |number: Option<u128>| number.and_then(|number| from_number(number, family));
    Edges {
        before: at(first.checked_sub(1)),
        first: at(Some(first)),
        last: at(Some(last)),
        after: at(last.checked_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn edges_of_blocks() {
        let found = edges(&"203.0.113.64/26".parse().unwrap());
        let wanted = Edges {
            before: some("203.0.113.63"),
            first: some("203.0.113.64"),
            last: some("203.0.113.127"),
            after: some("203.0.113.128"),
        };
        assert_eq!(found, wanted);
        let all = edges(&"0.0.0.0/0".parse().unwrap());
        assert_eq!((all.before, all.last, all.after), (None, some("255.255.255.255"), None));
        let one = edges(&"2001:db8::1/128".parse().unwrap());
        assert_eq!((one.first, one.last, one.after), (some("2001:db8::1"), some("2001:db8::1"), some("2001:db8::2")));
        let all = edges(&"::/0".parse().unwrap());
        assert_eq!((all.before, all.first, all.after), (None, some("::"), None));
    }
}
