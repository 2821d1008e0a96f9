//! Cases with known answers: one or more for every rule of the specification, under its number.
//!
//! An answer names its reason: the policy, the index of its rule, the indices of peer and port. Rule
//! 3.6 has no case: an item without a field, or with two, is no value of the model.

#![expect(clippy::unwrap_used, clippy::unreachable, reason = "test code: a wrong fixture shall fail")]

mod support;

use palisade_engine::model::{
    Conflict, Direction, Endpoint, Family, Inventory, Labels, NoCommonFamily, Phase, Pod, PodTemplate, PolicyTypes,
    Protocol, Sources, Traffic, Workload, WorkloadKind,
};
use support::*;

use Direction::{Egress, Ingress};

const TCP: Protocol = Protocol::Tcp;
const UDP: Protocol = Protocol::Udp;

/// `prod/web` and `prod/db` on one node, `dev/web` on another; one address each.
fn three() -> [Pod; 3] {
    [
        pod("prod/web", "app=web").on("n1").ip("10.0.1.1"),
        pod("prod/db", "app=db,tier=back").on("n1").ip("10.0.1.2").port("sql", TCP, 5432),
        pod("dev/web", "app=web").on("n2").ip("10.0.2.1"),
    ]
}

/// Who of all pods, by name, reaches `to` on TCP 80.
fn who_reaches(case: &Case, to: &str) -> Vec<String> {
    let pods = case.cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network);
    let names = pods.map(|(_, pod)| pod.id.to_string()).filter(|name| name != to);
    names.filter(|from| case.ask(from, to, "TCP 80").starts_with("Allow")).collect()
}

// 1. Who talks

#[test]
fn rule_1_1_an_endpoint_is_found_by_its_address() {
    let case = Case::of(Inventory {
        nodes: vec![node("n1", &["172.18.0.2", "fd00::2"])],
        pods: three().into(),
        ..Inventory::default()
    });
    let web = case.cluster.find_pod(&object("prod/web")).unwrap();
    let of = |address: &str| case.cluster.endpoint_of(address.parse().unwrap());
    assert_eq!(of("10.0.1.1"), Endpoint::Pod(web));
    assert_eq!(of("172.18.0.2"), Endpoint::Node(case.cluster.find_node("n1").unwrap()));
    assert_eq!(of("fd00::2"), of("172.18.0.2"));
    assert_eq!(of("10.0.1.9"), Endpoint::Outside);
    assert_eq!(of("::ffff:10.0.1.1"), Endpoint::Pod(web), "an IPv4 address written as IPv6");
}

#[test]
fn rule_1_2_a_pod_that_has_ended_owns_no_address() {
    let [web, db, _] = three();
    let old = |name, phase| pod(name, "app=old").ip("10.0.1.1").phase(phase);
    let pods = [old("prod/done", Phase::Succeeded), web, db, old("prod/failed", Phase::Failed)];
    let case = case(pods, [ingress("prod/db", "app=db", [rule([pods_of("old")], [])])]);
    assert_eq!(case.ask("10.0.1.1", "prod/db", "TCP 80"), "Deny: egress open, ingress isolated by prod/db");
    let done = case.cluster.find_pod(&object("prod/done")).unwrap();
    assert_eq!(case.cluster.side_of_pod(done, Family::V4), None);
    assert_eq!(case.program.identity_of(done), None);
}

#[test]
fn rule_1_2_pending_and_unknown_pods_are_live() {
    let [web, db, _] = three();
    let policy = ingress("prod/db", "app=db", [rule([pods_of("web")], [])]);
    for phase in [Phase::NotGiven, Phase::Pending, Phase::Running, Phase::Unknown] {
        let case = case([web.clone().phase(phase), db.clone()], [policy.clone()]);
        assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0");
    }
}

