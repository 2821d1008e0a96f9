//! Short words for a small cluster and for questions about it, so that each test reads as a table.

use std::net::IpAddr;

use palisade_engine::{
    PolicyProgram,
    compile::RuleId,
    model::{
        Cluster, Conflict, ContainerPort, Direction, Family, FileId, Flow, Inventory, IpBlock, LabelSelector, Labels,
        Name, Namespace, NamespaceScope, NetworkPolicy, Node, ObjectRef, Operator, OwnerRef, Peer, Phase, Pod,
        PodTemplate, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange, Position, Protocol, Requirement, Side,
        Span, Traffic, Workload, WorkloadKind,
    },
    verdict::{Half, Matched, Verdict},
};

pub(crate) fn object(id: &str) -> ObjectRef {
    let (namespace, name) = id.split_once('/').unwrap();
    ObjectRef::new(namespace, name)
}

/// `app=web,tier=back`
pub(crate) fn labels(text: &str) -> Labels {
    text.split(',').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap()).collect()
}

/// `app=web`, `app in a|b`, `app notin a|b`, `app`, `!app`; several with commas; none selects all.
pub(crate) fn selector(text: &str) -> LabelSelector {
    let list = |values: &str| values.split('|').map(Name::from).collect::<Vec<_>>();
    let one = |text: &str| {
        if let Some((key, values)) = text.split_once(" notin ") {
            Requirement::new(key, Operator::NotIn(list(values)))
        } else if let Some((key, values)) = text.split_once(" in ") {
            Requirement::new(key, Operator::In(list(values)))
        } else if let Some((key, value)) = text.split_once('=') {
            Requirement::equals(key, value)
        } else if let Some(key) = text.strip_prefix('!') {
            Requirement::new(key, Operator::DoesNotExist)
        } else {
            Requirement::new(text, Operator::Exists)
        }
    };
    text.split(',').filter(|part| !part.is_empty()).map(one).collect()
}

/// `podSelector` alone.
pub(crate) fn pods(text: &str) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(text), at: None }
}

/// `namespaceSelector` and `podSelector` in one item.
pub(crate) fn both(namespaces: &str, pods: &str) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Matching(selector(namespaces)), pods: selector(pods), at: None }
}

/// `namespaceSelector` alone.
pub(crate) fn namespaces(text: &str) -> Peer {
    both(text, "")
}

/// `ipBlock`: the cidr, then what `except` takes away.
pub(crate) fn block<const N: usize>(cidr: &str, except: [&str; N]) -> Peer {
    let except = except.into_iter().map(|net| net.parse().unwrap()).collect();
    Peer::IpBlock(IpBlock { cidr: cidr.parse().unwrap(), except, at: None, cidr_at: None, except_at: Vec::new() })
}

/// `TCP`, `TCP 80`, `UDP 80-90`, `TCP http`.
pub(crate) fn port(text: &str) -> PolicyPort {
    let (protocol, port) = text.split_once(' ').unwrap_or((text, ""));
    let number = |text: &str| text.parse::<u16>();
    let port = match port.split_once('-') {
        Some((first, last)) => PortMatch::Range(PortRange::new(number(first).unwrap(), number(last).unwrap()).unwrap()),
        None if port.is_empty() => PortMatch::All,
        None => number(port).map_or_else(|_| PortMatch::Named(port.into()), |p| PortMatch::Range(PortRange::single(p))),
    };
    PolicyPort { protocol: Protocol::parse(protocol).unwrap(), port, at: None }
}

/// A rule of these peers and ports.
pub(crate) fn rule<const P: usize, const Q: usize>(peers: [Peer; P], ports: [&str; Q]) -> PolicyRule {
    PolicyRule { peers: peers.into(), ports: ports.into_iter().map(port).collect(), at: None }
}

/// A policy of ingress rules, whose `policyTypes` is `[Ingress]`.
pub(crate) fn ingress<const N: usize>(id: &str, subject: &str, rules: [PolicyRule; N]) -> NetworkPolicy {
    policy(id, subject, "Ingress", rules, [])
}

