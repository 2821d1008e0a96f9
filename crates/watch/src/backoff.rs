//! How long to wait before what failed is tried again: longer each time, and not all agents at once.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    time::Duration,
};

/// Doubles from `first` to `most`; of each wait, the second half is drawn by lot.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    /// Failures since the last success.
    failures: u32,
    lot: u64,
}

impl Backoff {
    /// With a seed, the same waits in every run.
    pub(crate) fn new(first: Duration, most: Duration, seed: Option<u64>) -> Self {
        // The hasher's keys are the standard library's only source of chance.
        let lot = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Self { first, most, failures: 0, lot }
    }

    /// The wait after one more failure.
    pub(crate) fn wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let half = doubled.min(self.most) / 2;
        half + half.mul_f64(self.chance())
    }

    /// How often in a row it failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked: the next wait is a short one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Between 0 and 1 (splitmix64).
    pub(crate) fn chance(&mut self) -> f64 {
        self.lot = self.lot.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.lot;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let top = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(top) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_most() {
        let mut backoff = Backoff::new(SECOND, 30 * SECOND, Some(7));
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let wait = backoff.wait();
            assert!(wait >= expected * SECOND / 2 && wait <= expected * SECOND, "{wait:?} for {expected}");
        }
        (0..100).for_each(|_| assert!(backoff.wait() <= 30 * SECOND));
        assert_eq!(backoff.failures(), 107);
        backoff.reset();
        assert!(backoff.wait() <= SECOND);
    }

    #[test]
    fn waits_differ_and_a_seed_repeats_them() {
        let waits = |seed| {
            let mut backoff = Backoff::new(SECOND, 30 * SECOND, seed);
            (0..6).map(|_| backoff.wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(Some(1)), waits(Some(1)));
        assert_ne!(waits(Some(1)), waits(Some(2)));
        assert_ne!(waits(None), waits(None));
    }
}
