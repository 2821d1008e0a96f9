//! The thread that speaks with conntrack, so that enforcing never waits for it.
//!
//! It answers a [`Order::Look`] with the connections in pieces and then, when each piece is answered by an
//! [`Order::Mark`], with what came of it.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::mpsc::{Receiver, SyncSender},
    time::{Duration, Instant},
};

use palisade_linux::conntrack::MarkChange;
use palisade_nftables::cut::MARK;

use super::{
    Connections,
    judge::{self, Connection},
};

/// How many connections are judged at a time: some milliseconds at most.
const PIECE: usize = 2_048;

/// What the loop asks for.
#[derive(Debug)]
pub(super) enum Order {
    /// The connections that the rules may be about.
    Look {
        /// Whom the rules are about; `None`: anybody.
        judged: Option<HashSet<IpAddr>>,
        /// Only those that are cut.
        only_cut: bool,
    },
    /// The marks of one piece.
    Mark(Vec<MarkChange>),
}

/// What the thread has to say.
#[derive(Debug)]
pub(super) enum Report {
    /// Some connections to judge.
    Seen(Vec<Connection>),
    /// A look is over.
    Over(Outcome),
}

/// What came of a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Connections that were cut.
    pub(super) cut: u64,
    /// Connections that were cut before, and are no more.
    pub(super) restored: u64,
    /// Connections that were judged.
    pub(super) judged: usize,
    /// Connections that are cut now.
    pub(super) left: usize,
    /// How long the thread worked for it; what it waited for the loop does not count.
    pub(super) took: Duration,
    /// What went wrong, if something did.
    pub(super) error: Option<String>,
}

/// Serves until nobody asks any more.
pub(super) fn serve(table: &mut dyn Connections, orders: &Receiver<Order>, reports: &SyncSender<Report>) -> Option<()> {
    loop {
        match orders.recv().ok()? {
            Order::Look { judged, only_cut } => {
                let outcome = look(table, judged.as_ref(), only_cut, orders, reports)?;
                reports.send(Report::Over(outcome)).ok()?;
            }
            // There is no look that it could belong to.
            Order::Mark(_) => {}
        }
    }
}

/// `None` when nobody listens any more.
fn look(
    table: &mut dyn Connections,
    judged: Option<&HashSet<IpAddr>>,
    only_cut: bool,
    orders: &Receiver<Order>,
    reports: &SyncSender<Report>,
) -> Option<Outcome> {
    let start = Instant::now();
    let mut outcome = Outcome::default();
    let read = table.own_addresses().and_then(|own| Ok((own, table.list(only_cut.then_some(MARK))?)));
    let connections = match read {
        Ok((own, flows)) => {
            // Those too of which nobody can say any more what they belong to.
            outcome.left = flows.iter().filter(|flow| flow.mark & MARK != 0).count();
            judge::connections(&flows, &own.into_iter().collect(), judged)
        }
        Err(error) => {
            (outcome.error, outcome.took) = (Some(error), start.elapsed());
            return Some(outcome);
        }
    };
    outcome.judged = connections.len();
    if outcome.left > 0 {
        // Whoever has taken it away meanwhile.
        outcome.error = table.drop_marked(true).err();
    }
    outcome.took = start.elapsed();
    let mut waiting = 0_usize;
    for piece in connections.chunks(PIECE) {
        reports.send(Report::Seen(piece.to_vec())).ok()?;
        waiting += 1;
        while let Ok(order) = orders.try_recv() {
            waiting -= usize::from(mark(table, order, &mut outcome));
        }
    }
    while waiting > 0 {
        let order = orders.recv().ok()?;
        waiting -= usize::from(mark(table, order, &mut outcome));
    }
    if outcome.left == 0 && outcome.error.is_none() {
        outcome.error = table.drop_marked(false).err();
    }
    Some(outcome)
}

/// Whether it was an answer to a piece.
fn mark(table: &mut dyn Connections, order: Order, outcome: &mut Outcome) -> bool {
    let Order::Mark(changes) = order else { return false };
    let start = Instant::now();
    let (cut, restore): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.value != 0);
    if !cut.is_empty() {
        // A mark says nothing before it is dropped by.
        match table.drop_marked(true).and_then(|()| table.mark(&cut)) {
            Ok(changed) => {
                outcome.cut += count(changed.done);
                outcome.left += changed.done;
            }
            Err(error) => outcome.error = Some(error),
        }
    }
    if !restore.is_empty() {
        match table.mark(&restore) {
            Ok(changed) => {
                outcome.restored += count(changed.done);
                outcome.left = outcome.left.saturating_sub(restore.len());
            }
            Err(error) => outcome.error = Some(error),
        }
    }
    outcome.took += start.elapsed();
    true
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
