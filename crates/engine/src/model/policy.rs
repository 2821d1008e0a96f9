//! NetworkPolicy (`networking.k8s.io/v1`), parsed and validated, before anything is decided of it.

use std::fmt;

use ipnet::IpNet;

use super::{LabelSelector, Labels, Mode, Name, ObjectRef, PortRange, Protocol, Span};

/// A direction, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Connections that the pod receives.
    Ingress,
    /// Connections that the pod opens.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The values of `spec.policyTypes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyTypes {
    /// `Ingress` is listed.
    pub ingress: bool,
    /// `Egress` is listed.
    pub egress: bool,
}

/// One NetworkPolicy.
#[derive(Clone, Debug)]
pub struct NetworkPolicy {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// `metadata.annotations`; what decides anything of them is in `mode`.
    pub annotations: Labels,
    /// What its annotation says of enforcing it; `None`: nothing, so its namespace's counts.
    pub mode: Option<Mode>,
    /// `spec.podSelector`: which pods of its namespace it selects.
    pub subject: LabelSelector,
    /// `spec.policyTypes`; `None` when missing, null or empty: then the default counts.
    pub policy_types: Option<PolicyTypes>,
    /// `spec.ingress`, also when `policy_types` does not list it (such rules count for nothing).
    pub ingress: Vec<PolicyRule>,
    /// `spec.egress`, likewise.
    pub egress: Vec<PolicyRule>,
    /// Where the object was written.
    pub at: Option<Span>,
}

impl NetworkPolicy {
    /// The rules written for a direction, whether or not the policy has that type.
    pub fn rules(&self, direction: Direction) -> &[PolicyRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Gives back the room that its lists do not need: reading them leaves some, which adds up over many policies.
    pub fn shrink_to_fit(&mut self) {
        self.subject.requirements.shrink_to_fit();
        for rules in [&mut self.ingress, &mut self.egress] {
            rules.shrink_to_fit();
            for rule in rules {
                rule.ports.shrink_to_fit();
                rule.peers.shrink_to_fit();
                for peer in &mut rule.peers {
                    match peer {
                        Peer::Pods { namespaces, pods, .. } => {
                            pods.requirements.shrink_to_fit();
                            if let NamespaceScope::Matching(selector) = namespaces {
                                selector.requirements.shrink_to_fit();
                            }
                        }
                        Peer::IpBlock(block) => block.except.shrink_to_fit(),
                    }
                }
            }
        }
    }
}

/// One item of `spec.ingress` or `spec.egress`.
#[derive(Clone, Debug, Default)]
pub struct PolicyRule {
    /// `from` or `to`; empty: any peer, inside or outside.
    pub peers: Vec<Peer>,
    /// `ports`; empty: all ports of all protocols, and traffic without ports.
    pub ports: Vec<PolicyPort>,
    /// Where the item was written.
    pub at: Option<Span>,
}

/// One item of `from` or `to`: one of the alternatives.
#[derive(Clone, Debug)]
pub enum Peer {
    /// Pods by label: both selectors must hold.
    Pods {
        /// Of which namespaces.
        namespaces: NamespaceScope,
        /// `podSelector`; everything when only `namespaceSelector` is given.
        pods: LabelSelector,
        /// Where the item was written.
        at: Option<Span>,
    },
    /// Anything by address.
    IpBlock(IpBlock),
}

impl Peer {
    /// Where the item was written.
    pub fn at(&self) -> Option<Span> {
        match self {
            Self::Pods { at, .. } => *at,
            Self::IpBlock(block) => block.at,
        }
    }
}

/// The namespaces of a peer's pods.
#[derive(Clone, Debug)]
pub enum NamespaceScope {
    /// No `namespaceSelector`: the policy's own.
    Own,
    /// Those that `namespaceSelector` selects.
    Matching(LabelSelector),
}

/// `ipBlock`: the addresses of `cidr` without those of `except`.
#[derive(Clone, Debug)]
pub struct IpBlock {
    /// The block; the bits after the prefix are zero.
    pub cidr: IpNet,
    /// What is taken away from this block; of the same family, inside of it.
    pub except: Vec<IpNet>,
    /// Where the peer was written.
    pub at: Option<Span>,
    /// Where `cidr` was written.
    pub cidr_at: Option<Span>,
    /// Where each of `except` was written, in its order; empty when not from a file.
    pub except_at: Vec<Span>,
}

/// One item of `ports`.
#[derive(Clone, Debug)]
pub struct PolicyPort {
    /// `protocol`, TCP when not given.
    pub protocol: Protocol,
    /// `port` and `endPort`.
    pub port: PortMatch,
    /// Where the item was written.
    pub at: Option<Span>,
}

/// Which ports an item of `ports` means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// No `port`: all of the protocol.
    All,
    /// A number, or `port` to `endPort`.
    Range(PortRange),
    /// A name, looked up on the destination pod.
    Named(Name),
}

impl fmt::Display for PolicyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            PortMatch::All => write!(f, "{}", self.protocol),
            PortMatch::Range(range) => write!(f, "{} {range}", self.protocol),
            PortMatch::Named(name) => write!(f, "{} {name}", self.protocol),
        }
    }
}