/// A policy of egress rules, whose `policyTypes` is `[Egress]`.
pub(crate) fn egress<const N: usize>(id: &str, subject: &str, rules: [PolicyRule; N]) -> NetworkPolicy {
    policy(id, subject, "Egress", [], rules)
}

/// A policy; `types` holds `Ingress`, `Egress`, both, or is `-` when `policyTypes` is not given.
pub(crate) fn policy<const I: usize, const E: usize>(
    id: &str,
    subject: &str,
    types: &str,
    ingress: [PolicyRule; I],
    egress: [PolicyRule; E],
) -> NetworkPolicy {
    let given = PolicyTypes { ingress: types.contains("Ingress"), egress: types.contains("Egress") };
    NetworkPolicy {
        id: object(id),
        annotations: palisade_engine::model::Labels::default(),
        mode: None,
        subject: selector(subject),
        policy_types: (types != "-").then_some(given),
        ingress: ingress.into(),
        egress: egress.into(),
        at: None,
    }
}

/// A running pod `namespace/name`.
pub(crate) fn pod(id: &str, text: &str) -> Pod {
    Pod { labels: labels(text), ..Pod::running(object(id)) }
}

/// What is said of a pod beyond its name and labels.
pub(crate) trait With: Sized {
    fn on(self, node: &str) -> Self;
    fn ip(self, address: &str) -> Self;
    fn phase(self, phase: Phase) -> Self;
    fn host(self) -> Self;
    fn port(self, name: &str, protocol: Protocol, port: u16) -> Self;
    fn owner(self, kind: &str, name: &str) -> Self;
}

impl With for Pod {
    fn on(self, node: &str) -> Self {
        Self { node: Some(node.into()), ..self }
    }

    fn ip(mut self, address: &str) -> Self {
        match address.parse().unwrap() {
            IpAddr::V4(v4) => self.addresses.v4 = Some(v4),
            IpAddr::V6(v6) => self.addresses.v6 = Some(v6),
        }
        self
    }

    fn phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    fn host(self) -> Self {
        Self { host_network: true, ..self }
    }

    fn port(mut self, name: &str, protocol: Protocol, port: u16) -> Self {
        self.ports.push(ContainerPort { name: Some(name.into()), port, protocol });
        self
    }

    fn owner(self, kind: &str, name: &str) -> Self {
        Self { owner: Some(OwnerRef { kind: kind.into(), name: name.into() }), ..self }
    }
}

pub(crate) fn node(name: &str, addresses: &[&str]) -> Node {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Node { name: name.into(), labels: Labels::default(), addresses, pod_prefixes: Vec::new(), at: None }
}

pub(crate) fn namespace(name: &str, text: &str) -> Namespace {
    Namespace { name: name.into(), labels: labels(text), mode: None, at: None }
}

pub(crate) fn workload(kind: WorkloadKind, id: &str, replicas: u32) -> Workload {
    let template = PodTemplate { labels: labels("app=web"), ..PodTemplate::default() };
    Workload { kind, id: object(id), replicas, template, owner: None, at: None }
}

/// A place in a file: the line.
pub(crate) fn line(file: FileId, line: u32) -> Option<Span> {
    Some(Span { file, start: Position { line, column: 1 }, end: Position { line, column: 2 } })
}

/// A cluster with its program.
pub(crate) struct Case {
    pub(crate) cluster: Cluster,
    pub(crate) program: PolicyProgram,
}

/// The cluster of these pods and policies.
pub(crate) fn case<const P: usize, const Q: usize>(pods: [Pod; P], policies: [NetworkPolicy; Q]) -> Case {
    Case::of(Inventory { pods: pods.into(), policies: policies.into(), ..Inventory::default() })
}

pub(crate) fn conflicts(inventory: Inventory) -> Vec<Conflict> {
    inventory.into_cluster().unwrap_err()
}

