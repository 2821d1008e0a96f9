//! The thread that listens to the kernel: logged packets, and the counters of the chains that deny.
//!
//! ```text
//! NFLOG ──► read, parse ──► LoggedPacket ──► a bounded queue ──► the agent's loop
//! counters of deny chains, every few seconds ──► Tally ──► denied by policy; missing lines of each chain
//! ```
//!
//! It never holds anything up: what the loop does not take in time is dropped and counted. When another
//! program reads the NFLOG group, enforcement goes on without a log, it is said who reads it, and tried again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use palisade_linux::{
    nflog::{self, NfLog},
    packet::Tuple,
};
use palisade_nftables::netlink::Kernel;

use super::tally::{DenyChain, Tally};
use crate::status::Shared;

/// How often the thread comes round when nothing is logged.
const ROUND: Duration = Duration::from_millis(100);
/// How often the counters are read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// How long until another try to listen.
const RETRY_EVERY: Duration = Duration::from_secs(10);
/// How many packets may wait for the loop.
const WAITING: usize = 1_024;

/// A packet that the kernel logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedPacket {
    /// When it was taken from the kernel, to the millisecond.
    pub at: Timestamp,
    /// The prefix of its log: the name of the chain that denies, or that of accepted connections.
    pub prefix: String,
    /// What it says of its connection; `None` when it cannot be read.
    pub tuple: Option<Tuple>,
    /// How many packets of its chain were dropped since the one before without having been logged.
    pub suppressed: u64,
}

impl LoggedPacket {
    /// A packet as the kernel hands it over, from the network header on, taken now.
    pub fn new(prefix: impl Into<String>, packet: &[u8]) -> Self {
        Self { at: now(), prefix: prefix.into(), tuple: palisade_linux::packet::tuple(packet), suppressed: 0 }
    }

    /// As if a packet of a connection that stands had been logged now.
    pub(super) fn of(prefix: String, tuple: Tuple, suppressed: u64) -> Self {
        Self { at: now(), prefix, tuple: Some(tuple), suppressed }
    }
}

/// The chains that deny, as the loop last planned them; `None` before it planned any.
pub(super) type Chains = Arc<Mutex<Option<BTreeMap<String, DenyChain>>>>;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Tap {
    packets: Receiver<LoggedPacket>,
    lost: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// Listens to an NFLOG group (`None`: to counters alone) of the network namespace that the calling
    /// thread is in, and calls `wake` when there are packets to take.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        group: Option<u16>,
        chains: Chains,
        status: Shared,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, packets) = sync_channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let lost = Arc::new(AtomicU64::new(0));
        let (tally, missing) = (Tally::default(), Arc::clone(&lost));
        let listener = Listener { group, chains, status, sender, lost: missing, wake, tally, trouble: None };
        // A thread begins in the namespace of the one that starts it.
        let thread = thread::Builder::new().name("flow tap".to_owned()).spawn(move || listener.run(&stopped))?;
        Ok(Self { packets, lost, stop, thread: Some(thread) })
    }

    /// The next packet, if there is one.
    pub(super) fn next(&self) -> Option<LoggedPacket> {
        self.packets.try_recv().ok()
    }

    /// How many packets there was no room for since this was last asked.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

struct Listener<W> {
    group: Option<u16>,
    chains: Chains,
    status: Shared,
    sender: SyncSender<LoggedPacket>,
    lost: Arc<AtomicU64>,
    wake: W,
    tally: Tally,
    /// The last thing that was said to be wrong.
    trouble: Option<String>,
}

/// Counters that were read, and when: they count once everything logged before was seen.
type Reading = (Instant, Vec<(String, u64)>);

