//! The object as the API server would store it: defaults filled in, keys in the order people write them.

use palisade_engine::{
    PolicyProgram,
    model::{
        Direction, IpBlock, LabelSelector, NamespaceScope, NetworkPolicy, Operator, Peer, PolicyId, PolicyPort,
        PolicyRule, PortMatch, Requirement,
    },
};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// kubectl's own copy of an object within the object: nobody wrote it, and it is out of date with any edit.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A value of YAML or JSON whose keys stay in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Text(String),
    Number(u16),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Tree {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Self {
        texts.into_iter().map(|text| Self::Text(text.to_string())).collect()
    }
}

impl FromIterator<Tree> for Tree {
    fn from_iter<I: IntoIterator<Item = Tree>>(iter: I) -> Self {
        Self::List(iter.into_iter().collect())
    }
}

impl<K: Into<String>> FromIterator<(K, Tree)> for Tree {
    fn from_iter<I: IntoIterator<Item = (K, Tree)>>(iter: I) -> Self {
        Self::Map(iter.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u16(*number),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// A policy of the program's cluster, with `policyTypes` and every `protocol` written out.
pub(super) fn policy(program: &PolicyProgram, id: PolicyId, policy: &NetworkPolicy) -> Tree {
    let mut metadata =
        vec![("name", Tree::text(policy.id.name.as_str())), ("namespace", Tree::text(policy.id.namespace.as_str()))];
    let annotations: Vec<(&str, Tree)> = policy
        .annotations
        .iter()
        .filter(|(key, _)| key.as_str() != LAST_APPLIED)
        .map(|(key, value)| (key.as_str(), Tree::text(value.as_str())))
        .collect();
    if !annotations.is_empty() {
        metadata.push(("annotations", annotations.into_iter().collect()));
    }

    let types = Direction::ALL.into_iter().filter(|direction| program.affects(id, *direction)).map(type_name);
    let mut spec = vec![("podSelector", selector(&policy.subject)), ("policyTypes", Tree::texts(types))];
    for (direction, key, peers) in [(Direction::Ingress, "ingress", "from"), (Direction::Egress, "egress", "to")] {
        let rules = policy.rules(direction);
        if !rules.is_empty() {
            spec.push((key, rules.iter().map(|item| rule(item, peers)).collect()));
        }
    }
    Tree::from_iter([
        ("apiVersion", Tree::text("networking.k8s.io/v1")),
        ("kind", Tree::text("NetworkPolicy")),
        ("metadata", metadata.into_iter().collect()),
        ("spec", spec.into_iter().collect()),
    ])
}

/// Several objects as one.
pub(super) fn list(items: Vec<Tree>) -> Tree {
    Tree::from_iter([("apiVersion", Tree::text("v1")), ("kind", Tree::text("List")), ("items", Tree::List(items))])
}

/// A direction as `policyTypes` has it.
pub(super) fn type_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "Ingress",
        Direction::Egress => "Egress",
    }
}

/// `matchLabels` and an `In` of one value mean the same; people write the first. A key can be in
/// `matchLabels` only once.
pub(super) fn selector(selector: &LabelSelector) -> Tree {
    let mut labels: Vec<(&str, Tree)> = Vec::new();
    let mut expressions = Vec::new();
    for requirement in &selector.requirements {
        match &requirement.operator {
            Operator::In(values) if !labels.iter().any(|(key, _)| *key == requirement.key.as_str()) => {
                match values.as_slice() {
                    [value] => labels.push((&requirement.key, Tree::text(value.as_str()))),
                    _ => expressions.push(expression(requirement)),
                }
            }
            _ => expressions.push(expression(requirement)),
        }
    }
    let mut entries: Vec<(&str, Tree)> = Vec::new();
    if !labels.is_empty() {
        entries.push(("matchLabels", labels.into_iter().collect()));
    }
    if !expressions.is_empty() {
        entries.push(("matchExpressions", Tree::List(expressions)));
    }
    entries.into_iter().collect()
}

fn expression(requirement: &Requirement) -> Tree {
    let (operator, values) = match &requirement.operator {
        Operator::In(values) => ("In", Some(values)),
        Operator::NotIn(values) => ("NotIn", Some(values)),
        Operator::Exists => ("Exists", None),
        Operator::DoesNotExist => ("DoesNotExist", None),
    };
    let mut entries = vec![("key", Tree::text(requirement.key.as_str())), ("operator", Tree::text(operator))];
    entries.extend(values.map(|values| ("values", Tree::texts(values))));
    entries.into_iter().collect()
}

fn rule(rule: &PolicyRule, peers: &'static str) -> Tree {
    let mut entries = Vec::new();
    if !rule.peers.is_empty() {
        entries.push((peers, rule.peers.iter().map(peer).collect()));
    }
    if !rule.ports.is_empty() {
        entries.push(("ports", rule.ports.iter().map(port).collect()));
    }
    entries.into_iter().collect()
}

fn peer(peer: &Peer) -> Tree {
    match peer {
        Peer::IpBlock(block) => Tree::from_iter([("ipBlock", ip_block(block))]),
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => Tree::from_iter([("podSelector", selector(pods))]),
        Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
            let mut entries = vec![("namespaceSelector", selector(namespaces))];
            if !pods.is_everything() {
                entries.push(("podSelector", selector(pods)));
            }
            entries.into_iter().collect()
        }
    }
}

fn ip_block(block: &IpBlock) -> Tree {
    let mut entries = vec![("cidr", Tree::Text(block.cidr.to_string()))];
    if !block.except.is_empty() {
        entries.push(("except", Tree::texts(&block.except)));
    }
    entries.into_iter().collect()
}

fn port(port: &PolicyPort) -> Tree {
    let mut entries = vec![("protocol", Tree::text(port.protocol.name()))];
    match &port.port {
        PortMatch::All => {}
        PortMatch::Named(name) => entries.push(("port", Tree::text(name.as_str()))),
        PortMatch::Range(range) => {
            entries.push(("port", Tree::Number(range.first())));
            if range.last() != range.first() {
                entries.push(("endPort", Tree::Number(range.last())));
            }
        }
    }
    entries.into_iter().collect()
}
