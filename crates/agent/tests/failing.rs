//! Netlink that fails at its n-th message, for every n, over the real kernel: whatever was taken and whatever
//! was not, the table ends as a fresh compile has it.
//!
//! Not under libtest's harness, as the other tests that need namespaces.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails so; clippy does not see that this is one, since it has no harness"
)]

mod support;

use std::{
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_agent::{
    Agent, Change, Event, Object, Settings, State, Table, cleanup,
    enforce::{Failure, Found},
};
use palisade_linux::{netns::NetNs, sandbox::Sandbox};
use palisade_nftables::{difference::Difference, netlink::Kernel, ruleset::Ruleset};
use support::{gone, only, pod, rulesets, small, synced};

/// How a message fails.
#[derive(Clone, Copy, Debug)]
enum How {
    /// The kernel takes nothing of it, and says so.
    Refused,
    /// The kernel takes it, and the answer is lost.
    Lost,
    /// Whoever asked dies on the spot, and the next one knows nothing.
    Killed,
}

/// What is to fail, counted from 0; `None`: nothing.
#[derive(Debug, Default)]
struct Script {
    fails: Option<(usize, How)>,
    /// So often one after the other.
    times: usize,
    messages: usize,
}

/// The kernel, some of whose messages fail. Each change that may be sent by itself is.
struct Failing {
    kernel: Kernel,
    script: Arc<Mutex<Script>>,
}

impl Failing {
    /// Whether this message fails, and how.
    fn next(&self) -> Option<How> {
        let mut script = self.script.lock().unwrap();
        let number = script.messages;
        script.messages += 1;
        script.fails.filter(|(first, _)| (*first..*first + script.times.max(1)).contains(&number)).map(|(_, how)| how)
    }
}

fn failure(transactions: usize, in_doubt: bool) -> Failure {
    Failure { message: "as told".to_owned(), transactions, in_doubt }
}

impl Table for Failing {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        let one = |change: &palisade_nftables::difference::Change| vec![change.clone()];
        let mut messages: Vec<Vec<_>> = difference.prepare.iter().map(one).collect();
        messages.extend(Some(difference.switch.clone()).filter(|switch| !switch.is_empty()));
        messages.extend(difference.clean.iter().map(one));
        let mut taken = 0;
        for switch in messages {
            let how = self.next();
            if let Some(How::Refused) = how {
                return Err(failure(taken, taken > 0));
            }
            Table::apply(&mut self.kernel, &Difference { switch, ..Difference::default() })
                .map_err(|error| failure(taken, taken > 0 || error.in_doubt))?;
            taken += 1;
            if how.is_some() {
                return Err(failure(taken, true));
            }
        }
        Ok(taken)
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        if self.next().is_some() {
            return Err(failure(0, false));
        }
        self.kernel.found(wanted)
    }
}

/// What happens after the start: a policy more, a pod fewer, another one.
fn changes() -> Vec<Change> {
    let mut late = pod("late", "n1", 9);
    late.labels.set("app", "web");
    vec![Change::Set(Object::Policy(only("other", "web"))), gone("db"), Change::Set(Object::Pod(late))]
}

fn fresh(changes: Vec<Change>) -> Ruleset {
    let mut state = State::of("n1".into());
    changes.into_iter().for_each(|change| _ = state.apply(change));
    let all = rulesets(&state.view().unwrap().cluster);
    all.into_iter().find(|(name, _)| &**name == "n1").map(|(_, ruleset)| ruleset).unwrap()
}

/// One agent, on a clock that goes on when told.
struct Driven {
    agent: Agent<Failing>,
    now: Instant,
}

impl Driven {
    fn start(namespace: &NetNs, script: &Arc<Mutex<Script>>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let kernel = namespace.run(Kernel::open)??;
        let agent = Agent::new(Settings::of("n1"), Failing { kernel, script: Arc::clone(script) });
        Ok(Self { agent, now: Instant::now() })
    }

    fn tell(&mut self, changes: Vec<Change>) {
        changes.into_iter().for_each(|change| self.agent.take(Event { at: self.now, change }));
    }

    /// Does what is due next.
    fn step(&mut self) {
        self.now = self.agent.due().unwrap().max(self.now);
        self.agent.work(self.now);
    }

    fn settle(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for _ in 0..40 {
            self.step();
            if self.agent.status().get().ready {
                return Ok(());
            }
        }
        Err(format!("it does not settle: {:?}", self.agent.status().get()).into())
    }
}

/// One run in which the n-th message fails; whether there was an n-th.
fn one(namespace: &NetNs, n: usize, how: How, times: usize) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let script = Arc::new(Mutex::new(Script { fails: Some((n, how)), times, messages: 0 }));
    let mut hand = namespace.run(Kernel::open)??;
    cleanup(&mut hand)?;
    let begin = || -> Vec<Change> { small().into_iter().chain(synced()).collect() };
    let end = || -> Vec<Change> { begin().into_iter().chain(changes()).collect() };
    let mut driven = Driven::start(namespace, &script)?;
    driven.tell(begin());
    let is_killed = |driven: &Driven| matches!(how, How::Killed) && driven.agent.status().get().counters.errors > 0;
    for part in 0..2 {
        if part == 1 {
            driven.tell(changes());
        }
        driven.step();
        if is_killed(&driven) {
            // The next one is told how things are then.
            driven = Driven::start(namespace, &script)?;
            driven.tell(if part == 0 { begin() } else { end() });
        }
        if !driven.agent.status().get().ready {
            driven.settle()?;
        }
        let wanted = fresh(if part == 0 { begin() } else { end() });
        let differences = hand.snapshot()?.differences(&wanted);
        if !differences.is_empty() {
            return Err(format!("message {n} {how:?} {times} times, part {part}: {}", differences.join("\n")).into());
        }
    }
    // And the audit finds nothing to do.
    let before = driven.agent.status().get().counters;
    driven.agent.audit(driven.now + Duration::from_secs(1));
    let after = driven.agent.status().get().counters;
    if after.repairs != before.repairs {
        return Err(
            format!("message {n} {how:?}: the audit repaired {:?}", driven.agent.status().get().last_drift).into()
        );
    }
    let messages = script.lock().unwrap().messages;
    Ok(n < messages)
}

fn every(how: How, times: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let namespace = NetNs::create("failing")?;
    let mut n = 0;
    while one(&namespace, n, how, times)? {
        n += 1;
    }
    println!("{n} messages, each {how:?}, {times} in a row");
    if n < 20 { Err(format!("only {n} messages").into()) } else { Ok(()) }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no message to the kernel failed here: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = [
        ("each_message_refused", How::Refused, 1),
        ("each_message_refused_three_times", How::Refused, 3),
        ("each_message_refused_six_times", How::Refused, 6),
        ("each_answer_lost", How::Lost, 1),
        ("each_answer_lost_four_times", How::Lost, 4),
        ("killed_at_each_message", How::Killed, 1),
    ];
    let trials = trials.map(|(name, how, times)| {
        Trial::test(name, move || every(how, times).map_err(|error| Failed::from(error.to_string())))
            .with_ignored_flag(entered.is_err())
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}
