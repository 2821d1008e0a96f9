//! Our bytes against what `nft --debug=netlink` (1.0.6) shows for the same rule as text, and against
//! the reading of another implementation.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_core::NetlinkMessage;
use netlink_packet_netfilter::NetfilterMessage;
use palisade_engine::model::{Family, PortRange, Protocol};

use super::attribute::{Writer, attributes};
use super::batch::tests::cut;
use super::element::{Reader, members, write as write_element};
use super::listing;
use super::snapshot::rule_listing;
use super::uapi::{self, request};
use crate::difference::Difference;
use crate::ruleset::{Chain, End, Expression, Key, Rule, Ruleset, Set, SetKind, Verdict};

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn drop_verdict() -> Expression {
    Expression::Verdict(Verdict::Drop)
}

/// The rule as nft text, its expressions here, and what nft makes of the text.
type Golden = (&'static str, Vec<Expression>, &'static [&'static str]);

fn golden() -> Vec<Golden> {
    vec![
        (
            "ct state established,related accept",
            vec![Expression::EstablishedOrRelated, Expression::Verdict(Verdict::Accept)],
            &[
                "[ ct load state => reg 1 ]",
                "[ bitwise reg 1 = ( reg 1 & 0x00000006 ) ^ 0x00000000 ]",
                "[ cmp neq reg 1 0x00000000 ]",
                "[ immediate reg 0 accept ]",
            ],
        ),
        (
            "ct state invalid,new,untracked goto c1",
            vec![Expression::NeitherEstablishedNorRelated, Expression::Verdict(Verdict::Goto("c1".to_owned()))],
            &[
                "[ ct load state => reg 1 ]",
                "[ bitwise reg 1 = ( reg 1 & 0x00000049 ) ^ 0x00000000 ]",
                "[ cmp neq reg 1 0x00000000 ]",
                "[ immediate reg 0 goto -> c1 ]",
            ],
        ),
        (
            "meta nfproto ipv6 iifname \"pod*\" ip6 saddr . iif != @sources6 jump source",
            vec![
                Expression::Family(Family::V6),
                Expression::InterfacePrefix("pod".to_owned()),
                Expression::SourceNotIn(Family::V6, "sources6".to_owned()),
                Expression::Verdict(Verdict::Jump("source".to_owned())),
            ],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x0000000a ]",
                "[ meta load iifname => reg 1 ]",
                "[ cmp eq reg 1 0x00646f70 ]",
                "[ payload load 16b @ network header + 8 => reg 1 ]",
                "[ meta load iif => reg 2 ]",
                "[ lookup reg 1 set sources6 0x1 ]",
                "[ immediate reg 0 jump -> source ]",
            ],
        ),
        (
            "add @sources4 { ip saddr . iif }",
            vec![Expression::AddSource(Family::V4, "sources4".to_owned())],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ meta load iif => reg 9 ]",
                "[ dynset add reg_key 1 set sources4 ]",
            ],
        ),
        (
            "iifname \"veth*\" fib saddr . iif oif missing drop",
            vec![Expression::InterfacePrefix("veth".to_owned()), Expression::SourceNotBehindInterface, drop_verdict()],
            &[
                "[ meta load iifname => reg 1 ]",
                "[ cmp eq reg 1 0x68746576 ]",
                "[ fib saddr . iif oif present => reg 1 ]",
                "[ cmp eq reg 1 0x00000000 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "meta nfproto ipv6 icmpv6 type 133-137 drop",
            vec![Expression::Family(Family::V6), Expression::Icmpv6Types(133, 137), drop_verdict()],
            ICMPV6,
        ),
        ("icmpv6 type 133-137 drop", vec![Expression::Icmpv6Types(133, 137), drop_verdict()], ICMPV6),
        (
            "tcp dport 80 drop",
            vec![Expression::Ports(Protocol::Tcp, range(80, 80)), drop_verdict()],
            &[
                "[ meta load l4proto => reg 1 ]",
                "[ cmp eq reg 1 0x00000006 ]",
                "[ payload load 2b @ transport header + 2 => reg 1 ]",
                "[ cmp eq reg 1 0x00005000 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "sctp dport 0-90 drop",
            vec![Expression::Ports(Protocol::Sctp, range(0, 90)), drop_verdict()],
            &[
                "[ meta load l4proto => reg 1 ]",
                "[ cmp eq reg 1 0x00000084 ]",
                "[ payload load 2b @ transport header + 2 => reg 1 ]",
                "[ cmp gte reg 1 0x00000000 ]",
                "[ cmp lte reg 1 0x00005a00 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "meta l4proto udp drop",
            vec![Expression::Ports(Protocol::Udp, PortRange::ALL), drop_verdict()],
            &["[ meta load l4proto => reg 1 ]", "[ cmp eq reg 1 0x00000011 ]", "[ immediate reg 0 drop ]"],
        ),
        (
            "ip saddr @s4 ip daddr @r4 tcp dport 80 drop",
            vec![
                Expression::AddressIn(End::Source, Family::V4, "s4".to_owned()),
                Expression::AddressIn(End::Destination, Family::V4, "r4".to_owned()),
                Expression::Ports(Protocol::Tcp, range(80, 80)),
                drop_verdict(),
            ],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ lookup reg 1 set s4 ]",
                "[ payload load 4b @ network header + 16 => reg 1 ]",
                "[ lookup reg 1 set r4 ]",
                "[ meta load l4proto => reg 1 ]",
                "[ cmp eq reg 1 0x00000006 ]",
                "[ payload load 2b @ transport header + 2 => reg 1 ]",
                "[ cmp eq reg 1 0x00005000 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "ip saddr @r4 ip saddr != @s4 drop",
            vec![
                Expression::AddressIn(End::Source, Family::V4, "r4".to_owned()),
                Expression::AddressNotIn(End::Source, Family::V4, "s4".to_owned()),
                drop_verdict(),
            ],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ lookup reg 1 set r4 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ lookup reg 1 set s4 0x1 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "ip saddr != 10.1.2.3 drop",
            vec![Expression::AddressIsNot(End::Source, [10, 1, 2, 3].into()), drop_verdict()],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ cmp neq reg 1 0x0302010a ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "ip6 daddr != fd00::1 drop",
            vec![Expression::AddressIsNot(End::Destination, [0xfd00, 0, 0, 0, 0, 0, 0, 1].into()), drop_verdict()],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x0000000a ]",
                "[ payload load 16b @ network header + 24 => reg 1 ]",
                "[ cmp neq reg 1 0x000000fd 0x00000000 0x00000000 0x01000000 ]",
                "[ immediate reg 0 drop ]",
            ],
        ),
        (
            "ip saddr . ip daddr @p4",
            vec![Expression::PairIn(Family::V4, "p4".to_owned())],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ payload load 4b @ network header + 16 => reg 9 ]",
                "[ lookup reg 1 set p4 ]",
            ],
        ),
        (
            "ip6 saddr . ip6 daddr @p6",
            vec![Expression::PairIn(Family::V6, "p6".to_owned())],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x0000000a ]",
                "[ payload load 16b @ network header + 8 => reg 1 ]",
                "[ payload load 16b @ network header + 24 => reg 2 ]",
                "[ lookup reg 1 set p6 ]",
            ],
        ),
        (
            "ip saddr vmap @m4",
            vec![Expression::AddressMap(End::Source, Family::V4, "m4".to_owned())],
            &[
                "[ meta load nfproto => reg 1 ]",
                "[ cmp eq reg 1 0x00000002 ]",
                "[ payload load 4b @ network header + 12 => reg 1 ]",
                "[ lookup reg 1 set m4 dreg 0 ]",
            ],
        ),
        (
            "meta l4proto . th dport vmap @q",
            vec![Expression::PortMap("q".to_owned())],
            &[
                "[ meta load l4proto => reg 1 ]",
                "[ payload load 2b @ transport header + 2 => reg 9 ]",
                "[ lookup reg 1 set q dreg 0 ]",
            ],
        ),
        (
            "limit rate 10/second burst 20 packets log prefix \"x y\" group 7 counter return",
            vec![
                Expression::Limit { rate: 10, burst: 20 },
                Expression::Log { group: 7, prefix: "x y".to_owned() },
                Expression::Counter,
                Expression::Verdict(Verdict::Return),
            ],
            &[
                "[ limit rate 10/second burst 20 type packets flags 0x0 ]",
                "[ log prefix x y group 7 snaplen 0 qthreshold 0 ]",
                "[ counter ]",
                "[ immediate reg 0 return ]",
            ],
        ),
        (
            "ct state new numgen random mod 10 0 log prefix \"accept\" group 1",
            vec![
                Expression::NewConnection,
                Expression::OneOf(10),
                Expression::Log { group: 1, prefix: "accept".to_owned() },
            ],
            &[
                "[ ct load state => reg 1 ]",
                "[ bitwise reg 1 = ( reg 1 & 0x00000008 ) ^ 0x00000000 ]",
                "[ cmp neq reg 1 0x00000000 ]",
                "[ numgen reg 1 = random mod 10 ]",
                "[ cmp eq reg 1 0x00000000 ]",
                "[ log prefix accept group 1 snaplen 0 qthreshold 0 ]",
            ],
        ),
        ("jump c1", vec![Expression::Verdict(Verdict::Jump("c1".to_owned()))], &["[ immediate reg 0 jump -> c1 ]"]),
        ("goto c1", vec![Expression::Verdict(Verdict::Goto("c1".to_owned()))], &["[ immediate reg 0 goto -> c1 ]"]),
    ]
}

