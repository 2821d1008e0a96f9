//! Any order of changes ends where a fresh start ends, and never in a contradiction.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails so; clippy does not see that helpers are of tests"
)]

mod support;

use palisade_agent::{Change, Key, Kind, Object, Poison, PoisonPolicy, State};
use palisade_engine::{
    PolicyProgram,
    model::{
        Cluster, ClusterPolicy, ClusterPolicyKind, ClusterSubject, ClusterTier, Direction, Endpoint, LabelSelector,
        Labels, Mode, Namespace, NetworkPolicy, ObjectRef, Phase, Pod, PodAddresses,
    },
};
use proptest::prelude::*;
use support::{Dice, gone, history, inventory, node, objects, only, pod, rulesets, small};

fn state(changes: impl IntoIterator<Item = Change>) -> State {
    let mut state = State::default();
    changes.into_iter().for_each(|change| {
        state.apply(change);
    });
    state
}

fn cluster(state: &State) -> Cluster {
    state.view().unwrap().cluster
}

fn owner(state: &State, address: [u8; 4]) -> Option<String> {
    let cluster = cluster(state);
    match cluster.endpoint_of(std::net::Ipv4Addr::from(address).into()) {
        Endpoint::Pod(id) => Some(cluster.pod(id).id.name.to_string()),
        Endpoint::Node(id) => Some(cluster.node(id).name.to_string()),
        Endpoint::Outside => None,
    }
}

fn set(pod: Pod) -> Change {
    Change::Set(Object::Pod(pod))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_ends_where_a_fresh_start_ends(seed in 0_u64..100_000, order in any::<u64>()) {
        let mut dice = Dice(order);
        let inventory = inventory(seed);
        let objects = objects(&inventory);
        let mut queues: Vec<_> = objects.iter().map(|object| history(object, &objects, &mut dice)).collect();
        // Some that come and go.
        for number in 0..dice.below(4) {
            if let Object::Pod(mut extra) = objects[dice.below(objects.len())].clone() {
                extra.id = ObjectRef::new("gone", format!("extra-{number}"));
                let key = Key::Pod(extra.id.clone());
                queues.push([set(extra), Change::Gone(key)].into());
            }
        }
        let mut state = State::default();
        while !queues.is_empty() {
            let at = dice.below(queues.len());
            match queues[at].pop_front() {
                Some(change) => {
                    // What is said to change nothing is not looked at by the loop.
                    let before = (dice.below(2) == 0).then(|| rulesets(&cluster(&state)));
                    if !state.apply(change) && let Some(before) = before {
                        prop_assert_eq!(before, rulesets(&cluster(&state)));
                    }
                }
                None => {
                    queues.swap_remove(at);
                }
            }
            if dice.below(8) == 0 {
                prop_assert!(state.view().is_ok(), "{:?}", state.view());
            }
        }
        let view = state.view().unwrap();
        prop_assert_eq!(view.disputes, Vec::<String>::new());
        let ended = rulesets(&view.cluster);
        prop_assert_eq!(&ended, &rulesets(&cluster(&self::state(objects.into_iter().map(Change::Set)))));
        prop_assert_eq!(&ended, &rulesets(&inventory.into_cluster().unwrap()));
    }
}

