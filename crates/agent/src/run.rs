//! The loop: changes in, rules into the kernel, a status out.
//!
//! ```text
//! Event ──► State ──► Window ──► Current: compile, plan ──► Enforcer ──► kernel
//!                                   │                          └──► Status
//! packets that the kernel logged ───┴──► FlowLog ◄── connections that stand, as Cutter finds them
//! ```
//!
//! [`Agent`] decides on given instants and never waits; [`Agent::run`] is the waiting around it.

use std::{
    collections::BTreeSet,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use palisade_engine::{
    model::{Cluster, Mode, Name, Node},
    sets::PrefixSet,
};
use palisade_nftables::plan::Options;

use crate::{
    change::{Change, Event, Key, Kind},
    current::{Current, NoPlan},
    cut::Cutter,
    enforce::{Done, Enforcer, Failure, Table},
    flow_log::FlowLog,
    journal::Journal,
    names::Names,
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
    /// Whether policies are enforced as they say, or all of them audited.
    pub mode: Mode,
}

impl Settings {
    /// The usual ones, for a node.
    pub fn of(node: impl Into<Name>) -> Self {
        let (options, window) = (Options::default(), Window::default());
        Self { node: node.into(), options, window, audit_every: Duration::from_secs(180), mode: Mode::Enforce }
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
    /// What the objects come to; `None`: not compiled yet, or no plan could be made.
    current: Option<Current>,
    enforcer: Enforcer<T>,
    window: Window,
    synced: BTreeSet<Kind>,
    /// When the changes came that are not in force yet.
    waiting: Vec<Instant>,
    retry_at: Option<Instant>,
    audit_at: Option<Instant>,
    /// Whether the last planning came to a plan.
    planned: bool,
    cutter: Option<Cutter>,
    status: Shared,
    journal: Journal,
    flows: Option<FlowLog>,
    names: Option<Names>,
}

impl<T: Table> Agent<T> {
    /// An agent that was told nothing yet.
    pub fn new(settings: Settings, table: T) -> Self {
        let window = settings.window.clone();
        let state = State::of(settings.node.clone());
        Self {
            state: state.in_mode(settings.mode),
            current: None,
            settings,
            enforcer: Enforcer::new(table),
            window,
            synced: BTreeSet::new(),
            waiting: Vec::new(),
            retry_at: None,
            audit_at: None,
            planned: false,
            cutter: None,
            status: Shared::default(),
            journal: Journal::default(),
            flows: None,
            names: None,
        }
    }

    /// The same, looking after established connections too.
    #[must_use]
    pub fn with_cutter(mut self, cutter: Cutter) -> Self {
        self.cutter = Some(cutter);
        self
    }

    /// The same, learning what names resolve to. Its table has to be one that
    /// [begins with what was learned](crate::names::LearningTable).
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = Some(names);
        self
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
            let names = self.names.as_ref().map(|names| names.learning().counts());
            self.status.with(|status| {
                status.heartbeat = Some(now);
                status.names = names.unwrap_or_default();
                self.journal.names(&status.names);
            });
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
            if let (Some(flows), Some(current)) = (&mut self.flows, &self.current) {
                flows.turn(Instant::now(), current.live().cluster(), current.live().program());
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
        let cut = self.cutter.as_ref().and_then(Cutter::due);
        apply.into_iter().chain(self.audit_at).chain(cut).min()
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
        if let Some(cutter) = &mut self.cutter
            && is_due(cutter.due())
        {
            let names = self.names.as_ref();
            cutter.work(now, self.enforcer.in_force(), &|set, address| {
                names.is_some_and(|names| names.learning().with(|store| store.has_had(set, address)))
            });
            let would_deny = cutter.take_would_deny();
            if let Some(flows) = &mut self.flows {
                flows.stands(now, would_deny, self.settings.options.log);
            }
            if let Some(names) = names.filter(|_| cutter.has_seen_all()) {
                names.settled();
            }
            self.status.with(|status| status.established.clone_from(cutter.counters()));
        }
    }

    /// Reads the table back now, whenever it was due.
    pub fn audit(&mut self, now: Instant) {
        self.audit_at = Some(now + self.settings.audit_every);
        let result = self.enforcer.audit();
        self.report(now, result, false);
        if let Some(cutter) = &mut self.cutter {
            cutter.look_at(now);
        }
        if let (Some(names), Some(current)) = (&mut self.names, &self.current) {
            names.look_again(current.planner().learning());
        }
    }

    /// Whether everything was told once.
    fn is_synced(&self) -> bool {
        self.synced.len() == Kind::ALL.len()
    }

    fn apply(&mut self, now: Instant) {
        if self.window.close() {
            let plan = self.plan();
            self.planned = plan.is_ok();
            if let Err(why) = plan {
                self.retry_at = None;
                return self.status.with(|status| {
                    status.ready = false;
                    (status.error, status.last_error) = (Some(why.to_string()), Some(why.to_string()));
                    self.journal.look(status);
                });
            }
        }
        let result = self.enforcer.attempt();
        self.report(now, result, true);
    }

    /// Brings the draft up to what the agent was told.
    fn plan(&mut self) -> Result<(), NoPlan> {
        let stirred = self.state.take_stirred();
        let draft = self.enforcer.draft();
        let is_node = |key: &Key| matches!(key, Key::Node(_));
        let nodes_differ = stirred.as_ref().is_none_or(|keys| keys.iter().any(is_node));
        let current = self.current.take().zip(stirred);
        let advanced =
            current.and_then(|(mut current, keys)| current.advance(&self.state, &keys, draft).then_some(current));
        let anew = advanced.is_none();
        let current = match advanced {
            Some(current) => Ok(current),
            None => Current::new(&self.state, &self.settings.node, &self.settings.options, draft),
        };
        let rules = draft.ruleset();
        let mut sizes = Sizes {
            policies: self.state.policies(),
            pods: self.state.pods(),
            profiles: 0,
            sets: rules.sets.len(),
            elements: rules.sets.values().map(|set| set.elements.len()).sum(),
            chains: rules.chains.len(),
        };
        if let Ok(current) = &current {
            sizes.profiles = current.planner().profiles();
        }
        let disputes = current.as_ref().map(|current| current.disputes().to_vec()).unwrap_or_default();
        let not_held = match &current {
            Ok(current) => current.not_held().map(ToString::to_string),
            Err(NoPlan::UnknownPods(misfit)) => Some(misfit.to_string()),
            Err(_) => None,
        };
        let poison = self.state.poison().iter().map(|(key, problems)| (key.to_string(), problems.clone())).collect();
        self.status.with(|status| {
            status.windows += 1;
            status.compiles += u64::from(anew);
            (status.sizes, status.poison) = (sizes, poison);
            (status.disputes, status.not_held) = (disputes, not_held);
        });
        let current = current?;
        if let Some(names) = &mut self.names {
            let planner = current.planner();
            let inside = || inside(current.live().cluster());
            names.planned(planner.learned(), planner.learning(), (anew || nodes_differ).then_some(inside));
        }
        if let Some(flows) = &mut self.flows {
            let (live, planner) = (current.live(), current.planner());
            flows.planned(live.cluster(), live.program(), planner.denials(), planner.audits());
        }
        self.current = Some(current);
        Ok(())
    }

    fn report(&mut self, now: Instant, result: Result<Done, Failure>, of_changes: bool) {
        let acknowledged = Instant::now();
        let enforced = self.planned && self.enforcer.is_enforced();
        let waiting = if enforced && of_changes { std::mem::take(&mut self.waiting) } else { Vec::new() };
        self.retry_at = self.enforcer.wait().map(|wait| now.max(acknowledged) + wait);
        if enforced && self.audit_at.is_none() {
            self.audit_at = Some(now + self.settings.audit_every);
        }
        if let Some(cutter) = &mut self.cutter {
            match &result {
                Ok(done) if enforced => cutter.enforced(acknowledged, done.transactions > 0),
                Ok(_) => {}
                Err(_) => cutter.failed(),
            }
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

/// Where the cluster's pods and nodes have addresses from.
fn inside(cluster: &Cluster) -> PrefixSet {
    let of = |node: &Node| -> Vec<IpNet> {
        let addresses = node.addresses.iter().map(|address| IpNet::from(*address));
        node.pod_prefixes.iter().copied().chain(addresses).collect()
    };
    cluster.nodes().flat_map(|(_, node)| of(node)).collect()
}
