//! What domain names resolve to, learned from the answers that this node's pods receive.
//!
//! ```text
//! pod ──question──► name server
//!     ◄──answer── held (palisade-names: tproxy) ◄──┘
//!                  │
//!                  ▼
//!            worker: answer ─► store ─► kernel: names4-…, names6-…   acknowledged, then
//!                  └───────────────────────────────────────────────► the answer, to the pod
//! ```
//!
//! What holds:
//! - Only answers to pods are held of which some rule asks for names, and only on their own node.
//! - An address is in the kernel before the pod sees it. It leaves by the kernel's own clock, also when nobody
//!   runs; connections that stand stay.
//! - When this process ends, however it ends, nobody listens any more, and the kernel lets answers pass as they
//!   are. Lookups go on; addresses that only they tell are not learned.
//! - What cannot be sent on is said, and then nothing is held any more.
//!
//! docs/inside/names.md says what can still go wrong, and what is done about it.

mod answer;
mod store;
mod table;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use ipnet::IpNet;
use palisade_engine::{model::DomainName, sets::PrefixSet};
use palisade_linux::{
    links::{Diversion, LinkError, Rtnetlink},
    netns::{NetNsError, on_hopping_thread},
    transparent::Diverted,
};
use palisade_nftables::{
    held::{HELD, Held, MASK},
    netlink::{ApplyError, Kernel, OpenError, ReadError},
    ruleset::Name,
};

pub use self::{
    answer::{Answer, read},
    store::{Limits, News, Outcome, Store},
    table::LearningTable,
};

/// The table of routes that brings held answers here.
const ROUTES: Diversion = Diversion { mask: MASK, mark: HELD, table: 153, priority: 153 };

/// How names are learned.
#[derive(Clone, Debug, Default)]
pub struct NameSettings {
    /// How long answers hold.
    pub limits: Limits,
    /// The name servers that are believed, as pods reach them; none: every one that a pod's policies let it ask.
    pub servers: Vec<IpNet>,
    /// Where pods of the cluster have addresses from, besides the nodes' podCIDRs.
    pub inside: Vec<IpNet>,
}

/// What was done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameCounts {
    /// Answers that were held.
    pub answers: u64,
    /// Addresses that the kernel was told.
    pub learned: u64,
    /// Addresses that were not believed: the cluster's own, under a name from outside.
    pub refused: u64,
    /// Answers of servers that are not believed.
    pub strangers: u64,
    /// Addresses that the kernel did not take, and answers that could not be sent on.
    pub errors: u64,
    /// Pods whose answers are held.
    pub pods: usize,
    /// Addresses that are remembered.
    pub known: usize,
    /// Why nothing is learned, though some rule asks for names.
    pub trouble: Option<String>,
}

