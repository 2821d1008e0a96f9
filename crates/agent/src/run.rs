//! The loop: changes in, rules into the kernel, a status out.
//!
//! ```text
//! Event ──► State ──► Window ──► view, compile, plan ──► Enforcer ──► kernel
//!                                   │                        └──► Status
//! packets that the kernel logged ───┴──► FlowLog
//! ```
//!
//! [`Agent`] decides on given instants and never waits; [`Agent::run`] is the waiting around it.

use std::{
    collections::BTreeSet,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Name},
};
use palisade_nftables::plan::{Options, Plan, plan};

use crate::{
    change::{Change, Event, Kind},
    enforce::{Done, Enforcer, Failure, Table},
    flow_log::FlowLog,
    journal::Journal,
    state::State,
    status::{Shared, Sizes},
    window::Window,
};

/// How often the loop comes round when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How many changes are taken before the time is looked at again.
const AT_ONCE: usize = 65_536;
/// Of how many changes the latency is known at a time: more wait only while the kernel refuses.
const TIMED: usize = 65_536;

/// What an agent has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of its node.
    pub node: Name,
    /// How rules are planned.
    pub options: Options,
    /// How changes are taken together.
    pub window: Window,
    /// How often the table is read back.
    pub audit_every: Duration,
}

impl Settings {
    /// The usual ones, for a node.
    pub fn of(node: impl Into<Name>) -> Self {
        let (options, window) = (Options::default(), Window::default());
        Self { node: node.into(), options, window, audit_every: Duration::from_secs(180) }
    }
}

/// What the loop is woken by.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum Input {
    /// Something changed.
    Event(Event),
    /// The flow log has something to do.
    Wake,
    /// Nobody is left who sends events.
    End,
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// The agent of one node.
#[derive(Debug)]
pub struct Agent<T> {
    settings: Settings,
    state: State,
    enforcer: Enforcer<T>,
    window: Window,
    synced: BTreeSet<Kind>,
    /// When the changes came that are not in force yet.
    waiting: Vec<Instant>,
    retry_at: Option<Instant>,
    audit_at: Option<Instant>,
    /// Whether the last planning came to a plan.
    planned: bool,
    status: Shared,
    journal: Journal,
    flows: Option<FlowLog>,
    /// What logged packets are judged by: that of the last plan.
    known: Option<(Cluster, PolicyProgram)>,
}

/// Why there is no plan; the rules that are in force stay.
#[derive(Debug, thiserror::Error)]
enum NoPlan {
    #[error("node {0} is not in the cluster: check the name that the agent was given; its rules stay as they are")]
    UnknownNode(Name),
    #[error("the objects contradict each other: {0} (please report this)")]
    Conflict(String),
}

impl<T: Table> Agent<T> {
    /// An agent that was told nothing yet.
    pub fn new(settings: Settings, table: T) -> Self {
        let window = settings.window.clone();
        Self {
            state: State::of(settings.node.clone()),
            settings,
            enforcer: Enforcer::new(table),
            window,
            synced: BTreeSet::new(),
            waiting: Vec::new(),
            retry_at: None,
            audit_at: None,
            planned: false,
            status: Shared::default(),
            journal: Journal::default(),
            flows: None,
            known: None,
        }
    }

    /// Its status, which stays up to date.
    pub fn status(&self) -> Shared {
        self.status.clone()
    }

    /// Logs flows from now on.
    pub fn log_flows(&mut self, flows: FlowLog) {
        self.flows = Some(flows);
    }

    /// The table.
    pub fn table(&mut self) -> &mut T {
        self.enforcer.table()
    }

    /// Works until nobody is left to send an event. What is in force then stays.
    pub fn run(&mut self, events: &Receiver<Event>) {
        self.run_on(events);
    }

    /// As [`Self::run`], woken by the flow log too, until [`Input::End`].
    pub fn run_woken(&mut self, inputs: &Receiver<Input>) {
        self.run_on(inputs);
    }

