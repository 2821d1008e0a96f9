//! The bytes of ctnetlink (linux/netfilter/nfnetlink_conntrack.h). Pure; no
//! bytes can make it panic.
//!
//! Headers (struct nlmsghdr, struct nlattr) are in the machine's byte order,
//! the values inside in network order. Read by hand as in `nflog`: of some
//! forty attributes of an entry seven are wanted, and there may be 200,000 entries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Flow, MarkChange, PortProtocol, Transport, Tuple, Zone};
use crate::netlink::attributes;

/// NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW.
pub(super) const NEW: u16 = 1 << 8;
/// NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET.
const GET: u16 = 1 << 8 | 1;
/// NLM_F_REQUEST.
const REQUEST: u16 = 1;
/// NLM_F_ACK.
const ACK: u16 = 4;
/// NLM_F_ROOT | NLM_F_MATCH.
const DUMP: u16 = 0x300;
/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;
/// struct nfgenmsg: family u8, version u8, resource u16.
const GENERIC_HEADER: usize = 4;
/// The identifiers of address families (AF_INET, AF_INET6).
const INET: u8 = 2;
const INET6: u8 = 10;
/// Protocol numbers of queries without ports.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// CTA_*: attributes of an entry.
mod entry {
    pub(super) const ORIGINAL: u16 = 1;
    pub(super) const REPLY: u16 = 2;
    pub(super) const MARK: u16 = 8;
    pub(super) const ID: u16 = 12;
    pub(super) const MASTER: u16 = 14;
    pub(super) const ZONE: u16 = 18;
    pub(super) const MARK_MASK: u16 = 21;
}

/// CTA_TUPLE_*: attributes of a tuple.
mod tuple {
    pub(super) const ADDRESSES: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const ZONE: u16 = 3;
}

/// CTA_IP_*: its addresses.
mod address {
    pub(super) const SOURCE4: u16 = 1;
    pub(super) const DESTINATION4: u16 = 2;
    pub(super) const SOURCE6: u16 = 3;
    pub(super) const DESTINATION6: u16 = 4;
}

/// CTA_PROTO_*: the rest of it.
mod protocol {
    pub(super) const NUMBER: u16 = 1;
    pub(super) const SOURCE_PORT: u16 = 2;
    pub(super) const DESTINATION_PORT: u16 = 3;
    pub(super) const ICMP_ID: u16 = 4;
    pub(super) const ICMP_TYPE: u16 = 5;
    pub(super) const ICMP_CODE: u16 = 6;
    pub(super) const ICMPV6_ID: u16 = 7;
    pub(super) const ICMPV6_TYPE: u16 = 8;
    pub(super) const ICMPV6_CODE: u16 = 9;
}

/// Asks for every entry, or for those that have all bits of `marked`.
pub(super) fn list(sequence: u32, marked: Option<u32>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(bits) = marked {
        push(&mut body, entry::MARK, &bits.to_be_bytes());
        push(&mut body, entry::MARK_MASK, &bits.to_be_bytes());
    }
    // AF_UNSPEC: both families.
    message(GET, REQUEST | DUMP, sequence, 0, &body)
}

/// Asks to change some bits of the mark of an entry that exists (NLM_F_CREATE
/// is not among the flags), and for an answer. Its timeout stays as it is.
pub(super) fn change_mark(sequence: u32, change: &MarkChange) -> Vec<u8> {
    let original = &change.original;
    let mut addresses = Vec::new();
    let family = match (original.source, original.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            push(&mut addresses, address::SOURCE4, &source.octets());
            push(&mut addresses, address::DESTINATION4, &destination.octets());
            INET
        }
        (source, destination) => {
            push(&mut addresses, address::SOURCE6, &v6(source).octets());
            push(&mut addresses, address::DESTINATION6, &v6(destination).octets());
            INET6
        }
    };
    let mut rest = Vec::new();
    match original.transport {
        Transport::Ports { protocol, source, destination } => {
            push(&mut rest, protocol::NUMBER, &[protocol.number()]);
            push(&mut rest, protocol::SOURCE_PORT, &source.to_be_bytes());
            push(&mut rest, protocol::DESTINATION_PORT, &destination.to_be_bytes());
        }
        Transport::Icmp { kind, code, id } => {
            let (number, [of_id, of_kind, of_code]) = match family {
                INET => (ICMP, [protocol::ICMP_ID, protocol::ICMP_TYPE, protocol::ICMP_CODE]),
                _ => (ICMPV6, [protocol::ICMPV6_ID, protocol::ICMPV6_TYPE, protocol::ICMPV6_CODE]),
            };
            push(&mut rest, protocol::NUMBER, &[number]);
            push(&mut rest, of_id, &id.to_be_bytes());
            push(&mut rest, of_kind, &[kind]);
            push(&mut rest, of_code, &[code]);
        }
    }
    let mut whole = Vec::new();
    push(&mut whole, tuple::ADDRESSES | NESTED, &addresses);
    push(&mut whole, tuple::PROTOCOL | NESTED, &rest);
    if let Zone::Original(zone) = change.zone {
        push(&mut whole, tuple::ZONE, &zone.to_be_bytes());
    }
    let mut body = Vec::new();
    push(&mut body, entry::ORIGINAL | NESTED, &whole);
    if let Zone::Both(zone) = change.zone {
        push(&mut body, entry::ZONE, &zone.to_be_bytes());
    }
    // The kernel computes (mark & ~mask) ^ value.
    push(&mut body, entry::MARK, &(change.value & change.bits).to_be_bytes());
    push(&mut body, entry::MARK_MASK, &change.bits.to_be_bytes());
    message(NEW, REQUEST | ACK, sequence, family, &body)
}

