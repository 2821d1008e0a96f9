//! Sections 3 and 4: peers and ports.

use super::fixture::{ENDS, Fixture, block, both, namespaces, pods, policy, rule};
use palisade_engine::model::{Peer, PolicyRule};
use palisade_oracle::Answer::{self, *};

/// shop/db is isolated for ingress, with this rule alone.
fn db<const P: usize, const Q: usize>(peers: [Peer; P], ports: [&str; Q]) -> Fixture {
    db_rules([rule(peers, ports)])
}

fn db_rules<const N: usize>(rules: [PolicyRule; N]) -> Fixture {
    Fixture::new([policy("shop/p", "app=db", "Ingress", rules, [])])
}

/// Asks the traffic from `from` to `to`, and compares.
#[track_caller]
fn table<const N: usize>(fixture: &Fixture, from: &str, to: &str, rows: [(&str, Answer); N]) {
    for (traffic, wanted) in rows {
        assert_eq!(fixture.ask(from, to, traffic), wanted, "{from} -> {to}, {traffic}");
    }
}

fn others(than: &str) -> Vec<&'static str> {
    ENDS.into_iter().filter(|end| *end != than).collect()
}

#[test]
fn rule_3_1_no_peers_any_peer() {
    assert_eq!(db([], ["TCP 80"]).who_reaches("shop/db"), others("shop/db"));
    let egress = Fixture::new([policy("shop/p", "app=db", "Egress", [], [rule([], [])])]);
    assert_eq!(egress.whom_reaches("shop/db"), others("shop/db"));
}

#[test]
fn rule_3_2_items_are_alternatives_and_selectors_of_one_item_are_not() {
    // Both in one item: the web pods of bank.
    assert_eq!(db([both("team=blue", "app=web")], []).who_reaches("shop/db"), ["bank/web"]);
    // Two items: everything of bank, and the own web pods.
    let two = db([namespaces("team=blue"), pods("app=web")], []);
    assert_eq!(two.who_reaches("shop/db"), ["shop/web", "bank/web", "bank/new"]);
    let blocks = db([block("203.0.113.0/24"), pods("app=none"), block("172.18.0.2/32")], []);
    assert_eq!(blocks.ask("203.0.113.7", "shop/db", "TCP 80"), Allow);
    assert_eq!(blocks.ask("node n1", "shop/db", "TCP 80"), Allow);
    assert_eq!(blocks.ask("shop/web", "shop/db", "TCP 80"), Deny);
}

#[test]
fn rule_3_3_own_namespace_other_namespaces_and_empty_selectors() {
    assert_eq!(db([pods("app=web")], []).who_reaches("shop/db"), ["shop/web"]);
    assert_eq!(db([pods("")], []).who_reaches("shop/db"), ["shop/web"]);
    assert_eq!(db([namespaces("team=red")], []).who_reaches("shop/db"), ["shop/web"]);
    let all = ["shop/web", "bank/web", "bank/new", "lab/tool"];
    assert_eq!(db([namespaces("")], []).who_reaches("shop/db"), all);
    assert_eq!(db([both("", "app=web")], []).who_reaches("shop/db"), ["shop/web", "bank/web"]);
    // A pod's labels are not its namespace's.
    assert_eq!(db([pods("team=red")], []).who_reaches("shop/db"), Vec::<&str>::new());
    assert_eq!(db([namespaces("app=web")], []).who_reaches("shop/db"), Vec::<&str>::new());
}

#[test]
fn rule_3_4_operators() {
    for (selector, wanted) in [
        ("app in web|tool", vec!["shop/web", "bank/web", "lab/tool"]),
        ("app notin web", vec!["bank/new", "lab/tool"]),
        ("app notin web|tool", vec!["bank/new"]),
        // An absent key is not in any list.
        ("tier notin back", vec!["shop/web", "bank/web", "bank/new", "lab/tool"]),
        ("app", vec!["shop/web", "bank/web", "bank/new", "lab/tool"]),
        ("tier", vec![]),
        ("!tier", vec!["shop/web", "bank/web", "bank/new", "lab/tool"]),
        ("!app", vec![]),
        ("tier in back", vec![]),
        // All of them hold.
        ("app=web,!tier", vec!["shop/web", "bank/web"]),
        ("app in web|new,app notin web", vec!["bank/new"]),
        ("app=web,app=new", vec![]),
    ] {
        assert_eq!(db([both("", selector)], []).who_reaches("shop/db"), wanted, "{selector}");
    }
    for (selector, isolated) in [("tier", true), ("!tier", false), ("app notin web", true), ("app in web|db", true)] {
        let fixture = Fixture::new([policy("shop/p", selector, "Ingress", [], [])]);
        assert_eq!(fixture.ask("bank/web", "shop/db", "TCP 80") == Deny, isolated, "{selector}");
    }
}