impl Case {
    pub(crate) fn of(inventory: Inventory) -> Self {
        let cluster = inventory.into_cluster().unwrap();
        let program = PolicyProgram::compile(&cluster);
        Self { cluster, program }
    }

    /// `namespace/pod`, `node NAME` or an address; ` v6` behind it for the IPv6 one.
    fn side(&self, text: &str) -> Side {
        if let Ok(address) = text.parse() {
            return self.cluster.side_of_address(address);
        }
        let (text, family) = text.strip_suffix(" v6").map_or((text, Family::V4), |text| (text, Family::V6));
        match text.strip_prefix("node ") {
            Some(node) => self.cluster.side_of_node(self.cluster.find_node(node).unwrap(), family),
            None => self.cluster.side_of_pod(self.cluster.find_pod(&object(text)).unwrap(), family).unwrap(),
        }
    }

    /// The traffic is `TCP 80` or `ICMP`.
    pub(crate) fn flow(&self, from: &str, to: &str, traffic: &str) -> Flow {
        let traffic = match traffic.split_once(' ') {
            Some((protocol, port)) => Traffic::Port(Protocol::parse(protocol).unwrap(), port.parse().unwrap()),
            None => Traffic::Portless,
        };
        Flow::new(self.side(from), self.side(to), traffic).unwrap()
    }

    /// The verdict with its reasons: `Deny: egress open, ingress isolated by prod/deny`.
    pub(crate) fn ask(&self, from: &str, to: &str, traffic: &str) -> String {
        match self.program.verdict(&self.cluster, &self.flow(from, to, traffic)) {
            Verdict::Exempt(exemption) => format!("exempt: {exemption:?}"),
            verdict @ Verdict::Judged { .. } => {
                let outcome = verdict.outcome();
                let Verdict::Judged { egress, ingress } = verdict else { unreachable!() };
                format!("{outcome:?}: egress {}, ingress {}", self.half(&egress), self.half(&ingress))
            }
        }
    }

    /// What a denied half would have needed: its rules, the nearest first, such as
    /// `prod/web[0]: Missed([Pod(0)]) Matched(0)` (peers, then ports).
    pub(crate) fn misses(&self, direction: Direction, from: &str, to: &str, traffic: &str) -> Vec<String> {
        let explanation = self.program.explain(&self.cluster, &self.flow(from, to, traffic));
        let half = match direction {
            Direction::Ingress => explanation.ingress.unwrap(),
            Direction::Egress => explanation.egress.unwrap(),
        };
        let text = |rule, peers, ports| format!("{}: {peers:?} {ports:?}", self.origin(rule));
        half.misses.into_iter().map(|miss| text(miss.rule, miss.peers, miss.ports)).collect()
    }

    fn half(&self, half: &Half) -> String {
        match half {
            Half::NotASubject => "of no pod".to_owned(),
            Half::NotIsolated => "open".to_owned(),
            Half::Allowed(matched) => format!("by {}", self.matched(matched)),
            Half::DeniedBy(matched) => format!("denied by {}", self.matched(matched)),
            Half::AllowedByDefault => "allowed by default".to_owned(),
            Half::Denied { policies, .. } => {
                let names = policies.iter().map(|id| self.cluster.policy(*id).id.to_string());
                format!("isolated by {}", names.collect::<Vec<_>>().join(" and "))
            }
            Half::Undetermined(matched) => format!("perhaps by {}", self.matched(matched)),
        }
    }

    fn matched(&self, matched: &Matched) -> String {
        let peer = matched.peer.map_or(String::new(), |peer| format!(" peer {peer}"));
        let port = matched.port.map_or(String::new(), |port| format!(" port {port}"));
        format!("{}{peer}{port}", self.origin(matched.rule))
    }

    fn origin(&self, rule: RuleId) -> String {
        let origin = self.program.rule(rule).origin;
        format!("{}[{}]", self.cluster.policy_name(origin.policy), origin.index)
    }
}
