//! What a planned ruleset looks like: promises with known answers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: a wrong fixture shall fail")]

use std::collections::BTreeSet;

use palisade_engine::{
    PolicyProgram,
    model::{
        Action, Cluster, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterRule, ClusterSubject,
        ClusterTier, Direction, Family, Inventory, IpBlock, LabelSelector, Labels, Mode, Name, NamespaceScope,
        NetworkPolicy, ObjectRef, Peer, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange,
        Protocol, Requirement,
    },
};
use palisade_nftables::{
    difference::{Change, Difference},
    interpret::{Packet, Payload, forward},
    plan::{ACCEPTED, Log, Options, Plan, Sample, chain_of, plan},
    ruleset::{Expression, FORWARD, Key, Rule, Ruleset, SetKind, Verdict},
    text,
};

fn object(id: &str) -> ObjectRef {
    let (namespace, name) = id.split_once('/').unwrap();
    ObjectRef::new(namespace, name)
}

/// A pod of node n1 with labels such as `app=web,tier=front` and an IPv4 address.
fn pod(id: &str, labels: &str, address: &str) -> Pod {
    Pod {
        labels: labels.split(',').map(|pair| pair.split_once('=').unwrap()).collect::<Labels>(),
        node: Some("n1".into()),
        addresses: PodAddresses { v4: Some(address.parse().unwrap()), v6: None },
        ..Pod::running(object(id))
    }
}

fn selector(app: &str) -> LabelSelector {
    (!app.is_empty()).then(|| Requirement::equals("app", app)).into_iter().collect()
}

/// Pods of the policy's own namespace.
fn app(app: &str) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(app), at: None }
}

fn block(cidr: &str) -> Peer {
    let cidr = cidr.parse().unwrap();
    Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
}

fn rule(peers: impl Into<Vec<Peer>>, ports: impl IntoIterator<Item = u16>) -> PolicyRule {
    let port = |port| PortMatch::Range(PortRange::single(port));
    let ports = ports.into_iter().map(|n| PolicyPort { protocol: Protocol::Tcp, port: port(n), at: None });
    PolicyRule { peers: peers.into(), ports: ports.collect(), at: None }
}

fn ingress(id: &str, subject: &str, rules: impl Into<Vec<PolicyRule>>) -> NetworkPolicy {
    NetworkPolicy {
        id: object(id),
        annotations: palisade_engine::model::Labels::default(),
        mode: None,
        subject: selector(subject),
        policy_types: Some(PolicyTypes { ingress: true, egress: false }),
        ingress: rules.into(),
        egress: Vec::new(),
        at: None,
    }
}

fn cluster(pods: Vec<Pod>, policies: Vec<NetworkPolicy>) -> Cluster {
    Inventory { pods, policies, ..Inventory::default() }.into_cluster().unwrap()
}

fn planned_with(pods: &[Pod], policies: &[NetworkPolicy], options: &Options) -> Plan {
    let cluster = cluster(pods.to_vec(), policies.to_vec());
    let node = cluster.find_node("n1").unwrap();
    plan(&cluster, &PolicyProgram::compile(&cluster), node, options)
}

fn planned(pods: &[Pod], policies: &[NetworkPolicy]) -> Ruleset {
    planned_with(pods, policies, &Options::default()).ruleset
}

fn three() -> Vec<Pod> {
    vec![
        pod("prod/web", "app=web", "10.0.1.1"),
        pod("prod/db", "app=db", "10.0.1.2"),
        pod("prod/job", "app=job", "10.0.1.3"),
    ]
}

fn names(ruleset: &Ruleset) -> BTreeSet<&str> {
    ruleset.sets.keys().chain(ruleset.chains.keys()).map(String::as_str).collect()
}

fn sets_of<'a>(ruleset: &'a Ruleset, prefix: &'a str) -> impl Iterator<Item = &'a String> {
    ruleset.sets.keys().filter(move |name| name.starts_with(prefix))
}

/// The rules of the chain that judges what an address receives.
fn rules_of<'a>(ruleset: &'a Ruleset, address: &str) -> &'a [Rule] {
    let chain = chain_of(ruleset, Direction::Ingress, address.parse().unwrap()).unwrap();
    &ruleset.chains[chain].rules
}

