//! Services as address translation, for one node: what kube-proxy does, as a value.
//!
//! A table of its own, `inet palisade-lab`: the lab has Services without kube-proxy, and whoever runs
//! the agent has kube-proxy. Nothing of it is ever part of `table inet palisade`.
//!
//! ```text
//! prerouting, output ─► services ─► one chain a door ─► dnat to one of those behind it, by chance
//! postrouting        ─► snat to the node's own address: what came by a node port, and a pod that
//!                       reaches itself through a Service
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use palisade_engine::model::{Family, Protocol};

/// The table of the lab's Services.
pub const TABLE: &str = "palisade-lab";

/// What a node translates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The doors, in the order asked.
    pub doors: Vec<Door>,
    /// The node's own addresses, at most one of each family: the source of what comes by node ports.
    pub own: Vec<IpAddr>,
}

/// Where a Service is reached, and who is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The destination of packets for it.
    pub at: DoorAddress,
    /// Their protocol.
    pub protocol: Protocol,
    /// Their destination port.
    pub port: u16,
    /// Who receives them, of the family of the door. Behind an empty door is nobody: nothing is translated.
    pub behind: Vec<SocketAddr>,
    /// What it is, for people.
    pub comment: String,
}

/// The address of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorAddress {
    /// A Service's own address.
    Service(IpAddr),
    /// Every address of the node: a node port.
    Node(Family),
}

impl DoorAddress {
    /// The family of what comes here.
    pub fn family(self) -> Family {
        match self {
            Self::Service(address) => Family::of(address),
            Self::Node(family) => family,
        }
    }
}

impl Translation {
    /// The addresses behind doors, each once: a pod may reach itself through one.
    pub(crate) fn behind(&self) -> BTreeSet<IpAddr> {
        self.doors.iter().flat_map(|door| &door.behind).map(SocketAddr::ip).collect()
    }

    /// The node's own address of a family.
    pub(crate) fn own(&self, family: Family) -> Option<IpAddr> {
        self.own.iter().copied().find(|own| Family::of(*own) == family)
    }
}
