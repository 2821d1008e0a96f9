//! Identities: pods that no policy can tell apart share one.
//!
//! Large clusters have many pods and few kinds of pods. Everything is computed per identity; only
//! addresses are kept per pod. What tells pods apart is exactly what a policy can see of them: the
//! namespace, the labels whose keys some selector uses, the named ports that some rule names, and
//! which of the policies' prefixes hold the address.

use std::{collections::HashSet, net::IpAddr};

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{
    Cluster, ClusterPeer, ClusterPolicy, ClusterPort, ClusterSubject, Direction, Family, LabelSelector, Labels, Name,
    NetworkPolicy, Peer, Pod, PodId, PortMatch, Protocol, resolution,
};

/// An identity of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(pub(crate) u32);

/// What policies can tell of some pods.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Their namespace.
    pub namespace: Name,
    /// Those of their labels whose keys some selector uses.
    pub labels: Labels,
    /// The ports, ascending, behind each name that some rule uses.
    pub(crate) named_ports: Vec<((Name, Protocol), Vec<u16>)>,
    /// The pods.
    pub pods: Vec<PodId>,
}

impl Identity {
    /// The numbers that the pods give to a named port; empty when they have none of that name and protocol.
    pub fn port_numbers(&self, name: &Name, protocol: Protocol) -> &[u16] {
        let found = self.named_ports.iter().find(|((n, p), _)| n == name && *p == protocol);
        found.map_or(&[], |(_, numbers)| numbers)
    }

    /// Their ports, ascending, behind each name that some rule uses.
    pub fn named_ports(&self) -> impl Iterator<Item = (&Name, Protocol, &[u16])> {
        self.named_ports.iter().map(|((name, protocol), numbers)| (name, *protocol, numbers.as_slice()))
    }
}

/// What the policies of a cluster look at, gathered before the pods are sorted into identities.
#[derive(Debug, Default)]
struct Visible {
    label_keys: FxHashSet<Name>,
    named_ports: FxHashSet<(Name, Protocol)>,
    /// Every prefix of an ipBlock, its exceptions included.
    prefixes: HashSet<IpNet>,
}

impl Visible {
    fn of(cluster: &Cluster) -> Self {
        let mut visible = Self::default();
        visible.network_policies(cluster.policies().map(|(_, policy)| policy));
        for (_, policy) in cluster.cluster_policies() {
            visible.cluster_policy(cluster, policy);
        }
        visible
    }

    fn network_policies<'a>(&mut self, policies: impl Iterator<Item = &'a NetworkPolicy>) {
        let visible = self;
        for policy in policies {
            visible.selector(&policy.subject);
            for rule in Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction)) {
                for peer in &rule.peers {
                    match peer {
                        Peer::Pods { pods, .. } => visible.selector(pods),
                        Peer::IpBlock(block) => {
                            visible.prefixes.insert(block.cidr.trunc());
                            visible.prefixes.extend(block.except.iter().map(IpNet::trunc));
                        }
                    }
                }
                for port in &rule.ports {
                    if let PortMatch::Named(name) = &port.port {
                        visible.named_ports.insert((name.clone(), port.protocol));
                    }
                }
            }
        }
    }

    fn cluster_policy(&mut self, cluster: &Cluster, policy: &ClusterPolicy) {
        if let ClusterSubject::Pods { pods, .. } = &policy.subject {
            self.selector(pods);
        }
        for rule in Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction)) {
            for peer in rule.peers() {
                match peer {
                    // Nodes are no identities, and pods of equal identity are of one namespace.
                    ClusterPeer::Namespaces { .. } | ClusterPeer::Nodes { .. } => {}
                    ClusterPeer::Pods { pods, .. } => self.selector(pods),
                    ClusterPeer::Networks { networks, .. } => self.prefixes.extend(networks.iter().map(IpNet::trunc)),
                    ClusterPeer::DomainNames { names, .. } => {
                        let addresses = resolution(names, cluster.resolved()).addresses;
                        self.prefixes.extend(addresses.into_iter().map(IpNet::from));
                    }
                }
            }
            for port in rule.ports() {
                if let ClusterPort::Named { name, .. } = port {
                    self.named_ports.extend(Protocol::ALL.map(|protocol| (name.clone(), protocol)));
                }
            }
        }
    }

    fn selector(&mut self, selector: &LabelSelector) {
        self.label_keys.extend(selector.requirements.iter().map(|requirement| requirement.key.clone()));
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    namespace: Name,
    labels: Labels,
    named_ports: Vec<((Name, Protocol), Vec<u16>)>,
    /// By family: `None` without an address, else the longest visible prefix that holds it. Prefixes
    /// nest, so the longest one tells which others hold the address too.
    classes: [Option<Option<IpNet>>; 2],
}

