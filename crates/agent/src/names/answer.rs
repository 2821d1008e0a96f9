//! What the answer of a name server says: the addresses of the name that was asked for. Pure.
//!
//! Only what belongs to the question counts: the addresses of its name, or of the one that a chain of CNAME leads
//! to from there. Whatever else a server puts into an answer is nothing that anybody asked.

use std::{collections::BTreeSet, net::IpAddr};

use domain::{
    base::{
        Message, RecordSection, Rtype,
        iana::{Class, Opcode, Rcode},
        name::ParsedName,
        rdata::ParseRecordData,
    },
    rdata::{A, Aaaa, Cname},
};
use palisade_engine::model::DomainName;

/// How many addresses of one answer count: more than any name needs.
const ADDRESSES: usize = 256;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked for.
    pub name: DomainName,
    /// Its addresses, of one family.
    pub addresses: BTreeSet<IpAddr>,
    /// How long they hold, in seconds: the least that a record on the way to them says.
    pub ttl: u32,
}

/// Reads an answer to a question for addresses; `None`: it is none, gives none, or cannot be read to its end.
///
/// An answer that was cut short (TC) counts for what it has: who asks again does so over TCP, which is not seen.
pub fn read(bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_octets(bytes).ok()?;
    let header = message.header();
    if !header.qr() || header.opcode() != Opcode::QUERY || header.rcode() != Rcode::NOERROR {
        return None;
    }
    let question = message.sole_question().ok()?;
    if question.qclass() != Class::IN || !matches!(question.qtype(), Rtype::A | Rtype::AAAA) {
        return None;
    }
    let name = DomainName::parse(&question.qname().to_string()).ok().filter(|name| !name.is_pattern())?;
    let owner = message.canonical_name()?;
    let section = message.answer().ok()?;
    let mut ttl = u32::MAX;
    for record in section.limit_to::<Cname<_>>() {
        ttl = ttl.min(record.ok()?.ttl().as_secs());
    }
    let mut addresses = BTreeSet::new();
    let mut add = |address: IpAddr, seconds: u32| {
        if is_a_host(address) && addresses.len() < ADDRESSES {
            addresses.insert(address);
            ttl = ttl.min(seconds);
        }
    };
    match question.qtype() {
        Rtype::A => {
            for (record, seconds) in of::<A>(section, &owner)? {
                add(record.addr().into(), seconds);
            }
        }
        _ => {
            for (record, seconds) in of::<Aaaa>(section, &owner)? {
                add(record.addr().into(), seconds);
            }
        }
    }
    (!addresses.is_empty()).then_some(Answer { name, addresses, ttl })
}

/// The records of a kind that a name has, with their TTLs in seconds; `None`: one cannot be read.
fn of<'a, Data: ParseRecordData<'a, &'a [u8]>>(
    section: RecordSection<'a, &'a [u8]>,
    owner: &ParsedName<&[u8]>,
) -> Option<Vec<(Data, u32)>> {
    let mut found = Vec::new();
    for record in section.limit_to_in::<Data>() {
        let record = record.ok()?;
        if record.owner() == owner {
            let seconds = record.ttl().as_secs();
            found.push((record.into_data(), seconds));
        }
    }
    Some(found)
}

/// No name is meant to lead to this host itself, or to many.
fn is_a_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => {
            let embeds_v4 = v6.to_ipv4_mapped().is_some();
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local() || embeds_v4)
        }
    }
}

#[cfg(test)]
mod tests;
