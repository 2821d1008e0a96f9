//! Which connection a packet belongs to: the tuple in its headers. Pure.
//!
//! Made for what NFLOG copies, which is the beginning of a packet from the
//! network header on, cut anywhere: what is not there is not in the answer,
//! and no bytes can make it panic.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers that carry something this module reads.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// What a packet says about the connection it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The IP protocol number; for IPv6 the one behind the extension headers.
    pub protocol: u8,
    /// What tells apart the connections of these two addresses.
    pub flow: Flow,
}

/// What tells apart the connections between two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    /// The ports of TCP, UDP and SCTP.
    Ports {
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
    },
    /// The identifier of an ICMP echo request or reply.
    Echo {
        /// The same in the request and its reply.
        id: u16,
    },
    /// Another protocol or kind of message, a fragment other than the first,
    /// or a packet cut before this.
    Unknown,
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.protocol {
            protocol::ICMP => "ICMP",
            protocol::TCP => "TCP",
            protocol::UDP => "UDP",
            protocol::ICMPV6 => "ICMPv6",
            protocol::SCTP => "SCTP",
            other => return write!(f, "protocol {other} {} -> {}", self.source, self.destination),
        };
        let bracket = |address: IpAddr| match address {
            IpAddr::V4(_) => address.to_string(),
            IpAddr::V6(_) => format!("[{address}]"),
        };
        match self.flow {
            Flow::Ports { source, destination } => {
                write!(f, "{name} {}:{source} -> {}:{destination}", bracket(self.source), bracket(self.destination))
            }
            Flow::Echo { id } => write!(f, "{name} {} -> {} echo id {id}", self.source, self.destination),
            Flow::Unknown => write!(f, "{name} {} -> {}", self.source, self.destination),
        }
    }
}

/// The tuple of the IP packet that begins with `bytes`; none when the
/// addresses are not there or it is neither IPv4 nor IPv6.
pub fn tuple(bytes: &[u8]) -> Option<Tuple> {
    match bytes.first()? >> 4 {
        4 => ipv4(bytes),
        6 => ipv6(bytes),
        _ => None,
    }
}

fn ipv4(bytes: &[u8]) -> Option<Tuple> {
    // RFC 791, section 3.1.
    let header_len = usize::from(bytes.first()? & 0x0f) * 4;
    let fragment_offset = read_u16(bytes, 6)? & 0x1fff;
    let protocol = *bytes.get(9)?;
    let source = IpAddr::V4(Ipv4Addr::from(read::<4>(bytes, 12)?));
    let destination = IpAddr::V4(Ipv4Addr::from(read::<4>(bytes, 16)?));
    let flow = match bytes.get(header_len..) {
        Some(rest) if fragment_offset == 0 && header_len >= 20 => flow(protocol, rest),
        _ => Flow::Unknown,
    };
    Some(Tuple { source, destination, protocol, flow })
}

fn ipv6(bytes: &[u8]) -> Option<Tuple> {
    // RFC 8200, sections 3 and 4.
    let source = IpAddr::V6(Ipv6Addr::from(read::<16>(bytes, 8)?));
    let destination = IpAddr::V6(Ipv6Addr::from(read::<16>(bytes, 24)?));
    let mut protocol = *bytes.get(6)?;
    let mut offset = 40;
    let whole = |protocol, flow| Some(Tuple { source, destination, protocol, flow });
    loop {
        // Each turn moves at least eight bytes on, so the packet's end ends the loop.
        let (next, length) = match protocol {
            // Hop-by-hop options, routing, destination options: length in
            // units of eight bytes, the first not counted.
            0 | 43 | 60 => match (bytes.get(offset), bytes.get(offset + 1)) {
                (Some(&next), Some(&units)) => (next, (usize::from(units) + 1) * 8),
                _ => return whole(protocol, Flow::Unknown),
            },
            // Authentication header (RFC 4302): units of four bytes, two not counted.
            51 => match (bytes.get(offset), bytes.get(offset + 1)) {
                (Some(&next), Some(&units)) => (next, (usize::from(units) + 2) * 4),
                _ => return whole(protocol, Flow::Unknown),
            },
            44 => match (bytes.get(offset), read_u16(bytes, offset + 2)) {
                (Some(&next), Some(word)) if word >> 3 == 0 => (next, 8),
                (Some(&next), Some(_)) => return whole(next, Flow::Unknown),
                _ => return whole(protocol, Flow::Unknown),
            },
            _ => {
                let flow = bytes.get(offset..).map_or(Flow::Unknown, |rest| flow(protocol, rest));
                return whole(protocol, flow);
            }
        };
        protocol = next;
        offset += length;
    }
}

