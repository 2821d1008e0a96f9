//! Sets of integers as sorted, disjoint, inclusive ranges.

use std::fmt;

/// An integer that a [`RangeSet`] can hold.
pub trait RangeValue: Copy + Ord + fmt::Debug {
    /// The smallest value.
    const MIN: Self;
    /// The largest value.
    const MAX: Self;
    /// The next larger value; `None` after the largest.
    fn next(self) -> Option<Self>;
    /// The next smaller value; `None` before the smallest.
    fn previous(self) -> Option<Self>;
}

macro_rules! range_value {
    ($($int:ty),*) => {$(
        impl RangeValue for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

range_value!(u16, u32, u128);

/// A set of integers.
///
/// INVARIANT: ranges are inclusive, not empty, ascending, and neither overlap nor touch; so two
/// equal sets have equal ranges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeSet<T>(Vec<(T, T)>);

impl<T> Default for RangeSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: RangeValue> RangeSet<T> {
    /// The set without members.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set of all values.
    pub fn all() -> Self {
        Self(vec![(T::MIN, T::MAX)])
    }

    /// The values from `first` to `last`, both included; empty when `last` is smaller.
    pub fn range(first: T, last: T) -> Self {
        if first <= last { Self(vec![(first, last)]) } else { Self::empty() }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every value is a member.
    pub fn is_all(&self) -> bool {
        self.0.as_slice() == [(T::MIN, T::MAX)]
    }

    /// Whether `value` is a member: one binary search.
    pub fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= value);
        after.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|(_, last)| value <= *last)
    }

    /// The ranges, first and last included, ascending.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (T, T)> + '_ {
        self.0.iter().copied()
    }

    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// Members of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some((a_first, a_last)), Some((b_first, b_last))) = (left.peek(), right.peek()) {
            let (first, last) = (*a_first.max(b_first), *a_last.min(b_last));
            if first <= last {
                ranges.push((first, last));
            }
            if a_last < b_last {
                left.next();
            } else {
                right.next();
            }
        }
        Self(ranges)
    }

    /// Values that are no members.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::MIN);
        for (first, last) in &self.0 {
            if let (Some(start), Some(end)) = (from, first.previous())
                && start <= end
            {
                ranges.push((start, end));
            }
            from = last.next();
        }
        if let Some(start) = from {
            ranges.push((start, T::MAX));
        }
        Self(ranges)
    }

    /// Members of this one that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// Whether every member is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }
}

impl<T: RangeValue> FromIterator<(T, T)> for RangeSet<T> {
    /// Ranges in any order; they may overlap, and those whose last is smaller than their first count for nothing.
    fn from_iter<I: IntoIterator<Item = (T, T)>>(iter: I) -> Self {
        let mut ranges: Vec<(T, T)> = iter.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end || end.next() == Some(first) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &RangeSet<u16>) -> Vec<u16> {
        (0..64).filter(|value| set.contains(*value)).collect()
    }

    fn sample(seed: u64) -> RangeSet<u16> {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 58) as u16
        };
        (0..next() % 5).map(|_| (next(), next())).collect()
    }

    #[test]
    fn algebra_agrees_with_membership() {
        for seed in 0..2_000 {
            let (a, b) = (sample(seed), sample(seed + 10_000));
            let both =
                |f: fn(bool, bool) -> bool| (0..64).filter(|v| f(a.contains(*v), b.contains(*v))).collect::<Vec<u16>>();
            assert_eq!(members(&a.union(&b)), both(|x, y| x || y), "union, seed {seed}");
            assert_eq!(members(&a.intersection(&b)), both(|x, y| x && y), "intersection, seed {seed}");
            assert_eq!(members(&a.difference(&b)), both(|x, y| x && !y), "difference, seed {seed}");
            assert_eq!(a.complement().complement(), a, "complement, seed {seed}");
            assert_eq!(a.is_subset(&b), members(&a).iter().all(|v| b.contains(*v)), "subset, seed {seed}");
        }
    }

    #[test]
    fn touching_ranges_become_one() {
        let set: RangeSet<u16> = [(5, 9), (1, 4), (65_535, 65_535), (10, 65_534)].into_iter().collect();
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(1, 65_535)]);
        assert!(set.union(&RangeSet::range(0, 0)).is_all());
    }

    #[test]
    fn the_ends_of_the_space_hold() {
        assert!(RangeSet::<u128>::all().complement().is_empty());
        assert!(RangeSet::<u128>::empty().complement().is_all());
        assert_eq!(RangeSet::range(0u32, u32::MAX - 1).complement(), RangeSet::range(u32::MAX, u32::MAX));
    }
}
