//! What a change does: connections gained and lost between two states of a cluster, exactly.
//!
//! ```text
//! old ends ─┐
//! new ends ─┴─► joint ends    the same pod, node or outside address on both sides
//! old rows ─┐
//! new rows ─┴─► changes       per destination and family, then as few rectangles
//! ```

mod joint;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

pub use self::joint::{JointEnd, JointEnds};
use crate::{
    compile::{Interner, PolicyProgram},
    connections::{Cell, Connections, EndSet, Relation, Row, TrafficId},
    model::{Cluster, Family},
    sets::TrafficSet,
};

/// One state of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// What is there.
    pub cluster: &'a Cluster,
    /// What its policies come to.
    pub program: &'a PolicyProgram,
}

/// What two states differ in.
#[derive(Debug)]
pub struct Difference {
    /// All connections of the old state.
    pub old: Connections,
    /// All connections of the new state.
    pub new: Connections,
    /// Who is at an end, in both.
    pub ends: JointEnds,
    /// What differs; no pair of ends is in two changes of one family, and no pair that no policy is about
    /// ([`JointEnds::exempt`]) in any.
    pub changes: Vec<Change>,
    /// Whether this is all: no connection that only an unknown address decides, in either state, differs
    /// in another way.
    pub is_certain: bool,
}

/// What changes from everyone of one set to everyone of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The sources, as members of [`Difference::ends`].
    pub from: EndSet,
    /// The destinations, likewise.
    pub to: EndSet,
    /// The one family that this is about; `None` when it holds for each that the ends have.
    pub family: Option<Family>,
    /// What was denied and is allowed.
    pub gained: TrafficSet,
    /// What was allowed and is denied.
    pub lost: TrafficSet,
}

/// Gained and lost, as numbers of an interner.
type Delta = (u32, u32);

impl Difference {
    /// Compares two states. Pods are the same by name, and by their workload where their names are new;
    /// nodes by name. Whoever is in one state only has gained or lost all that it may do there. A family
    /// that an end has in one state only is not compared.
    pub fn new(old: State<'_>, new: State<'_>) -> Self {
        let connections =
            |state: State<'_>, other: State<'_>| Connections::cut(state.cluster, state.program, other.program.blocks());
        let (old_connections, new_connections) = (connections(old, new), connections(new, old));
        let ends = JointEnds::new((old, &old_connections), (new, &new_connections));
        let compared = |relation: fn(&Connections) -> &Relation| {
            Comparison::new((&old_connections, &new_connections), relation, &ends).changes()
        };
        let changes = compared(Connections::allowed);
        let is_decided = old_connections.possible().is_none() && new_connections.possible().is_none();
        let is_certain = is_decided || compared(possible) == changes;
        Self { old: old_connections, new: new_connections, ends, changes, is_certain }
    }
}

/// What is allowed for certain or could be.
fn possible(connections: &Connections) -> &Relation {
    connections.possible().unwrap_or_else(|| connections.allowed())
}

/// One side of a comparison.
struct Side<'a> {
    connections: &'a Connections,
    relation: &'a Relation,
    ends: &'a joint::SideEnds,
    /// The number that a traffic set has in the comparison.
    known: FxHashMap<TrafficId, u32>,
    rows: FxHashMap<(usize, Family), Vec<(u32, EndSet)>>,
}

struct Comparison<'a> {
    sets: Interner<TrafficSet>,
    old: Side<'a>,
    new: Side<'a>,
    ends: &'a JointEnds,
    /// By family: the ends that can be compared.
    comparable: [EndSet; 2],
}

/// A destination as far as comparing goes: its rows, and in which families it can be compared.
type Key = (Option<usize>, Option<usize>, [bool; 2]);

impl<'a> Comparison<'a> {
    fn new(
        (old, new): (&'a Connections, &'a Connections),
        relation: fn(&Connections) -> &Relation,
        ends: &'a JointEnds,
    ) -> Self {
        let side = |connections, ends| Side {
            connections,
            relation: relation(connections),
            ends,
            known: FxHashMap::default(),
            rows: FxHashMap::default(),
        };
        let comparable = Family::ALL.map(|family| ends.comparable(family));
        let (old, new) = (side(old, &ends.old), side(new, &ends.new));
        let mut sets = Interner::default();
        sets.intern(TrafficSet::empty());
        Self { sets, old, new, ends, comparable }
    }

    fn changes(mut self) -> Vec<Change> {
        let mut by_key: FxHashMap<Key, EndSet> = FxHashMap::default();
        for end in 0..self.ends.len() {
            let row = |side: &Side<'_>| side.ends.end(end).map(|end| side.relation.row_of(end));
            let comparable = |set: &EndSet| set.contains(end);
            let key =
                (row(&self.old), row(&self.new), [comparable(&self.comparable[0]), comparable(&self.comparable[1])]);
            by_key.entry(key).or_default().insert(end);
        }
        let mut keys: Vec<(Key, EndSet)> = by_key.into_iter().collect();
        keys.sort_unstable_by_key(|(_, to)| to.min());
        let mut list: Vec<(EndSet, Option<Family>, Delta, EndSet)> = Vec::new();
        for (key, to) in keys {
            for (from, family, delta) in self.of_destination(key) {
                for (from, to) in self.without_exempt(&from, &to) {
                    let same = list.iter_mut().find(|(of, f, d, _)| (*f, *d) == (family, delta) && *of == from);
                    match same {
                        Some((_, _, _, destinations)) => *destinations |= &to,
                        None => list.push((from, family, delta, to)),
                    }
                }
            }
        }
        let set = |id: u32| self.sets.get(id).cloned().unwrap_or_default();
        let changes = list.into_iter().map(|(from, family, (gained, lost), to)| Change {
            from,
            to,
            family,
            gained: set(gained),
            lost: set(lost),
        });
        changes.collect()
    }

