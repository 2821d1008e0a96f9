//! Lines of each form, as those who write them write them, and what is no line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

use palisade_engine::model::Protocol;
use palisade_flows::{
    By, End, Entry, Flow, Fold, LineError, PassedOver, Subject, read,
    record::{FlowDirection, FlowProtocol, FlowVerdict, Line},
};
use proptest::prelude::*;

/// As `hubble observe -o jsonl` prints it, without what does not matter here.
const HUBBLE: &str = r#"{"flow":{"time":"2026-02-24T08:47:58.042012383Z","uuid":"c938628b","verdict":"FORWARDED","ethernet":{"source":"9a:4b:92:54:a9:62","destination":"72:59:04:fd:68:13"},"IP":{"source":"10.20.0.9","destination":"10.20.0.4","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":60002,"destination_port":8080,"flags":{"SYN":true}}},"source":{"ID":12,"identity":16001,"cluster_name":"prod","namespace":"shop","labels":["k8s:app=web"],"pod_name":"web-7788964bc-lsfw5","workloads":[{"name":"web","kind":"Deployment"}]},"destination":{"ID":3106,"identity":20252,"namespace":"shop","labels":["k8s:app=api"],"pod_name":"api-0","workloads":[{"name":"api","kind":"StatefulSet"}]},"Type":"L3_L4","node_name":"prod/node-1","event_type":{"type":4},"traffic_direction":"EGRESS","trace_observation_point":"TO_STACK","is_reply":false,"Summary":"TCP Flags: SYN"},"node_name":"prod/node-1","time":"2026-02-24T08:47:58.042012383Z"}"#;

/// As Felix writes it.
const CALICO: &str = r#"{"start_time":1577834657,"end_time":1577834965,"source_ip":null,"source_name":"-","source_name_aggr":"web-5bdcdd9c97-*","source_namespace":"shop","source_port":null,"source_type":"wep","source_labels":{"labels":["pod-template-hash=5bdcdd9c97","app=web"]},"dest_ip":"10.48.127.224","dest_name":"coredns-576cbf47c7-wsvmz","dest_name_aggr":"coredns-576cbf47c7-*","dest_namespace":"kube-system","dest_port":53,"dest_type":"wep","dest_labels":{"labels":["k8s-app=kube-dns"]},"proto":"udp","action":"allow","reporter":"dst","policies":{"all_policies":["0|__PROFILE__|__PROFILE__.kns.kube-system|allow|0"]},"bytes_in":4288,"bytes_out":7644,"num_flows":41,"num_flows_started":37,"num_flows_completed":39,"packets_in":37,"packets_out":37}"#;

/// As Whisker gives it.
const WHISKER: &str = r#"{"start_time":"2026-03-01T12:00:00Z","end_time":"2026-03-01T12:00:15Z","action":"Deny","source_name":"pub","source_namespace":"-","source_labels":"","dest_name":"web-5bdcdd9c97-*","dest_namespace":"shop","dest_labels":"app=web | pod-template-hash=5bdcdd9c97","protocol":"tcp","dest_port":8443,"reporter":"Dst","policies":{"enforced":[{"kind":"NetworkPolicy","name":"p","namespace":"shop","tier":"default","action":"Deny","policy_index":0,"rule_index":-1,"trigger":null}],"pending":[]},"packets_in":1,"packets_out":0,"bytes_in":60,"bytes_out":0}"#;

/// As Goldmane's API gives it in the JSON of protocol buffers.
const GOLDMANE: &str = r#"{"id":"7","flow":{"Key":{"sourceName":"web-5bdcdd9c97-*","sourceNamespace":"shop","sourceType":"WorkloadEndpoint","destName":"pvt","destNamespace":"-","destType":"Network","destPort":"5432","destServiceName":"-","proto":"tcp","reporter":"Src","action":"Allow","policies":{"enforcedPolicies":[{"kind":"EndOfTier","tier":"default","action":"Allow","trigger":{"kind":"NetworkPolicy","namespace":"shop","name":"p"}}],"pendingPolicies":[{"kind":"StagedNetworkPolicy","namespace":"shop","name":"q","tier":"default"}]}},"startTime":"1772366400","endTime":"1772366415","sourceLabels":["app=web","pod-template-hash=5bdcdd9c97"],"packetsIn":"9","numConnectionsStarted":"3","numConnectionsLive":"1"}}"#;

