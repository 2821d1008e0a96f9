//! A policy of any kind: its name, its kind, and where it and its rules were written.

use super::{Cluster, ClusterPolicy, ClusterPolicyId, Direction, PolicyId, Span};

/// A policy of any kind, of one [`Cluster`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyRef {
    /// A NetworkPolicy.
    Network(PolicyId),
    /// A cluster-wide policy.
    Cluster(ClusterPolicyId),
}

impl From<PolicyId> for PolicyRef {
    fn from(id: PolicyId) -> Self {
        Self::Network(id)
    }
}

impl From<ClusterPolicyId> for PolicyRef {
    fn from(id: ClusterPolicyId) -> Self {
        Self::Cluster(id)
    }
}

impl PolicyRef {
    /// The NetworkPolicy, if it is one.
    pub fn network(self) -> Option<PolicyId> {
        match self {
            Self::Network(id) => Some(id),
            Self::Cluster(_) => None,
        }
    }

    /// The cluster-wide policy, if it is one.
    pub fn cluster(self) -> Option<ClusterPolicyId> {
        match self {
            Self::Network(_) => None,
            Self::Cluster(id) => Some(id),
        }
    }
}

impl Cluster {
    /// Every policy of any kind: NetworkPolicies first.
    pub fn all_policies(&self) -> impl Iterator<Item = PolicyRef> + '_ {
        let network = self.policies().map(|(id, _)| PolicyRef::Network(id));
        network.chain(self.cluster_policies().map(|(id, _)| PolicyRef::Cluster(id)))
    }

    /// How people call a policy of any kind: `prod/web`, or the name alone of a cluster-wide one; `anp/default`
    /// where another kind has one of that name.
    pub fn policy_name(&self, policy: PolicyRef) -> String {
        match policy {
            PolicyRef::Network(id) => self.policy(id).id.to_string(),
            PolicyRef::Cluster(id) => {
                let ClusterPolicy { kind, name, .. } = self.cluster_policy(id);
                let is_namesake = |other: &ClusterPolicy| other.name == *name && other.kind != *kind;
                if self.cluster_policies().any(|(_, other)| is_namesake(other)) {
                    return format!("{}/{name}", kind.short());
                }
                name.to_string()
            }
        }
    }

    /// The kind of a policy.
    pub fn policy_kind(&self, policy: PolicyRef) -> &'static str {
        match policy {
            PolicyRef::Network(_) => "NetworkPolicy",
            PolicyRef::Cluster(id) => self.cluster_policy(id).kind.kind(),
        }
    }

    /// Where a policy of any kind was written.
    pub fn policy_at(&self, policy: PolicyRef) -> Option<Span> {
        match policy {
            PolicyRef::Network(id) => self.policy(id).at,
            PolicyRef::Cluster(id) => self.cluster_policy(id).at,
        }
    }

    /// Where a rule of a policy of any kind was written.
    pub fn rule_at(&self, policy: PolicyRef, direction: Direction, index: usize) -> Option<Span> {
        match policy {
            PolicyRef::Network(id) => self.policy(id).rules(direction).get(index)?.at,
            PolicyRef::Cluster(id) => self.cluster_policy(id).rules(direction).get(index)?.at,
        }
    }
}
