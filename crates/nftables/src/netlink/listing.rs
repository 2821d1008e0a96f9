//! The expressions of a rule in the notation of `nft --debug=netlink`: for tests, for comparing what
//! the kernel has with what it should have, and for naming the part of a rule that was refused.

use super::attribute::{Attributes, attributes};
use super::uapi::{LIST_ELEMENT, element, expression as uapi, verdict};
use crate::ruleset::Verdict;

/// One line for each member of a list NFTA_RULE_EXPRESSIONS. What a counter counted is left out.
pub(super) fn lines(expressions: &[u8]) -> Vec<String> {
    attributes(expressions)
        .filter(|member| member.kind == LIST_ELEMENT)
        .map(|member| line(&attributes(member.value)))
        .collect()
}

/// How many bytes each comparison looks at, which the lines do not show: `"veth"` and `"veth*"` look alike.
pub(super) fn widths(expressions: &[u8]) -> Vec<usize> {
    attributes(expressions)
        .filter_map(|member| {
            let expression = attributes(member.value);
            let is_comparison = expression.text(uapi::NAME).as_deref() == Some("cmp");
            let data = expression.nested(uapi::DATA).nested(uapi::CMP_DATA);
            is_comparison.then(|| data.get(element::DATA_VALUE).map_or(0, <[u8]>::len))
        })
        .collect()
}

/// One expression.
pub(super) fn line(expression: &Attributes<'_>) -> String {
    let name = expression.text(uapi::NAME).unwrap_or_default();
    let data = expression.nested(uapi::DATA);
    let words = match name.as_str() {
        "meta" => meta(&data),
        "ct" => ct(&data),
        "payload" => payload(&data),
        "bitwise" => bitwise(&data),
        "cmp" => cmp(&data),
        "lookup" => lookup(&data),
        "immediate" => immediate(&data),
        "dynset" => dynset(&data),
        "fib" => fib(&data),
        "limit" => limit(&data),
        "numgen" => numgen(&data),
        "counter" => Some("counter".to_owned()),
        "log" => log(&data),
        _ => None,
    };
    // What this module does not know is shown raw, so that it differs from all that it knows.
    let words = words.unwrap_or_else(|| format!("{name} {:02x?}", expression.get(uapi::DATA).unwrap_or_default()));
    format!("[ {words} ]")
}

/// The bytes and packets that the first counter of a list NFTA_RULE_EXPRESSIONS counted.
pub(super) fn counted(expressions: &[u8]) -> Option<(u64, u64)> {
    attributes(expressions).filter(|member| member.kind == LIST_ELEMENT).find_map(|member| {
        let expression = attributes(member.value);
        let data = expression.nested(uapi::DATA);
        (expression.text(uapi::NAME).as_deref() == Some("counter"))
            .then(|| data.be64(uapi::COUNTER_BYTES).zip(data.be64(uapi::COUNTER_PACKETS)))
            .flatten()
    })
}

/// What NFTA_DATA_VERDICT decides; `None` for a verdict that this crate never writes.
pub(super) fn verdict(data: &Attributes<'_>) -> Option<Verdict> {
    let nested = data.nested(element::DATA_VERDICT);
    let chain = || nested.text(element::VERDICT_CHAIN);
    match nested.be32(element::VERDICT_CODE)?.cast_signed() {
        verdict::ACCEPT => Some(Verdict::Accept),
        verdict::DROP => Some(Verdict::Drop),
        verdict::RETURN => Some(Verdict::Return),
        verdict::JUMP => chain().map(Verdict::Jump),
        verdict::GOTO => chain().map(Verdict::Goto),
        _ => None,
    }
}

fn meta(data: &Attributes<'_>) -> Option<String> {
    let key = match data.be32(uapi::META_KEY)? {
        uapi::META_IIF => "iif",
        uapi::META_IIFNAME => "iifname",
        uapi::META_NFPROTO => "nfproto",
        uapi::META_L4PROTO => "l4proto",
        _ => return None,
    };
    Some(format!("meta load {key} => reg {}", data.be32(uapi::META_DREG)?))
}

fn ct(data: &Attributes<'_>) -> Option<String> {
    let key = match data.be32(uapi::CT_KEY)? {
        uapi::CT_STATE => "state",
        uapi::CT_MARK => "mark",
        _ => return None,
    };
    Some(format!("ct load {key} => reg {}", data.be32(uapi::CT_DREG)?))
}

fn payload(data: &Attributes<'_>) -> Option<String> {
    let base = match data.be32(uapi::PAYLOAD_BASE)? {
        uapi::BASE_NETWORK => "network",
        uapi::BASE_TRANSPORT => "transport",
        _ => return None,
    };
    let (length, offset) = (data.be32(uapi::PAYLOAD_LENGTH)?, data.be32(uapi::PAYLOAD_OFFSET)?);
    Some(format!("payload load {length}b @ {base} header + {offset} => reg {}", data.be32(uapi::PAYLOAD_DREG)?))
}