/// Sorts the live pods with a network of their own into identities; the second list has each pod's,
/// by [`PodId::index`].
pub(crate) fn identities(cluster: &Cluster) -> (Vec<Identity>, Vec<Option<IdentityId>>) {
    let visible = Visible::of(cluster);
    let prefixes = NestedPrefixes::new(visible.prefixes.iter().copied());
    let mut ids: FxHashMap<Key, IdentityId> = FxHashMap::default();
    let mut identities: Vec<Identity> = Vec::new();
    let mut of_pod = vec![None; cluster.pods().len()];
    for ((pod_id, pod), slot) in cluster.pods().zip(&mut of_pod) {
        if !pod.is_live() || pod.host_network {
            continue;
        }
        let key = Key {
            namespace: pod.id.namespace.clone(),
            labels: pod.labels.iter().filter(|(key, _)| visible.label_keys.contains(*key)).map(clone_pair).collect(),
            named_ports: named_ports(pod, &visible),
            classes: Family::ALL.map(|family| pod.addresses.of(family).map(|address| prefixes.longest(address))),
        };
        let id = *ids.entry(key).or_insert_with_key(|key| {
            identities.push(Identity {
                namespace: key.namespace.clone(),
                labels: key.labels.clone(),
                named_ports: key.named_ports.clone(),
                pods: Vec::new(),
            });
            IdentityId(u32::try_from(identities.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(identity) = identities.get_mut(id.0 as usize) {
            identity.pods.push(pod_id);
        }
        *slot = Some(id);
    }
    (identities, of_pod)
}

fn clone_pair((key, value): (&Name, &Name)) -> (Name, Name) {
    (key.clone(), value.clone())
}

fn named_ports(pod: &Pod, visible: &Visible) -> Vec<((Name, Protocol), Vec<u16>)> {
    let mut named: Vec<((Name, Protocol), Vec<u16>)> = Vec::new();
    let mut ports: Vec<((Name, Protocol), u16)> = pod
        .ports
        .iter()
        .filter_map(|port| Some(((port.name.clone()?, port.protocol), port.port)))
        .filter(|(key, _)| visible.named_ports.contains(key))
        .collect();
    ports.sort();
    ports.dedup();
    for (key, number) in ports {
        match named.last_mut() {
            Some((last, numbers)) if *last == key => numbers.push(number),
            _ => named.push((key, vec![number])),
        }
    }
    named
}

/// Prefixes, ready for the question which is the longest one that holds an address.
struct NestedPrefixes {
    /// By length, the longest first.
    by_length: Vec<HashSet<IpNet>>,
}

impl NestedPrefixes {
    fn new(prefixes: impl Iterator<Item = IpNet>) -> Self {
        let mut lengths: Vec<(u8, HashSet<IpNet>)> = Vec::new();
        for prefix in prefixes {
            match lengths.iter_mut().find(|(length, _)| *length == prefix.prefix_len()) {
                Some((_, set)) => _ = set.insert(prefix),
                None => lengths.push((prefix.prefix_len(), std::iter::once(prefix).collect())),
            }
        }
        lengths.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Self { by_length: lengths.into_iter().map(|(_, set)| set).collect() }
    }

    fn longest(&self, address: IpAddr) -> Option<IpNet> {
        self.by_length.iter().find_map(|set| {
            let length = set.iter().next()?.prefix_len();
            let prefix = IpNet::new(address, length).ok()?.trunc();
            set.get(&prefix).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_is_found_in_both_families() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "2001:db8::/32", "::/0"];
        let prefixes = NestedPrefixes::new(nets.iter().map(|net| net.parse().unwrap()));
        let longest = |address: &str| prefixes.longest(address.parse().unwrap()).map(|net| net.to_string());
        assert_eq!(longest("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(longest("10.1.2.4").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(longest("10.2.0.1").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(longest("11.0.0.1"), None);
        assert_eq!(longest("2001:db8::1").as_deref(), Some("2001:db8::/32"));
        assert_eq!(longest("2001:db9::1").as_deref(), Some("::/0"));
    }
}
