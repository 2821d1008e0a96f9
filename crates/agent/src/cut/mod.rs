//! Established connections that the rules in force deny are cut, and those that they allow again are not
//! cut any more.
//!
//! ```text
//!  the loop                                   a thread of its own
//!  rules changed ──── Look ─────────────────► reads conntrack, leaves out what the rules are not about
//!  judges a piece ◄── Seen ─────────────────  …
//!  (2,048 at a time,
//!  on the rules in
//!  force by then) ─── Mark ─────────────────► sets or clears one bit of each mark
//!                 ◄── Over ─────────────────  what came of it
//! ```
//!
//! While some connection has that bit, [a table](palisade_nftables::cut) drops whatever belongs to one, in both
//! directions; it is there before the first bit is set. Entries are never deleted and their timeouts never changed:
//! docs/decisions/0011 says why.
//!
//! The same look says of connections that pass which of them audited policies would deny: the kernel judges first packets
//! alone, so of those that are older than the policy nobody else does. The flow log tells each once
//! ([`crate::FlowLog::stands`]).
//!
//! When: after every transaction, at the first enforcement of a process (the last one may have died between
//! its transaction and the look), and with every audit. A packet that the old rules let pass may make its
//! entry just after it was looked for, so every change is followed by a second look 100 ms later. Changes
//! that come during a look wait for its end, and then need one look together. What a look costs depends on
//! the number of connections, never on the size of the cluster; the thread rests after a long one.

mod judge;
mod table;
mod worker;

use std::{
    io,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel},
    thread,
    time::{Duration, Instant},
};

use palisade_linux::{
    conntrack::{Flow, MarkChange},
    packet::Tuple,
};
use palisade_nftables::{
    cut::MARK,
    judged::judged,
    ruleset::{Name, Ruleset},
};

use self::worker::{Order, Report};
pub use self::{
    judge::{Action, Connection, Judgement, Learned, connections, judge},
    table::{Connections, KernelConnections, OpenError},
};

/// When a change is looked after once more.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the loop asks whether there is something to judge, while there is a look.
const POLL: Duration = Duration::from_millis(1);
/// The same while no rules are known to be in force, so that nothing can be judged.
const SLOW_POLL: Duration = Duration::from_millis(50);
/// How much the thread may work at once, and which part of its time in the long run: beyond that it rests,
/// and a change a moment later waits so long.
const AT_ONCE: Duration = Duration::from_millis(250);
const SHARE: u32 = 4;
/// How long it rests after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What happens to established connections that a change denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Established {
    /// They are cut, until they are allowed again.
    #[default]
    Cut,
    /// They live on. Those that were cut by an earlier run stay so until they are allowed.
    Keep,
}

/// What was done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were cut.
    pub cut: u64,
    /// Connections that were cut before, and allowed again.
    pub restored: u64,
    /// Looks at all connections.
    pub looks: u64,
    /// Looks that failed, in whole or in part.
    pub errors: u64,
    /// Connections that the last look had to judge.
    pub judged: usize,
    /// Why the last look failed, if it did.
    pub error: Option<String>,
}

/// What looks have found of connections that stand and that audited policies would deny.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WouldDeny {
    /// Each by the chain that would deny it, which is also the prefix of that chain's log, and by what a packet of it says.
    pub connections: Vec<(Name, Tuple)>,
    /// Whether a look ended with these: it saw all connections, or only some.
    pub ended: Option<Ended>,
}

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection was seen.
    Whole,
    /// Something went wrong.
    InPart,
}

/// Takes the bit off every connection that has it, for when nothing drops by it any more. Returns of how many.
///
/// # Errors
/// When conntrack cannot be read or written.
pub fn clear_marks(table: &mut dyn Connections) -> Result<usize, String> {
    let flows = table.list(Some(MARK))?;
    let clear = |flow: &Flow| MarkChange { original: flow.original, zone: flow.zone, bits: MARK, value: 0 };
    let changes: Vec<MarkChange> = flows.iter().map(clear).collect();
    Ok(table.mark(&changes)?.done)
}

/// The loop's end of it.
#[derive(Debug)]
pub struct Cutter {
    mode: Established,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    /// Whether the rules may have changed without a look: at first, and after a failure.
    owed: bool,
    /// When a look is due, and another one behind it.
    due: Option<Instant>,
    again: Option<Instant>,
    /// Not before.
    rested: Option<Instant>,
    work: Work,
    /// While there is a look: when to ask what it brought.
    look: Option<Instant>,
    /// Whether some connection may have the bit.
    may_be_cut: bool,
    would_deny: WouldDeny,
    counters: Counters,
}

