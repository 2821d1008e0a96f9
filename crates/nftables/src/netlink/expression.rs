//! A rule as the kernel wants it: expressions that load into registers, compare and decide.
//!
//! The sequences are those that nft 1.0.6 makes of the same rule as text, so that a ruleset applied
//! from here and one loaded by `nft -f` are the same to the kernel. That includes what nft calls
//! dependencies: before it looks at a header it asks for the family or protocol, unless the rule did
//! so already.

use std::net::IpAddr;

use palisade_engine::model::{Family, PortRange};

use super::attribute::Writer;
use super::uapi::{LIST_ELEMENT, element, expression as uapi, verdict};
use crate::ruleset::{End, Expression, Verdict};

/// Registers are numbered for 16 bytes each (0 takes the verdict), and from 8 on again for 4 bytes:
/// register 1 is the same as 8 to 11.
const VERDICT_REGISTER: u32 = 0;
const FIRST: u32 = 1;
/// Four bytes into [`FIRST`].
const FIRST_AFTER_4: u32 = 9;
/// 16 bytes after [`FIRST`].
const SECOND: u32 = 2;

const ICMPV6: u8 = 58;

/// Writes the members of the list NFTA_RULE_EXPRESSIONS.
pub(super) fn write_all(writer: &mut Writer, expressions: &[Expression]) {
    let mut rule = Rule { writer, family: None, protocol: None };
    for expression in expressions {
        rule.expression(expression);
    }
}

/// Writes NFTA_DATA_VERDICT.
pub(super) fn write_verdict(writer: &mut Writer, verdict: &Verdict) {
    let code = match verdict {
        Verdict::Accept => verdict::ACCEPT,
        Verdict::Drop => verdict::DROP,
        Verdict::Return => verdict::RETURN,
        Verdict::Jump(_) => verdict::JUMP,
        Verdict::Goto(_) => verdict::GOTO,
    };
    writer.nest(element::DATA_VERDICT, |writer| {
        writer.be32(element::VERDICT_CODE, code.cast_unsigned());
        if let Some(chain) = verdict.chain() {
            writer.text(element::VERDICT_CHAIN, chain);
        }
    });
}

/// The number of a family in `meta nfproto` (NFPROTO_IPV4, NFPROTO_IPV6).
fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// Where an address is in the network header, and its length, in bytes.
fn address(end: End, family: Family) -> (u32, u32) {
    match (family, end) {
        (Family::V4, End::Source) => (12, 4),
        (Family::V4, End::Destination) => (16, 4),
        (Family::V6, End::Source) => (8, 16),
        (Family::V6, End::Destination) => (24, 16),
    }
}

/// The register behind an address in [`FIRST`].
fn after_address(family: Family) -> u32 {
    match family {
        Family::V4 => FIRST_AFTER_4,
        Family::V6 => SECOND,
    }
}

/// What a look-up is for.
#[derive(Clone, Copy)]
enum Lookup {
    /// Whether the set has the key.
    In,
    /// Whether it does not.
    NotIn,
    /// The verdict that a map has for the key.
    Verdict,
}

/// A rule being written, and what its packets are known to be by now.
struct Rule<'a> {
    writer: &'a mut Writer,
    family: Option<Family>,
    protocol: Option<u8>,
}

