//! A small cluster and short words for policies and questions, so that each test is a table.
//!
//! | pod       | labels            | node    | addresses                    | ports                          |
//! |-----------|-------------------|---------|------------------------------|--------------------------------|
//! | shop/web  | app=web           | n1      | 10.244.0.10, fd00:10:244::10 | http TCP 8080                  |
//! | shop/db   | app=db, tier=back | n2      | 10.244.1.20, ...:1::20       | http TCP 80, http TCP 81, dns UDP 53 |
//! | bank/web  | app=web           | n2      | 10.244.1.30                  | http UDP 8080                  |
//! | bank/new  | app=new           | nowhere | none yet                     | http TCP 8080                  |
//! | lab/tool  | app=tool          | n1      | 10.244.0.40                  |                                |
//! | shop/host | app=web           | n2      | host network                 | http TCP 8080                  |
//! | shop/done | app=done          | n1      | 10.244.0.10, Succeeded       |                                |
//!
//! Namespaces: shop (team=red), bank (team=blue), lab (only mentioned). Nodes: n1 172.18.0.2 and
//! fd00:172:18::2, n2 172.18.0.3, n3 without a known address.

use std::net::IpAddr;

use palisade_engine::model::{
    Cluster, ClusterPolicy, ContainerPort, Direction, Family, Flow, Inventory, IpBlock, LabelSelector, Labels, Name,
    Namespace, NamespaceScope, NetworkPolicy, Node, ObjectRef, Operator, Peer, Phase, Pod, PodAddresses, PolicyPort,
    PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol, Requirement, Resolved, Side, Traffic,
};
use palisade_oracle::{Answer, HalfAnswer, answer, half};

fn object(text: &str) -> ObjectRef {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectRef::new(namespace, name)
}

fn labels(text: &str) -> Labels {
    text.split(',').filter_map(|label| label.split_once('=')).collect()
}

/// `app=web`, `tier`, `!tier`, `app in a|b`, `app notin a|b`; several with commas; none selects all.
pub(crate) fn selector(text: &str) -> LabelSelector {
    let list = |values: &str| values.split('|').map(Name::from).collect::<Vec<_>>();
    let one = |text: &str| match text {
        text if text.contains(" notin ") => {
            let (key, values) = text.split_once(" notin ").unwrap();
            Requirement::new(key, Operator::NotIn(list(values)))
        }
        text if text.contains(" in ") => {
            let (key, values) = text.split_once(" in ").unwrap();
            Requirement::new(key, Operator::In(list(values)))
        }
        text if text.contains('=') => {
            let (key, value) = text.split_once('=').unwrap();
            Requirement::equals(key, value)
        }
        text => match text.strip_prefix('!') {
            Some(key) => Requirement::new(key, Operator::DoesNotExist),
            None => Requirement::new(text, Operator::Exists),
        },
    };
    text.split(',').filter(|part| !part.is_empty()).map(one).collect()
}

/// `podSelector` alone.
pub(crate) fn pods(text: &str) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(text), at: None }
}

/// `namespaceSelector` alone.
pub(crate) fn namespaces(text: &str) -> Peer {
    both(text, "")
}

/// `namespaceSelector` and `podSelector` in one item.
pub(crate) fn both(namespaces: &str, pods: &str) -> Peer {
    let namespaces = NamespaceScope::Matching(selector(namespaces));
    Peer::Pods { namespaces, pods: selector(pods), at: None }
}

/// `ipBlock`: the cidr, then what `except` takes away.
pub(crate) fn block(text: &str) -> Peer {
    let mut parts = text.split(" except ").flat_map(|part| part.split(',')).map(|part| part.parse().unwrap());
    let cidr = parts.next().unwrap();
    Peer::IpBlock(IpBlock { cidr, except: parts.collect(), at: None, cidr_at: None, except_at: Vec::new() })
}

/// `TCP`, `TCP 80`, `UDP 80-90`, `TCP http`.
pub(crate) fn port(text: &str) -> PolicyPort {
    let (protocol, port) = text.split_once(' ').unwrap_or((text, ""));
    let number = |text: &str| text.parse::<u16>();
    let port = match port.split_once('-') {
        Some((first, last)) => PortMatch::Range(PortRange::new(number(first).unwrap(), number(last).unwrap()).unwrap()),
        None if port.is_empty() => PortMatch::All,
        None => match number(port) {
            Ok(port) => PortMatch::Range(PortRange::single(port)),
            Err(_) => PortMatch::Named(Name::from(port)),
        },
    };
    PolicyPort { protocol: Protocol::parse(protocol).unwrap(), port, at: None }
}

/// A rule of these peers and ports.
pub(crate) fn rule<const P: usize, const Q: usize>(peers: [Peer; P], ports: [&str; Q]) -> PolicyRule {
    PolicyRule { peers: peers.into(), ports: ports.into_iter().map(port).collect(), at: None }
}

/// A policy `namespace/name` for the pods of the selector. `types` as in YAML, `-` for missing.
pub(crate) fn policy<const I: usize, const E: usize>(
    id: &str,
    subject: &str,
    types: &str,
    ingress: [PolicyRule; I],
    egress: [PolicyRule; E],
) -> NetworkPolicy {
    let policy_types =
        (types != "-").then(|| PolicyTypes { ingress: types.contains("Ingress"), egress: types.contains("Egress") });
    NetworkPolicy {
        id: object(id),
        annotations: palisade_engine::model::Labels::default(),
        mode: None,
        subject: selector(subject),
        policy_types,
        ingress: ingress.into(),
        egress: egress.into(),
        at: None,
    }
}

