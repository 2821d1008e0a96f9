//! Sections 1 and 2: who talks, isolation and union.

use super::fixture::{ENDS, Fixture, block, both, namespaces, pods, policy, rule};
use palisade_engine::model::{Cluster, Direction::*, Endpoint, Flow, ObjectRef, Protocol, Side, Traffic};
use palisade_oracle::{
    Answer::{self, *},
    HalfAnswer, half,
};

/// Asks (from, to, traffic) and compares.
#[track_caller]
fn table<const N: usize>(fixture: &Fixture, rows: [(&str, &str, &str, Answer); N]) {
    for (from, to, traffic, wanted) in rows {
        assert_eq!(fixture.ask(from, to, traffic), wanted, "{from} -> {to}, {traffic}");
    }
}

/// Nobody may connect to the pods of shop.
fn closed_shop() -> Fixture {
    Fixture::new([policy("shop/closed", "", "Ingress", [], [])])
}

#[test]
fn rule_1_1_an_address_is_who_has_it_now() {
    let only_web = Fixture::new([policy("shop/p", "app=db", "-", [rule([pods("app=web")], [])], [])]);
    table(
        &only_web,
        [
            ("10.244.0.10", "10.244.1.20", "TCP 80", Allow),
            ("fd00:10:244::10", "fd00:10:244:1::20", "TCP 80", Allow),
            ("10.244.1.30", "10.244.1.20", "TCP 80", Deny),
            ("10.244.0.99", "10.244.1.20", "TCP 80", Deny),
        ],
    );
}

#[test]
fn rule_1_2_a_pod_that_has_ended_owns_nothing() {
    // shop/done has the labels, shop/web has the address.
    let only_done = Fixture::new([policy("shop/p", "app=db", "-", [rule([pods("app=done")], [])], [])]);
    table(&only_done, [("10.244.0.10", "shop/db", "TCP 80", Deny)]);
    // A policy that selects only the ended pod isolates nobody.
    let for_done = Fixture::new([policy("shop/p", "app=done", "-", [], [])]);
    table(&for_done, [("bank/web", "10.244.0.10", "TCP 80", Allow)]);
}

#[test]
fn rule_1_2_a_pod_without_an_address_takes_part_by_labels_and_ports() {
    let fixture = Fixture::new([
        policy("shop/p", "app=db", "-", [rule([both("team=blue", "app=new")], ["TCP 80"])], []),
        policy("bank/p", "app=new", "-", [rule([], ["TCP http"])], []),
    ]);
    table(
        &fixture,
        [
            ("bank/new", "shop/db", "TCP 80", Allow),
            ("bank/new", "shop/db", "TCP 82", Deny),
            ("shop/web", "bank/new", "TCP 8080", Allow),
            ("shop/web", "bank/new", "TCP 80", Deny),
        ],
    );
}

#[test]
fn rule_1_2_only_an_address_that_is_not_known_leaves_the_answer_open() {
    let from_block = |text| Fixture::new([policy("shop/p", "app=db", "-", [rule([block(text)], ["TCP 80"])], [])]);
    table(
        &from_block("10.244.0.0/16"),
        [
            ("bank/new", "shop/db", "TCP 80", Undetermined),
            // The ports do not match: nothing is open.
            ("bank/new", "shop/db", "TCP 81", Deny),
            // The other family: no address could be in the block.
            ("bank/new v6", "shop/db v6", "TCP 80", Deny),
            // Neither address is known, so neither is the family.
            ("bank/new", "shop/db unknown", "TCP 80", Undetermined),
            ("node n3", "shop/db", "TCP 80", Undetermined),
        ],
    );
    table(
        &from_block("0.0.0.0/0"),
        [
            ("bank/new", "shop/db", "TCP 80", Allow),
            ("bank/new v6", "shop/db v6", "TCP 80", Deny),
            ("bank/new", "shop/db unknown", "TCP 80", Undetermined),
        ],
    );
    table(&from_block("0.0.0.0/0 except 10.0.0.0/8"), [("bank/new", "shop/db", "TCP 80", Undetermined)]);
    table(
        &from_block("::/0"),
        [("bank/new v6", "shop/db v6", "TCP 80", Allow), ("bank/new", "shop/db", "TCP 80", Deny)],
    );
}

