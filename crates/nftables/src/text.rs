//! A ruleset in nft's own syntax: for people, and for `nft -f`.

use std::fmt::Write as _;

use palisade_engine::model::{Family, PortRange};

use crate::ruleset::{Chain, End, Expression, Key, Passing, Rule, Ruleset, Set, SetKind, TABLE, Verdict};

/// The whole table. `nft -f` adds it to what there is of the table; to replace that, put
/// `table inet palisade; delete table inet palisade` in front.
pub fn render(ruleset: &Ruleset) -> String {
    let mut text = format!("table inet {TABLE} {{\n");
    for (name, set) in &ruleset.sets {
        self::set(&mut text, name, set);
    }
    for (name, chain) in &ruleset.chains {
        self::chain(&mut text, name, chain);
    }
    text.push_str("}\n");
    text
}

/// One rule.
pub fn rule(rule: &Rule) -> String {
    let mut text = rule.expressions.iter().map(expression).collect::<Vec<_>>().join(" ");
    if let Some(comment) = &rule.comment {
        // Writing to a String does not fail.
        _ = write!(text, " comment {}", quoted(comment));
    }
    text
}

fn set(text: &mut String, name: &str, set: &Set) {
    let word = if set.is_map { "map" } else { "set" };
    let verdict = if set.is_map { " : verdict" } else { "" };
    let (key, interval) = match set.kind {
        SetKind::Addresses(family) => (address_type(family).to_owned(), false),
        SetKind::AddressRanges(family) => (address_type(family).to_owned(), true),
        SetKind::AddressPairs(family) => (format!("{0} . {0}", address_type(family)), false),
        SetKind::Sources(family) => (format!("{} . iface_index", address_type(family)), false),
        SetKind::Ports => ("inet_proto . inet_service".to_owned(), false),
        SetKind::PortRanges => ("inet_proto . inet_service".to_owned(), true),
    };
    _ = writeln!(text, "\t{word} {name} {{\n\t\ttype {key}{verdict}");
    if interval {
        text.push_str("\t\tflags interval\n");
    }
    if let Some(Passing { seconds, at_most, by_rules }) = set.passing {
        if at_most > 0 {
            _ = writeln!(text, "\t\tsize {at_most}");
        }
        _ = writeln!(text, "\t\tflags {}timeout", if by_rules { "dynamic," } else { "" });
        if seconds > 0 {
            _ = writeln!(text, "\t\ttimeout {seconds}s");
        }
    }
    if let Some(comment) = &set.comment {
        _ = writeln!(text, "\t\tcomment {}", quoted(comment));
    }
    if !set.elements.is_empty() {
        let elements: Vec<String> = set.elements.iter().map(|(key, verdict)| element(key, verdict.as_ref())).collect();
        _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "));
    }
    text.push_str("\t}\n");
}

fn chain(text: &mut String, name: &str, chain: &Chain) {
    _ = writeln!(text, "\tchain {name} {{");
    if chain.is_base {
        text.push_str("\t\ttype filter hook forward priority filter; policy accept;\n");
    }
    for line in &chain.rules {
        _ = writeln!(text, "\t\t{}", rule(line));
    }
    text.push_str("\t}\n");
}

fn element(key: &Key, verdict: Option<&Verdict>) -> String {
    let key = match key {
        Key::Address(address) => address.to_string(),
        Key::Range4(first, last) if first == last => first.to_string(),
        Key::Range4(first, last) => format!("{first}-{last}"),
        Key::Range6(first, last) if first == last => first.to_string(),
        Key::Range6(first, last) => format!("{first}-{last}"),
        Key::Pair(source, destination) => format!("{source} . {destination}"),
        Key::Port(protocol, port) => format!("{} . {port}", protocol.name().to_lowercase()),
        Key::Ports(protocol, range) => format!("{} . {range}", protocol.name().to_lowercase()),
    };
    match verdict {
        Some(verdict) => format!("{key} : {verdict}"),
        None => key,
    }
}

fn expression(expression: &Expression) -> String {
    match expression {
        Expression::EstablishedOrRelated => "ct state established,related".to_owned(),
        Expression::NeitherEstablishedNorRelated => "ct state invalid,new,untracked".to_owned(),
        Expression::NewConnection => "ct state new".to_owned(),
        Expression::InterfacePrefix(prefix) => format!("iifname \"{prefix}*\""),
        Expression::SourceNotBehindInterface => "fib saddr . iif oif missing".to_owned(),
        Expression::SourceNotIn(family, set) => format!("{} . iif != @{set}", address(End::Source, *family)),
        Expression::AddSource(family, set) => format!("add @{set} {{ {} . iif }}", address(End::Source, *family)),
        Expression::Family(family) => format!("meta nfproto {}", family.to_string().to_lowercase()),
        Expression::Icmpv6Types(first, last) if first == last => format!("icmpv6 type {first}"),
        Expression::Icmpv6Types(first, last) => format!("icmpv6 type {first}-{last}"),
        Expression::Ports(protocol, range) if *range == PortRange::ALL => {
            format!("meta l4proto {}", protocol.name().to_lowercase())
        }
        Expression::Ports(protocol, range) => format!("{} dport {range}", protocol.name().to_lowercase()),
        Expression::AddressIn(end, family, set) => format!("{} @{set}", address(*end, *family)),
        Expression::AddressNotIn(end, family, set) => format!("{} != @{set}", address(*end, *family)),
        Expression::AddressIsNot(end, other) => format!("{} != {other}", address(*end, Family::of(*other))),
        Expression::PairIn(family, set) => {
            format!("{} . {} @{set}", address(End::Source, *family), address(End::Destination, *family))
        }
        Expression::AddressMap(end, family, map) => format!("{} vmap @{map}", address(*end, *family)),
        Expression::PortMap(map) => format!("meta l4proto . th dport vmap @{map}"),
        Expression::Limit { rate, burst } => format!("limit rate {rate}/second burst {burst} packets"),
        Expression::OneOf(number) => format!("numgen random mod {number} 0"),
        Expression::Counter => "counter".to_owned(),
        Expression::Log { group, prefix } => format!("log prefix {} group {group}", quoted(prefix)),
        Expression::Verdict(verdict) => verdict.to_string(),
    }
}

fn address(end: End, family: Family) -> &'static str {
    match (family, end) {
        (Family::V4, End::Source) => "ip saddr",
        (Family::V4, End::Destination) => "ip daddr",
        (Family::V6, End::Source) => "ip6 saddr",
        (Family::V6, End::Destination) => "ip6 daddr",
    }
}

fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

/// nft knows no escapes inside quotes: what would end them is left out.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\\', '\n'], ""))
}
