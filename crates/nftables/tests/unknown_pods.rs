//! Addresses of pods that nobody told of yet are held closed, and only those.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: a wrong fixture shall fail")]

use ipnet::IpNet;
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Inventory, Labels, Node, ObjectRef, Phase, Pod, PodAddresses},
    sets::PrefixSet,
};
use palisade_nftables::{
    interpret::{Packet, Passage, Payload, forward},
    plan::{LocalPrefixes, Misfit, Options, UNKNOWN_POD, UnknownPods, closed, plan},
    ruleset::{FORWARD, Ruleset},
    text,
};
use palisade_oracle::generate::Generator;

const PREFIXES: [&str; 2] = ["10.244.1.0/24", "fd00:1::/64"];

fn node(name: &str, address: &str, pod_prefixes: &[&str]) -> Node {
    let pod_prefixes = pod_prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let addresses = vec![address.parse().unwrap()];
    Node { name: name.into(), labels: Labels::default(), addresses, pod_prefixes, at: None }
}

fn pod(name: &str, node: &str, v4: &str, v6: Option<&str>) -> Pod {
    Pod {
        node: Some(node.into()),
        addresses: PodAddresses { v4: Some(v4.parse().unwrap()), v6: v6.map(|v6| v6.parse().unwrap()) },
        ..Pod::running(ObjectRef::new("prod", name))
    }
}

fn cluster(pods: Vec<Pod>) -> Cluster {
    // The second node has an address inside of the first one's prefix, as with pods in the nodes' own network.
    let nodes = vec![node("n1", "192.0.2.1", &PREFIXES), node("n2", "10.244.1.250", &[])];
    Inventory { nodes, pods, ..Inventory::default() }.into_cluster().unwrap()
}

/// Of n1: two pods, one that is over, one of the host's network; of n2: a pod out of the same prefix.
fn pods() -> Vec<Pod> {
    let over = Pod { phase: Phase::Succeeded, ..pod("over", "n1", "10.244.1.9", None) };
    let host = Pod { host_network: true, ..pod("host", "n1", "192.0.2.1", None) };
    vec![
        pod("web", "n1", "10.244.1.2", Some("fd00:1::2")),
        pod("db", "n1", "10.244.1.3", None),
        over,
        host,
        pod("far", "n2", "10.244.1.77", None),
    ]
}

fn deny() -> UnknownPods {
    UnknownPods::Deny(LocalPrefixes::OfNode)
}

fn set(prefixes: &[&str]) -> PrefixSet {
    prefixes.iter().map(|prefix| prefix.parse::<IpNet>().unwrap()).collect()
}

fn given(prefixes: &[&str]) -> UnknownPods {
    UnknownPods::Deny(LocalPrefixes::Given(set(prefixes)))
}

fn planned(cluster: &Cluster, unknown_pods: UnknownPods) -> Ruleset {
    let options = Options { unknown_pods, pod_interfaces: vec!["pod".to_owned()], ..Options::default() };
    plan(cluster, &PolicyProgram::compile(cluster), cluster.find_node("n1").unwrap(), &options).ruleset
}

fn packet(source: &str, destination: &str) -> Packet {
    Packet {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload: Payload::Port(palisade_engine::model::Protocol::Tcp, 80),
        interface: "pod7".to_owned(),
        source_behind_interface: true,
        established: false,
    }
}

fn passage(ruleset: &Ruleset, packet: &Packet) -> Passage {
    forward(ruleset, packet).unwrap()
}

#[test]
fn who_is_not_known_is_closed_both_ways() {
    let ruleset = planned(&cluster(pods()), deny());
    for (source, destination, passes) in [
        ("10.244.1.2", "10.244.1.3", true),
        ("10.244.1.2", "10.244.1.4", false),
        ("10.244.1.4", "10.244.1.2", false),
        ("10.244.1.4", "10.244.1.5", false),
        ("10.244.1.4", "198.51.100.7", false),
        ("198.51.100.7", "10.244.1.4", false),
        ("198.51.100.7", "10.244.1.2", true),
        // Outside of the prefixes nobody has to be known.
        ("10.244.2.4", "10.244.1.2", true),
        ("10.244.2.4", "198.51.100.7", true),
        // A pod that is over has no address any more.
        ("10.244.1.9", "10.244.1.2", false),
        // Known, wherever it is; and a node.
        ("10.244.1.77", "10.244.1.2", true),
        ("10.244.1.250", "10.244.1.2", true),
        ("fd00:1::2", "fd00:9::1", true),
        ("fd00:1::3", "fd00:9::1", false),
        ("fd00:9::1", "fd00:1::3", false),
    ] {
        let passage = passage(&ruleset, &packet(source, destination));
        assert_eq!(passage.accepted, passes, "{source} -> {destination}");
        let said: &[&str] = if passes { &[] } else { &[UNKNOWN_POD] };
        assert_eq!(passage.logged, said, "{source} -> {destination}");
        assert_eq!(passage.counted.get(UNKNOWN_POD), (!passes).then_some(&1), "{source} -> {destination}");
    }
    let established = Packet { established: true, ..packet("10.244.1.4", "10.244.1.2") };
    let solicitation = Packet { payload: Payload::Icmp(135), ..packet("fd00:1::3", "fd00:1::2") };
    for packet in [established, solicitation] {
        assert!(passage(&ruleset, &packet).accepted, "{packet:?}");
    }
    let forged = Packet { source_behind_interface: false, ..packet("10.244.1.4", "10.244.1.2") };
    assert_eq!(passage(&ruleset, &forged).counted.get("forged"), Some(&1), "counted as what it is");
}

