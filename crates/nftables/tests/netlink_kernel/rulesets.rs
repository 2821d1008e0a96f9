//! Rulesets made by hand.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_engine::model::{Family, PortRange, Protocol};
use palisade_nftables::ruleset::{Chain, End, Expression, Key, Passing, Rule, Ruleset, Set, SetKind, Verdict};

pub(crate) fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> Key {
    Key::Address(text.parse().unwrap())
}

pub(crate) fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

pub(crate) fn jump(chain: &str) -> Verdict {
    Verdict::Jump(chain.to_owned())
}

pub(crate) fn goto(chain: &str) -> Verdict {
    Verdict::Goto(chain.to_owned())
}

pub(crate) fn set(kind: SetKind, keys: impl IntoIterator<Item = Key>) -> Set {
    Set {
        kind,
        is_map: false,
        comment: None,
        passing: None,
        elements: keys.into_iter().map(|key| (key, None)).collect(),
    }
}

/// What rules alone put elements into.
pub(crate) fn learnt(family: Family) -> Set {
    let passing = Some(Passing { seconds: 10, at_most: 1_000, by_rules: true });
    Set { passing, ..set(SetKind::Sources(family), []) }
}

pub(crate) fn map(kind: SetKind, elements: impl IntoIterator<Item = (Key, Verdict)>) -> Set {
    let elements = elements.into_iter().map(|(key, verdict)| (key, Some(verdict))).collect();
    Set { kind, is_map: true, comment: None, passing: None, elements }
}