impl<W: Fn()> Listener<W> {
    fn run(mut self, stop: &AtomicBool) {
        let (mut log, mut kernel, mut records) = (None, None, Vec::new());
        let (mut retry_at, mut read_at, mut reading) = (Instant::now(), Instant::now(), None::<Reading>);
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= retry_at && (log.is_none() && self.group.is_some() || kernel.is_none()) {
                retry_at = now + RETRY_EVERY;
                self.open(&mut log, &mut kernel);
            }
            match &log {
                Some(log) => _ = log.wait(ROUND),
                None => thread::sleep(ROUND),
            }
            let now = Instant::now();
            if let Some(listening) = &mut log {
                if let Err(error) = listening.read(&mut records) {
                    self.say(&error.to_string());
                    log = None;
                } else {
                    let (losses, malformed) = (listening.losses(), listening.losses().malformed);
                    self.status.with(|status| {
                        status.flows.overruns = status.flows.overruns.max(losses.overruns);
                        status.flows.unreadable = status.flows.unreadable.max(malformed);
                    });
                }
            }
            self.deliver(records.drain(..));
            let settle = log.as_ref().map_or(Duration::ZERO, |log| log.flush() * 2);
            reading = reading.take().and_then(|(at, counters)| {
                if now.saturating_duration_since(at) < settle {
                    return Some((at, counters));
                }
                self.count(&counters);
                None
            });
            if reading.is_none() && now >= read_at {
                read_at = now + READ_EVERY;
                reading = self.read(&mut kernel).map(|counters| (Instant::now(), counters));
            }
        }
    }

    fn open(&mut self, log: &mut Option<NfLog>, kernel: &mut Option<Kernel>) {
        if let (Some(group), None) = (self.group, log.as_ref()) {
            match NfLog::open_current(group, nflog::Options::default()) {
                Ok(open) => {
                    tracing::info!(group, "flow log listens");
                    *log = Some(open);
                }
                Err(error) if error.is_taken() => {
                    let reader = nflog::reader_of(group).unwrap_or_else(|| "another program".to_owned());
                    self.say(&format!(
                        "NFLOG group {group} is read by {reader}: enforcement goes on, and no flow is logged until it \
                         ends (--log-group takes another group)"
                    ));
                }
                Err(error) => self.say(&format!("enforcement goes on, and no flow is logged: {error}")),
            }
        }
        if kernel.is_none() {
            match Kernel::open() {
                Ok(open) => *kernel = Some(open),
                Err(error) => self.say(&format!("denied packets are not counted: {error}")),
            }
        }
        if kernel.is_some() && (log.is_some() || self.group.is_none()) {
            self.trouble = None;
            self.status.with(|status| status.flow_trouble = None);
        }
    }

    /// Says what is wrong, once.
    fn say(&mut self, trouble: &str) {
        if self.trouble.as_deref() != Some(trouble) {
            tracing::warn!(error = trouble, "flow log trouble");
            self.trouble = Some(trouble.to_owned());
            self.status.with(|status| status.flow_trouble = Some(trouble.to_owned()));
        }
    }

    fn deliver(&mut self, records: impl Iterator<Item = nflog::Record>) {
        let mut any = false;
        for record in records {
            let suppressed = self.tally.saw(&record.prefix);
            let tuple = record.tuple();
            let packet = LoggedPacket { at: now(), prefix: record.prefix, tuple, suppressed };
            if let Err(TrySendError::Full(packet) | TrySendError::Disconnected(packet)) = self.sender.try_send(packet) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.tally.untell(&packet.prefix, suppressed);
                self.status.with(|status| status.flows.dropped += 1);
            }
            any = true;
        }
        if any {
            (self.wake)();
        }
    }

    fn read(&mut self, kernel: &mut Option<Kernel>) -> Option<Vec<(String, u64)>> {
        self.tally.follow(self.chains.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?);
        let open = kernel.as_mut()?;
        let mut counters = Vec::new();
        for name in self.tally.names() {
            match open.packets_counted(&name) {
                Ok(counter) => counters.extend(counter.map(|counter| (name, counter))),
                Err(error) => {
                    self.say(&format!("denied packets are not counted: {error}"));
                    *kernel = None;
                    return None;
                }
            }
        }
        Some(counters)
    }

    fn count(&mut self, counters: &[(String, u64)]) {
        let missing: u64 = counters.iter().map(|(chain, counter)| self.tally.read(chain, *counter)).sum();
        let (denied, would_deny) = (self.tally.denied().clone(), self.tally.would_deny().clone());
        let logs = self.group.is_some();
        self.status.with(|status| {
            (status.denied, status.would_deny) = (denied, would_deny);
            status.flows.suppressed += if logs { missing } else { 0 };
        });
    }
}

/// The time, to the millisecond.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
