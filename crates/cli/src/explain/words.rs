//! Sentences about rules, peers and ports.

use palisade_engine::{
    PolicyProgram,
    compile::RuleId,
    explain::{PeerAnswer, PeerMiss, PortAnswer, PortMiss, RuleMiss},
    model::{
        Cluster, Direction, Endpoint, IpBlock, NamespaceScope, Operator, Peer, PolicyPort, PolicyRule, Requirement,
        Side, Traffic,
    },
    verdict::Matched,
};

use super::traffic::preposition;
use crate::{
    endpoint::{Case, Party},
    screen::shortened,
};

/// The labels by which people know a pod, the best first.
const TELLING_KEYS: [&str; 4] = ["app", "app.kubernetes.io/name", "k8s-app", "name"];

/// What is talked about.
pub(crate) struct Words<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) program: &'a PolicyProgram,
    pub(crate) case: &'a Case,
}

impl Words<'_> {
    /// The end that is judged in a direction.
    pub(crate) fn subject(&self, direction: Direction) -> &str {
        match direction {
            Direction::Egress => &self.case.from.label,
            Direction::Ingress => &self.case.to.label,
        }
    }

    /// Why the end that would be judged is not.
    pub(crate) fn not_a_pod(&self, direction: Direction) -> &'static str {
        let (side, party) = match direction {
            Direction::Egress => (self.case.flow.from(), &self.case.from),
            Direction::Ingress => (self.case.flow.to(), &self.case.to),
        };
        match (side.endpoint, party.pod()) {
            (Endpoint::Node(_), Some(_)) => "it has its node's network (hostNetwork), so no policy selects it",
            (Endpoint::Node(_), None) => "a node, so no policy selects it",
            _ => "not a pod of this cluster, so no policy selects it",
        }
    }

    /// `from 0.0.0.0/0, TCP 80`
    pub(crate) fn matched(&self, matched: &Matched) -> String {
        let Some((direction, rule)) = self.written(matched.rule) else { return self.wide_matched(matched) };
        let word = preposition(direction);
        let peer = matched.peer.and_then(|index| rule.peers.get(index));
        let peer = peer.map_or_else(|| "anyone".to_owned(), |peer| self.peer(peer));
        let port = matched.port.and_then(|index| rule.ports.get(index));
        let port = port.map_or_else(|| "all traffic".to_owned(), PolicyPort::to_string);
        format!("{word} {peer}, {port}")
    }

    /// `from 10.0.0.0/8, TCP 80 or 443`: one peer, and all ports of its rule.
    pub(crate) fn rule_text(&self, rule: RuleId, peer: usize) -> String {
        let Some((direction, rule)) = self.written(rule) else {
            return self.wide_matched(&Matched { rule, peer: Some(peer), port: None });
        };
        let peer = rule.peers.get(peer).map_or_else(|| "anyone".to_owned(), |peer| self.peer(peer));
        let ports: Vec<String> = rule.ports.iter().map(PolicyPort::to_string).collect();
        let ports = if ports.is_empty() { "all traffic".to_owned() } else { shortened(&ports, " or ", 4) };
        format!("{} {peer}, {ports}", preposition(direction))
    }

    /// `port 5432 matches; peer app=frontend is not app=backend`
    pub(crate) fn miss(&self, miss: &RuleMiss) -> String {
        let (peers, ports) = (self.peers_say(miss), self.ports_say(miss));
        if matches!(miss.peers, PeerAnswer::Missed(_)) && !matches!(miss.ports, PortAnswer::Missed(_)) {
            format!("{ports}; {peers}")
        } else {
            format!("{peers}; {ports}")
        }
    }

    /// `peer app=frontend is not app=backend`
    pub(crate) fn peers_say(&self, miss: &RuleMiss) -> String {
        let rule = self.written(miss.rule);
        match &miss.peers {
            PeerAnswer::Anyone => "it takes anyone".to_owned(),
            PeerAnswer::Matched(_) => "peer matches".to_owned(),
            PeerAnswer::AddressUnknown(_) => "the peer's address is not known".to_owned(),
            PeerAnswer::Missed(misses) => {
                let Some((direction, rule)) = rule else { return self.wide_peers_miss(miss, misses) };
                let mut texts: Vec<String> =
                    rule.peers.iter().zip(misses).map(|(peer, why)| self.peer_miss(direction, peer, why)).collect();
                texts.dedup();
                shortened(&texts, " and ", 3)
            }
        }
    }

    /// `port 5432 is not 8080`
    pub(crate) fn ports_say(&self, miss: &RuleMiss) -> String {
        match &miss.ports {
            PortAnswer::All => "all traffic matches".to_owned(),
            PortAnswer::Matched(_) => format!("{} matches", self.port_text()),
            PortAnswer::Missed(misses) => match self.written(miss.rule) {
                Some((_, rule)) => self.port_misses(&rule.ports, misses),
                None => self.port_misses(&self.compiled_ports(miss.rule), misses),
            },
        }
    }

    /// What the other end is or has, where a peer asked for something else: `prod/frontend has app=frontend`.
    pub(crate) fn other_is(&self, direction: Direction, peer: &Peer, why: &PeerMiss) -> String {
        let name = self.other_name(direction);
        match (peer, why) {
            (Peer::Pods { pods, .. }, PeerMiss::Pod(index)) => match pods.requirements.get(*index) {
                Some(requirement) => match self.other_label(direction, &requirement.key) {
                    Some(value) => format!("{name} has {}={value}", requirement.key),
                    None => format!("{name} has no label {}", requirement.key),
                },
                None => String::new(),
            },
            (Peer::Pods { .. }, PeerMiss::Namespace(_) | PeerMiss::OtherNamespace) => {
                match self.other_namespace(direction) {
                    Some(namespace) => format!("{name} is in namespace {namespace}"),
                    None => String::new(),
                }
            }
            (Peer::Pods { .. }, _) => self.not_selectable(direction),
            (Peer::IpBlock(_), why) => match self.other(direction).address {
                Some(address) if address.to_string() == name => match why {
                    PeerMiss::Excepted(_) => format!("{name} is in it"),
                    _ => format!("{name} is not in it"),
                },
                Some(address) => format!("{name} has {address}"),
                None => String::new(),
            },
        }
    }

    /// A peer that would mean this end: by the label that policies ask for, or that people know it by.
    pub(crate) fn peer_text(&self, side: Side, keys: &[String], own: Option<&str>) -> String {
        let Endpoint::Pod(pod) = side.endpoint else {
            return side.address.map_or_else(|| "its address".to_owned(), |address| address.to_string());
        };
        let pod = self.cluster.pod(pod);
        let asked = keys.iter().map(String::as_str).chain(TELLING_KEYS);
        let label = asked.filter_map(|key| pod.labels.get(key).map(|value| format!("{key}={value}"))).next();
        let label = label.or_else(|| pod.labels.iter().next().map(|(key, value)| format!("{key}={value}")));
        let Some(label) = label else { return format!("the pods of namespace {}", pod.id.namespace) };
        if own.is_none_or(|own| *own == *pod.id.namespace) {
            label
        } else {
            format!("{label} of namespace {}", pod.id.namespace)
        }
    }

    fn written(&self, rule: RuleId) -> Option<(Direction, &PolicyRule)> {
        let origin = self.program.rule(rule).origin;
        let rules = self.cluster.policy(origin.policy.network()?).rules(origin.direction);
        Some((origin.direction, rules.get(origin.index)?))
    }

    fn peer(&self, peer: &Peer) -> String {
        match peer {
            Peer::IpBlock(block) => block_text(block),
            Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => {
                if pods.is_everything() {
                    "any pod of its namespace".to_owned()
                } else {
                    pods.to_string()
                }
            }
            Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
                let pods = if pods.is_everything() { "any pod".to_owned() } else { pods.to_string() };
                if namespaces.is_everything() {
                    format!("{pods} of any namespace")
                } else {
                    format!("{pods} of a namespace {namespaces}")
                }
            }
        }
    }

    fn peer_miss(&self, direction: Direction, peer: &Peer, why: &PeerMiss) -> String {
        match (peer, why) {
            (Peer::Pods { .. }, PeerMiss::NotAPod) => self.not_selectable(direction),
            (Peer::Pods { .. }, PeerMiss::OtherNamespace) => "peer is not in the policy's own namespace".to_owned(),
            (Peer::Pods { namespaces: NamespaceScope::Matching(selector), .. }, PeerMiss::Namespace(index)) => {
                let wanted = selector.requirements.get(*index).map(Requirement::to_string).unwrap_or_default();
                format!("peer is not in a namespace {wanted}")
            }
            (Peer::Pods { pods, .. }, PeerMiss::Pod(index)) => match pods.requirements.get(*index) {
                Some(requirement) => self.label_miss(direction, requirement),
                None => String::new(),
            },
            (Peer::IpBlock(block), PeerMiss::Excepted(index)) => {
                let except = block.except.get(*index).map(ToString::to_string).unwrap_or_default();
                format!("{} is in the except {except}", self.address(direction))
            }
            (Peer::IpBlock(block), _) => format!("{} is not in {}", self.address(direction), block.cidr),
            (Peer::Pods { .. }, _) => "peer is not meant".to_owned(),
        }
    }

    /// Why no selector can mean the other end.
    pub(super) fn not_selectable(&self, direction: Direction) -> String {
        let name = self.other_name(direction);
        match (self.other(direction).endpoint, self.other_party(direction).pod()) {
            (Endpoint::Node(_), Some(_)) => format!("{name} has its node's network, so no selector means it"),
            (Endpoint::Node(_), None) => format!("{name} is a node, not a pod"),
            _ => format!("{name} is not a pod"),
        }
    }

    pub(super) fn label_miss(&self, direction: Direction, wanted: &Requirement) -> String {
        match (self.other_label(direction, &wanted.key), &wanted.operator) {
            (Some(value), Operator::In(_)) => format!("peer {}={value} is not {wanted}", wanted.key),
            (Some(value), Operator::NotIn(_)) => format!("peer {}={value} is ruled out by {wanted}", wanted.key),
            (Some(_), _) => format!("peer has the label {}, ruled out by {wanted}", wanted.key),
            (None, _) => format!("peer has no label {}, so it is not {wanted}", wanted.key),
        }
    }

    fn port_misses(&self, ports: &[PolicyPort], misses: &[PortMiss]) -> String {
        let Traffic::Port(protocol, number) = self.case.flow.traffic() else {
            return "ICMP has no port, and the rule asks for one".to_owned();
        };
        let near: Vec<(&PolicyPort, &PortMiss)> =
            ports.iter().zip(misses).filter(|(_, why)| !matches!(why, PortMiss::OtherProtocol)).collect();
        if near.is_empty() {
            let mut protocols: Vec<&str> = ports.iter().map(|port| port.protocol.name()).collect();
            protocols.dedup();
            return format!("{protocol} is not {}", shortened(&protocols, " or ", 3));
        }
        let texts: Vec<String> = near.iter().map(|(port, why)| self.port_wanted(port, why)).collect();
        format!("port {number} is not {}", shortened(&texts, " or ", 4))
    }

    fn port_wanted(&self, port: &PolicyPort, why: &PortMiss) -> String {
        use palisade_engine::model::PortMatch;
        match (&port.port, why) {
            (PortMatch::Named(name), PortMiss::NameIsOther(numbers)) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                format!("{name} (here {})", numbers.join(", "))
            }
            (PortMatch::Named(name), _) => {
                format!("{name} ({} has no {} port of that name)", self.case.to.label, port.protocol)
            }
            (PortMatch::Range(range), _) => range.to_string(),
            (PortMatch::All, _) => port.protocol.to_string(),
        }
    }

    fn port_text(&self) -> String {
        match self.case.flow.traffic() {
            Traffic::Port(_, number) => format!("port {number}"),
            Traffic::Portless => "ICMP".to_owned(),
        }
    }

    fn other(&self, direction: Direction) -> Side {
        match direction {
            Direction::Egress => self.case.flow.to(),
            Direction::Ingress => self.case.flow.from(),
        }
    }

    fn other_party(&self, direction: Direction) -> &Party {
        match direction {
            Direction::Egress => &self.case.to,
            Direction::Ingress => &self.case.from,
        }
    }

    pub(super) fn other_name(&self, direction: Direction) -> &str {
        &self.other_party(direction).label
    }

    pub(super) fn address(&self, direction: Direction) -> String {
        self.other(direction)
            .address
            .map_or_else(|| self.other_name(direction).to_owned(), |address| address.to_string())
    }

    fn other_label(&self, direction: Direction, key: &str) -> Option<String> {
        let Endpoint::Pod(pod) = self.other(direction).endpoint else { return None };
        self.cluster.pod(pod).labels.get(key).map(ToString::to_string)
    }

    fn other_namespace(&self, direction: Direction) -> Option<String> {
        let Endpoint::Pod(pod) = self.other(direction).endpoint else { return None };
        Some(self.cluster.pod(pod).id.namespace.to_string())
    }
}

/// `10.0.0.0/8 without 10.1.0.0/16`
fn block_text(block: &IpBlock) -> String {
    if block.except.is_empty() {
        return block.cidr.to_string();
    }
    let except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
    format!("{} without {}", block.cidr, shortened(&except, ", ", 3))
}
