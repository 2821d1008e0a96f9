//! From what was observed to policies, each rule with its evidence.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use jiff::Timestamp;
use palisade_engine::model::{
    Cluster, Direction, Endpoint, IpBlock, Name, NamespaceScope, NetworkPolicy, ObjectRef, Peer, PodId, PolicyPort,
    PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol, Side,
};

use crate::{
    groups::{self, Group},
    prefixes,
    yaml::{self, Remarks},
};

/// The port of the domain name system.
const DNS: u16 = 53;

/// A connection that was seen, one time or many.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Who opened it.
    pub source: Side,
    /// Who received it.
    pub destination: Side,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The port at the destination.
    pub port: u16,
    /// How often it was seen.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// How policies are drawn up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many prefixes one rule has for the outside at most (at least 1 for each IP family).
    pub max_prefixes: usize,
    /// Whether workloads of which nothing was seen get a policy that allows nothing, in namespaces of which
    /// something was.
    pub deny_unseen: bool,
}

/// A policy, and what it was made from.
#[derive(Clone, Debug)]
pub struct Suggested {
    /// The policy.
    pub policy: NetworkPolicy,
    /// The evidence of each rule, and what else is said of it.
    pub remarks: Remarks,
}

/// All policies, and what should be said of them.
#[derive(Clone, Debug, Default)]
pub struct Suggestion {
    /// One for each workload that gets one, in order of namespace and name.
    pub policies: Vec<Suggested>,
    /// What the policies allow though it was never seen, a sentence each.
    pub wider: Vec<String>,
    /// Workloads of which nothing was seen, and which get no policy.
    pub unseen: Vec<String>,
    /// Workloads of which nothing was seen, and which get a policy that allows nothing.
    pub closed: Vec<String>,
}

impl Suggestion {
    /// The policies as YAML documents.
    pub fn to_yaml(&self) -> String {
        let documents = self.policies.iter().map(|suggested| yaml::document(&suggested.policy, &suggested.remarks));
        documents.collect::<Vec<_>>().join("---\n")
    }
}

/// The other end of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Other {
    Group(usize),
    Outside,
}

/// What was seen of one peer on one port.
#[derive(Clone, Debug)]
struct Seen {
    count: u64,
    last: Timestamp,
    addresses: BTreeSet<IpAddr>,
}

type Ports = BTreeMap<(Protocol, u16), Seen>;
type SeenPort<'s> = (&'s (Protocol, u16), &'s Seen);

/// The least policies under which everything that was observed passes. Of the pods of `mentioned` something was seen
/// that is not to be allowed, such as connections that were denied: they get a policy, too.
pub fn suggest(cluster: &Cluster, observed: &[Observed], mentioned: &BTreeSet<PodId>, options: Options) -> Suggestion {
    let (groups, of) = groups::groups(cluster);
    let mut spoken: BTreeMap<(usize, Direction), BTreeMap<Other, Ports>> = BTreeMap::new();
    for flow in observed.iter().filter(|flow| !is_exempt(cluster, flow)) {
        for (direction, own, other) in
            [(Direction::Egress, flow.source, flow.destination), (Direction::Ingress, flow.destination, flow.source)]
        {
            let Some(subject) = group_of(&of, own) else { continue };
            let (other, address) = match group_of(&of, other) {
                Some(group) => (Other::Group(group), None),
                None => (Other::Outside, other.address),
            };
            let ports = spoken.entry((subject, direction)).or_default().entry(other).or_default();
            let seen = ports.entry((flow.protocol, flow.port)).or_insert(Seen {
                count: 0,
                last: flow.last,
                addresses: BTreeSet::new(),
            });
            seen.count = seen.count.saturating_add(flow.count);
            seen.last = seen.last.max(flow.last);
            seen.addresses.extend(address);
        }
    }
    let mut draft = Draft { cluster, groups: &groups, inside: inside(cluster), options, wider: BTreeSet::new() };
    let mut taken: BTreeSet<ObjectRef> = cluster.policies().map(|(_, policy)| policy.id.clone()).collect();
    let mut suggestion = Suggestion::default();
    let is_seen = |(index, group): &(usize, &Group)| {
        Direction::ALL.into_iter().any(|direction| spoken.contains_key(&(*index, direction)))
            || group.pods.iter().any(|pod| mentioned.contains(pod))
    };
    let seen = groups.iter().enumerate().filter(is_seen).map(|(_, group)| &group.namespace);
    let namespaces: BTreeSet<&Name> = seen.collect();
    for (index, group) in groups.iter().enumerate() {
        let of = |direction| spoken.get(&(index, direction));
        if !is_seen(&(index, group)) {
            let name = format!("{}/{}", group.namespace, group.name);
            if !options.deny_unseen || !namespaces.contains(&group.namespace) {
                suggestion.unseen.push(name);
                continue;
            }
            suggestion.closed.push(name);
        }
        suggestion.policies.push(draft.policy(index, group, of, &mut taken));
    }
    suggestion.wider = draft.wider.into_iter().collect();
    suggestion
}

