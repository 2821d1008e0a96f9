//! Following a cluster through a real socket: changes, cuts, expiry, absence, objects that make no sense.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};

use palisade_engine::model::{Action, ClusterPolicyKind, ClusterTier};
use palisade_watch::{
    Access, Object, Pace, Received, Watched,
    fake::{FakeServer, Fault},
};
use support::{
    Folder,
    follow::{BUILT_IN, Follower, State, hurry, name, wait},
};

fn pod(server: &FakeServer, name: &str, label: &str, address: &str) {
    let status = if address.is_empty() { String::new() } else { format!("podIP: {address}, phase: Running") };
    server.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: prod, labels: {{app: {label}}}}},
          spec: {{containers: [{{name: c, image: x}}]}}, status: {{{status}}}}}"
    ));
}

fn policy(server: &FakeServer, name: &str, spec: &str) {
    server.apply(&format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: prod}},
          spec: {spec}}}"
    ));
}

/// What was said of pods, since a moment.
fn of_pods(state: &State, since: usize) -> Vec<&str> {
    state.said[since..].iter().map(String::as_str).filter(|said| said.contains(" Pod prod/")).collect()
}

fn watches_of<'r>(requests: &'r [String], plural: &str) -> Vec<&'r String> {
    requests.iter().filter(|line| line.contains(&format!("/{plural}?")) && line.contains("watch=true")).collect()
}

fn lists_of(requests: &[String], plural: &str) -> usize {
    requests.iter().filter(|line| line.contains(&format!("/{plural}?")) && line.contains("limit=")).count()
}

#[test]
fn what_is_there_comes_first_and_then_what_changes() {
    let server = FakeServer::start().unwrap();
    for number in 0..1203 {
        pod(&server, &format!("p{number}"), "web", &format!("10.0.{}.{}", number / 250, number % 250));
    }
    server.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    policy(&server, "np", "{podSelector: {}}");
    let mut follower = Follower::synced(&server);
    assert_eq!(follower.state.objects, follower.listed());
    assert_eq!(follower.state.objects.len(), 1203 + 1 + 1 + 1);
    let health = follower.watch.health_of(Watched::Pods);
    assert_eq!((health.synced, health.watching, health.objects, health.lists), (true, true, 1203, 1));
    assert!(follower.watch.health().is_synced());

    let since = follower.state.said.len();
    pod(&server, "new", "web", "");
    pod(&server, "p7", "api", "10.0.0.7");
    pod(&server, "new", "web", "10.9.9.9");
    server.delete("pods", "prod/p8");
    server.delete("pods", "prod/new");
    pod(&server, "new", "db", "");
    pod(&server, "new", "db", "10.9.9.10");
    follower.until("the new pod has its address", |state| state.has(Watched::Pods, "prod/new", "10.9.9.10"));
    assert_eq!(
        of_pods(&follower.state, since),
        [
            "set Pod prod/new",
            "set Pod prod/p7",
            "set Pod prod/new",
            "gone Pod prod/p8",
            "gone Pod prod/new",
            "set Pod prod/new",
            "set Pod prod/new"
        ]
    );
    assert!(follower.state.has(Watched::Pods, "prod/p7", "\"api\""));
    assert!(follower.state.has(Watched::Pods, "prod/new", "\"db\""));
    assert!(follower.state.troubles.is_empty(), "{:?}", follower.state.troubles);
    let requests = server.requests();
    // Three pages for the watch, and three for `listed`.
    assert_eq!((lists_of(&requests, "pods"), watches_of(&requests, "pods").len()), (6, 1));
    let asked = watches_of(&requests, "pods")[0];
    assert!(asked.contains("allowWatchBookmarks=true") && asked.contains("timeoutSeconds="), "{asked}");
}