#[test]
fn the_same_peers_are_one_set_whoever_asks_for_them() {
    let one = |n: u16| ingress(&format!("prod/p{n}"), &format!("app{n}"), [rule([app("web")], [1_000 + n])]);
    let policies: Vec<NetworkPolicy> = (0..1_000).map(one).collect();
    let servers = (0..1_000)
        .map(|n| pod(&format!("prod/s{n}"), &format!("app=app{n}"), &format!("10.1.{}.{}", n / 250, n % 250)));
    let mut pods: Vec<Pod> = servers.chain(three()).collect();
    let ruleset = planned(&pods, &policies);
    assert_eq!(sets_of(&ruleset, "pods4-").count(), 1);
    assert_eq!(sets_of(&ruleset, "pods6-").count(), 0, "no pod has an IPv6 address");
    assert_eq!(ruleset.sets.len(), 7, "that one, four maps of local addresses, two sets of pairs");
    let chains = ruleset.chains.keys().filter(|name| name.starts_with("in-"));
    assert_eq!(chains.count(), 1_000);
    pods[0].addresses.v6 = Some("fd00::1".parse().unwrap());
    assert_eq!(planned(&pods, &policies).sets.len(), 8, "one a family");
}

#[test]
fn one_pod_under_a_thousand_policies_has_one_chain() {
    let policies: Vec<_> =
        (0..1_000).map(|n| ingress(&format!("prod/p{n}"), "db", [rule([app(&format!("c{n}"))], [5432])])).collect();
    let ruleset = planned(&three(), &policies);
    assert_eq!(ruleset.chains.len(), 4, "forward, judge, the profile, its denial");
    assert_eq!(sets_of(&ruleset, "pods4-").count(), 1, "the union of a thousand peers");
    assert_eq!(rules_of(&ruleset, "10.0.1.2").len(), 2);
}

#[test]
fn names_do_not_depend_on_who_else_is_there_or_on_the_order() {
    let policies = vec![
        ingress("prod/b", "db", [rule([app("web"), app("job"), block("192.0.2.0/24")], [5432])]),
        ingress("prod/a", "db", [rule([block("198.51.100.0/24"), app("job")], [])]),
        ingress("prod/deny", "", []),
    ];
    let ruleset = planned(&three(), &policies);

    let mut others = vec![pod("dev/first", "app=other", "10.0.9.9")];
    others.extend(three());
    let with_others = planned(&others, &policies);
    assert_eq!(with_others, ruleset, "no policy sees the other one");

    let mut reversed = policies.clone();
    reversed.reverse();
    let mut pods = three();
    pods.reverse();
    assert_eq!(planned(&pods, &reversed), ruleset);
}

#[test]
fn a_pod_like_others_only_adds_elements() {
    let policies =
        vec![ingress("prod/db", "db", [rule([app("web")], [5432])]), ingress("prod/web", "web", [rule([], [80])])];
    let old = planned(&three(), &policies);
    let mut pods = three();
    pods.insert(0, pod("prod/web-2", "app=web", "10.0.1.4"));
    let new = planned(&pods, &policies);
    let joins = Difference::between(Some(&old), &new);
    let web = chain_of(&old, Direction::Ingress, "10.0.1.1".parse().unwrap()).unwrap().clone();
    let key = Key::Address("10.0.1.4".parse().unwrap());
    let clients = sets_of(&old, "pods4-").next().unwrap().clone();
    let add = |set: &str, kind, key, verdict| Change::AddElements {
        set: set.to_owned(),
        kind,
        elements: [(key, verdict)].into(),
    };
    let v4 = SetKind::Addresses(Family::V4);
    let itself = Key::Pair("10.0.1.4".parse().unwrap(), "10.0.1.4".parse().unwrap());
    assert_eq!(
        joins,
        Difference {
            switch: vec![
                add("ingress4", v4, key, Some(Verdict::Jump(web))),
                add(&clients, v4, key, None),
                add("self4", SetKind::AddressPairs(Family::V4), itself, None),
            ],
            ..Difference::default()
        }
    );
    let leaves = Difference::between(Some(&new), &old);
    assert!(leaves.prepare.is_empty() && leaves.clean.is_empty());
    assert_eq!(leaves.switch.len(), 3);
    assert!(leaves.switch.iter().all(|change| matches!(change, Change::DeleteElements { .. })));
}