#[test]
fn an_address_belongs_to_the_last_that_claimed_it() {
    let mut state = state(small());
    state.apply(set(pod("new", "n1", 1)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("new"));
    assert_eq!(state.view().unwrap().disputes, ["10.244.0.1 of Pod prod/web"]);
    // An update of the first is no new claim.
    let mut relabelled = pod("web", "n1", 1);
    relabelled.labels.set("tier", "front");
    assert!(state.apply(set(relabelled)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("new"));
    // It returns when the second goes or ends.
    let mut over = pod("new", "n1", 1);
    over.phase = Phase::Succeeded;
    state.apply(set(over));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("web"));
    state.apply(set(pod("new", "n1", 1)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("new"));
    state.apply(gone("new"));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("web"));
    // Deleted and created anew, it is later than the other.
    state.apply(set(pod("new", "n1", 1)));
    state.apply(gone("web"));
    state.apply(set(pod("web", "n1", 1)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("web"));
}

/// A pod elsewhere that says it has the address of an isolated pod here must not open that one.
#[test]
fn a_pod_of_the_own_node_keeps_its_address() {
    let mut state = State::of("n1".into());
    small().into_iter().for_each(|change| _ = state.apply(change));
    state.apply(set(pod("thief", "n2", 1)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("web"));
    assert_eq!(state.view().unwrap().disputes, ["10.244.0.1 of Pod prod/thief"]);
    // Between two of the own node, and between two of others, the last one has it.
    state.apply(set(pod("new", "n1", 1)));
    assert_eq!(owner(&state, [10, 244, 0, 1]).as_deref(), Some("new"));
    state.apply(set(pod("later", "n2", 3)));
    assert_eq!(owner(&state, [10, 244, 0, 3]).as_deref(), Some("later"));
}

#[test]
fn a_nodes_address_is_the_nodes() {
    let mut state = state(small());
    let mut liar = pod("liar", "n2", 9);
    liar.addresses.v4 = Some([192, 168, 0, 1].into());
    state.apply(set(liar));
    assert_eq!(owner(&state, [192, 168, 0, 1]).as_deref(), Some("n1"));
    // Two nodes: the later one, also when a pod of the network of its host says so.
    let mut host = pod("host", "n2", 9);
    (host.host_network, host.addresses.v4) = (true, Some([192, 168, 0, 1].into()));
    state.apply(set(host));
    assert_eq!(owner(&state, [192, 168, 0, 1]).as_deref(), Some("n2"));
    state.apply(gone("host"));
    assert_eq!(owner(&state, [192, 168, 0, 1]).as_deref(), Some("n1"));
    // A node that nobody knows has the addresses that its pods report.
    let mut early = pod("early", "n3", 8);
    early.host_addresses = PodAddresses { v4: Some([192, 168, 0, 3].into()), v6: None };
    state.apply(set(early));
    assert_eq!(owner(&state, [192, 168, 0, 3]).as_deref(), Some("n3"));
    state.apply(Change::Set(Object::Node(node("n4", 3))));
    assert_eq!(owner(&state, [192, 168, 0, 3]).as_deref(), Some("n4"));
}

#[test]
fn what_policies_cannot_see_changes_nothing() {
    let mut state = state(small());
    let mut pending = pod("web", "n1", 1);
    pending.phase = Phase::Pending;
    assert!(!state.apply(set(pending)));
    let mut labelled = node("n1", 1);
    labelled.labels.set("zone", "a");
    assert!(!state.apply(Change::Set(Object::Node(labelled))));
    assert!(!state.apply(gone("nobody")));
    assert!(state.apply(Change::Set(Object::Node(node("n1", 7)))));
}

#[test]
fn an_agent_that_audits_audits_everything() {
    let mut state = State::default().in_mode(Mode::Audit);
    small().into_iter().for_each(|change| _ = state.apply(change));
    state.apply(Change::Set(Object::Policy(NetworkPolicy { mode: Some(Mode::Enforce), ..only("web", "other") })));
    let cluster = cluster(&state);
    assert_eq!(cluster.policies().len(), 2);
    assert!(cluster.policies().all(|(id, _)| cluster.mode_of(id.into()) == Mode::Audit));
}

#[test]
fn a_policy_that_cannot_be_understood_is_enforced_whatever_its_namespace_says() {
    let mut state = state(small());
    let prod = Namespace { name: "prod".into(), labels: Default::default(), mode: Some(Mode::Audit), at: None };
    assert!(state.apply(Change::Set(Object::Namespace(prod.clone()))));
    assert!(!state.apply(Change::Set(Object::Namespace(prod))));
    let modes = |state: &State| {
        let cluster = cluster(state);
        cluster.policies().map(|(id, _)| cluster.mode_of(id.into())).collect::<Vec<_>>()
    };
    assert_eq!(modes(&state), [Mode::Audit]);
    let poison = PoisonPolicy {
        id: ObjectRef::new("prod", "web-to-db"),
        subject: None,
        types: None,
        ingress: Vec::new(),
        egress: Vec::new(),
        problems: vec!["no".to_owned()],
    };
    state.apply(Change::Poison(Poison::Policy(poison)));
    assert_eq!(modes(&state), [Mode::Enforce]);
}

#[test]
fn poison_closes_its_own_pods_and_stops_nothing_else() {
    let mut state = state(small());
    let poison = PoisonPolicy {
        id: ObjectRef::new("prod", "web-to-db"),
        subject: Some(only("web", "db").subject),
        types: Some(None),
        ingress: vec![None],
        egress: Vec::new(),
        problems: vec!["spec.ingress[0]: no".to_owned()],
    };
    let affected = |state: &State| {
        let cluster = cluster(state);
        let program = PolicyProgram::compile(&cluster);
        let isolated = |name: &str, direction| {
            let pod = cluster.find_pod(&ObjectRef::new("prod", name)).unwrap();
            let identity = program.identity_of(pod).unwrap();
            cluster.policies().any(|(policy, _)| {
                program.affects(policy, direction)
                    && program.subjects_of(policy).is_some_and(|subjects| program.selects(subjects, identity))
            })
        };
        ["web", "db"].map(|name| Direction::ALL.map(|direction| isolated(name, direction)))
    };
    state.apply(Change::Poison(Poison::Policy(poison.clone())));
    assert_eq!(affected(&state), [[false, false], [true, false]]);
    assert!(cluster(&state).policies().all(|(_, policy)| policy.ingress.is_empty()));
    state.apply(Change::Poison(Poison::Policy(PoisonPolicy { subject: None, types: None, ..poison })));
    assert_eq!(affected(&state), [[true, true], [true, true]]);
    assert_eq!(state.poison().len(), 1);
    // A pod that cannot be understood stays what it was.
    let key = Key::Pod(ObjectRef::new("prod", "web"));
    state.apply(Change::Poison(Poison::Other { key: key.clone(), problems: vec!["no".to_owned()] }));
    assert_eq!((state.poison().len(), owner(&state, [10, 244, 0, 1]).as_deref()), (2, Some("web")));
    // And all is well again, which is to be told even where nothing else changes.
    state.apply(Change::Poison(Poison::Other { key: key.clone(), problems: vec!["still no".to_owned()] }));
    assert!(state.apply(set(pod("web", "n1", 1))));
    assert!(!state.apply(set(pod("web", "n1", 1))));
    assert_eq!(state.poison().len(), 1);
    state.apply(Change::Poison(Poison::Other { key: key.clone(), problems: vec!["no".to_owned()] }));
    state.apply(Change::Set(Object::Policy(only("web", "db"))));
    state.apply(Change::Gone(key));
    assert!(state.poison().is_empty());
    assert_eq!(pods(&state), ["db", "other"]);
}

#[test]
fn each_kind_of_cluster_wide_policies_has_names_of_its_own() {
    let wide = |kind| ClusterPolicy {
        kind,
        name: "default".into(),
        annotations: Labels::default(),
        mode: None,
        tier: if kind == ClusterPolicyKind::Admin { ClusterTier::Admin } else { ClusterTier::Baseline },
        priority: None,
        subject: ClusterSubject::Namespaces(LabelSelector::everything()),
        ingress: Vec::new(),
        egress: Vec::new(),
        at: None,
    };
    let kinds = |state: &State| cluster(state).cluster_policies().map(|(_, policy)| policy.kind).collect::<Vec<_>>();
    let mut state = state(ClusterPolicyKind::ALL.map(|kind| Change::Set(Object::ClusterPolicy(wide(kind)))));
    assert_eq!(kinds(&state), ClusterPolicyKind::ALL);
    let poison = Poison::ClosedWide { policy: wide(ClusterPolicyKind::Admin), problems: vec!["no".to_owned()] };
    let key = poison.key();
    assert_eq!(
        (key.kind(), key.to_string().as_str()),
        (Kind::ClusterPolicy(ClusterPolicyKind::Admin), "AdminNetworkPolicy default")
    );
    state.apply(Change::Poison(poison));
    assert_eq!(kinds(&state), ClusterPolicyKind::ALL);
    // The namesakes are neither healed nor removed with it.
    state.apply(Change::Set(Object::ClusterPolicy(wide(ClusterPolicyKind::Cluster))));
    assert_eq!(state.poison().keys().collect::<Vec<_>>(), [&key]);
    assert!(state.apply(Change::Gone(key.clone())) && !state.apply(Change::Gone(key)));
    assert_eq!(kinds(&state), [ClusterPolicyKind::Cluster, ClusterPolicyKind::BaselineAdmin]);
    assert!(state.poison().is_empty());
}

/// An agent that starts now enforces the same as one that knew the policy before.
#[test]
fn what_is_closed_of_a_cluster_wide_policy_does_not_depend_on_what_it_was() {
    let wide = |priority, tier| ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: "p".into(),
        annotations: Labels::default(),
        mode: None,
        tier,
        priority,
        subject: ClusterSubject::Namespaces(LabelSelector::everything()),
        ingress: Vec::new(),
        egress: Vec::new(),
        at: None,
    };
    let closed = Poison::ClosedWide { policy: wide(None, ClusterTier::Admin), problems: vec!["no".to_owned()] };
    let fresh = state([Change::Poison(closed.clone())]);
    let before = Change::Set(Object::ClusterPolicy(wide(Some(5), ClusterTier::Baseline)));
    let changed = state([before.clone(), Change::Poison(closed)]);
    let text = |state: &State| format!("{:?}", cluster(state).cluster_policies().collect::<Vec<_>>());
    assert_eq!(text(&fresh), text(&changed));
    assert_eq!(fresh.poison(), changed.poison());
    let mut healed = fresh;
    healed.apply(before.clone());
    assert_eq!(text(&healed), text(&state([before])));
    assert!(healed.poison().is_empty());
}

fn pods(state: &State) -> Vec<String> {
    cluster(state).pods().map(|(_, pod)| pod.id.name.to_string()).collect()
}
