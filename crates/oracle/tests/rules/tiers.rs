//! Section 5: tiers, priorities, actions, the peers of cluster-wide policies.

use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject,
    ClusterTier, DomainName, LabelSelector, Labels, Name, PortRange, Protocol, Resolved,
};
use palisade_oracle::Answer::{Allow, Deny, Undetermined};

use crate::fixture::{Fixture, namespaces, pods, policy, rule, selector};

fn peer(text: &str) -> ClusterPeer {
    let (kind, text) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "ns" => ClusterPeer::Namespaces { namespaces: selector(text), at: None },
        "pods" => ClusterPeer::Pods { namespaces: LabelSelector::everything(), pods: selector(text), at: None },
        "nodes" => ClusterPeer::Nodes { nodes: selector(text), at: None },
        "names" => ClusterPeer::DomainNames { names: vec![DomainName::parse(text).unwrap()], at: None },
        _ => {
            let networks = vec![text.parse().unwrap()];
            ClusterPeer::Networks { networks, at: None, networks_at: Vec::new() }
        }
    }
}

fn wide(action: Action, peers: &[&str]) -> ClusterRule {
    let peers = peers.iter().copied().map(peer).collect();
    ClusterRule { name: None, action, matches: ClusterMatch::Of { peers, ports: None }, at: None }
}

fn cluster_policy(name: &str, tier: ClusterTier, priority: u16, subject: &str) -> ClusterPolicy {
    ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: Name::from(name),
        annotations: Labels::default(),
        mode: None,
        tier,
        priority: Some(priority),
        subject: ClusterSubject::Pods { namespaces: LabelSelector::everything(), pods: selector(subject) },
        ingress: Vec::new(),
        egress: Vec::new(),
        at: None,
    }
}

fn ingress(name: &str, tier: ClusterTier, priority: u16, rules: &[ClusterRule]) -> ClusterPolicy {
    ClusterPolicy { ingress: rules.to_vec(), ..cluster_policy(name, tier, priority, "app=db") }
}

fn egress(name: &str, tier: ClusterTier, priority: u16, rules: &[ClusterRule]) -> ClusterPolicy {
    ClusterPolicy { egress: rules.to_vec(), ..cluster_policy(name, tier, priority, "app=web") }
}

const ADMIN: ClusterTier = ClusterTier::Admin;
const BASELINE: ClusterTier = ClusterTier::Baseline;

#[test]
fn the_admin_tier_comes_before_network_policies() {
    let open = policy("shop/db", "app=db", "Ingress", [rule([], [])], []);
    let deny = ingress("strict", ADMIN, 5, &[wide(Action::Deny, &["pods:app=web"])]);
    let fixture = Fixture::with([open], std::slice::from_ref(&deny), &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Deny);
    assert_eq!(fixture.ask("lab/tool", "shop/db", "TCP 80"), Allow);
    let closed = policy("shop/db", "app=db", "Ingress", [], []);
    let accept = ingress("strict", ADMIN, 5, &[wide(Action::Accept, &["pods:app=web"])]);
    let fixture = Fixture::with([closed.clone()], &[accept], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Allow);
    assert_eq!(fixture.ask("lab/tool", "shop/db", "TCP 80"), Deny, "what does not match goes on");
    let pass = ingress("strict", ADMIN, 5, &[wide(Action::Pass, &["pods:app=web"]), wide(Action::Accept, &["ns:"])]);
    let fixture = Fixture::with([closed], &[pass], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Deny, "Pass leaves it to NetworkPolicy");
    assert_eq!(fixture.ask("lab/tool", "shop/db", "TCP 80"), Allow);
}