#[test]
fn few_ports_are_plain_rules_and_many_are_behind_a_map() {
    let with_ports = |count: u16| {
        // Every second port, so that none are neighbours.
        let policy = ingress("prod/db", "db", [rule([app("web")], (0..count).map(|n| 1_000 + 2 * n))]);
        planned(&three(), &[policy])
    };
    let few = with_ports(6);
    assert_eq!(sets_of(&few, "ports").count(), 0);
    assert_eq!(rules_of(&few, "10.0.1.2").len(), 7, "six ports and the denial");
    let many = with_ports(7);
    let map = sets_of(&many, "ports").next().unwrap();
    assert_eq!(many.sets[map].elements.len(), 7);
    assert_eq!(rules_of(&many, "10.0.1.2")[0].expressions, [Expression::PortMap(map.clone())]);
    assert_eq!(rules_of(&many, "10.0.1.2").len(), 2);
    let cells: Vec<_> = many.chains.keys().filter(|name| name.starts_with("cell-")).collect();
    assert_eq!(cells.len(), 1, "the seven cells ask the same");
    assert_eq!(rules_of(&with_ports(60_000 / 2), "10.0.1.2").len(), 2);
}

#[test]
fn ranges_and_single_ports_have_maps_of_their_own() {
    let mut many = rule([app("web")], (0..10).map(|n| 1_000 + 2 * n));
    let range = PortMatch::Range(PortRange::new(0, 99).unwrap());
    many.ports.push(PolicyPort { protocol: Protocol::Udp, port: range, at: None });
    let ruleset = planned(&three(), &[ingress("prod/db", "db", [many])]);
    let kinds: Vec<SetKind> = ruleset.sets.values().map(|set| set.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == SetKind::Ports).count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == SetKind::PortRanges).count(), 1);
}

/// The packet of a connection from one address to a TCP port of another.
fn packet(source: &str, destination: &str, port: u16) -> Packet {
    Packet {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        payload: Payload::Port(Protocol::Tcp, port),
        interface: "pod7".to_owned(),
        source_behind_interface: true,
        established: false,
    }
}

#[test]
fn a_forged_source_is_dropped_where_pods_are() {
    let options = Options { pod_interfaces: vec!["pod".into(), "veth".into()], ..Options::default() };
    let ruleset = planned_with(&three(), &[], &options).ruleset;
    let forged = Packet { source_behind_interface: false, ..packet("10.0.1.3", "10.0.1.1", 80) };
    let accepted = |packet: &Packet| forward(&ruleset, packet).unwrap().accepted;
    assert!(!accepted(&forged));
    assert!(!accepted(&Packet { interface: "veth0".into(), ..forged.clone() }));
    assert!(accepted(&Packet { interface: "eth0".into(), ..forged.clone() }), "from elsewhere it may come");
    assert!(accepted(&Packet { source_behind_interface: true, ..forged.clone() }));
    assert!(accepted(&Packet { established: true, ..forged.clone() }), "only new ones are asked");
    // The solicitation that looks for a duplicate address comes from `::`.
    let source = "::".parse().unwrap();
    let probe = Packet {
        source,
        destination: "ff02::1:ff00:1".parse().unwrap(),
        payload: Payload::Icmp(135),
        ..forged.clone()
    };
    assert!(accepted(&probe), "neighbour discovery is never blocked");
    let unchecked = planned(&three(), &[]);
    assert!(forward(&unchecked, &forged).unwrap().accepted);
}

#[test]
fn a_packet_of_a_connection_that_stands_is_asked_once() {
    let ruleset = planned(&three(), &[]);
    let [only] = ruleset.chains[FORWARD].rules.as_slice() else { panic!("{:?}", ruleset.chains[FORWARD]) };
    let goto = Expression::Verdict(Verdict::Goto("judge".to_owned()));
    assert_eq!(only.expressions, [Expression::NeitherEstablishedNorRelated, goto]);
}

