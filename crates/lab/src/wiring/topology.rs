//! What is to be wired, and what of it cannot be. Pure.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How the pods of a node are joined with it, as CNIs do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wiring {
    /// Each by a veth pair; the node routes between them.
    #[default]
    Routed,
    /// All on one bridge; packets between them are bridged, and pass the rules through br_netfilter.
    Bridged,
}

/// How a network is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// How pods are joined with their node.
    pub wiring: Wiring,
    /// Sets IPv6 up, if the kernel has it, even if nobody has such an address yet.
    pub always_ipv6: bool,
}

/// The hosts of a lab. Every address belongs to one host only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The nodes; each is a namespace that forwards for its pods.
    pub nodes: Vec<NodeHost>,
    /// The pods that have a network of their own. A pod with `hostNetwork` is
    /// not here: it is its node.
    pub pods: Vec<PodHost>,
    /// Addresses outside the cluster. They share one namespace.
    pub outside: Vec<OutsideHost>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHost {
    /// For errors only.
    pub name: String,
    /// Its own addresses; the first of a family is the source of what the
    /// node itself sends.
    pub addresses: Vec<IpAddr>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodHost {
    /// For errors only.
    pub name: String,
    /// The index of its node in [`Topology::nodes`].
    pub node: usize,
    /// Its IPv4 address, if it has one.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address, if it has one.
    pub v6: Option<Ipv6Addr>,
}

/// An address outside the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutsideHost {
    /// Any unicast address that can be routed.
    pub address: IpAddr,
}

/// One host of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostRef {
    /// An index into [`Topology::nodes`]: the node itself and every pod with `hostNetwork`.
    Node(usize),
    /// An index into [`Topology::pods`].
    Pod(usize),
    /// An index into [`Topology::outside`].
    Outside(usize),
}

impl fmt::Display for HostRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(index) => write!(f, "node {index}"),
            Self::Pod(index) => write!(f, "pod {index}"),
            Self::Outside(index) => write!(f, "outside host {index}"),
        }
    }
}

/// Why a topology cannot be wired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Two hosts claim an address.
    #[error("{address} belongs to both {first} and {second}: give each host its own address")]
    Shared {
        /// The address.
        address: IpAddr,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// An address that no packet can be routed to.
    #[error("{address} of {owner} cannot be the address of a host: it is {kind}")]
    Unroutable {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        owner: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// A pod names a node that is not there.
    #[error("pod {pod} is on node {node}, and there are {nodes} nodes (counted from 0)")]
    NoSuchNode {
        /// The pod.
        pod: String,
        /// The index it names.
        node: usize,
        /// How many nodes there are.
        nodes: usize,
    },
}

impl Topology {
    /// All addresses with their owners' names.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, String)> {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|node| node.addresses.iter().map(|&address| (address, format!("node {}", node.name))));
        let pods =
            self.pods.iter().flat_map(|pod| pod.addresses().map(|address| (address, format!("pod {}", pod.name))));
        let outside = self.outside.iter().map(|host| (host.address, "an outside host".to_owned()));
        nodes.chain(pods).chain(outside)
    }

    /// Finds what would make the wiring fail halfway or lie.
    pub fn check(&self) -> Result<(), TopologyError> {
        for pod in &self.pods {
            if pod.node >= self.nodes.len() {
                let (pod, node, nodes) = (pod.name.clone(), pod.node, self.nodes.len());
                return Err(TopologyError::NoSuchNode { pod, node, nodes });
            }
        }
        let mut owners = HashMap::new();
        for (address, owner) in self.addresses() {
            if let Some(kind) = unroutable(address) {
                return Err(TopologyError::Unroutable { address, owner, kind });
            }
            if let Some(first) = owners.insert(address, owner.clone()) {
                return Err(TopologyError::Shared { address, first, second: owner });
            }
        }
        Ok(())
    }
}

impl PodHost {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// What the kernel would not route, or not to another host. IPv4's link-local
/// range can be: cloud metadata servers live there.
fn unroutable(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => Some("in 0.0.0.0/8, this network"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: usize, v4: &str) -> PodHost {
        PodHost { name: name.into(), node, v4: Some(v4.parse().unwrap()), v6: None }
    }

    fn node() -> NodeHost {
        NodeHost { name: "one".into(), addresses: vec!["192.168.0.1".parse().unwrap()] }
    }

    #[test]
    fn what_cannot_be_wired_is_said() {
        let mut topology = Topology { nodes: vec![node()], pods: vec![pod("a", 0, "10.0.0.1")], outside: vec![] };
        assert_eq!(topology.check(), Ok(()));
        topology.pods.push(pod("b", 0, "192.168.0.1"));
        let text = topology.check().unwrap_err().to_string();
        assert!(text.starts_with("192.168.0.1 belongs to both node one and pod b"), "{text}");
        topology.pods = vec![pod("a", 1, "10.0.0.1")];
        assert!(matches!(topology.check(), Err(TopologyError::NoSuchNode { node: 1, nodes: 1, .. })));
    }

    #[test]
    fn metadata_servers_can_be_wired_and_loopbacks_cannot() {
        let outside = |address: &str| Topology {
            outside: vec![OutsideHost { address: address.parse().unwrap() }],
            ..Topology::default()
        };
        for address in ["169.254.169.254", "203.0.113.9", "255.255.255.1", "2001:db8::1", "10.0.0.0"] {
            assert_eq!(outside(address).check(), Ok(()), "{address}");
        }
        for address in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "fe80::5", "::1", "::ffff:1.2.3.4"] {
            assert!(outside(address).check().is_err(), "{address}");
        }
    }
}
