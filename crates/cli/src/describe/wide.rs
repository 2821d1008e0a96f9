//! Cluster-wide policies: as the API server would store them, and in words.

use palisade_engine::{
    PolicyProgram,
    model::{
        Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyId, ClusterPolicyKind, ClusterPort, ClusterRule,
        ClusterSubject, Direction, LabelSelector, Mode, Protocol,
    },
};

use super::object::{Tree, selector};
use crate::{
    explain::wide_peer,
    screen::{hanging, shortened},
};

/// The object with its fields in the order people write them.
pub(super) fn object(policy: &ClusterPolicy) -> Tree {
    let is_new = policy.kind == ClusterPolicyKind::Cluster;
    let version = if is_new { "v1alpha2" } else { "v1alpha1" };
    let annotations: Vec<(&str, Tree)> =
        policy.annotations.iter().map(|(key, value)| (key.as_str(), Tree::text(value.as_str()))).collect();
    let mut metadata = vec![("name", Tree::text(policy.name.as_str()))];
    if !annotations.is_empty() {
        metadata.push(("annotations", annotations.into_iter().collect()));
    }
    let mut spec = Vec::new();
    if is_new {
        spec.push(("tier", Tree::text(policy.tier.to_string())));
    }
    spec.extend(policy.priority.map(|priority| ("priority", Tree::Number(priority))));
    let subject = match &policy.subject {
        ClusterSubject::Namespaces(namespaces) => vec![("namespaces", selector(namespaces))],
        ClusterSubject::Pods { namespaces, pods: of } => vec![("pods", pods(namespaces, of))],
        ClusterSubject::NotUnderstood => Vec::new(),
    };
    spec.push(("subject", subject.into_iter().collect()));
    for (key, peers, rules) in [("ingress", "from", &policy.ingress), ("egress", "to", &policy.egress)] {
        if !rules.is_empty() {
            spec.push((key, rules.iter().map(|item| rule(item, peers, is_new)).collect()));
        }
    }
    Tree::from_iter([
        ("apiVersion", Tree::text(format!("policy.networking.k8s.io/{version}"))),
        ("kind", Tree::text(policy.kind.kind())),
        ("metadata", metadata.into_iter().collect()),
        ("spec", spec.into_iter().collect()),
    ])
}

fn pods(namespaces: &LabelSelector, pods: &LabelSelector) -> Tree {
    Tree::from_iter([("namespaceSelector", selector(namespaces)), ("podSelector", selector(pods))])
}

fn rule(rule: &ClusterRule, peers: &'static str, is_new: bool) -> Tree {
    let mut fields: Vec<(&str, Tree)> = Vec::new();
    fields.extend(rule.name.as_ref().map(|name| ("name", Tree::text(name.as_str()))));
    let action = if rule.action == Action::Accept && !is_new { "Allow" } else { rule.action.name() };
    fields.push(("action", Tree::text(action)));
    fields.push((peers, rule.peers().iter().map(peer).collect()));
    if !rule.ports().is_empty() {
        let field = if is_new { "protocols" } else { "ports" };
        fields.push((field, rule.ports().iter().map(|item| port(item, is_new)).collect()));
    }
    fields.into_iter().collect()
}

fn peer(peer: &ClusterPeer) -> Tree {
    let value = match peer {
        ClusterPeer::Namespaces { namespaces, .. } => selector(namespaces),
        ClusterPeer::Pods { namespaces, pods: of, .. } => pods(namespaces, of),
        ClusterPeer::Nodes { nodes, .. } => selector(nodes),
        ClusterPeer::Networks { networks, .. } => {
            networks.iter().map(|network| Tree::text(network.to_string())).collect()
        }
        ClusterPeer::DomainNames { names, .. } => names.iter().map(|name| Tree::text(name.as_str())).collect(),
    };
    Tree::from_iter([(peer.field(), value)])
}

fn port(port: &ClusterPort, is_new: bool) -> Tree {
    let (protocol, ports) = match port {
        ClusterPort::Named { name, .. } => {
            let field = if is_new { "destinationNamedPort" } else { "namedPort" };
            return Tree::from_iter([(field, Tree::text(name.as_str()))]);
        }
        ClusterPort::Numbers { protocol, ports, .. } => (*protocol, *ports),
    };
    let (first, last) = (ports.first().max(1), ports.last());
    let range = [("start", Tree::Number(first)), ("end", Tree::Number(last))];
    if is_new {
        let ports = if first == last { ("number", Tree::Number(first)) } else { ("range", Tree::from_iter(range)) };
        let of = Tree::from_iter([("destinationPort", Tree::from_iter([ports]))]);
        return Tree::from_iter([(lower(protocol), of)]);
    }
    let protocol = ("protocol", Tree::text(protocol.name()));
    if first == last {
        Tree::from_iter([("portNumber", Tree::from_iter([protocol, ("port", Tree::Number(first))]))])
    } else {
        Tree::from_iter([("portRange", std::iter::once(protocol).chain(range).collect())])
    }
}

fn lower(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// The policy in words, with whom it selects today.
pub(super) fn words(program: &PolicyProgram, id: ClusterPolicyId, policy: &ClusterPolicy, width: usize) -> String {
    let priority = policy.priority.map_or_else(String::new, |priority| format!(", priority {priority}"));
    let mut text = hanging("", &format!("{} {}  ({} tier{priority})", policy.kind, policy.name, policy.tier), 4, width);
    let whom = match &policy.subject {
        ClusterSubject::Namespaces(namespaces) => format!("every pod of namespaces: {namespaces}"),
        ClusterSubject::Pods { namespaces, pods } => format!("pods: {pods}, of namespaces: {namespaces}"),
        ClusterSubject::NotUnderstood => "nobody: its subject could not be understood".to_owned(),
    };
    let selected = program.subjects_of(id).map(|selector| program.selected(selector));
    let count: usize = selected.into_iter().flatten().map(|identity| program.identity(identity).pods.len()).sum();
    let line = |text: &mut String, said: String| {
        text.push('\n');
        text.push_str(&hanging("  ", &said, 4, width));
    };
    if policy.mode == Some(Mode::Audit) {
        line(&mut text, "audited: it denies nothing yet, what it would deny is told".to_owned());
    }
    line(&mut text, format!("selects {whom} (today {count} pods)"));
    for direction in Direction::ALL {
        let word = if direction == Direction::Ingress { "from" } else { "to" };
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let what = match &rule.matches {
                ClusterMatch::NotUnderstood => "could not be understood, and fails closed".to_owned(),
                ClusterMatch::Of { peers, ports } => {
                    let peers: Vec<String> = peers.iter().map(wide_peer).collect();
                    let ports: Option<Vec<String>> =
                        ports.as_ref().map(|ports| ports.iter().map(ToString::to_string).collect());
                    let ports = ports.map_or_else(|| "all traffic".to_owned(), |ports| shortened(&ports, " or ", 8));
                    format!("{} {word} {}: {ports}", rule.action, shortened(&peers, " or ", 8))
                }
            };
            let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            line(&mut text, format!("{direction}[{index}]{name}: {what}"));
        }
    }
    text.push('\n');
    text
}
