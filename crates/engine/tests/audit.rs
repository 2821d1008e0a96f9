//! Audited policies: two answers of one program, and who is to blame for the difference.
#![allow(dead_code, clippy::unwrap_used, clippy::unreachable, reason = "test code: a wrong fixture shall fail")]

mod support;

use std::sync::Arc;

use palisade_engine::{
    Live, PolicyProgram,
    model::{
        Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterRule, ClusterSubject, ClusterTier,
        Direction, Inventory, LabelSelector, Labels, Mode, Name, NetworkPolicy,
    },
};
use support::{Case, With, case, egress, ingress, namespace, pod, pods, rule};

fn audited(policy: NetworkPolicy) -> NetworkPolicy {
    NetworkPolicy { mode: Some(Mode::Audit), ..policy }
}

fn enforced(policy: NetworkPolicy) -> NetworkPolicy {
    NetworkPolicy { mode: Some(Mode::Enforce), ..policy }
}

fn three() -> [palisade_engine::model::Pod; 3] {
    [
        pod("prod/web", "app=web").ip("10.0.0.1"),
        pod("prod/db", "app=db").ip("10.0.0.2"),
        pod("prod/api", "app=api").ip("10.0.0.3"),
    ]
}

/// The enforced answer, that with the audited policies, and who would deny: `Allow, Deny: prod/deny`.
fn both(case: Case, from: &str, to: &str) -> String {
    let flow = case.flow(from, to, "TCP 80");
    let verdict = |program: &PolicyProgram| program.verdict(&case.cluster, &flow).outcome();
    let enforced = verdict(&case.program);
    let blamed: Vec<String> = Direction::ALL
        .into_iter()
        .filter_map(|direction| case.program.would_deny(&case.cluster, &flow, direction))
        .flat_map(|would| would.policies)
        .map(|policy| case.cluster.policy_name(policy))
        .collect();
    let all = verdict(&case.program.with_audited());
    format!("{enforced:?}, {all:?}: {}", blamed.join(" and "))
}

#[test]
fn what_only_an_audited_policy_denies_passes_and_is_told() {
    let deny = || audited(ingress("prod/deny", "app=db", []));
    assert_eq!(both(case(three(), [deny()]), "prod/web", "prod/db"), "Allow, Deny: prod/deny");
    // Egress at the source, ingress at the destination: each by itself.
    let closed = audited(egress("prod/closed", "app=web", []));
    assert_eq!(both(case(three(), [deny(), closed]), "prod/web", "prod/db"), "Allow, Deny: prod/deny and prod/closed");
    // Two that isolate are both to blame, an enforced one elsewhere is not.
    let more = audited(ingress("prod/more", "", []));
    let elsewhere = ingress("prod/elsewhere", "app=api", []);
    assert_eq!(
        both(case(three(), [deny(), more, elsewhere]), "prod/web", "prod/db"),
        "Allow, Deny: prod/deny and prod/more"
    );
}

#[test]
fn what_an_enforced_policy_denies_stays_denied() {
    let deny = || ingress("prod/deny", "app=db", []);
    let allow = || ingress("prod/allow", "app=db", [rule([pods("app=web")], [])]);
    assert_eq!(both(case(three(), [deny(), allow()]), "prod/web", "prod/db"), "Allow, Allow: ");
    // An audited policy that allows takes away what it allowed.
    assert_eq!(both(case(three(), [deny(), audited(allow())]), "prod/web", "prod/db"), "Deny, Allow: ");
    assert_eq!(both(case(three(), [audited(deny()), audited(allow())]), "prod/web", "prod/db"), "Allow, Allow: ");
    assert_eq!(
        both(case(three(), [audited(deny()), audited(allow())]), "prod/api", "prod/db"),
        "Allow, Deny: prod/deny and prod/allow"
    );
}

#[test]
fn a_policy_says_more_than_its_namespace() {
    let of = |mode, policy: NetworkPolicy| {
        let mut prod = namespace("prod", "");
        prod.mode = mode;
        let inventory =
            Inventory { namespaces: vec![prod], pods: three().into(), policies: vec![policy], ..Inventory::default() };
        both(Case::of(inventory), "prod/web", "prod/db")
    };
    let deny = || ingress("prod/deny", "", []);
    assert_eq!(of(None, deny()), "Deny, Deny: ");
    assert_eq!(of(Some(Mode::Audit), deny()), "Allow, Deny: prod/deny");
    assert_eq!(of(Some(Mode::Audit), enforced(deny())), "Deny, Deny: ");
    assert_eq!(of(Some(Mode::Enforce), audited(deny())), "Allow, Deny: prod/deny");
}