#[test]
fn each_group_of_isolating_policies_has_its_denial() {
    let policies = vec![
        ingress("prod/all", "", []),
        ingress("prod/db", "db", [rule([app("web")], [])]),
        ingress("prod/job", "job", [rule([app("web")], [])]),
    ];
    let plan = planned_with(&three(), &policies, &Options::default());
    let denials: BTreeSet<&str> = plan.denials.keys().map(String::as_str).collect();
    assert_eq!(denials.len(), 3, "all; all and db; all and job");
    for (to, from, isolating) in [
        ("10.0.1.1", "10.0.1.2", "prod/all"),
        ("10.0.1.2", "10.0.1.3", "prod/all, prod/db"),
        ("10.0.1.3", "10.0.1.2", "prod/all, prod/job"),
    ] {
        let passage = forward(&plan.ruleset, &packet(from, to, 80)).unwrap();
        let [(chain, 1)] = passage.counted.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>()[..] else {
            panic!("{passage:?}")
        };
        assert!(!passage.accepted && denials.contains(chain));
        assert_eq!(passage.logged, [chain], "the prefix of its log is its name");
        let last = plan.ruleset.chains[chain].rules.last().unwrap();
        assert_eq!(last.comment.as_deref(), Some(isolating));
    }
}

/// An audited policy of the Admin tier that denies the job's pods the way to the database's.
fn no_jobs() -> ClusterPolicy {
    let namespaces = LabelSelector::everything;
    let peers = vec![ClusterPeer::Pods { namespaces: namespaces(), pods: selector("job"), at: None }];
    let matches = ClusterMatch::Of { peers, ports: None };
    ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: "no-jobs".into(),
        annotations: Labels::default(),
        mode: Some(Mode::Audit),
        tier: ClusterTier::Admin,
        priority: Some(1),
        subject: ClusterSubject::Pods { namespaces: namespaces(), pods: selector("db") },
        ingress: vec![ClusterRule { name: None, action: Action::Deny, matches, at: None }],
        egress: Vec::new(),
        at: None,
    }
}

#[test]
fn what_audited_policies_would_deny_is_asked_behind_the_enforced_ones() {
    let audited = |policy| NetworkPolicy { mode: Some(Mode::Audit), ..policy };
    let policies = [
        audited(ingress("prod/all", "", [])),
        ingress("prod/db", "db", [rule([app("web")], []), rule([app("job")], [80])]),
        audited(ingress("prod/db-80", "db", [rule([app("web")], [80])])),
    ];
    let planned_beside = |cluster_policies| {
        let inventory =
            Inventory { pods: three(), policies: policies.to_vec(), cluster_policies, ..Inventory::default() };
        let cluster = inventory.into_cluster().unwrap();
        plan(&cluster, &PolicyProgram::compile(&cluster), cluster.find_node("n1").unwrap(), &Options::default())
    };
    let (alone, beside) = (planned_beside(vec![]), planned_beside(vec![no_jobs()]));
    let enforced = planned(&three(), &policies[1..2]);
    let chain = |rule: &Rule| match rule.expressions.as_slice() {
        [Expression::Verdict(verdict)] => verdict.clone(),
        other => panic!("{other:?}"),
    };
    // Who is accepted both ways is asked for before.
    let front = rules_of(&beside.ruleset, "10.0.1.2").last().unwrap();
    let Verdict::Goto(both) = chain(front) else { panic!("{front:?}") };
    let [jump, goto] = &beside.ruleset.chains[&both].rules[..] else { panic!("two rules: one, then the other") };
    let Verdict::Jump(first) = chain(jump) else { panic!("{jump:?}") };
    assert!(matches!(chain(goto), Verdict::Goto(_)));
    // Another NetworkPolicy only adds to what enforced ones allow: nothing more is asked for it.
    let chain_of_db = |ruleset| chain_of(ruleset, Direction::Ingress, "10.0.1.2".parse().unwrap());
    assert_eq!(chain_of_db(&alone.ruleset), Some(&first));
    // Whom audited policies alone select has no chain of two.
    assert_eq!(rules_of(&beside.ruleset, "10.0.1.1").len(), 1);
    for plan in [&alone, &beside] {
        // What is enforced is what it would be if nobody audited anything.
        assert_eq!(plan.ruleset.chains[&first], enforced.chains[&first]);
        assert!(enforced.chains.keys().all(|name| plan.ruleset.chains.contains_key(name)));
    }
    let nobody = None;
    for (from, to, port, accepted, logged) in [
        // An enforced rule lets it in; an audited policy more takes nothing of that away.
        ("10.0.1.1", "10.0.1.2", 443, true, [nobody, nobody]),
        ("10.0.1.3", "10.0.1.2", 80, true, [nobody, Some("no-jobs")]),
        ("10.0.1.3", "10.0.1.2", 443, false, [Some("prod/db"), Some("prod/db")]),
        ("10.0.1.2", "10.0.1.1", 80, true, [Some("prod/all"), Some("prod/all")]),
    ] {
        for (plan, logged) in [&alone, &beside].into_iter().zip(logged) {
            let passage = forward(&plan.ruleset, &packet(from, to, port)).unwrap();
            assert_eq!(passage.accepted, accepted);
            let comments = passage.logged.iter().map(|name| plan.ruleset.chains[name].rules.last().unwrap());
            let comments: Vec<_> = comments.filter_map(|rule| rule.comment.as_deref()).collect();
            assert_eq!(comments, logged.into_iter().collect::<Vec<_>>());
            assert_eq!(passage.logged.iter().any(|name| plan.audits.contains_key(name)), accepted && logged.is_some());
        }
    }
    let all: Vec<NetworkPolicy> = policies.map(|policy| NetworkPolicy { mode: None, ..policy }).into();
    assert!(planned_with(&three(), &all, &Options::default()).audits.is_empty());
}

