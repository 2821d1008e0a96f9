//! NetworkPolicies behind cluster-wide ones: who is accepted in the end is asked for before the tiers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: a wrong fixture shall fail")]

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::{
    PolicyProgram,
    model::{
        Action, Cluster, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule,
        ClusterSubject, ClusterTier, Direction, Family, Flow, Inventory, IpBlock, LabelSelector, Labels, Mode,
        NamespaceScope, NetworkPolicy, ObjectRef, Peer, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes,
        PortMatch, PortRange, Protocol, Requirement, Traffic,
    },
    verdict::Outcome,
};
use palisade_nftables::{
    interpret::forward,
    path::{first_packet, passes},
    plan::{Options, Plan, chain_of, plan},
    ruleset::{End, Expression, Key, Name, Ruleset},
};

const DB: &str = "10.0.1.1";
const WEB: &str = "10.0.1.2";
const JOB: &str = "10.0.1.3";
const PROBE: &str = "10.0.1.4";

/// Pods of node n1 in namespace prod, each with its name as `app`.
fn pods() -> Vec<Pod> {
    [("db", DB), ("web", WEB), ("job", JOB), ("probe", PROBE)]
        .map(|(app, address)| Pod {
            labels: [("app", app)].into_iter().collect(),
            node: Some("n1".into()),
            addresses: PodAddresses { v4: Some(address.parse().unwrap()), v6: None },
            ..Pod::running(ObjectRef::new("prod", app))
        })
        .into()
}

fn selector(app: &str) -> LabelSelector {
    (!app.is_empty()).then(|| Requirement::equals("app", app)).into_iter().collect()
}

/// Lets a peer reach the database at some ranges of ports; no range is all traffic.
fn accept(peer: Peer, ports: &[(u16, u16)]) -> NetworkPolicy {
    let ports = ports.iter().map(|(first, last)| PortMatch::Range(PortRange::new(*first, *last).unwrap()));
    let ports = ports.map(|port| PolicyPort { protocol: Protocol::Tcp, port, at: None }).collect();
    NetworkPolicy {
        id: ObjectRef::new("prod", "db"),
        annotations: Labels::default(),
        mode: None,
        subject: selector("db"),
        policy_types: Some(PolicyTypes { ingress: true, egress: false }),
        ingress: vec![PolicyRule { peers: vec![peer], ports, at: None }],
        egress: Vec::new(),
        at: None,
    }
}

fn app(app: &str) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(app), at: None }
}

fn wide_app(app: &str) -> ClusterPeer {
    ClusterPeer::Pods { namespaces: LabelSelector::everything(), pods: selector(app), at: None }
}

fn networks(cidr: &str) -> ClusterPeer {
    ClusterPeer::Networks { networks: vec![cidr.parse().unwrap()], at: None, networks_at: Vec::new() }
}

/// A cluster-wide policy on the database, with a rule for each action, peer and port; port 0 is any.
fn wide(tier: ClusterTier, rules: Vec<(Action, ClusterPeer, u16)>) -> ClusterPolicy {
    let rule = |(action, peer, port): (Action, ClusterPeer, u16)| {
        let ports = PortRange::single(port);
        let port = (port != 0).then(|| vec![ClusterPort::Numbers { protocol: Protocol::Tcp, ports, at: None }]);
        ClusterRule { name: None, action, matches: ClusterMatch::Of { peers: vec![peer], ports: port }, at: None }
    };
    ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: format!("{tier:?}").to_lowercase().into(),
        annotations: Labels::default(),
        mode: None,
        tier,
        priority: Some(1),
        subject: ClusterSubject::Pods { namespaces: LabelSelector::everything(), pods: selector("db") },
        ingress: rules.into_iter().map(rule).collect(),
        egress: Vec::new(),
        at: None,
    }
}

struct Planned {
    cluster: Cluster,
    program: PolicyProgram,
    plan: Plan,
}

impl Planned {
    /// Plans, and sees that the ruleset says what the engine says of every pair of pods, and of what comes back to a pod.
    fn of(policies: Vec<NetworkPolicy>, cluster_policies: Vec<ClusterPolicy>) -> Self {
        let inventory = Inventory { pods: pods(), policies, cluster_policies, ..Inventory::default() };
        let cluster = inventory.into_cluster().unwrap();
        let program = PolicyProgram::compile(&cluster);
        let node = cluster.find_node("n1").unwrap();
        let plan = plan(&cluster, &program, node, &Options::default());
        let planned = Self { cluster, program, plan };
        let plans = BTreeMap::from([(node, planned.plan.clone())]);
        for (from, to) in [DB, WEB, JOB, PROBE, "192.0.2.1"].into_iter().flat_map(|from| [(from, DB), (from, WEB)]) {
            for port in (0..20).chain([5432]) {
                let flow = planned.flow(from, to, port);
                let allowed = planned.program.verdict(&planned.cluster, &flow).outcome() == Outcome::Allow;
                let found = match from == to {
                    true => planned.accepts(from, to, port),
                    false => passes(&planned.cluster, &plans, &flow).unwrap().unwrap(),
                };
                assert_eq!(found, allowed, "{from} to {to} at {port}");
            }
        }
        planned
    }