/// An entry of a list; `None` for what has another protocol than those of
/// [`Transport`], and for what cannot be read.
pub(super) fn flow(body: &[u8]) -> Option<Flow> {
    let (mut original, mut reply, mut master) = (None, None, None);
    let (mut mark, mut id, mut zone) = (0, 0, Zone::Default);
    for (kind, value) in attributes(body.get(GENERIC_HEADER..)?) {
        match kind {
            entry::ORIGINAL => original = Some(read_tuple(value)?),
            entry::REPLY => reply = Some(read_tuple(value)?.0),
            entry::MASTER => master = Some(read_tuple(value)?.0),
            entry::MARK => mark = be32(value)?,
            entry::ID => id = be32(value)?,
            entry::ZONE => zone = Zone::Both(be16(value)?),
            _ => {}
        }
    }
    let (original, original_zone) = original?;
    if let Some(number) = original_zone {
        zone = Zone::Original(number);
    }
    Some(Flow { original, reply: reply?, master, mark, zone, id })
}

/// A tuple with the zone that is in it.
fn read_tuple(bytes: &[u8]) -> Option<(Tuple, Option<u16>)> {
    let (mut addresses, mut transport, mut zone) = (None, None, None);
    for (kind, value) in attributes(bytes) {
        match kind {
            tuple::ADDRESSES => addresses = Some(read_addresses(value)?),
            tuple::PROTOCOL => transport = Some(read_transport(value)?),
            tuple::ZONE => zone = Some(be16(value)?),
            _ => {}
        }
    }
    let (source, destination) = addresses?;
    Some((Tuple { source, destination, transport: transport? }, zone))
}

fn read_addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (mut source, mut destination) = (None, None);
    for (kind, value) in attributes(bytes) {
        let place = match kind {
            address::SOURCE4 | address::SOURCE6 => &mut source,
            address::DESTINATION4 | address::DESTINATION6 => &mut destination,
            _ => continue,
        };
        *place = Some(match kind {
            address::SOURCE4 | address::DESTINATION4 => IpAddr::V4(Ipv4Addr::from(*value.first_chunk::<4>()?)),
            _ => IpAddr::V6(Ipv6Addr::from(*value.first_chunk::<16>()?)),
        });
    }
    let (source, destination) = (source?, destination?);
    (source.is_ipv4() == destination.is_ipv4()).then_some((source, destination))
}

fn read_transport(bytes: &[u8]) -> Option<Transport> {
    let mut number = 0;
    let (mut source, mut destination) = (None, None);
    let (mut id, mut kind_of_message, mut code) = (None, None, None);
    for (kind, value) in attributes(bytes) {
        match kind {
            protocol::NUMBER => number = *value.first()?,
            protocol::SOURCE_PORT => source = be16(value),
            protocol::DESTINATION_PORT => destination = be16(value),
            protocol::ICMP_ID | protocol::ICMPV6_ID => id = be16(value),
            protocol::ICMP_TYPE | protocol::ICMPV6_TYPE => kind_of_message = value.first().copied(),
            protocol::ICMP_CODE | protocol::ICMPV6_CODE => code = value.first().copied(),
            _ => {}
        }
    }
    match number {
        ICMP | ICMPV6 => Some(Transport::Icmp { kind: kind_of_message?, code: code?, id: id? }),
        _ => {
            let protocol = PortProtocol::of_number(number)?;
            Some(Transport::Ports { protocol, source: source?, destination: destination? })
        }
    }
}

fn message(kind: u16, flags: u16, sequence: u32, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = 16 + GENERIC_HEADER + attributes.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    // NFNETLINK_V0, and no resource.
    bytes.extend_from_slice(&[family, 0, 0, 0]);
    bytes.extend_from_slice(attributes);
    bytes
}