#[test]
fn the_log_has_its_limit_and_the_drop_has_none() {
    let policies = [ingress("prod/db", "db", [])];
    let denial = |log| {
        let plan = planned_with(&three(), &policies, &Options { log, ..Options::default() });
        let name = plan.denials.keys().next().unwrap().clone();
        let rules = plan.ruleset.chains[&name].rules.iter().map(|rule| rule.expressions.clone()).collect::<Vec<_>>();
        // What is never dropped comes first: neighbour discovery, and the pod itself in both families.
        let (never, rules) = rules.split_at(3);
        assert!(never.iter().all(|rule| rule.last() == Some(&Expression::Verdict(Verdict::Return))), "{never:?}");
        (name, rules.to_vec())
    };
    let drop = vec![Expression::Counter, Expression::Verdict(Verdict::Drop)];
    let (prefix, rules) = denial(Some(Log { group: 7, limit: Some((10, 20)) }));
    let log = Expression::Log { group: 7, prefix };
    assert_eq!(rules, [vec![Expression::Limit { rate: 10, burst: 20 }, log.clone()], drop.clone()]);
    assert_eq!(denial(Some(Log { group: 7, limit: None })).1, [vec![log], drop.clone()]);
    assert_eq!(denial(None).1, [drop]);
}

#[test]
fn accepted_connections_are_logged_once_where_both_directions_have_allowed() {
    let policies = [ingress("prod/db", "db", [rule([app("web")], [])])];
    let plan_of = |log_accepted| planned_with(&three(), &policies, &Options { log_accepted, ..Options::default() });
    let rules = |log_accepted| plan_of(log_accepted).ruleset.chains["judge"].rules.clone();
    let sample = |one_of, limit| Some(Sample { one_of, log: Log { group: 7, limit } });
    let (without, with) = (rules(None), rules(sample(10, Some((5, 9)))));
    assert_eq!(without, with[..without.len()], "it is the last rule, and there only where it is asked for");
    let log = Expression::Log { group: 7, prefix: ACCEPTED.to_owned() };
    let limit = Expression::Limit { rate: 5, burst: 9 };
    let [rule] = &with[without.len()..] else { panic!("{with:?}") };
    assert_eq!(rule.expressions, [Expression::NewConnection, Expression::OneOf(10), limit, log.clone()]);
    let all = rules(sample(1, None));
    assert_eq!(all.last().unwrap().expressions, [Expression::NewConnection, log]);
}

