//! What is [held](crate::held) into the kernel, whole.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_engine::model::{Family, Protocol};

use super::element::{layout, write as write_element};
use super::error::ApplyError;
use super::socket::Kernel;
use super::uapi::{element, expression as uapi, netlink, request, set};
use super::whole::{Batch, FIRST, Rule, SECOND};
use crate::held::{HELD, Held, MASK, SENT_ON, TABLE};
use crate::ruleset::{Key, SetKind};

/// Behind conntrack (-200) and destination NAT (-100): the packet's destination is the pod again.
const ANSWERS: (&str, u32, i32) = ("filter", 0, -90);
/// nft's `priority raw`: before conntrack.
const SENT: (&str, u32, i32) = ("filter", 3, -300);
/// The port of name servers.
const DOMAIN: u16 = 53;

impl Kernel {
    /// Holds this from now on, in the place of what was held before; `None`: nothing.
    ///
    /// # Errors
    /// When the kernel refuses; what was held before is then.
    pub fn hold(&mut self, held: Option<&Held>) -> Result<(), ApplyError> {
        match held {
            Some(held) => self.replace_table(TABLE, Some(&|batch| write(batch, held))),
            None => self.replace_table(TABLE, None),
        }
    }
}

fn write(batch: &mut Batch, held: &Held) {
    batch.chain("answers", Some(ANSWERS));
    batch.chain("sent-on", Some(SENT));
    for (number, family) in (1..).zip(Family::ALL) {
        let pods: BTreeSet<IpAddr> = held.pods.iter().copied().filter(|pod| Family::of(*pod) == family).collect();
        if pods.is_empty() {
            continue;
        }
        let name = format!("pods{number}");
        write_pods(batch, &name, number, family, &pods);
        batch.rule("answers", "hold", |rule| hold(rule, &name, family, held.port));
    }
    batch.rule("sent-on", "was tracked when it came", |rule| {
        rule.meta(uapi::META_MARK);
        rule.mask(MASK);
        rule.compare(uapi::CMP_EQ, &SENT_ON.to_ne_bytes());
        rule.add("notrack", |_| ());
    });
}

fn write_pods(batch: &mut Batch, name: &str, number: u32, family: Family, pods: &BTreeSet<IpAddr>) {
    let kind = SetKind::Addresses(family);
    batch.add(request::NEW_SET, netlink::CREATE, format!("add set {name} of table inet {TABLE}"), |writer| {
        let layout = layout(kind);
        writer.text(set::TABLE, TABLE);
        writer.text(set::NAME, name);
        writer.be32(set::FLAGS, layout.flags);
        writer.be32(set::KEY_TYPE, layout.key_type);
        writer.be32(set::KEY_LENGTH, layout.key_length);
        writer.be32(set::ID, number);
    });
    let said = format!("add {} elements to set {name} of table inet {TABLE}", pods.len());
    batch.add(request::NEW_ELEMENT, netlink::CREATE, said, |writer| {
        writer.text(element::LIST_TABLE, TABLE);
        writer.text(element::LIST_SET, name);
        writer.nest(element::LIST_ELEMENTS, |writer| {
            pods.iter().for_each(|pod| write_element(writer, kind, &Key::Address(*pod), None));
        });
    });
}

/// The cheapest questions first: all packets are asked, and few are UDP from that port.
fn hold(rule: &mut Rule<'_>, pods: &str, family: Family, port: u16) {
    rule.of_family(family);
    rule.meta(uapi::META_L4PROTO);
    rule.compare(uapi::CMP_EQ, &[Protocol::Udp.number()]);
    rule.payload(uapi::BASE_TRANSPORT, 0, 2);
    rule.compare(uapi::CMP_EQ, &DOMAIN.to_be_bytes());
    match family {
        Family::V4 => rule.payload(uapi::BASE_NETWORK, 16, 4),
        Family::V6 => rule.payload(uapi::BASE_NETWORK, 24, 16),
    }
    rule.look_up(pods);
    // The pod began it: IP_CT_DIR_REPLY.
    rule.ct(uapi::CT_DIRECTION);
    rule.compare(uapi::CMP_EQ, &[1]);
    match family {
        Family::V4 => rule.address(Ipv4Addr::LOCALHOST.into()),
        Family::V6 => rule.address(Ipv6Addr::LOCALHOST.into()),
    }
    rule.load(SECOND, &port.to_be_bytes());
    rule.add("tproxy", |writer| {
        writer.be32(uapi::TPROXY_FAMILY, if family == Family::V4 { 2 } else { 10 });
        writer.be32(uapi::TPROXY_ADDRESS, FIRST);
        writer.be32(uapi::TPROXY_PORT, SECOND);
    });
    rule.meta(uapi::META_MARK);
    rule.replace_bits(MASK, HELD);
    rule.set_mark();
}