    fn run_on<I: Into<Input>>(&mut self, inputs: &Receiver<I>) {
        loop {
            let now = Instant::now();
            self.status.with(|status| status.heartbeat = Some(now));
            let wait = self.due().map_or(TICK, |due| due.saturating_duration_since(now).min(TICK));
            match inputs.recv_timeout(wait) {
                Ok(first) => {
                    // All that is there: after a long compile, the first of many is long overdue.
                    for input in std::iter::once(first).chain(inputs.try_iter().take(AT_ONCE)) {
                        match input.into() {
                            Input::Event(event) => self.take(event),
                            Input::Wake => {}
                            Input::End => return,
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Packets were judged by the rules that are still in force.
            if let (Some(flows), Some((cluster, program))) = (&mut self.flows, &self.known) {
                flows.turn(cluster, program);
            }
            self.work(Instant::now());
        }
    }

    /// Takes note of a change. Nothing is written yet.
    pub fn take(&mut self, event: Event) {
        let Event { at, change } = event;
        let kind = match &change {
            Change::Set(object) => object.key().kind(),
            Change::Poison(poison) => poison.key().kind(),
            Change::Gone(key) => key.kind(),
            Change::Synced(kind) | Change::Trouble { kind, .. } => *kind,
        };
        let trouble = match &change {
            Change::Trouble { why, .. } => Some(why.clone()),
            _ => None,
        };
        let synced = matches!(change, Change::Synced(_));
        self.status.with(|status| {
            let watch = status.watches.entry(kind).or_default();
            watch.synced |= synced;
            watch.troubles += u64::from(trouble.is_some());
            status.changes += u64::from(trouble.is_none() && !synced);
            // Whoever tells something is in no trouble.
            watch.trouble = trouble;
        });
        self.status.with(|status| self.journal.watch(kind, status));
        if synced {
            if self.synced.insert(kind) {
                self.window.note(at);
            }
        } else if self.state.apply(change) {
            self.window.note(at);
            if self.is_synced() && self.waiting.len() < TIMED {
                self.waiting.push(at);
            }
        }
    }

    /// When [`Self::work`] has something to do; `None`: not before something comes.
    pub fn due(&self) -> Option<Instant> {
        if !self.is_synced() {
            return None;
        }
        // The kernel is not asked more often because more changes come.
        let apply = self.retry_at.or_else(|| self.window.due());
        apply.into_iter().chain(self.audit_at).min()
    }

    /// Does what is due at `now`.
    pub fn work(&mut self, now: Instant) {
        if !self.is_synced() {
            return;
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let apply = if self.retry_at.is_some() { is_due(self.retry_at) } else { is_due(self.window.due()) };
        if apply {
            self.apply(now);
        }
        if is_due(self.audit_at) {
            self.audit(now);
        }
    }

    /// Reads the table back now, whenever it was due.
    pub fn audit(&mut self, now: Instant) {
        self.audit_at = Some(now + self.settings.audit_every);
        let result = self.enforcer.audit();
        self.report(now, result, false);
    }

    /// Whether everything was told once.
    fn is_synced(&self) -> bool {
        self.synced.len() == Kind::ALL.len()
    }

    fn apply(&mut self, now: Instant) {
        if self.window.close() {
            let plan = self.plan();
            self.planned = plan.is_ok();
            match plan {
                Ok(plan) => self.enforcer.want(plan.ruleset),
                Err(why) => {
                    self.retry_at = None;
                    return self.status.with(|status| {
                        status.ready = false;
                        (status.error, status.last_error) = (Some(why.to_string()), Some(why.to_string()));
                        self.journal.look(status);
                    });
                }
            }
        }
        let result = self.enforcer.attempt();
        self.report(now, result, true);
    }

    fn plan(&mut self) -> Result<Plan, NoPlan> {
        let view = self.state.view().map_err(|conflicts| {
            NoPlan::Conflict(conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let program = PolicyProgram::compile(&view.cluster);
        let node = view.cluster.find_node(&self.settings.node);
        let plan = node.map(|node| plan(&view.cluster, &program, node, &self.settings.options));
        let rules = plan.as_ref().map(|plan| &plan.ruleset);
        let sizes = Sizes {
            policies: self.state.policies(),
            pods: view.cluster.pods().len(),
            profiles: plan.as_ref().map_or(0, |plan| plan.profiles),
            sets: rules.map_or(0, |rules| rules.sets.len()),
            elements: rules.map_or(0, |rules| rules.sets.values().map(|set| set.elements.len()).sum()),
            chains: rules.map_or(0, |rules| rules.chains.len()),
        };
        let poison = self.state.poison().iter().map(|(key, problems)| (key.to_string(), problems.clone())).collect();
        self.status.with(|status| {
            status.windows += 1;
            (status.sizes, status.poison, status.disputes) = (sizes, poison, view.disputes);
        });
        if let (Some(flows), Some(plan)) = (&mut self.flows, &plan) {
            flows.planned(&view.cluster, &program, &plan.denials);
            self.known = Some((view.cluster, program));
        }
        plan.ok_or_else(|| NoPlan::UnknownNode(self.settings.node.clone()))
    }

    fn report(&mut self, now: Instant, result: Result<Done, Failure>, of_changes: bool) {
        let acknowledged = Instant::now();
        let enforced = self.planned && self.enforcer.is_enforced();
        let waiting = if enforced && of_changes { std::mem::take(&mut self.waiting) } else { Vec::new() };
        self.retry_at = self.enforcer.wait().map(|wait| now.max(acknowledged) + wait);
        if enforced && self.audit_at.is_none() {
            self.audit_at = Some(now + self.settings.audit_every);
        }
        self.status.with(|status| {
            status.counters = self.enforcer.counters();
            match result {
                Ok(done) => {
                    if done.transactions > 0 {
                        let times = waiting.iter().map(|at| acknowledged.saturating_duration_since(*at));
                        times.for_each(|time| status.programming.observe(time));
                    }
                    if !done.drift.is_empty() {
                        status.last_drift = done.drift;
                    }
                    if of_changes {
                        (status.ready, status.error) = (enforced, None);
                    }
                }
                Err(failure) => {
                    status.ready &= enforced;
                    status.last_error = Some(failure.message.clone());
                    if !enforced {
                        status.error = Some(failure.message);
                    }
                }
            }
            self.journal.look(status);
        });
    }
}
