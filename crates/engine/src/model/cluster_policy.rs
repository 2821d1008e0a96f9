//! Cluster-wide policies, parsed and validated: ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`)
//! and, read into the same values, AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1).
//!
//! ```text
//! tier, priority ──► subject ──► rules of a direction, in order ──► the first that matches acts
//!                                  peers × ports ──► Accept, Deny or Pass
//! ```
//!
//! What cannot be understood (a field of a newer CRD, an operator or a network that the CRD let through)
//! has its own form here, which fails closed: a rule of [`ClusterMatch::NotUnderstood`] matches nothing
//! when it accepts, and denies everything when it denies or passes. A subject that was not understood
//! selects nobody.

use std::fmt;

use ipnet::IpNet;

use super::{Direction, DomainName, LabelSelector, Labels, Mode, Name, PortRange, Protocol, Span};

/// What a rule does with the traffic it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Allows it and ends this direction.
    Accept,
    /// Denies it and ends.
    Deny,
    /// Leaves it to the next tier.
    Pass,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Deny, Self::Pass];

    /// The spelling of ClusterNetworkPolicy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "Accept",
            Self::Deny => "Deny",
            Self::Pass => "Pass",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The kinds of cluster-wide policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterPolicyKind {
    /// ClusterNetworkPolicy, v1alpha2.
    Cluster,
    /// AdminNetworkPolicy, v1alpha1: the Admin tier.
    Admin,
    /// BaselineAdminNetworkPolicy, v1alpha1: the Baseline tier; there is one, named `default`.
    BaselineAdmin,
}

impl ClusterPolicyKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Admin, Self::BaselineAdmin];

    /// The name of the kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cluster => "ClusterNetworkPolicy",
            Self::Admin => "AdminNetworkPolicy",
            Self::BaselineAdmin => "BaselineAdminNetworkPolicy",
        }
    }

    /// What kubectl takes in its place: the short name of its CRD.
    pub fn short(self) -> &'static str {
        match self {
            Self::Cluster => "cnp",
            Self::Admin => "anp",
            Self::BaselineAdmin => "banp",
        }
    }
}

impl fmt::Display for ClusterPolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.kind())
    }
}

/// The tiers of cluster-wide policies; NetworkPolicy is between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterTier {
    /// Comes before everything.
    Admin,
    /// Says what is so where nothing else decides.
    Baseline,
}

impl ClusterTier {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Admin, Self::Baseline];
}

impl fmt::Display for ClusterTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Admin => "Admin",
            Self::Baseline => "Baseline",
        })
    }
}