fn flow(text: &str) -> Flow {
    match read(text).unwrap() {
        Entry::Flow(flow) => *flow,
        other => panic!("{other:?}"),
    }
}

fn passed_over(text: &str) -> PassedOver {
    match read(text).unwrap() {
        Entry::PassedOver(why) => why,
        other => panic!("{other:?}"),
    }
}

fn pod(namespace: &str, pod: &str, workload: Option<&str>) -> Subject {
    Subject::Pod { namespace: namespace.to_owned(), pod: Some(pod.to_owned()), workload: workload.map(str::to_owned) }
}

#[test]
fn hubble() {
    let flow = flow(HUBBLE);
    let source = pod("shop", "web-7788964bc-lsfw5", Some("deploy/web"));
    assert_eq!(flow.source, End { subject: source, address: Some("10.20.0.9".parse().unwrap()) });
    let destination = pod("shop", "api-0", Some("sts/api"));
    assert_eq!(flow.destination, End { subject: destination, address: Some("10.20.0.4".parse().unwrap()) });
    assert_eq!((flow.protocol, flow.port), (FlowProtocol::WithPorts(Protocol::Tcp), Some(8080)));
    assert_eq!((flow.direction, flow.verdict, flow.count), (FlowDirection::Egress, FlowVerdict::Accepted, 1));
    assert_eq!(flow.node.as_deref(), Some("node-1"));
    assert_eq!(flow.first.to_string(), "2026-02-24T08:47:58.042012383Z");
}

