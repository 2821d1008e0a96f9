//! Sentences about rules of cluster-wide policies.

use palisade_engine::{
    compile::{Ports, RulePorts},
    explain::{PeerMiss, RuleMiss},
    model::{
        ClusterPeer, ClusterRule, Direction, Endpoint, LabelSelector, PolicyPort, PolicyRef, PortMatch, Requirement,
    },
    verdict::Matched,
};

use super::{traffic::preposition, words::Words};
use crate::screen::shortened;

impl Words<'_> {
    /// `to 10.0.0.0/8, all traffic`
    pub(super) fn wide_matched(&self, matched: &Matched) -> String {
        let Some((direction, rule)) = self.wide_written(matched.rule) else { return String::new() };
        if !rule.is_understood() {
            return "everything: it could not be understood as a whole".to_owned();
        }
        let peer = matched.peer.and_then(|index| rule.peers().get(index));
        let peer = peer.map_or_else(|| "anyone".to_owned(), wide_peer);
        let written = matched.port.and_then(|index| match &self.program.rule(matched.rule).ports {
            Ports::All => None,
            Ports::Of(ports) => rule.ports().get(ports.get(index)?.written),
        });
        let port = written.map_or_else(|| "all traffic".to_owned(), ToString::to_string);
        format!("{} {peer}, {port}", preposition(direction))
    }

    /// What the peers of a rule asked for that the other end is not.
    pub(super) fn wide_peers_miss(&self, miss: &RuleMiss, misses: &[PeerMiss]) -> String {
        let Some((direction, rule)) = self.wide_written(miss.rule) else { return String::new() };
        let pairs = rule.peers().iter().zip(misses);
        let mut texts: Vec<String> = pairs.map(|(peer, why)| self.wide_peer_miss(direction, peer, why)).collect();
        texts.dedup();
        if texts.is_empty() { "it means nobody".to_owned() } else { shortened(&texts, " and ", 3) }
    }

    /// The ports of a rule as NetworkPolicies have theirs: a name once for each protocol.
    pub(super) fn compiled_ports(&self, rule: palisade_engine::compile::RuleId) -> Vec<PolicyPort> {
        let Ports::Of(ports) = &self.program.rule(rule).ports else { return Vec::new() };
        let port = |port: &palisade_engine::compile::RulePort| {
            let matches = match &port.ports {
                RulePorts::Range(range) => PortMatch::Range(*range),
                RulePorts::Named(name) => PortMatch::Named(name.clone()),
            };
            PolicyPort { protocol: port.protocol, port: matches, at: None }
        };
        ports.iter().map(port).collect()
    }

    fn wide_written(&self, rule: palisade_engine::compile::RuleId) -> Option<(Direction, &ClusterRule)> {
        let origin = self.program.rule(rule).origin;
        let PolicyRef::Cluster(policy) = origin.policy else { return None };
        let rules = self.cluster.cluster_policy(policy).rules(origin.direction);
        Some((origin.direction, rules.get(origin.index)?))
    }

    fn wide_peer_miss(&self, direction: Direction, peer: &ClusterPeer, why: &PeerMiss) -> String {
        let requirement = |selector: &LabelSelector, index: &usize| {
            selector.requirements.get(*index).map(Requirement::to_string).unwrap_or_default()
        };
        match (peer, why) {
            (
                ClusterPeer::Namespaces { namespaces, .. } | ClusterPeer::Pods { namespaces, .. },
                PeerMiss::Namespace(index),
            ) => {
                format!("peer is not in a namespace {}", requirement(namespaces, index))
            }
            (ClusterPeer::Pods { pods, .. }, PeerMiss::Pod(index)) => match pods.requirements.get(*index) {
                Some(requirement) => self.label_miss(direction, requirement),
                None => String::new(),
            },
            (ClusterPeer::Nodes { nodes, .. }, PeerMiss::Node(index)) => {
                format!("{} is not a node {}", self.other_name(direction), requirement(nodes, index))
            }
            (ClusterPeer::Nodes { .. }, _) => format!("{} is not a node", self.other_name(direction)),
            (ClusterPeer::Networks { .. }, _) => format!("{} is not in {}", self.address(direction), wide_peer(peer)),
            (ClusterPeer::DomainNames { .. }, _) => {
                format!("{} is not what {} resolves to", self.address(direction), wide_peer(peer))
            }
            (ClusterPeer::Namespaces { .. } | ClusterPeer::Pods { .. }, _) => self.not_selectable(direction),
        }
    }

    /// What has to be known before it can be told.
    pub(super) fn unknown_lead(&self, matched: &Matched) -> &'static str {
        use palisade_engine::compile::{Peers, RulePeer};
        let peer = match &self.program.rule(matched.rule).peers {
            Peers::Any => None,
            Peers::Of(peers) => matched.peer.and_then(|index| peers.get(index)),
        };
        let known = match self.program.rule(matched.rule).origin.direction {
            Direction::Egress => self.case.flow.to(),
            Direction::Ingress => self.case.flow.from(),
        };
        let is_name = matches!(peer, Some(RulePeer::Names { .. }));
        if is_name && (known.address.is_some() || known.endpoint == Endpoint::Outside) {
            "what the name resolves to would decide (tell it by --resolve NAME=ADDRESS): "
        } else {
            "an address that is not known would decide: "
        }
    }
}

/// A peer of a cluster-wide policy in words.
fn wide_peer(peer: &ClusterPeer) -> String {
    let of = |namespaces: &LabelSelector| {
        if namespaces.is_everything() { "of any namespace".to_owned() } else { format!("of a namespace {namespaces}") }
    };
    match peer {
        ClusterPeer::Namespaces { namespaces, .. } => format!("any pod {}", of(namespaces)),
        ClusterPeer::Pods { namespaces, pods, .. } if pods.is_everything() => format!("any pod {}", of(namespaces)),
        ClusterPeer::Pods { namespaces, pods, .. } => format!("{pods} {}", of(namespaces)),
        ClusterPeer::Nodes { nodes, .. } if nodes.is_everything() => "any node".to_owned(),
        ClusterPeer::Nodes { nodes, .. } => format!("a node {nodes}"),
        ClusterPeer::Networks { networks, .. } => {
            let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
            shortened(&texts, " or ", 4)
        }
        ClusterPeer::DomainNames { names, .. } => {
            let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
            shortened(&texts, " or ", 4)
        }
    }
}