pub(crate) fn ruleset(
    sets: impl IntoIterator<Item = (&'static str, Set)>,
    chains: impl IntoIterator<Item = (&'static str, bool, Vec<Rule>)>,
) -> Ruleset {
    Ruleset {
        sets: sets.into_iter().map(|(name, set)| (name.to_owned(), set)).collect(),
        chains: chains
            .into_iter()
            .map(|(name, is_base, rules)| (name.to_owned(), Chain { is_base, rules }))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A ruleset with every expression, kind of set and verdict.
pub(crate) fn everything() -> Ruleset {
    use Expression as E;
    let verdict = E::Verdict;
    let name = str::to_owned;
    let mut commented = map(
        SetKind::Addresses(Family::V4),
        [
            (address("10.0.0.1"), jump("profile")),
            (address("10.0.0.2"), Verdict::Accept),
            (address("10.0.0.3"), Verdict::Drop),
        ],
    );
    commented.comment = Some("local pods ö".to_owned());
    let sets = [
        ("a4", set(SetKind::Addresses(Family::V4), [address("10.0.0.1"), address("10.0.0.2")])),
        ("a6", set(SetKind::Addresses(Family::V6), [address("fd00::1")])),
        ("empty", set(SetKind::Addresses(Family::V6), [])),
        ("names6", Set { passing: Some(Passing::LEARNED), ..set(SetKind::Addresses(Family::V6), []) }),
        (
            "r4",
            set(
                SetKind::AddressRanges(Family::V4),
                [
                    Key::Range4(v4("0.0.0.0"), v4("0.255.255.255")),
                    Key::Range4(v4("10.0.0.5"), v4("10.0.0.9")),
                    Key::Range4(v4("192.0.2.7"), v4("192.0.2.7")),
                    Key::Range4(v4("255.0.0.0"), v4("255.255.255.255")),
                ],
            ),
        ),
        (
            "r6",
            set(
                SetKind::AddressRanges(Family::V6),
                [
                    Key::Range6(v6("fd00::"), v6("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
                    Key::Range6(v6("fe80::5"), v6("fe80::9")),
                ],
            ),
        ),
        ("all6", {
            let all = Key::Range6(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from_bits(u128::MAX));
            set(SetKind::AddressRanges(Family::V6), [all])
        }),
        (
            "p4",
            set(SetKind::AddressPairs(Family::V4), [Key::Pair(IpAddr::V4(v4("10.0.0.1")), IpAddr::V4(v4("10.0.0.1")))]),
        ),
        (
            "p6",
            set(SetKind::AddressPairs(Family::V6), [Key::Pair(IpAddr::V6(v6("fd00::1")), IpAddr::V6(v6("fd00::2")))]),
        ),
        ("source4", learnt(Family::V4)),
        ("source6", learnt(Family::V6)),
        ("egress4", commented),
        ("egress6", map(SetKind::Addresses(Family::V6), [(address("fd00::1"), goto("profile"))])),
        (
            "cells",
            map(
                SetKind::Ports,
                [(Key::Port(Protocol::Tcp, 80), goto("cell")), (Key::Port(Protocol::Udp, 53), Verdict::Return)],
            ),
        ),
        (
            "wide",
            map(
                SetKind::PortRanges,
                [
                    (Key::Ports(Protocol::Tcp, ports(1, 79)), goto("cell")),
                    (Key::Ports(Protocol::Tcp, ports(80, 80)), Verdict::Return),
                    (Key::Ports(Protocol::Sctp, PortRange::ALL), Verdict::Drop),
                ],
            ),
        ),
    ];
    let forward = vec![
        Rule::new([E::EstablishedOrRelated, verdict(Verdict::Accept)]),
        Rule::new([E::NewConnection, E::OneOf(7), E::Log { group: 7, prefix: "accepted".to_owned() }]),
        Rule::new([E::InterfacePrefix(name("veth")), E::SourceNotBehindInterface, E::Counter, verdict(Verdict::Drop)])
            .comment("forged source"),
        Rule::new([E::Icmpv6Types(133, 137), verdict(Verdict::Accept)]),
        Rule::new([E::PairIn(Family::V4, name("p4")), verdict(Verdict::Accept)]),
        Rule::new([E::PairIn(Family::V6, name("p6")), verdict(Verdict::Accept)]),
        Rule::new([E::AddressMap(End::Source, Family::V4, name("egress4"))]),
        Rule::new([E::AddressMap(End::Destination, Family::V6, name("egress6"))]),
    ];
    let profile = vec![
        Rule::new([E::PortMap(name("cells"))]),
        Rule::new([E::PortMap(name("wide"))]),
        Rule::new([E::Ports(Protocol::Tcp, ports(8080, 8080)), verdict(jump("cell"))]),
        Rule::new([E::Ports(Protocol::Udp, ports(0, 90)), verdict(Verdict::Return)]),
        Rule::new([E::Ports(Protocol::Sctp, PortRange::ALL), verdict(Verdict::Return)]),
        Rule::new([E::Family(Family::V4), verdict(Verdict::Return)]),
        Rule::new([E::Limit { rate: 10, burst: 20 }, E::Log { group: 7, prefix: name("denied ingress") }]),
        Rule::new([E::Counter, verdict(Verdict::Drop)]).comment("end of the profile"),
    ];
    let cell = vec![
        Rule::new([
            E::AddressIn(End::Destination, Family::V4, name("r4")),
            E::AddressNotIn(End::Destination, Family::V4, name("a4")),
            verdict(goto("last")),
        ]),
        Rule::new([E::AddressNotIn(End::Source, Family::V6, name("a6")), verdict(goto("last"))]),
        Rule::new([E::AddressIsNot(End::Source, [10, 0, 0, 1].into()), verdict(goto("last"))]),
        Rule::new([E::AddressIsNot(End::Destination, [0xfd00, 0, 0, 0, 0, 0, 0, 1].into()), verdict(goto("last"))]),
        Rule::new([E::AddressIn(End::Source, Family::V4, name("a4")), verdict(Verdict::Return)]),
        Rule::new([
            E::AddressIn(End::Source, Family::V4, name("r4")),
            E::Ports(Protocol::Tcp, ports(80, 90)),
            verdict(Verdict::Return),
        ]),
        Rule::new([E::AddressIn(End::Destination, Family::V6, name("a6")), verdict(Verdict::Return)]),
        Rule::new([E::AddressIn(End::Destination, Family::V6, name("r6")), verdict(goto("last"))]),
    ];
    let last = vec![Rule::new([E::Limit { rate: 5, burst: 5 }, E::Counter, verdict(Verdict::Drop)])];
    let source = vec![
        Rule::new([E::NeitherEstablishedNorRelated, verdict(goto("last"))]),
        Rule::new([E::SourceNotIn(Family::V4, name("source4")), E::AddSource(Family::V4, name("source4"))]),
        Rule::new([E::Family(Family::V6), E::SourceNotIn(Family::V6, name("source6")), verdict(jump("last"))]),
        Rule::new([E::AddSource(Family::V6, name("source6"))]),
    ];
    ruleset(
        sets,
        [
            ("forward", true, forward),
            ("source", false, source),
            ("profile", false, profile),
            ("cell", false, cell),
            ("last", false, last),
        ],
    )
}

pub(crate) fn many(addresses: u32, ranges: u32) -> Ruleset {
    let hosts = (0..addresses).map(|n| Key::Address(Ipv4Addr::from_bits(0x0a00_0000 + n).into()));
    let ranges = (0..ranges).map(|n| {
        let first = 0x2000_0000 + n * 16;
        Key::Range4(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(first + 7))
    });
    ruleset(
        [
            ("hosts", set(SetKind::Addresses(Family::V4), hosts)),
            ("ranges", set(SetKind::AddressRanges(Family::V4), ranges)),
        ],
        [],
    )
}
