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

/// At most this many hosts are made up, over both families: a policy may list thousands of prefixes.
const MOST: usize = 12;

/// Outside addresses worth trying: one anywhere, and one in each ipBlock and in each of its
/// exceptions, as far as these hold addresses that a host can have and nobody in the cluster has.
pub fn addresses(cluster: &Cluster, families: &[Family]) -> Vec<IpAddr> {
    // In the order found, so that the one anywhere is never the one too many.
    let mut found: Vec<IpAddr> = ANYWHERE.into_iter().filter(|address| is_free(cluster, *address)).collect();
    let rules = cluster.policies().flat_map(|(_, policy)| Direction::ALL.map(|direction| policy.rules(direction)));
    for peer in rules.flatten().flat_map(|rule| &rule.peers) {
        let Peer::IpBlock(block) = peer else { continue };
        found.extend(one_of(cluster, &PrefixSet::block(block.cidr, &block.except)));
        for except in &block.except {
            found.extend(one_of(cluster, &PrefixSet::block(*except, &[])));
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|address| seen.insert(*address));
    let of_family = |family: &Family| {
        let family = *family;
        found.iter().copied().filter(move |address| Family::of(*address) == family).take(MOST / families.len())
    };
    let mut addresses: Vec<IpAddr> = families.iter().flat_map(of_family).collect();
    addresses.sort_unstable();
    addresses
}

/// The outside addresses that domain names were told to have; how many there may be is for who tells them.
pub fn told(cluster: &Cluster) -> Vec<IpAddr> {
    let addresses = cluster.resolved().iter().map(|one| one.address.to_canonical());
    let mut found: Vec<IpAddr> = addresses.filter(|address| is_free(cluster, *address)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn one_of(cluster: &Cluster, set: &PrefixSet) -> Option<IpAddr> {
    let free = |address: &IpAddr| is_free(cluster, *address);
    let anywhere = ANYWHERE.into_iter().filter(free).find(|address| set.contains(*address));
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

fn is_free(cluster: &Cluster, address: IpAddr) -> bool {
    cluster.endpoint_of(address) == Endpoint::Outside && is_host(address)
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
    use palisade_engine::model::{Inventory, IpBlock, LabelSelector, NetworkPolicy, ObjectRef, Peer, PolicyRule};

    use super::*;

    #[test]
    fn many_blocks_leave_room_for_the_rest() {
        let block = |n: u8| {
            let cidr = IpNet::new(Ipv4Addr::new(20, n, 0, 0).into(), 16).unwrap();
            Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
        };
        let policy = NetworkPolicy {
            id: ObjectRef::new("default", "many"),
            annotations: palisade_engine::model::Labels::default(),
            mode: None,
            subject: LabelSelector::everything(),
            policy_types: None,
            ingress: Vec::new(),
            egress: vec![PolicyRule { peers: (0..200).map(block).collect(), ..PolicyRule::default() }],
            at: None,
        };
        let cluster = Inventory { policies: vec![policy], ..Inventory::default() }.into_cluster().unwrap();
        let found = addresses(&cluster, &Family::ALL);
        assert!(ANYWHERE.iter().all(|address| found.contains(address)), "{found:?}");
        assert_eq!(found.len(), 7);
        assert_eq!(addresses(&cluster, &[Family::V4]).len(), MOST);
    }

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