#[test]
fn rule_1_2_an_unknown_address_is_not_guessed() {
    let [_, db, _] = three();
    let policies = [
        ingress("prod/db", "app=db", [rule([block("10.0.0.0/8", []), pods_of("label")], [])]),
        ingress("prod/all", "app=all", [rule([block("0.0.0.0/0", [])], [])]),
        ingress("prod/six", "app=six", [rule([block("::/0", []), pods_of("web")], [])]),
    ];
    let to = |app: &str, address| pod(&format!("prod/{app}"), &format!("app={app}")).ip(address);
    let pods =
        [pod("prod/new", "app=new"), pod("prod/label", "app=label"), db, to("all", "10.0.1.7"), to("six", "10.0.1.8")];
    let case = case(pods, policies);
    assert_eq!(
        case.ask("prod/new", "prod/db", "TCP 80"),
        "Undetermined: egress open, ingress perhaps by prod/db[0] peer 0"
    );
    assert_eq!(case.ask("prod/label", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 1");
    assert_eq!(case.ask("prod/new", "prod/all", "TCP 80"), "Allow: egress open, ingress by prod/all[0] peer 0");
    assert_eq!(case.ask("prod/new", "prod/six", "TCP 80"), "Deny: egress open, ingress isolated by prod/six");
    // Each peer has its answer, in the order written, the one without an address too.
    assert_eq!(
        case.misses(Ingress, "prod/new", "prod/six", "TCP 80"),
        ["prod/six[0]: Missed([OutsideBlock, Pod(0)]) All"]
    );
}

#[test]
fn rule_1_2_a_block_that_holds_nothing_matches_no_address_at_all() {
    let nothing = block("10.0.0.0/8", ["10.0.0.0/9", "10.128.0.0/9"]);
    let policies = [ingress("prod/b", "app=b", [rule([nothing, block("10.0.0.0/8", []), pods_of("a")], [])])];
    let case = case([pod("prod/a", "app=c"), pod("prod/b", "app=b"), pod("prod/d", "app=a")], policies);
    // Of two peers that are not known, the first is told; one that is known needs neither.
    let perhaps = "Undetermined: egress open, ingress perhaps by prod/b[0] peer 1";
    assert_eq!(case.ask("prod/a", "prod/b", "TCP 80"), perhaps);
    assert_eq!(case.ask("prod/d", "prod/b", "TCP 80"), "Allow: egress open, ingress by prod/b[0] peer 2");
}

#[test]
fn rule_1_2_of_two_unknown_peers_the_first_is_told() {
    let policies = [ingress("prod/b", "app=b", [rule([block("10.0.0.0/8", []), block("11.0.0.0/8", [])], [])])];
    let case = case([pod("prod/a", "app=a"), pod("prod/b", "app=b")], policies);
    let perhaps = "Undetermined: egress open, ingress perhaps by prod/b[0] peer 0";
    assert_eq!(case.ask("prod/a", "prod/b", "TCP 80"), perhaps);
}

#[test]
fn rule_1_2_a_certain_denial_needs_no_address() {
    let policies = [
        ingress("prod/db", "app=db", [rule([block("10.0.0.0/8", [])], ["TCP 80"])]),
        egress("prod/new", "app=new", []),
    ];
    let [_, db, _] = three();
    let case = case([pod("prod/new", "app=new"), db], policies);
    assert_eq!(
        case.ask("prod/new", "prod/db", "TCP 80"),
        "Deny: egress isolated by prod/new, ingress perhaps by prod/db[0] peer 0 port 0"
    );
    let flow = case.flow("prod/new", "prod/db", "TCP 81");
    assert!(case.program.traffic(&case.cluster, &flow).undetermined.is_empty());
}

#[test]
fn rule_1_3_a_host_network_pod_is_its_node() {
    let [_, db, _] = three();
    let pods = [pod("prod/agent", "app=web").host().on("n2").ip("172.18.0.3").port("sql", TCP, 5432), db];
    let policies = [
        ingress("prod/db", "app=db", [rule([pods_of("web"), namespaces("")], [])]),
        ingress("prod/agent", "app=web", []),
        egress("prod/out", "app=db", [rule([], ["TCP sql"]), rule([block("172.18.0.0/16", [])], ["TCP 9100"])]),
    ];
    let case = case(pods, policies);
    assert_eq!(case.ask("prod/agent", "prod/db", "TCP 80"), "Deny: egress of no pod, ingress isolated by prod/db");
    assert_eq!(case.misses(Ingress, "prod/agent", "prod/db", "TCP 80"), ["prod/db[0]: Missed([NotAPod, NotAPod]) All"]);
    // No policy selects it, its named ports are not found, and a block has it.
    assert_eq!(case.ask("prod/db", "prod/agent", "TCP 5432"), "Deny: egress isolated by prod/out, ingress of no pod");
    assert_eq!(
        case.misses(Egress, "prod/db", "prod/agent", "TCP 5432"),
        ["prod/out[0]: Anyone Missed([NameNotDefined])", "prod/out[1]: Matched(0) Missed([OtherPort])"]
    );
    assert_eq!(
        case.ask("prod/db", "prod/agent", "TCP 9100"),
        "Allow: egress by prod/out[1] peer 0 port 0, ingress of no pod"
    );
    assert_eq!(
        case.cluster.endpoint_of("172.18.0.3".parse().unwrap()),
        case.flow("node n2", "prod/db", "ICMP").from().endpoint
    );
}

#[test]
fn rule_1_4_each_address_is_judged_on_its_own() {
    let [web, db, _] = three();
    let pods = [web.ip("fd00::1"), db.ip("fd00::2")];
    let case = case(pods, [ingress("prod/db", "app=db", [rule([block("fd00::/16", [])], [])])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(case.ask("prod/web v6", "prod/db v6", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0");
    let (v4, v6) = ("10.0.1.1".parse().unwrap(), "fd00::2".parse().unwrap());
    let (from, to) = (case.cluster.side_of_address(v4), case.cluster.side_of_address(v6));
    let mixed = palisade_engine::model::Flow::new(from, to, Traffic::Portless);
    assert_eq!(mixed, Err(NoCommonFamily { from: v4, to: v6 }));
}

#[test]
fn rule_1_5_every_namespace_has_its_name_label() {
    let case = Case::of(Inventory {
        namespaces: vec![namespace("dev", "team=a,kubernetes.io/metadata.name=forged")],
        pods: three().into(),
        policies: vec![ingress("prod/db", "app=db", [rule([namespaces("kubernetes.io/metadata.name=dev")], [])])],
        ..Inventory::default()
    });
    assert_eq!(case.cluster.namespace("prod").unwrap().labels, labels("kubernetes.io/metadata.name=prod"));
    assert_eq!(case.cluster.namespace("dev").unwrap().labels, labels("kubernetes.io/metadata.name=dev,team=a"));
    assert_eq!(who_reaches(&case, "prod/db"), ["dev/web"]);
}

#[test]
fn rule_1_5_duplicates_and_shared_addresses_are_refused_with_both_places() {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml");
    let at = |pod: Pod, n| Pod { at: line(file, n), ..pod };
    let [web, db, dev] = three();
    let pods = vec![at(web.clone(), 1), at(web.ip("10.0.1.9"), 2), at(db, 3), at(dev.ip("10.0.1.2"), 4)];
    let found = conflicts(Inventory { pods, sources, ..Inventory::default() });
    let texts: Vec<String> = found.iter().map(Conflict::to_string).collect();
    assert_eq!(texts, ["Pod prod/web is given twice", "10.0.1.2 is the address of pod prod/db and of pod dev/web"]);
    let places: Vec<_> = found
        .iter()
        .map(|conflict| match conflict {
            Conflict::Duplicate { first, second, .. } => (*first, *second),
            Conflict::SharedAddress { first_at, second_at, .. } => (*first_at, *second_at),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(places, [(line(file, 1), line(file, 2)), (line(file, 3), line(file, 4))]);
}

#[test]
fn rule_1_5_the_same_name_elsewhere_is_no_duplicate() {
    let workloads = vec![workload(WorkloadKind::Job, "prod/web", 0), workload(WorkloadKind::CronJob, "prod/web", 0)];
    let inventory = Inventory { pods: three().into(), workloads, ..Inventory::default() };
    assert!(inventory.into_cluster().is_ok());
}

#[test]
fn rule_1_6_a_pod_reaches_itself() {
    let case = case(three(), [policy("prod/deny", "", "Ingress,Egress", [], [])]);
    assert_eq!(case.ask("prod/web", "prod/web", "TCP 80"), "exempt: Itself");
    assert_eq!(
        case.ask("prod/web", "prod/db", "TCP 80"),
        "Deny: egress isolated by prod/deny, ingress isolated by prod/deny"
    );
}

#[test]
fn rule_1_7_a_pod_and_its_own_node_reach_each_other() {
    let case = Case::of(Inventory {
        nodes: vec![node("n1", &["172.18.0.2"]), node("n2", &["172.18.0.3"])],
        pods: three().into(),
        policies: vec![policy("prod/deny", "", "Ingress,Egress", [], [])],
        ..Inventory::default()
    });
    assert_eq!(case.ask("node n1", "prod/web", "TCP 80"), "exempt: OwnNode");
    assert_eq!(case.ask("prod/web", "node n1", "TCP 10250"), "exempt: OwnNode");
    assert_eq!(case.ask("node n2", "prod/web", "TCP 80"), "Deny: egress of no pod, ingress isolated by prod/deny");
    assert_eq!(case.ask("prod/web", "node n2", "TCP 80"), "Deny: egress isolated by prod/deny, ingress of no pod");
}

/// The names of all pods, with `*` behind those that only stand in.
fn pods_of_inventory(inventory: Inventory) -> Vec<String> {
    let cluster = inventory.into_cluster().unwrap();
    cluster.pods().map(|(_, pod)| format!("{}{}", pod.id.name, if pod.stand_in { "*" } else { "" })).collect()
}

fn stand_ins<const N: usize>(workloads: [Workload; N]) -> Vec<String> {
    let nodes = vec![node("n1", &[]), node("n2", &[]), node("n3", &[])];
    pods_of_inventory(Inventory { workloads: workloads.into(), nodes, ..Inventory::default() })
}

#[test]
fn rule_1_8_workloads_stand_for_their_pods() {
    use WorkloadKind::*;
    assert!(stand_ins([workload(Deployment, "prod/web", 0)]).is_empty());
    assert_eq!(stand_ins([workload(Deployment, "prod/web", 1)]), ["web*"]);
    assert_eq!(stand_ins([workload(Deployment, "prod/web", 3)]), ["web-0*", "web-1*"]);
    assert_eq!(stand_ins([workload(StatefulSet, "prod/db", 1)]), ["db-0*"]);
    assert_eq!(stand_ins([workload(StatefulSet, "prod/db", 3)]), ["db-0*", "db-1*"]);
    assert_eq!(stand_ins([workload(DaemonSet, "prod/agent", 0)]), ["agent-0*", "agent-1*"]);
    assert_eq!(stand_ins([workload(Job, "prod/over", 0), workload(CronJob, "prod/backup", 1)]), ["backup*"]);
    let no_nodes = Inventory { workloads: vec![workload(DaemonSet, "prod/agent", 0)], ..Inventory::default() };
    assert_eq!(pods_of_inventory(no_nodes), ["agent*"]);
    assert_eq!(stand_ins([workload(Deployment, "prod/web", 1), workload(Job, "prod/web", 1)]), ["web*", "job.web*"]);
}

#[test]
fn rule_1_8_a_stand_in_is_judged_by_its_template() {
    let template = PodTemplate {
        labels: labels("app=db"),
        ports: pod("x/x", "").port("sql", TCP, 5432).ports,
        ..PodTemplate::default()
    };
    let case = Case::of(Inventory {
        workloads: vec![Workload { template, ..workload(WorkloadKind::Deployment, "prod/db", 1) }],
        pods: vec![pod("prod/web", "app=web").ip("10.0.1.1")],
        policies: vec![ingress("prod/db", "app=db", [rule([pods_of("web")], ["TCP sql"])])],
        ..Inventory::default()
    });
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 5432"), "Allow: egress open, ingress by prod/db[0] peer 0 port 0");
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 5433"), "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(
        case.misses(Ingress, "prod/web", "prod/db", "TCP 5433"),
        ["prod/db[0]: Matched(0) Missed([NameIsOther([5432])])"]
    );
}

#[test]
fn rule_1_8_pods_there_are_belong_to_their_workload() {
    use WorkloadKind::*;
    let owned = |kind, id, owner: &str, name: &str| Workload {
        owner: pod("x/x", "").owner(owner, name).owner,
        ..workload(kind, id, 2)
    };
    let of_web = |name: &str| pod(name, "app=web,pod-template-hash=7f9c").owner("ReplicaSet", "web-7f9c");

    // With the ReplicaSet in the input, and without: the Deployment has a pod either way.
    let chain = vec![workload(Deployment, "prod/web", 2), owned(ReplicaSet, "prod/web-7f9c", "Deployment", "web")];
    for workloads in [chain.clone(), chain[..1].to_vec()] {
        let inventory = Inventory { workloads, pods: vec![of_web("prod/web-7f9c-x")], ..Inventory::default() };
        let cluster = inventory.into_cluster().unwrap();
        let pods: Vec<_> = cluster.pods().map(|(_, pod)| (pod.id.to_string(), pod.workload.clone())).collect();
        assert_eq!(pods, [("prod/web-7f9c-x".to_owned(), Some((Deployment, "web".into())))]);
    }
    // Another namespace's pod is not its own.
    let inventory =
        Inventory { workloads: chain.clone(), pods: vec![of_web("dev/web-7f9c-x")], ..Inventory::default() };
    assert_eq!(pods_of_inventory(inventory), ["web-7f9c-x", "web-0*", "web-1*"]);
    // The one at the top stands in, once.
    assert_eq!(pods_of_inventory(Inventory { workloads: chain, ..Inventory::default() }), ["web-0*", "web-1*"]);
    // Of an owner that is not in the input, the ReplicaSet stands in itself.
    assert_eq!(stand_ins([owned(ReplicaSet, "prod/web-7f9c", "Rollout", "web")]), ["web-7f9c-0*", "web-7f9c-1*"]);
}

#[test]
fn rule_1_8_the_pod_of_a_job_that_is_over_is_its_pod() {
    let pods = vec![pod("prod/once-x", "app=web").owner("Job", "once").phase(Phase::Succeeded)];
    let workloads = vec![workload(WorkloadKind::Job, "prod/once", 1)];
    assert_eq!(pods_of_inventory(Inventory { workloads, pods, ..Inventory::default() }), ["once-x"]);
}

#[test]
fn rule_1_9_nobody_judges_what_is_not_of_pods() {
    let case = Case::of(Inventory {
        nodes: vec![node("n1", &["172.18.0.2"])],
        pods: three().into(),
        policies: vec![policy("prod/deny", "", "Ingress,Egress", [], [])],
        ..Inventory::default()
    });
    assert_eq!(case.ask("192.0.2.1", "192.0.2.2", "TCP 80"), "exempt: NoPod");
    assert_eq!(case.ask("192.0.2.1", "node n1", "TCP 80"), "exempt: NoPod");
    assert_eq!(case.ask("node n1", "node n2", "TCP 80"), "exempt: NoPod");
}

// 2. Isolation and union

#[test]
fn rule_2_1_each_direction_on_its_own() {
    let case = case(three(), [ingress("prod/db", "app=db", [])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(case.misses(Ingress, "prod/web", "prod/db", "TCP 80"), [""; 0]);
    assert_eq!(case.ask("prod/db", "prod/web", "TCP 80"), "Allow: egress open, ingress open");
}

#[test]
fn rule_2_1_a_policy_selects_in_its_own_namespace() {
    let case = case(three(), [ingress("dev/web", "app=web", [])]);
    assert_eq!(case.ask("prod/db", "prod/web", "TCP 80"), "Allow: egress open, ingress open");
    assert_eq!(case.ask("prod/db", "dev/web", "TCP 80"), "Deny: egress open, ingress isolated by dev/web");
}

#[test]
fn rule_2_2_the_union_of_all_policies_whatever_their_order() {
    let policies = [
        ingress("prod/z", "app=db", [rule([pods_of("web")], ["TCP 80"])]),
        ingress("prod/deny", "", []),
        ingress("prod/a", "tier=back", [rule([namespaces("kubernetes.io/metadata.name=dev")], ["TCP 81"])]),
    ];
    let mut reversed = policies.clone();
    reversed.reverse();
    for (policies, names) in
        [(policies, "prod/z and prod/deny and prod/a"), (reversed, "prod/a and prod/deny and prod/z")]
    {
        let case = case(three(), policies);
        assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/z[0] peer 0 port 0");
        assert_eq!(case.ask("dev/web", "prod/db", "TCP 81"), "Allow: egress open, ingress by prod/a[0] peer 0 port 0");
        // The union is of rules, not of peers and ports apart.
        assert_eq!(
            case.ask("prod/web", "prod/db", "TCP 81"),
            format!("Deny: egress open, ingress isolated by {names}")
        );
        // Nearer is whose peers have the other end than whose ports have the port, in any order read.
        assert_eq!(
            case.misses(Ingress, "prod/web", "prod/db", "TCP 81"),
            ["prod/z[0]: Matched(0) Missed([OtherPort])", "prod/a[0]: Missed([Namespace(0)]) Matched(0)"]
        );
    }
}

#[test]
fn rule_2_3_both_ends_must_allow() {
    let to_db = egress("prod/web", "app=web", [rule([pods_of("db")], [])]);
    let only_out = case(three(), [to_db.clone(), ingress("prod/db", "app=db", [])]);
    assert_eq!(
        only_out.ask("prod/web", "prod/db", "TCP 80"),
        "Deny: egress by prod/web[0] peer 0, ingress isolated by prod/db"
    );
    let both = case(three(), [to_db, ingress("prod/db", "app=db", [rule([pods_of("web")], [])])]);
    assert_eq!(
        both.ask("prod/web", "prod/db", "TCP 80"),
        "Allow: egress by prod/web[0] peer 0, ingress by prod/db[0] peer 0"
    );
}

#[test]
fn rule_2_4_an_answer_needs_no_rule_but_a_new_connection_does() {
    // A flow is a connection's first packet: the way back is another question, and is not allowed.
    let case = case(three(), [policy("prod/db", "app=db", "Ingress,Egress", [rule([pods_of("web")], [])], [])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0");
    assert_eq!(case.ask("prod/db", "prod/web", "TCP 80"), "Deny: egress isolated by prod/db, ingress open");
}

#[test]
fn rule_2_5_policy_types_not_given() {
    let ask = |policy| {
        let case = case(three(), [policy]);
        (case.ask("prod/web", "prod/db", "TCP 80"), case.ask("prod/db", "prod/web", "TCP 80"))
    };
    let (open, shut) = ("Allow: egress open, ingress open", "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(ask(policy("prod/db", "app=db", "-", [], [])), (shut.into(), open.into()));
    let out = "Deny: egress isolated by prod/db, ingress open";
    let to_nobody = rule([pods_of("nobody")], []);
    assert_eq!(ask(policy("prod/db", "app=db", "-", [], [to_nobody])), (shut.into(), out.into()));
    // An empty list is the same as none.
    let empty = palisade_engine::model::NetworkPolicy {
        policy_types: Some(PolicyTypes::default()),
        ..policy("prod/db", "app=db", "-", [], [])
    };
    assert_eq!(ask(empty), (shut.into(), open.into()));
}

#[test]
fn rule_2_6_rules_of_a_type_not_listed_are_ignored() {
    let policy = policy("prod/db", "app=db", "Egress", [rule([pods_of("web")], [])], []);
    let case = case(three(), [policy]);
    assert_eq!(case.ask("dev/web", "prod/db", "TCP 80"), "Allow: egress open, ingress open");
    assert_eq!(case.ask("prod/db", "dev/web", "TCP 80"), "Deny: egress isolated by prod/db, ingress open");
}

#[test]
fn rule_2_7_an_empty_selector_is_the_whole_namespace() {
    let case = case(three(), [policy("prod/deny", "", "-", [], [])]);
    let shut = "Deny: egress open, ingress isolated by prod/deny";
    assert_eq!(case.ask("dev/web", "prod/web", "TCP 80"), shut);
    assert_eq!(case.ask("dev/web", "prod/db", "TCP 80"), shut);
    assert_eq!(case.ask("prod/db", "dev/web", "TCP 80"), "Allow: egress open, ingress open");
}

// 3. Peers

#[test]
fn rule_3_1_no_peers_is_anyone() {
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], ["TCP 80"])])]);
    let by = "ingress by prod/db[0] port 0";
    assert_eq!(case.ask("dev/web", "prod/db", "TCP 80"), format!("Allow: egress open, {by}"));
    assert_eq!(case.ask("192.0.2.1", "prod/db", "TCP 80"), format!("Allow: egress of no pod, {by}"));
    assert_eq!(case.ask("node n2", "prod/db", "TCP 80"), format!("Allow: egress of no pod, {by}"));
}

#[test]
fn rule_3_2_items_are_alternatives_and_fields_are_not() {
    let dev = "kubernetes.io/metadata.name=dev";
    let alternatives = [namespaces(dev), pods_of("web")];
    let case_or = case(three(), [ingress("prod/db", "app=db", [rule(alternatives, [])])]);
    assert_eq!(case_or.ask("dev/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0");
    assert_eq!(case_or.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 1");
    let [web, db, dev_web] = three();
    let pods = [web, db, dev_web, pod("dev/other", "app=other").ip("10.0.2.2")];
    let case_and = case(pods, [ingress("prod/db", "app=db", [rule([both(dev, "app=web")], [])])]);
    assert_eq!(who_reaches(&case_and, "prod/db"), ["dev/web"]);
    assert_eq!(case_and.misses(Ingress, "prod/web", "prod/db", "TCP 80"), ["prod/db[0]: Missed([Namespace(0)]) All"]);
    assert_eq!(case_and.misses(Ingress, "dev/other", "prod/db", "TCP 80"), ["prod/db[0]: Missed([Pod(0)]) All"]);
}

#[test]
fn rule_3_3_which_namespaces_a_selector_looks_at() {
    let reach = |peer| who_reaches(&case(three(), [ingress("prod/db", "app=db", [rule([peer], [])])]), "prod/db");
    assert_eq!(reach(pods("")), ["prod/web"]);
    assert_eq!(reach(namespaces("")), ["prod/web", "dev/web"]);
    assert_eq!(reach(namespaces("kubernetes.io/metadata.name=dev")), ["dev/web"]);
    assert_eq!(reach(namespaces("team=none")), [""; 0]);
    let case = case(three(), [ingress("prod/db", "app=db", [rule([pods("")], [])])]);
    assert_eq!(case.misses(Ingress, "dev/web", "prod/db", "TCP 80"), ["prod/db[0]: Missed([OtherNamespace]) All"]);
}

#[test]
fn rule_3_4_operators() {
    let pods_there = || {
        [
            pod("p/db", "app=db").ip("10.0.0.9"),
            pod("p/a", "app=a,x=").ip("10.0.0.1"),
            pod("p/b", "app=b").ip("10.0.0.2"),
            pod("p/none", "").ip("10.0.0.3"),
        ]
    };
    let reach = |text| who_reaches(&case(pods_there(), [ingress("p/db", "app=db", [rule([pods(text)], [])])]), "p/db");
    assert_eq!(reach("app=a"), ["p/a"]);
    assert_eq!(reach("app in a|b"), ["p/a", "p/b"]);
    assert_eq!(reach("app notin a"), ["p/b", "p/none"]);
    assert_eq!(reach("app"), ["p/a", "p/b"]);
    assert_eq!(reach("!app"), ["p/none"]);
    assert_eq!(reach("x="), ["p/a"], "an empty value is a value");
    assert_eq!(reach("x notin "), ["p/b", "p/none"]);
    assert_eq!(reach("app,!x"), ["p/b"]);
    let case = case(pods_there(), [ingress("p/db", "app=db", [rule([pods("app,!x")], [])])]);
    assert_eq!(case.misses(Ingress, "p/a", "p/db", "TCP 80"), ["p/db[0]: Missed([Pod(1)]) All"]);
}

#[test]
fn rule_3_5_a_block_is_of_addresses_alone() {
    let rules = [rule([block("10.0.0.0/16", ["10.0.2.0/24"]), block("10.0.2.1/32", [])], ["TCP 80"])];
    let case = case(three(), [ingress("prod/db", "app=db", rules)]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0 port 0");
    // What one block excepts, another may have.
    assert_eq!(case.ask("dev/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 1 port 0");
    let shut = "Deny: egress of no pod, ingress isolated by prod/db";
    for (from, why) in [
        ("10.0.2.0", "[Excepted(0), OutsideBlock]"),
        ("10.0.2.255", "[Excepted(0), OutsideBlock]"),
        ("10.1.0.0", "[OutsideBlock, OutsideBlock]"),
        ("9.255.255.255", "[OutsideBlock, OutsideBlock]"),
    ] {
        assert_eq!(case.ask(from, "prod/db", "TCP 80"), shut);
        assert_eq!(case.misses(Ingress, from, "prod/db", "TCP 80"), [format!("prod/db[0]: Missed({why}) Matched(0)")]);
    }
    for from in ["10.0.0.0", "10.0.1.255", "10.0.3.0", "10.0.255.255"] {
        assert_eq!(case.ask(from, "prod/db", "TCP 80"), "Allow: egress of no pod, ingress by prod/db[0] peer 0 port 0");
    }
}

#[test]
fn rule_3_5_the_whole_of_a_family_is_not_the_other_one() {
    let [web, db, _] = three();
    let pods = [web.ip("fd00::1"), db.ip("fd00::2")];
    let case = case(pods, [ingress("prod/db", "app=db", [rule([block("0.0.0.0/0", [])], [])])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0");
    assert_eq!(case.ask("prod/web v6", "prod/db v6", "TCP 80"), "Deny: egress open, ingress isolated by prod/db");
}

#[test]
fn rule_3_7_an_empty_rule_allows_everything() {
    let case = case(three(), [ingress("prod/db", "app=db", [Default::default()])]);
    for (from, traffic) in [("192.0.2.1", "SCTP 65535"), ("192.0.2.1", "ICMP"), ("node n2", "TCP 0")] {
        assert_eq!(case.ask(from, "prod/db", traffic), "Allow: egress of no pod, ingress by prod/db[0]");
    }
}

// 4. Ports

fn allowed(ports: &str) -> String {
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], [ports])])]);
    case.program.traffic(&case.cluster, &case.flow("prod/web", "prod/db", "ICMP")).allowed.to_string()
}

#[test]
fn rule_4_1_no_ports_is_all_traffic() {
    let case = case(three(), [ingress("prod/db", "app=db", [rule([pods_of("web")], [])])]);
    let flow = case.flow("prod/web", "prod/db", "ICMP");
    assert!(case.program.traffic(&case.cluster, &flow).allowed.is_all());
}

#[test]
fn rule_4_2_an_item_without_port_is_its_protocol() {
    assert_eq!(allowed("TCP"), "TCP");
    assert_eq!(allowed("UDP"), "UDP");
    assert_eq!(allowed("SCTP 7777"), "SCTP 7777");
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], ["TCP"])])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 0"), "Allow: egress open, ingress by prod/db[0] port 0");
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 65535"), "Allow: egress open, ingress by prod/db[0] port 0");
    assert_eq!(case.misses(Ingress, "prod/web", "prod/db", "UDP 53"), ["prod/db[0]: Anyone Missed([OtherProtocol])"]);
}

#[test]
fn rule_4_3_ports_are_the_pods() {
    // The Service's port 80 leads to the pod's 5432: the question is about 5432.
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], ["TCP 80"])])]);
    assert_eq!(case.ask("prod/web", "prod/db", "TCP 5432"), "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(case.misses(Ingress, "prod/web", "prod/db", "TCP 5432"), ["prod/db[0]: Anyone Missed([OtherPort])"]);
}

