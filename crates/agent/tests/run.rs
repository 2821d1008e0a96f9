//! The loop, on given instants and once on its own clock.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails so; clippy does not see that helpers are of tests"
)]

mod support;

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use palisade_agent::{Agent, Change, Event, Kind, Object, Poison, PoisonPolicy, Settings, State, Status};
use palisade_engine::model::ObjectRef;
use palisade_nftables::{difference, ruleset::Ruleset};
use support::{Dice, OneKernel, gone, inventory, node, objects, only, pod, rulesets, small, synced};

fn at(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

/// What a fresh plan for a node is after these changes.
fn fresh(changes: impl IntoIterator<Item = Change>, node: &str) -> Option<Ruleset> {
    let mut state = State::default();
    changes.into_iter().for_each(|change| _ = state.apply(change));
    let all = rulesets(&state.view().unwrap().cluster);
    all.into_iter().find(|(name, _)| &**name == node).map(|(_, ruleset)| ruleset)
}

/// An agent on a clock that only goes on when told.
struct Driven {
    agent: Agent<OneKernel>,
    now: Instant,
}

impl Driven {
    fn new(node: &str, kernel: &OneKernel) -> Self {
        Self { agent: Agent::new(Settings::of(node), kernel.clone()), now: Instant::now() }
    }

    fn tell(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.agent.take(Event { at: self.now, change }));
    }

    /// Goes on to what is due next.
    fn next(&mut self) {
        self.now = self.agent.due().unwrap().max(self.now);
        self.agent.work(self.now);
    }

    /// Goes on until it is ready.
    fn settle(&mut self) -> usize {
        for rounds in 1..30 {
            self.next();
            if self.status().ready {
                return rounds;
            }
        }
        panic!("never ready: {:?}", self.status());
    }

    fn status(&self) -> Status {
        self.agent.status().get()
    }

    fn synced(node: &str, kernel: &OneKernel, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut driven = Self::new(node, kernel);
        driven.tell(changes);
        driven.tell(synced());
        driven.settle();
        driven
    }
}

#[test]
fn nothing_is_written_before_everything_was_told() {
    let kernel = OneKernel::default();
    let before = Driven::synced("n1", &kernel, small());
    let (ruleset, transactions) = (kernel.ruleset(), kernel.transactions());
    drop(before);
    let mut driven = Driven::new("n1", &kernel);
    for kind in Kind::ALL {
        assert_eq!(driven.agent.due(), None);
        driven.agent.work(at(driven.now, 1_000_000));
        driven.agent.audit(at(driven.now, 1_000_000));
        assert_eq!((kernel.ruleset(), kernel.transactions()), (ruleset.clone(), transactions));
        assert!(!driven.status().ready && driven.status().why_not_ready().unwrap().contains(&kind.to_string()));
        // The second list is still under way when the first is complete.
        driven.tell(small());
        driven.tell([Change::Synced(kind)]);
    }
    driven.settle();
    // And then there is nothing to write.
    assert_eq!((kernel.ruleset(), kernel.transactions()), (ruleset, transactions));
    assert_eq!(driven.status().programming.count(), 0);
}

#[test]
fn a_window_is_one_switch() {
    let kernel = OneKernel::default();
    let mut driven = Driven::synced("n1", &kernel, small());
    assert_eq!(kernel.ruleset(), fresh(small(), "n1"));
    let (status, start) = (driven.status(), driven.now);
    assert_eq!((status.sizes.policies, status.sizes.pods, status.windows), (1, 3, 1));
    assert_eq!(status.counters.transactions, kernel.transactions() as u64);
    let changes =
        [Change::Set(Object::Pod(pod("web", "n1", 7))), gone("other"), Change::Set(Object::Node(node("n3", 3)))];
    for (ms, change) in (0..).zip(changes.clone()) {
        driven.agent.take(Event { at: at(start, ms), change });
    }
    assert_eq!(driven.agent.due(), Some(at(start, 7)));
    driven.agent.work(at(start, 6));
    assert_eq!(driven.status().windows, 1);
    driven.agent.work(at(start, 7));
    let status = driven.status();
    assert_eq!((status.windows, status.counters.transactions), (2, kernel.transactions() as u64));
    assert_eq!(status.programming.count(), 3);
    assert_eq!(kernel.ruleset(), fresh(small().into_iter().chain(changes), "n1"));
    // What nobody can see opens no window.
    let mut other = pod("web", "n1", 7);
    other.phase = palisade_engine::model::Phase::Pending;
    driven.tell([Change::Set(Object::Pod(other))]);
    assert!(driven.agent.due().unwrap() > at(start, 100_000));
}