/// One cluster-wide policy.
#[derive(Clone, Debug)]
pub struct ClusterPolicy {
    /// Which kind it is.
    pub kind: ClusterPolicyKind,
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.annotations`; what decides anything of them is in `mode`.
    pub annotations: Labels,
    /// What its annotation says of enforcing it; `None`: nothing, so it is enforced.
    pub mode: Option<Mode>,
    /// Its tier.
    pub tier: ClusterTier,
    /// `spec.priority`, the smallest first; `None` for a BaselineAdminNetworkPolicy, which comes last, and for others
    /// whose place was not understood, which come first.
    pub priority: Option<u16>,
    /// Whose traffic it judges.
    pub subject: ClusterSubject,
    /// `spec.ingress`, in order.
    pub ingress: Vec<ClusterRule>,
    /// `spec.egress`, in order.
    pub egress: Vec<ClusterRule>,
    /// Where the object was written.
    pub at: Option<Span>,
}

impl ClusterPolicy {
    /// The rules of a direction, in order.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// What the policies of a cluster are asked by: the tier, then the priority, then (where the API leaves
    /// the choice open) the name, then the kind.
    pub fn order(&self) -> (ClusterTier, u16, &Name, ClusterPolicyKind) {
        let place = match (self.priority, self.kind) {
            (Some(priority), _) => priority.saturating_add(1),
            (None, ClusterPolicyKind::BaselineAdmin) => u16::MAX,
            (None, ClusterPolicyKind::Cluster | ClusterPolicyKind::Admin) => 0,
        };
        (self.tier, place, &self.name, self.kind)
    }
}

/// Whose traffic a policy judges: pods with a network of their own.
#[derive(Clone, Debug)]
pub enum ClusterSubject {
    /// Every pod of some namespaces.
    Namespaces(LabelSelector),
    /// Some pods of some namespaces.
    Pods {
        /// `namespaceSelector`; everything where it is not given.
        namespaces: LabelSelector,
        /// `podSelector`.
        pods: LabelSelector,
    },
    /// Nobody: it could not be read.
    NotUnderstood,
}

/// One rule of a cluster-wide policy.
#[derive(Clone, Debug)]
pub struct ClusterRule {
    /// `name`, which decides nothing.
    pub name: Option<Name>,
    /// What it does.
    pub action: Action,
    /// With what.
    pub matches: ClusterMatch,
    /// Where the rule was written.
    pub at: Option<Span>,
}

impl ClusterRule {
    /// Its peers; none when it was not understood.
    pub fn peers(&self) -> &[ClusterPeer] {
        match &self.matches {
            ClusterMatch::Of { peers, .. } => peers,
            ClusterMatch::NotUnderstood => &[],
        }
    }

    /// Its ports; none when it takes all traffic or was not understood.
    pub fn ports(&self) -> &[ClusterPort] {
        match &self.matches {
            ClusterMatch::Of { ports, .. } => ports.as_deref().unwrap_or_default(),
            ClusterMatch::NotUnderstood => &[],
        }
    }

    /// Whether it means what is written. A domain name says whom to accept, and never whom not to: the API
    /// has it for Accept rules alone.
    pub fn is_understood(&self) -> bool {
        let names = || self.peers().iter().any(|peer| matches!(peer, ClusterPeer::DomainNames { .. }));
        match &self.matches {
            ClusterMatch::Of { .. } => self.action == Action::Accept || !names(),
            ClusterMatch::NotUnderstood => false,
        }
    }
}

/// What a rule of a cluster-wide policy matches.
#[derive(Clone, Debug)]
pub enum ClusterMatch {
    /// Some traffic with some peers.
    Of {
        /// The alternatives, in the order written; unlike in NetworkPolicy, none means nobody.
        peers: Vec<ClusterPeer>,
        /// The alternatives, in the order written; `None`: all traffic, also without ports.
        ports: Option<Vec<ClusterPort>>,
    },
    /// It could not be read: nothing when the rule accepts, everything when it denies or passes.
    NotUnderstood,
}

/// One item of `from` or `to`: one of the alternatives.
#[derive(Clone, Debug)]
pub enum ClusterPeer {
    /// Every pod of some namespaces.
    Namespaces {
        /// Which namespaces.
        namespaces: LabelSelector,
        /// Where the item was written.
        at: Option<Span>,
    },
    /// Some pods of some namespaces.
    Pods {
        /// `namespaceSelector`; everything where it is not given.
        namespaces: LabelSelector,
        /// `podSelector`.
        pods: LabelSelector,
        /// Where the item was written.
        at: Option<Span>,
    },
    /// Nodes, by their labels; a packet is a node's by its `status.addresses`.
    Nodes {
        /// Which nodes.
        nodes: LabelSelector,
        /// Where the item was written.
        at: Option<Span>,
    },
    /// Anyone by address, inside or outside.
    Networks {
        /// The networks; the bits after each prefix are zero.
        networks: Vec<IpNet>,
        /// Where the item was written.
        at: Option<Span>,
        /// Where each network was written, in their order; empty when not from a file.
        networks_at: Vec<Span>,
    },
    /// Whoever has an address that one of these names resolves to.
    DomainNames {
        /// The names and patterns.
        names: Vec<DomainName>,
        /// Where the item was written.
        at: Option<Span>,
    },
}

impl ClusterPeer {
    /// Where the item was written.
    pub fn at(&self) -> Option<Span> {
        match self {
            Self::Namespaces { at, .. }
            | Self::Pods { at, .. }
            | Self::Nodes { at, .. }
            | Self::Networks { at, .. }
            | Self::DomainNames { at, .. } => *at,
        }
    }

    /// The field that makes it what it is.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Namespaces { .. } => "namespaces",
            Self::Pods { .. } => "pods",
            Self::Nodes { .. } => "nodes",
            Self::Networks { .. } => "networks",
            Self::DomainNames { .. } => "domainNames",
        }
    }
}

/// One item of `protocols` (of v1alpha1: `ports`).
#[derive(Clone, Debug)]
pub enum ClusterPort {
    /// Ports of a protocol by number.
    Numbers {
        /// The protocol.
        protocol: Protocol,
        /// The ports; [`PortRange::ALL`] for all of the protocol.
        ports: PortRange,
        /// Where the item was written.
        at: Option<Span>,
    },
    /// The ports that the destination pod gives this name, each with the protocol that it has there.
    Named {
        /// The name.
        name: Name,
        /// Where the item was written.
        at: Option<Span>,
    },
}

impl ClusterPort {
    /// Where the item was written.
    pub fn at(&self) -> Option<Span> {
        match self {
            Self::Numbers { at, .. } | Self::Named { at, .. } => *at,
        }
    }
}

impl fmt::Display for ClusterPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers { protocol, ports, .. } if *ports == PortRange::ALL => write!(f, "{protocol}"),
            Self::Numbers { protocol, ports, .. } => write!(f, "{protocol} {ports}"),
            Self::Named { name, .. } => write!(f, "{name}"),
        }
    }
}