#[test]
fn rule_4_4_a_range_has_both_its_ends() {
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], ["TCP 8000-8010", "TCP 65535-65535"])])]);
    let outcome = |port: u16| case.ask("prod/web", "prod/db", &format!("TCP {port}"));
    for port in [8000, 8005, 8010] {
        assert_eq!(outcome(port), "Allow: egress open, ingress by prod/db[0] port 0");
    }
    assert_eq!(outcome(65_535), "Allow: egress open, ingress by prod/db[0] port 1");
    for port in [0, 7999, 8011, 65_534] {
        assert_eq!(outcome(port), "Deny: egress open, ingress isolated by prod/db");
    }
    assert_eq!(allowed("TCP 1-65535"), "TCP 1-65535", "port 0 is not among them");
}

#[test]
fn rule_4_5_a_named_port_is_the_destinations() {
    let pods = [
        pod("p/client", "app=client").ip("10.0.0.1"),
        pod("p/one", "app=s").ip("10.0.0.2").port("http", TCP, 80).port("http", UDP, 90),
        pod("p/two", "app=s").ip("10.0.0.3").port("http", TCP, 8080).port("http", TCP, 8081),
        pod("p/none", "app=s").ip("10.0.0.4").port("other", TCP, 80),
    ];
    let policies =
        [ingress("p/in", "app=s", [rule([], ["TCP http"])]), egress("p/out", "app=client", [rule([], ["TCP http"])])];
    let case = case(pods, policies);
    let allow = "Allow: egress by p/out[0] port 0, ingress by p/in[0] port 0";
    let deny = "Deny: egress isolated by p/out, ingress isolated by p/in";
    for (to, traffic, wanted) in [
        ("p/one", "TCP 80", allow),
        ("p/one", "TCP 8080", deny),
        ("p/one", "UDP 90", deny),
        ("p/one", "TCP 90", deny),
        ("p/two", "TCP 8080", allow),
        ("p/two", "TCP 8081", allow),
        ("p/two", "TCP 80", deny),
        ("p/none", "TCP 80", deny),
    ] {
        assert_eq!(case.ask("p/client", to, traffic), wanted, "{to} {traffic}");
    }
    assert_eq!(case.ask("p/client", "192.0.2.1", "TCP 80"), "Deny: egress isolated by p/out, ingress of no pod");
    let misses = |to, traffic| case.misses(Egress, "p/client", to, traffic);
    assert_eq!(misses("p/two", "TCP 80"), ["p/out[0]: Anyone Missed([NameIsOther([8080, 8081])])"]);
    assert_eq!(misses("p/none", "TCP 80"), ["p/out[0]: Anyone Missed([NameNotDefined])"]);
    assert_eq!(misses("p/one", "UDP 90"), ["p/out[0]: Anyone Missed([OtherProtocol])"]);
}