/// Why names cannot be learned.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// Nothing can be told to the kernel.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What an earlier run learned cannot be read.
    #[error("what an earlier run learned cannot be read: {0}")]
    Read(#[from] ReadError),
    /// No answers can be diverted.
    #[error(transparent)]
    Hold(#[from] ApplyError),
    /// Held answers have no way to here.
    #[error(transparent)]
    Route(#[from] LinkError),
    /// The threads cannot be had.
    #[error(transparent)]
    Namespace(#[from] NetNsError),
    /// There can be no transparent socket or no thread.
    #[error("answers of name servers cannot be received: {0}")]
    Socket(#[from] io::Error),
}

/// What was learned, seen by several threads.
#[derive(Clone, Debug)]
pub struct Learning {
    store: Arc<Mutex<Store>>,
    counts: Arc<Mutex<NameCounts>>,
    /// Whether the worker could not send on, so that nothing may be held.
    has_failed: Arc<AtomicBool>,
}

impl Learning {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { store: Arc::new(Mutex::new(Store::new(limits))), counts: Arc::default(), has_failed: Arc::default() }
    }

    /// Looks at it, or changes it. Others wait meanwhile.
    pub fn with<R>(&self, work: impl FnOnce(&mut Store) -> R) -> R {
        // Whoever panicked while holding it left addresses that were true.
        work(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was done so far.
    pub fn counts(&self) -> NameCounts {
        let known = self.with(|store| store.len());
        self.count(|counts| NameCounts { known, ..counts.clone() })
    }

    fn count<R>(&self, change: impl FnOnce(&mut NameCounts) -> R) -> R {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The loop's end of it.
#[derive(Debug)]
pub struct Names {
    settings: NameSettings,
    learning: Learning,
    kernel: Kernel,
    /// What is held; `None`: not known, as at the start.
    held: Option<Option<Held>>,
    /// The port of the worker, once there is one.
    port: Option<u16>,
}

impl Names {
    /// Takes in what an earlier run learned. Nothing is held before a rule asks for names.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn new(settings: NameSettings) -> Result<Self, NamesError> {
        let learning = Learning::new(settings.limits);
        let mut kernel = Kernel::open()?;
        let left = kernel.learned()?;
        learning.with(|store| store.restore(left.into_values().flatten(), Instant::now()));
        Ok(Self { settings, learning, kernel, held: None, port: None })
    }

    /// What was learned.
    pub fn learning(&self) -> &Learning {
        &self.learning
    }

    /// Which sets are planned, for which pods of this node. Before a set is made, answers to its pods are held.
    /// `inside` are the prefixes of the cluster's pods and nodes; `None`: those that they were.
    pub fn planned(
        &mut self,
        sets: &BTreeMap<Name, Vec<DomainName>>,
        pods: BTreeSet<IpAddr>,
        inside: Option<impl FnOnce() -> PrefixSet>,
    ) {
        let given = &self.settings.inside;
        self.learning.with(|store| {
            store.plan(sets);
            if let Some(inside) = inside.filter(|_| !sets.is_empty()) {
                store.set_inside(inside().union(&given.iter().copied().collect()));
            }
        });
        self.hold(pods);
    }

    /// Tries again what failed.
    pub fn look_again(&mut self, pods: BTreeSet<IpAddr>) {
        if self.learning.count(|counts| counts.trouble.is_some()) {
            self.learning.has_failed.store(false, Ordering::Relaxed);
            self.held = None;
            self.hold(pods);
        }
    }

    /// Every connection that an earlier process let in has been looked at.
    pub fn settled(&self) {
        self.learning.with(Store::inherits_no_more);
    }

    fn hold(&mut self, pods: BTreeSet<IpAddr>) {
        if self.learning.has_failed.load(Ordering::Relaxed) {
            // The worker has said why, and holds nothing any more.
            return;
        }
        let count = pods.len();
        let result = self.try_hold(pods);
        self.learning.count(|counts| {
            counts.pods = if result.is_ok() { count } else { 0 };
            counts.trouble = result.err().map(|error| error.to_string());
        });
    }

    fn try_hold(&mut self, pods: BTreeSet<IpAddr>) -> Result<(), NamesError> {
        let wanted = if pods.is_empty() { None } else { Some(Held { pods, port: self.port()? }) };
        if self.held.as_ref() == Some(&wanted) {
            return Ok(());
        }
        self.held = None;
        self.kernel.hold(wanted.as_ref())?;
        self.held = Some(wanted);
        Ok(())
    }

    /// Starts the worker, if there is none, and what brings held answers to it.
    fn port(&mut self) -> Result<u16, NamesError> {
        if let Some(port) = self.port {
            return Ok(port);
        }
        divert()?;
        let diverted = Diverted::open()?;
        let port = diverted.port();
        worker::start(diverted, Kernel::open()?, self.learning.clone(), self.settings.servers.clone())?;
        self.port = Some(port);
        Ok(port)
    }
}

fn links() -> Result<Rtnetlink, NamesError> {
    Ok(on_hopping_thread(|hopper| Rtnetlink::open_here(hopper))??)
}

fn divert() -> Result<(), NamesError> {
    Ok(links()?.ensure(&ROUTES.make())?)
}

/// Removes what holds answers, for when the table is gone.
///
/// # Errors
/// When the kernel refuses.
pub fn cleanup(kernel: &mut Kernel) -> Result<(), NamesError> {
    kernel.hold(None)?;
    Ok(links()?.ensure(&ROUTES.take_away())?)
}
