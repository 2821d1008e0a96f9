//! What conntrack knows of a connection, as a value.

use std::fmt;
use std::net::IpAddr;

/// A connection that conntrack follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Its first packet, as it came to this node: before any translation here.
    pub original: Tuple,
    /// What an answer looks like: its source is where the connection really
    /// goes (after DNAT), its destination where it seems to come from (after SNAT).
    pub reply: Tuple,
    /// The connection that expected this one (an FTP data connection, say), by its original tuple.
    pub master: Option<Tuple>,
    /// The mark that rules and programs have set on it; 0 when it has none.
    pub mark: u32,
    /// The zone that its original tuple is looked up in.
    pub zone: Zone,
    /// The kernel's number for this entry; another entry with the same tuples has another one.
    pub id: u32,
}

/// The addresses of one direction of a connection, and what tells it from others between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// The source address.
    pub source: IpAddr,
    /// The destination address, of the same family.
    pub destination: IpAddr,
    /// The rest.
    pub transport: Transport,
}

/// What tells apart the connections between two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// A protocol with ports.
    Ports {
        /// Which.
        protocol: PortProtocol,
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
    },
    /// ICMP between IPv4 addresses, ICMPv6 between IPv6 ones: a query and its answers.
    Icmp {
        /// The type of the message.
        kind: u8,
        /// Its code.
        code: u8,
        /// The identifier.
        id: u16,
    },
}

/// The protocols with ports whose connections are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The zone of a connection: entries of different zones may have equal tuples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Zone {
    /// None was set, or only for the answers.
    #[default]
    Default,
    /// One for both directions.
    Both(u16),
    /// One for the original direction.
    Original(u16),
}

impl PortProtocol {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of an IP protocol number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Ports { protocol, source, destination } => {
                let end = |address: IpAddr, port| std::net::SocketAddr::new(address, port);
                write!(f, "{protocol} {} -> {}", end(self.source, source), end(self.destination, destination))
            }
            Transport::Icmp { kind, id, .. } => {
                write!(f, "ICMP {} -> {} type {kind} id {id}", self.source, self.destination)
            }
        }
    }
}