#[test]
fn rule_1_2_what_is_certain_wins_over_what_is_open() {
    let open = || rule([block("10.244.0.0/16")], []);
    // Within a half another peer or rule allows.
    let sure = rule([pods("app=x"), both("team=blue", "")], []);
    let fixture = Fixture::new([policy("shop/p", "app=db", "-", [open(), sure], [])]);
    table(&fixture, [("bank/new", "shop/db", "TCP 80", Allow)]);
    let peers = rule([block("10.244.0.0/16"), both("team=blue", "")], []);
    table(&Fixture::new([policy("shop/p", "app=db", "-", [peers], [])]), [("bank/new", "shop/db", "TCP 80", Allow)]);
    // Across the halves a denial is certain, on either side.
    let fixture = Fixture::new([
        policy("shop/p", "app=db", "-", [open()], []),
        policy("bank/p", "app=new", "Ingress, Egress", [], []),
        policy("shop/q", "app=web", "Egress", [], [open()]),
    ]);
    table(&fixture, [("bank/new", "shop/db", "TCP 80", Deny), ("shop/web", "bank/new", "TCP 80", Deny)]);
    assert_eq!(fixture.half(Ingress, "bank/new", "shop/db", "TCP 80"), HalfAnswer::Undetermined);
    assert_eq!(fixture.half(Egress, "bank/new", "shop/db", "TCP 80"), HalfAnswer::Denied);
    // The subject's own address is nobody's question.
    let fixture = Fixture::new([policy("bank/p", "app=new", "-", [open()], [])]);
    table(&fixture, [("shop/web", "bank/new", "TCP 80", Allow), ("203.0.113.7", "bank/new", "TCP 80", Deny)]);
}

#[test]
fn rule_1_3_a_host_network_pod_is_its_node() {
    // No policy selects it: closing the namespace leaves it open.
    table(&closed_shop(), [("bank/web", "shop/host", "TCP 80", Allow), ("bank/web", "shop/web", "TCP 80", Deny)]);
    // No selector finds it, an ipBlock does.
    let by_label = Fixture::new([policy("shop/p", "app=web", "-", [rule([pods("app=web"), namespaces("")], [])], [])]);
    table(&by_label, [("shop/host", "shop/web", "TCP 80", Deny)]);
    let by_block = Fixture::new([policy("shop/p", "app=web", "-", [rule([block("172.18.0.3/32")], [])], [])]);
    table(&by_block, [("shop/host", "shop/web", "TCP 80", Allow), ("node n2", "shop/web", "TCP 80", Allow)]);
}

#[test]
fn rule_1_2_and_1_3_hold_for_ends_put_together_by_hand() {
    // The cluster never gives such an end; whoever makes one gets no policy applied to it and no
    // label matched.
    let all = || rule([namespaces("")], []);
    let Fixture(cluster) = Fixture::new([
        policy("shop/p", "", "Ingress, Egress", [all()], [all()]),
        policy("shop/named", "app=db", "Egress", [], [rule([], ["TCP http"])]),
    ]);
    let by_hand = |name: &str| {
        let pod = cluster.find_pod(&ObjectRef::new("shop", name)).unwrap();
        Side { endpoint: Endpoint::Pod(pod), address: None }
    };
    for name in ["host", "done"] {
        let (odd, web) = (by_hand(name), by_hand("web"));
        let to = Flow::new(web, odd, Traffic::Port(Protocol::Tcp, 8080)).unwrap();
        assert_eq!(half(&cluster, &to, Ingress), HalfAnswer::NotJudged, "{name}");
        assert_eq!(half(&cluster, &to, Egress), HalfAnswer::Denied, "{name}");
        let named = Flow::new(by_hand("db"), odd, Traffic::Port(Protocol::Tcp, 8080)).unwrap();
        assert_ne!(half(&cluster, &named, Egress), HalfAnswer::Allowed, "{name}");
    }
}

#[test]
fn rule_1_4_the_families_never_mix() {
    let v4 = Fixture::new([policy("shop/p", "app=db", "-", [rule([block("0.0.0.0/0")], [])], [])]);
    table(&v4, [("shop/web", "shop/db", "TCP 80", Allow), ("shop/web v6", "shop/db v6", "TCP 80", Deny)]);
    let v6 = Fixture::new([policy("shop/p", "app=db", "-", [rule([block("fd00:10:244::/64")], [])], [])]);
    table(&v6, [("shop/web", "shop/db", "TCP 80", Deny), ("shop/web v6", "shop/db v6", "TCP 80", Allow)]);
}

