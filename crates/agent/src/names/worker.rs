//! The thread that answers are diverted to: what they say is brought into force, then they go on.

use std::{
    io,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use palisade_engine::model::Family;
use palisade_linux::transparent::{Diverted, Ends, Senders};
use palisade_nftables::{
    difference::{Change, Difference},
    held::SENT_ON,
    netlink::Kernel,
    ruleset::{Key, SetKind},
};

use super::{Learning, answer, store::News};

/// How many answers are taken together.
const AT_ONCE: usize = 64;
/// Longer than any datagram.
const DATAGRAM: usize = 65_536;
/// How often the thread looks whether it is wanted, when nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(super) fn start(diverted: Diverted, kernel: Kernel, learning: Learning, servers: Vec<IpNet>) -> io::Result<()> {
    let senders = Senders::new(SENT_ON);
    let mut worker = Worker { diverted, senders, kernel, learning, servers };
    thread::Builder::new().name("names".to_owned()).spawn(move || worker.run()).map(|_| ())
}

struct Worker {
    diverted: Diverted,
    senders: Senders,
    kernel: Kernel,
    learning: Learning,
    servers: Vec<IpNet>,
}

impl Worker {
    fn run(&mut self) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            if let Err(error) = self.turn(&mut buffer) {
                self.give_up(&error);
                // What is still on its way here is for nobody: the kernel was told.
                thread::sleep(TICK);
            }
        }
    }

    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if !self.diverted.wait(TICK)? {
            return Ok(());
        }
        let (mut held, mut news): (Vec<(Ends, Vec<u8>)>, _) = (Vec::new(), Vec::new());
        let now = Instant::now();
        while held.len() < AT_ONCE
            && let Some(ends) = self.diverted.receive(buffer)?
        {
            let bytes = buffer.get(..ends.length).unwrap_or_default();
            news.extend(self.learn(ends, bytes, now));
            held.push((ends, bytes.to_vec()));
        }
        self.tell(&news);
        let mut failed = Ok(());
        for (ends, bytes) in &held {
            if let Err(error) = self.senders.send(ends.source, ends.destination, bytes) {
                self.learning.count(|counts| counts.errors += 1);
                // A pod that is gone is no reason to stop.
                if !is_about_the_pod(&error) {
                    failed = Err(error);
                }
            }
        }
        failed
    }

    fn learn(&self, ends: Ends, bytes: &[u8], now: Instant) -> Vec<News> {
        let server = ends.source.ip().to_canonical();
        let is_believed = self.servers.is_empty() || self.servers.iter().any(|net| net.contains(&server));
        let answer = answer::read(bytes).filter(|_| is_believed);
        let outcome = answer.map(|answer| self.learning.with(|store| store.learn(&answer, now))).unwrap_or_default();
        self.learning.count(|counts| {
            counts.answers += 1;
            counts.strangers += u64::from(!is_believed);
            counts.refused += u64::try_from(outcome.refused).unwrap_or(u64::MAX);
        });
        outcome.news
    }

    /// All in one transaction. When that fails, one by one: an address that should be there may just have left.
    fn tell(&mut self, news: &[News]) {
        if news.is_empty() {
            return;
        }
        let all = news.iter().flat_map(changes).collect();
        let mut told = news.len();
        if self.apply(all).is_err() {
            for one in news {
                let added = self.apply(changes(one)).or_else(|()| self.apply(vec![add(one)]));
                // A set that has gone meanwhile is none of a rule in force.
                told -= usize::from(added.is_err());
            }
        }
        self.learning.count(|counts| {
            counts.learned += u64::try_from(told).unwrap_or(u64::MAX);
            counts.errors += u64::try_from(news.len() - told).unwrap_or(u64::MAX);
        });
    }

    fn apply(&mut self, switch: Vec<Change>) -> Result<(), ()> {
        self.kernel.apply(&Difference { switch, ..Difference::default() }).map(|_| ()).map_err(|_| ())
    }

    /// Nothing is held any more: answers that wait here would never come.
    fn give_up(&mut self, error: &io::Error) {
        self.learning.has_failed.store(true, Ordering::Relaxed);
        let also = match self.kernel.hold(None) {
            Ok(()) => String::new(),
            Err(error) => format!("; and they are still held: {error}"),
        };
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "somebody on this node listens at port 53 at every address".to_owned(),
            _ => error.to_string(),
        };
        self.learning.count(|counts| {
            counts.trouble = Some(format!("answers of name servers cannot be sent on ({why}){also}"));
            counts.pods = 0;
        });
    }
}

/// An address that a set has gets more time by leaving and coming back at once: kernels before 6.12 leave the time
/// of one that is there as it is.
fn changes(news: &News) -> Vec<Change> {
    let kind = SetKind::Addresses(Family::of(news.learned.address));
    let keys = vec![Key::Address(news.learned.address)];
    let leave = news.known.then(|| Change::DeleteElements { set: news.set.clone(), kind, keys });
    leave.into_iter().chain([add(news)]).collect()
}

fn add(news: &News) -> Change {
    Change::AddLearned { set: news.set.clone(), elements: vec![news.learned.clone()] }
}

fn is_about_the_pod(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::ConnectionRefused
    ) || matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied)
}