    fn flow(&self, from: &str, to: &str, port: u16) -> Flow {
        let [from, to] = [from, to].map(|address| self.cluster.side_of_address(address.parse().unwrap()));
        Flow::new(from, to, Traffic::Port(Protocol::Tcp, port)).unwrap().through_service()
    }

    fn accepts(&self, from: &str, to: &str, port: u16) -> bool {
        let packet = first_packet(&self.flow(from, to, port)).unwrap();
        forward(&self.plan.ruleset, &packet).unwrap().accepted
    }

    fn ruleset(&self) -> &Ruleset {
        &self.plan.ruleset
    }

    /// The chain that first judges what the database receives.
    fn first_chain(&self) -> &Name {
        chain_of(self.ruleset(), Direction::Ingress, DB.parse().unwrap()).unwrap()
    }

    /// The sets of addresses that a chain asks for, in order, each with its members.
    fn asked(&self, chain: &str) -> Vec<Vec<IpAddr>> {
        let expressions = self.ruleset().chains[chain].rules.iter().flat_map(|rule| &rule.expressions);
        let sets = expressions.filter_map(|expression| match expression {
            Expression::AddressIn(_, Family::V4, set) => Some(set),
            _ => None,
        });
        let address = |key: &Key| match key {
            Key::Address(address) => Some(*address),
            _ => None,
        };
        sets.map(|set| self.ruleset().sets[set].elements.keys().filter_map(address).collect()).collect()
    }

    /// How often a set of pods is asked for in the whole table.
    fn sets_of_pods(&self) -> usize {
        self.ruleset().sets.keys().filter(|name| name.starts_with("pods4-")).count()
    }
}

fn addresses(of: &[&str]) -> Vec<IpAddr> {
    of.iter().map(|address| address.parse().unwrap()).collect()
}

use Action::{Accept, Deny, Pass};
use ClusterTier::{Admin, Baseline};

#[test]
fn who_is_accepted_in_the_end_is_one_question() {
    let admin = wide(Admin, vec![(Accept, wide_app("probe"), 0), (Deny, wide_app("job"), 0)]);
    let planned = Planned::of(vec![accept(app(""), &[(5432, 5432)])], vec![admin]);
    // Everyone of the namespace but the job, whom the Admin tier denies.
    assert_eq!(planned.asked(planned.first_chain()), [addresses(&[DB, WEB, PROBE])]);
    // The Admin tier's two sets, and this one: the NetworkPolicy is not asked for its pods once more.
    assert_eq!(planned.sets_of_pods(), 3);
    let comments: Vec<&str> = planned.ruleset().sets.values().filter_map(|set| set.comment.as_deref()).collect();
    let wanted = "prod/; before: let on []/app=probe, then deny []/app=job";
    assert!(comments.contains(&wanted), "{comments:?}");
}

#[test]
fn the_first_rule_that_means_a_pod_says_whether_it_is_left_out() {
    let rules = vec![
        (Pass, wide_app("job"), 5432),
        (Deny, networks("10.0.1.2/31"), 0),
        (Accept, wide_app("web"), 0),
        (Deny, wide_app("probe"), 7),
    ];
    let planned = Planned::of(vec![accept(app(""), &[(5432, 5432), (7, 7)])], vec![wide(Admin, rules)]);
    assert!(planned.accepts(JOB, DB, 5432) && !planned.accepts(JOB, DB, 7));
    assert!(!planned.accepts(WEB, DB, 5432), "a network before it");
    assert!(planned.accepts(PROBE, DB, 5432) && !planned.accepts(PROBE, DB, 7));
}

/// A cell of the front may accept less than what holds at all other ports.
#[test]
fn what_is_denied_at_a_port_does_not_go_on_at_the_others() {
    let rules = vec![(Deny, wide_app("web"), 3), (Deny, wide_app(""), 4)];
    let planned = Planned::of(vec![accept(app("web"), &[])], vec![wide(Admin, rules)]);
    assert!(planned.accepts(WEB, DB, 2) && !planned.accepts(WEB, DB, 3) && !planned.accepts(WEB, DB, 4));
}

#[test]
fn where_nobody_is_denied_the_set_is_the_same_as_without_tiers() {
    let planned = Planned::of(
        vec![accept(app("web"), &[(5432, 5432)])],
        vec![wide(Admin, vec![(Accept, wide_app("probe"), 0), (Pass, wide_app("job"), 0)])],
    );
    let alone = Planned::of(vec![accept(app("web"), &[(5432, 5432)])], vec![]);
    let set = alone.ruleset().sets.keys().find(|name| name.starts_with("pods4-")).unwrap();
    assert!(planned.ruleset().sets.contains_key(set));
}