fn push(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn be16(value: &[u8]) -> Option<u16> {
    value.first_chunk().copied().map(u16::from_be_bytes)
}

fn be32(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;
    use proptest::prelude::*;

    fn address(v6: bool) -> BoxedStrategy<IpAddr> {
        if v6 { any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed() } else { any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed() }
    }

    fn transport() -> impl Strategy<Value = Transport> {
        let ports = (0..3_usize, any::<u16>(), any::<u16>()).prop_map(|(protocol, source, destination)| {
            Transport::Ports { protocol: PortProtocol::ALL[protocol], source, destination }
        });
        let icmp = any::<(u8, u8, u16)>().prop_map(|(kind, code, id)| Transport::Icmp { kind, code, id });
        prop_oneof![ports, icmp]
    }

    fn tuples() -> impl Strategy<Value = Tuple> {
        let ends = any::<bool>().prop_flat_map(|v6| (address(v6), address(v6)));
        (ends, transport()).prop_map(|((source, destination), transport)| Tuple { source, destination, transport })
    }

    fn zones() -> impl Strategy<Value = Zone> {
        prop_oneof![Just(Zone::Default), any::<u16>().prop_map(Zone::Both), any::<u16>().prop_map(Zone::Original)]
    }

    /// The attributes of a request that changes a mark, with an answer's tuple behind them, as an entry.
    fn as_entry(change: &MarkChange, reply: &Tuple) -> Vec<u8> {
        let bytes = change_mark(1, change);
        let reply = MarkChange { original: *reply, zone: Zone::Default, ..*change };
        let reply = change_mark(1, &reply);
        let (_, tuple) = attributes(&reply[20..]).next().unwrap();
        let mut body = bytes[16..].to_vec();
        push(&mut body, entry::REPLY | NESTED, tuple);
        push(&mut body, entry::ID, &[0, 0, 0, 7]);
        push(&mut body, 99, &[1]);
        body
    }

    proptest! {
        #[test]
        fn what_is_asked_to_change_is_what_is_read(original in tuples(), reply in tuples(), zone in zones(), mark: u32) {
            let change = MarkChange { original, zone, bits: u32::MAX, value: mark };
            let body = as_entry(&change, &reply);
            prop_assert_eq!(flow(&body), Some(Flow { original, reply, master: None, mark, zone, id: 7 }));
            // Cut anywhere, it is another entry or none.
            for end in 0..body.len() {
                let _ = flow(&body[..end]);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = flow(&bytes);
            let _ = read_tuple(&bytes);
            let _ = read_transport(&bytes);
        }
    }

    #[test]
    fn other_protocols_are_no_flow() {
        let transport = Transport::Ports { protocol: PortProtocol::Tcp, source: 1, destination: 2 };
        let [source, destination] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let original = Tuple { source, destination, transport };
        let change = MarkChange { original, zone: Zone::Default, bits: 1, value: 1 };
        let mut body = as_entry(&change, &original);
        assert!(flow(&body).is_some());
        // Generic header, tuple, addresses (4 + 8 + 8), the header of the rest, the header of its number.
        let place = 4 + 4 + 20 + 4 + 4;
        assert_eq!(body[place], 6);
        body[place] = 47;
        assert_eq!(flow(&body), None);
    }

    /// Byte for byte, by the kernel's header file.
    #[test]
    fn the_bytes_of_a_change() {
        let transport = Transport::Ports { protocol: PortProtocol::Udp, source: 0x1234, destination: 53 };
        let [source, destination] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let original = Tuple { source, destination, transport };
        let change = MarkChange { original, zone: Zone::Both(7), bits: 1 << 27, value: 1 << 27 };
        let bytes = change_mark(9, &change);
        let message = messages(&bytes).next().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (NEW, 5, 9));
        let half = |value: u16| value.to_ne_bytes().to_vec();
        let expected = [
            vec![2, 0, 0, 0],
            [half(52), half(0x8001)].concat(),
            [half(20), half(0x8001)].concat(),
            [half(8), half(1), vec![10, 0, 0, 1], half(8), half(2), vec![10, 0, 0, 2]].concat(),
            [half(28), half(0x8002)].concat(),
            [half(5), half(1), vec![17, 0, 0, 0]].concat(),
            [half(6), half(2), vec![0x12, 0x34, 0, 0], half(6), half(3), vec![0, 53, 0, 0]].concat(),
            [half(6), half(18), vec![0, 7, 0, 0]].concat(),
            [half(8), half(8), vec![8, 0, 0, 0], half(8), half(21), vec![8, 0, 0, 0]].concat(),
        ];
        assert_eq!(message.body, expected.concat());
    }
}