#[test]
fn rule_4_6_ports_never_mean_traffic_without() {
    let case = case(three(), [ingress("prod/db", "app=db", [rule([], ["TCP", "UDP", "SCTP"])])]);
    assert_eq!(case.ask("prod/web", "prod/db", "ICMP"), "Deny: egress open, ingress isolated by prod/db");
    assert_eq!(
        case.misses(Ingress, "prod/web", "prod/db", "ICMP"),
        ["prod/db[0]: Anyone Missed([Portless, Portless, Portless])"]
    );
}

// 7. Enforcement, as far as it is decided here

#[test]
fn rule_7_2_a_translated_address_is_whoever_has_it() {
    // A node that masquerades is the source: the labels of the pod behind it are not seen.
    let case = Case::of(Inventory {
        nodes: vec![node("n2", &["172.18.0.3"])],
        pods: three().into(),
        policies: vec![
            ingress("prod/db", "app=db", [rule([namespaces("")], ["TCP 80"])]),
            egress("prod/web", "app=web", [rule([pods_of("db")], [])]),
        ],
        ..Inventory::default()
    });
    assert_eq!(case.ask("dev/web", "prod/db", "TCP 80"), "Allow: egress open, ingress by prod/db[0] peer 0 port 0");
    assert_eq!(case.ask("172.18.0.3", "prod/db", "TCP 80"), "Deny: egress of no pod, ingress isolated by prod/db");
    // A Service's own address is nobody's.
    assert_eq!(case.ask("prod/web", "10.96.0.10", "TCP 80"), "Deny: egress isolated by prod/web, ingress of no pod");
    assert_eq!(case.misses(Egress, "prod/web", "10.96.0.10", "TCP 80"), ["prod/web[0]: Missed([NotAPod]) All"]);
}

