//! A relation as few rectangles: everyone of one set to everyone of another, by the same traffic.

use rustc_hash::FxHashMap;

use super::{Cell, Connections, EndSet, Relation, Row, TrafficId};
use crate::{compile::Interner, model::Family, sets::TrafficSet};

/// Everyone of `from` and everyone of `to`, and what is so between any two of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rectangle {
    /// The sources.
    pub from: EndSet,
    /// The destinations.
    pub to: EndSet,
    /// The one family that this is about; `None` when it holds for each that the two ends have.
    pub family: Option<Family>,
    /// The traffic.
    pub traffic: TrafficSet,
}

/// Which part of a relation is wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What may not pass, in place of what may.
    pub denied: bool,
    /// Only from these.
    pub from: Option<EndSet>,
    /// Only to these.
    pub to: Option<EndSet>,
    /// Only this of the traffic.
    pub within: Option<TrafficSet>,
}

/// What is so between two ends, as numbers of an interner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Over {
    /// Over every family that they have in common.
    Any(u32),
    /// Over IPv4 and over IPv6, where the two differ.
    Each(u32, u32),
}

/// Sets with the same key that are equal or not.
type Sketch = (u64, Option<u32>, Option<u32>);

impl Connections {
    /// A relation as rectangles, by destination: no pair is in two of them that are of one family, and
    /// whatever is in none is not so. A pod to itself is in them as one pod of its kind to another.
    pub fn rectangles(&self, relation: &Relation, query: &Query) -> Vec<Rectangle> {
        let mut sets: Interner<TrafficSet> = Interner::default();
        let mut merged = Merged::default();
        let mut asked: FxHashMap<Cell, Option<Over>> = FxHashMap::default();
        let meant = |row: &&Row| query.to.as_ref().is_none_or(|to| !row.destinations.is_disjoint(to));
        for row in relation.rows().iter().filter(meant) {
            for (to, has) in self.by_families(&row.destinations) {
                let to = narrowed(to, query.to.as_ref());
                if to.is_empty() {
                    continue;
                }
                let mut sources: FxHashMap<Over, EndSet> = FxHashMap::default();
                for (from, cell) in self.with_the_rest(&row.sources, &to, has, query.denied) {
                    let from = narrowed(from, query.from.as_ref());
                    if from.is_empty() {
                        continue;
                    }
                    let over = *asked.entry(cell).or_insert_with(|| {
                        let [v4, v6] =
                            Family::ALL.map(|family| Some(sets.intern(self.wanted(cell.of(family)?, query))));
                        match (v4, v6) {
                            (Some(v4), Some(v6)) if v4 != v6 => Some(Over::Each(v4, v6)),
                            (one, other) => one.or(other).map(Over::Any),
                        }
                    });
                    if let Some(over) = over {
                        *sources.entry(over).or_default() |= from;
                    }
                }
                let mut sources: Vec<(Over, EndSet)> = sources.into_iter().collect();
                sources.sort_unstable_by_key(|(over, set)| (set.min(), *over));
                for (over, from) in sources {
                    merged.add(from, over, &to);
                }
            }
        }
        let set = |id: u32| sets.get(id).cloned().unwrap_or_default();
        let rectangles = merged.list.into_iter().flat_map(|(from, over, to)| {
            let one = |family, id| Rectangle { from: from.clone(), to: to.clone(), family, traffic: set(id) };
            match over {
                Over::Any(id) => vec![one(None, id)],
                Over::Each(v4, v6) => vec![one(Some(Family::V4), v4), one(Some(Family::V6), v6)],
            }
        });
        rectangles.filter(|rectangle| !rectangle.traffic.is_empty()).collect()
    }

    fn wanted(&self, id: TrafficId, query: &Query) -> TrafficSet {
        let set = self.traffic(id);
        let set = if query.denied { TrafficSet::all().difference(set) } else { set.clone() };
        match &query.within {
            Some(within) => set.intersection(within),
            None => set,
        }
    }

    /// Destinations by the families that they have.
    fn by_families(&self, destinations: &EndSet) -> impl Iterator<Item = (EndSet, [bool; 2])> {
        let (v4, v6) = (self.ends.present(Family::V4), self.ends.present(Family::V6));
        let (in_v4, in_v6) = (destinations & v4, destinations & v6);
        let both = &in_v4 & &in_v6;
        let parts = [(&in_v4 - &both, [true, false]), (&in_v6 - &both, [false, true]), (both, [true, true])];
        parts.into_iter().filter(|(set, _)| !set.is_empty())
    }

    /// The sources of a row, and when asked also those who may send nothing.
    fn with_the_rest(
        &self,
        sources: &[(EndSet, Cell)],
        to: &EndSet,
        has: [bool; 2],
        rest: bool,
    ) -> Vec<(EndSet, Cell)> {
        let mut all = sources.to_vec();
        if !rest {
            return all;
        }
        let mut others = EndSet::new();
        for family in Family::ALL.into_iter().zip(has).filter_map(|(family, has)| has.then_some(family)) {
            others |= self.ends.present(family);
        }
        // Nothing is judged between two who are no pods.
        if to.is_disjoint(self.ends.pods()) {
            others &= self.ends.pods();
        }
        for (set, _) in sources {
            others -= set;
        }
        for (set, families) in self.by_families(&others) {
            let nothing = |index: usize| {
                let both = |of: [bool; 2]| of.get(index).copied().unwrap_or_default();
                (both(families) && both(has)).then_some(TrafficId::NOTHING)
            };
            all.push((set, Cell { v4: nothing(0), v6: nothing(1) }));
        }
        all
    }
}

fn narrowed(set: EndSet, to: Option<&EndSet>) -> EndSet {
    match to {
        Some(to) => set & to,
        None => set,
    }
}

/// Rectangles in the making: one for each set of sources and what they may do.
#[derive(Default)]
struct Merged {
    list: Vec<(EndSet, Over, EndSet)>,
    alike: FxHashMap<(Sketch, Over), Vec<usize>>,
}

impl Merged {
    fn add(&mut self, from: EndSet, over: Over, to: &EndSet) {
        let alike = self.alike.entry(((from.len(), from.min(), from.max()), over)).or_default();
        let same = |index: &&usize| self.list.get(**index).is_some_and(|(known, _, _)| *known == from);
        match alike.iter().find(same).copied() {
            Some(index) => {
                if let Some((_, _, destinations)) = self.list.get_mut(index) {
                    *destinations |= to;
                }
            }
            None => {
                alike.push(self.list.len());
                self.list.push((from, over, to.clone()));
            }
        }
    }
}