/// A pod always reaches itself, and its node and it each other: no policy is asked.
fn is_exempt(cluster: &Cluster, flow: &Observed) -> bool {
    match (flow.source.endpoint, flow.destination.endpoint) {
        (Endpoint::Pod(a), Endpoint::Pod(b)) => a == b,
        (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
            cluster.node_of(pod) == Some(node)
        }
        _ => false,
    }
}

fn group_of(of: &BTreeMap<PodId, usize>, side: Side) -> Option<usize> {
    match side.endpoint {
        Endpoint::Pod(pod) => of.get(&pod).copied(),
        Endpoint::Node(_) | Endpoint::Outside => None,
    }
}

/// The networks that pods have addresses from.
fn inside(cluster: &Cluster) -> Vec<IpNet> {
    let nodes = cluster.nodes().flat_map(|(_, node)| node.pod_prefixes.iter().copied());
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network);
    nodes.chain(pods.flat_map(|(_, pod)| pod.addresses.iter()).map(IpNet::from)).collect()
}

struct Draft<'a> {
    cluster: &'a Cluster,
    groups: &'a [Group],
    inside: Vec<IpNet>,
    options: Options,
    wider: BTreeSet<String>,
}

/// A rule in the making: peers of the same ports are one rule.
struct Part {
    peers: Vec<Peer>,
    who: Vec<String>,
    ports: Vec<(Protocol, PortMatch)>,
    count: u64,
    last: Timestamp,
}

