//! Random numbers from a seed alone: the same on every machine and in every version.

/// A stream of random choices (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

/// The odd constant of splitmix64: the golden ratio in 64 bits.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The stream `stream` of a seed. Every namespace has its own, so that one file of a cluster does
    /// not depend on what was written before it.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: seed.wrapping_mul(STEP) ^ stream };
        Self { state: random.bits().wrapping_add(stream) }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.bits()) * (end as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of a fixed list.
    #[expect(clippy::indexing_slicing, reason = "below(N) is smaller than N, and an empty list does not compile")]
    pub(crate) fn one_of<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        const { assert!(N > 0) };
        items[self.below(N)]
    }

    /// One of a fixed list, each as often as its weight says.
    pub(crate) fn weighted<T: Copy, const N: usize>(&mut self, items: [(usize, T); N]) -> T {
        let mut left = self.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            if left < weight {
                return item;
            }
            left -= weight;
        }
        self.one_of(items).1
    }

    /// Lowercase letters and digits as Kubernetes makes the ends of names: no vowels, none that look alike.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        (0..length).map(|_| self.one_of(*b"bcdfghjklmnpqrstvwxz2456789")).map(char::from).collect()
    }

    /// A UID.
    pub(crate) fn uid(&mut self) -> String {
        let (a, b) = (self.bits(), self.bits());
        let (low, middle, high) = (a >> 32, (a >> 16) & 0xffff, a & 0xfff);
        format!("{low:08x}-{middle:04x}-4{high:03x}-8{:03x}-{:012x}", b >> 52, b & 0xffff_ffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_neighbouring_seeds_differ() {
        let first = |seed, stream| Random::new(seed, stream).bits();
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
    }

    #[test]
    fn a_uid_has_its_form() {
        let lengths: Vec<usize> = Random::new(1, 1).uid().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
