//! A [`Translation`] into the kernel, whole.

use palisade_engine::model::Family;

use super::error::ApplyError;
use super::socket::Kernel;
use super::uapi::expression as uapi;
use super::whole::{Batch, FIRST, Rule, SECOND};
use crate::ruleset::Verdict;
use crate::translation::{Door, DoorAddress, TABLE, Translation};

/// `enum nf_inet_hooks`, and the priorities that nft calls dstnat and srcnat.
const BASE_CHAINS: [(&str, u32, i32); 3] = [("prerouting", 0, -100), ("output", 3, -100), ("postrouting", 4, 100)];
/// The chain of all doors.
const SERVICES: &str = "services";
/// The packet mark of what came by a node port. Any bit does, in a network namespace of the lab.
const BY_NODE_PORT: u32 = 0x4000;
/// `RTN_LOCAL`, of linux/rtnetlink.h.
const LOCAL: u32 = 2;

impl Kernel {
    /// Puts a translation in the place of the one before.
    ///
    /// # Errors
    /// When the kernel refuses; the one before stays in force then.
    pub fn translate(&mut self, translation: &Translation) -> Result<(), ApplyError> {
        self.replace_table(TABLE, Some(&|batch| write(batch, translation)))
    }
}

fn write(batch: &mut Batch, translation: &Translation) {
    batch.chain(SERVICES, None);
    for (name, hook, priority) in BASE_CHAINS {
        batch.chain(name, Some(("nat", hook, priority)));
    }
    for base in ["prerouting", "output"] {
        batch.rule(base, "every new connection", |rule| rule.verdict(&Verdict::Jump(SERVICES.to_owned())));
    }
    let open = translation.doors.iter().enumerate().filter(|(_, door)| !door.behind.is_empty());
    for (number, door) in open {
        let chain = format!("door-{number}");
        batch.chain(&chain, None);
        let goto = Verdict::Goto(chain.clone());
        batch.rule(SERVICES, &door.comment, |rule| {
            comes_to(rule, door);
            rule.verdict(&goto);
        });
        write_door(batch, &chain, door);
    }
    write_sources(batch, translation);
}

/// The first of n takes a packet with a chance of 1 in n, the next of the rest with 1 in n - 1, …
fn write_door(batch: &mut Batch, chain: &str, door: &Door) {
    if matches!(door.at, DoorAddress::Node(_)) {
        batch.rule(chain, "came by a node port", |rule| {
            rule.load(FIRST, &BY_NODE_PORT.to_ne_bytes());
            rule.set_mark();
        });
    }
    for (before, target) in door.behind.iter().enumerate() {
        let left = u32::try_from(door.behind.len() - before).unwrap_or(u32::MAX);
        batch.rule(chain, &format!("to {target}"), |rule| {
            if left > 1 {
                rule.one_in(left);
            }
            rule.address(target.ip());
            rule.load(SECOND, &target.port().to_be_bytes());
            rule.nat(true, Family::of(target.ip()));
        });
    }
}

fn write_sources(batch: &mut Batch, translation: &Translation) {
    for family in Family::ALL {
        let Some(own) = translation.own(family) else { continue };
        batch.rule("postrouting", "came by a node port", |rule| {
            rule.meta(uapi::META_MARK);
            rule.compare(uapi::CMP_EQ, &BY_NODE_PORT.to_ne_bytes());
            rule.of_family(family);
            rule.address(own);
            rule.nat(false, family);
        });
        for address in translation.behind().into_iter().filter(|address| Family::of(*address) == family) {
            batch.rule("postrouting", "a pod that reaches itself through a Service", |rule| {
                rule.of_family(family);
                rule.is_at(address, true);
                rule.is_at(address, false);
                rule.address(own);
                rule.nat(false, family);
            });
        }
    }
}

fn comes_to(rule: &mut Rule<'_>, door: &Door) {
    rule.of_family(door.at.family());
    match door.at {
        DoorAddress::Service(address) => rule.is_at(address, false),
        DoorAddress::Node(_) => {
            rule.add("fib", |writer| {
                writer.be32(uapi::FIB_FLAGS, uapi::FIB_DADDR);
                writer.be32(uapi::FIB_RESULT, uapi::FIB_ADDRTYPE);
                writer.be32(uapi::FIB_DREG, FIRST);
            });
            rule.compare(uapi::CMP_EQ, &LOCAL.to_ne_bytes());
        }
    }
    rule.meta(uapi::META_L4PROTO);
    rule.compare(uapi::CMP_EQ, &[door.protocol.number()]);
    rule.payload(uapi::BASE_TRANSPORT, 2, 2);
    rule.compare(uapi::CMP_EQ, &door.port.to_be_bytes());
}
