//! Hosts beyond the cluster: one at an address of each prefix that policies name.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use palisade_engine::{
    model::{Cluster, Direction, Endpoint, Family, Peer},
    sets::PrefixSet,
};

/// Where "the internet" is in the lab: addresses kept for documentation (RFC 5737, RFC 3849).
const ANYWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9))];

/// At most this many hosts are made up: a policy may list thousands of prefixes.
const MOST: usize = 12;

/// Outside addresses worth trying: one anywhere, and one in each ipBlock and in each of its
/// exceptions, as far as these hold addresses that a host can have and nobody in the cluster has.
pub fn addresses(cluster: &Cluster, families: &[Family]) -> Vec<IpAddr> {
    let mut found: BTreeSet<IpAddr> = ANYWHERE.into_iter().collect();
    let rules = cluster.policies().flat_map(|(_, policy)| Direction::ALL.map(|direction| policy.rules(direction)));
    for peer in rules.flatten().flat_map(|rule| &rule.peers) {
        let Peer::IpBlock(block) = peer else { continue };
        found.extend(one_of(cluster, &PrefixSet::block(block.cidr, &block.except)));
        for except in &block.except {
            found.extend(one_of(cluster, &PrefixSet::block(*except, &[])));
        }
    }
    found.into_iter().filter(|address| families.contains(&Family::of(*address))).take(MOST).collect()
}

fn one_of(cluster: &Cluster, set: &PrefixSet) -> Option<IpAddr> {
    let free = |address: &IpAddr| cluster.endpoint_of(*address) == Endpoint::Outside && is_host(*address);
    let anywhere = ANYWHERE.into_iter().find(|address| set.contains(*address));
    anywhere.or_else(|| set.prefixes().find_map(|prefix| candidates(prefix).into_iter().find(free)))
}

/// A few addresses of a prefix: like the ninth, else the first.
fn candidates(prefix: IpNet) -> Vec<IpAddr> {
    let offset = |n: u32| match prefix.network() {
        IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits().saturating_add(n))),
        IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits().saturating_add(n.into()))),
    };
    [9, 10, 1, 2, 0].map(offset).into_iter().filter(|address| prefix.contains(address)).collect()
}

/// Whether a host can have the address.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            !(v4.is_link_local() || first == 0 || first == 127 || first >= 224)
        }
        IpAddr::V6(v6) => {
            let link_local = v6.segments().first().is_some_and(|segment| segment & 0xffc0 == 0xfe80);
            !(v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || link_local
                || v6.to_ipv4_mapped().is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::Inventory;

    use super::*;

    #[test]
    fn a_host_in_the_block_and_not_in_its_exception() {
        let cluster = Inventory::default().into_cluster().unwrap();
        let set = PrefixSet::block("198.51.100.0/24".parse().unwrap(), &["198.51.100.0/28".parse().unwrap()]);
        assert_eq!(one_of(&cluster, &set), Some("198.51.100.25".parse().unwrap()));
        let everything = PrefixSet::block("0.0.0.0/0".parse().unwrap(), &[]);
        assert_eq!(one_of(&cluster, &everything), Some("203.0.113.9".parse().unwrap()));
        let multicast = PrefixSet::block("224.0.0.0/4".parse().unwrap(), &[]);
        assert_eq!(one_of(&cluster, &multicast), None);
    }
}
