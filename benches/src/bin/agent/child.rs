//! One size, in a process of its own: an agent with a real table, in a network namespace that nobody else has.
//!
//! ```text
//! this thread ── events, as the watches send them ──► Agent::run on another ──► the kernel's table
//!             ◄── status: how long it took from the event to the kernel's acknowledgement
//! ```
//!
//! The generated cluster is made object by object; no more of it waits than in the command.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use palisade_agent::{Agent, Change, Event, Kind, Object, Settings, Shared, Status};
use palisade_benches::{Cluster, Size};
use palisade_engine::{PolicyProgram, model::Inventory};
use palisade_linux::{netns::NetNs, sandbox::Sandbox};
use palisade_nftables::{
    netlink::Kernel,
    plan::{Options, plan},
};

use crate::{
    changes::{self, Single, of_burst},
    meter::{cpu_of_others, memory_now, memory_peak},
    report::Line,
};

/// How many changes may wait for the agent, as in the command.
const WAITING: usize = 16_384;
/// What takes longer than this never comes.
const NEVER: Duration = Duration::from_secs(180);
/// How long the agent has for what it does after the acknowledgement, before the next change comes.
const REST: Duration = Duration::from_millis(20);
/// How often a kind of change is made and undone; fewer times, but these at least, when it takes long.
const TIMES: u16 = 15;
const AT_LEAST: u16 = 3;
const LONG: Duration = Duration::from_secs(6);

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) policies: usize,
    pub(crate) pods: usize,
    /// How many changes a burst has.
    pub(crate) burst: usize,
    /// How often a kind of change is made, at most.
    pub(crate) times: u16,
}

impl Task {
    pub(crate) fn usual(policies: usize, pods: usize) -> Self {
        Self { policies, pods, burst: 10_000, times: TIMES }
    }

    pub(crate) fn quick(policies: usize, pods: usize) -> Self {
        Self { policies, pods, burst: 200, times: AT_LEAST }
    }
}

/// Measures, and says each line as soon as it is known.
pub(crate) fn run(task: Task, say: &mut dyn FnMut(Line)) -> Result<()> {
    Sandbox::enter()?;
    let namespace = NetNs::create("of the node")?;
    let before = memory_now()?;
    let cluster = Cluster::new(Size { pods: task.pods, policies: task.policies, seed: 1, dual_stack: true })?;
    let generator = memory_now()?.saturating_sub(before);
    let node = cluster.node(0).context("a cluster without a node")?;
    let options = Options { pod_interfaces: vec!["veth".to_owned()], ..Options::default() };
    let settings = Settings { options: options.clone(), ..Settings::of(node.as_str()) };
    let mut agent = Agent::new(settings, namespace.run(Kernel::open)??);
    let status = agent.status();
    let (sender, events) = sync_channel(WAITING);
    let agent = thread::Builder::new().name("agent".to_owned()).spawn(move || agent.run(&events))?;
    let mut driver = Driver { sender, status, cluster: &cluster, node: &node };

    say(driver.sync()?);
    for single in Single::ALL {
        driver.single(single, task.times)?.into_iter().for_each(&mut *say);
    }
    for undo in [false, true] {
        say(driver.burst(task.burst, undo)?);
    }
    let mib = |kib: u64| kib as f64 / 1024.0;
    // The generator is not in the process of an agent; what it made is.
    say(Line {
        what: "memory at most".into(),
        mib: Some(mib(memory_peak()?.saturating_sub(generator))),
        ..Line::default()
    });
    say(Line {
        what: "memory at the end".into(),
        mib: Some(mib(memory_now()?.saturating_sub(generator))),
        ..Line::default()
    });

    drop(driver);
    agent.join().map_err(|_| anyhow!("the agent panicked"))?;
    compare(&cluster, &node, &options, &namespace)
}

/// Sends events and sees what becomes of them.
struct Driver<'c> {
    sender: SyncSender<Event>,
    status: Shared,
    cluster: &'c Cluster,
    node: &'c str,
}