#[test]
fn a_cut_watch_goes_on_where_it_was() {
    let server = FakeServer::start().unwrap();
    let mut follower = Follower::synced(&server);
    for round in 0..6 {
        let since = follower.state.said.len();
        pod(&server, "a", &format!("r{round}"), "10.0.0.1");
        follower.until("the change came", |state| state.has(Watched::Pods, "prod/a", &format!("r{round}")));
        server.cut_watches();
        pod(&server, "b", "web", "10.0.0.2");
        server.delete("pods", "prod/b");
        pod(&server, "c", &format!("r{round}"), "10.0.0.2");
        follower.until("the change came", |state| state.has(Watched::Pods, "prod/c", &format!("r{round}")));
        // Nothing is missing and nothing comes twice, the pod included that lived only meanwhile.
        let said = ["set Pod prod/a", "set Pod prod/b", "gone Pod prod/b", "set Pod prod/c"];
        assert_eq!(of_pods(&follower.state, since), said, "round {round}");
    }
    assert_eq!(lists_of(&server.requests(), "pods"), 1, "no list was needed again");
    assert_eq!(follower.state.objects, follower.listed());
    assert!(follower.state.troubles.iter().all(|trouble| trouble.why.contains("cut")), "{:?}", follower.state.troubles);
}

#[test]
fn what_was_missed_is_listed_and_what_is_gone_is_said() {
    let server = FakeServer::start().unwrap();
    for name in ["stays", "goes", "changes", "reborn"] {
        pod(&server, name, "old", "");
    }
    let mut follower = Follower::synced(&server);
    let since = follower.state.said.len();
    server.go_away();
    server.delete("pods", "prod/goes");
    pod(&server, "changes", "new", "");
    server.delete("pods", "prod/reborn");
    pod(&server, "reborn", "new", "");
    pod(&server, "comes", "new", "");
    server.compact();
    server.come_back().unwrap();
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 2);
    let mut said = of_pods(&follower.state, since);
    // What did not change is not said again.
    assert_eq!(said.pop(), Some("gone Pod prod/goes"));
    said.sort();
    assert_eq!(said, ["set Pod prod/changes", "set Pod prod/comes", "set Pod prod/reborn"]);
    assert_eq!(follower.state.objects, follower.listed());
    let troubles = &follower.state.troubles;
    assert!(troubles.iter().any(|trouble| trouble.why.contains("too old resource version")), "{troubles:?}");
}

#[test]
fn expiry_is_understood_in_every_form() {
    let server = FakeServer::start().unwrap();
    pod(&server, "a", "web", "");
    let mut follower = Follower::synced(&server);
    // An event on an open watch, a watch that cannot begin, an answer that is no success.
    server.send_error("pods", 410);
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 2);
    server.fail(Fault::error_event("pods", 410).times(1));
    server.cut_watches();
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 3);
    server.fail(Fault::status("pods", 410).on_watches().times(1));
    server.cut_watches();
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 4);
    // A list whose token expires is begun again, and other errors end in a list too.
    for number in 0..600 {
        pod(&server, &format!("p{number}"), "web", "");
    }
    follower.settle(&server);
    server.fail(Fault::expired("pods").times(2));
    wait("the watch is open", || follower.watch.health_of(Watched::Pods).watching);
    server.send_error("pods", 500);
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 5);
    wait("the watch is open", || follower.watch.health_of(Watched::Pods).watching);
    server.send_line("pods", "<html>log in</html>");
    follower.until("it is listed again", |state| state.synced[&Watched::Pods] == 6);
    follower.settle(&server);
    assert_eq!(follower.state.objects, follower.listed());
    let of_a = follower.state.said.iter().filter(|said| *said == "set Pod prod/a").count();
    assert_eq!(of_a, 1, "what did not change is said once");
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let server = FakeServer::start().unwrap();
    pod(&server, "a", "web", "10.0.0.1");
    let mut follower = Follower::synced(&server);
    server.go_away();
    follower.until("it is noticed", |state| state.troubles.iter().any(|trouble| trouble.failures >= 3));
    let health = follower.watch.health_of(Watched::Pods);
    assert!(health.synced && !health.watching && health.failing_since.is_some(), "{health:?}");
    // The address of a pod that went is another's by now.
    server.delete("pods", "prod/a");
    pod(&server, "b", "web", "10.0.0.1");
    policy(&server, "np", "{podSelector: {}}");
    server.come_back().unwrap();
    follower.settle(&server);
    assert_eq!(follower.state.objects, follower.listed());
    // `listed` lists once too.
    assert_eq!(lists_of(&server.requests(), "pods"), 1 + 1, "the watch goes on where it was");
    let said = of_pods(&follower.state, 0);
    assert_eq!(said, ["set Pod prod/a", "gone Pod prod/a", "set Pod prod/b"], "who has the address is never two");
    wait("it works again", || follower.watch.health().all().values().all(|health| health.failing_since.is_none()));
    let troubles = &follower.state.troubles;
    assert!(troubles.iter().all(|trouble| trouble.retry_in <= Duration::from_millis(50)), "{troubles:?}");
}

