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
    /// The pods; none when all have gone while the program lived on.
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

/// What policies look at. What was looked at once stays: identities that are told apart without need have the
/// same answers.
#[derive(Debug)]
struct Visible {
    label_keys: FxHashSet<Name>,
    named_ports: FxHashSet<(Name, Protocol)>,
    /// Every prefix of an ipBlock, its exceptions included; `None`: blocks tell nobody apart.
    prefixes: Option<NestedPrefixes>,
}

/// What a policy looks at that none did before.
#[derive(Debug, Default)]
struct News {
    label_keys: FxHashSet<Name>,
    named_ports: FxHashSet<(Name, Protocol)>,
}

impl News {
    fn concerns(&self, pod: &Pod) -> bool {
        self.label_keys.iter().any(|key| pod.labels.get(key).is_some())
            || pod.ports.iter().any(|port| {
                port.name.as_ref().is_some_and(|name| self.named_ports.contains(&(name.clone(), port.protocol)))
            })
    }
}

impl Visible {
    fn look(&mut self, policy: &NetworkPolicy, news: &mut News) {
        self.selector(&policy.subject, news);
        for direction in Direction::ALL {
            for rule in policy.rules(direction) {
                for port in &rule.ports {
                    if let PortMatch::Named(name) = &port.port {
                        self.named_port(name, port.protocol, news);
                    }
                }
                for peer in &rule.peers {
                    match (peer, &mut self.prefixes) {
                        (Peer::Pods { pods, .. }, _) => self.selector(pods, news),
                        (Peer::IpBlock(block), Some(prefixes)) => {
                            prefixes.insert(block.cidr.trunc());
                            block.except.iter().for_each(|except| prefixes.insert(except.trunc()));
                        }
                        (Peer::IpBlock(_), None) => {}
                    }
                }
            }
        }
    }

    fn look_cluster_wide(&mut self, policy: &ClusterPolicy, cluster: &Cluster, news: &mut News) {
        if let ClusterSubject::Pods { pods, .. } = &policy.subject {
            self.selector(pods, news);
        }
        for rule in Direction::ALL.into_iter().flat_map(|direction| policy.rules(direction)) {
            for peer in rule.peers() {
                match (peer, &mut self.prefixes) {
                    (ClusterPeer::Pods { pods, .. }, _) => self.selector(pods, news),
                    (ClusterPeer::Networks { networks, .. }, Some(prefixes)) => {
                        networks.iter().for_each(|network| prefixes.insert(network.trunc()));
                    }
                    (ClusterPeer::DomainNames { names, .. }, Some(prefixes)) => {
                        let addresses = resolution(names, cluster.resolved()).addresses;
                        addresses.into_iter().for_each(|address| prefixes.insert(address.into()));
                    }
                    // Nodes are no identities, and pods of equal identity are of one namespace.
                    _ => {}
                }
            }
            for port in rule.ports() {
                if let ClusterPort::Named { name, .. } = port {
                    Protocol::ALL.into_iter().for_each(|protocol| self.named_port(name, protocol, news));
                }
            }
        }
    }

    fn selector(&mut self, selector: &LabelSelector, news: &mut News) {
        for requirement in &selector.requirements {
            if !self.label_keys.contains(&requirement.key) {
                self.label_keys.insert(requirement.key.clone());
                news.label_keys.insert(requirement.key.clone());
            }
        }
    }

    fn named_port(&mut self, name: &Name, protocol: Protocol, news: &mut News) {
        let port = (name.clone(), protocol);
        if self.named_ports.insert(port.clone()) {
            news.named_ports.insert(port);
        }
    }

    fn key(&self, pod: &Pod) -> Key {
        Key {
            namespace: pod.id.namespace.clone(),
            labels: pod.labels.iter().filter(|(key, _)| self.label_keys.contains(*key)).map(clone_pair).collect(),
            named_ports: named_ports(pod, self),
            classes: Family::ALL.map(|family| {
                let address = pod.addresses.of(family)?;
                Some(self.prefixes.as_ref().and_then(|prefixes| prefixes.longest(address)))
            }),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: Name,
    labels: Labels,
    named_ports: Vec<((Name, Protocol), Vec<u16>)>,
    /// By family: `None` without an address, else the longest visible prefix that holds it. Prefixes
    /// nest, so the longest one tells which others hold the address too.
    classes: [Option<Option<IpNet>>; 2],
}

/// The live pods with a network of their own, sorted into identities.
#[derive(Debug)]
pub(crate) struct Identities {
    visible: Visible,
    ids: FxHashMap<Key, IdentityId>,
    list: Vec<Identity>,
    /// By [`PodId::index`].
    of_pod: Vec<Option<IdentityId>>,
    /// How many have no pod any more.
    empty: usize,
}

/// What became of a pod: the identity that it had, and the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) before: Option<IdentityId>,
    pub(crate) now: Option<IdentityId>,
    /// Whether this pod's identity was unknown so far.
    pub(crate) is_new: bool,
}

impl Identities {
    /// Sorts the pods of a cluster by what its policies look at; `by_block`: the pods of one identity are in
    /// the same ipBlocks, too.
    pub(crate) fn new(cluster: &Cluster, by_block: bool) -> Self {
        let prefixes = by_block.then(NestedPrefixes::default);
        let mut visible = Visible { label_keys: FxHashSet::default(), named_ports: FxHashSet::default(), prefixes };
        let mut news = News::default();
        cluster.policies().for_each(|(_, policy)| visible.look(policy, &mut news));
        cluster.cluster_policies().for_each(|(_, policy)| visible.look_cluster_wide(policy, cluster, &mut news));
        let of_pod = vec![None; cluster.pods().len()];
        let mut identities = Self { visible, ids: FxHashMap::default(), list: Vec::new(), of_pod, empty: 0 };
        for (id, pod) in cluster.pods() {
            identities.place(id, pod);
        }
        identities
    }