fn bitwise(data: &Attributes<'_>) -> Option<String> {
    if data.be32(uapi::BITWISE_OP).unwrap_or(0) != 0 {
        return None;
    }
    let mask = words(data.nested(uapi::BITWISE_MASK).get(element::DATA_VALUE)?);
    let xor = words(data.nested(uapi::BITWISE_XOR).get(element::DATA_VALUE)?);
    let (to, from) = (data.be32(uapi::BITWISE_DREG)?, data.be32(uapi::BITWISE_SREG)?);
    Some(format!("bitwise reg {to} = ( reg {from} & {mask} ) ^ {xor}"))
}

fn cmp(data: &Attributes<'_>) -> Option<String> {
    let operator = match data.be32(uapi::CMP_OP)? {
        uapi::CMP_EQ => "eq",
        uapi::CMP_NEQ => "neq",
        uapi::CMP_LTE => "lte",
        uapi::CMP_GTE => "gte",
        _ => return None,
    };
    let value = words(data.nested(uapi::CMP_DATA).get(element::DATA_VALUE)?);
    Some(format!("cmp {operator} reg {} {value}", data.be32(uapi::CMP_SREG)?))
}

fn lookup(data: &Attributes<'_>) -> Option<String> {
    let target = data.be32(uapi::LOOKUP_DREG).map(|register| format!(" dreg {register}")).unwrap_or_default();
    let inverted = match data.be32(uapi::LOOKUP_FLAGS).unwrap_or(0) {
        0 => "",
        uapi::LOOKUP_INVERTED => " 0x1",
        _ => return None,
    };
    let (register, set) = (data.be32(uapi::LOOKUP_SREG)?, data.text(uapi::LOOKUP_SET)?);
    Some(format!("lookup reg {register} set {set}{target}{inverted}"))
}

fn immediate(data: &Attributes<'_>) -> Option<String> {
    let register = data.be32(uapi::IMMEDIATE_DREG)?;
    let words = match verdict(&data.nested(uapi::IMMEDIATE_DATA))? {
        Verdict::Jump(chain) => format!("jump -> {chain}"),
        Verdict::Goto(chain) => format!("goto -> {chain}"),
        verdict => verdict.to_string(),
    };
    Some(format!("immediate reg {register} {words}"))
}

fn dynset(data: &Attributes<'_>) -> Option<String> {
    let (register, set) = (data.be32(uapi::DYNSET_SREG_KEY)?, data.text(uapi::DYNSET_SET)?);
    (data.be32(uapi::DYNSET_OP)? == uapi::DYNSET_ADD).then(|| format!("dynset add reg_key {register} set {set}"))
}

fn fib(data: &Attributes<'_>) -> Option<String> {
    let ours =
        data.be32(uapi::FIB_FLAGS)? == uapi::FIB_SADDR_IIF_PRESENT && data.be32(uapi::FIB_RESULT)? == uapi::FIB_OIF;
    let register = data.be32(uapi::FIB_DREG)?;
    ours.then(|| format!("fib saddr . iif oif present => reg {register}"))
}

fn limit(data: &Attributes<'_>) -> Option<String> {
    let kind = match data.be32(uapi::LIMIT_TYPE)? {
        0 => "packets",
        _ => return None,
    };
    let unit = match data.be64(uapi::LIMIT_UNIT)? {
        1 => "second",
        _ => return None,
    };
    let (rate, burst) = (data.be64(uapi::LIMIT_RATE)?, data.be32(uapi::LIMIT_BURST)?);
    let flags = data.be32(uapi::LIMIT_FLAGS).unwrap_or(0);
    Some(format!("limit rate {rate}/{unit} burst {burst} type {kind} flags {flags:#x}"))
}

fn numgen(data: &Attributes<'_>) -> Option<String> {
    let ours = data.be32(uapi::NUMGEN_TYPE)? == uapi::NUMGEN_RANDOM && data.be32(uapi::NUMGEN_OFFSET).unwrap_or(0) == 0;
    let (register, modulus) = (data.be32(uapi::NUMGEN_DREG)?, data.be32(uapi::NUMGEN_MODULUS)?);
    ours.then(|| format!("numgen reg {register} = random mod {modulus}"))
}

fn log(data: &Attributes<'_>) -> Option<String> {
    let prefix = data.text(uapi::LOG_PREFIX).map(|prefix| format!("prefix {prefix} ")).unwrap_or_default();
    let (snaplen, threshold) =
        (data.be32(uapi::LOG_SNAPLEN).unwrap_or(0), data.be16(uapi::LOG_QTHRESHOLD).unwrap_or(0));
    Some(format!("log {prefix}group {} snaplen {snaplen} qthreshold {threshold}", data.be16(uapi::LOG_GROUP)?))
}

/// Register data as native words of four bytes, the last filled up with zeros.
fn words(value: &[u8]) -> String {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        format!("{:#010x}", u32::from_ne_bytes(word))
    };
    value.chunks(4).map(word).collect::<Vec<_>>().join(" ")
}
