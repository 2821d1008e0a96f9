//! Cluster-wide policies as the API server would store them.

use palisade_engine::model::{
    Action, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject, LabelSelector,
    Protocol,
};

use super::object::{Tree, selector};

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