const ICMPV6: &[&str] = &[
    "[ meta load nfproto => reg 1 ]",
    "[ cmp eq reg 1 0x0000000a ]",
    "[ meta load l4proto => reg 1 ]",
    "[ cmp eq reg 1 0x0000003a ]",
    "[ payload load 1b @ transport header + 0 => reg 1 ]",
    "[ cmp gte reg 1 0x00000085 ]",
    "[ cmp lte reg 1 0x00000089 ]",
    "[ immediate reg 0 drop ]",
];

#[test]
fn every_expression_is_what_nft_makes_of_its_text() {
    if cfg!(target_endian = "big") {
        return;
    }
    for (text, expressions, expected) in golden() {
        assert_eq!(rule_listing(&Rule::new(expressions)), expected, "{text}");
    }
}

#[test]
fn the_state_mask_and_addresses_are_in_the_right_byte_order() {
    let mut writer = Writer::default();
    super::expression::write_all(&mut writer, &[Expression::EstablishedOrRelated]);
    let mask = attributes(writer.bytes()).nth(1).unwrap();
    let mask = attributes(mask.value).nested(uapi::expression::DATA).nested(uapi::expression::BITWISE_MASK);
    assert_eq!(mask.get(uapi::element::DATA_VALUE), Some(&6_u32.to_ne_bytes()[..]));

    let mut writer = Writer::default();
    let key = Key::Address(Ipv4Addr::new(10, 0, 0, 1).into());
    write_element(&mut writer, SetKind::Addresses(Family::V4), &key, None);
    assert!(writer.bytes().ends_with(&[10, 0, 0, 1]));
}