    /// Every identity, by number.
    pub(crate) fn list(&self) -> &[Identity] {
        &self.list
    }

    /// How many have no pod any more.
    pub(crate) fn empty(&self) -> usize {
        self.empty
    }

    /// A pod's identity.
    pub(crate) fn of_pod(&self, pod: PodId) -> Option<IdentityId> {
        self.of_pod.get(pod.index()).copied().flatten()
    }

    /// Takes in a pod as it is now.
    pub(crate) fn place(&mut self, pod_id: PodId, pod: &Pod) -> Placed {
        let before = self.of_pod(pod_id);
        let (mut now, mut is_new) = (None, false);
        if pod.is_live() && !pod.host_network {
            let key = self.visible.key(pod);
            let id = *self.ids.entry(key).or_insert_with_key(|key| {
                is_new = true;
                self.list.push(Identity {
                    namespace: key.namespace.clone(),
                    labels: key.labels.clone(),
                    named_ports: key.named_ports.clone(),
                    pods: Vec::new(),
                });
                IdentityId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
            });
            now = Some(id);
        }
        if before != now {
            if let Some(identity) = before.and_then(|id| self.list.get_mut(id.0 as usize)) {
                if let Some(place) = identity.pods.iter().position(|pod| *pod == pod_id) {
                    identity.pods.swap_remove(place);
                }
                self.empty += usize::from(identity.pods.is_empty());
            }
            if let Some(identity) = now.and_then(|id| self.list.get_mut(id.0 as usize)) {
                self.empty -= usize::from(!is_new && identity.pods.is_empty());
                identity.pods.push(pod_id);
            }
            if self.of_pod.len() <= pod_id.index() {
                self.of_pod.resize(pod_id.index() + 1, None);
            }
            if let Some(slot) = self.of_pod.get_mut(pod_id.index()) {
                *slot = now;
            }
        }
        Placed { before, now, is_new }
    }

    /// Looks at pods as one more policy does. Returns the pods that it may tell apart where nobody did before:
    /// they have to be [placed](Self::place) again. Seldom any: most policies look at what others look at.
    pub(crate) fn look(&mut self, policy: &NetworkPolicy, cluster: &Cluster) -> Vec<PodId> {
        let mut news = News::default();
        self.visible.look(policy, &mut news);
        if news.label_keys.is_empty() && news.named_ports.is_empty() {
            return Vec::new();
        }
        cluster.pods().filter(|(_, pod)| pod.is_live() && news.concerns(pod)).map(|(id, _)| id).collect()
    }
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
#[derive(Debug, Default)]
struct NestedPrefixes {
    /// By length, the longest first.
    by_length: Vec<(u8, HashSet<IpNet>)>,
}

impl NestedPrefixes {
    /// Adds a prefix whose host bits are zero.
    fn insert(&mut self, prefix: IpNet) {
        let length = prefix.prefix_len();
        let place = self.by_length.binary_search_by(|(known, _)| length.cmp(known)).unwrap_or_else(|place| {
            self.by_length.insert(place, (length, HashSet::new()));
            place
        });
        if let Some((_, set)) = self.by_length.get_mut(place) {
            set.insert(prefix);
        }
    }

    fn longest(&self, address: IpAddr) -> Option<IpNet> {
        self.by_length.iter().find_map(|(length, set)| {
            let prefix = IpNet::new(address, *length).ok()?.trunc();
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
        let mut prefixes = NestedPrefixes::default();
        nets.iter().for_each(|net| prefixes.insert(net.parse().unwrap()));
        let longest = |address: &str| prefixes.longest(address.parse().unwrap()).map(|net| net.to_string());
        assert_eq!(longest("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(longest("10.1.2.4").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(longest("10.2.0.1").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(longest("11.0.0.1"), None);
        assert_eq!(longest("2001:db8::1").as_deref(), Some("2001:db8::/32"));
        assert_eq!(longest("2001:db9::1").as_deref(), Some("::/0"));
    }
}
