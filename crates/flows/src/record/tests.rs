//! What is written is what is read, and stays so.

use proptest::prelude::*;

use super::*;

/// The line of the book, field by field: what it says must not change within a version.
const DENIED: &str = r#"{"v":1,"time":"2026-03-01T12:00:00.25Z","verdict":"denied","direction":"ingress","protocol":"TCP","src":{"namespace":"prod","pod":"frontend-7c9f-x2x4p","workload":"deploy/frontend","node":"node-1","ip":"10.244.1.7","port":43122},"dst":{"namespace":"prod","pod":"database-0","workload":"sts/database","node":"node-2","ip":"10.244.2.9","port":5432},"node":"node-2","isolatedBy":["prod/database-policy"],"nearest":{"policy":"prod/database-policy","rule":"ingress[0]","missed":"peer"},"suppressed":0}"#;

fn strategy() -> impl Strategy<Value = Line> {
    let name = "[a-z0-9\"\\\\é{}-]{1,12}";
    let who = prop_oneof![
        (name, name, prop::option::of(name), prop::option::of(name))
            .prop_map(|(namespace, pod, workload, node)| { Who::Pod(PodEnd { namespace, pod, workload, node }) }),
        name.prop_map(|node| Who::Node { node }),
        Just(Who::Outside {}),
    ];
    let end =
        (who, any::<IpAddr>(), prop::option::of(any::<u16>())).prop_map(|(who, ip, port)| FlowEnd { who, ip, port });
    let place = (any::<bool>(), 0_usize..1_000).prop_map(|(ingress, index)| RulePlace {
        direction: if ingress { model::Direction::Ingress } else { model::Direction::Egress },
        index,
    });
    let missed = prop_oneof![Just(Missed::Peer), Just(Missed::Port), Just(Missed::Both)];
    let nearest = (name, place.clone(), missed).prop_map(|(policy, rule, missed)| Nearest { policy, rule, missed });
    let rule = (name, place).prop_map(|(policy, rule)| RuleName { policy, rule });
    let directions = prop_oneof![Just(FlowDirection::Ingress), Just(FlowDirection::Egress), Just(FlowDirection::Both)];
    let protocol = any::<u8>().prop_map(|number| match number {
        6 => FlowProtocol::WithPorts(model::Protocol::Tcp),
        17 => FlowProtocol::WithPorts(model::Protocol::Udp),
        132 => FlowProtocol::WithPorts(model::Protocol::Sctp),
        1 => FlowProtocol::Icmp,
        58 => FlowProtocol::Icmpv6,
        other => FlowProtocol::Other(other),
    });
    let verdict = prop::sample::select(vec![FlowVerdict::Denied, FlowVerdict::Accepted, FlowVerdict::WouldDeny]);
    let first = (verdict, 0_i64..4_000_000_000_000, directions, protocol, end.clone(), end);
    let names = || prop::collection::vec(name, 0..3);
    let lists = (names(), prop::collection::vec(rule, 0..3), names(), prop::option::of(nearest));
    let flow = (first, name, lists, any::<u64>()).prop_map(|(first, node, lists, suppressed)| {
        let ((verdict, at, direction, protocol, src, dst), (isolated_by, decided_by, audited, nearest)) =
            (first, lists);
        Line::Flow(Box::new(FlowRecord {
            time: Timestamp::from_millisecond(at).unwrap(),
            verdict,
            direction,
            protocol,
            src,
            dst,
            node,
            isolated_by,
            decided_by,
            standing: verdict == FlowVerdict::WouldDeny && suppressed % 2 == 0,
            audited,
            nearest,
            suppressed,
        }))
    });
    prop_oneof![8 => flow, 1 => any::<u64>().prop_map(Line::Lost), 1 => Just(Line::CaughtUp)]
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(line in strategy()) {
        let text = line.to_json();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(Line::parse(&text).unwrap(), line);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", cut in 0_usize..400) {
        _ = Line::parse(&text);
        _ = Line::parse(DENIED.get(..cut).unwrap_or(&text));
    }
}

#[test]
fn the_format_stays_what_it_is() {
    let line = Line::parse(DENIED).unwrap();
    assert_eq!(line.to_json(), DENIED);
    assert_eq!(Line::Lost(12).to_json(), r#"{"v":1,"lost":12}"#);
    assert_eq!(Line::CaughtUp.to_json(), r#"{"v":1,"caughtUp":true}"#);
    let Line::Flow(record) = line else { panic!("{line:?}") };
    assert_eq!(
        record.src.who,
        Who::Pod(PodEnd {
            namespace: "prod".to_owned(),
            pod: "frontend-7c9f-x2x4p".to_owned(),
            workload: Some("deploy/frontend".to_owned()),
            node: Some("node-1".to_owned()),
        })
    );
}

#[test]
fn later_fields_are_passed_over_and_later_versions_are_not() {
    let later = DENIED.replace("\"suppressed\"", "\"new\":{\"a\":[1]},\"suppressed\"");
    assert_eq!(Line::parse(&later).unwrap(), Line::parse(DENIED).unwrap());
    let error = Line::parse(&DENIED.replace("\"v\":1", "\"v\":2")).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    for wrong in ["", "{}", "[]", "{\"v\":1}", "{\"v\":\"1\"}", &DENIED.replace("ingress[0]", "ingress")] {
        assert!(matches!(Line::parse(wrong), Err(LineError::Strange(_))), "{wrong}");
    }
}