#[test]
fn any_one_failure_leads_to_a_fresh_plan() {
    let mut late = pod("late", "n1", 9);
    late.labels.set("app", "web");
    let late = || Change::Set(Object::Pod(late.clone()));
    for n in 0.. {
        let kernel = OneKernel::default();
        let mut driven = Driven::synced("n1", &kernel, small());
        let calls = kernel.transactions();
        kernel.with(|kernel| kernel.fail_at(calls + n));
        let changes = [Change::Set(Object::Policy(only("other", "web"))), gone("db")];
        driven.tell(changes.clone());
        driven.next();
        let failed = driven.status();
        if failed.counters.errors > 0 {
            assert!(!failed.ready && failed.error.as_deref().unwrap().contains("as told"), "{failed:?}");
            // The one that comes meanwhile is not forgotten, and does not hurry anything.
            driven.tell([late()]);
            assert!(driven.agent.due().unwrap() >= at(driven.now, 5));
            driven.settle();
        } else {
            kernel.with(|kernel| kernel.fail_at(usize::MAX));
            driven.tell([late()]);
            driven.next();
        }
        let all = small().into_iter().chain(changes).chain([late()]);
        assert_eq!(kernel.ruleset(), fresh(all, "n1"), "{n}");
        let status = driven.status();
        assert!(status.ready && status.error.is_none() && status.programming.count() == 3);
        if failed.counters.errors == 0 {
            assert!(n > 3);
            break;
        }
    }
}

#[test]
fn audits_come_again_and_repair() {
    let kernel = OneKernel::default();
    let mut driven = Driven::synced("n1", &kernel, small());
    let wanted = kernel.ruleset();
    let set = wanted.as_ref().unwrap().sets["ingress4"].clone();
    let keys = vec![*set.elements.keys().next().unwrap()];
    let element = difference::Change::DeleteElements { set: "ingress4".to_owned(), kind: set.kind, keys };
    let hands = [vec![difference::Change::DeleteTable], vec![element]];
    for (number, hand) in (1..).zip(hands) {
        let start = driven.now;
        driven.next();
        assert!(driven.now >= start + Duration::from_secs(170));
        assert_eq!(driven.status().counters.repairs, number - 1);
        kernel.with(|kernel| kernel.commit(&hand)).unwrap();
        driven.next();
        assert_eq!((kernel.ruleset(), driven.status().counters.repairs), (wanted.clone(), number));
        assert!(driven.status().ready && !driven.status().last_drift.is_empty());
    }
}

#[test]
fn a_wrong_name_of_the_node_opens_nothing() {
    let kernel = OneKernel::default();
    drop(Driven::synced("n1", &kernel, small()));
    let (ruleset, transactions) = (kernel.ruleset(), kernel.transactions());
    let mut driven = Driven::new("n9", &kernel);
    driven.tell(small());
    driven.tell(synced());
    driven.next();
    let status = driven.status();
    assert!(
        !status.ready && status.why_not_ready().unwrap().starts_with("node n9 is not in the cluster"),
        "{status:?}"
    );
    assert_eq!((kernel.ruleset(), kernel.transactions(), driven.agent.due()), (ruleset, transactions, None));
    driven.tell([Change::Set(Object::Node(node("n9", 9)))]);
    driven.settle();
    assert_eq!(driven.status().error, None);
    // The node goes: the rules stay, and are kept true, but nobody calls that ready.
    let wanted = kernel.ruleset();
    driven.tell([Change::Gone(palisade_agent::Key::Node("n9".into()))]);
    driven.next();
    assert!(!driven.status().ready);
    kernel.with(|kernel| {
        kernel.commit(&[difference::Change::DeleteTable]).unwrap();
        kernel.fail_at(kernel.transactions());
    });
    driven.next();
    assert_eq!(driven.status().counters.errors, 1);
    driven.next();
    assert_eq!(kernel.ruleset(), wanted);
    assert!(!driven.status().ready);
}

