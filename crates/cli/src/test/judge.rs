//! Whether an assertion holds: by set algebra over all connections, never by samples.
//!
//! ```text
//! allow    every pair of from × to: what is denied of the ports must be nothing
//! deny     every pair of from × to: what is allowed of the ports must be nothing
//! only     the same with everyone but `from` as the sources
//! onlyTo   the same with everyone but `to` as the destinations
//! ```
//!
//! Sets of ends are of identities: pods that no policy tells apart are one end. What holds for one of
//! them holds for all; who of them is meant counts where a pod would be asked about itself or its node,
//! which no policy judges.

use std::collections::BTreeMap;

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{End, EndId, EndSet, Query, Rectangle, Relation},
    model::{Cluster, Direction, Family, NodeId, PodId},
    sets::{PrefixSet, TrafficSet},
};

use super::who::{Aim, Who};

/// What is asked of everyone.
pub(super) struct Judge<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a PolicyProgram,
    pub(super) connections: &'a Connections,
    nodes: EndSet,
}

/// An assertion whose ends were found.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// Everyone of `from` may send all of it.
    Allow { from: Who, to: Vec<Aim> },
    /// Nobody of `from` may send any of it.
    Deny {
        from: Who,
        to: Vec<Aim>,
        /// Who may do it all the same.
        spare: Option<Spare>,
    },
    /// Every pod is isolated.
    Isolated { who: Who, direction: Direction },
}

/// Networks whose members are not asked about. Where an address is not known, and would let somebody
/// through only by being in one of them, nothing is left to tell.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    /// The half of a connection in which the other end is one of the networks' members, or not.
    pub(super) direction: Direction,
    pub(super) networks: PrefixSet,
}