#[test]
fn names_and_comments_stay_within_what_the_kernel_takes() {
    let long = "n".repeat(253);
    let value = "v".repeat(63);
    let mut policies: Vec<NetworkPolicy> = (0..50)
        .map(|n| {
            ingress(
                &format!("{}/{long}-{n}", "s".repeat(63)),
                "",
                [rule([app(&value), app("ü")], (0..40).map(|p| p * 3))],
            )
        })
        .collect();
    policies.push(ingress("prod/p", "", []));
    let mut pods = three();
    pods.push(pod(&format!("{}/p", "s".repeat(63)), "app=web", "10.0.1.9"));
    let plan = planned_with(&pods, &policies, &Options::default());
    let ruleset = &plan.ruleset;
    assert!(names(ruleset).iter().all(|name| name.len() <= 255 && name.is_ascii()));
    assert!(ruleset.sets.values().flat_map(|set| &set.comment).all(|comment| comment.len() <= 120));
    let rules = ruleset.chains.values().flat_map(|chain| &chain.rules);
    assert!(rules.clone().flat_map(|rule| &rule.comment).all(|comment| comment.len() <= 253));
    let logs = rules.flat_map(|rule| &rule.expressions).filter_map(|expression| match expression {
        Expression::Log { prefix, .. } => Some(prefix),
        _ => None,
    });
    assert!(logs.clone().count() > 0 && logs.clone().all(|prefix| prefix.len() <= 127));
}

#[test]
fn a_block_of_everything_needs_no_set() {
    let ruleset = planned(&three(), &[ingress("prod/db", "db", [rule([block("0.0.0.0/0"), app("web")], [])])]);
    assert_eq!(sets_of(&ruleset, "nets").count() + sets_of(&ruleset, "pods").count(), 0);
    assert_eq!(rules_of(&ruleset, "10.0.1.2")[0].expressions[0], Expression::Family(Family::V4));
    let host = planned(&three(), &[ingress("prod/db", "db", [rule([block("192.0.2.7/32")], [])])]);
    let set = sets_of(&host, "nets4-").next().unwrap();
    let address = "192.0.2.7".parse().unwrap();
    assert_eq!(host.sets[set].elements.keys().collect::<Vec<_>>(), [&Key::Range4(address, address)]);
}

#[test]
fn many_blocks_are_one_set_of_the_fewest_ranges() {
    let blocks: Vec<Peer> = (0..=255).map(|n| block(&format!("20.{n}.0.0/16"))).collect();
    let ruleset = planned(&three(), &[ingress("prod/db", "db", [rule(blocks, [])])]);
    let set = &ruleset.sets[sets_of(&ruleset, "nets4-").next().unwrap()];
    let whole = Key::Range4("20.0.0.0".parse().unwrap(), "20.255.255.255".parse().unwrap());
    assert_eq!(set.elements.keys().collect::<Vec<_>>(), [&whole]);
}

#[test]
fn pods_that_nobody_isolates_are_in_no_map() {
    let ruleset = planned(&three(), &[ingress("prod/db", "db", [])]);
    let count = |name: &str| ruleset.sets[name].elements.len();
    assert_eq!((count("ingress4"), count("egress4"), count("self4"), count("ingress6")), (1, 0, 1, 0));
}

#[test]
fn chains_that_go_in_circles_are_found_out() {
    let mut ruleset = planned(&three(), &[]);
    let again = |verdict| vec![Rule::new([Expression::Verdict(verdict)])];
    for verdict in [Verdict::Jump(FORWARD.into()), Verdict::Goto(FORWARD.into())] {
        ruleset.chains.get_mut(FORWARD).unwrap().rules = again(verdict);
        assert!(forward(&ruleset, &packet("10.0.1.1", "10.0.1.2", 80)).is_err());
    }
}

#[test]
fn text() {
    let mut db = pod("prod/db", "app=db", "10.0.1.2");
    db.addresses.v6 = Some("fd00::2".parse().unwrap());
    let mut http = rule([app("web"), block("192.0.2.0/24")], []);
    http.ports.push(PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Named(Name::from("sql")), at: None });
    db.ports.push(palisade_engine::model::ContainerPort {
        name: Some("sql".into()),
        port: 5432,
        protocol: Protocol::Tcp,
    });
    let pods = [pod("prod/web", "app=web", "10.0.1.1"), db];
    let options = Options { pod_interfaces: vec!["veth".into()], ..Options::default() };
    let plan = planned_with(&pods, &[ingress("prod/db", "db", [http])], &options);
    insta::assert_snapshot!(text::render(&plan.ruleset));
}