#[test]
fn poison_and_trouble_are_reported_and_stop_nothing() {
    let kernel = OneKernel::default();
    let mut driven = Driven::synced("n1", &kernel, small());
    let poison = PoisonPolicy {
        id: ObjectRef::new("prod", "bad"),
        subject: None,
        types: None,
        ingress: vec![None],
        egress: Vec::new(),
        problems: vec!["spec.podSelector: no".to_owned()],
    };
    let why = "connection refused".to_owned();
    let changes = [
        Change::Poison(Poison::Policy(poison)),
        Change::Set(Object::Pod(pod("new", "n1", 9))),
        Change::Trouble { kind: Kind::Node, why },
    ];
    driven.tell(changes.clone());
    driven.next();
    let status = driven.status();
    assert!(status.ready);
    assert_eq!(status.poison["NetworkPolicy prod/bad"], ["spec.podSelector: no"]);
    assert_eq!(status.watches[&Kind::Node].trouble.as_deref(), Some("connection refused"));
    assert_eq!(kernel.ruleset(), fresh(small().into_iter().chain(changes), "n1"));
    driven.tell([Change::Set(Object::Node(node("n1", 1)))]);
    assert_eq!(
        (driven.status().watches[&Kind::Node].trouble.as_deref(), driven.status().watches[&Kind::Node].troubles),
        (None, 1)
    );
}

/// Two agents of one node that are told the same at other times, over a kernel that fails now and then.
#[test]
fn two_agents_and_a_bad_kernel_end_at_a_fresh_plan() {
    let mut repaired = 0;
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let inventory = inventory(seed);
        let Some(name) = inventory.pods.iter().find_map(|pod| pod.node.clone()) else { continue };
        let all: Vec<Change> = objects(&inventory).into_iter().map(Change::Set).collect();
        let kernel = OneKernel::default();
        let mut agents = [(); 2].map(|()| Driven::new(&name, &kernel));
        agents.iter_mut().for_each(|agent| agent.tell(all.iter().take(all.len() / 2).cloned().chain(synced())));
        let mut told = [all.len() / 2; 2];
        while told != [all.len(); 2] || dice.below(10) > 0 {
            let who = dice.below(2);
            if dice.below(4) == 0 {
                kernel.with(|kernel| kernel.fail_at(kernel.transactions() + dice.below(4)));
            }
            if dice.below(2) == 0 {
                let some = 1 + dice.below(3);
                agents[who].tell(all.iter().skip(told[who]).take(some).cloned());
                told[who] = (told[who] + some).min(all.len());
            } else if agents[who].agent.due().is_some() {
                agents[who].next();
            }
        }
        kernel.with(|kernel| kernel.fail_at(usize::MAX));
        // Until each has come to an audit after the other's last change.
        for _ in 0..2 {
            for agent in &mut agents {
                agent.tell([Change::Set(Object::Node(node("nudge", 250)))]);
                if agent.agent.due().is_some() {
                    agent.settle();
                }
                agent.agent.audit(agent.now);
                if !agent.status().ready {
                    agent.settle();
                }
            }
        }
        repaired += agents.iter().map(|agent| agent.status().counters.repairs).sum::<u64>();
        let wanted = fresh(all.into_iter().chain([Change::Set(Object::Node(node("nudge", 250)))]), &name);
        assert_eq!(kernel.ruleset(), wanted, "seed {seed}");
    }
    println!("{repaired} repairs");
    assert!(repaired > 0);
}

#[test]
fn it_runs_until_nobody_sends() {
    let kernel = OneKernel::default();
    let mut agent = Agent::new(Settings::of("n1"), kernel.clone());
    let status = agent.status();
    let (sender, events) = mpsc::channel();
    assert!(!status.get().is_alive(Instant::now()));
    let running = thread::spawn(move || agent.run(&events));
    let tell = |changes: Vec<Change>| changes.into_iter().for_each(|change| sender.send(change.into()).unwrap());
    tell(small());
    tell(synced().collect());
    let until = |what: &dyn Fn(&Status) -> bool| {
        let start = Instant::now();
        while !what(&status.get()) {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", status.get());
            thread::sleep(Duration::from_millis(1));
        }
    };
    until(&|status| status.ready);
    assert_eq!(kernel.ruleset(), fresh(small(), "n1"));
    // A burst is few windows, and all of it arrives.
    let burst: Vec<Change> =
        (0..2_000).map(|n| Change::Set(Object::Pod(pod(&format!("p{}", n % 200), "n1", (n % 251) as u8)))).collect();
    tell(burst.clone());
    let received = (small().len() + burst.len()) as u64;
    until(&|status| status.changes == received);
    until(&|_| kernel.ruleset() == fresh(small().into_iter().chain(burst.clone()), "n1"));
    assert!(status.get().windows < 200, "{}", status.get().windows);
    assert!(status.get().is_alive(Instant::now()));
    let before = kernel.ruleset();
    drop(sender);
    running.join().unwrap();
    assert_eq!(kernel.ruleset(), before);
}