fn wide(name: &str, tier: ClusterTier, action: Action, mode: Option<Mode>) -> ClusterPolicy {
    let peers = vec![ClusterPeer::Namespaces { namespaces: LabelSelector::everything(), at: None }];
    ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: Name::from(name),
        annotations: Labels::default(),
        mode,
        tier,
        priority: Some(name.bytes().next().unwrap_or_default().into()),
        subject: ClusterSubject::Namespaces(LabelSelector::everything()),
        ingress: vec![ClusterRule { name: None, action, matches: ClusterMatch::Of { peers, ports: None }, at: None }],
        egress: Vec::new(),
        at: None,
    }
}

fn wide_case<const N: usize>(policies: [ClusterPolicy; N], network: Vec<NetworkPolicy>) -> String {
    let inventory = Inventory {
        pods: three().into(),
        policies: network,
        cluster_policies: policies.into(),
        ..Inventory::default()
    };
    both(Case::of(inventory), "prod/web", "prod/db")
}

#[test]
fn cluster_wide_policies_are_audited_one_by_one() {
    use ClusterTier::{Admin, Baseline};
    let audit = Some(Mode::Audit);
    assert_eq!(wide_case([wide("a", Admin, Action::Deny, audit)], vec![]), "Allow, Deny: a");
    assert_eq!(
        wide_case([wide("a", Admin, Action::Deny, audit), wide("b", Admin, Action::Accept, None)], vec![]),
        "Allow, Deny: a"
    );
    assert_eq!(
        wide_case([wide("a", Admin, Action::Accept, None), wide("b", Admin, Action::Deny, audit)], vec![]),
        "Allow, Allow: "
    );
    // It only passes, but past what accepts now, so that an enforced policy would deny.
    let passes = || [wide("a", Admin, Action::Pass, audit), wide("b", Admin, Action::Accept, None)];
    assert_eq!(wide_case(passes(), vec![ingress("prod/deny", "", [])]), "Allow, Deny: a");
    let [a, b] = passes();
    assert_eq!(wide_case([a, b, wide("c", Baseline, Action::Deny, None)], vec![]), "Allow, Deny: a");
    // A namespace's annotation is about its NetworkPolicies.
    let [a, _] = passes();
    assert_eq!(wide_case([a], vec![audited(ingress("prod/deny", "", []))]), "Allow, Deny: prod/deny");
}

/// Profiles that differ in nothing are one, and what nobody audits costs nothing.
#[test]
fn an_identity_has_a_second_profile_only_where_audited_policies_select_it() {
    use palisade_engine::compile::Counting::{Enforced, WithAudited};
    let case = case(three(), [audited(ingress("prod/deny", "app=db", [])), ingress("prod/all", "", [])]);
    for (pod, differs) in [("prod/web", false), ("prod/db", true)] {
        let pod = case.cluster.find_pod(&support::object(pod)).unwrap();
        let identity = case.program.identity_of(pod).unwrap();
        let of = |direction, counting| case.program.profile_counting(identity, direction, counting);
        assert_eq!(of(Direction::Ingress, Enforced) != of(Direction::Ingress, WithAudited), differs);
        assert_eq!(of(Direction::Egress, Enforced), of(Direction::Egress, WithAudited));
    }
}

#[test]
fn a_namespace_that_changes_its_mind_takes_its_policies_along() {
    let inventory = Inventory {
        pods: three().into(),
        policies: vec![ingress("prod/deny", "app=db", []), enforced(ingress("prod/api", "app=api", []))],
        ..Inventory::default()
    };
    let mut live = Live::new(inventory.into_cluster().unwrap());
    let audits = |live: &Live| {
        let policies = live.cluster().policies().map(|(id, _)| live.program().is_audited(id));
        policies.collect::<Vec<bool>>()
    };
    let set = |live: &mut Live, mode| {
        let mut prod = namespace("prod", "");
        prod.mode = mode;
        live.set_namespace(prod);
        live.take_touched().profiles.len()
    };
    assert_eq!((set(&mut live, None), audits(&live)), (0, vec![false, false]));
    assert_eq!((set(&mut live, Some(Mode::Audit)), audits(&live)), (1, vec![true, false]));
    assert_eq!((set(&mut live, Some(Mode::Audit)), audits(&live)), (0, vec![true, false]));
    live.set_policy(Arc::new(audited(ingress("prod/api", "app=api", []))));
    assert_eq!((live.take_touched().profiles.len(), audits(&live)), (1, vec![true, true]));
    live.remove_namespace(&Name::from("prod"));
    assert_eq!((live.take_touched().profiles.len(), audits(&live)), (1, vec![false, true]));
}
