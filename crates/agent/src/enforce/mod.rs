//! What is wanted comes into force: as a difference to what is there, and by harder means when that fails.
//!
//! ```text
//! attempt 1, 2     the difference to what was applied     nothing is read
//! attempt 3        the difference to what is read back    also first thing after a start, and as soon as
//!                                                         a failure left something half done
//! attempt 4        the table replaced, in one transaction
//! attempt 5, 6, …  read back, replace, read back, …
//! ```
//!
//! No attempt opens anything: what is in force stays until the switch, which is one transaction.

mod table;

use std::time::Duration;

use palisade_nftables::{
    difference::{Change, Difference},
    ruleset::Ruleset,
};

pub use self::table::{Failure, Found, Table};

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Keeps a table what it should be.
#[derive(Debug)]
pub struct Enforcer<T> {
    table: T,
    /// What the table holds, as far as nobody else touches it; `None`: it has to be read.
    applied: Option<Ruleset>,
    /// What it shall hold; `None`: what it does.
    wanted: Option<Ruleset>,
    /// Attempts that failed since the last that did not.
    failures: u32,
    counters: Counters,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that the kernel took.
    pub transactions: u64,
    /// Attempts and audits that failed.
    pub errors: u64,
    /// Attempts after a failure, by whatever means.
    pub retries: u64,
    /// Those of them that read the table back first.
    pub rebuilds: u64,
    /// Times the whole table was replaced.
    pub replacements: u64,
    /// Audits that read the table back.
    pub audits: u64,
    /// Audits that found something else than what was applied.
    pub repairs: u64,
}

/// What an attempt came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many transactions it took; none when the table was right already.
    pub transactions: usize,
    /// In what the table differed from what it should have been, where it was read.
    pub drift: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Difference,
    ReadBack,
    Replace,
}

impl<T: Table> Enforcer<T> {
    /// Of a table of which nothing is known: what an earlier run left there is recognised.
    pub fn new(table: T) -> Self {
        Self { table, applied: None, wanted: None, failures: 0, counters: Counters::default() }
    }

    /// Says what the table shall hold from now on. Nothing happens before [`Self::attempt`].
    pub fn want(&mut self, ruleset: Ruleset) {
        self.wanted = Some(ruleset);
    }

    /// Whether the table holds what it shall, and that was acknowledged.
    pub fn is_enforced(&self) -> bool {
        self.wanted.is_none() && self.applied.is_some()
    }