/// Something that is not as asserted.
#[derive(Debug)]
pub(super) enum Wrong<'q> {
    /// These connections are denied and should not be, or are allowed and should not be.
    Connections(Found<'q>),
    /// A pod of `from` and one of `to` have no IP family in common.
    NoFamily(Found<'q>),
    /// No policy judges any of it.
    NothingJudged,
    /// Nobody is left to assert something of.
    NobodyLeft,
    /// A node that was asked for by name always reaches these pods of its own, and they it.
    OwnNode { node: NodeId, pods: Vec<PodId>, node_sends: bool },
    /// These pods are not isolated.
    NotIsolated { pods: Vec<PodId>, direction: Direction },
    /// Policies select no node, and nothing outside.
    NoPods { nodes: Vec<NodeId>, outside: bool },
}

/// Some connections, with whom their ends are of.
#[derive(Debug)]
pub(super) struct Found<'q> {
    pub(super) rectangle: Rectangle,
    pub(super) from: &'q Who,
    pub(super) to: &'q Who,
    /// Whether it is what may be, where it should not.
    pub(super) allowed: bool,
    /// Whether only an address that is not known would tell.
    pub(super) certain: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(cluster: &'a Cluster, program: &'a PolicyProgram, connections: &'a Connections) -> Self {
        let nodes = connections.ends().iter().filter(|(_, end)| matches!(end, End::Node { .. }));
        Self { cluster, program, connections, nodes: nodes.map(|(id, _)| id.number()).collect() }
    }

    /// All that is not as asserted.
    pub(super) fn judge<'q>(&self, question: &'q Question, allow_empty: bool) -> Vec<Wrong<'q>> {
        match question {
            Question::Allow { from, to } => to.iter().flat_map(|aim| self.allow(from, aim)).collect(),
            Question::Deny { from, to, spare } => {
                let (mut wrong, mut judged, mut anyone) = (Vec::new(), false, false);
                for aim in to {
                    wrong.extend(self.deny(from, aim, spare.as_ref()));
                    judged = judged || !wrong.is_empty() || self.judges(from, aim);
                    anyone = anyone || !(self.ends(from).is_empty() || self.ends(&aim.who).is_empty());
                }
                match (judged || allow_empty, anyone) {
                    (true, _) => {}
                    (false, true) => wrong.push(Wrong::NothingJudged),
                    (false, false) => wrong.push(Wrong::NobodyLeft),
                }
                wrong
            }
            Question::Isolated { who, direction } => self.isolated(who, *direction),
        }
    }

    fn allow<'q>(&self, from: &'q Who, aim: &'q Aim) -> Vec<Wrong<'q>> {
        let mut wrong = self.without_family(from, aim);
        let allowed = self.connections.allowed();
        let denied = self.found(self.connections.possible().unwrap_or(allowed), from, aim, true);
        let certain = !denied.is_empty() || self.connections.possible().is_none();
        let denied = if certain { denied } else { self.found(allowed, from, aim, true) };
        wrong.extend(
            denied.into_iter().map(|rectangle| Wrong::Connections(found(rectangle, from, aim, false, certain))),
        );
        wrong
    }

    fn deny<'q>(&self, from: &'q Who, aim: &'q Aim, spare: Option<&Spare>) -> Vec<Wrong<'q>> {
        let mut wrong = self.own_nodes(from, aim);
        let mut allowed = self.found(self.connections.allowed(), from, aim, false);
        let mut certain = true;
        if let (true, Some(possible)) = (allowed.is_empty(), self.connections.possible()) {
            allowed = self.found(possible, from, aim, false);
            if let Some(spare) = spare.filter(|spare| !spare.networks.is_empty()) {
                allowed = allowed.into_iter().flat_map(|rectangle| self.without_spared(rectangle, spare)).collect();
            }
            certain = false;
        }
        wrong.extend(
            allowed.into_iter().map(|rectangle| Wrong::Connections(found(rectangle, from, aim, true, certain))),
        );
        wrong
    }

    /// Whether policies judge anything of it.
    fn judges(&self, from: &Who, aim: &Aim) -> bool {
        let ends = self.connections.ends();
        let (sources, destinations) = (self.ends(from), self.ends(&aim.who));
        // A pod and somebody else who is no node: most questions have such a pair.
        let is_plain = |family: Family| {
            let of = |set: &EndSet| (set & ends.present(family)) - &self.nodes;
            let (a, b) = (of(&sources), of(&destinations));
            let apart = |a: &EndSet, b: &EndSet| !a.is_empty() && !b.is_empty() && a.union_len(b) > 1;
            apart(&(&a & ends.pods()), &b) || apart(&a, &(&b & ends.pods()))
        };
        if !aim.traffic.is_empty() && Family::ALL.into_iter().any(is_plain) {
            return true;
        }
        let allowed = self.connections.allowed();
        [true, false].into_iter().any(|denied| !self.found(allowed, from, aim, denied).is_empty())
    }

    /// What of a relation is so from someone to someone, without what no policy judges.
    fn found(&self, relation: &Relation, from: &Who, aim: &Aim, denied: bool) -> Vec<Rectangle> {
        let query = Query {
            denied,
            from: Some(self.ends(from)),
            to: Some(self.ends(&aim.who)),
            within: Some(aim.traffic.clone()),
        };
        let rectangles = self.connections.rectangles(relation, &query).into_iter();
        let judged = rectangles.flat_map(|rectangle| self.judged(rectangle, from, &aim.who));
        judged.filter(|r| !r.from.is_empty() && !r.to.is_empty() && !self.is_itself(r, from, &aim.who)).collect()
    }

    /// Parts of a rectangle without pairs of a node and its own pods.
    fn judged(&self, rectangle: Rectangle, from: &Who, to: &Who) -> Vec<Rectangle> {
        let (sending, receiving) = (&rectangle.from & &self.nodes, &rectangle.to & &self.nodes);
        if sending.is_empty() && receiving.is_empty() {
            return vec![rectangle];
        }
        let (sources, destinations) = (&rectangle.from - &sending, &rectangle.to - &receiving);
        let mut parts = vec![Rectangle { from: sources.clone(), to: destinations.clone(), ..rectangle.clone() }];
        for (nodes, others) in self.by_node(&sending, &destinations, to) {
            parts.push(Rectangle { from: nodes, to: others, ..rectangle.clone() });
        }
        for (nodes, others) in self.by_node(&receiving, &sources, from) {
            parts.push(Rectangle { from: others, to: nodes, ..rectangle.clone() });
        }
        parts
    }

    /// Nodes with those of `others` that are not only their own pods.
    fn by_node(&self, nodes: &EndSet, others: &EndSet, who: &Who) -> Vec<(EndSet, EndSet)> {
        if nodes.is_empty() || others.is_empty() {
            return Vec::new();
        }
        let mut own: BTreeMap<NodeId, EndSet> = BTreeMap::new();
        for (id, _) in self.connections.ends().members(others) {
            if let Some(node) = self.only_node(who, id) {
                own.entry(node).or_default().insert(id.number());
            }
        }
        let mut rest = EndSet::new();
        let mut parts = Vec::new();
        for (id, end) in self.connections.ends().members(nodes) {
            let End::Node { node, .. } = end else { continue };
            match own.get(node) {
                Some(own) => parts.push((std::iter::once(id.number()).collect(), others - own)),
                None => _ = rest.insert(id.number()),
            }
        }
        parts.push((rest, others.clone()));
        parts
    }

    /// The node that all of the pods at an end run on.
    fn only_node(&self, who: &Who, end: EndId) -> Option<NodeId> {
        let mut pods = who.pods_at(self.connections, self.program, end);
        let node = self.cluster.node_of(pods.next()?)?;
        pods.all(|pod| self.cluster.node_of(pod) == Some(node)).then_some(node)
    }

    /// Whether a rectangle is of one pod and the same.
    fn is_itself(&self, rectangle: &Rectangle, from: &Who, to: &Who) -> bool {
        if rectangle.from.len() != 1 || rectangle.from != rectangle.to {
            return false;
        }
        let Some((end, _)) = self.connections.ends().members(&rectangle.from).next() else { return false };
        let only = |who: &Who| {
            let mut pods = who.pods_at(self.connections, self.program, end);
            pods.next().filter(|_| pods.next().is_none())
        };
        only(from).is_some_and(|pod| only(to) == Some(pod))
    }

    fn ends(&self, who: &Who) -> EndSet {
        who.ends(self.connections, self.program)
    }

    /// Pairs that can have no connection at all.
    fn without_family<'q>(&self, from: &'q Who, aim: &'q Aim) -> Vec<Wrong<'q>> {
        let (sources, destinations) = (self.ends(from), self.ends(&aim.who));
        let pairs = [(Family::V4, Family::V6), (Family::V6, Family::V4)];
        let parts = pairs.map(|(a, b)| (self.only_of(&sources, a, b), self.only_of(&destinations, b, a)));
        let apart = parts.into_iter().filter(|(from, to)| !from.is_empty() && !to.is_empty());
        let rectangles = apart.map(|(from, to)| Rectangle { from, to, family: None, traffic: TrafficSet::all() });
        rectangles.map(|rectangle| Wrong::NoFamily(found(rectangle, from, aim, false, true))).collect()
    }

    /// Those of a set that have one family and not the other. Pods and nodes have each their own; the
    /// outside is one, and has both unless only one was asked for.
    fn only_of(&self, set: &EndSet, family: Family, other: Family) -> EndSet {
        let ends = self.connections.ends();
        let (present, other) = (set & ends.present(family), set & ends.present(other));
        let outside = &present & ends.outside();
        let own = &present - &other - ends.outside();
        if other.is_disjoint(ends.outside()) { own | outside } else { own }
    }

    /// What of it always passes because a node was named that is a pod's own.
    fn own_nodes(&self, from: &Who, aim: &Aim) -> Vec<Wrong<'static>> {
        let of = |nodes: &[NodeId], who: &Who, node_sends: bool| {
            let mut wrong = Vec::new();
            for node in nodes {
                let own = who.pods.iter().copied().filter(|pod| self.cluster.node_of(*pod) == Some(*node));
                let pods: Vec<PodId> = own.collect();
                if !pods.is_empty() {
                    wrong.push(Wrong::OwnNode { node: *node, pods, node_sends });
                }
            }
            wrong
        };
        let mut wrong = of(&from.named_nodes, &aim.who, true);
        wrong.extend(of(&aim.who.named_nodes, from, false));
        wrong
    }

    fn isolated(&self, who: &Who, direction: Direction) -> Vec<Wrong<'static>> {
        let mut wrong = Vec::new();
        let is_open = |pod: &PodId| {
            let identity = self.program.identity_of(*pod);
            identity.is_none_or(|id| self.program.profile(self.program.profile_of(id, direction)).is_open())
        };
        let pods: Vec<PodId> = who.pods.iter().copied().filter(is_open).collect();
        if !pods.is_empty() {
            wrong.push(Wrong::NotIsolated { pods, direction });
        }
        if !who.nodes.is_empty() || !who.outside.is_empty() {
            wrong.push(Wrong::NoPods { nodes: who.nodes.clone(), outside: !who.outside.is_empty() });
        }
        wrong
    }
}

fn found<'q>(rectangle: Rectangle, from: &'q Who, aim: &'q Aim, allowed: bool, certain: bool) -> Found<'q> {
    Found { rectangle, from, to: &aim.who, allowed, certain }
}
