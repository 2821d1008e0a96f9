//! The elements of sets and maps, to and from the kernel.
//!
//! The tree behind ranges of addresses knows no ranges: an element begins one and another, marked
//! INTERVAL_END, ends it before its own address. A beginning without an end silently covers every
//! address above, so the two are written in one place, in the order that the kernel takes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use palisade_engine::model::{Family, PortRange, Protocol};

use super::attribute::{Attributes, Writer};
use super::expression::write_verdict;
use super::listing;
use super::uapi::{LIST_ELEMENT, element as uapi, set};
use crate::difference::Learned;
use crate::ruleset::{Key, SetKind, Verdict};

/// What NEWSET says of a kind of keys.
pub(super) struct Layout {
    /// nft's number of the type; only for its listing. A concatenation has six bits for each field.
    pub(super) key_type: u32,
    /// Bytes of a key; each field of a concatenation is padded to four.
    pub(super) key_length: u32,
    /// `enum nft_set_flags`.
    pub(super) flags: u32,
    /// Bytes of each field without padding, where the kernel has to know them.
    pub(super) fields: &'static [u32],
}

const IPV4_ADDRESS: u32 = 7;
const IPV6_ADDRESS: u32 = 8;
const INET_PROTO: u32 = 12;
const INET_SERVICE: u32 = 13;
const INTERFACE_INDEX: u32 = 20;

/// What NEWSET says of a kind of keys.
pub(super) fn layout(kind: SetKind) -> Layout {
    let (address_type, address_length) = match kind {
        SetKind::Addresses(Family::V6)
        | SetKind::AddressRanges(Family::V6)
        | SetKind::AddressPairs(Family::V6)
        | SetKind::Sources(Family::V6) => (IPV6_ADDRESS, 16),
        _ => (IPV4_ADDRESS, 4),
    };
    let port_type = (INET_PROTO << 6) | INET_SERVICE;
    let (key_type, key_length, flags, fields): (_, _, _, &[u32]) = match kind {
        SetKind::Addresses(_) => (address_type, address_length, 0, &[]),
        SetKind::AddressRanges(_) => (address_type, address_length, set::INTERVAL, &[]),
        SetKind::AddressPairs(_) => ((address_type << 6) | address_type, 2 * address_length, 0, &[]),
        SetKind::Sources(_) => ((address_type << 6) | INTERFACE_INDEX, address_length + 4, 0, &[]),
        SetKind::Ports => (port_type, 8, 0, &[]),
        SetKind::PortRanges => (port_type, 8, set::INTERVAL | set::CONCAT, &[1, 2]),
    };
    Layout { key_type, key_length, flags, fields }
}

/// The kind with this layout, if it is one of ours.
pub(super) fn kind(key_type: u32, flags: u32) -> Option<SetKind> {
    let kinds = Family::ALL.into_iter().flat_map(|family| {
        [
            SetKind::Addresses(family),
            SetKind::AddressRanges(family),
            SetKind::AddressPairs(family),
            SetKind::Sources(family),
        ]
    });
    kinds.chain([SetKind::Ports, SetKind::PortRanges]).find(|kind| {
        let layout = layout(*kind);
        layout.key_type == key_type && layout.flags == flags & (set::INTERVAL | set::CONCAT)
    })
}

/// How many list members a key takes.
pub(super) fn members(kind: SetKind, key: &Key) -> usize {
    match (kind, bounds(key)) {
        (SetKind::AddressRanges(_), Some((_, last))) if following(last).is_some() => 2,
        _ => 1,
    }
}

/// Writes the list members of one key.
pub(super) fn write(writer: &mut Writer, kind: SetKind, key: &Key, verdict: Option<&Verdict>) {
    if matches!(kind, SetKind::AddressRanges(_))
        && let Some((first, last)) = bounds(key)
    {
        if first > last {
            writer.set_fault("a range of addresses ends before it begins");
            return;
        }
        member(writer, &octets(first), None, verdict, 0);
        if let Some(end) = following(last) {
            member(writer, &octets(end), None, None, uapi::INTERVAL_END);
        }
        return;
    }
    if matches!(kind, SetKind::Sources(_)) {
        writer.set_fault("only packets put something into a set of sources");
        return;
    }
    match *key {
        Key::Address(address) => member(writer, &octets(address), None, verdict, 0),
        Key::Pair(source, destination) => {
            member(writer, &[octets(source), octets(destination)].concat(), None, verdict, 0);
        }
        Key::Port(protocol, port) if kind != SetKind::PortRanges => {
            member(writer, &port_key(protocol, port), None, verdict, 0);
        }
        Key::Port(protocol, port) => {
            let key = port_key(protocol, port);
            member(writer, &key, Some(&key), verdict, 0);
        }
        Key::Ports(protocol, range) if kind == SetKind::PortRanges => {
            let (first, last) = (port_key(protocol, range.first()), port_key(protocol, range.last()));
            member(writer, &first, Some(&last), verdict, 0);
        }
        Key::Range4(..) | Key::Range6(..) | Key::Ports(..) => {
            writer.set_fault("a range has no place in a set of single keys");
        }
    }
}

/// Writes the list member of a learned address.
pub(super) fn write_learned(writer: &mut Writer, learned: &Learned) {
    // 0 would be for ever.
    let left = u64::try_from(learned.left.as_millis()).unwrap_or(u64::MAX).max(1);
    writer.nest(LIST_ELEMENT, |writer| {
        writer.nest(uapi::KEY, |writer| writer.value(uapi::DATA_VALUE, &octets(learned.address)));
        writer.be64(uapi::TIMEOUT, left);
        writer.comment(uapi::USERDATA, uapi::COMMENT, &learned.why);
    });
}