#[test]
fn hubble_counts_what_opens_a_connection_and_policies_were_asked_about() {
    let with = |from: &str, to: &str| HUBBLE.replace(from, to);
    for (text, why) in [
        (with(r#""is_reply":false"#, r#""is_reply":true"#), PassedOver::Reply),
        // Without `is_reply`, the flags of TCP tell, if they do.
        (with(r#""is_reply":false,"#, "").replace(r#""SYN":true"#, r#""SYN":true,"ACK":true"#), PassedOver::Reply),
        (with(r#""is_reply":false,"#, "").replace(r#""SYN":true"#, r#""ACK":true"#), PassedOver::PerhapsReply),
        (with("FORWARDED", "TRACED"), PassedOver::NoVerdict),
        (with("FORWARDED", "TRANSLATED"), PassedOver::NoVerdict),
        (with("EGRESS", "TRAFFIC_DIRECTION_UNKNOWN"), PassedOver::NoVerdict),
        (with("L3_L4", "L7"), PassedOver::NoConnection),
        (with("L3_L4", "SOCK"), PassedOver::NoConnection),
        (
            with("FORWARDED", "DROPPED").replace(r#""Type""#, r#""drop_reason_desc":"STALE_OR_UNROUTABLE_IP","Type""#),
            PassedOver::NotByPolicy,
        ),
        (with("FORWARDED", "DROPPED").replace(r#""Type""#, r#""drop_reason":151,"Type""#), PassedOver::NotByPolicy),
        // Told where it comes from, before any policy was asked.
        (with("TO_STACK", "FROM_ENDPOINT"), PassedOver::NoVerdict),
        (with("TO_STACK", "FROM_OVERLAY").replace(r#""is_reply":false,"#, ""), PassedOver::NoVerdict),
        (with(r#""is_reply""#, r#""trace_reason":"RELATED","is_reply""#), PassedOver::NoConnection),
        (r#"{"node_status":{"state_change":"NODE_CONNECTED"},"node_name":"n"}"#.to_owned(), PassedOver::NoConnection),
        // What the exporter of an agent writes beside flows.
        (r#"{"agent_event":{"type":"POLICY_UPDATED"},"node_name":"n"}"#.to_owned(), PassedOver::NoConnection),
        (r#"{"debug_event":{"type":"DBG_GENERIC"},"node_name":"n"}"#.to_owned(), PassedOver::NoConnection),
    ] {
        assert_eq!(passed_over(&text), why, "{text}");
    }
    for (text, verdict) in [
        (with("FORWARDED", "REDIRECTED"), FlowVerdict::Accepted),
        (with(r#""is_reply""#, r#""trace_reason":"NEW","is_reply""#), FlowVerdict::Accepted),
        // On the way there, of a connection that is older than the record: it is seen.
        (
            with(r#""SYN":true"#, r#""ACK":true"#)
                .replace(r#""is_reply""#, r#""trace_reason":"ESTABLISHED","is_reply""#),
            FlowVerdict::Accepted,
        ),
        (with(r#""is_reply":false,"#, ""), FlowVerdict::Accepted),
        (with(r#""is_reply":false,"#, "").replace(r#""type":4"#, r#""type":5"#), FlowVerdict::Accepted),
        (with("FORWARDED", "AUDIT").replace(r#""is_reply":false,"#, ""), FlowVerdict::WouldDeny),
        (
            with("FORWARDED", "DROPPED").replace(r#""is_reply":false"#, r#""drop_reason_desc":"POLICY_DENIED""#),
            FlowVerdict::Denied,
        ),
        (with("FORWARDED", "DROPPED").replace(r#""is_reply":false"#, r#""drop_reason":133"#), FlowVerdict::Denied),
    ] {
        assert_eq!(flow(&text).verdict, verdict, "{text}");
    }
    let lost = r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"12"},"node_name":"n"}"#;
    assert_eq!(read(lost).unwrap(), Entry::Lost(12));
}

#[test]
fn hubble_s_other_ends_and_protocols() {
    let host = HUBBLE
        .replace(r#""identity":16001,"cluster_name":"prod","namespace":"shop""#, r#""identity":1"#)
        .replace(r#""pod_name":"web-7788964bc-lsfw5","#, "");
    assert_eq!(flow(&host).source.subject, Subject::Node { node: "node-1".to_owned() });
    let world = host.replace(r#""identity":1,"#, r#""identity":2,"#);
    assert_eq!(flow(&world).source.to_string(), "10.20.0.9");
    let icmp = HUBBLE.replace(
        r#""TCP":{"source_port":60002,"destination_port":8080,"flags":{"SYN":true}}"#,
        r#""ICMPv4":{"type":8}"#,
    );
    assert_eq!((flow(&icmp).protocol, flow(&icmp).port), (FlowProtocol::Icmp, None));
    for (l4, number) in [("IGMP", 2), ("VRRP", 112)] {
        assert_eq!(flow(&icmp.replace("ICMPv4", l4)).protocol, FlowProtocol::Other(number), "{l4}");
    }
}

/// Another cluster of the mesh may have a `shop/web`, too: it is not this one's.
#[test]
fn a_pod_of_another_cluster_is_its_address() {
    let foreign = HUBBLE.replace(r#""cluster_name":"prod""#, r#""cluster_name":"prod-2""#);
    assert_eq!(flow(&foreign).source, End { subject: Subject::Address, address: Some("10.20.0.9".parse().unwrap()) });
    // A cluster that has no name of its own is alone.
    let alone = foreign.replace("prod/node-1", "node-1");
    assert_eq!((flow(&alone).source, flow(&alone).node), (flow(HUBBLE).source, Some("node-1".to_owned())));
}

/// As Hubble's command printed it up to 0.10, and still does when it is asked to.
#[test]
fn hubble_s_flow_alone() {
    let value: serde_json::Value = serde_json::from_str(HUBBLE).unwrap();
    let alone = value.get("flow").unwrap();
    assert_eq!(read(&alone.to_string()).unwrap(), read(HUBBLE).unwrap());
}

#[test]
fn calico_s_files() {
    let flow = flow(CALICO);
    let source = pod("shop", "web-5bdcdd9c97-*", Some("deploy/web"));
    assert_eq!(flow.source, End { subject: source, address: None });
    // Without the label it may be of another kind.
    let destination = pod("kube-system", "coredns-576cbf47c7-wsvmz", None);
    assert_eq!(flow.destination, End { subject: destination, address: Some("10.48.127.224".parse().unwrap()) });
    assert_eq!((flow.protocol, flow.port), (FlowProtocol::WithPorts(Protocol::Udp), Some(53)));
    assert_eq!((flow.direction, flow.verdict, flow.count), (FlowDirection::Ingress, FlowVerdict::Accepted, 37));
    assert_eq!((flow.first.as_second(), flow.last.as_second()), (1_577_834_657, 1_577_834_965));
}

#[test]
fn calico_s_other_ends_and_verdicts() {
    let with = |from: &str, to: &str| flow(&CALICO.replace(from, to));
    assert_eq!(with(r#""action":"allow""#, r#""action":"deny""#).verdict, FlowVerdict::Denied);
    let staged = r#""policies":{"pending_policies":["0|default|shop/staged:p|deny|-1"],"#;
    assert_eq!(with(r#""policies":{"#, staged).verdict, FlowVerdict::WouldDeny);
    // A connection of before: seen, though none began.
    assert_eq!(with(r#""num_flows_started":37"#, r#""num_flows_started":0"#).count, 1);
    let net = r#""source_name_aggr":"pvt","source_namespace":"-","source_port":null,"source_type":"net""#;
    let pods =
        r#""source_name_aggr":"web-5bdcdd9c97-*","source_namespace":"shop","source_port":null,"source_type":"wep""#;
    assert_eq!(with(pods, net).source, End { subject: Subject::Address, address: None });
    // Told together, a host endpoint is called by its host; by itself, by its own name.
    let host = net.replace("pvt", "node-1").replace("\"net\"", "\"hep\"");
    assert_eq!(with(pods, &host).source.to_string(), "node/node-1");
    let named = CALICO.replace(pods, &host).replace(r#""source_name":"-""#, r#""source_name":"uplink-of-1""#);
    assert_eq!(flow(&named).source.to_string(), "node/node-1");
    assert_eq!(with(pods, &host.replace("node-1", "node-1-auto-hep")).source.to_string(), "node/node-1");
    assert_eq!(with("\"udp\"", "\"icmp6\"").protocol, FlowProtocol::Icmpv6);
    assert_eq!(with("\"udp\"", "\"89\"").protocol, FlowProtocol::Other(89));
    assert_eq!(passed_over(&CALICO.replace("\"dst\"", "\"fwd\"")), PassedOver::NoConnection);
}

#[test]
fn whisker() {
    let flow = flow(WHISKER);
    assert_eq!((flow.source.to_string().as_str(), flow.verdict), ("outside", FlowVerdict::Denied));
    assert_eq!(flow.destination.to_string(), "shop/deploy/web");
    assert_eq!((flow.direction, flow.port), (FlowDirection::Ingress, Some(8443)));
    let staged = WHISKER.replace(r#""action":"Deny","source"#, r#""action":"Allow","source"#);
    let staged = staged.replace(r#""pending":[]"#, r#""pending":[{"name":"p","action":"Deny"}]"#);
    let Entry::Flow(flow) = read(&staged).unwrap() else { panic!("{staged}") };
    assert_eq!(flow.verdict, FlowVerdict::WouldDeny);
    // As its user interface calls the outside, and what is in no namespace.
    for namespace in ["-", "", "Global"] {
        let outside = WHISKER.replace(r#""source_name":"pub","source_namespace":"-""#, "X");
        let names = format!(r#""source_name":"PUBLIC NETWORK","source_namespace":"{namespace}""#);
        let Entry::Flow(flow) = read(&outside.replace('X', &names)).unwrap() else { panic!("{outside}") };
        assert_eq!(flow.source.to_string(), "outside", "{namespace:?}");
    }
    // As its stream of events gives it.
    assert_eq!(read(&format!("data: {WHISKER}")).unwrap(), read(WHISKER).unwrap());
}

#[test]
fn goldmane() {
    let told = flow(GOLDMANE);
    assert_eq!((told.source.to_string(), told.destination.to_string()), ("shop/deploy/web".into(), "outside".into()));
    assert_eq!((told.protocol, told.port), (FlowProtocol::WithPorts(Protocol::Tcp), Some(5432)));
    assert_eq!((told.direction, told.verdict, told.count), (FlowDirection::Egress, FlowVerdict::Accepted, 3));
    assert_eq!((told.first.as_second(), told.last.as_second()), (1_772_366_400, 1_772_366_415));
    let staged = GOLDMANE.replace(r#""name":"q","tier":"default""#, r#""name":"q","action":"Deny""#);
    assert_eq!(flow(&staged).verdict, FlowVerdict::WouldDeny);
    let host = GOLDMANE.replace(r#""pvt""#, r#""node-1""#).replace(r#""Network""#, r#""HostEndpoint""#);
    assert_eq!(flow(&host).destination.to_string(), "node/node-1");
    // A set of networks has a name, and is no pod.
    let set = GOLDMANE.replace(r#""pvt","destNamespace":"-""#, r#""office","destNamespace":"shop""#);
    assert_eq!(flow(&set.replace(r#""Network""#, r#""NetworkSet""#)).destination.to_string(), "outside");
    // The fields' own names, and numbers as numbers.
    let own = [("sourceName\"", "source_name\""), ("startTime\":\"1772366400\"", "start_time\":1772366400")];
    let own = own.into_iter().fold(GOLDMANE.to_owned(), |text, (from, to)| text.replace(from, to));
    assert_eq!(flow(&own), told);
}

#[test]
fn a_fault_names_its_field() {
    for (text, field, why) in [
        (HUBBLE.replace("10.20.0.4", "10.20.0"), "flow.IP.destination", "invalid IP address syntax"),
        (HUBBLE.replace("8080", "80800"), "flow.l4.TCP.destination_port", "expected u16"),
        (HUBBLE.replace("FORWARDED", "forwarded"), "flow.verdict", "`forwarded` is none that is known"),
        (HUBBLE.replace("2026-02-24T", "yesterday "), "flow.time", ""),
        (CALICO.replace("\"allow\",\"reporter", "\"maybe\",\"reporter"), "action", "neither `allow` nor `deny`"),
        (CALICO.replace("\"udp\"", "\"quic\""), "proto", "no protocol"),
        (CALICO.replace(":53,", ":-53,"), "dest_port", "expected u16"),
        (CALICO.replace("1577834657", "99999999999999"), "start_time", ""),
        (WHISKER.replace("\"Dst\"", "\"both\""), "reporter", "neither `src` nor `dst`"),
        (GOLDMANE.replace("\"5432\"", "\"70000\""), "flow.Key.destPort", "no number that fits"),
        (GOLDMANE.replace("\"Src\"", "\"Fore\""), "flow.Key.reporter", "neither `src` nor `dst`"),
        (GOLDMANE.replace("1772366415", "99999999999999"), "flow.endTime", ""),
        (r#"{"verdict":"forwarded","event_type":{},"is_reply":false}"#.to_owned(), "verdict", "none that is known"),
        (GOLDMANE.replace("\"Network\"", "\"Moon\""), "flow.Key.destType", "`Moon` is none that is known"),
        ("{}".to_owned(), "", "it has neither `v`"),
        ("nonsense".to_owned(), "", "(column 2)"),
        (format!("{HUBBLE}}}"), "", "trailing characters"),
    ] {
        match read(&text).unwrap_err() {
            LineError::Strange(fault) => {
                assert_eq!(fault.field, field, "{fault}");
                assert!(fault.why.contains(why), "{fault}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(read(r#"{"v":2,"time":"x"}"#).unwrap_err(), LineError::Version(2));
}

/// Keys in another order, as after `jq -S`: what is in a line tells its form, not how it begins.
#[test]
fn forms_are_told_by_their_fields() {
    let sorted = |text: &str| {
        let value: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        let mut pairs: Vec<_> = value.into_iter().collect();
        pairs.reverse();
        let fields: Vec<String> = pairs.iter().map(|(key, value)| format!("{key:?} : {value}")).collect();
        format!(" {{ {} }}", fields.join(" , "))
    };
    for text in [HUBBLE, CALICO, WHISKER, GOLDMANE] {
        assert_eq!(read(&sorted(text)).unwrap(), read(text).unwrap(), "{}", sorted(text));
    }
}

proptest! {
    /// Lines that somebody cut, joined or mistyped: read or refused, and what is read can be folded and written.
    #[test]
    fn no_line_makes_it_panic(
        form in prop::sample::select(vec![HUBBLE, CALICO, WHISKER, GOLDMANE]),
        edits in prop::collection::vec((0_usize..1_200, "[\\PC]{0,3}|[0-9:.,\"{}\\[\\]-]|null", 0_usize..4), 1..4),
    ) {
        let mut text: Vec<char> = form.chars().collect();
        for (at, with, cut) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        let mut fold = Fold::new(By::Pod, 2);
        match read(&text) {
            Ok(entry) => fold.take(entry),
            Err(why) => prop_assert!(!why.to_string().is_empty()),
        }
        for connection in fold.finish().0 {
            let line = Line::Connection(Box::new(connection.clone())).to_json();
            prop_assert_eq!(read(&line), Ok(Entry::Connection(Box::new(connection))));
        }
    }
}