#[test]
fn the_baseline_counts_where_no_network_policy_isolates() {
    let deny = ingress("default", BASELINE, 5, &[wide(Action::Deny, &["ns:"])]);
    let fixture = Fixture::with([], std::slice::from_ref(&deny), &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Deny);
    assert_eq!(fixture.ask("203.0.113.7", "shop/db", "TCP 80"), Allow, "the outside is no namespace");
    let own = policy("shop/db", "app=db", "Ingress", [rule([pods("app=web")], [])], []);
    let fixture = Fixture::with([own], &[deny], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Allow);
    // 5.8
    let pass = ingress("default", BASELINE, 5, &[wide(Action::Pass, &["ns:"]), wide(Action::Deny, &["ns:"])]);
    assert_eq!(Fixture::with([], &[pass], &[]).ask("shop/web", "shop/db", "TCP 80"), Allow);
}

#[test]
fn priorities_then_names_then_the_order_of_rules() {
    let accept = |name, priority| ingress(name, ADMIN, priority, &[wide(Action::Accept, &["ns:"])]);
    let deny = |name, priority| ingress(name, ADMIN, priority, &[wide(Action::Deny, &["ns:"])]);
    for (policies, answer) in [
        ([deny("a", 9), accept("b", 8)], Allow),
        ([accept("b", 8), deny("a", 7)], Deny),
        ([accept("b", 8), deny("a", 8)], Deny),
        ([accept("a", 8), deny("b", 8)], Allow),
    ] {
        assert_eq!(Fixture::with([], &policies, &[]).ask("shop/web", "shop/db", "TCP 80"), answer);
    }
    let both = ingress("x", ADMIN, 1, &[wide(Action::Deny, &["pods:app=web"]), wide(Action::Accept, &["ns:"])]);
    let fixture = Fixture::with([], &[both], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Deny);
}

#[test]
fn an_egress_accept_does_not_spare_the_ingress_rules() {
    let accept = egress("e", ADMIN, 1, &[wide(Action::Accept, &["ns:"])]);
    let closed = policy("shop/db", "app=db", "Ingress", [], []);
    assert_eq!(Fixture::with([closed], &[accept], &[]).ask("shop/web", "shop/db", "TCP 80"), Deny);
}

#[test]
fn peers() {
    let deny = |peers: &[&str]| Fixture::with([], &[egress("e", ADMIN, 1, &[wide(Action::Deny, peers)])], &[]);
    let nodes = deny(&["nodes:"]);
    assert_eq!(nodes.ask("shop/web", "node n2", "TCP 80"), Deny);
    assert_eq!(nodes.ask("shop/web", "node n1", "TCP 80"), Allow, "its own node");
    assert_eq!(nodes.ask("shop/web", "203.0.113.7", "TCP 80"), Allow);
    assert_eq!(deny(&["nodes:role=infra"]).ask("shop/web", "node n2", "TCP 80"), Allow);
    let networks = deny(&["net:10.244.0.0/16"]);
    assert_eq!(networks.ask("shop/web", "shop/db", "TCP 80"), Deny, "inside of the cluster too");
    assert_eq!(networks.ask("shop/web", "bank/new", "TCP 80"), Undetermined);
    // 5.6: a host-network pod is no peer of a namespace, and no subject.
    assert_eq!(deny(&["ns:"]).ask("shop/web", "node n2", "TCP 80"), Allow);
}

#[test]
fn what_is_not_understood_fails_closed() {
    let broken = |action| ClusterRule { matches: ClusterMatch::NotUnderstood, ..wide(action, &[]) };
    for (action, answer) in [(Action::Accept, Deny), (Action::Deny, Deny), (Action::Pass, Deny)] {
        let rules = [broken(action), wide(Action::Deny, &["pods:app=web"])];
        let fixture = Fixture::with([], &[ingress("x", ADMIN, 1, &rules)], &[]);
        assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), answer, "{action}");
        let other = if action == Action::Accept { Allow } else { Deny };
        assert_eq!(fixture.ask("lab/tool", "shop/db", "TCP 80"), other, "{action}");
    }
    let names = egress("x", ADMIN, 1, &[wide(Action::Deny, &["names:a.example.com"])]);
    assert_eq!(Fixture::with([], &[names], &[]).ask("shop/web", "shop/db", "TCP 80"), Deny);
    let nobody = ClusterPolicy {
        subject: ClusterSubject::NotUnderstood,
        ..ingress("x", ADMIN, 1, &[wide(Action::Deny, &["ns:"])])
    };
    assert_eq!(Fixture::with([], &[nobody], &[]).ask("shop/web", "shop/db", "TCP 80"), Allow);
}

