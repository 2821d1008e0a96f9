//! Sets of traffic by number, so that equal ones are found and combined once.

use rustc_hash::FxHashMap;

use crate::{compile::Interner, sets::TrafficSet};

/// A [`TrafficSet`] of one [`super::Connections`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficId(u32);

impl TrafficId {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// Everything.
    pub const EVERYTHING: Self = Self(1);
}

/// Every set that came up, and what pairs of them combine to.
#[derive(Debug)]
pub(super) struct TrafficTable {
    sets: Interner<TrafficSet>,
    both: FxHashMap<(TrafficId, TrafficId), TrafficId>,
    either: FxHashMap<(TrafficId, TrafficId), TrafficId>,
}

impl TrafficTable {
    pub(super) fn new() -> Self {
        let mut sets = Interner::default();
        sets.intern(TrafficSet::empty());
        sets.intern(TrafficSet::all());
        Self { sets, both: FxHashMap::default(), either: FxHashMap::default() }
    }

    pub(super) fn id(&mut self, set: TrafficSet) -> TrafficId {
        TrafficId(self.sets.intern(set))
    }

    #[expect(clippy::expect_used, reason = "INVARIANT: an id is made with its set, and none is ever removed")]
    pub(super) fn set(&self, id: TrafficId) -> &TrafficSet {
        self.sets.get(id.0).expect("an id of this table")
    }

    /// Members of both.
    pub(super) fn intersection(&mut self, a: TrafficId, b: TrafficId) -> TrafficId {
        match (a.min(b), a.max(b)) {
            (TrafficId::NOTHING, _) => TrafficId::NOTHING,
            (TrafficId::EVERYTHING, other) => other,
            (a, b) if a == b => a,
            pair => match self.both.get(&pair) {
                Some(known) => *known,
                None => {
                    let id = self.id(self.set(pair.0).intersection(self.set(pair.1)));
                    self.both.insert(pair, id);
                    id
                }
            },
        }
    }

    /// Members of either.
    pub(super) fn union(&mut self, a: TrafficId, b: TrafficId) -> TrafficId {
        match (a.min(b), a.max(b)) {
            (TrafficId::NOTHING, other) => other,
            (TrafficId::EVERYTHING, _) => TrafficId::EVERYTHING,
            (a, b) if a == b => a,
            pair => match self.either.get(&pair) {
                Some(known) => *known,
                None => {
                    let id = self.id(self.set(pair.0).union(self.set(pair.1)));
                    self.either.insert(pair, id);
                    id
                }
            },
        }
    }

    /// Members of `a` that are not in `b`.
    pub(super) fn difference(&mut self, a: TrafficId, b: TrafficId) -> TrafficId {
        match (a, b) {
            (TrafficId::NOTHING, _) | (_, TrafficId::EVERYTHING) => TrafficId::NOTHING,
            (a, TrafficId::NOTHING) => a,
            (a, b) if a == b => TrafficId::NOTHING,
            (a, b) => self.id(self.set(a).difference(self.set(b))),
        }
    }
}