#[test]
fn what_comes_back_to_the_pod_goes_around_where_the_baseline_may_deny_it() {
    let policies = || vec![accept(app(""), &[(5432, 5432)])];
    let admin = || wide(Admin, vec![(Accept, wide_app("probe"), 0)]);
    let denies = Planned::of(policies(), vec![admin(), wide(Baseline, vec![(Deny, wide_app(""), 0)])]);
    assert!(!denies.accepts(DB, DB, 5432) && denies.accepts(WEB, DB, 5432));
    let own = &denies.ruleset().chains[denies.first_chain()].rules;
    assert_eq!(own[0].expressions[0], Expression::AddressIsNot(End::Source, DB.parse().unwrap()));
    let accepts = Planned::of(policies(), vec![admin(), wide(Baseline, vec![(Accept, wide_app("web"), 0)])]);
    assert!(accepts.accepts(DB, DB, 5432));
    assert!(accepts.first_chain().starts_with("in-"), "nothing is asked of its address");
}

/// Each way of leaving pods out is a set of its own: where there would be many, the tiers are gone through.
#[test]
fn there_are_only_so_many_variants_of_a_set() {
    let denied = |port: u16| (Deny, wide_app(if port.is_multiple_of(2) { "job" } else { "web" }), port);
    // At each port other networks are let on first.
    let with = |ports: u16| {
        let let_on = (1..=ports).map(|port| (Pass, networks(&format!("10.9.{port}.0/24")), port));
        let rules = let_on.chain((1..=ports).map(denied)).chain([(Deny, wide_app("probe"), 0)]).collect();
        Planned::of(vec![accept(app(""), &[])], vec![wide(Admin, rules)])
    };
    let (few, many) = (with(3), with(12));
    // The Admin tier's are three; then three ports and all others, and for twelve ports no more of them.
    assert_eq!(few.sets_of_pods(), 3 + 4);
    assert_eq!(many.sets_of_pods(), 3 + 4 + 1, "the NetworkPolicy is asked for its pods where the front has no room");
}

/// What is not a pod goes through the tiers, whatever the front says.
#[test]
fn prefixes_are_asked_for_behind_the_tiers() {
    let block = |cidr: &str| {
        let cidr = cidr.parse().unwrap();
        Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
    };
    let mut policy = accept(app("web"), &[(5432, 5432)]);
    policy.ingress[0].peers.push(block("192.0.2.0/24"));
    let denies = wide(Admin, vec![(Deny, networks("192.0.2.0/31"), 0)]);
    let planned = Planned::of(vec![policy.clone()], vec![denies]);
    assert!(!planned.accepts("192.0.2.1", DB, 5432) && planned.accepts("192.0.2.7", DB, 5432));
    assert!(planned.accepts(WEB, DB, 5432));
    // Everyone accepted by NetworkPolicies, where somebody is denied before, is nobody's address.
    let all = accept(block("0.0.0.0/0"), &[]);
    let planned = Planned::of(vec![all], vec![wide(Admin, vec![(Deny, wide_app("job"), 0)])]);
    assert!(planned.accepts(WEB, DB, 1) && !planned.accepts(JOB, DB, 1));
}

/// Numbers of selectors depend on what was read first; names must not, or a restart would build what is there anew.
#[test]
fn the_name_of_a_set_does_not_depend_on_what_was_read_first() {
    let turned = |name: &str, app: &str, mode| {
        let policy = wide(Admin, vec![(Deny, wide_app(app), 0)]);
        ClusterPolicy { name: name.into(), mode, egress: policy.ingress, ingress: Vec::new(), ..policy }
    };
    let mut db = accept(app("web"), &[]);
    (db.egress, db.policy_types) =
        (std::mem::take(&mut db.ingress), Some(PolicyTypes { ingress: false, egress: true }));
    let everywhere = NamespaceScope::Matching(LabelSelector::everything());
    let mut other = accept(Peer::Pods { namespaces: everywhere, pods: selector("job"), at: None }, &[]);
    (other.id.name, other.subject) = ("other".into(), selector("probe"));
    let names = |policies: Vec<NetworkPolicy>| -> Vec<Name> {
        let audited = turned("b", "job", Some(Mode::Audit));
        let planned = Planned::of(policies, vec![turned("a", "probe", None), audited]);
        let left_out = planned.ruleset().sets.iter().filter(|(_, set)| {
            set.comment.as_deref().is_some_and(|comment| comment.matches("before: deny").count() == 2)
        });
        left_out.map(|(name, _)| name.clone()).collect()
    };
    let (without, with) = (names(vec![db.clone()]), names(vec![other, db]));
    assert_eq!(without.len(), 1);
    assert_eq!(without, with);
}
