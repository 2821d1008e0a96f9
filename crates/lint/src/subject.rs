//! What rules look at, and the questions that several of them ask.

use palisade_engine::{
    PolicyProgram,
    compile::{IdentityId, Peers, RuleId, RulePeer, SelectorId},
    model::{Cluster, Direction, LabelSelector, NetworkPolicy, Pod, PolicyId, PolicyRule, Span},
};

use palisade_manifest::read::{OddNetwork, Wish};

use crate::{
    Wishes,
    index::{Index, matches},
};

/// A cluster with its compiled policies.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What is.
    pub cluster: &'a Cluster,
    /// What is allowed.
    pub program: &'a PolicyProgram,
    /// Whether the input has live pods: without any, nothing can be said of what selectors select.
    pub has_pods: bool,
    /// Whether the input has Namespace objects, so that their labels are known.
    pub has_namespaces: bool,
    /// Which findings objects do not want to hear of.
    pub(crate) wishes: Wishes<'a>,
    /// Networks that are not written as they are meant.
    pub(crate) networks: &'a [OddNetwork],
    /// Where things are.
    pub(crate) index: Index<'a>,
}

impl<'a> Subject<'a> {
    /// A cluster and the program compiled from it.
    pub fn new(cluster: &'a Cluster, program: &'a PolicyProgram) -> Self {
        let has_pods = cluster.pods().any(|(_, pod)| pod.is_live());
        let has_namespaces = cluster.namespaces().any(|namespace| namespace.at.is_some());
        let index = Index::new(cluster, program);
        Self { cluster, program, has_pods, has_namespaces, wishes: Wishes::default(), networks: &[], index }
    }

    /// The same with what was read beside the objects.
    #[must_use]
    pub fn with(mut self, wishes: &'a [Wish], networks: &'a [OddNetwork]) -> Self {
        (self.wishes, self.networks) = (Wishes::new(wishes), networks);
        self
    }

    /// Every policy with how messages call it.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyId, &'a NetworkPolicy, String)> + use<'a> {
        self.cluster.policies().map(|(id, policy)| (id, policy, format!("NetworkPolicy {}", policy.id)))
    }

    /// Every rule of a policy that counts, with its direction and index.
    pub(crate) fn rules(&self, id: PolicyId) -> impl Iterator<Item = (Direction, usize, &'a PolicyRule)> + use<'a> {
        let (cluster, program) = (self.cluster, self.program);
        let directions = Direction::ALL.into_iter().filter(move |direction| program.affects(id, *direction));
        directions.flat_map(move |direction| {
            let rules = cluster.policy(id).rules(direction).iter().enumerate();
            rules.map(move |(index, rule)| (direction, index, rule))
        })
    }

    /// The compiled form of a written rule.
    pub(crate) fn compiled(&self, policy: PolicyId, direction: Direction, index: usize) -> Option<RuleId> {
        self.program.rule_of(policy, direction, index)
    }

    /// The pods of an identity.
    pub(crate) fn pods(&self, identity: IdentityId) -> impl Iterator<Item = &'a Pod> + use<'a> {
        let cluster = self.cluster;
        self.program.identity(identity).pods.iter().map(|id| cluster.pod(*id))
    }

    /// The pods that a rule's ports are those of: its subjects for ingress, its peers for egress. None
    /// when they may be anyone's.
    pub(crate) fn destinations(
        &self,
        policy: PolicyId,
        direction: Direction,
        index: usize,
    ) -> impl Iterator<Item = IdentityId> + use<'a> {
        let program = self.program;
        let selectors: Vec<SelectorId> = match direction {
            Direction::Ingress => program.subjects_of(policy).into_iter().collect(),
            Direction::Egress => match self.compiled(policy, direction, index).map(|rule| &program.rule(rule).peers) {
                Some(Peers::Of(peers)) => {
                    let members = peers.iter().filter_map(|peer| match peer {
                        RulePeer::Pods { members, .. } => Some(*members),
                        RulePeer::Block(_) | RulePeer::Nodes { .. } | RulePeer::Names { .. } => None,
                    });
                    members.collect()
                }
                Some(Peers::Any) | None => Vec::new(),
            },
        };
        selectors.into_iter().flat_map(|selector| program.selected(selector))
    }

    /// The host-network pods that a policy's selector matches.
    pub(crate) fn host_network_pods(&self, policy: &'a NetworkPolicy) -> impl Iterator<Item = &'a Pod> {
        let pods = self.index.host_pods_in(&policy.id.namespace).iter().copied();
        pods.filter(|pod| matches(&policy.subject, &pod.labels))
    }

    /// Whether a policy's selector matches a host-network pod.
    pub(crate) fn selects_host_network(&self, policy: &'a NetworkPolicy) -> bool {
        self.host_network_pods(policy).next().is_some()
    }
}

/// Where a selector says what it selects: its first requirement, or all of it.
pub(crate) fn place(selector: &LabelSelector) -> Option<Span> {
    selector.requirements.first().and_then(|requirement| requirement.at).or(selector.at)
}

/// `spec.egress[0]`
pub(crate) fn rule_field(direction: Direction, index: usize) -> String {
    format!("spec.{direction}[{index}]")
}

/// `spec.egress[0].to[1]`
pub(crate) fn peer_field(direction: Direction, rule: usize, peer: usize) -> String {
    let word = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    format!("{}.{word}[{peer}]", rule_field(direction, rule))
}

/// `spec.egress[0].ports[1]`
pub(crate) fn port_field(direction: Direction, rule: usize, port: usize) -> String {
    format!("{}.ports[{port}]", rule_field(direction, rule))
}
