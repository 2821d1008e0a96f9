//! A flow: what a verdict is asked about.

use std::{fmt, net::IpAddr};

use super::{Family, NodeId, PodId, Protocol};

/// Who has an address: found in the [`super::Cluster`] by name or by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A live pod with a network of its own.
    Pod(PodId),
    /// A node; a pod with `hostNetwork: true` is its node.
    Node(NodeId),
    /// Neither: an address that no live pod and no node has.
    Outside,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// Who it is.
    pub endpoint: Endpoint,
    /// The address it uses; `None` for a pod that has none yet (or a node whose addresses are not
    /// in the input): then only what labels and ports say can be decided.
    pub address: Option<IpAddr>,
}

/// The kind of a flow's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// A protocol with ports, and the destination port: the pod's, never a Service's.
    Port(Protocol, u16),
    /// A protocol without ports, such as ICMP.
    Portless,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(protocol, port) => write!(f, "{protocol} {port}"),
            Self::Portless => f.write_str("ICMP"),
        }
    }
}

/// The first packet of a new connection, after Service translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    from: Side,
    to: Side,
    traffic: Traffic,
    through_service: bool,
}

/// The two ends have addresses, but none of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{from} and {to} are of different IP families, and a connection has one")]
pub struct NoCommonFamily {
    /// The source's address.
    pub from: IpAddr,
    /// The destination's address.
    pub to: IpAddr,
}

impl Flow {
    /// A flow between two ends.
    ///
    /// # Errors
    /// When both have an address and these are of different families.
    pub fn new(from: Side, to: Side, traffic: Traffic) -> Result<Self, NoCommonFamily> {
        match (from.address, to.address) {
            (Some(a), Some(b)) if Family::of(a) != Family::of(b) => Err(NoCommonFamily { from: a, to: b }),
            _ => Ok(Self { from, to, traffic, through_service: false }),
        }
    }

    /// The source.
    pub fn from(&self) -> Side {
        self.from
    }

    /// The destination.
    pub fn to(&self) -> Side {
        self.to
    }

    /// What is sent.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The same flow, sent to a Service that brought it to this destination. This makes a difference for a
    /// pod that it brings back to itself: cluster-wide policies apply then, NetworkPolicies do not.
    #[must_use]
    pub fn through_service(self) -> Self {
        Self { through_service: true, ..self }
    }

    /// Whether a Service brought it to this destination.
    pub fn is_through_service(&self) -> bool {
        self.through_service
    }

    /// The same ends with other traffic.
    pub fn with_traffic(self, traffic: Traffic) -> Self {
        Self { traffic, ..self }
    }
}