#[test]
fn a_pod_is_open_as_soon_as_it_is_known() {
    let mut pods = pods();
    let to_new = packet("10.244.1.2", "10.244.1.4");
    assert!(!passage(&planned(&cluster(pods.clone()), deny()), &to_new).accepted);
    pods.push(pod("new", "n1", "10.244.1.4", None));
    let before = planned(&cluster(self::pods()), deny());
    let after = planned(&cluster(pods), deny());
    assert!(passage(&after, &to_new).accepted);
    // One element, and nothing else.
    let difference = palisade_nftables::difference::Difference::between(Some(&before), &after);
    assert_eq!(difference.changes().count(), 1, "{difference:?}");
}

#[test]
fn without_it_nothing_is_different() {
    for seed in 0..50 {
        let cluster = Generator::new(seed).cluster();
        let program = PolicyProgram::compile(&cluster);
        for (node, _) in cluster.nodes() {
            let ruleset = plan(&cluster, &program, node, &Options::default()).ruleset;
            assert!(!text::render(&ruleset).contains("known"), "seed {seed}");
            let held = Options { unknown_pods: given(&PREFIXES), ..Options::default() };
            let mut with = plan(&cluster, &program, node, &held).ruleset;
            for set in ["local4", "local6", "known4", "known6"] {
                with.sets.remove(set).unwrap();
            }
            with.chains.remove(UNKNOWN_POD).unwrap();
            let rules = &mut with.chains.get_mut("judge").unwrap().rules;
            rules.retain(|rule| rule.expressions.iter().all(|one| one.set().is_none_or(|set| !set.contains("known"))));
            assert_eq!(with, ruleset, "seed {seed}: it only adds");
        }
    }
    let cluster = cluster(pods());
    let only4 = planned(&cluster, given(&["10.244.1.0/24"]));
    assert!(only4.sets.contains_key("known4") && !only4.sets.contains_key("local6"), "no prefix, no question");
}

#[test]
fn a_pod_outside_of_the_prefixes_is_told() {
    let cluster = cluster(pods());
    let n1 = cluster.find_node("n1").unwrap();
    assert_eq!(deny().check(&cluster, n1), Ok(()));
    assert_eq!(UnknownPods::Allow.check(&cluster, n1), Ok(()));
    let error = given(&["10.244.1.0/31", "10.244.1.2/32"]).check(&cluster, n1).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, Misfit::Outside { more: 1, .. }), "{error:?}");
    for part in ["Pod prod/web of this node", "fd00:1::2", "(and 1 more)", "10.244.1.0/31, 10.244.1.2/32", "--pod-cidr"]
    {
        assert!(said.contains(part), "{said}");
    }
    let error = deny().check(&cluster, cluster.find_node("n2").unwrap()).unwrap_err();
    assert_eq!(error, Misfit::NoPrefixes("n2".into()));
    assert!(error.to_string().contains("node n2 has no podCIDR"), "{error}");
}

#[test]
fn what_is_closed_before_anything_is_known() {
    let first = closed(&set(&PREFIXES), Options::default().log);
    for (source, destination) in
        [("10.244.1.2", "10.244.1.3"), ("fd00:1::2", "fd00:9::1"), ("10.244.2.4", "10.244.1.2")]
    {
        assert!(!passage(&first, &packet(source, destination)).accepted, "{source} -> {destination}");
    }
    assert!(passage(&first, &packet("192.0.2.7", "198.51.100.7")).accepted, "what the node forwards for others");
    // What the agent then wants has all of it, with the same content but for who is known.
    let then = planned(&cluster(pods()), deny());
    assert_eq!(then.sets["local4"], first.sets["local4"]);
    assert_eq!(then.chains[UNKNOWN_POD], first.chains[UNKNOWN_POD]);
    for chain in [FORWARD, "judge"] {
        for rule in &first.chains[chain].rules {
            assert!(then.chains[chain].rules.contains(rule));
        }
    }
    insta::assert_snapshot!("closed", text::render(&first));
}