/// The learned address of a list member; `None`: none of ours.
pub(super) fn read_learned(member: &Attributes<'_>) -> Option<Learned> {
    let address = address(member.nested(uapi::KEY).get(uapi::DATA_VALUE)?)?;
    let left = member.be64(uapi::EXPIRATION).map(Duration::from_millis)?;
    Some(Learned { address, left, why: member.comment(uapi::USERDATA, uapi::COMMENT)? })
}

fn member(writer: &mut Writer, key: &[u8], end: Option<&[u8]>, verdict: Option<&Verdict>, flags: u32) {
    writer.nest(LIST_ELEMENT, |writer| {
        if flags != 0 {
            writer.be32(uapi::FLAGS, flags);
        }
        writer.nest(uapi::KEY, |writer| writer.value(uapi::DATA_VALUE, key));
        if let Some(end) = end {
            writer.nest(uapi::KEY_END, |writer| writer.value(uapi::DATA_VALUE, end));
        }
        if let Some(verdict) = verdict {
            writer.nest(uapi::DATA, |writer| write_verdict(writer, verdict));
        }
    });
}

fn bounds(key: &Key) -> Option<(IpAddr, IpAddr)> {
    match *key {
        Key::Address(address) => Some((address, address)),
        Key::Range4(first, last) => Some((first.into(), last.into())),
        Key::Range6(first, last) => Some((first.into(), last.into())),
        Key::Pair(..) | Key::Port(..) | Key::Ports(..) => None,
    }
}

fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn preceding(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Up to 16 bytes without a heap: a cluster has a hundred thousand addresses.
struct Octets {
    bytes: [u8; 16],
    length: usize,
}

impl std::ops::Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl std::borrow::Borrow<[u8]> for Octets {
    fn borrow(&self) -> &[u8] {
        self
    }
}

fn octets(address: IpAddr) -> Octets {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            Octets { bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], length: 4 }
        }
        IpAddr::V6(address) => Octets { bytes: address.octets(), length: 16 },
    }
}

fn port_key(protocol: Protocol, port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [protocol.number(), 0, 0, 0, high, low, 0, 0]
}

/// The elements of one set as they come out of a dump.
#[derive(Debug)]
pub(super) struct Reader {
    kind: SetKind,
    elements: BTreeMap<Key, Option<Verdict>>,
    /// Beginnings and ends of ranges; at the same address an end comes first.
    borders: BTreeMap<(IpAddr, bool), Option<Verdict>>,
    strange: usize,
}

impl Reader {
    /// For a set of this kind.
    pub(super) fn new(kind: SetKind) -> Self {
        Self { kind, elements: BTreeMap::new(), borders: BTreeMap::new(), strange: 0 }
    }

    /// Takes one list member.
    pub(super) fn member(&mut self, member: &Attributes<'_>) {
        if self.try_member(member).is_none() {
            self.strange += 1;
        }
    }

    fn try_member(&mut self, member: &Attributes<'_>) -> Option<()> {
        let key = member.nested(uapi::KEY).get(uapi::DATA_VALUE)?;
        let verdict = match member.get(uapi::DATA) {
            Some(_) => Some(listing::verdict(&member.nested(uapi::DATA))?),
            None => None,
        };
        if matches!(self.kind, SetKind::AddressRanges(_)) {
            let begins = member.be32(uapi::FLAGS).unwrap_or(0) & uapi::INTERVAL_END == 0;
            self.borders.insert((address(key)?, begins), verdict);
            return Some(());
        }
        let key = match self.kind {
            SetKind::Addresses(_) | SetKind::AddressRanges(_) => Key::Address(address(key)?),
            SetKind::AddressPairs(_) => {
                let (source, destination) = key.split_at_checked(key.len() / 2)?;
                Key::Pair(address(source)?, address(destination)?)
            }
            SetKind::Sources(_) => return None,
            SetKind::Ports => {
                let (protocol, port) = port(key)?;
                Key::Port(protocol, port)
            }
            SetKind::PortRanges => {
                let (protocol, first) = port(key)?;
                let end = member.nested(uapi::KEY_END).get(uapi::DATA_VALUE).unwrap_or(key);
                let (_, last) = port(end).filter(|(end, _)| *end == protocol)?;
                Key::Ports(protocol, PortRange::new(first, last)?)
            }
        };
        self.elements.insert(key, verdict);
        Some(())
    }

    /// The elements, and how many there were that cannot be one of ours.
    pub(super) fn finish(mut self) -> (BTreeMap<Key, Option<Verdict>>, usize) {
        let mut open: Option<(IpAddr, Option<Verdict>)> = None;
        for ((address, begins), verdict) in self.borders {
            if let Some((first, verdict)) = open.take() {
                let last = preceding(address).unwrap_or(first);
                self.elements.extend(range(first, last).map(|key| (key, verdict)));
            }
            // An end without a beginning is what nft puts at the bottom: it ends nothing.
            if begins {
                open = Some((address, verdict));
            }
        }
        if let Some((first, verdict)) = open {
            let last = match first {
                IpAddr::V4(_) => Ipv4Addr::BROADCAST.into(),
                IpAddr::V6(_) => Ipv6Addr::from_bits(u128::MAX).into(),
            };
            self.elements.extend(range(first, last).map(|key| (key, verdict)));
        }
        (self.elements, self.strange)
    }
}

fn range(first: IpAddr, last: IpAddr) -> Option<Key> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Some(Key::Range4(first, last)),
        (IpAddr::V6(first), IpAddr::V6(last)) => Some(Key::Range6(first, last)),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

fn port(key: &[u8]) -> Option<(Protocol, u16)> {
    let [number, _, _, _, high, low, ..] = key else { return None };
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.number() == *number)?;
    Some((protocol, u16::from_be_bytes([*high, *low])))
}