impl Rule<'_> {
    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::EstablishedOrRelated => {
                // ESTABLISHED is bit 1 and RELATED bit 2 (NF_CT_STATE_BIT), in the CPU's byte order.
                self.ct(uapi::CT_STATE);
                self.mask(6);
                self.compare(uapi::CMP_NEQ, &0_u32.to_ne_bytes());
            }
            Expression::NewConnection => {
                // NEW is bit 3.
                self.ct(uapi::CT_STATE);
                self.mask(8);
                self.compare(uapi::CMP_NEQ, &0_u32.to_ne_bytes());
            }
            Expression::NeitherEstablishedNorRelated => {
                // INVALID is bit 0, NEW bit 3 and UNTRACKED bit 6.
                self.ct(uapi::CT_STATE);
                self.mask(0x49);
                self.compare(uapi::CMP_NEQ, &0_u32.to_ne_bytes());
            }
            Expression::InterfacePrefix(prefix) => {
                // Every name begins with nothing, and the kernel compares at least one byte.
                if !prefix.is_empty() {
                    self.meta(uapi::META_IIFNAME, FIRST);
                    self.compare(uapi::CMP_EQ, prefix.as_bytes());
                }
            }
            Expression::SourceNotBehindInterface => {
                self.add("fib", |writer| {
                    writer.be32(uapi::FIB_FLAGS, uapi::FIB_SADDR_IIF_PRESENT);
                    writer.be32(uapi::FIB_RESULT, uapi::FIB_OIF);
                    writer.be32(uapi::FIB_DREG, FIRST);
                });
                // The whole register, as nft does it.
                self.compare(uapi::CMP_EQ, &0_u32.to_ne_bytes());
            }
            Expression::SourceNotIn(family, set) => {
                self.source(*family);
                self.lookup(set, Lookup::NotIn);
            }
            Expression::AddSource(family, set) => {
                self.source(*family);
                self.add("dynset", |writer| {
                    writer.text(uapi::DYNSET_SET, set);
                    writer.be32(uapi::DYNSET_OP, uapi::DYNSET_ADD);
                    writer.be32(uapi::DYNSET_SREG_KEY, FIRST);
                });
            }
            Expression::Family(family) => self.ask_family(*family),
            Expression::Icmpv6Types(first, last) => {
                self.need_family(Family::V6);
                self.need_protocol(ICMPV6);
                self.payload(uapi::BASE_TRANSPORT, 0, 1, FIRST);
                self.between(first == last, &[*first], &[*last]);
            }
            Expression::Ports(protocol, range) if *range == PortRange::ALL => self.ask_protocol(protocol.number()),
            Expression::Ports(protocol, range) => {
                self.need_protocol(protocol.number());
                self.payload(uapi::BASE_TRANSPORT, 2, 2, FIRST);
                let (first, last) = (range.first().to_be_bytes(), range.last().to_be_bytes());
                self.between(first == last, &first, &last);
            }
            Expression::AddressIn(end, family, set) => {
                self.address(*end, *family, FIRST);
                self.lookup(set, Lookup::In);
            }
            Expression::AddressNotIn(end, family, set) => {
                self.address(*end, *family, FIRST);
                self.lookup(set, Lookup::NotIn);
            }
            Expression::AddressIsNot(end, other) => {
                self.address(*end, Family::of(*other), FIRST);
                match other {
                    IpAddr::V4(other) => self.compare(uapi::CMP_NEQ, &other.octets()),
                    IpAddr::V6(other) => self.compare(uapi::CMP_NEQ, &other.octets()),
                }
            }
            Expression::PairIn(family, set) => {
                self.address(End::Source, *family, FIRST);
                self.address(End::Destination, *family, after_address(*family));
                self.lookup(set, Lookup::In);
            }
            Expression::AddressMap(end, family, map) => {
                self.address(*end, *family, FIRST);
                self.lookup(map, Lookup::Verdict);
            }
            Expression::PortMap(map) => {
                self.meta(uapi::META_L4PROTO, FIRST);
                self.payload(uapi::BASE_TRANSPORT, 2, 2, FIRST_AFTER_4);
                self.lookup(map, Lookup::Verdict);
            }
            Expression::Limit { rate, burst } => self.add("limit", |writer| {
                writer.be64(uapi::LIMIT_RATE, u64::from(*rate));
                // In seconds.
                writer.be64(uapi::LIMIT_UNIT, 1);
                writer.be32(uapi::LIMIT_BURST, *burst);
                // NFT_LIMIT_PKTS, and not inverted.
                writer.be32(uapi::LIMIT_TYPE, 0);
                writer.be32(uapi::LIMIT_FLAGS, 0);
            }),
            Expression::OneOf(number) => {
                self.add("numgen", |writer| {
                    writer.be32(uapi::NUMGEN_DREG, FIRST);
                    writer.be32(uapi::NUMGEN_MODULUS, *number);
                    writer.be32(uapi::NUMGEN_TYPE, uapi::NUMGEN_RANDOM);
                    writer.be32(uapi::NUMGEN_OFFSET, 0);
                });
                self.compare(uapi::CMP_EQ, &0_u32.to_ne_bytes());
            }
            Expression::Counter => self.add("counter", |_| ()),
            Expression::Log { group, prefix } => self.add("log", |writer| {
                if !prefix.is_empty() {
                    writer.text(uapi::LOG_PREFIX, prefix);
                }
                writer.be16(uapi::LOG_GROUP, *group);
            }),
            Expression::Verdict(verdict) => self.add("immediate", |writer| {
                writer.be32(uapi::IMMEDIATE_DREG, VERDICT_REGISTER);
                writer.nest(uapi::IMMEDIATE_DATA, |writer| write_verdict(writer, verdict));
            }),
        }
    }

    /// One member of the list. The kernel wants its name before its data.
    fn add(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.writer.nest(LIST_ELEMENT, |writer| {
            writer.text(uapi::NAME, name);
            writer.nest(uapi::DATA, data);
        });
    }

    fn need_family(&mut self, family: Family) {
        if self.family != Some(family) {
            self.ask_family(family);
        }
    }

    fn ask_family(&mut self, family: Family) {
        self.meta(uapi::META_NFPROTO, FIRST);
        self.compare(uapi::CMP_EQ, &[nfproto(family)]);
        self.family = Some(family);
    }

    fn need_protocol(&mut self, protocol: u8) {
        if self.protocol != Some(protocol) {
            self.ask_protocol(protocol);
        }
    }

    fn ask_protocol(&mut self, protocol: u8) {
        self.meta(uapi::META_L4PROTO, FIRST);
        self.compare(uapi::CMP_EQ, &[protocol]);
        self.protocol = Some(protocol);
    }

    fn address(&mut self, end: End, family: Family, register: u32) {
        self.need_family(family);
        let (offset, length) = address(end, family);
        self.payload(uapi::BASE_NETWORK, offset, length, register);
    }

    /// The source and the interface it came by, one after the other.
    fn source(&mut self, family: Family) {
        self.address(End::Source, family, FIRST);
        self.meta(uapi::META_IIF, after_address(family));
    }

    fn meta(&mut self, key: u32, register: u32) {
        self.add("meta", |writer| {
            writer.be32(uapi::META_KEY, key);
            writer.be32(uapi::META_DREG, register);
        });
    }

    fn ct(&mut self, key: u32) {
        self.add("ct", |writer| {
            writer.be32(uapi::CT_KEY, key);
            writer.be32(uapi::CT_DREG, FIRST);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) {
        self.add("payload", |writer| {
            writer.be32(uapi::PAYLOAD_DREG, register);
            writer.be32(uapi::PAYLOAD_BASE, base);
            writer.be32(uapi::PAYLOAD_OFFSET, offset);
            writer.be32(uapi::PAYLOAD_LENGTH, length);
        });
    }

    /// Keeps the bits of a mask; register data is in the CPU's byte order here.
    fn mask(&mut self, mask: u32) {
        self.add("bitwise", |writer| {
            writer.be32(uapi::BITWISE_SREG, FIRST);
            writer.be32(uapi::BITWISE_DREG, FIRST);
            writer.be32(uapi::BITWISE_LENGTH, 4);
            writer.be32(uapi::BITWISE_OP, 0);
            writer.nest(uapi::BITWISE_MASK, |writer| writer.value(element::DATA_VALUE, &mask.to_ne_bytes()));
            writer.nest(uapi::BITWISE_XOR, |writer| writer.value(element::DATA_VALUE, &[0; 4]));
        });
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        self.add("cmp", |writer| {
            writer.be32(uapi::CMP_SREG, FIRST);
            writer.be32(uapi::CMP_OP, operator);
            writer.nest(uapi::CMP_DATA, |writer| writer.value(element::DATA_VALUE, value));
        });
    }

    fn between(&mut self, one: bool, first: &[u8], last: &[u8]) {
        if one {
            self.compare(uapi::CMP_EQ, first);
        } else {
            self.compare(uapi::CMP_GTE, first);
            self.compare(uapi::CMP_LTE, last);
        }
    }

    fn lookup(&mut self, set: &str, lookup: Lookup) {
        self.add("lookup", |writer| {
            writer.text(uapi::LOOKUP_SET, set);
            writer.be32(uapi::LOOKUP_SREG, FIRST);
            match lookup {
                Lookup::In => {}
                Lookup::NotIn => writer.be32(uapi::LOOKUP_FLAGS, uapi::LOOKUP_INVERTED),
                // A destination register, also 0, makes it a look-up of data.
                Lookup::Verdict => writer.be32(uapi::LOOKUP_DREG, VERDICT_REGISTER),
            }
        });
    }
}
