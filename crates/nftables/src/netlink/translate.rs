//! A [`Translation`] into the kernel: the whole table in one transaction, so that no packet finds half
//! of it.
//!
//! Not through [`Change`](crate::difference::Change): these are tens of rules in a table that is replaced
//! as a whole, and nothing of it belongs into what is planned, compared and interpreted.

use palisade_engine::model::Family;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::attribute::Writer;
use super::error::{Applied, ApplyError, Refusal, Stage};
use super::expression::write_verdict;
use super::message::{batch_mark, message, messages};
use super::socket::Kernel;
use super::uapi::{LIST_ELEMENT, chain, element, expression as uapi, netlink, nfnetlink, request, rule, table};
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

const FIRST: u32 = 1;
const SECOND: u32 = 2;

impl Kernel {
    /// Puts a translation in the place of the one before.
    ///
    /// # Errors
    /// When the kernel refuses; the one before stays in force then.
    pub fn translate(&mut self, translation: &Translation) -> Result<(), ApplyError> {
        let mut batch = Batch { writer: Writer::default(), first: self.next_sequence(), said: Vec::new() };
        batch_mark(&mut batch.writer, nfnetlink::BATCH_BEGIN, 0, batch.first);
        write(&mut batch, translation);
        let end = batch.first.wrapping_add(u32::try_from(batch.said.len()).unwrap_or(u32::MAX)).wrapping_add(1);
        batch_mark(&mut batch.writer, nfnetlink::BATCH_END, netlink::ACK, end);
        self.set_sequence(end.wrapping_add(1));
        if let Some(why) = batch.writer.take_fault() {
            return Err(ApplyError::NotEncodable { change: format!("write table inet {TABLE}"), why });
        }
        let (bytes, limit) = (batch.writer.len(), self.transaction_limit());
        if bytes > limit {
            return Err(ApplyError::TooLarge { bytes, limit });
        }
        let (stage, applied) = (Stage::Switch, Applied::default());
        send(self.socket(), batch.writer.bytes(), SendFlags::empty()).map_err(|errno| ApplyError::Send {
            stage,
            errno,
            applied,
        })?;
        self.answers(&batch, end)
    }

    /// The kernel has queued every answer when `send` returns.
    fn answers(&mut self, batch: &Batch, end: u32) -> Result<(), ApplyError> {
        let (stage, applied) = (Stage::Switch, Applied::default());
        let (mut refusals, mut done) = (Vec::new(), false);
        let mut buffer = vec![0_u8; 32 * 1024];
        loop {
            let length = match recv(self.socket(), buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            for answer in messages(buffer.get(..length).unwrap_or_default()) {
                let (netlink::ERROR, Some(code)) = (answer.kind, answer.code()) else { continue };
                let position = answer.sequence.wrapping_sub(batch.first);
                if code == 0 {
                    done |= answer.sequence == end;
                } else {
                    let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
                    let said = index.and_then(|index| batch.said.get(index));
                    refusals.push(Refusal {
                        change: said.cloned().unwrap_or_else(|| format!("replace table inet {TABLE}")),
                        part: None,
                        offset: None,
                        errno: Errno::from_raw_os_error(code.saturating_neg()),
                        text: answer.explanation().text(netlink::ERROR_TEXT),
                    });
                }
            }
        }
        match (refusals.is_empty(), done) {
            (true, true) => Ok(()),
            (true, false) => Err(ApplyError::NoAnswer { stage, changes: batch.said.len(), errno: None, applied }),
            (false, _) => Err(ApplyError::Refused { stage, refusals, applied }),
        }
    }
}

/// Messages, and what each does in words.
struct Batch {
    writer: Writer,
    first: u32,
    said: Vec<String>,
}

impl Batch {
    fn add(&mut self, request: u16, flags: u16, said: String, content: impl FnOnce(&mut Writer)) {
        self.said.push(said);
        let position = u32::try_from(self.said.len()).unwrap_or(u32::MAX);
        message(&mut self.writer, request, flags, self.first.wrapping_add(position), content);
    }

    fn chain(&mut self, name: &str, hook: Option<(u32, i32)>) {
        self.add(request::NEW_CHAIN, netlink::CREATE, format!("add chain {name} of table inet {TABLE}"), |writer| {
            writer.text(chain::TABLE, TABLE);
            writer.text(chain::NAME, name);
            if let Some((number, priority)) = hook {
                writer.nest(chain::HOOK, |writer| {
                    writer.be32(chain::HOOK_NUMBER, number);
                    writer.be32(chain::HOOK_PRIORITY, priority.cast_unsigned());
                });
                writer.be32(chain::POLICY, chain::POLICY_ACCEPT);
                writer.text(chain::TYPE, "nat");
            }
        });
    }

    fn rule(&mut self, of: &str, comment: &str, content: impl FnOnce(&mut Rule<'_>)) {
        let said = format!("add rule \"{comment}\" to chain {of} of table inet {TABLE}");
        self.add(request::NEW_RULE, netlink::CREATE | netlink::APPEND, said, |writer| {
            writer.text(rule::TABLE, TABLE);
            writer.text(rule::CHAIN, of);
            writer.nest(rule::EXPRESSIONS, |writer| content(&mut Rule { writer }));
            writer.comment(rule::USERDATA, rule::COMMENT, comment);
        });
    }
}

fn write(batch: &mut Batch, translation: &Translation) {
    let name = |writer: &mut Writer| writer.text(table::NAME, TABLE);
    // Deleting what is not there is an error, so it is made first.
    for (request, flags) in
        [(request::NEW_TABLE, netlink::CREATE), (request::DELETE_TABLE, 0), (request::NEW_TABLE, netlink::CREATE)]
    {
        batch.add(request, flags, format!("replace table inet {TABLE}"), name);
    }
    batch.chain(SERVICES, None);
    for (name, hook, priority) in BASE_CHAINS {
        batch.chain(name, Some((hook, priority)));
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
            rule.comes_to(door);
            rule.verdict(&goto);
        });
        write_door(batch, &chain, door);
    }
    write_sources(batch, translation);
}