    /// What the table holds, when that is what it shall.
    pub fn in_force(&self) -> Option<&Ruleset> {
        self.applied.as_ref().filter(|_| self.wanted.is_none())
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How long to wait before the next attempt; `None` when the last one did not fail.
    pub fn wait(&self) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?;
        Some(FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT))
    }

    /// The table.
    pub fn table(&mut self) -> &mut T {
        &mut self.table
    }

    /// Tries once to bring what is wanted into force.
    ///
    /// # Errors
    /// When that failed; the next attempt, after [`Self::wait`], goes further.
    pub fn attempt(&mut self) -> Result<Done, Failure> {
        let Some(wanted) = self.wanted.take() else { return Ok(Done::default()) };
        let way = match (self.failures, &self.applied) {
            (0 | 1, Some(_)) => Way::Difference,
            (0..=2, _) => Way::ReadBack,
            (n, _) if n % 2 == 1 => Way::Replace,
            _ => Way::ReadBack,
        };
        self.counters.retries += u64::from(self.failures > 0);
        self.counters.rebuilds += u64::from(self.failures > 0 && way == Way::ReadBack);
        let result = match (way, &self.applied) {
            (Way::Difference, Some(applied)) => {
                let difference = Difference::between(Some(applied), &wanted);
                self.apply(&difference, Vec::new())
            }
            (Way::Replace, _) => self.replace(&wanted, Vec::new()),
            (Way::ReadBack | Way::Difference, _) => self.read_back(&wanted),
        };
        self.concluded(wanted, result)
    }

    /// Reads the table back and, when it is not what was applied, repairs it. Nothing is done while
    /// something is wanted that is not in force: an attempt comes first.
    ///
    /// # Errors
    /// When it cannot be read (nothing is known to be wrong then), or not be repaired: what to do next
    /// is as after [`Self::attempt`].
    pub fn audit(&mut self) -> Result<Done, Failure> {
        if self.wanted.is_some() {
            return Ok(Done::default());
        }
        let Some(applied) = self.applied.take() else { return Ok(Done::default()) };
        self.counters.audits += 1;
        match self.table.found(&applied) {
            Err(failure) => {
                self.counters.errors += 1;
                self.applied = Some(applied);
                Err(failure)
            }
            Ok(Found::Same) => {
                self.applied = Some(applied);
                Ok(Done::default())
            }
            Ok(found) => {
                self.counters.repairs += 1;
                let result = self.leave(found, &applied);
                self.concluded(applied, result)
            }
        }
    }

    /// Removes the table with everything in it: no packet is judged any more.
    ///
    /// # Errors
    /// When the kernel refuses; then everything is as it was.
    pub fn cleanup(mut self) -> Result<T, Failure> {
        cleanup(&mut self.table)?;
        Ok(self.table)
    }

    fn concluded(&mut self, wanted: Ruleset, result: Result<Done, Failure>) -> Result<Done, Failure> {
        match result {
            Ok(done) => {
                self.failures = 0;
                self.applied = Some(wanted);
                Ok(done)
            }
            Err(failure) => {
                self.wanted = Some(wanted);
                self.failures = self.failures.saturating_add(1);
                self.counters.errors += 1;
                if failure.in_doubt {
                    self.applied = None;
                }
                Err(failure)
            }
        }
    }

    fn read_back(&mut self, wanted: &Ruleset) -> Result<Done, Failure> {
        // Whatever was thought to be there, it is now looked at.
        self.applied = None;
        match self.table.found(wanted)? {
            Found::Same => Ok(Done::default()),
            found => self.leave(found, wanted),
        }
    }

    /// From what was found to what is wanted.
    fn leave(&mut self, found: Found, wanted: &Ruleset) -> Result<Done, Failure> {
        match found {
            Found::Same => Ok(Done::default()),
            Found::Nothing => self.apply(&Difference::between(None, wanted), vec!["the table is gone".to_owned()]),
            Found::Strange { drift } => self.replace(wanted, drift),
            Found::Other { ruleset, drift } => {
                let difference = Difference::between(Some(&ruleset), wanted);
                // It is not the same, and no difference is known.
                if difference.is_empty() { self.replace(wanted, drift) } else { self.apply(&difference, drift) }
            }
        }
    }

    fn replace(&mut self, wanted: &Ruleset, drift: Vec<String>) -> Result<Done, Failure> {
        self.counters.replacements += 1;
        self.apply(&replacement(wanted), drift)
    }

    fn apply(&mut self, difference: &Difference, drift: Vec<String>) -> Result<Done, Failure> {
        if difference.is_empty() {
            return Ok(Done { transactions: 0, drift });
        }
        let result = self.table.apply(difference);
        let transactions = match &result {
            Ok(transactions) => *transactions,
            Err(failure) => failure.transactions,
        };
        self.counters.transactions += u64::try_from(transactions).unwrap_or(u64::MAX);
        result.map(|transactions| Done { transactions, drift })
    }
}

/// Everything anew, as one transaction, whatever was there: no packet passes in between.
fn replacement(wanted: &Ruleset) -> Difference {
    let Difference { prepare, switch, clean } = Difference::between(None, wanted);
    // Deleting what is not there is an error, so it is made first.
    let mut all = vec![Change::AddTable, Change::DeleteTable];
    all.extend(prepare.into_iter().chain(switch).chain(clean));
    Difference { switch: all, ..Difference::default() }
}

/// Removes the table with everything in it, also when there is none.
///
/// # Errors
/// When the kernel refuses; then everything is as it was.
pub fn cleanup(table: &mut impl Table) -> Result<(), Failure> {
    let switch = vec![Change::AddTable, Change::DeleteTable];
    table.apply(&Difference { switch, ..Difference::default() }).map(|_| ())
}
