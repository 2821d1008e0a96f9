//! What is asked for: each resource with its place in the API.

use std::{borrow::Cow, fmt};

use palisade_engine::model::{ClusterPolicyKind, WorkloadKind};

/// The group of the cluster-wide policies, which are installed as CRDs.
pub(crate) const CLUSTER_POLICIES: &str = "policy.networking.k8s.io";

pub(crate) const NAMESPACES: Resource = Resource::built_in("", "v1", "namespaces", "Namespace", false);
pub(crate) const NODES: Resource = Resource::built_in("", "v1", "nodes", "Node", false);
pub(crate) const PODS: Resource = Resource::built_in("", "v1", "pods", "Pod", true);
pub(crate) const NETWORK_POLICIES: Resource =
    Resource::built_in("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true);

/// One resource of the API, in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The group; empty for the core group.
    pub group: Cow<'static, str>,
    /// The version, such as `v1`.
    pub version: Cow<'static, str>,
    /// The name in paths and in RBAC rules, such as `networkpolicies`.
    pub plural: Cow<'static, str>,
    /// The kind of its objects.
    pub kind: Cow<'static, str>,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

impl Resource {
    const fn built_in(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
            namespaced,
        }
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the list of all namespaces.
    pub fn path(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.api_version(), self.plural)
    }

    /// Whether its objects are policies: of these, every line may be asked for.
    pub(crate) fn is_policy(&self) -> bool {
        self.plural == "networkpolicies" || self.group == CLUSTER_POLICIES
    }
}

impl fmt::Display for Resource {
    /// As kubectl takes it: `pods`, `networkpolicies.networking.k8s.io`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// The cluster-wide policies of a kind, in the version that the reader knows.
pub(crate) const fn cluster_policies(kind: ClusterPolicyKind) -> Resource {
    let (version, plural, kind) = match kind {
        ClusterPolicyKind::Cluster => ("v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"),
        ClusterPolicyKind::Admin => ("v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"),
        ClusterPolicyKind::BaselineAdmin => ("v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy"),
    };
    Resource::built_in(CLUSTER_POLICIES, version, plural, kind, false)
}

/// Everything that every cluster serves and an answer needs, in the order in which it is read.
pub(crate) fn built_in() -> Vec<Resource> {
    let mut all = vec![NAMESPACES, NODES, PODS];
    all.extend(WorkloadKind::ALL.map(workload));
    all.push(Resource::built_in("", "v1", "services", "Service", true));
    all.push(Resource::built_in("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true));
    all.push(NETWORK_POLICIES);
    all
}

fn workload(kind: WorkloadKind) -> Resource {
    let (group, plural) = match kind {
        WorkloadKind::Deployment => ("apps", "deployments"),
        WorkloadKind::StatefulSet => ("apps", "statefulsets"),
        WorkloadKind::DaemonSet => ("apps", "daemonsets"),
        WorkloadKind::ReplicaSet => ("apps", "replicasets"),
        WorkloadKind::ReplicationController => ("", "replicationcontrollers"),
        WorkloadKind::Job => ("batch", "jobs"),
        WorkloadKind::CronJob => ("batch", "cronjobs"),
    };
    Resource::built_in(group, "v1", plural, kind.kind(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names() {
        let said: Vec<_> = built_in().iter().map(|resource| (resource.path(), resource.to_string())).collect();
        for (path, name) in [
            ("/api/v1/pods", "pods"),
            ("/apis/apps/v1/deployments", "deployments.apps"),
            ("/apis/networking.k8s.io/v1/networkpolicies", "networkpolicies.networking.k8s.io"),
        ] {
            assert!(said.contains(&(path.to_owned(), name.to_owned())), "{path}");
        }
        assert_eq!(said.len(), 13);
    }
}
