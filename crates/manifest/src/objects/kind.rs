//! Which kinds are read, and under which apiVersion.

use palisade_engine::model::{ClusterPolicyKind, ObjectKind, WorkloadKind};

use crate::check::near;

/// Every kind that is read.
const KINDS: [ObjectKind; 16] = [
    ObjectKind::Namespace,
    ObjectKind::Node,
    ObjectKind::Pod,
    ObjectKind::Service,
    ObjectKind::EndpointSlice,
    ObjectKind::NetworkPolicy,
    ObjectKind::ClusterPolicy(ClusterPolicyKind::Cluster),
    ObjectKind::ClusterPolicy(ClusterPolicyKind::Admin),
    ObjectKind::ClusterPolicy(ClusterPolicyKind::BaselineAdmin),
    ObjectKind::Workload(WorkloadKind::Deployment),
    ObjectKind::Workload(WorkloadKind::StatefulSet),
    ObjectKind::Workload(WorkloadKind::DaemonSet),
    ObjectKind::Workload(WorkloadKind::ReplicaSet),
    ObjectKind::Workload(WorkloadKind::ReplicationController),
    ObjectKind::Workload(WorkloadKind::Job),
    ObjectKind::Workload(WorkloadKind::CronJob),
];

/// What to do with an object, by its `apiVersion` and `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Read it.
    Read(ObjectKind),
    /// Read its items.
    List,
    /// Count it and go on: it cannot decide about traffic.
    PassOver,
    /// This kind is not in this apiVersion; it is in that one.
    WrongVersion(&'static str),
    /// There is no such kind, but there is this one.
    Misspelt(&'static str),
}

/// How the API spells a kind.
pub(crate) fn name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Namespace => "Namespace",
        ObjectKind::Node => "Node",
        ObjectKind::Pod => "Pod",
        ObjectKind::Workload(kind) => kind.kind(),
        ObjectKind::Service => "Service",
        ObjectKind::EndpointSlice => "EndpointSlice",
        ObjectKind::NetworkPolicy => "NetworkPolicy",
        ObjectKind::ClusterPolicy(kind) => kind.kind(),
    }
}

/// The `apiVersion` of a kind.
pub(crate) fn api_version(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Namespace
        | ObjectKind::Node
        | ObjectKind::Pod
        | ObjectKind::Service
        | ObjectKind::Workload(WorkloadKind::ReplicationController) => "v1",
        ObjectKind::EndpointSlice => "discovery.k8s.io/v1",
        ObjectKind::NetworkPolicy => "networking.k8s.io/v1",
        ObjectKind::ClusterPolicy(ClusterPolicyKind::Cluster) => "policy.networking.k8s.io/v1alpha2",
        ObjectKind::ClusterPolicy(_) => "policy.networking.k8s.io/v1alpha1",
        ObjectKind::Workload(WorkloadKind::Job | WorkloadKind::CronJob) => "batch/v1",
        ObjectKind::Workload(_) => "apps/v1",
    }
}

/// The `apiVersion` of a kind that is read, by its name.
pub(crate) fn version_of(kind: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| name(*known) == kind).map(api_version)
}

/// What to do with an object of this `apiVersion` and `kind`.
pub(crate) fn classify(version: &str, kind: &str) -> Class {
    if let Some(found) = KINDS.into_iter().find(|known| name(*known) == kind) {
        let expected = api_version(found);
        return if version == expected {
            Class::Read(found)
        } else if is_built_in(version) {
            Class::WrongVersion(expected)
        } else {
            // Calico's NetworkPolicy, Knative's Service: others' kinds of the same name.
            Class::PassOver
        };
    }
    if is_list(kind) {
        return Class::List;
    }
    let here: Vec<&str> =
        KINDS.into_iter().filter(|known| group(api_version(*known)) == group(version)).map(name).collect();
    match near::nearest(kind, &here) {
        Some(meant) => Class::Misspelt(meant),
        None => Class::PassOver,
    }
}

/// Whether a kind is that of a list.
pub(crate) fn is_list(kind: &str) -> bool {
    kind.ends_with("List")
}

/// The kind of the items of a list that says so: `Pod` for `PodList`, nothing for `List`.
pub(crate) fn item_kind(list: &str) -> Option<&str> {
    list.strip_suffix("List").filter(|kind| !kind.is_empty())
}

/// The group of an `apiVersion`; empty for `v1`.
pub(crate) fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether only Kubernetes itself can have defined a kind in there: a group of somebody else's is a
/// domain name.
fn is_built_in(version: &str) -> bool {
    let group = group(version);
    !group.contains('.')
        || group.contains(|c: char| c.is_ascii_uppercase())
        || (group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_versions() {
        let policy = Class::Read(ObjectKind::NetworkPolicy);
        assert_eq!(classify("networking.k8s.io/v1", "NetworkPolicy"), policy);
        for old in ["extensions/v1beta1", "networking.k8s.io/v1beta1", "v1", "networking/v1", "Networking.K8s.io/v1"] {
            assert_eq!(classify(old, "NetworkPolicy"), Class::WrongVersion("networking.k8s.io/v1"), "{old}");
        }
        assert_eq!(classify("crd.projectcalico.org/v1", "NetworkPolicy"), Class::PassOver);
        assert_eq!(classify("serving.knative.dev/v1", "Service"), Class::PassOver);
        assert_eq!(classify("extensions/v1beta1", "Deployment"), Class::WrongVersion("apps/v1"));
        assert_eq!(classify("networking.k8s.io/v1", "NetworkPolicies"), Class::Misspelt("NetworkPolicy"));
        assert_eq!(classify("networking.k8s.io/v1", "networkpolicy"), Class::Misspelt("NetworkPolicy"));
        assert_eq!(classify("v1", "Pods"), Class::Misspelt("Pod"));
        for (version, kind) in [
            ("networking.k8s.io/v1", "Ingress"),
            ("networking.k8s.io/v1", "IngressClass"),
            ("v1", "Secret"),
            ("v1", "Endpoints"),
            ("v1", "Event"),
            ("v1", "PodTemplate"),
            ("v1", "ServiceAccount"),
            ("apps/v1", "ControllerRevision"),
            ("rbac.authorization.k8s.io/v1", "Role"),
        ] {
            assert_eq!(classify(version, kind), Class::PassOver, "{version} {kind}");
        }
        for (version, kind, right) in [
            ("v1alpha2", "ClusterNetworkPolicy", ClusterPolicyKind::Cluster),
            ("v1alpha1", "AdminNetworkPolicy", ClusterPolicyKind::Admin),
            ("v1alpha1", "BaselineAdminNetworkPolicy", ClusterPolicyKind::BaselineAdmin),
        ] {
            let version = format!("policy.networking.k8s.io/{version}");
            assert_eq!(classify(&version, kind), Class::Read(ObjectKind::ClusterPolicy(right)), "{kind}");
            let other = Class::WrongVersion(api_version(ObjectKind::ClusterPolicy(right)));
            assert_eq!(classify("policy.networking.k8s.io/v1beta9", kind), other, "{kind}");
        }
        assert_eq!(classify("v1", "List"), Class::List);
        assert_eq!(classify("v1", "PodList"), Class::List);
    }
}