impl Cutter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(mode: Established, mut table: Box<dyn Connections>) -> io::Result<Self> {
        let (orders, ordered) = channel();
        // A piece that nobody has judged yet is not read ahead of by many.
        let (told, reports) = sync_channel(2);
        thread::Builder::new().name("conntrack".to_owned()).spawn(move || {
            worker::serve(&mut *table, &ordered, &told);
        })?;
        Ok(Self {
            mode,
            orders,
            reports,
            owed: true,
            due: None,
            again: None,
            rested: None,
            work: Work::default(),
            look: None,
            may_be_cut: true,
            would_deny: WouldDeny::default(),
            counters: Counters::default(),
        })
    }

    /// What is wanted is in force; `changed`: it took a transaction.
    pub fn enforced(&mut self, now: Instant, changed: bool) {
        if std::mem::take(&mut self.owed) || changed {
            self.look_at(now);
            self.again = Some(now + AGAIN);
        }
    }

    /// What is in force may have changed all the same.
    pub fn failed(&mut self) {
        self.owed = true;
    }

    /// Asks for one look, whatever happened.
    pub fn look_at(&mut self, when: Instant) {
        self.due = Some(self.due.map_or(when, |due| due.min(when)));
    }

    /// When [`Self::work`] has something to do; `None`: not before something comes.
    pub fn due(&self) -> Option<Instant> {
        if self.look.is_some() {
            return self.look;
        }
        let due = self.due.into_iter().chain(self.again).min()?;
        Some(self.rested.map_or(due, |rested| due.max(rested)))
    }

    /// Whether every connection that stood at the start has been judged, once and again.
    pub fn has_seen_all(&self) -> bool {
        self.counters.looks > 1 && self.counters.error.is_none()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was found since this was last asked: after each [`Self::work`], or two looks become one.
    pub fn take_would_deny(&mut self) -> WouldDeny {
        std::mem::take(&mut self.would_deny)
    }

    /// Does what is due at `now`, on the rules that are in force, if they are known. Never waits.
    pub fn work(&mut self, now: Instant, in_force: Option<&Ruleset>, learned: Learned<'_>) {
        if self.look.is_some() {
            self.go_on(now, in_force, learned);
        } else if self.due().is_some_and(|due| due <= now) {
            match in_force {
                Some(ruleset) => self.begin(now, ruleset),
                None => self.rested = Some(now + SLOW_POLL),
            }
        }
    }

    fn begin(&mut self, now: Instant, ruleset: &Ruleset) {
        let is_due = |at: &mut Instant| *at <= now;
        _ = (self.due.take_if(is_due), self.again.take_if(is_due));
        let judged = judged(ruleset);
        // Nobody is judged: then every connection passes, and at most some are to be restored.
        let keeps_all = self.mode == Established::Keep && !judge::audits(ruleset);
        let only_cut = keeps_all || judged.as_ref().is_some_and(|judged| judged.is_empty());
        if only_cut && !self.may_be_cut {
            self.would_deny.ended = Some(Ended::Whole);
            return;
        }
        match self.orders.send(Order::Look { judged, only_cut }) {
            Ok(()) => self.look = Some(now + POLL),
            Err(_) => self.ended(now),
        }
    }

    /// Judges the next piece, if it is there: no more, so that changes do not wait.
    fn go_on(&mut self, now: Instant, in_force: Option<&Ruleset>, learned: Learned<'_>) {
        let Some(poll_at) = &mut self.look else { return };
        let Some(ruleset) = in_force else {
            *poll_at = now + SLOW_POLL;
            return;
        };
        *poll_at = now + POLL;
        match self.reports.try_recv() {
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.ended(now),
            Ok(Report::Seen(piece)) => {
                let mut changes = Vec::new();
                for connection in &piece {
                    let Judgement { action, would_deny } =
                        judge(ruleset, connection, learned).unwrap_or_else(|broken| {
                            // The kernel would not have taken such rules.
                            self.counters.error = Some(broken.to_string());
                            Judgement::default()
                        });
                    let action = action.filter(|action| *action != Action::Cut || self.mode == Established::Cut);
                    changes.extend(action.map(|action| judge::change(connection, action)));
                    let would_deny = would_deny.into_iter().map(|chain| (chain, connection.tuple));
                    self.would_deny.connections.extend(would_deny);
                }
                // There may be more already.
                *poll_at = now;
                if self.orders.send(Order::Mark(changes)).is_err() {
                    self.ended(now);
                }
            }
            Ok(Report::Over(outcome)) => {
                self.may_be_cut = outcome.left > 0 || outcome.error.is_some();
                self.would_deny.ended = Some(if outcome.error.is_some() { Ended::InPart } else { Ended::Whole });
                self.look = None;
                let mut rest = self.work.add(now, outcome.took);
                self.counters.looks += 1;
                self.counters.cut += outcome.cut;
                self.counters.restored += outcome.restored;
                self.counters.judged = outcome.judged;
                if outcome.error.is_some() {
                    self.counters.errors += 1;
                    rest = AFTER_FAILURE;
                    self.look_at(now);
                }
                self.counters.error = outcome.error;
                self.rested = Some(now + rest);
            }
        }
    }

    /// The thread is gone, which it never should be.
    fn ended(&mut self, now: Instant) {
        self.look = None;
        self.counters.errors += 1;
        self.counters.error = Some("the thread that reads conntrack has ended (please report this)".to_owned());
        (self.due, self.again) = (None, None);
        self.rested = Some(now + AFTER_FAILURE);
    }
}

/// What the thread has worked lately.
#[derive(Debug, Default)]
struct Work {
    done: Duration,
    at: Option<Instant>,
}

impl Work {
    /// More of it was done; how long to rest now.
    fn add(&mut self, now: Instant, took: Duration) -> Duration {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.done = self.done.saturating_sub(since / SHARE) + took;
        self.at = Some(now);
        self.done.saturating_sub(AT_ONCE) * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_look_is_followed_by_a_rest_and_short_ones_are_not() {
        let ms = Duration::from_millis;
        let (mut work, start) = (Work::default(), Instant::now());
        // Twenty a second of 10 ms each.
        for n in 0..100 {
            assert_eq!(work.add(start + ms(n * 50), ms(10)), Duration::ZERO);
        }
        let mut now = start + ms(60_000);
        assert_eq!(work.add(now, ms(450)), ms(800));
        let mut busy = ms(0);
        for _ in 0..100 {
            now += ms(450);
            let rest = work.add(now, ms(450));
            now += rest;
            busy += ms(450);
        }
        let part = busy.as_secs_f64() / (now - start - ms(60_000)).as_secs_f64();
        assert!(part < 0.26, "{part}");
    }
}