#[test]
fn bookmarks_move_the_place_to_go_on_from() {
    let server = FakeServer::start().unwrap();
    let mut follower = Follower::synced(&server);
    for number in 0..5 {
        pod(&server, "a", &format!("l{number}"), "");
    }
    follower.settle(&server);
    // Of policies nothing happens, and what happened to pods is forgotten.
    let heard = follower.watch.health_of(Watched::Namespaces).last_heard;
    pod(&server, "b", "web", "");
    server.bookmark();
    wait("the bookmark came", || follower.watch.health_of(Watched::Namespaces).last_heard > heard);
    follower.until("the pod came", |state| state.get(Watched::Pods, "prod/b").is_some());
    wait("all bookmarks came", || {
        let all = follower.watch.health().all();
        all.values().all(|health| health.last_heard > heard)
    });
    server.compact();
    server.cut_watches();
    follower.settle(&server);
    for of in BUILT_IN {
        assert_eq!(follower.state.synced[&of], 1, "{of} need not be listed again");
    }
}

/// The definition of cluster-wide policies may not be there, come, and go; what is not understood of one of
/// them fails closed in it.
/// A cluster-wide policy of any kind; what its spec holds beside the subject and the ingress rules is the least.
fn wide(server: &FakeServer, kind: ClusterPolicyKind, name: &str, rules: &str) {
    let (version, of_kind) = match kind {
        ClusterPolicyKind::Cluster => ("v1alpha2", "tier: Admin, priority: 5, "),
        ClusterPolicyKind::Admin => ("v1alpha1", "priority: 5, "),
        ClusterPolicyKind::BaselineAdmin => ("v1alpha1", ""),
    };
    server.apply(&format!(
        "{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: {name}}},
          spec: {{{of_kind}subject: {{namespaces: {{}}}}, ingress: {rules}}}}}"
    ));
}

#[test]
fn cluster_policies_come_and_go_with_their_definition() {
    for kind in ClusterPolicyKind::ALL {
        come_and_go(kind);
    }
}

fn come_and_go(kind: ClusterPolicyKind) {
    let server = FakeServer::start().unwrap();
    let of = Watched::ClusterPolicies(kind);
    let accept = if kind == ClusterPolicyKind::Cluster { "Accept" } else { "Allow" };
    let mut follower = Follower::of(&server, &[of], hurry(), 64);
    follower.until("none is all there is", |state| state.synced.contains_key(&of));
    server.install(of.resource());
    // There is one BaselineAdminNetworkPolicy.
    let (first, second) = if kind == ClusterPolicyKind::BaselineAdmin { ("default", "default") } else { ("a", "odd") };
    wide(&server, kind, first, "[{action: Deny, from: [{namespaces: {}}]}]");
    follower.until("the policy came", |state| state.has(of, first, "Deny"));
    wide(
        &server,
        kind,
        second,
        &format!("[{{action: {accept}, from: [{{galaxies: {{}}}}]}}, {{action: Deny, from: [{{galaxies: {{}}}}]}}]"),
    );
    let closed = |state: &State| state.poison.values().find(|poison| &*poison.key.name == second).cloned();
    follower.until("the odd one came", |state| closed(state).is_some());
    let poison = closed(&follower.state).unwrap();
    assert_eq!(poison.key.to_string(), format!("{kind} {second}"));
    assert!(poison.why[0].contains("galaxies"), "{:?}", poison.why);
    let Some(Object::ClusterPolicy(odd)) = poison.rest else { panic!("{:?}", poison.rest) };
    assert_eq!((odd.kind, odd.ingress.len()), (kind, 2));
    assert!(odd.ingress.iter().all(|rule| !rule.is_understood()), "{odd:?}");
    server.uninstall(&of.resource().plural);
    server.cut_watches();
    follower.until("all are gone", |state| state.objects.is_empty() && state.poison.is_empty());
    server.install(of.resource());
    wide(&server, kind, "default", &format!("[{{action: {accept}, from: [{{namespaces: {{}}}}]}}]"));
    follower.until("another one came", |state| state.has(of, "default", "Accept"));
    assert!(
        follower.state.troubles.iter().all(|trouble| !trouble.why.contains("404")),
        "{:?}",
        follower.state.troubles
    );
}

