//! From samples to one number: the tenth percentile of each round, and of the rounds the least.
//!
//! Interrupts, other machines on the same processor and cold caches only ever add. So what the work takes is
//! at the lower end of what was seen; the very least of all would be a chance.

use std::collections::BTreeMap;

use palisade_engine::model::Family;

use crate::{path::Measure, place::State};

type What = (Family, Measure, State);

/// The samples of one place in one round, in nanoseconds.
#[derive(Default)]
pub(crate) struct Samples(BTreeMap<What, Vec<f64>>);

impl Samples {
    pub(crate) fn of(&mut self, family: Family, measure: Measure, state: State) -> &mut Vec<f64> {
        self.0.entry((family, measure, state)).or_default()
    }
}

/// What is known of one place after some rounds.
#[derive(Default)]
pub(crate) struct Best(BTreeMap<What, f64>);

impl Best {
    /// Takes the samples of a round.
    pub(crate) fn take(&mut self, samples: Samples) {
        for (what, mut samples) in samples.0 {
            if let Some(tenth) = tenth_percentile(&mut samples) {
                let best = self.0.entry(what).or_insert(tenth);
                *best = best.min(tenth);
            }
        }
    }

    /// In nanoseconds.
    pub(crate) fn get(&self, family: Family, measure: Measure, state: State) -> Option<f64> {
        self.0.get(&(family, measure, state)).copied()
    }

    /// What the rules make of it, as a ratio to connection tracking alone.
    pub(crate) fn ratio(&self, family: Family, measure: Measure) -> Option<f64> {
        Some(self.get(family, measure, State::With)? / self.get(family, measure, State::Alone)?)
    }
}

/// A tenth of the samples is not larger.
fn tenth_percentile(samples: &mut [f64]) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 10).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_round_counts_and_not_the_least_sample() {
        let mut best = Best::default();
        for (offset, state) in [(10, State::Alone), (5, State::Alone), (20, State::Alone), (12, State::With)] {
            let mut samples = Samples::default();
            samples.of(Family::V4, Measure::New, state).extend((0..10).rev().map(|n| f64::from(n + offset)));
            samples.of(Family::V4, Measure::New, state).push(0.0);
            best.take(samples);
        }
        assert_eq!(best.get(Family::V4, Measure::New, State::Alone), Some(5.0));
        assert_eq!(best.ratio(Family::V4, Measure::New), Some(12.0 / 5.0));
        assert_eq!(best.ratio(Family::V6, Measure::New), None);
    }
}