fn pod(id: &str, pod_labels: &str, node: Option<&str>, addresses: &[&str], ports: &[(&str, Protocol, u16)]) -> Pod {
    let mut own = PodAddresses::default();
    for address in addresses {
        match address.parse().unwrap() {
            IpAddr::V4(v4) => own.v4 = Some(v4),
            IpAddr::V6(v6) => own.v6 = Some(v6),
        }
    }
    let port = |(name, protocol, port): &(&str, Protocol, u16)| ContainerPort {
        name: Some(Name::from(*name)),
        port: *port,
        protocol: *protocol,
    };
    Pod {
        labels: labels(pod_labels),
        node: node.map(Name::from),
        addresses: own,
        ports: ports.iter().map(port).collect(),
        ..Pod::running(object(id))
    }
}

/// The cluster of the table above with these policies.
pub(crate) struct Fixture(pub(crate) Cluster);

impl Fixture {
    pub(crate) fn new<const N: usize>(policies: [NetworkPolicy; N]) -> Self {
        Self::with(policies, &[], &[])
    }

    /// The same with cluster-wide policies, and what domain names resolve to.
    pub(crate) fn with<const N: usize>(
        policies: [NetworkPolicy; N],
        wide: &[ClusterPolicy],
        resolved: &[Resolved],
    ) -> Self {
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        let node = |name: &str, addresses: &[&str]| Node {
            name: Name::from(name),
            labels: Labels::default(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            pod_prefixes: Vec::new(),
            at: None,
        };
        let namespace =
            |name: &str, text: &str| Namespace { name: Name::from(name), labels: labels(text), mode: None, at: None };
        let db = ["10.244.1.20", "fd00:10:244:1::20"];
        let db_ports = [("http", tcp, 80), ("http", tcp, 81), ("dns", udp, 53)];
        let web = ["10.244.0.10", "fd00:10:244::10"];
        let inventory = Inventory {
            namespaces: vec![namespace("shop", "team=red"), namespace("bank", "team=blue")],
            nodes: vec![node("n1", &["172.18.0.2", "fd00:172:18::2"]), node("n2", &["172.18.0.3"]), node("n3", &[])],
            pods: vec![
                pod("shop/web", "app=web", Some("n1"), &web, &[("http", tcp, 8080)]),
                pod("shop/db", "app=db,tier=back", Some("n2"), &db, &db_ports),
                pod("bank/web", "app=web", Some("n2"), &["10.244.1.30"], &[("http", udp, 8080)]),
                Pod { phase: Phase::Pending, ..pod("bank/new", "app=new", None, &[], &[("http", tcp, 8080)]) },
                pod("lab/tool", "app=tool", Some("n1"), &["10.244.0.40"], &[]),
                Pod { host_network: true, ..pod("shop/host", "app=web", Some("n2"), &[], &[("http", tcp, 8080)]) },
                Pod { phase: Phase::Succeeded, ..pod("shop/done", "app=done", Some("n1"), &["10.244.0.10"], &[]) },
            ],
            policies: policies.into(),
            cluster_policies: wide.to_vec(),
            resolved: resolved.to_vec(),
            ..Inventory::default()
        };
        Self(inventory.into_cluster().unwrap())
    }

    /// `namespace/pod`, `node NAME` or an address; ` v6` or ` unknown` behind it for pods and nodes.
    fn side(&self, text: &str) -> Side {
        if let Ok(address) = text.parse() {
            return self.0.side_of_address(address);
        }
        let (text, unknown) = text.strip_suffix(" unknown").map_or((text, false), |text| (text, true));
        let (text, family) = text.strip_suffix(" v6").map_or((text, Family::V4), |text| (text, Family::V6));
        let mut side = match text.strip_prefix("node ") {
            Some(node) => self.0.side_of_node(self.0.find_node(node).unwrap(), family),
            None => self.0.side_of_pod(self.0.find_pod(&object(text)).unwrap(), family).unwrap(),
        };
        if unknown {
            side.address = None;
        }
        side
    }

    fn flow(&self, from: &str, to: &str, traffic: &str) -> Flow {
        let traffic = match traffic.split_once(' ') {
            Some((protocol, port)) => Traffic::Port(Protocol::parse(protocol).unwrap(), port.parse().unwrap()),
            None => Traffic::Portless,
        };
        Flow::new(self.side(from), self.side(to), traffic).unwrap()
    }

    /// The answer; the traffic is `TCP 80` or `ICMP`.
    pub(crate) fn ask(&self, from: &str, to: &str, traffic: &str) -> Answer {
        answer(&self.0, &self.flow(from, to, traffic))
    }

    /// One half of the answer.
    pub(crate) fn half(&self, direction: Direction, from: &str, to: &str, traffic: &str) -> HalfAnswer {
        half(&self.0, &self.flow(from, to, traffic), direction)
    }

    /// Who of the usual ends reaches `to` on TCP 80, in their order.
    pub(crate) fn who_reaches(&self, to: &str) -> Vec<&'static str> {
        ENDS.into_iter().filter(|from| *from != to && self.ask(from, to, "TCP 80") == Answer::Allow).collect()
    }

    /// Whom of the usual ends `from` reaches on TCP 80, in their order.
    pub(crate) fn whom_reaches(&self, from: &str) -> Vec<&'static str> {
        ENDS.into_iter().filter(|to| from != *to && self.ask(from, to, "TCP 80") == Answer::Allow).collect()
    }
}

/// The usual ends: no two of the same kind.
pub(crate) const ENDS: [&str; 7] =
    ["shop/web", "shop/db", "bank/web", "bank/new", "lab/tool", "node n1", "203.0.113.7"];
