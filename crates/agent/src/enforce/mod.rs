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
    draft::Draft,
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
    /// What the table shall hold; `None`: nobody has said so yet.
    draft: Option<Draft>,
    /// Whether the table holds what the draft was when it was last in force, as far as nobody else touches it;
    /// otherwise it has to be read.
    is_known: bool,
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
        Self { table, draft: None, is_known: false, failures: 0, counters: Counters::default() }
    }

    /// What the table shall hold from now on, to be changed in place. Nothing happens before [`Self::attempt`].
    pub fn draft(&mut self) -> &mut Draft {
        self.draft.get_or_insert_default()
    }

    /// What the table shall hold; `None`: nobody has said so yet.
    pub fn wanted(&self) -> Option<&Ruleset> {
        self.draft.as_ref().map(Draft::ruleset)
    }

    /// Whether the table holds what it shall, and that was acknowledged.
    pub fn is_enforced(&self) -> bool {
        self.is_known && self.draft.as_ref().is_some_and(Draft::is_unchanged)
    }

    /// What the table holds, when that is what it shall.
    pub fn in_force(&self) -> Option<&Ruleset> {
        self.wanted().filter(|_| self.is_enforced())
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
        let Some(draft) = &self.draft else { return Ok(Done::default()) };
        if self.is_known && draft.is_unchanged() {
            return Ok(Done::default());
        }
        let way = match (self.failures, self.is_known) {
            (0 | 1, true) => Way::Difference,
            (0..=2, _) => Way::ReadBack,
            (n, _) if n % 2 == 1 => Way::Replace,
            _ => Way::ReadBack,
        };
        self.counters.retries += u64::from(self.failures > 0);
        self.counters.rebuilds += u64::from(self.failures > 0 && way == Way::ReadBack);
        let mut at = At { table: &mut self.table, counters: &mut self.counters };
        let result = match way {
            Way::Difference => at.apply(&draft.difference(), Vec::new()),
            Way::Replace => at.replace(draft.ruleset(), Vec::new()),
            Way::ReadBack => {
                // Whatever was thought to be there, it is now looked at.
                self.is_known = false;
                at.read_back(draft.ruleset())
            }
        };
        self.concluded(result)
    }

    /// Reads the table back and, when it is not what was applied, repairs it. Nothing is done while
    /// something is wanted that is not in force: an attempt comes first.
    ///
    /// # Errors
    /// When it cannot be read (nothing is known to be wrong then), or not be repaired: what to do next
    /// is as after [`Self::attempt`].
    pub fn audit(&mut self) -> Result<Done, Failure> {
        let Some(draft) = self.draft.as_ref().filter(|draft| self.is_known && draft.is_unchanged()) else {
            return Ok(Done::default());
        };
        self.counters.audits += 1;
        match self.table.found(draft.ruleset()) {
            Err(failure) => {
                self.counters.errors += 1;
                Err(failure)
            }
            Ok(Found::Same) => Ok(Done::default()),
            Ok(found) => {
                self.counters.repairs += 1;
                self.is_known = false;
                let mut at = At { table: &mut self.table, counters: &mut self.counters };
                let result = at.leave(found, draft.ruleset());
                self.concluded(result)
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

    fn concluded(&mut self, result: Result<Done, Failure>) -> Result<Done, Failure> {
        match &result {
            Ok(_) => {
                self.failures = 0;
                self.is_known = true;
                self.draft().is_in_force();
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                self.counters.errors += 1;
                self.is_known &= !failure.in_doubt;
            }
        }
        result
    }
}

/// The table, and the counting of what is done there.
struct At<'a, T> {
    table: &'a mut T,
    counters: &'a mut Counters,
}

impl<T: Table> At<'_, T> {
    fn read_back(&mut self, wanted: &Ruleset) -> Result<Done, Failure> {
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