/// Of a policy of which it is not known when it is asked, nothing is left that allows anything.
#[test]
fn a_cluster_policy_without_a_place_fails_closed() {
    let server = FakeServer::start().unwrap();
    let of = Watched::ClusterPolicies(ClusterPolicyKind::Cluster);
    server.install(of.resource());
    let mut follower = Follower::of(&server, &[of], hurry(), 64);
    let baseline = ClusterTier::Baseline;
    let places = [
        ("tier: Galactic, priority: 5", "tier `Galactic`", ClusterTier::Admin),
        ("priority: 5", "`tier` is missing", ClusterTier::Admin),
        ("tier: Baseline, priority: 1001", "priority 1001", baseline),
        ("tier: Baseline", "`priority` is missing", baseline),
    ];
    for (number, (place, why, tier)) in places.into_iter().enumerate() {
        let name = format!("p{number}");
        let rule = |action: &str| format!("{{action: {action}, from: [{{namespaces: {{}}}}]}}");
        server.apply(&format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}},
              spec: {{{place}, subject: {{namespaces: {{}}}}, ingress: [{}, {}, {}]}}}}",
            rule("Accept"),
            rule("Deny"),
            rule("Pass")
        ));
        let found = |state: &State| state.poison.values().find(|poison| *poison.key.name == *name).cloned();
        follower.until("it came", |state| found(state).is_some());
        let poison = found(&follower.state).unwrap();
        assert!(poison.why[0].contains(why), "{:?}", poison.why);
        let Some(Object::ClusterPolicy(closed)) = poison.rest else { panic!("{:?}", poison.rest) };
        assert_eq!((closed.tier, closed.priority), (tier, None), "{place}");
        let rules = closed.ingress.iter().map(|rule| (rule.action, rule.is_understood())).collect::<Vec<_>>();
        assert_eq!(rules, [(Action::Accept, false), (Action::Deny, true), (Action::Deny, true)], "{place}");
    }
}

#[test]
fn policies_of_one_name_and_several_kinds_are_told_apart() {
    let server = FakeServer::start().unwrap();
    let kinds = ClusterPolicyKind::ALL.map(Watched::ClusterPolicies);
    for of in kinds {
        server.install(of.resource());
    }
    let mut follower = Follower::of(&server, &kinds, hurry(), 64);
    for kind in ClusterPolicyKind::ALL {
        wide(&server, kind, "default", "[{action: Deny, from: [{namespaces: {}}]}]");
    }
    follower.until("all came", |state| kinds.iter().all(|of| state.get(*of, "default").is_some()));
    let [cluster, admin, baseline] = kinds;
    server.delete(&admin.resource().plural, "default");
    follower.until("one is gone", |state| state.get(admin, "default").is_none());
    assert!([cluster, baseline].iter().all(|of| follower.state.get(*of, "default").is_some()));
}

#[test]
fn resources_come_in_any_order() {
    let server = FakeServer::start().unwrap();
    server.fail(Fault::slow("namespaces", Duration::from_millis(200)).on_lists().times(1));
    server.fail(Fault::slow("networkpolicies", Duration::from_millis(100)).on_lists().times(1));
    pod(&server, "a", "web", "10.0.0.1");
    policy(&server, "np", "{podSelector: {}}");
    server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: prod}}");
    let mut follower = Follower::new(&server);
    follower.until("pods are synced", |state| state.synced.contains_key(&Watched::Pods));
    assert!(!follower.state.is_synced() && !follower.watch.health().is_synced());
    assert!(follower.state.get(Watched::Namespaces, "prod").is_none(), "the pod is there before its namespace");
    follower.until("all are synced", State::is_synced);
    server.delay_events(Duration::from_millis(20));
    server.delete("namespaces", "prod");
    server.delete("pods", "prod/a");
    follower.settle(&server);
    assert_eq!(follower.state.objects, follower.listed());
}

