//! The loop that sends probes, hears answers and knows when to stop waiting.
//!
//! What could make it lie, and what is done about it:
//! - This process is late (a busy machine), and an answer lies unread when a
//!   probe's time is over: a probe expires only when [`LAST_ROUNDS`] rounds
//!   that emptied all sockets followed its deadline. Repetitions are counted
//!   from when the one before was really sent.
//! - A burst overruns a queue: at most [`BURST`] probes start between two
//!   rounds, and what can be lost is repeated.
//! - An answer is somebody else's: see `wire`.

mod flight;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use palisade_linux::netns::Hopper;
use palisade_linux::sandbox::descriptor_limit;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};
use rustix::io::Errno;

use super::listen::{Listeners, Place};
use super::raw::RawSockets;
use super::socket::Inbox;
use super::wire::ANSWER_LEN;
use super::{Kind, Observation, Outcome, Probe, ProbeError, Timing};
use crate::wiring::{HostRef, Network};

/// Probes that start between two rounds: fewer than the smallest queue on
/// their way holds (net.core.netdev_max_backlog 1000, and about 270 datagrams
/// in a receive buffer of the default size).
pub(super) const BURST: usize = 128;
/// Events of one round; a round with fewer has emptied all sockets.
const EVENTS: usize = 4096;
/// Rounds between a probe's deadline and its end: after one whose events were
/// fetched before, the longest way is a TCP client that sends its nonce, the
/// listener that answers it, the client that reads the answer.
const LAST_ROUNDS: u64 = 4;
/// Descriptors left to the rest of the process.
const SPARE_DESCRIPTORS: usize = 64;
/// The longest wait for events, whatever the timers say.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What an event of the epoll is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Listener(u32),
    Connection(u32),
    Raw(u32),
    Probe(u32),
}

impl Source {
    pub(super) fn data(self) -> EventData {
        let (kind, index) = match self {
            Self::Listener(index) => (0_u64, index),
            Self::Connection(index) => (1, index),
            Self::Raw(index) => (2, index),
            Self::Probe(index) => (3, index),
        };
        EventData::new_u64(kind << 32 | u64::from(index))
    }

    fn of(data: EventData) -> Self {
        // The lower half is the index, and always fits.
        let index = u32::try_from(data.u64() & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        match data.u64() >> 32 {
            0 => Self::Listener(index),
            1 => Self::Connection(index),
            2 => Self::Raw(index),
            _ => Self::Probe(index),
        }
    }
}

/// A probe under way.
struct Flight {
    number: u16,
    started: Instant,
    attempts: u32,
    busy: u32,
    /// TCP and UDP only.
    socket: Option<OwnedFd>,
    nonce_sent: bool,
    inbox: Inbox<ANSWER_LEN>,
}

/// See [`super::run`].
pub(super) fn drive(
    network: &Network,
    probes: &[Probe],
    timing: Timing,
    hopper: &mut Hopper,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Vec<Observation>, ProbeError> {
    let limit = descriptor_limit();
    let open = std::fs::read_dir("/proc/self/fd").map_or(SPARE_DESCRIPTORS, Iterator::count);
    let free = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open + SPARE_DESCRIPTORS);
    let waves = super::waves::waves(probes, free).ok_or(ProbeError::Descriptors { limit })?;

    let run = RandomState::new().hash_one(std::process::id());
    let mut observations = vec![None; probes.len()];
    let mut done = 0;
    progress(0, probes.len());
    for wave in waves {
        let mut drive = Drive::new(network, probes, timing, run, &mut observations)?;
        drive.open_listeners(&wave.probes, hopper)?;
        drive.fly(&wave.probes, wave.side_by_side, hopper, &mut |landed| progress(done + landed, probes.len()))?;
        done += wave.probes.len();
    }
    // INVARIANT: `fly` returns only when every probe of its wave has landed,
    // and every probe is in one wave.
    Ok(observations.into_iter().flatten().collect())
}

struct Drive<'a> {
    network: &'a Network,
    probes: &'a [Probe],
    timing: Timing,
    run: u64,
    observations: &'a mut [Option<Observation>],
    epoll: OwnedFd,
    listeners: Listeners,
    raws: RawSockets,
    flights: HashMap<u32, Flight>,
    landed: usize,
    /// When each flight is to be looked at again; one entry for each at most
    /// that is still valid.
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Flights whose time has come, and the round after which they are looked at.
    due: VecDeque<(u64, u32)>,
    /// Rounds that emptied all sockets.
    rounds: u64,
}

impl<'a> Drive<'a> {
    fn new(
        network: &'a Network,
        probes: &'a [Probe],
        timing: Timing,
        run: u64,
        observations: &'a mut [Option<Observation>],
    ) -> Result<Self, ProbeError> {
        Ok(Self {
            network,
            probes,
            timing,
            run,
            observations,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(ProbeError::Wait)?,
            listeners: Listeners::default(),
            raws: RawSockets::default(),
            flights: HashMap::new(),
            landed: 0,
            timers: BinaryHeap::new(),
            due: VecDeque::new(),
            rounds: 0,
        })
    }

