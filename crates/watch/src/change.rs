//! What a watch says: objects that came or changed, objects that are gone, and how it is doing.

use std::{
    fmt,
    time::{Duration, Instant},
};

use palisade_engine::model::{ClusterPolicy, ClusterPolicyKind, Name, Namespace, NetworkPolicy, Node, Pod};

use crate::resources::{self, Resource};

/// What can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// Namespaces.
    Namespaces,
    /// Nodes.
    Nodes,
    /// Pods of all namespaces.
    Pods,
    /// NetworkPolicies of all namespaces.
    NetworkPolicies,
    /// Cluster-wide policies of one kind, where its definition is installed: it may come and go at any time.
    ClusterPolicies(ClusterPolicyKind),
}

impl Watched {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::Nodes,
        Self::Pods,
        Self::NetworkPolicies,
        Self::ClusterPolicies(ClusterPolicyKind::Cluster),
        Self::ClusterPolicies(ClusterPolicyKind::Admin),
        Self::ClusterPolicies(ClusterPolicyKind::BaselineAdmin),
    ];

    /// Whether the server may not serve it, and then has none.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::ClusterPolicies(_))
    }

    /// Its place in the API.
    pub fn resource(self) -> Resource {
        match self {
            Self::Namespaces => resources::NAMESPACES,
            Self::Nodes => resources::NODES,
            Self::Pods => resources::PODS,
            Self::NetworkPolicies => resources::NETWORK_POLICIES,
            Self::ClusterPolicies(kind) => resources::cluster_policies(kind),
        }
    }
}

impl fmt::Display for Watched {
    /// As kubectl takes it: `networkpolicies.networking.k8s.io`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.resource().fmt(f)
    }
}

/// One object's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is one of.
    pub of: Watched,
    /// Its namespace, where it has one.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for Key {
    /// As messages call it: `Pod prod/web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.of.resource().kind)?;
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An object that was understood as a whole.
///
/// Its spans point into its own text, which is not kept: all are of the first input of a
/// [`palisade_engine::model::Sources`].
#[derive(Clone, Debug)]
pub enum Object {
    /// A namespace.
    Namespace(Namespace),
    /// A node.
    Node(Node),
    /// A pod of any phase: only [`Pod::is_live`] ones own their addresses.
    Pod(Box<Pod>),
    /// A NetworkPolicy.
    NetworkPolicy(Box<NetworkPolicy>),
    /// A cluster-wide policy of any kind; what of it was not understood fails closed in it.
    ClusterPolicy(Box<ClusterPolicy>),
}

impl Object {
    /// Its name.
    pub fn key(&self) -> Key {
        let (of, namespace, name) = match self {
            Self::Namespace(namespace) => (Watched::Namespaces, None, &namespace.name),
            Self::Node(node) => (Watched::Nodes, None, &node.name),
            Self::Pod(pod) => (Watched::Pods, Some(&pod.id.namespace), &pod.id.name),
            Self::ClusterPolicy(policy) => (Watched::ClusterPolicies(policy.kind), None, &policy.name),
            Self::NetworkPolicy(policy) => (Watched::NetworkPolicies, Some(&policy.id.namespace), &policy.id.name),
        };
        Key { of, namespace: namespace.cloned(), name: name.clone() }
    }
}

/// An object that could not be understood. It must be reported, and fails closed for its own pods.
#[derive(Clone, Debug)]
pub struct Poison {
    /// Its name.
    pub key: Key,
    /// What was not understood, one line each: `spec.ingress[0].ports[0].protocol: …`. Never empty.
    pub why: Vec<String>,
    /// What is to be taken in its place, where anything is left of it.
    ///
    /// - Of a **NetworkPolicy** what fails closed: a rule that cannot be read is not in it, so nothing is
    ///   allowed by it; with a selector that cannot be read it selects its whole namespace; with types
    ///   that cannot be read it isolates both ways. It can be enforced as it is, and always is there.
    /// - Of a **Pod** its addresses, node and phase, as much as can be read, and its labels only if all of
    ///   them can. It must not be taken for the whole pod: what its policies allow is not known.
    /// - Of a **Namespace** or **Node** the same: the name, and the labels and addresses that can be read.
    pub rest: Option<Object>,
}

/// One change of the cluster, or of the watch on it.
#[derive(Clone, Debug)]
pub enum Change {
    /// This object is there, in place of the one of the same [`Key`], whatever it was.
    Set(Object),
    /// Likewise, and it could not be understood.
    Poison(Poison),
    /// The object that was there is there no more. Comes only for what came before.
    Gone(Key),
    /// All objects there were at one moment have come, and what is gone was said. Comes after the
    /// first list, and again after each later one (when changes were missed and had to be listed).
    Synced(Watched),
    /// Something does not work. What was said stays as it is, nothing was lost, and it is tried again.
    Trouble(Trouble),
}

/// What does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The resource.
    pub of: Watched,
    /// Why, for a person.
    pub why: String,
    /// How often in a row it failed, from 1.
    pub failures: u32,
    /// When it is tried again.
    pub retry_in: Duration,
}

/// A change, and when it came from the API server: where the time until it is enforced begins.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it was read from the connection.
    pub at: Instant,
    /// The change.
    pub change: Change,
}