/// The first of n takes a packet with a chance of 1 in n, the next of the rest with 1 in n - 1, …
fn write_door(batch: &mut Batch, chain: &str, door: &Door) {
    if matches!(door.at, DoorAddress::Node(_)) {
        batch.rule(chain, "came by a node port", |rule| rule.set_mark());
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

/// The expressions of a rule.
struct Rule<'a> {
    writer: &'a mut Writer,
}

impl Rule<'_> {
    fn add(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.writer.nest(LIST_ELEMENT, |writer| {
            writer.text(uapi::NAME, name);
            writer.nest(uapi::DATA, data);
        });
    }

    fn comes_to(&mut self, door: &Door) {
        self.of_family(door.at.family());
        match door.at {
            DoorAddress::Service(address) => self.is_at(address, false),
            DoorAddress::Node(_) => {
                self.add("fib", |writer| {
                    writer.be32(uapi::FIB_FLAGS, uapi::FIB_DADDR);
                    writer.be32(uapi::FIB_RESULT, uapi::FIB_ADDRTYPE);
                    writer.be32(uapi::FIB_DREG, FIRST);
                });
                self.compare(uapi::CMP_EQ, &LOCAL.to_ne_bytes());
            }
        }
        self.meta(uapi::META_L4PROTO);
        self.compare(uapi::CMP_EQ, &[door.protocol.number()]);
        self.payload(uapi::BASE_TRANSPORT, 2, 2);
        self.compare(uapi::CMP_EQ, &door.port.to_be_bytes());
    }

    fn of_family(&mut self, family: Family) {
        self.meta(uapi::META_NFPROTO);
        // NFPROTO_IPV4, NFPROTO_IPV6.
        self.compare(uapi::CMP_EQ, &[if family == Family::V4 { 2 } else { 10 }]);
    }

    /// The packet's source or destination; its family is known by then.
    fn is_at(&mut self, address: std::net::IpAddr, source: bool) {
        match address {
            std::net::IpAddr::V4(v4) => {
                self.payload(uapi::BASE_NETWORK, if source { 12 } else { 16 }, 4);
                self.compare(uapi::CMP_EQ, &v4.octets());
            }
            std::net::IpAddr::V6(v6) => {
                self.payload(uapi::BASE_NETWORK, if source { 8 } else { 24 }, 16);
                self.compare(uapi::CMP_EQ, &v6.octets());
            }
        }
    }

    fn one_in(&mut self, count: u32) {
        self.add("numgen", |writer| {
            writer.be32(uapi::NUMGEN_DREG, FIRST);
            writer.be32(uapi::NUMGEN_MODULUS, count);
            writer.be32(uapi::NUMGEN_TYPE, uapi::NUMGEN_RANDOM);
            writer.be32(uapi::NUMGEN_OFFSET, 0);
        });
        self.compare(uapi::CMP_EQ, &0_u32.to_ne_bytes());
    }

    /// Loads an address for [`nat`](Self::nat).
    fn address(&mut self, address: std::net::IpAddr) {
        match address {
            std::net::IpAddr::V4(v4) => self.load(FIRST, &v4.octets()),
            std::net::IpAddr::V6(v6) => self.load(FIRST, &v6.octets()),
        }
    }

    /// To the loaded address, and for a destination the loaded port.
    fn nat(&mut self, destination: bool, family: Family) {
        self.add("nat", |writer| {
            writer.be32(uapi::NAT_TYPE, u32::from(destination));
            writer.be32(uapi::NAT_FAMILY, if family == Family::V4 { 2 } else { 10 });
            writer.be32(uapi::NAT_ADDRESS_MIN, FIRST);
            if destination {
                writer.be32(uapi::NAT_PORT_MIN, SECOND);
            }
        });
    }

    fn set_mark(&mut self) {
        self.load(FIRST, &BY_NODE_PORT.to_ne_bytes());
        self.add("meta", |writer| {
            writer.be32(uapi::META_KEY, uapi::META_MARK);
            writer.be32(uapi::META_SREG, FIRST);
        });
    }

    fn load(&mut self, register: u32, value: &[u8]) {
        self.add("immediate", |writer| {
            writer.be32(uapi::IMMEDIATE_DREG, register);
            writer.nest(uapi::IMMEDIATE_DATA, |writer| writer.value(element::DATA_VALUE, value));
        });
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.add("immediate", |writer| {
            writer.be32(uapi::IMMEDIATE_DREG, 0);
            writer.nest(uapi::IMMEDIATE_DATA, |writer| write_verdict(writer, verdict));
        });
    }

    fn meta(&mut self, key: u32) {
        self.add("meta", |writer| {
            writer.be32(uapi::META_KEY, key);
            writer.be32(uapi::META_DREG, FIRST);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) {
        self.add("payload", |writer| {
            writer.be32(uapi::PAYLOAD_DREG, FIRST);
            writer.be32(uapi::PAYLOAD_BASE, base);
            writer.be32(uapi::PAYLOAD_OFFSET, offset);
            writer.be32(uapi::PAYLOAD_LENGTH, length);
        });
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        self.add("cmp", |writer| {
            writer.be32(uapi::CMP_SREG, FIRST);
            writer.be32(uapi::CMP_OP, operator);
            writer.nest(uapi::CMP_DATA, |writer| writer.value(element::DATA_VALUE, value));
        });
    }
}
