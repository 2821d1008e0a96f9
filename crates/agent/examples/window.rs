//! What one window costs, by the size of the cluster: TSV, in milliseconds, medians.
//!
//! `cargo run --release -p palisade-agent --example window`
//!
//! One pod gets another address in each window. `kernel` is what the table is asked to do, without a
//! kernel: its changes are counted, not made.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use palisade_agent::{
    Agent, Change, Event, Kind, Object, Settings, State, Table,
    enforce::{Failure, Found},
};
use palisade_engine::{
    PolicyProgram,
    model::{
        LabelSelector, Labels, NamespaceScope, NetworkPolicy, ObjectRef, Peer, Phase, Pod, PodAddresses, PolicyRule,
        Requirement,
    },
};
use palisade_nftables::{
    difference::Difference,
    plan::{Options, plan},
    ruleset::Ruleset,
};

/// Pods of a node.
const LOCAL: usize = 50;
const APPS: usize = 10;
const WINDOWS: usize = 15;

/// Takes everything, and counts the changes.
#[derive(Debug, Default)]
struct Counting(usize);

impl Table for Counting {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        self.0 += difference.changes().count();
        Ok(1)
    }

    fn found(&mut self, _: &Ruleset) -> Result<Found, Failure> {
        Ok(Found::Nothing)
    }
}

fn main() {
    println!("pods\tpolicies\tview\tcompile\tplan\tdifference\twhole_window\tfirst_sync\tchanges");
    for (pods, policies) in [(1_000, 100), (1_000, 1_000), (10_000, 1_000), (10_000, 10_000), (100_000, 10_000)] {
        measure(pods, policies);
    }
}

fn measure(pods: usize, policies: usize) {
    let mut agent = Agent::new(Settings::of("node-0"), Counting::default());
    let mut state = State::default();
    let start = Instant::now();
    for change in (0..pods).map(|n| pod(n, 0)).map(Object::Pod).chain((0..policies).map(policy)).map(Change::Set) {
        agent.take(Event { at: start, change: change.clone() });
        state.apply(change);
    }
    Kind::ALL.into_iter().for_each(|kind| agent.take(Event { at: start, change: Change::Synced(kind) }));
    let began = Instant::now();
    agent.work(start + Duration::from_secs(1));
    let sync = began.elapsed();
    let before = agent.table().0;
    let mut times: [Vec<Duration>; 5] = Default::default();
    let mut old = None;
    for round in 1..=WINDOWS {
        let change = || Change::Set(Object::Pod(pod(round * 7 % pods, round)));
        let at = Instant::now();
        agent.take(Event { at, change: change() });
        agent.work(at + Duration::from_secs(1));
        let whole = at.elapsed();

        state.apply(change());
        let ((view, a), mut parts) = (timed(|| state.view()), [Duration::ZERO; 4]);
        let Ok(view) = view else { return };
        let (program, b) = timed(|| PolicyProgram::compile(&view.cluster));
        let Some(node) = view.cluster.find_node("node-0") else { return };
        let (plan, c) = timed(|| plan(&view.cluster, &program, node, &Options::default()));
        let (_, d) = timed(|| Difference::between(old.as_ref(), &plan.ruleset));
        old = Some(plan.ruleset);
        parts.clone_from(&[a, b, c, d]);
        for (times, time) in times.iter_mut().zip(parts.into_iter().chain([whole])) {
            times.push(time);
        }
    }
    let medians: Vec<String> = times.iter_mut().map(|times| format!("{:.2}", median(times))).collect();
    let changes = agent.table().0 - before;
    println!("{pods}\t{policies}\t{}\t{:.2}\t{changes}", medians.join("\t"), sync.as_secs_f64() * 1e3);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// In milliseconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// Ten apps of up to a hundred pods in each namespace; `round` gives it another address.
fn pod(number: usize, round: usize) -> Pod {
    let labels: [(&str, String); 3] = [
        ("app", format!("app-{}", number % APPS)),
        ("pod-template-hash", format!("{:x}", number % APPS * 7_919)),
        ("statefulset.kubernetes.io/pod-name", format!("pod-{number}")),
    ];
    let address = 0x0a00_0000 + u32::try_from(number + round * 1_000_003 % 4_000_000).unwrap_or(0);
    Pod {
        id: ObjectRef::new(namespace(number), format!("pod-{number}")),
        labels: labels.into_iter().collect(),
        node: Some(format!("node-{}", number / LOCAL).into()),
        addresses: PodAddresses { v4: Some(Ipv4Addr::from_bits(address)), v6: None },
        host_addresses: PodAddresses::default(),
        host_network: false,
        phase: Phase::Running,
        ports: Vec::new(),
        owner: None,
        workload: None,
        stand_in: false,
        at: None,
    }
}

fn namespace(number: usize) -> String {
    format!("team-{}", number / 1_000)
}

/// Each lets one app of a namespace reach another.
fn policy(number: usize) -> Object {
    let app =
        |n: usize| -> LabelSelector { [Requirement::equals("app", format!("app-{}", n % APPS))].into_iter().collect() };
    let peer = Peer::Pods { namespaces: NamespaceScope::Own, pods: app(number / APPS + 1), at: None };
    Object::Policy(NetworkPolicy {
        id: ObjectRef::new(namespace(number * 10), format!("policy-{number}")),
        annotations: Labels::default(),
        subject: app(number),
        policy_types: None,
        ingress: vec![PolicyRule { peers: vec![peer], ports: Vec::new(), at: None }],
        egress: Vec::new(),
        at: None,
    })
}