fn flow(protocol: u8, bytes: &[u8]) -> Flow {
    let read_flow = || match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            Some(Flow::Ports { source: read_u16(bytes, 0)?, destination: read_u16(bytes, 2)? })
        }
        // Echo reply 0 and request 8 (RFC 792), 128 and 129 (RFC 4443); the identifier follows the checksum.
        protocol::ICMP if matches!(bytes.first()?, 0 | 8) => Some(Flow::Echo { id: read_u16(bytes, 4)? }),
        protocol::ICMPV6 if matches!(bytes.first()?, 128 | 129) => Some(Flow::Echo { id: read_u16(bytes, 4)? }),
        _ => None,
    };
    read_flow().unwrap_or(Flow::Unknown)
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    read::<2>(bytes, at).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend_from_slice(payload);
        packet
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend_from_slice(&"fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(&"fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn ports_are_read_in_both_families() {
        for (bytes, protocol) in [(v4(6, &[0x80, 0, 0, 80]), 6), (v6(132, &[0x80, 0, 0, 80]), 132)] {
            let tuple = tuple(&bytes).unwrap();
            assert_eq!(tuple.protocol, protocol);
            assert_eq!(tuple.flow, Flow::Ports { source: 32768, destination: 80 });
        }
        let text = tuple(&v6(17, &[0x80, 0, 0, 53])).unwrap().to_string();
        assert_eq!(text, "UDP [fd00::1]:32768 -> [fd00::2]:53");
    }

    #[test]
    fn an_echo_has_an_id_and_an_error_message_has_none() {
        assert_eq!(tuple(&v4(1, &[8, 0, 0, 0, 1, 2])).unwrap().flow, Flow::Echo { id: 258 });
        assert_eq!(tuple(&v6(58, &[129, 0, 0, 0, 1, 2])).unwrap().flow, Flow::Echo { id: 258 });
        assert_eq!(tuple(&v4(1, &[3, 1, 0, 0, 1, 2])).unwrap().flow, Flow::Unknown);
    }

    #[test]
    fn extension_headers_are_passed_and_later_fragments_have_no_ports() {
        let mut behind_options = vec![6, 0, 0, 0, 0, 0, 0, 0];
        behind_options.extend_from_slice(&[0, 7, 0, 9]);
        let read = tuple(&v6(60, &behind_options)).unwrap();
        assert_eq!((read.protocol, read.flow), (6, Flow::Ports { source: 7, destination: 9 }));
        let later = [6, 0, 0x00, 0x10, 0, 0, 0, 0, 0, 7, 0, 9];
        assert_eq!(tuple(&v6(44, &later)).unwrap().flow, Flow::Unknown);
        let mut later = v4(6, &[0, 7, 0, 9]);
        later[7] = 1;
        assert_eq!(tuple(&later).unwrap().flow, Flow::Unknown);
    }

    #[test]
    fn a_cut_packet_keeps_its_addresses() {
        let read = tuple(&v4(6, &[0x80])).unwrap();
        assert_eq!((read.protocol, read.flow), (6, Flow::Unknown));
        assert_eq!(tuple(&v4(6, &[])[..19]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..160), six in any::<bool>()) {
            let _ = tuple(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = if six { 0x60 } else { 0x45 };
            }
            let _ = tuple(&bytes);
        }
    }
}