fn read(kind: SetKind, keys: &[Key]) -> (Vec<Key>, usize) {
    let mut writer = Writer::default();
    keys.iter().for_each(|key| write_element(&mut writer, kind, key, None));
    assert_eq!(writer.take_fault(), None);
    let mut reader = Reader::new(kind);
    attributes(writer.bytes()).for_each(|member| reader.member(&attributes(member.value)));
    let written = attributes(writer.bytes()).count();
    assert_eq!(written, keys.iter().map(|key| members(kind, key)).sum::<usize>());
    let (elements, strange) = reader.finish();
    assert_eq!(strange, 0);
    (elements.into_keys().collect(), written)
}

#[test]
fn keys_of_every_kind_read_back() {
    let (four, six) = (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::LOCALHOST);
    for (kind, key, count) in [
        (SetKind::Addresses(Family::V4), Key::Address(four.into()), 1),
        (SetKind::Addresses(Family::V6), Key::Address(six.into()), 1),
        (SetKind::AddressPairs(Family::V4), Key::Pair(four.into(), Ipv4Addr::LOCALHOST.into()), 1),
        (SetKind::AddressPairs(Family::V6), Key::Pair(six.into(), Ipv6Addr::UNSPECIFIED.into()), 1),
        (SetKind::Ports, Key::Port(Protocol::Sctp, 0x0102), 1),
        (SetKind::PortRanges, Key::Ports(Protocol::Udp, range(1, 65_535)), 1),
        (SetKind::AddressRanges(Family::V4), Key::Range4(Ipv4Addr::UNSPECIFIED, four), 2),
        (SetKind::AddressRanges(Family::V4), Key::Range4(four, Ipv4Addr::BROADCAST), 1),
        (SetKind::AddressRanges(Family::V6), Key::Range6(six, six), 2),
        (SetKind::AddressRanges(Family::V6), Key::Range6(six, Ipv6Addr::from_bits(u128::MAX)), 1),
    ] {
        assert_eq!(read(kind, &[key]), (vec![key], count), "{kind:?}");
    }
    let touching = [Key::Range4(four, four), Key::Range4(Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 9))];
    assert_eq!(read(SetKind::AddressRanges(Family::V4), &touching).0, touching);
}