#[test]
fn rule_1_5_every_namespace_has_its_name_as_a_label() {
    for (name, who) in [("lab", "lab/tool"), ("bank", "bank/web")] {
        let peer = namespaces(&format!("kubernetes.io/metadata.name={name}"));
        let fixture = Fixture::new([policy("shop/p", "app=db", "-", [rule([peer], [])], [])]);
        assert!(fixture.who_reaches("shop/db").contains(&who));
        table(&fixture, [("shop/web", "shop/db", "TCP 80", Deny)]);
    }
    // That label alone, for one that is only mentioned.
    let fixture = Fixture::new([policy("shop/p", "app=db", "-", [rule([namespaces("!team")], [])], [])]);
    assert_eq!(fixture.who_reaches("shop/db"), ["lab/tool"]);
}

#[test]
fn rule_1_6_a_pod_reaches_itself() {
    let fixture = Fixture::new([policy("shop/p", "", "Ingress, Egress", [], [])]);
    table(&fixture, [("shop/web", "shop/web", "TCP 80", Allow), ("10.244.0.10", "shop/web", "ICMP", Allow)]);
    assert_eq!(fixture.half(Ingress, "shop/web", "shop/web", "TCP 80"), HalfAnswer::NotJudged);
}

#[test]
fn rule_1_7_a_pod_and_its_node_reach_each_other() {
    let fixture = Fixture::new([policy("shop/p", "", "Ingress, Egress", [], [])]);
    table(
        &fixture,
        [
            ("node n1", "shop/web", "TCP 80", Allow),
            ("shop/web", "node n1", "TCP 80", Allow),
            ("shop/web", "node n1 unknown", "TCP 80", Allow),
            // Not so another node ...
            ("node n2", "shop/web", "TCP 80", Deny),
            ("shop/web", "node n2", "TCP 80", Deny),
            // ... and the host-network pod is on the node of shop/db.
            ("shop/host", "shop/db", "TCP 80", Allow),
            ("shop/web", "shop/host", "TCP 80", Deny),
        ],
    );
    assert_eq!(fixture.half(Egress, "shop/web", "node n1", "TCP 80"), HalfAnswer::NotJudged);
}

#[test]
fn rule_1_9_between_others_nobody_judges() {
    let fixture = closed_shop();
    for (from, to) in [("203.0.113.7", "203.0.113.8"), ("node n1", "node n2"), ("203.0.113.7", "shop/host")] {
        assert_eq!(fixture.ask(from, to, "TCP 80"), Allow);
        assert_eq!(fixture.half(Ingress, from, to, "TCP 80"), HalfAnswer::NotJudged);
        assert_eq!(fixture.half(Egress, from, to, "TCP 80"), HalfAnswer::NotJudged);
    }
}

#[test]
fn rule_2_1_each_direction_and_each_namespace_on_its_own() {
    let fixture = closed_shop();
    assert_eq!(fixture.who_reaches("shop/db"), Vec::<&str>::new());
    assert_eq!(fixture.whom_reaches("shop/db"), ["bank/web", "bank/new", "lab/tool", "node n1", "203.0.113.7"]);
    assert_eq!(fixture.half(Egress, "shop/db", "bank/web", "TCP 80"), HalfAnswer::NotIsolated);
    assert_eq!(fixture.who_reaches("bank/web"), ENDS.into_iter().filter(|e| *e != "bank/web").collect::<Vec<_>>());
    let egress = Fixture::new([policy("bank/p", "app=web", "Egress", [], [])]);
    assert_eq!(egress.whom_reaches("bank/web"), Vec::<&str>::new());
    table(&egress, [("shop/web", "bank/web", "TCP 80", Allow), ("shop/web", "shop/db", "TCP 80", Allow)]);
}

