//! What the agent is told: objects that are set or gone, watches that are complete or in trouble.
//!
//! Whoever watches the API server maps what it sees to this; nothing here knows of watches.

use std::{fmt, time::Instant};

use palisade_engine::model::{
    ClusterPolicy, ClusterPolicyKind, LabelSelector, Labels, Mode, Name, Namespace, NetworkPolicy, Node, ObjectRef,
    Pod, PolicyRule, PolicyTypes,
};

/// A change, and when it was received: programming latency counts from there.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it came from the API server.
    pub at: Instant,
    /// What changed.
    pub change: Change,
}

impl From<Change> for Event {
    /// Received now.
    fn from(change: Change) -> Self {
        Self { at: Instant::now(), change }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is there, or is another one now.
    Set(Object),
    /// An object is there and cannot be understood, or only in part.
    Poison(Poison),
    /// An object is not there any more; no harm when it never was.
    Gone(Key),
    /// Everything of this kind was told once.
    Synced(Kind),
    /// The watch of this kind is broken and will be tried again; what it said stays true.
    Trouble {
        /// Of what kind.
        kind: Kind,
        /// Why, for people.
        why: String,
    },
}

/// An object that was understood.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Namespace.
    Namespace(Namespace),
    /// A Node.
    Node(Node),
    /// A Pod.
    Pod(Pod),
    /// A NetworkPolicy.
    Policy(NetworkPolicy),
    /// A cluster-wide policy of any kind.
    ClusterPolicy(ClusterPolicy),
}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Namespace.
    Namespace(Name),
    /// A Node.
    Node(Name),
    /// A Pod.
    Pod(ObjectRef),
    /// A NetworkPolicy.
    Policy(ObjectRef),
    /// A cluster-wide policy; each kind has names of its own.
    ClusterPolicy(ClusterPolicyKind, Name),
}

/// The kinds that the agent watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Namespace.
    Namespace,
    /// Node.
    Node,
    /// Pod.
    Pod,
    /// NetworkPolicy.
    Policy,
    /// A kind of cluster-wide policies; where it is not installed, there is none.
    ClusterPolicy(ClusterPolicyKind),
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Policy,
        Self::ClusterPolicy(ClusterPolicyKind::Cluster),
        Self::ClusterPolicy(ClusterPolicyKind::Admin),
        Self::ClusterPolicy(ClusterPolicyKind::BaselineAdmin),
    ];
}

impl fmt::Display for Kind {
    /// The API's plural.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Namespace => "namespaces",
            Self::Node => "nodes",
            Self::Pod => "pods",
            Self::Policy => "networkpolicies",
            Self::ClusterPolicy(ClusterPolicyKind::Cluster) => "clusternetworkpolicies",
            Self::ClusterPolicy(ClusterPolicyKind::Admin) => "adminnetworkpolicies",
            Self::ClusterPolicy(ClusterPolicyKind::BaselineAdmin) => "baselineadminnetworkpolicies",
        })
    }
}

impl Object {
    /// Its name.
    pub fn key(&self) -> Key {
        match self {
            Self::Namespace(object) => Key::Namespace(object.name.clone()),
            Self::Node(object) => Key::Node(object.name.clone()),
            Self::Pod(object) => Key::Pod(object.id.clone()),
            Self::Policy(object) => Key::Policy(object.id.clone()),
            Self::ClusterPolicy(object) => Key::ClusterPolicy(object.kind, object.name.clone()),
        }
    }
}

impl Key {
    /// Of what kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Policy(_) => Kind::Policy,
            Self::ClusterPolicy(kind, _) => Kind::ClusterPolicy(*kind),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(f, "Namespace {name}"),
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Pod(id) => write!(f, "Pod {id}"),
            Self::Policy(id) => write!(f, "NetworkPolicy {id}"),
            Self::ClusterPolicy(kind, name) => write!(f, "{kind} {name}"),
        }
    }
}

