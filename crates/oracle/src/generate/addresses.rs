//! The address plan: where nodes, pods and outside hosts are. All of it can be built from network
//! namespaces: nothing here is loopback, multicast or unspecified.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use palisade_engine::model::{Family, PodAddresses};

use super::random::Rng;

/// How many nodes the plan has addresses for; more nodes stay without.
pub(crate) const MAX_NODES: usize = 250;

/// Which families a cluster, and then each of its pods, has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

impl Stack {
    pub(crate) const NONE: Self = Self { v4: false, v6: false };
    pub(crate) const V4: Self = Self { v4: true, v6: false };
    pub(crate) const V6: Self = Self { v4: false, v6: true };
    pub(crate) const DUAL: Self = Self { v4: true, v6: true };

    /// The families of a cluster.
    pub(crate) fn of_cluster(rng: &mut Rng) -> Self {
        rng.weighted([(25, Self::V4), (10, Self::V6), (65, Self::DUAL)])
    }

    /// The families of one pod of a cluster: most pods have all, some lack one, few have no address.
    pub(crate) fn of_pod(self, rng: &mut Rng) -> Self {
        let wanted = rng.weighted([(74, Self::DUAL), (10, Self::V4), (10, Self::V6), (6, Self::NONE)]);
        let both = Self { v4: self.v4 && wanted.v4, v6: self.v6 && wanted.v6 };
        // A pod that would have only a family that the cluster lacks gets what the cluster has.
        if both == Self::NONE && wanted != Self::NONE { self } else { both }
    }

    pub(crate) fn families(self) -> Vec<Family> {
        Family::ALL.into_iter().filter(|family| if *family == Family::V4 { self.v4 } else { self.v6 }).collect()
    }

    fn filter(self, v4: Ipv4Addr, v6: Ipv6Addr) -> PodAddresses {
        PodAddresses { v4: self.v4.then_some(v4), v6: self.v6.then_some(v6) }
    }
}

/// The addresses of the node number `node` (from 0): 172.18.0.x and fd00:172:18::x.
pub(crate) fn of_node(node: usize, stack: Stack) -> PodAddresses {
    let Some(x) = (node < MAX_NODES).then(|| u8::try_from(node + 2).ok()).flatten() else {
        return PodAddresses::default();
    };
    stack.filter(Ipv4Addr::new(172, 18, 0, x), Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, u16::from(x)))
}

/// The pods' addresses that are still free: 10.244.N.x and fd00:10:244:N::x on the node number N.
#[derive(Debug, Default)]
pub(crate) struct PodPlan {
    taken: BTreeSet<(u8, u8)>,
}

impl PodPlan {
    /// Free addresses on a node, at a random place; none when the node is full or beyond the plan.
    pub(crate) fn take(&mut self, rng: &mut Rng, node: usize, stack: Stack) -> PodAddresses {
        let Some(n) = (node < MAX_NODES).then(|| u8::try_from(node).ok()).flatten() else {
            return PodAddresses::default();
        };
        // Close together more often than not, so that prefixes of a few addresses tell pods apart.
        let start = if rng.chance(60) { rng.between(2, 16) } else { rng.between(2, 254) };
        let free = (start..=254).chain(2..start).filter_map(|x| u8::try_from(x).ok());
        let Some(x) = free.into_iter().find(|x| !self.taken.contains(&(n, *x))) else {
            return PodAddresses::default();
        };
        self.taken.insert((n, x));
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, u16::from(n), 0, 0, 0, u16::from(x));
        stack.filter(Ipv4Addr::new(10, 244, n, x), v6)
    }
}

/// An address that no pod and no node has.
pub(crate) fn outside(rng: &mut Rng, family: Family) -> IpAddr {
    let low = rng.bits();
    let [.., x] = low.to_be_bytes();
    match family {
        Family::V4 => {
            let x = x.clamp(1, 254);
            IpAddr::from(if rng.chance(60) { [203, 0, 113, x] } else { [198, 51, 100, x] })
        }
        // A few subnets with a few hosts, so that blocks and hosts meet; now and then anywhere.
        Family::V6 if rng.chance(80) => {
            let subnet = rng.one_of([0, 1, 2, 0xff]);
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, u16::from(x.max(1))))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | (low >> 32))),
    }
}

/// Whether an outside host of the lab may have the address: in one of the ranges kept for
/// documentation, and no address that looks like an IPv4 network or broadcast address.
pub(crate) fn is_outside_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, x] = v4.octets();
            matches!((a, b, c), (203, 0, 113) | (198, 51, 100)) && (1..=254).contains(&x)
        }
        IpAddr::V6(v6) => matches!(v6.segments(), [0x2001, 0xdb8, ..]),
    }
}

/// Whether the address is anywhere in the plan, owned or not.
pub(crate) fn is_in_plan(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            matches!((a, b, c), (203, 0, 113) | (198, 51, 100) | (172, 18, 0) | (10, 244, _))
        }
        IpAddr::V6(v6) => {
            matches!(v6.segments(), [0x2001, 0xdb8, ..] | [0xfd00, 0x172, 0x18, 0, ..] | [0xfd00, 0x10, 0x244, ..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_node_gives_no_address_and_no_address_twice() {
        let (mut rng, mut plan) = (Rng::new(1, 1), PodPlan::default());
        let mut seen = BTreeSet::new();
        for _ in 0..253 {
            assert!(seen.insert(plan.take(&mut rng, 4, Stack::DUAL).v4.unwrap()));
        }
        assert_eq!(plan.take(&mut rng, 4, Stack::DUAL), PodAddresses::default());
        assert_eq!(plan.take(&mut rng, MAX_NODES, Stack::DUAL), PodAddresses::default());
    }

    #[test]
    fn outside_hosts_are_in_their_ranges() {
        let mut rng = Rng::new(5, 1);
        for _ in 0..1000 {
            for family in Family::ALL {
                let address = outside(&mut rng, family);
                assert!(is_outside_host(address) && is_in_plan(address), "{address}");
            }
        }
    }
}