#[test]
fn poison_is_named_and_stops_nothing_else() {
    let server = FakeServer::start().unwrap();
    policy(&server, "bad", "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{protocol: QUIC}]}, {}]}");
    let mut follower = Follower::synced(&server);
    let key = follower.state.poison.keys().next().unwrap().clone();
    assert_eq!(name(&key), "prod/bad");
    let poison = &follower.state.poison[&key];
    assert!(poison.why[0].starts_with("spec.ingress[0].ports[0].protocol: "), "{:?}", poison.why);
    let Some(Object::NetworkPolicy(rest)) = &poison.rest else { panic!("{poison:?}") };
    assert_eq!((rest.ingress.len(), rest.subject.is_everything()), (1, false));
    assert_eq!(follower.watch.health_of(Watched::NetworkPolicies).poison, 1);

    policy(&server, "good", "{podSelector: {}}");
    policy(&server, "worse", "{podSelector: [1]}");
    follower
        .until("both came", |state| state.poison.len() == 2 && state.objects.keys().any(|key| &*key.name == "good"));
    policy(&server, "bad", "{podSelector: {}}");
    policy(&server, "good", "{podSelector: {}, ingress: 7}");
    server.delete("networkpolicies", "prod/worse");
    follower.settle(&server);
    let poison: Vec<String> = follower.state.poison.keys().map(name).collect();
    assert_eq!(poison, ["prod/good"]);
    assert!(follower.state.get(Watched::NetworkPolicies, "prod/bad").is_some());
    let health = follower.watch.health_of(Watched::NetworkPolicies);
    assert_eq!((health.poison, health.objects), (1, 3));
    assert!(follower.state.troubles.is_empty(), "{:?}", follower.state.troubles);
}

#[test]
fn refusals_are_told_and_do_not_end_it() {
    let server = FakeServer::start().unwrap();
    server.fail(Fault::forbidden("nodes").on_lists().times(2));
    server.fail(Fault::forbidden("pods").on_watches().times(2));
    server.fail(Fault::text("namespaces", 200, "<html>log in</html>").on_lists().times(1));
    server.fail(Fault::status("networkpolicies", 429).times(1));
    server.fail(Fault::closed("networkpolicies").on_watches().times(1));
    let mut follower = Follower::synced(&server);
    follower.settle(&server);
    assert_eq!(follower.state.objects, follower.listed());
    let told = |of, part: &str| {
        let mut of_it = follower.state.troubles.iter().filter(|trouble| trouble.of == of);
        of_it.any(|trouble| trouble.why.contains(part))
    };
    assert!(told(Watched::Nodes, "permission to list and watch nodes is missing"), "{:?}", follower.state.troubles);
    assert!(told(Watched::Pods, "(403)") && told(Watched::Namespaces, "none of an API server"));
    assert!(told(Watched::NetworkPolicies, "(429)"));
}

#[test]
fn watches_that_end_are_opened_again_without_a_word() {
    let server = FakeServer::start().unwrap();
    let pace = Pace { watch_for: Duration::from_secs(1), silence: Duration::from_millis(300), ..hurry() };
    let pace = Pace { at_least: Duration::from_millis(100), ..pace };
    let mut follower = Follower::with(&server, pace, 64);
    follower.until("all are synced", State::is_synced);
    wait("it was opened again", || follower.watch.health().all().values().all(|health| health.watches > 3));
    pod(&server, "a", "web", "");
    follower.settle(&server);
    assert_eq!(follower.state.objects, follower.listed());
    assert!(follower.state.troubles.is_empty(), "{:?}", follower.state.troubles);
}

#[test]
fn it_stops_at_once_whoever_listens() {
    let server = FakeServer::start().unwrap();
    for number in 0..50 {
        pod(&server, &format!("p{number}"), "web", "");
    }
    let folder = Folder::with("config", &server.kubeconfig("prod"));
    let cluster = Access { kubeconfig: Some(folder.file("config")), context: None }.find().unwrap();
    // Nobody reads, and there is room for one.
    let (sender, receiver) = sync_channel::<Received>(1);
    let watch = cluster.watch(&BUILT_IN, Pace::default(), sender).unwrap();
    wait("it is full", || watch.health_of(Watched::Pods).last_heard.is_some());
    let begin = Instant::now();
    watch.stop();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(receiver.iter().count() <= 1);

    let (sender, receiver) = sync_channel::<Received>(1);
    let watch = cluster.watch(&BUILT_IN, Pace::default(), sender).unwrap();
    drop(receiver);
    wait("the watches end", || server.watches("pods") == 0);
    watch.stop();

    let follower = Follower::synced(&server);
    drop(follower);
    wait("dropped, it is over too", || {
        // A server notices when it has something to say.
        server.bookmark();
        BUILT_IN.iter().all(|of| server.watches(&of.resource().plural) == 0)
    });
}
