//! A fold counts what a slow and simple count counts, in any order, and never holds more than it may.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use palisade_engine::model::Protocol;
use palisade_flows::{
    By, Connection, End, Entry, Flow, Fold, Subject, read,
    record::{FlowDirection, FlowProtocol, FlowVerdict, Line},
};
use proptest::prelude::*;

fn end(number: u8) -> End {
    let address = Some(std::net::IpAddr::from([10, 0, 0, number]));
    let subject = match number {
        0..3 => Subject::Pod { namespace: "shop".to_owned(), pod: Some(format!("web-{number}")), workload: None },
        3..7 => Subject::Pod {
            namespace: "shop".to_owned(),
            pod: Some(format!("api-{number}")),
            workload: Some("deploy/api".to_owned()),
        },
        7..9 => Subject::Node { node: format!("node-{number}") },
        _ => Subject::Address,
    };
    End { subject, address }
}

prop_compose! {
    fn flows()(
        ends in (0_u8..12, 0_u8..12),
        port in 1_u16..3,
        verdict in prop::sample::select(vec![FlowVerdict::Accepted, FlowVerdict::Denied, FlowVerdict::WouldDeny]),
        direction in prop::sample::select(vec![FlowDirection::Ingress, FlowDirection::Egress, FlowDirection::Both]),
        at in (0_i64..1_000, 0_i64..1_000),
        count in 1_u64..5,
    ) -> Flow {
        let time = |second| Timestamp::from_second(second).unwrap();
        Flow {
            source: end(ends.0),
            destination: end(ends.1),
            protocol: FlowProtocol::WithPorts(Protocol::Tcp),
            port: Some(port),
            direction,
            verdict,
            first: time(at.0),
            last: time(at.0 + at.1),
            count,
            node: Some("node-7".to_owned()),
        }
    }
}

/// What people call an end, which is what it is folded by.
fn name(end: &End) -> String {
    end.to_string()
}

fn folded(flows: &[Flow]) -> Vec<Connection> {
    let mut fold = Fold::new(By::Workload, 1_000);
    flows.iter().for_each(|flow| fold.flow(flow));
    fold.finish().0
}

proptest! {
    #[test]
    fn as_counted_slowly_and_in_any_order(mut flows in prop::collection::vec(flows(), 0..60)) {
        let mut counted: BTreeMap<(String, String, u16), [u64; 4]> = BTreeMap::new();
        for flow in &flows {
            let key = (name(&flow.source), name(&flow.destination), flow.port.unwrap_or_default());
            let [egress, ingress, denied, would_deny] = counted.entry(key).or_default();
            let passed = flow.verdict != FlowVerdict::Denied;
            *egress += if passed && flow.direction != FlowDirection::Ingress { flow.count } else { 0 };
            *ingress += if passed && flow.direction != FlowDirection::Egress { flow.count } else { 0 };
            *denied += if passed { 0 } else { flow.count };
            *would_deny += if flow.verdict == FlowVerdict::WouldDeny { flow.count } else { 0 };
        }
        let connections = folded(&flows);
        let told: BTreeMap<_, _> = connections
            .iter()
            .map(|connection| {
                let seen = connection.seen;
                let key = (name(&connection.source), name(&connection.destination), connection.port.unwrap_or_default());
                (key, [seen.egress, seen.ingress, seen.denied(), seen.would_deny])
            })
            .collect();
        prop_assert_eq!(told.len(), connections.len());
        prop_assert_eq!(told, counted);
        flows.reverse();
        prop_assert_eq!(folded(&flows), connections.clone());
        // What is written is what is read, and a fold of folds is the fold of all.
        let mut again = Fold::new(By::Workload, 1_000);
        for part in flows.chunks(7) {
            for connection in folded(part) {
                let line = Line::Connection(Box::new(connection.clone())).to_json();
                prop_assert_eq!(read(&line), Ok(Entry::Connection(Box::new(connection.clone()))));
                again.take(Entry::Connection(Box::new(connection)));
            }
        }
        prop_assert_eq!(again.finish().0, connections);
    }

    #[test]
    fn never_more_than_it_may_hold(flows in prop::collection::vec(flows(), 0..60), most in 0_usize..6) {
        let mut fold = Fold::new(By::Pod, most);
        flows.iter().for_each(|flow| fold.flow(flow));
        let (connections, tally) = fold.finish();
        prop_assert!(connections.len() <= most);
        let held: u64 = connections.iter().map(|connection| {
            let of = |flow: &&Flow| {
                (&flow.source, &flow.destination, flow.port)
                    == (&connection.source, &connection.destination, connection.port)
            };
            flows.iter().filter(of).count() as u64
        }).sum();
        prop_assert_eq!(held + tally.beyond, flows.len() as u64);
        prop_assert_eq!(tally.flows, flows.iter().map(|flow| flow.count).sum::<u64>());
    }
}

#[test]
fn what_was_made() {
    let line = |direction: &str, verdict: &str| {
        format!(
            r#"{{"v":1,"time":"2026-03-01T12:00:00Z","verdict":"{verdict}","direction":"{direction}","protocol":"TCP","src":{{"namespace":"a","pod":"x","ip":"10.0.0.1","port":1}},"dst":{{"namespace":"a","pod":"y","ip":"10.0.0.2","port":80}},"node":"n","isolatedBy":[],"nearest":null,"suppressed":0}}"#
        )
    };
    for (lines, made) in [
        // Told at both ends: made once.
        (&[("egress", "accepted"), ("ingress", "accepted")][..], 1),
        (&[("both", "accepted")], 1),
        (&[("egress", "accepted"), ("egress", "accepted"), ("ingress", "accepted")], 2),
        // It left, and did not arrive.
        (&[("egress", "accepted"), ("ingress", "denied")], 0),
        // That it was not let out at another time says nothing of when it was.
        (&[("egress", "denied"), ("egress", "accepted")], 1),
        // It did at other times.
        (&[("ingress", "denied"), ("egress", "accepted"), ("ingress", "accepted")], 1),
        // The other end may be on a node that tells nothing.
        (&[("egress", "accepted")], 1),
        (&[("ingress", "would-deny")], 1),
        (&[("egress", "denied")], 0),
    ] {
        let mut fold = Fold::new(By::Workload, 10);
        for (direction, verdict) in lines {
            fold.take(read(&line(direction, verdict)).unwrap());
        }
        let (connections, _) = fold.finish();
        let [connection] = connections.as_slice() else { panic!("{connections:?}") };
        assert_eq!(connection.seen.made(), made, "{lines:?}");
    }
}
