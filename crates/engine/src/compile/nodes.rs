//! Nodes by label: what the `nodes` peers of cluster-wide policies select.

use roaring::RoaringBitmap;

use super::{Interner, RequirementId, selector::LabelIndex};
use crate::model::{Cluster, ClusterPeer, Direction, LabelSelector, Labels, Name, NodeId, Operator};

/// A set of nodes of one program: those that a `nodes` peer selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeSetId(u32);

/// Every selector of nodes, evaluated once.
///
/// INVARIANT: an id is made with its set, and none is ever removed.
#[derive(Debug, Default)]
pub(super) struct NodeSets {
    labels: LabelIndex,
    ids: Interner<Vec<RequirementId>>,
    sets: Vec<RoaringBitmap>,
    texts: Vec<String>,
}

impl NodeSets {
    /// Ready for the selectors of `cluster`. Where none asks for nodes, their labels are not looked at.
    pub(super) fn new(cluster: &Cluster) -> Self {
        let rules = cluster.cluster_policies().flat_map(|(_, policy)| Direction::ALL.map(|d| policy.rules(d)));
        let mut peers = rules.flatten().flat_map(|rule| rule.peers());
        if !peers.any(|peer| matches!(peer, ClusterPeer::Nodes { .. })) {
            return Self::default();
        }
        let mut labels = LabelIndex::default();
        for (id, node) in cluster.nodes() {
            labels.put(number(id), &Labels::default(), &node.labels);
        }
        Self { labels, ..Self::default() }
    }

    /// The requirements of a selector in the order written, and the nodes that it selects.
    pub(super) fn select(&mut self, selector: &LabelSelector) -> (Vec<RequirementId>, NodeSetId) {
        let requirements = self.labels.requirements(selector);
        let id = self.ids.intern(super::scope::sorted(&requirements));
        if id as usize == self.sets.len() {
            self.sets.push(self.labels.select(&requirements));
            self.texts.push(format!("nodes [{}]", self.labels.text(&requirements)));
        }
        (requirements, NodeSetId(id))
    }

    /// The nodes of a set, by [`NodeId::index`].
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of NodeSets")]
    pub(super) fn members(&self, id: NodeSetId) -> &RoaringBitmap {
        &self.sets[id.0 as usize]
    }

    /// What a set is asked for by: equal texts ask for the same, in every cluster.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of NodeSets")]
    pub(super) fn text(&self, id: NodeSetId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// What some requirements ask.
    pub(super) fn asked(&self, requirements: &[RequirementId]) -> impl Iterator<Item = (&Name, &Operator)> {
        self.labels.asked(requirements)
    }

    /// Whether a requirement holds for a node.
    pub(super) fn holds(&self, requirement: RequirementId, node: NodeId) -> bool {
        self.labels.holds(requirement, number(node))
    }
}

/// The number by which a node is a member of a set.
pub(super) fn number(node: NodeId) -> u32 {
    u32::try_from(node.index()).unwrap_or(u32::MAX)
}
