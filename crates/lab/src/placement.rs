//! Nodes and addresses for whoever has none: manifests that were never applied run in the lab too.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use palisade_engine::model::{Cluster, Conflict, Family, Labels, Name, Node, Pod};

/// Gives every live pod a node, and every node and pod addresses, where the input has none. What the
/// input says stays. New addresses are of the families that the cluster's pods have; of both when no
/// pod has any.
///
/// # Errors
/// When the cluster's own addresses contradict each other.
pub fn place(cluster: Cluster) -> Result<Cluster, Vec<Conflict>> {
    cluster.with_hosts(|nodes, pods| {
        let mut taken = Taken::of(nodes, pods);
        let families = families(pods);
        if nodes.is_empty() {
            nodes.push(Node {
                name: Name::from("lab-node"),
                labels: Labels::default(),
                addresses: Vec::new(),
                pod_prefixes: Vec::new(),
                at: None,
            });
        }
        for (index, node) in nodes.iter_mut().enumerate() {
            for family in &families {
                if !node.addresses.iter().any(|address| Family::of(*address) == *family) {
                    node.addresses.push(taken.next(Row::Nodes(*family, index)));
                }
            }
        }
        let names: Vec<Name> = nodes.iter().map(|node| node.name.clone()).collect();
        let places: HashMap<Name, usize> = names.iter().cloned().zip(0..).collect();
        let mut round = 0;
        for pod in pods.iter_mut().filter(|pod| pod.is_live()) {
            let node = pod.node.get_or_insert_with(|| {
                round += 1;
                names.get((round - 1) % names.len()).cloned().unwrap_or_else(|| Name::from("lab-node"))
            });
            let index = places.get(node).copied().unwrap_or(0);
            if pod.host_network || pod.addresses.iter().next().is_some() {
                continue;
            }
            for family in &families {
                match taken.next(Row::Pods(*family, index)) {
                    IpAddr::V4(address) => pod.addresses.v4 = Some(address),
                    IpAddr::V6(address) => pod.addresses.v6 = Some(address),
                }
            }
        }
    })
}

/// The families that the cluster's own pods have.
fn families(pods: &[Pod]) -> Vec<Family> {
    let used: BTreeSet<Family> = pods.iter().flat_map(|pod| pod.addresses.iter().map(Family::of)).collect();
    if used.is_empty() { Family::ALL.to_vec() } else { used.into_iter().collect() }
}

/// Addresses to give out, one after the other: those of a node, and of its pods.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Nodes(Family, usize),
    Pods(Family, usize),
}

impl Row {
    fn address(self, n: u16) -> IpAddr {
        match self {
            Self::Nodes(family, node) => node_address(family, node, n),
            Self::Pods(family, node) => pod_address(family, node, n),
        }
    }

    /// What is given out when nothing is left: two of these contradict each other.
    fn nothing(self) -> IpAddr {
        match self {
            Self::Nodes(Family::V4, _) | Self::Pods(Family::V4, _) => Ipv4Addr::UNSPECIFIED.into(),
            Self::Nodes(Family::V6, _) | Self::Pods(Family::V6, _) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

struct Taken {
    addresses: BTreeSet<IpAddr>,
    /// The number with which each row goes on.
    rows: BTreeMap<Row, u16>,
}

impl Taken {
    fn of(nodes: &[Node], pods: &[Pod]) -> Self {
        let nodes = nodes.iter().flat_map(|node| node.addresses.iter().copied());
        let addresses = nodes.chain(pods.iter().flat_map(|pod| pod.addresses.iter())).collect();
        Self { addresses, rows: BTreeMap::new() }
    }

    /// The next address of a row that nobody has.
    fn next(&mut self, row: Row) -> IpAddr {
        let from = self.rows.entry(row).or_insert(2);
        let free = (*from..u16::MAX).find(|n| !self.addresses.contains(&row.address(*n)));
        *from = free.map_or(u16::MAX, |n| n + 1);
        let address = free.map_or(row.nothing(), |n| row.address(n));
        self.addresses.insert(address);
        address
    }
}

/// `172.18.<node>.n`, `fd00:172:18:<node>::n`
fn node_address(family: Family, node: usize, n: u16) -> IpAddr {
    let node = u8::try_from(node % 256).unwrap_or(0);
    match family {
        Family::V4 => Ipv4Addr::from([172, 18, node, n.to_be_bytes()[1]]).into(),
        Family::V6 => Ipv6Addr::from([0xfd00, 0x172, 0x18, u16::from(node), 0, 0, 0, n]).into(),
    }
}

/// `10.<244 + high bits>.<node>.n` and so on: a row of 65,000 for each node.
fn pod_address(family: Family, node: usize, n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    let node = u16::try_from(node % 256).unwrap_or(0);
    match family {
        // 10.244.node.x first; a node with more than 250 pods goes on in 10.245.node.x.
        Family::V4 => Ipv4Addr::from([10, 244_u8.wrapping_add(high), node.to_be_bytes()[1], low]).into(),
        Family::V6 => Ipv6Addr::from([0xfd00, 0x10, 0x244, node, 0, 0, 0, n]).into(),
    }
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::{Inventory, ObjectRef, Phase, PodAddresses};

    use super::*;

    fn pod(name: &str, v4: Option<&str>) -> Pod {
        Pod {
            addresses: PodAddresses { v4: v4.map(|text| text.parse().unwrap()), v6: None },
            phase: Phase::NotGiven,
            ..Pod::running(ObjectRef::new("default", name))
        }
    }

    fn placed(pods: Vec<Pod>) -> Cluster {
        place(Inventory { pods, ..Inventory::default() }.into_cluster().unwrap()).unwrap()
    }

    #[test]
    fn a_bare_manifest_gets_a_node_and_both_families() {
        let cluster = placed(vec![pod("a", None), pod("b", None)]);
        assert_eq!(cluster.nodes().len(), 1);
        let addresses: BTreeSet<IpAddr> = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter()).collect();
        assert_eq!(addresses.len(), 4);
        assert!(cluster.pods().all(|(id, _)| cluster.node_of(id).is_some()));
    }

    #[test]
    fn what_is_given_stays_and_sets_the_family() {
        let cluster = placed(vec![pod("a", Some("10.244.0.2")), pod("b", None)]);
        let b = cluster.pods().nth(1).unwrap().1;
        assert_eq!((b.addresses.v4, b.addresses.v6), (Some(Ipv4Addr::new(10, 244, 0, 3)), None));
    }

    #[test]
    fn a_thousand_pods_have_a_thousand_addresses() {
        let cluster = placed((0..1_000).map(|n| pod(&format!("p{n}"), None)).collect());
        let addresses: BTreeSet<IpAddr> = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter()).collect();
        assert_eq!(addresses.len(), 2_000);
    }
}