// What an explanation puts first

#[test]
fn the_nearest_rule_comes_first() {
    let rules = [
        rule([pods_of("nobody")], ["UDP 53"]),
        rule([block("192.0.2.0/24", [])], ["TCP 443"]),
        rule([pods_of("web")], ["TCP 443"]),
        rule([pods("app=web,tier=front")], ["TCP 80"]),
    ];
    let case = case(three(), [ingress("prod/db", "app=db", rules)]);
    assert_eq!(
        case.misses(Ingress, "prod/web", "prod/db", "TCP 80"),
        [
            "prod/db[3]: Missed([Pod(1)]) Matched(0)",
            "prod/db[2]: Matched(0) Missed([OtherPort])",
            "prod/db[0]: Missed([Pod(0)]) Missed([OtherProtocol])",
            "prod/db[1]: Missed([OutsideBlock]) Missed([OtherPort])",
        ]
    );
}

fn pods_of(app: &str) -> palisade_engine::model::Peer {
    pods(&format!("app={app}"))
}

#[test]
fn labels_that_no_policy_asks_for_tell_nobody_apart() {
    let pods: [Pod; 2] = [pod("p/a", "app=a,hash=1").ip("10.0.0.1"), pod("p/b", "app=a,hash=2").ip("10.0.0.2")];
    let case = case(pods, [ingress("p/a", "app=a", [])]);
    assert_eq!(case.program.identities().len(), 1);
    let (_, identity) = case.program.identities().next().unwrap();
    assert_eq!(
        (identity.labels.clone(), identity.pods.len()),
        (["app"].map(|key| (key, "a")).into_iter().collect::<Labels>(), 2)
    );
}
