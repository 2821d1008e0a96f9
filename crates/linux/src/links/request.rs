//! What can be asked of rtnetlink, and its words for errors.
//!
//! The index of a link is chosen by whoever creates it (`ifi_index` of
//! RTM_NEWLINK, honoured by the kernel for both ends of a veth pair), so that
//! addresses, routes and neighbours can follow in the same batch without
//! asking back.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::AddressFamily;

use crate::netns::NetNs;

/// The index of the loopback interface, in every network namespace.
pub const LOOPBACK: u32 = 1;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A locally administered unicast address that carries `number`.
    pub fn numbered(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        // Bit 1 of the first byte: locally administered; bit 0 clear: unicast (IEEE 802).
        Self([0x02, 0x50, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VethEnd {
    /// At most 15 bytes (IFNAMSIZ).
    pub name: String,
    /// Must be free in the namespace of this end. Give the two ends different
    /// numbers: the kernel passes a change of carrier on at once only for a
    /// link whose peer has another index (`linkwatch_urgent_event`), else up
    /// to a second later.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// The destination itself is on the link.
    OnLink,
    /// A router, taken to be on the link whatever the addresses say (`onlink`).
    Via(IpAddr),
}

/// A route in the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The first address of the prefix.
    pub destination: IpAddr,
    /// Its length in bits; 0 for the default route.
    pub length: u8,
    /// The index of the link it leaves by.
    pub link: u32,
    /// The next hop.
    pub gateway: Gateway,
    /// The source address for packets of this host that have none yet.
    pub source: Option<IpAddr>,
}

/// Packets that are for this host, whatever their destination: those with a mark, by a table of routes of their
/// own (`ip rule add fwmark MARK/MASK lookup TABLE`, `ip route add local default dev lo table TABLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diversion {
    /// The bits of the packet's mark that are looked at.
    pub mask: u32,
    /// What they are.
    pub mark: u32,
    /// The table, which must be nobody else's.
    pub table: u8,
    /// Smaller is asked earlier; the rule of the main table has 32766.
    pub priority: u32,
}

impl Diversion {
    /// What makes it, for both families: the kernel answers EEXIST to what is there.
    pub fn make(self) -> [Request<'static>; 4] {
        let families = [AddressFamily::Inet, AddressFamily::Inet6];
        let [a, b] = families
            .map(|family| [Request::DivertedRoute(self, family, true), Request::DivertedRule(self, family, true)]);
        let ([a, b], [c, d]) = (a, b);
        [a, b, c, d]
    }

    /// What takes it away, for both families: the kernel answers ENOENT or ESRCH to what is not there.
    pub fn take_away(self) -> [Request<'static>; 4] {
        let families = [AddressFamily::Inet, AddressFamily::Inet6];
        let [a, b] = families
            .map(|family| [Request::DivertedRule(self, family, false), Request::DivertedRoute(self, family, false)]);
        let ([a, b], [c, d]) = (a, b);
        [a, b, c, d]
    }
}

/// A neighbour that never has to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// The index of the link it is on.
    pub link: u32,
    /// Its hardware address.
    pub mac: Mac,
}

/// One thing to ask the kernel for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request<'ns> {
    /// A veth pair. The end in the socket's namespace is up; the other must be
    /// set up from its own namespace (the kernel answers ENOTCONN to a peer
    /// that is created up: `veth_open` runs before the ends know each other).
    Veth {
        /// The end in the namespace of the socket.
        here: VethEnd,
        /// The other end.
        there: VethEnd,
        /// The other end's namespace.
        namespace: BorrowedFd<'ns>,
        /// Bytes; none for the kernel's 1500.
        mtu: Option<u32>,
    },
    /// A bridge, which is up.
    Bridge {
        /// At most 15 bytes (IFNAMSIZ).
        name: String,
        /// Must be free in the namespace.
        index: u32,
        /// Its hardware address.
        mac: Mac,
    },
    /// Makes a link a port of a bridge.
    Enslave {
        /// The index of the link.
        link: u32,
        /// The index of the bridge.
        bridge: u32,
    },
    /// Removes a link, of a veth pair with its other end, and all addresses, routes and neighbours on it.
    Remove {
        /// Its index.
        link: u32,
    },
    /// Sets a link up, such as the loopback.
    Up {
        /// Its index.
        link: u32,
    },
    /// An address; usable at once (no duplicate address detection) and
    /// without a route for its prefix.
    Address {
        /// The address.
        address: IpAddr,
        /// The length of its prefix in bits.
        length: u8,
        /// The index of its link.
        link: u32,
    },
    /// A route.
    Route(Route),
    /// Removes a route.
    RemoveRoute(Route),
    /// Makes or takes away the route of a diversion.
    DivertedRoute(Diversion, AddressFamily, bool),
    /// Makes or takes away the rule of a diversion.
    DivertedRule(Diversion, AddressFamily, bool),
    /// A permanent neighbour; replaces one with the same address.
    Neighbour(Neighbour),
}

impl<'ns> Request<'ns> {
    /// A veth pair between the namespace of the socket and `namespace`.
    pub fn veth(here: VethEnd, there: VethEnd, namespace: &'ns NetNs) -> Self {
        Self::Veth { here, there, namespace: namespace.as_fd(), mtu: None }
    }

    /// An address alone: /32 or /128.
    pub fn host_address(address: IpAddr, link: u32) -> Self {
        Self::Address { address, length: whole(address), link }
    }

    /// A route to one address.
    pub fn host_route(destination: IpAddr, link: u32, gateway: Gateway, source: Option<IpAddr>) -> Self {
        Self::Route(Route { destination, length: whole(destination), link, gateway, source })
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Veth { here, there, .. } => {
                write!(
                    f,
                    "create the veth pair {} (index {}) and {} (index {})",
                    here.name, here.index, there.name, there.index
                )
            }
            Self::Bridge { name, index, .. } => write!(f, "create the bridge {name} (index {index})"),
            Self::Enslave { link, bridge } => write!(f, "make link {link} a port of bridge {bridge}"),
            Self::Remove { link } => write!(f, "remove link {link}"),
            Self::Up { link } => write!(f, "set link {link} up"),
            Self::Address { address, length, link } => write!(f, "add the address {address}/{length} to link {link}"),
            Self::Route(route) => {
                write!(f, "add the route {}/{} over link {}", route.destination, route.length, route.link)?;
                match route.gateway {
                    Gateway::OnLink => Ok(()),
                    Gateway::Via(gateway) => write!(f, " via {gateway}"),
                }
            }
            Self::RemoveRoute(route) => {
                write!(f, "remove the route {}/{} over link {}", route.destination, route.length, route.link)
            }
            Self::DivertedRoute(diversion, family, make) => {
                let verb = if *make { "add" } else { "remove" };
                write!(f, "{verb} the local route of table {} ({family:?})", diversion.table)
            }
            Self::DivertedRule(Diversion { mark, mask, table, .. }, family, make) => {
                let verb = if *make { "add" } else { "remove" };
                write!(f, "{verb} the rule from mark {mark:#x}/{mask:#x} to table {table} ({family:?})")
            }
            Self::Neighbour(neighbour) => {
                write!(f, "add the neighbour {} at {} on link {}", neighbour.address, neighbour.mac, neighbour.link)
            }
        }
    }
}

fn whole(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