    /// The same pairs without those that no policy is about.
    fn without_exempt(&self, from: &EndSet, to: &EndSet) -> Vec<(EndSet, EndSet)> {
        let mut rest = to.clone();
        let mut parts = Vec::new();
        for end in to {
            let Some(exempt) = self.ends.exempt(end).filter(|exempt| !exempt.is_disjoint(from)) else { continue };
            rest.remove(end);
            parts.push((from - exempt, std::iter::once(end).collect()));
        }
        parts.push((from.clone(), rest));
        parts.retain(|(from, to): &(EndSet, EndSet)| !from.is_empty() && !to.is_empty());
        parts
    }

    /// What changes towards destinations of one key.
    fn of_destination(&mut self, (old, new, comparable): Key) -> Vec<(EndSet, Option<Family>, Delta)> {
        let [v4, v6] = Family::ALL.map(|family| {
            let is_comparable = comparable.get(family as usize).copied().unwrap_or_default();
            if is_comparable { self.of_family(family, old, new) } else { FxHashMap::default() }
        });
        let none = EndSet::new();
        let [comparable4, comparable6] = &self.comparable;
        let sources = |of: &EndSet, is: bool| if is { of.clone() } else { EndSet::new() };
        let (in_v4, in_v6) = (sources(comparable4, comparable[0]), sources(comparable6, comparable[1]));
        let mut deltas: Vec<Delta> = v4.keys().chain(v6.keys()).copied().collect();
        deltas.sort_unstable();
        deltas.dedup();
        let mut found = Vec::new();
        for delta in deltas {
            let (a, b) = (v4.get(&delta).unwrap_or(&none), v6.get(&delta).unwrap_or(&none));
            let any = (a & b) | (a - &in_v6) | (b - &in_v4);
            let parts = [(None, any.clone()), (Some(Family::V4), a - &any), (Some(Family::V6), b - &any)];
            let parts = parts.into_iter().filter(|(_, from)| !from.is_empty());
            found.extend(parts.map(|(family, from)| (from, family, delta)));
        }
        found
    }

    fn of_family(&mut self, family: Family, old: Option<usize>, new: Option<usize>) -> FxHashMap<Delta, EndSet> {
        let mut column = |side: &mut Side<'_>, row: Option<usize>| match row {
            Some(row) => side.column(row, family, &mut self.sets),
            None => Vec::new(),
        };
        let (before, after) = (column(&mut self.old, old), column(&mut self.new, new));
        let Some(comparable) = self.comparable.get(family as usize) else { return FxHashMap::default() };
        let mut found: FxHashMap<Delta, EndSet> = FxHashMap::default();
        let mut add = |delta: Delta, set: RoaringBitmap| {
            let set = set & comparable;
            if !set.is_empty() {
                *found.entry(delta).or_default() |= set;
            }
        };
        let mut left: Vec<(u32, EndSet)> = after.clone();
        for (had, set) in before {
            let mut rest = set;
            for (has, now) in &mut left {
                let both = &rest & &*now;
                if both.is_empty() {
                    continue;
                }
                rest -= &both;
                *now -= &both;
                if had != *has {
                    add(delta(&mut self.sets, had, *has), both);
                }
            }
            add((0, had), rest);
        }
        for (has, rest) in left {
            add((has, 0), rest);
        }
        found
    }
}

impl Side<'_> {
    /// The sources of a row in one family, as joint ends, by what they may send.
    fn column(&mut self, row: usize, family: Family, sets: &mut Interner<TrafficSet>) -> Vec<(u32, EndSet)> {
        if let Some(known) = self.rows.get(&(row, family)) {
            return known.clone();
        }
        let mut column = Vec::new();
        let sources = self.relation.rows().get(row).map_or(&[][..], |row: &Row| &row.sources);
        for (set, cell) in sources {
            let Some(id) = Cell::of(*cell, family).filter(|id| *id != TrafficId::NOTHING) else { continue };
            let connections = self.connections;
            let number = *self.known.entry(id).or_insert_with(|| sets.intern(connections.traffic(id).clone()));
            column.push((number, self.ends.translate(set)));
        }
        self.rows.insert((row, family), column.clone());
        column
    }
}

fn delta(sets: &mut Interner<TrafficSet>, had: u32, has: u32) -> Delta {
    let set = |sets: &Interner<TrafficSet>, id| sets.get(id).cloned().unwrap_or_default();
    let (had, has) = (set(sets, had), set(sets, has));
    (sets.intern(has.difference(&had)), sets.intern(had.difference(&has)))
}