    fn open_listeners(&mut self, wave: &[usize], hopper: &mut Hopper) -> Result<(), ProbeError> {
        let mut places: Vec<(HostRef, Place)> = Vec::new();
        let mut raws: Vec<(HostRef, Place)> = Vec::new();
        for probe in wave.iter().filter_map(|index| self.probes.get(*index)) {
            let place = |address| Place { kind: probe.kind(), address, port: probe.port() };
            places.push((probe.to, place(probe.destination)));
            if matches!(probe.kind(), Kind::Sctp | Kind::Icmp) {
                raws.push((probe.from, place(probe.source)));
                raws.push((probe.to, place(probe.destination)));
            }
        }
        // One namespace after the other.
        places.sort_by_key(|(host, _)| *host);
        raws.sort_by_key(|(host, _)| *host);
        for (host, place) in places {
            enter(self.network, host, hopper)?;
            self.listeners.open(place, hopper, &self.epoll)?;
        }
        for (host, place) in raws {
            enter(self.network, host, hopper)?;
            self.raws.open(place.address, place.kind, hopper, &self.epoll)?;
        }
        Ok(())
    }

    fn fly(
        &mut self,
        wave: &[usize],
        side_by_side: usize,
        hopper: &mut Hopper,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), ProbeError> {
        let mut next = wave.iter();
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut answers = Vec::new();
        let mut told = 0;
        while self.landed < wave.len() {
            for _ in 0..BURST.min(side_by_side.saturating_sub(self.flights.len())) {
                let Some(index) = next.next() else { break };
                self.start(*index, hopper)?;
            }
            let idle = self.due.is_empty() && (next.len() == 0 || self.flights.len() >= side_by_side);
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&self.wait(idle))) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(ProbeError::Wait(errno)),
            }
            let mut empty = events.len() < EVENTS;
            for event in &events {
                match Source::of(event.data) {
                    Source::Listener(number) => empty &= self.listeners.serve(number, &self.epoll)?,
                    Source::Connection(slot) => self.listeners.serve_connection(slot),
                    Source::Raw(index) => empty &= self.raws.serve(index, &self.listeners, &mut answers),
                    Source::Probe(index) => self.heard(index, event.flags),
                }
            }
            for answer in answers.drain(..) {
                self.raw_answer(answer);
            }
            if empty {
                self.rounds += 1;
            }
            self.look_at_the_clock();
            if self.landed > told {
                told = self.landed;
                progress(told);
            }
        }
        Ok(())
    }

    fn wait(&self, idle: bool) -> Timespec {
        let next = self.timers.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
        let wait = if idle { next.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT) } else { Duration::ZERO };
        // At most a second always fits.
        Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, index))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            if self.flights.contains_key(&index) {
                self.due.push_back((self.rounds + LAST_ROUNDS, index));
            }
        }
        while let Some((round, index)) = self.due.front().copied()
            && round <= self.rounds
        {
            self.due.pop_front();
            let Some(flight) = self.flights.get(&index) else { continue };
            let socket_of_tcp = flight.socket.is_some() && self.kind(index) == Some(Kind::Tcp);
            if socket_of_tcp || flight.attempts >= self.timing.attempts.max(1) {
                self.land(index, Outcome::NoAnswer);
            } else {
                self.attempt(index);
            }
        }
    }

    fn kind(&self, index: u32) -> Option<Kind> {
        self.probe(index).map(Probe::kind)
    }

    fn probe(&self, index: u32) -> Option<&'a Probe> {
        self.probes.get(usize::try_from(index).ok()?)
    }

    fn place(probe: &Probe) -> Place {
        Place { kind: probe.kind(), address: probe.destination, port: probe.port() }
    }

    fn land(&mut self, index: u32, outcome: Outcome) {
        let (Some(probe), Some(flight)) = (self.probe(index), self.flights.remove(&index)) else { return };
        if flight.socket.is_none() {
            self.raws.forget(probe.source, probe.kind(), flight.number);
        }
        let observation = Observation { outcome, tuple: probe.tuple(flight.number), elapsed: flight.started.elapsed() };
        if let Some(place) = usize::try_from(index).ok().and_then(|index| self.observations.get_mut(index)) {
            *place = Some(observation);
            self.landed += 1;
        }
    }
}

fn enter(network: &Network, host: HostRef, hopper: &mut Hopper) -> Result<(), ProbeError> {
    match network.host(host) {
        Some(ns) => Ok(hopper.enter(ns)?),
        // `check` has looked all hosts up before.
        None => Ok(()),
    }
}