#[test]
fn rule_2_2_the_union_of_all_policies_in_any_order() {
    let closed = || policy("shop/a", "", "Ingress", [], []);
    let web = || policy("shop/b", "app=db", "Ingress", [rule([pods("app=web")], ["TCP 80"])], []);
    let bank = || policy("shop/c", "tier", "Ingress", [rule([namespaces("team=blue")], [])], []);
    for fixture in [
        Fixture::new([closed(), web(), bank()]),
        Fixture::new([bank(), web(), closed()]),
        Fixture::new([web(), closed(), bank()]),
    ] {
        assert_eq!(fixture.who_reaches("shop/db"), ["shop/web", "bank/web", "bank/new"]);
        table(&fixture, [("shop/web", "shop/db", "TCP 81", Deny), ("bank/web", "shop/db", "TCP 81", Allow)]);
        assert_eq!(fixture.half(Ingress, "bank/web", "shop/db", "TCP 81"), HalfAnswer::Allowed);
    }
}

#[test]
fn rule_2_3_a_connection_needs_both_halves() {
    let egress = || policy("shop/e", "app=web", "Egress", [], [rule([pods("app=db")], [])]);
    let ingress = |port| policy("shop/i", "app=db", "Ingress", [rule([pods("app=web")], [port])], []);
    let fixture = Fixture::new([egress(), ingress("TCP 80")]);
    table(
        &fixture,
        [
            ("shop/web", "shop/db", "TCP 80", Allow),
            ("shop/web", "shop/db", "TCP 81", Deny),
            ("shop/web", "bank/web", "TCP 80", Deny),
            ("bank/web", "shop/db", "TCP 80", Deny),
            // The way back is another connection; nothing isolates for it.
            ("shop/db", "shop/web", "TCP 80", Allow),
        ],
    );
}

#[test]
fn rule_2_5_policy_types_by_default() {
    let to_db = || rule([pods("app=db")], []);
    let without = Fixture::new([policy("shop/p", "app=web", "-", [], [])]);
    table(&without, [("bank/web", "shop/web", "TCP 80", Deny), ("shop/web", "bank/web", "TCP 80", Allow)]);
    let with = Fixture::new([policy("shop/p", "app=web", "-", [], [to_db()])]);
    table(
        &with,
        [
            // Ingress always, even when only egress has rules.
            ("bank/web", "shop/web", "TCP 80", Deny),
            ("shop/web", "shop/db", "TCP 80", Allow),
            ("shop/web", "bank/web", "TCP 80", Deny),
        ],
    );
    // An empty list is none.
    let empty = Fixture::new([policy("shop/p", "app=web", "", [], [to_db()])]);
    table(&empty, [("bank/web", "shop/web", "TCP 80", Deny), ("shop/web", "bank/web", "TCP 80", Deny)]);
}

#[test]
fn rule_2_6_types_listed_and_rules_of_others() {
    let anything = || rule([], []);
    let ingress = Fixture::new([policy("shop/p", "app=web", "Ingress", [], [rule([pods("app=db")], [])])]);
    table(&ingress, [("bank/web", "shop/web", "TCP 80", Deny), ("shop/web", "bank/web", "TCP 80", Allow)]);
    let egress = Fixture::new([policy("shop/p", "app=web", "Egress", [rule([pods("app=db")], [])], [])]);
    table(&egress, [("bank/web", "shop/web", "TCP 80", Allow), ("shop/web", "shop/db", "TCP 80", Deny)]);
    // Ignored also where another policy isolates.
    let closed = || policy("shop/closed", "", "Ingress", [], []);
    let other = policy("shop/p", "app=web", "Egress", [anything()], [anything()]);
    table(&Fixture::new([closed(), other]), [("bank/web", "shop/web", "TCP 80", Deny)]);
}

#[test]
fn rule_2_7_an_empty_pod_selector_is_the_whole_namespace() {
    let fixture = closed_shop();
    for pod in ["shop/web", "shop/db"] {
        assert_eq!(fixture.who_reaches(pod), if pod == "shop/web" { vec!["node n1"] } else { vec![] });
    }
    assert_eq!(fixture.who_reaches("lab/tool").len(), ENDS.len() - 1);
}

#[test]
fn the_fixture_is_as_its_table_says() {
    let cluster: &Cluster = &closed_shop().0;
    assert_eq!((cluster.pods().len(), cluster.namespaces().len(), cluster.nodes().len()), (7, 3, 3));
}
