//! Small tables that are replaced as a whole, in one transaction, so that no packet finds half of one.
//!
//! Not through [`Change`](crate::difference::Change): these are tens of rules, and nothing of them belongs into
//! what is planned, compared and interpreted.

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

pub(super) const FIRST: u32 = 1;
pub(super) const SECOND: u32 = 2;

impl Kernel {
    /// Puts a table in the place of the one of that name, filled by `write`; an empty one is none.
    ///
    /// # Errors
    /// When the kernel refuses; the one before stays in force then.
    pub(super) fn replace_table(
        &mut self,
        name: &'static str,
        write: Option<&dyn Fn(&mut Batch)>,
    ) -> Result<(), ApplyError> {
        let first = self.next_sequence();
        let mut batch = Batch { table: name, writer: Writer::default(), first, said: Vec::new() };
        batch_mark(&mut batch.writer, nfnetlink::BATCH_BEGIN, 0, batch.first);
        // Deleting what is not there is an error, so it is made first.
        let name_it = |writer: &mut Writer| writer.text(table::NAME, name);
        batch.add(request::NEW_TABLE, netlink::CREATE, format!("replace table inet {name}"), name_it);
        batch.add(request::DELETE_TABLE, 0, format!("replace table inet {name}"), name_it);
        if let Some(write) = write {
            batch.add(request::NEW_TABLE, netlink::CREATE, format!("replace table inet {name}"), name_it);
            write(&mut batch);
        }
        let end = batch.first.wrapping_add(u32::try_from(batch.said.len()).unwrap_or(u32::MAX)).wrapping_add(1);
        batch_mark(&mut batch.writer, nfnetlink::BATCH_END, netlink::ACK, end);
        self.set_sequence(end.wrapping_add(1));
        if let Some(why) = batch.writer.take_fault() {
            return Err(ApplyError::NotEncodable { change: format!("write table inet {name}"), why });
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
                        change: said.cloned().unwrap_or_else(|| format!("replace table inet {}", batch.table)),
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
pub(super) struct Batch {
    table: &'static str,
    writer: Writer,
    first: u32,
    said: Vec<String>,
}

impl Batch {
    pub(super) fn add(&mut self, request: u16, flags: u16, said: String, content: impl FnOnce(&mut Writer)) {
        self.said.push(said);
        let position = u32::try_from(self.said.len()).unwrap_or(u32::MAX);
        message(&mut self.writer, request, flags, self.first.wrapping_add(position), content);
    }

    /// A chain of this type, entered at a hook with a priority; `None`: other chains enter it.
    pub(super) fn chain(&mut self, name: &str, entry: Option<(&str, u32, i32)>) {
        let table = self.table;
        self.add(request::NEW_CHAIN, netlink::CREATE, format!("add chain {name} of table inet {table}"), |writer| {
            writer.text(chain::TABLE, table);
            writer.text(chain::NAME, name);
            if let Some((kind, number, priority)) = entry {
                writer.nest(chain::HOOK, |writer| {
                    writer.be32(chain::HOOK_NUMBER, number);
                    writer.be32(chain::HOOK_PRIORITY, priority.cast_unsigned());
                });
                writer.be32(chain::POLICY, chain::POLICY_ACCEPT);
                writer.text(chain::TYPE, kind);
            }
        });
    }

    pub(super) fn rule(&mut self, of: &str, comment: &str, content: impl FnOnce(&mut Rule<'_>)) {
        let table = self.table;
        let said = format!("add rule \"{comment}\" to chain {of} of table inet {table}");
        self.add(request::NEW_RULE, netlink::CREATE | netlink::APPEND, said, |writer| {
            writer.text(rule::TABLE, table);
            writer.text(rule::CHAIN, of);
            writer.nest(rule::EXPRESSIONS, |writer| content(&mut Rule { writer }));
            writer.comment(rule::USERDATA, rule::COMMENT, comment);
        });
    }
}

/// The expressions of a rule.
pub(super) struct Rule<'a> {
    writer: &'a mut Writer,
}

impl Rule<'_> {
    pub(super) fn add(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.writer.nest(LIST_ELEMENT, |writer| {
            writer.text(uapi::NAME, name);
            writer.nest(uapi::DATA, data);
        });
    }

    pub(super) fn of_family(&mut self, family: Family) {
        self.meta(uapi::META_NFPROTO);
        // NFPROTO_IPV4, NFPROTO_IPV6.
        self.compare(uapi::CMP_EQ, &[if family == Family::V4 { 2 } else { 10 }]);
    }

    /// The packet's source or destination; its family is known by then.
    pub(super) fn is_at(&mut self, address: std::net::IpAddr, source: bool) {
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

    pub(super) fn one_in(&mut self, count: u32) {
        self.add("numgen", |writer| {
            writer.be32(uapi::NUMGEN_DREG, FIRST);
            writer.be32(uapi::NUMGEN_MODULUS, count);
            writer.be32(uapi::NUMGEN_TYPE, uapi::NUMGEN_RANDOM);
            writer.be32(uapi::NUMGEN_OFFSET, 0);
        });
        self.compare(uapi::CMP_EQ, &0_u32.to_ne_bytes());
    }

    /// Loads an address for [`nat`](Self::nat).
    pub(super) fn address(&mut self, address: std::net::IpAddr) {
        match address {
            std::net::IpAddr::V4(v4) => self.load(FIRST, &v4.octets()),
            std::net::IpAddr::V6(v6) => self.load(FIRST, &v6.octets()),
        }
    }

    /// To the loaded address, and for a destination the loaded port.
    pub(super) fn nat(&mut self, destination: bool, family: Family) {
        self.add("nat", |writer| {
            writer.be32(uapi::NAT_TYPE, u32::from(destination));
            writer.be32(uapi::NAT_FAMILY, if family == Family::V4 { 2 } else { 10 });
            writer.be32(uapi::NAT_ADDRESS_MIN, FIRST);
            if destination {
                writer.be32(uapi::NAT_PORT_MIN, SECOND);
            }
        });
    }

    pub(super) fn ct(&mut self, key: u32) {
        self.add("ct", |writer| {
            writer.be32(uapi::CT_KEY, key);
            writer.be32(uapi::CT_DREG, FIRST);
        });
    }

    pub(super) fn look_up(&mut self, set: &str) {
        self.add("lookup", |writer| {
            writer.text(uapi::LOOKUP_SET, set);
            writer.be32(uapi::LOOKUP_SREG, FIRST);
        });
    }

    /// Keeps the bits of a mask.
    pub(super) fn mask(&mut self, mask: u32) {
        self.bitwise(mask, 0);
    }

    /// Puts other bits in the place of those of a mask.
    pub(super) fn replace_bits(&mut self, mask: u32, bits: u32) {
        self.bitwise(!mask, bits);
    }

    fn bitwise(&mut self, keep: u32, flip: u32) {
        self.add("bitwise", |writer| {
            writer.be32(uapi::BITWISE_SREG, FIRST);
            writer.be32(uapi::BITWISE_DREG, FIRST);
            writer.be32(uapi::BITWISE_LENGTH, 4);
            writer.be32(uapi::BITWISE_OP, 0);
            writer.nest(uapi::BITWISE_MASK, |writer| writer.value(element::DATA_VALUE, &keep.to_ne_bytes()));
            writer.nest(uapi::BITWISE_XOR, |writer| writer.value(element::DATA_VALUE, &flip.to_ne_bytes()));
        });
    }

    /// Sets the packet's mark to what the first register has.
    pub(super) fn set_mark(&mut self) {
        self.add("meta", |writer| {
            writer.be32(uapi::META_KEY, uapi::META_MARK);
            writer.be32(uapi::META_SREG, FIRST);
        });
    }

    pub(super) fn load(&mut self, register: u32, value: &[u8]) {
        self.add("immediate", |writer| {
            writer.be32(uapi::IMMEDIATE_DREG, register);
            writer.nest(uapi::IMMEDIATE_DATA, |writer| writer.value(element::DATA_VALUE, value));
        });
    }

    pub(super) fn verdict(&mut self, verdict: &Verdict) {
        self.add("immediate", |writer| {
            writer.be32(uapi::IMMEDIATE_DREG, 0);
            writer.nest(uapi::IMMEDIATE_DATA, |writer| write_verdict(writer, verdict));
        });
    }

    pub(super) fn meta(&mut self, key: u32) {
        self.add("meta", |writer| {
            writer.be32(uapi::META_KEY, key);
            writer.be32(uapi::META_DREG, FIRST);
        });
    }

    pub(super) fn payload(&mut self, base: u32, offset: u32, length: u32) {
        self.add("payload", |writer| {
            writer.be32(uapi::PAYLOAD_DREG, FIRST);
            writer.be32(uapi::PAYLOAD_BASE, base);
            writer.be32(uapi::PAYLOAD_OFFSET, offset);
            writer.be32(uapi::PAYLOAD_LENGTH, length);
        });
    }

    pub(super) fn compare(&mut self, operator: u32, value: &[u8]) {
        self.add("cmp", |writer| {
            writer.be32(uapi::CMP_SREG, FIRST);
            writer.be32(uapi::CMP_OP, operator);
            writer.nest(uapi::CMP_DATA, |writer| writer.value(element::DATA_VALUE, value));
        });
    }
}