#[test]
fn rule_3_5_ip_blocks_match_by_address_alone() {
    let from = |text: &str| db([block(text)], []);
    for (cidr, address, wanted) in [
        ("10.244.0.0/24", "10.244.0.10", Allow),
        ("10.244.0.0/24", "172.18.0.2", Deny),
        ("172.18.0.0/31", "172.18.0.2", Deny),
        ("172.18.0.2/31", "172.18.0.2", Allow),
        ("0.0.0.0/0", "203.0.113.7", Allow),
        ("128.0.0.0/1", "203.0.113.7", Allow),
        ("0.0.0.0/1", "203.0.113.7", Deny),
        ("203.0.113.64/26", "203.0.113.63", Deny),
        ("203.0.113.64/26", "203.0.113.64", Allow),
        ("203.0.113.64/26", "203.0.113.127", Allow),
        ("203.0.113.64/26", "203.0.113.128", Deny),
        ("203.0.113.7/32", "203.0.113.7", Allow),
        ("203.0.113.7/32", "203.0.113.6", Deny),
        ("::/0", "2001:db8::1", Allow),
        ("2001:db8:0:2::/63", "2001:db8:0:3:ffff:ffff:ffff:ffff", Allow),
        ("2001:db8:0:2::/63", "2001:db8:0:4::", Deny),
        ("2001:db8:0:2::/63", "2001:db8:0:1:ffff:ffff:ffff:ffff", Deny),
        ("2001:db8::1/128", "2001:db8::1", Allow),
        ("2001:db8::1/128", "2001:db8::", Deny),
    ] {
        let to = if address.contains(':') { "shop/db v6" } else { "shop/db" };
        assert_eq!(from(cidr).ask(address, to, "TCP 80"), wanted, "{address} in {cidr}");
    }
}

#[test]
fn rule_3_5_except_takes_away_from_its_own_block_only() {
    let without = || block("203.0.113.0/24 except 203.0.113.0/28,203.0.113.128/25");
    let fixture = db([without()], []);
    for (address, wanted) in [
        ("203.0.113.15", Deny),
        ("203.0.113.16", Allow),
        ("203.0.113.127", Allow),
        ("203.0.113.128", Deny),
        ("203.0.114.0", Deny),
    ] {
        table(&fixture, address, "shop/db", [("TCP 80", wanted)]);
    }
    let other_block = db([without(), block("203.0.113.8/29")], []);
    let other_rule = db_rules([rule([without()], []), rule([block("203.0.113.8/29")], ["TCP 80"])]);
    for fixture in [&other_block, &other_rule] {
        table(fixture, "203.0.113.15", "shop/db", [("TCP 80", Allow)]);
        table(fixture, "203.0.113.7", "shop/db", [("TCP 80", Deny)]);
    }
    // A pod whose address is taken away is still found by its labels.
    let labels = db([block("10.0.0.0/8 except 10.244.0.0/16"), pods("app=web")], []);
    assert_eq!(labels.who_reaches("shop/db"), ["shop/web"]);
}

#[test]
fn rule_3_7_and_4_1_an_empty_rule_allows_everything() {
    let fixture = db([], []);
    assert_eq!(fixture.who_reaches("shop/db"), others("shop/db"));
    table(
        &fixture,
        "bank/web",
        "shop/db",
        [("TCP 1", Allow), ("UDP 65535", Allow), ("SCTP 9", Allow), ("ICMP", Allow)],
    );
}

#[test]
fn rule_4_1_no_ports_all_traffic_of_the_peers() {
    let fixture = db([pods("app=web")], []);
    table(&fixture, "shop/web", "shop/db", [("TCP 80", Allow), ("SCTP 1", Allow), ("ICMP", Allow)]);
    table(&fixture, "bank/web", "shop/db", [("TCP 80", Deny), ("ICMP", Deny)]);
}

