//! A table whose sets of learned addresses begin with what was learned.
//!
//! A change of policy makes new sets, and a replacement makes all: filled in the very transaction that makes them,
//! no connection that is allowed is dropped in between.

use std::time::Instant;

use palisade_nftables::{
    difference::{Change, Difference},
    ruleset::{Passing, Ruleset},
};

use super::Learning;
use crate::enforce::{Failure, Found, Table};

/// A table, and what was learned.
#[derive(Debug)]
pub struct LearningTable<T> {
    table: T,
    learning: Learning,
}

impl<T> LearningTable<T> {
    /// Fills the sets of `table` from now on.
    pub fn new(table: T, learning: Learning) -> Self {
        Self { table, learning }
    }
}

impl<T: Table> Table for LearningTable<T> {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        let makes_sets = difference.changes().any(|change| learned_set(change).is_some());
        if !makes_sets {
            return self.table.apply(difference);
        }
        // Nothing is learned meanwhile: it would be in neither, the new set and what it begins with.
        let table = &mut self.table;
        self.learning.with(|store| {
            let now = Instant::now();
            let fill = |changes: &[Change]| {
                let mut filled = Vec::with_capacity(changes.len());
                for change in changes {
                    filled.push(change.clone());
                    let elements = learned_set(change).map(|set| (set, store.members(set, now)));
                    if let Some((set, elements)) = elements.filter(|(_, elements)| !elements.is_empty()) {
                        filled.push(Change::AddLearned { set: set.clone(), elements });
                    }
                }
                filled
            };
            let Difference { prepare, switch, clean } = difference;
            table.apply(&Difference { prepare: fill(prepare), switch: fill(switch), clean: clean.clone() })
        })
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        self.table.found(wanted)
    }
}

fn learned_set(change: &Change) -> Option<&String> {
    match change {
        Change::AddSet { name, passing: Some(Passing::LEARNED), .. } => Some(name),
        _ => None,
    }
}
