//! Whatever changes and whatever goes wrong: in the end, who follows a cluster knows what a list of it says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{collections::BTreeSet, time::Duration};

use palisade_watch::fake::{FakeServer, Fault};
use proptest::prelude::*;
use support::follow::{Follower, name};

const PLURALS: [&str; 4] = ["namespaces", "nodes", "pods", "networkpolicies"];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// An object, by resource, number and what is in it; some contents make no sense.
    Put(usize, usize, usize),
    Delete(usize, usize),
    Cut,
    Compact,
    Bookmark,
    Away,
    Back,
    ErrorEvent(usize, u16),
    Garbage(usize),
    Fail(usize, u16),
    Close(usize),
    ExpireList(usize),
    Slow(usize),
    Delay(u64),
    /// Time passes.
    Rest(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let of = 0..PLURALS.len();
    prop_oneof![
        12 => (of.clone(), 0..4_usize, 0..5_usize).prop_map(|(of, number, content)| Step::Put(of, number, content)),
        6 => (of.clone(), 0..4_usize).prop_map(|(of, number)| Step::Delete(of, number)),
        3 => Just(Step::Cut),
        2 => Just(Step::Compact),
        1 => Just(Step::Bookmark),
        1 => Just(Step::Away),
        2 => Just(Step::Back),
        1 => (of.clone(), prop_oneof![Just(410_u16), Just(500)]).prop_map(|(of, code)| Step::ErrorEvent(of, code)),
        1 => of.clone().prop_map(Step::Garbage),
        1 => (of.clone(), prop_oneof![Just(410_u16), Just(429), Just(503), Just(403), Just(400)])
            .prop_map(|(of, code)| Step::Fail(of, code)),
        1 => of.clone().prop_map(Step::Close),
        1 => of.clone().prop_map(Step::ExpireList),
        1 => of.prop_map(Step::Slow),
        1 => (0..3_u64).prop_map(Step::Delay),
        4 => (0..12_u64).prop_map(Step::Rest),
    ]
}

/// Puts an object; the last of the contents of a policy and of a pod make no sense.
fn put(server: &FakeServer, of: usize, number: usize, content: usize) {
    let labels = format!("{{l: v{content}}}");
    let name = format!("o{number}");
    server.apply(&match of {
        0 => format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}"),
        1 => format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {labels}}}}}"),
        2 => {
            let address = if content == 4 { "10.0.0.999".to_owned() } else { format!("10.0.0.{}", content % 3) };
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: o1, labels: {labels}}},
                  spec: {{containers: [{{name: c, image: x}}]}}, status: {{podIP: {address}}}}}"
            )
        }
        _ => {
            let direction = if content == 4 { "7" } else { "[{ports: [{port: 80}]}]" };
            format!(
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: o1}},
                  spec: {{podSelector: {{matchLabels: {labels}}}, ingress: {direction}}}}}"
            )
        }
    });
}

fn full_name(of: usize, number: usize) -> String {
    if of < 2 { format!("o{number}") } else { format!("o1/o{number}") }
}

/// Does it, and keeps the book of what makes no sense.
fn happen(server: &FakeServer, step: &Step, poison: &mut BTreeSet<String>) {
    match step {
        Step::Put(of, number, content) => {
            put(server, *of, *number, *content);
            let key = format!("{} {}", PLURALS[*of], full_name(*of, *number));
            if *of >= 2 && *content == 4 {
                poison.insert(key)
            } else {
                poison.remove(&key)
            };
        }
        Step::Delete(of, number) => {
            let name = full_name(*of, *number);
            server.delete(PLURALS[*of], &name);
            poison.remove(&format!("{} {name}", PLURALS[*of]));
        }
        Step::Cut => server.cut_watches(),
        Step::Compact => server.compact(),
        Step::Bookmark => server.bookmark(),
        Step::Away => server.go_away(),
        Step::Back => server.come_back().unwrap(),
        Step::ErrorEvent(of, code) => server.send_error(PLURALS[*of], *code),
        Step::Garbage(of) => server.send_line(PLURALS[*of], "{\"type\":\"ADDED\",\"object\":{\"metadata\":[]}}"),
        Step::Fail(of, code) => server.fail(Fault::status(PLURALS[*of], *code).times(2)),
        Step::Close(of) => server.fail(Fault::closed(PLURALS[*of]).times(1)),
        Step::ExpireList(of) => server.fail(Fault::expired(PLURALS[*of]).times(1)),
        Step::Slow(of) => server.fail(Fault::slow(PLURALS[*of], Duration::from_millis(5)).times(2)),
        Step::Delay(delay) => server.delay_events(Duration::from_millis(*delay)),
        Step::Rest(millis) => std::thread::sleep(Duration::from_millis(*millis)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_the_end_it_is_as_listed(steps in prop::collection::vec(step(), 1..60)) {
        let server = FakeServer::start().unwrap();
        let mut poison = BTreeSet::new();
        let half = steps.len() / 4;
        for step in &steps[..half] {
            happen(&server, step, &mut poison);
        }
        let mut follower = Follower::new(&server);
        for step in &steps[half..] {
            happen(&server, step, &mut poison);
        }
        server.come_back().unwrap();
        server.delay_events(Duration::ZERO);
        server.forgive();
        follower.settle(&server);
        prop_assert_eq!(&follower.state.objects, &follower.listed());
        let found: BTreeSet<String> =
            follower.state.poison.keys().map(|key| format!("{} {}", key.of.resource().plural, name(key))).collect();
        prop_assert_eq!(found, poison);
        let objects: usize = follower.watch.health().all().values().map(|health| health.objects).sum();
        prop_assert_eq!(objects, follower.state.objects.len() + follower.state.poison.len());
    }
}