#[test]
fn a_policy_whose_place_was_not_understood_comes_first() {
    let first = ingress("a", ADMIN, 0, &[wide(Action::Pass, &["pods:app=web"])]);
    let deny = ingress("b", ADMIN, 0, &[wide(Action::Deny, &["pods:app=web"])]);
    let unplaced = ClusterPolicy { priority: None, ..deny.clone() };
    assert_eq!(Fixture::with([], &[first.clone(), deny], &[]).ask("shop/web", "shop/db", "TCP 80"), Allow);
    assert_eq!(Fixture::with([], &[first, unplaced], &[]).ask("shop/web", "shop/db", "TCP 80"), Deny);
}

#[test]
fn names_mean_what_was_told() {
    let rules = [wide(Action::Accept, &["names:api.example.com"]), wide(Action::Deny, &["net:0.0.0.0/0"])];
    let policies = [egress("e", ADMIN, 1, &rules)];
    let untold = Fixture::with([], &policies, &[]);
    assert_eq!(untold.ask("shop/web", "203.0.113.7", "TCP 443"), Undetermined);
    assert_eq!(untold.ask("shop/web", "shop/db", "TCP 443"), Deny, "a public name is no pod");
    let address = "203.0.113.7".parse().unwrap();
    let told = [Resolved { name: DomainName::parse("api.example.com").unwrap(), address }];
    let fixture = Fixture::with([], &policies, &told);
    assert_eq!(fixture.ask("shop/web", "203.0.113.7", "TCP 443"), Allow);
    assert_eq!(fixture.ask("shop/web", "203.0.113.8", "TCP 443"), Deny);
}

#[test]
fn a_named_port_has_the_protocol_of_the_container() {
    let ports = Some(vec![ClusterPort::Named { name: Name::from("dns"), at: None }]);
    let rule = ClusterRule { matches: ClusterMatch::Of { peers: vec![peer("ns:")], ports }, ..wide(Action::Deny, &[]) };
    let fixture = Fixture::with([], &[ingress("x", ADMIN, 1, &[rule])], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "UDP 53"), Deny);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 53"), Allow);
    let all = Some(vec![ClusterPort::Numbers { protocol: Protocol::Udp, ports: PortRange::ALL, at: None }]);
    let rule =
        ClusterRule { matches: ClusterMatch::Of { peers: vec![peer("ns:")], ports: all }, ..wide(Action::Deny, &[]) };
    let fixture = Fixture::with([], &[ingress("x", ADMIN, 1, &[rule])], &[]);
    assert_eq!(fixture.ask("shop/web", "shop/db", "UDP 9"), Deny);
    assert_eq!(fixture.ask("shop/web", "shop/db", "ICMP"), Allow);
}

#[test]
fn an_unused_rule_of_network_policies_stays_as_it_is() {
    let own = policy("shop/db", "app=db", "Ingress", [rule([namespaces("team=blue")], [])], []);
    let elsewhere = ClusterPolicy {
        subject: ClusterSubject::Namespaces(selector("team=blue")),
        ..ingress("x", ADMIN, 1, &[wide(Action::Deny, &["ns:"])])
    };
    let fixture = Fixture::with([own], &[elsewhere], &[]);
    assert_eq!(fixture.ask("bank/web", "shop/db", "TCP 80"), Allow);
    assert_eq!(fixture.ask("shop/web", "shop/db", "TCP 80"), Deny);
    assert_eq!(fixture.ask("shop/web", "bank/web", "TCP 80"), Deny);
}