/// An object that cannot be understood.
#[derive(Clone, Debug)]
pub enum Poison {
    /// A NetworkPolicy: it fails closed for the pods that it may mean.
    Policy(PoisonPolicy),
    /// Likewise, where the reader has already left only what fails closed.
    Closed {
        /// What is enforced in its place, see [`PoisonPolicy::closed`].
        policy: NetworkPolicy,
        /// What is wrong with it, for people.
        problems: Vec<String>,
    },
    /// A cluster-wide policy, in which the reader has closed what it did not understand.
    ClosedWide {
        /// What is enforced.
        policy: ClusterPolicy,
        /// What is wrong with it, for people.
        problems: Vec<String>,
    },
    /// Another object: what was last understood of it stays in force.
    Other {
        /// Which one.
        key: Key,
        /// What is wrong with it, for people.
        problems: Vec<String>,
    },
}

impl Poison {
    /// Its name.
    pub fn key(&self) -> Key {
        match self {
            Self::Policy(policy) => Key::Policy(policy.id.clone()),
            Self::Closed { policy, .. } => Key::Policy(policy.id.clone()),
            Self::ClosedWide { policy, .. } => Key::ClusterPolicy(policy.kind, policy.name.clone()),
            Self::Other { key, .. } => key.clone(),
        }
    }
}

/// What could be read of a NetworkPolicy.
#[derive(Clone, Debug)]
pub struct PoisonPolicy {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// `spec.podSelector`; `None`: it cannot be read.
    pub subject: Option<LabelSelector>,
    /// `spec.policyTypes` (`Some(None)`: not given); `None`: it cannot be read.
    pub types: Option<Option<PolicyTypes>>,
    /// `spec.ingress`; `None` for each rule that cannot be read, one of them when the whole list cannot.
    pub ingress: Vec<Option<PolicyRule>>,
    /// `spec.egress`, likewise.
    pub egress: Vec<Option<PolicyRule>>,
    /// What is wrong with it, for people.
    pub problems: Vec<String>,
}

impl PoisonPolicy {
    /// The policy that is enforced in its place, which allows nothing that the real one may not allow.
    ///
    /// A rule that cannot be read allows nothing. When the selector cannot be read, every pod of the
    /// namespace is isolated and no rule allows anything: it would allow it to pods that are not meant.
    pub fn closed(&self) -> NetworkPolicy {
        // A lost rule still says that there is one: the default of `policyTypes` looks at that.
        let by_default = PolicyTypes { ingress: true, egress: !self.egress.is_empty() };
        let types = match self.types {
            None => PolicyTypes { ingress: true, egress: true },
            // Listing nothing is the same as not listing.
            Some(given) => given.filter(|types| types.ingress || types.egress).unwrap_or(by_default),
        };
        let rules = |rules: &[Option<PolicyRule>]| match self.subject {
            Some(_) => rules.iter().flatten().cloned().collect(),
            None => Vec::new(),
        };
        NetworkPolicy {
            id: self.id.clone(),
            annotations: Labels::default(),
            // Whatever it says, and whatever its namespace does.
            mode: Some(Mode::Enforce),
            subject: self.subject.clone().unwrap_or_default(),
            policy_types: Some(types),
            ingress: rules(&self.ingress),
            egress: rules(&self.egress),
            at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poison() -> PoisonPolicy {
        PoisonPolicy {
            id: ObjectRef::new("prod", "web"),
            subject: Some(LabelSelector::everything()),
            types: Some(None),
            ingress: vec![None, Some(PolicyRule::default())],
            egress: vec![None],
            problems: vec!["no".to_owned()],
        }
    }

    #[test]
    fn a_lost_rule_allows_nothing_and_still_isolates() {
        let closed = poison().closed();
        assert_eq!(closed.policy_types, Some(PolicyTypes { ingress: true, egress: true }));
        assert_eq!((closed.ingress.len(), closed.egress.len()), (1, 0));
        let closed = PoisonPolicy { egress: Vec::new(), ..poison() }.closed();
        assert_eq!(closed.policy_types, Some(PolicyTypes { ingress: true, egress: false }));
    }

    #[test]
    fn a_lost_selector_closes_the_namespace_in_its_types() {
        let only_egress = PolicyTypes { ingress: false, egress: true };
        let closed = PoisonPolicy { subject: None, types: Some(Some(only_egress)), ..poison() }.closed();
        assert!(closed.subject.is_everything() && closed.ingress.is_empty() && closed.egress.is_empty());
        assert_eq!(closed.policy_types, Some(only_egress));
        let closed = PoisonPolicy { types: None, egress: Vec::new(), ..poison() }.closed();
        assert_eq!(closed.policy_types, Some(PolicyTypes { ingress: true, egress: true }));
    }
}