fn every_kind() -> Ruleset {
    let set = |kind, key, verdict: Option<Verdict>| Set {
        kind,
        is_map: verdict.is_some(),
        comment: Some("why".to_owned()),
        passing: None,
        elements: [(key, verdict)].into(),
    };
    let address = Key::Address(Ipv4Addr::new(10, 0, 0, 1).into());
    let rules = golden().into_iter().map(|(text, expressions, _)| Rule::new(expressions).comment(text)).collect();
    Ruleset {
        sets: BTreeMap::from([
            ("s4".to_owned(), set(SetKind::Addresses(Family::V4), address, None)),
            ("m4".to_owned(), set(SetKind::Addresses(Family::V4), address, Some(Verdict::Jump("c1".to_owned())))),
            (
                "q".to_owned(),
                set(SetKind::PortRanges, Key::Ports(Protocol::Tcp, range(1, 9)), Some(Verdict::Goto("c1".to_owned()))),
            ),
        ]),
        chains: BTreeMap::from([
            ("c1".to_owned(), Chain::default()),
            ("forward".to_owned(), Chain { is_base: true, rules }),
        ]),
    }
}

#[test]
fn another_implementation_reads_our_bytes_and_writes_the_same() {
    let difference = Difference::between(None, &every_kind());
    let mut different = Vec::new();
    let mut count = 0;
    for transaction in cut(&difference, 200_000, 1).unwrap() {
        let mut rest = &transaction.bytes[..];
        while !rest.is_empty() {
            let read = NetlinkMessage::<NetfilterMessage>::deserialize(rest).unwrap();
            let length = read.buffer_len();
            let mut written = vec![0; length];
            read.serialize(&mut written);
            if written != rest[..length] {
                different.push(read.header.message_type & 0xff);
            }
            rest = &rest[length..];
            count += 1;
        }
    }
    assert!(count > 20);
    // It leaves NLA_F_NESTED out of DESC_CONCAT, and the kernel takes either.
    assert_eq!(different, [request::NEW_SET]);
}

#[test]
fn what_no_rule_of_ours_has_is_shown_raw() {
    let mut writer = Writer::default();
    writer.nest(uapi::LIST_ELEMENT, |writer| {
        writer.text(uapi::expression::NAME, "queue");
        writer.nest(uapi::expression::DATA, |writer| writer.be16(1, 5));
    });
    assert_eq!(listing::lines(writer.bytes()), ["[ queue [06, 00, 01, 00, 00, 05, 00, 00] ]"]);
}
