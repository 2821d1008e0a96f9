//! What rules look at, and the questions that several of them ask.

use palisade_engine::{
    PolicyProgram,
    compile::{IdentityId, RuleId},
    model::{Cluster, Direction, LabelSelector, Labels, NetworkPolicy, Operator, Pod, PolicyId, PolicyRule},
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
}

impl<'a> Subject<'a> {
    /// A cluster and the program compiled from it.
    pub fn new(cluster: &'a Cluster, program: &'a PolicyProgram) -> Self {
        let has_pods = cluster.pods().any(|(_, pod)| pod.is_live());
        let has_namespaces = cluster.namespaces().any(|namespace| namespace.at.is_some());
        Self { cluster, program, has_pods, has_namespaces }
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

    /// Whether a selector selects these labels: for objects that the program has no identity for, such
    /// as host-network pods, namespaces of other policies, and Services' pods.
    pub(crate) fn matches(&self, selector: &LabelSelector, labels: &Labels) -> bool {
        selector.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The host-network pods that a policy's selector matches.
    pub(crate) fn host_network_pods(&self, policy: &'a NetworkPolicy) -> impl Iterator<Item = &'a Pod> {
        let pods = self.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_live() && pod.host_network);
        pods.filter(|pod| pod.id.namespace == policy.id.namespace && self.matches(&policy.subject, &pod.labels))
    }

    /// Whether a policy's selector matches a host-network pod.
    pub(crate) fn selects_host_network(&self, policy: &'a NetworkPolicy) -> bool {
        self.host_network_pods(policy).next().is_some()
    }
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
