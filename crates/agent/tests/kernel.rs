//! The agent against the real kernel: two pods on a node, real packets, and a hand that meddles.
//!
//! Not under libtest's harness: it starts threads before the first test, and a process with threads
//! cannot enter a user namespace.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails so; clippy does not see that this is one, since it has no harness"
)]

mod flow_lines;
mod support;

use std::{
    error::Error,
    process::{Command, ExitCode},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use libtest_mimic::{Arguments, Failed, Trial};
use palisade_agent::{Agent, Change, Event, Key, Object, Settings, Status, Table, cleanup, enforce::Found};
use palisade_engine::{
    model::{NetworkPolicy, ObjectRef, Protocol, Traffic},
    sets::PrefixSet,
};
use palisade_lab::{
    probe::{self, Outcome, Probe, Timing},
    wiring::{HostRef, Network, NodeHost, PodHost, Topology},
};
use palisade_linux::{netns::NetNs, sandbox::Sandbox};
use palisade_nftables::{
    difference::{self, Difference},
    netlink::Kernel,
    plan::{self, LocalPrefixes, Options, UNKNOWN_POD, UnknownPods},
};
use support::{only, ruleset, small, synced};

type Test = fn() -> Result<(), Box<dyn Error + Send + Sync>>;

const TRIALS: &[(&str, Test)] = &[
    ("packets_see_what_the_agent_was_told", packets),
    ("the_loop_enforces_what_comes", the_loop),
    ("pods_are_closed_until_they_are_known", unknown_pods),
    ("drift_of_every_kind_is_repaired", drift),
    ("what_nft_does_by_hand_is_repaired", nft_by_hand),
    ("random_rulesets_follow_each_other", random_rulesets),
    ("a_dropped_packet_becomes_its_line", flow_lines::lines),
    ("a_group_that_another_reads_stops_nothing", flow_lines::taken),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no test of crates/agent that needs a kernel was run: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = TRIALS.iter().map(|&(name, test)| {
        Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
            .with_ignored_flag(entered.is_err())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn settings() -> Settings {
    Settings { options: Options { pod_interfaces: vec!["pod".to_owned()], ..Options::default() }, ..Settings::of("n1") }
}

/// The node and its two pods of [`small`].
fn network() -> Result<Network, Box<dyn Error + Send + Sync>> {
    let pods = [("prod/web", 1), ("prod/db", 2)];
    let pods = pods.map(|(name, last)| PodHost {
        name: name.to_owned(),
        node: 0,
        v4: Some([10, 244, 0, last].into()),
        v6: None,
    });
    let nodes = vec![NodeHost { name: "n1".to_owned(), addresses: vec![[192, 168, 0, 1].into()] }];
    Ok(Network::up(&Topology { nodes, pods: pods.into(), outside: Vec::new() })?)
}

fn kernel_in(namespace: &NetNs) -> Result<Kernel, Box<dyn Error + Send + Sync>> {
    Ok(namespace.run(Kernel::open)??)
}

/// Whether web reaches db, and db reaches web.
fn reached(network: &Network) -> Result<[bool; 2], Box<dyn Error + Send + Sync>> {
    let address = |pod: u8| [10, 244, 0, pod + 1].into();
    let probe = |from: u8, to: u8| Probe {
        from: HostRef::Pod(from.into()),
        source: address(from),
        to: HostRef::Pod(to.into()),
        destination: address(to),
        traffic: Traffic::Port(Protocol::Tcp, 80),
    };
    let seen = probe::run(network, &[probe(0, 1), probe(1, 0)], Timing::default(), &mut |_, _| {})?;
    Ok([0, 1].map(|index: usize| seen[index].outcome == Outcome::Reached))
}

fn delete_table() -> Difference {
    Difference { switch: vec![difference::Change::DeleteTable], ..Difference::default() }
}

/// Nobody may reach web.
fn closed() -> NetworkPolicy {
    NetworkPolicy { ingress: Vec::new(), ..only("nobody", "web") }
}

fn policy(policy: NetworkPolicy) -> Change {
    Change::Set(Object::Policy(policy))
}

fn packets() -> Result<(), Box<dyn Error + Send + Sync>> {
    let network = network()?;
    let node = network.node(0).ok_or("no node")?;
    let mut hand = kernel_in(node)?;
    let mut agent = Agent::new(settings(), kernel_in(node)?);
    let start = Instant::now();
    let tell = |agent: &mut Agent<Kernel>, changes: Vec<Change>| {
        changes.into_iter().for_each(|change| agent.take(Event { at: Instant::now(), change }));
        agent.work(Instant::now() + Duration::from_millis(50));
    };
    assert_eq!(reached(&network)?, [true, true]);
    tell(&mut agent, small());
    assert!(!hand.snapshot()?.exists);
    tell(&mut agent, synced().collect());
    assert!(agent.status().get().ready, "{:?}", agent.status().get());
    assert_eq!(reached(&network)?, [true, true]);
    // One policy more, and one fewer.
    tell(&mut agent, vec![policy(closed())]);
    assert_eq!(reached(&network)?, [true, false]);
    tell(&mut agent, vec![Change::Gone(Key::Policy(ObjectRef::new("prod", "web-to-db"))), policy(only("other", "db"))]);
    assert_eq!(reached(&network)?, [false, false]);
    // Flushed by hand: open until the audit.
    hand.apply(&delete_table())?;
    assert_eq!(reached(&network)?, [true, true]);
    agent.audit(start);
    assert_eq!(agent.status().get().counters.repairs, 1);
    assert_eq!(reached(&network)?, [false, false]);
    // Its end changes nothing, and the next one finds what it would have done.
    let before = agent.status().get().counters.transactions;
    assert!(before > 0);
    drop(agent);
    assert_eq!(reached(&network)?, [false, false]);
    let mut next = Agent::new(settings(), kernel_in(node)?);
    tell(&mut next, small());
    let web_to_db = Change::Gone(Key::Policy(ObjectRef::new("prod", "web-to-db")));
    tell(&mut next, vec![web_to_db, policy(only("other", "db")), policy(closed())]);
    tell(&mut next, synced().collect());
    let status = next.status().get();
    assert!(status.ready && status.counters.transactions == 0, "{status:?}");
    cleanup(next.table())?;
    assert!(!hand.snapshot()?.exists);
    assert_eq!(reached(&network)?, [true, true]);
    Ok(())
}

/// Like after a reboot: an empty kernel, pods first; then the init step, then the agent.
fn unknown_pods() -> Result<(), Box<dyn Error + Send + Sync>> {
    let network = network()?;
    let node = network.node(0).ok_or("no node")?;
    let mut hand = kernel_in(node)?;
    let prefixes: PrefixSet = ["10.244.0.0/24".parse::<IpNet>()?].into_iter().collect();
    assert_eq!(reached(&network)?, [true, true]);
    let closed = plan::closed(&prefixes, Options::default().log);
    hand.apply(&Difference::between(None, &closed))?;
    assert_eq!(reached(&network)?, [false, false]);

    let unknown_pods = UnknownPods::Deny(LocalPrefixes::Given(prefixes));
    let options = Options { unknown_pods, ..settings().options };
    let mut agent = Agent::new(Settings { options: options.clone(), ..settings() }, kernel_in(node)?);
    let tell = |agent: &mut Agent<Kernel>, changes: Vec<Change>| {
        changes.into_iter().for_each(|change| agent.take(Event { at: Instant::now(), change }));
        agent.work(Instant::now() + Duration::from_millis(50));
    };
    // The agent is not told of db yet: web may be what it is, db has no part in anything.
    let (later, first): (Vec<_>, Vec<_>) = small().into_iter().partition(|change| is_pod(change, "db"));
    tell(&mut agent, first.into_iter().chain(synced()).collect());
    assert!(agent.status().get().ready, "{:?}", agent.status().get());
    assert_eq!(reached(&network)?, [false, false]);
    let dropped = hand.counters()?.into_iter().filter(|counter| counter.chain == UNKNOWN_POD);
    assert!(dropped.map(|counter| counter.packets).sum::<u64>() > 0);
    // As soon as it is, its policy counts: only web may reach it.
    tell(&mut agent, later.clone());
    assert_eq!(reached(&network)?, [true, true]);
    tell(&mut agent, vec![policy(only("nobody", "db")), Change::Gone(Key::Policy(only("web", "db").id))]);
    assert_eq!(reached(&network)?, [false, true]);
    // Gone, its address is closed again.
    tell(&mut agent, vec![Change::Gone(Key::Pod(ObjectRef::new("prod", "db")))]);
    assert_eq!(reached(&network)?, [false, false]);
    // A pod outside is told while the agent runs, and nothing stops because of it.
    let Some(Change::Set(Object::Pod(mut outside))) = later.first().cloned() else { return Err("no pod".into()) };
    outside.addresses.v4 = Some([10, 9, 0, 1].into());
    tell(&mut agent, vec![Change::Set(Object::Pod(outside.clone()))]);
    let status = agent.status().get();
    assert!(status.ready && status.not_held.is_some_and(|why| why.contains("Pod prod/db")));
    assert_eq!(hand.snapshot()?.differences(&closed).iter().filter(|line| line.contains("unknown-pod")).count(), 0);
    // One that starts beside it does not take over.
    let before = hand.snapshot()?;
    let mut next = Agent::new(Settings { options, ..settings() }, kernel_in(node)?);
    let changes = small().into_iter().chain([Change::Set(Object::Pod(outside))]).chain(synced());
    tell(&mut next, changes.collect());
    let status = next.status().get();
    assert!(!status.ready && status.error.is_some_and(|why| why.contains("--pod-cidr")), "it refuses to start");
    assert!(hand.snapshot()? == before, "and touches nothing");
    Ok(())
}

fn is_pod(change: &Change, name: &str) -> bool {
    matches!(change, Change::Set(Object::Pod(pod)) if *pod.id.name == *name)
}

fn the_loop() -> Result<(), Box<dyn Error + Send + Sync>> {
    let network = network()?;
    let node = network.node(0).ok_or("no node")?;
    let mut agent = Agent::new(settings(), kernel_in(node)?);
    let status = agent.status();
    let (sender, events) = mpsc::channel::<Event>();
    let running = thread::spawn(move || {
        agent.run(&events);
        agent
    });
    let until = |what: &dyn Fn(&Status) -> bool| {
        let start = Instant::now();
        while !what(&status.get()) {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", status.get());
            thread::sleep(Duration::from_millis(1));
        }
    };
    small().into_iter().chain(synced()).for_each(|change| sender.send(change.into()).unwrap());
    until(&|status| status.ready);
    for round in 1..=20 {
        let change = match round % 2 {
            1 => policy(closed()),
            _ => Change::Gone(Key::Policy(closed().id)),
        };
        sender.send(change.into())?;
        until(&|status| status.programming.count() == round);
        if round > 18 {
            assert_eq!(reached(&network)?, [true, round % 2 == 0]);
        }
    }
    let programming = status.get().programming;
    println!(
        "a change was in the kernel after {:.1} ms on average",
        programming.sum() * 1e3 / programming.count() as f64
    );
    drop(sender);
    let mut agent = running.join().map_err(|_| "the loop panicked")?;
    cleanup(agent.table())?;
    Ok(())
}

fn drift() -> Result<(), Box<dyn Error + Send + Sync>> {
    let namespace = NetNs::create("drift")?;
    let (mut hand, kernel) = (kernel_in(&namespace)?, kernel_in(&namespace)?);
    let wanted = ruleset(3);
    let mut enforcer = palisade_agent::Enforcer::new(kernel);
    enforcer.draft().become_ruleset(wanted.clone());
    enforcer.attempt()?;
    let empty = palisade_nftables::ruleset::Ruleset::default();
    let mut hands = vec![
        delete_table(),
        // Everything in the table, but not the table.
        Difference::between(Some(&wanted), &empty),
    ];
    let one = |change| Difference { switch: vec![change], ..Difference::default() };
    hands.extend(wanted.chains.keys().map(|chain| one(difference::Change::FlushChain(chain.clone()))));
    let forward = wanted.chains["forward"].rules[0].clone();
    hands.push(one(difference::Change::AddRule("forward".to_owned(), forward)));
    hands.push(one(difference::Change::AddChain { name: "odd".to_owned(), is_base: false }));
    hands.push(one(difference::Change::AddChain { name: "odd".to_owned(), is_base: true }));
    for (name, set) in wanted.sets.iter().filter(|(_, set)| !set.elements.is_empty()) {
        let keys = vec![*set.elements.keys().next().unwrap()];
        hands.push(one(difference::Change::DeleteElements { set: name.clone(), kind: set.kind, keys }));
    }
    for (number, difference) in (1..).zip(&hands) {
        hand.apply(difference)?;
        let done = enforcer.audit()?;
        assert!(!done.drift.is_empty() && enforcer.counters().repairs == number, "{difference:?}");
        assert_eq!(hand.snapshot()?.differences(&wanted), Vec::<String>::new(), "{difference:?}");
    }
    // A map that became a set of the same name: no difference leads away from it.
    let (name, kind) = ("egress4".to_owned(), wanted.sets["self4"].kind);
    let switch = vec![
        difference::Change::FlushChain("judge".to_owned()),
        difference::Change::DeleteSet(name.clone()),
        difference::Change::AddSet { name, kind, is_map: false, comment: None, passing: None },
    ];
    assert_eq!(enforcer.counters().replacements, 0);
    hand.apply(&Difference { switch, ..Difference::default() })?;
    enforcer.audit()?;
    assert_eq!(hand.snapshot()?.differences(&wanted), Vec::<String>::new());
    println!("{} kinds of drift, repaired with {:?}", hands.len(), enforcer.counters());
    assert_eq!((enforcer.counters().errors, enforcer.counters().replacements), (0, 1));
    Ok(())
}

/// What no difference of ours can do: odd types, a rule with a set of its own, a table put to sleep.
fn nft_by_hand() -> Result<(), Box<dyn Error + Send + Sync>> {
    if Command::new("nft").arg("--version").output().is_err() {
        eprintln!("skipped: nft is not installed, so no hand meddled with it (apt-get install nftables)");
        return Ok(());
    }
    let namespace = NetNs::create("by hand")?;
    let (mut hand, kernel) = (kernel_in(&namespace)?, kernel_in(&namespace)?);
    let wanted = ruleset(3);
    let mut enforcer = palisade_agent::Enforcer::new(kernel);
    enforcer.draft().become_ruleset(wanted.clone());
    enforcer.attempt()?;
    for (command, replacements) in [
        ("insert rule inet palisade forward tcp dport { 22, 80 } accept", 0),
        ("add chain inet palisade theirs { type filter hook input priority 0; }", 0),
        ("add set inet palisade odd { type mark; elements = { 7 }; }", 0),
        ("add element inet palisade egress4 { 10.9.9.9 : accept }", 0),
        ("add table inet palisade { flags dormant; }", 1),
        ("delete table inet palisade", 1),
        ("add table inet other; add chain inet other forward", 1),
    ] {
        let done = namespace.run(|| Command::new("nft").arg(command).output())??;
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        let done = enforcer.audit()?;
        assert_eq!(done.drift.is_empty(), command.contains("other"), "{command}: {done:?}");
        assert_eq!(hand.snapshot()?.differences(&wanted), Vec::<String>::new(), "{command}");
        assert_eq!((enforcer.counters().errors, enforcer.counters().replacements), (0, replacements), "{command}");
    }
    // The table of others is theirs, also when ours goes.
    enforcer.cleanup()?;
    let tables = namespace.run(|| Command::new("nft").args(["list", "tables"]).output())??;
    assert_eq!(String::from_utf8(tables.stdout)?.trim(), "table inet other");
    Ok(())
}

fn random_rulesets() -> Result<(), Box<dyn Error + Send + Sync>> {
    let namespace = NetNs::create("random")?;
    let (mut hand, mut kernel) = (kernel_in(&namespace)?, kernel_in(&namespace)?);
    for seed in 0..60 {
        let wanted = ruleset(seed);
        // A new one each time, which knows nothing of what the one before did.
        let mut enforcer = palisade_agent::Enforcer::new(kernel);
        enforcer.draft().become_ruleset(wanted.clone());
        enforcer.attempt()?;
        assert_eq!(hand.snapshot()?.differences(&wanted), Vec::<String>::new(), "seed {seed}");
        assert_eq!(hand.found(&wanted)?, Found::Same);
        assert_eq!(enforcer.counters().replacements, 0);
        kernel = std::mem::replace(enforcer.table(), kernel_in(&namespace)?);
    }
    // And whole, as after failures.
    let wanted = ruleset(61);
    let whole = Difference::between(None, &wanted);
    let mut switch = vec![difference::Change::AddTable, difference::Change::DeleteTable];
    switch.extend(whole.changes().cloned());
    hand.apply(&Difference { switch, ..Difference::default() })?;
    assert_eq!(hand.found(&wanted)?, Found::Same);
    Ok(())
}