#[test]
fn rule_4_2_protocols_and_items_without_a_port() {
    let rows = [("TCP 80", Allow), ("UDP 80", Deny), ("SCTP 80", Deny), ("TCP 81", Deny)];
    table(&db([], ["TCP 80"]), "shop/web", "shop/db", rows);
    let rows = [("TCP 1", Allow), ("TCP 65535", Allow), ("UDP 1", Deny), ("SCTP 1", Deny)];
    table(&db([], ["TCP"]), "shop/web", "shop/db", rows);
    let rows = [("UDP 53", Allow), ("SCTP 9", Allow), ("TCP 53", Deny), ("UDP 9", Deny)];
    table(&db([], ["UDP 53", "SCTP"]), "shop/web", "shop/db", rows);
}

#[test]
fn rule_4_4_ranges_include_both_ends() {
    let rows = [("TCP 79", Deny), ("TCP 80", Allow), ("TCP 85", Allow), ("TCP 90", Allow), ("TCP 91", Deny)];
    table(&db([], ["TCP 80-90"]), "shop/web", "shop/db", rows);
    let rows = [("TCP 65534", Deny), ("TCP 65535", Allow), ("TCP 1", Allow), ("TCP 2", Deny), ("UDP 65535", Deny)];
    table(&db([], ["TCP 65535-65535", "TCP 1"]), "shop/web", "shop/db", rows);
    // Overlapping ranges are their union.
    let rows = [("TCP 9", Deny), ("TCP 10", Allow), ("TCP 25", Allow), ("TCP 30", Allow), ("TCP 31", Deny)];
    table(&db([], ["TCP 10-20", "TCP 15-30"]), "shop/web", "shop/db", rows);
}

#[test]
fn rule_4_5_a_name_is_what_the_destination_pod_says() {
    // One pod may give a name several numbers.
    let rows = [("TCP 80", Allow), ("TCP 81", Allow), ("TCP 8080", Deny), ("UDP 80", Deny)];
    table(&db([], ["TCP http"]), "shop/web", "shop/db", rows);
    // The name in another protocol.
    table(&db([], ["TCP dns"]), "shop/web", "shop/db", [("TCP 53", Deny), ("UDP 53", Deny)]);
    table(&db([], ["UDP dns"]), "shop/web", "shop/db", [("TCP 53", Deny), ("UDP 53", Allow)]);
    // Egress: still the destination's, each its own.
    let egress = Fixture::new([policy("shop/p", "app=web", "Egress", [], [rule([], ["TCP http"])])]);
    table(&egress, "shop/web", "shop/db", [("TCP 80", Allow), ("TCP 8080", Deny)]);
    table(&egress, "shop/web", "bank/new", [("TCP 80", Deny), ("TCP 8080", Allow)]);
    // The same name, of UDP alone there.
    table(&egress, "shop/web", "bank/web", [("TCP 8080", Deny), ("UDP 8080", Deny)]);
    // None at all: a pod without it, an outside host, a node with a host-network pod that has it.
    table(&egress, "shop/web", "lab/tool", [("TCP 80", Deny), ("TCP 8080", Deny)]);
    table(&egress, "shop/web", "203.0.113.7", [("TCP 80", Deny), ("TCP 8080", Deny)]);
    table(&egress, "shop/web", "shop/host", [("TCP 8080", Deny)]);
    // A name beside a number: either.
    table(
        &db([], ["UDP dns", "TCP 9"]),
        "shop/web",
        "shop/db",
        [("UDP 53", Allow), ("TCP 9", Allow), ("TCP 53", Deny)],
    );
}

#[test]
fn rule_4_6_ports_never_match_traffic_without() {
    for ports in ["TCP", "TCP 1-65535", "SCTP", "UDP dns"] {
        table(&db([], [ports]), "shop/web", "shop/db", [("ICMP", Deny)]);
    }
    let beside = db_rules([rule([], ["TCP"]), rule([pods("")], [])]);
    table(&beside, "shop/web", "shop/db", [("ICMP", Allow)]);
    table(&beside, "bank/web", "shop/db", [("ICMP", Deny), ("TCP 1", Allow)]);
}
