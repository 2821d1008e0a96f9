//! Where the ruleset is brought into force: the kernel, or a kernel in memory.

use std::collections::BTreeMap;

use palisade_nftables::{
    difference::Difference,
    fake::FakeKernel,
    netlink::{ApplyError, ChainState, Kernel, SetState, Snapshot},
    ruleset::{Chain, Elements, Name, Rule, Ruleset, Set, SetKind},
};

/// `table inet palisade` of one network namespace.
pub trait Table {
    /// Brings a difference into force: `prepare` and `clean` in pieces, `switch` as one transaction.
    /// Returns how many transactions it took.
    ///
    /// # Errors
    /// The first transaction that failed ends it; the failure says what came before.
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure>;

    /// Reads the table back and compares it with what it should be.
    ///
    /// # Errors
    /// When it cannot be read.
    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure>;
}

/// Why something did not come into force, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The reason, for people.
    pub message: String,
    /// How many transactions are in force all the same.
    pub transactions: usize,
    /// Whether the table may not be what it was before.
    pub in_doubt: bool,
}

/// What was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no table.
    Nothing,
    /// Exactly what is wanted.
    Same,
    /// Something else.
    Other {
        /// As far as it was understood. A chain that is not what it should be has other rules here, not
        /// those that it has: the difference to what is wanted is right, and that is all it is for.
        ruleset: Ruleset,
        /// In what it differs, one line each.
        drift: Vec<String>,
    },
    /// Something that no difference leads away from: the table has to be replaced.
    Strange {
        /// In what it differs, one line each.
        drift: Vec<String>,
    },
}

impl Table for Kernel {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        match Kernel::apply(self, difference) {
            Ok(applied) => Ok(applied.transactions),
            Err(error) => {
                let (transactions, in_doubt) = match &error {
                    ApplyError::TooLarge { .. } | ApplyError::NotEncodable { .. } => (0, false),
                    ApplyError::Refused { applied, .. } | ApplyError::Send { applied, .. } => {
                        (applied.transactions, applied.transactions > 0)
                    }
                    ApplyError::NoAnswer { applied, .. } => (applied.transactions, true),
                };
                Err(Failure { message: error.to_string(), transactions, in_doubt })
            }
        }
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        match self.compare(wanted) {
            Ok((snapshot, drift)) => Ok(understood(&snapshot, drift, wanted)),
            Err(error) => Err(Failure { message: error.to_string(), transactions: 0, in_doubt: false }),
        }
    }
}

impl Table for FakeKernel {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        let before = self.transactions();
        let result = FakeKernel::apply(self, difference);
        let transactions = self.transactions() - before;
        result.map(|()| transactions).map_err(|refusal| {
            // The one that was refused counts among them.
            let transactions = transactions.saturating_sub(1);
            Failure { message: refusal.to_string(), transactions, in_doubt: transactions > 0 }
        })
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        let Some(ruleset) = self.ruleset() else { return Ok(Found::Nothing) };
        if ruleset == wanted {
            return Ok(Found::Same);
        }
        let drift = vec!["the table is not what it should be".to_owned()];
        let odd_set = ruleset.sets.iter().any(|(name, set)| {
            let same = |other: &Set| {
                (other.kind, other.is_map, &other.comment, other.passing)
                    == (set.kind, set.is_map, &set.comment, set.passing)
            };
            wanted.sets.get(name).is_some_and(|other| !same(other))
        });
        let odd_chain = ruleset
            .chains
            .iter()
            .any(|(name, chain)| wanted.chains.get(name).is_some_and(|other| other.is_base != chain.is_base));
        Ok(match odd_set || odd_chain {
            true => Found::Strange { drift },
            false => Found::Other { ruleset: ruleset.clone(), drift },
        })
    }
}

/// What a snapshot is, seen from what is wanted.
fn understood(snapshot: &Snapshot, drift: Vec<String>, wanted: &Ruleset) -> Found {
    if !snapshot.exists {
        return Found::Nothing;
    }
    if drift.is_empty() {
        return Found::Same;
    }
    if snapshot.is_dormant {
        return Found::Strange { drift };
    }
    let mut ruleset = Ruleset::default();
    for (name, state) in &snapshot.chains {
        let Some(chain) = chain_found(name, state, wanted.chains.get(name)) else { return Found::Strange { drift } };
        ruleset.chains.insert(name.clone(), chain);
    }
    // The sets that nft makes for a rule go with the rule.
    for (name, state) in snapshot.sets.iter().filter(|(name, _)| !name.starts_with("__")) {
        let Some(set) = set_found(name, state, wanted.sets.get(name)) else { return Found::Strange { drift } };
        ruleset.sets.insert(name.clone(), set);
    }
    Found::Other { ruleset, drift }
}

fn chain_found(name: &Name, state: &ChainState, wanted: Option<&Chain>) -> Option<Chain> {
    let Some(wanted) = wanted else {
        return Some(Chain { is_base: state.entry.is_some(), rules: Vec::new() });
    };
    let is = |state: ChainState, chain: Chain| {
        let snapshot = Snapshot { exists: true, chains: [(name.clone(), state)].into(), ..Snapshot::default() };
        let ruleset = Ruleset { chains: [(name.clone(), chain)].into(), sets: BTreeMap::new() };
        snapshot.differences(&ruleset).is_empty()
    };
    let without_rules = ChainState { entry: state.entry.clone(), rules: Vec::new() };
    if !is(without_rules, Chain { is_base: wanted.is_base, rules: Vec::new() }) {
        return None;
    }
    if is(state.clone(), wanted.clone()) {
        return Some(wanted.clone());
    }
    // Any other rules will do: they are flushed.
    Some(Chain { is_base: wanted.is_base, rules: vec![Rule::default(); wanted.rules.len() + 1] })
}

fn set_found(name: &Name, state: &SetState, wanted: Option<&Set>) -> Option<Set> {
    let Some(wanted) = wanted else {
        // It will be removed, by its name.
        let kind = state.kind.unwrap_or(SetKind::Ports);
        return Some(Set { kind, is_map: state.is_map, comment: None, passing: None, elements: Elements::default() });
    };
    let empty = SetState { elements: Elements::default(), ..state.clone() };
    let snapshot = Snapshot { exists: true, sets: [(name.clone(), empty)].into(), ..Snapshot::default() };
    let without_elements = Set { elements: Elements::default(), comment: wanted.comment.clone(), ..*wanted };
    let ruleset = Ruleset { sets: [(name.clone(), without_elements)].into(), chains: BTreeMap::new() };
    if !snapshot.differences(&ruleset).is_empty() {
        return None;
    }
    let elements = state.elements.clone();
    Some(Set { elements, comment: wanted.comment.clone(), ..*wanted })
}