impl Driver<'_> {
    /// Everything once, until it is enforced.
    fn sync(&mut self) -> Result<Line> {
        let (began, cpu) = (Instant::now(), cpu_of_others());
        let sender = self.sender.clone();
        let mut sent = Ok(());
        self.cluster.objects(&mut |object| {
            if sent.is_ok() {
                sent = sender.send(Change::Set(agents(object)).into());
            }
        });
        sent.map_err(|_| ended())?;
        for object in changes::objects(self.node) {
            self.send(Change::Set(object))?;
        }
        for kind in Kind::ALL {
            self.send(Change::Synced(kind))?;
        }
        self.until(|status| status.ready)?;
        let ms = milliseconds(began.elapsed());
        Ok(Line { what: "first sync".into(), ms: Some(ms), cpu: Some(microseconds(cpu)), ..Line::default() })
    }

    /// A change and its undoing, some times; the median of each.
    fn single(&mut self, single: Single, times: u16) -> Result<Vec<Line>> {
        let mut found: [(Vec<f64>, Vec<f64>); 2] = Default::default();
        let began = Instant::now();
        for round in 0..times {
            if round >= AT_LEAST && began.elapsed() > LONG {
                break;
            }
            for (change, (times, cpus)) in single.changes(self.node, round).into_iter().zip(&mut found) {
                let (count, sum) = self.programmed();
                let cpu = cpu_of_others();
                self.send(change)?;
                self.until(|status| status.programming.count() > count)
                    .with_context(|| format!("{single:?} is not enforced"))?;
                let (now, later) = self.programmed();
                ensure!(now == count + 1, "{single:?}: {} changes came at once", now - count);
                thread::sleep(REST);
                times.push((later - sum) * 1e3);
                cpus.push(microseconds(cpu));
            }
        }
        let [(mut times, mut cpus), (more_times, more_cpus)] = found;
        let [name, undone] = single.names();
        let line = |name: &str, times: &mut [f64], cpus: &mut [f64]| Line {
            what: name.to_owned(),
            ms: median(times),
            cpu: median(cpus),
            mib: None,
        };
        if name == undone {
            times.extend(more_times);
            cpus.extend(more_cpus);
            return Ok(vec![line(name, &mut times, &mut cpus)]);
        }
        let (mut more_times, mut more_cpus) = (more_times, more_cpus);
        Ok(vec![line(name, &mut times, &mut cpus), line(undone, &mut more_times, &mut more_cpus)])
    }

    /// Many changes as fast as they are taken, until the last of them is enforced.
    fn burst(&mut self, count: usize, undo: bool) -> Result<Line> {
        let before = self.status.with(|status| (status.changes, status.counters.transactions));
        let (began, cpu) = (Instant::now(), cpu_of_others());
        let Size { pods, policies, .. } = self.cluster.size();
        // In a large cluster some of each kind, in a small one each several times.
        let [pod_step, policy_step] =
            [pods / (count * 6 / 10).max(1), policies / (count / 10).max(1)].map(|n| n.max(1));
        let (mut sent, mut failed, mut round) = (0, false, 0);
        while sent < count && !failed && round < 1_000 {
            let (mut pod, mut policy) = (0, 0);
            self.cluster.objects(&mut |object| {
                let (number, step) = match object {
                    palisade_benches::Object::Pod(_) => (&mut pod, pod_step),
                    palisade_benches::Object::Policy(_) => (&mut policy, policy_step),
                    _ => return,
                };
                *number += 1;
                if *number % step != 0 || (sent >= count && !undo) {
                    return;
                }
                for change in of_burst(agents(object), *number / step, round, undo) {
                    failed |= self.sender.send(change.into()).is_err();
                    sent += 1;
                }
            });
            round += 1;
        }
        ensure!(!failed && sent >= count, "{sent} of {count} changes were sent");
        let last = Instant::now();
        let settled = self.settled(before.0 + u64::try_from(sent)?, last)?;
        let transactions = self.status.with(|status| status.counters.transactions) - before.1;
        ensure!(transactions > 0, "a burst of {sent} changes changed nothing");
        Ok(Line {
            what: if undo { "burst, undone" } else { "burst" }.to_owned(),
            ms: Some(milliseconds(settled.duration_since(began))),
            cpu: Some(microseconds(cpu)),
            mib: None,
        })
    }

    /// When the last of the changes was enforced.
    ///
    /// Once all were taken and the loop came round after the window of the last one, nothing is under way;
    /// the last transaction before that is when everything was in force.
    fn settled(&self, changes: u64, last: Instant) -> Result<Instant> {
        let (began, window) = (Instant::now(), Duration::from_millis(60));
        let (mut transactions, mut at, mut taken) = (0, began, None);
        while began.elapsed() < NEVER {
            let seen = self.status.with(|status| {
                (status.counters.transactions, status.changes, status.heartbeat, status.ready, status.error.clone())
            });
            let now = Instant::now();
            if seen.0 != transactions {
                (transactions, at) = (seen.0, now);
            }
            if seen.1 >= changes {
                let taken = *taken.get_or_insert(now);
                let beat = seen.2.filter(|beat| *beat > taken && *beat > last + window);
                if beat.is_some() && seen.3 {
                    return Ok(at);
                }
            }
            if let Some(error) = seen.4 {
                bail!("the agent says: {error}");
            }
            thread::sleep(Duration::from_millis(1));
        }
        bail!("not all was enforced within {NEVER:?}")
    }

    fn send(&self, change: Change) -> Result<()> {
        self.sender.send(change.into()).map_err(|_| ended())
    }

    fn programmed(&self) -> (u64, f64) {
        self.status.with(|status| (status.programming.count(), status.programming.sum()))
    }

    fn until(&self, holds: impl Fn(&Status) -> bool) -> Result<()> {
        let began = Instant::now();
        while !self.status.with(|status| holds(status)) {
            if began.elapsed() > NEVER {
                bail!("not within {NEVER:?}; the agent says: {:?}", self.status.with(|status| status.error.clone()));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// Everything was undone: the kernel has to hold what a fresh compile of the beginning comes to.
fn compare(cluster: &Cluster, node: &str, options: &Options, namespace: &NetNs) -> Result<()> {
    let mut inventory = Inventory::default();
    let mut take = |object| match object {
        Object::Namespace(namespace) => inventory.namespaces.push(namespace),
        Object::Node(node) => inventory.nodes.push(node),
        Object::Pod(pod) => inventory.pods.push(pod),
        Object::Policy(policy) => inventory.policies.push(policy),
        Object::ClusterPolicy(policy) => inventory.cluster_policies.push(policy),
    };
    cluster.objects(&mut |object| take(agents(object)));
    changes::objects(node).into_iter().for_each(take);
    let cluster = inventory.into_cluster().map_err(|conflicts| anyhow!("{conflicts:?}"))?;
    let program = PolicyProgram::compile(&cluster);
    let node = cluster.find_node(node).context("the node is not in its cluster")?;
    let wanted = plan(&cluster, &program, node, options).ruleset;
    let snapshot = namespace.run(Kernel::open)??.snapshot()?;
    let differences = snapshot.differences(&wanted);
    let first: Vec<&String> = differences.iter().take(5).collect();
    ensure!(differences.is_empty(), "the kernel does not hold what a fresh compile says: {first:#?}");
    Ok(())
}

fn agents(object: palisade_benches::Object) -> Object {
    match object {
        palisade_benches::Object::Namespace(object) => Object::Namespace(object),
        palisade_benches::Object::Node(object) => Object::Node(object),
        palisade_benches::Object::Pod(object) => Object::Pod(object),
        palisade_benches::Object::Policy(object) => Object::Policy(object),
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the agent ended")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The CPU of the others since then.
fn microseconds(since: Duration) -> f64 {
    cpu_of_others().saturating_sub(since).as_secs_f64() * 1e6
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