impl Draft<'_> {
    fn policy<'s>(
        &mut self,
        index: usize,
        group: &Group,
        of: impl Fn(Direction) -> Option<&'s BTreeMap<Other, Ports>>,
        taken: &mut BTreeSet<ObjectRef>,
    ) -> Suggested {
        if !group.is_exact {
            self.wider.insert(format!(
                "no stable labels select {}/{} alone: its policy and the rules towards it take in others of its namespace",
                group.namespace, group.name
            ));
        }
        let mut id = ObjectRef::new(group.namespace.clone(), group.name.as_str());
        let mut next = 1;
        while !taken.insert(id.clone()) {
            let suffix = if next == 1 { "observed".to_owned() } else { format!("observed-{next}") };
            id = ObjectRef::new(group.namespace.clone(), format!("{}-{suffix}", group.name));
            next += 1;
        }
        let mut policy = NetworkPolicy {
            id,
            annotations: Default::default(),
            mode: None,
            subject: group.selector(),
            policy_types: Some(PolicyTypes { ingress: true, egress: true }),
            ingress: Vec::new(),
            egress: Vec::new(),
            at: None,
        };
        let mut evidence = BTreeMap::new();
        for direction in Direction::ALL {
            let parts = self.parts(index, direction, of(direction));
            let texts = parts.iter().map(|part| {
                let times = if part.count == 1 { "once".to_owned() } else { format!("{} times", part.count) };
                format!("{}: seen {times}, last {:.0}", part.who.join(", "), part.last)
            });
            evidence.insert(direction, texts.collect());
            let rules = parts.into_iter().map(|part| PolicyRule {
                peers: part.peers,
                ports: part.ports.into_iter().map(|(protocol, port)| PolicyPort { protocol, port, at: None }).collect(),
                at: None,
            });
            match direction {
                Direction::Ingress => policy.ingress = rules.collect(),
                Direction::Egress => policy.egress = rules.collect(),
            }
        }
        let remarks = Remarks { rules: evidence, without_rules: Some("none was seen"), ..Remarks::default() };
        Suggested { policy, remarks }
    }

    fn parts(&mut self, subject: usize, direction: Direction, spoken: Option<&BTreeMap<Other, Ports>>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (other, ports) in spoken.into_iter().flatten() {
            match other {
                Other::Group(peer) => self.towards(&mut parts, subject, *peer, direction, ports),
                Other::Outside => self.outside(&mut parts, subject, direction, ports),
            }
        }
        parts
    }

    /// A rule about one workload.
    fn towards(&mut self, parts: &mut Vec<Part>, subject: usize, peer: usize, direction: Direction, ports: &Ports) {
        let (Some(own), Some(other)) = (self.groups.get(subject), self.groups.get(peer)) else { return };
        let receiver = if direction == Direction::Ingress { own } else { other };
        let mut items: Vec<(Protocol, PortMatch)> = Vec::new();
        for (protocol, port) in ports.keys() {
            items.push((*protocol, self.port(receiver, *protocol, *port)));
        }
        // As people write it, and as resolvers ask: UDP first.
        items.sort_by_key(|(protocol, _)| (*protocol != Protocol::Udp, *protocol));
        let namespaces = if own.namespace == other.namespace {
            NamespaceScope::Own
        } else {
            NamespaceScope::Matching(groups::namespace_selector(&other.namespace))
        };
        let peer = Peer::Pods { namespaces, pods: other.selector(), at: None };
        let who = if own.namespace == other.namespace {
            other.name.clone()
        } else {
            format!("{}/{}", other.namespace, other.name)
        };
        let (count, last) = total(ports.values());
        add(parts, Part { peers: vec![peer], who: vec![who], ports: items, count, last });
    }

    /// Rules about addresses: ports that the same prefixes were seen on are one rule.
    fn outside(&mut self, parts: &mut Vec<Part>, subject: usize, direction: Direction, ports: &Ports) {
        let Some(own) = self.groups.get(subject) else { return };
        let mut by_addresses: BTreeMap<&BTreeSet<IpAddr>, Vec<SeenPort<'_>>> = BTreeMap::new();
        for (port, seen) in ports.iter().filter(|(_, seen)| !seen.addresses.is_empty()) {
            by_addresses.entry(&seen.addresses).or_default().push((port, seen));
        }
        for (addresses, ports) in by_addresses {
            let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
            let (nets, covers_pods) = prefixes::cover(&addresses, self.options.max_prefixes, &self.inside);
            for net in nets.iter().filter(|net| !is_full(net, &addresses)) {
                let pods = if covers_pods { "; it may hold pods, and nothing narrower was possible" } else { "" };
                self.wider.insert(format!(
                    "{direction} of {}/{}: {net} holds addresses that were never seen{pods} (--max-prefixes)",
                    own.namespace, own.name
                ));
            }
            let block = |cidr| {
                Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
            };
            let items = ports.iter().map(|((protocol, port), _)| {
                let port = match direction {
                    Direction::Ingress => self.port(own, *protocol, *port),
                    Direction::Egress => PortMatch::Range(PortRange::single(*port)),
                };
                (*protocol, port)
            });
            let many =
                if addresses.len() == 1 { "1 address".to_owned() } else { format!("{} addresses", addresses.len()) };
            let (count, last) = total(ports.iter().map(|(_, seen)| *seen));
            let part = Part {
                peers: nets.into_iter().map(block).collect(),
                who: vec![format!("{many} that no pod has")],
                ports: items.collect(),
                count,
                last,
            };
            // Never together with pods: people read addresses apart.
            parts.push(part);
        }
    }

    /// The port by name, where every pod that the labels select calls it so and calls no other port so.
    fn port(&self, receiver: &Group, protocol: Protocol, number: u16) -> PortMatch {
        let by_number = PortMatch::Range(PortRange::single(number));
        if number == DNS || !receiver.is_exact {
            return by_number;
        }
        let names = |pod: &PodId| -> Vec<Name> {
            let ports = &self.cluster.pod(*pod).ports;
            let named = ports.iter().filter(|port| port.protocol == protocol && port.port == number);
            let names = named.filter_map(|port| port.name.clone());
            names
                .filter(|name| {
                    let same = |port: &&palisade_engine::model::ContainerPort| port.name.as_ref() == Some(name);
                    ports.iter().filter(same).all(|port| port.port == number && port.protocol == protocol)
                })
                .collect()
        };
        let Some(candidates) = receiver.pods.first().map(names) else { return by_number };
        let by_all = |name: &Name| receiver.pods.iter().all(|pod| names(pod).contains(name));
        candidates.into_iter().find(by_all).map_or(by_number, PortMatch::Named)
    }
}

/// Puts a rule with those of the same ports.
fn add(parts: &mut Vec<Part>, part: Part) {
    match parts.iter_mut().find(|other| other.ports == part.ports) {
        Some(other) => {
            other.peers.extend(part.peers);
            other.who.extend(part.who);
            other.count = other.count.saturating_add(part.count);
            other.last = other.last.max(part.last);
        }
        None => parts.push(part),
    }
}

fn total<'s>(seen: impl Iterator<Item = &'s Seen>) -> (u64, Timestamp) {
    seen.fold((0, Timestamp::MIN), |(count, last), seen| (count.saturating_add(seen.count), last.max(seen.last)))
}

/// Whether each address of a network was seen.
fn is_full(net: &IpNet, addresses: &[IpAddr]) -> bool {
    let spare = u32::from(net.max_prefix_len() - net.prefix_len());
    let held = addresses.iter().filter(|address| net.contains(*address)).count() as u128;
    1_u128.checked_shl(spare).is_some_and(|size| size == held)
}
