//! All that may pass, exactly: every pair of ends with its ports.
//!
//! ```text
//! identities, nodes, outside ──► ends       numbered; nobody in one end is told apart by a policy
//! rules ───────────────────────► grants     whom they mean, and which traffic
//! grants ──────────────────────► columns    per family: for each destination, sources by traffic
//! columns of both families ────► rows       destinations with equal columns, once
//! rows ────────────────────────► rectangles few, for reading: everyone of one set to everyone of another
//! ```
//!
//! Nothing is tried pair by pair: the cost grows with the rules and with whom they select, not with
//! the square of the pods. What policies do not judge is not here: a pod to itself, a pod and its own
//! node (both always pass), and what neither begins nor ends at a pod.

mod ends;
mod family;
mod grants;
mod groups;
mod in_order;
mod rectangles;
mod segments;
mod traffic;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use self::{
    ends::number,
    family::{Column, Columns},
    grants::Level,
    traffic::TrafficTable,
};
pub use self::{
    ends::{End, EndId, EndSet, Ends},
    groups::{By, Groups, Members, OutsideMembers, Part, PodMembers, Unit, UnitId, UnitKind},
    rectangles::{Query, Rectangle},
    traffic::TrafficId,
};
use crate::{
    compile::PolicyProgram,
    model::{Cluster, Direction, Family},
    sets::{PrefixSet, TrafficSet},
};

/// All that may pass in a cluster.
#[derive(Debug)]
pub struct Connections {
    ends: Ends,
    traffic: TrafficTable,
    certain: Relation,
    possible: Option<Relation>,
    undecided: Option<Relation>,
}

/// What may pass from one end to another, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Over IPv4; `None` when an end has no IPv4 address.
    pub v4: Option<TrafficId>,
    /// Over IPv6; likewise.
    pub v6: Option<TrafficId>,
}

/// Destinations that the same sources may reach in the same way.
#[derive(Clone, Debug)]
pub struct Row {
    /// The destinations.
    pub destinations: EndSet,
    /// The sources by what they may send. None is in two of them; one that is in none may send nothing.
    pub sources: Vec<(EndSet, Cell)>,
}

/// For every pair of ends what may pass.
#[derive(Debug)]
pub struct Relation {
    rows: Vec<Row>,
    of_end: Vec<u32>,
}

impl Connections {
    /// Everything that `program`, compiled from `cluster`, lets pass.
    pub fn new(cluster: &Cluster, program: &PolicyProgram) -> Self {
        Self::cut(cluster, program, std::iter::empty())
    }

    /// The same, with the outside cut also where `others` begin and end: so these addresses can be told
    /// from the rest, or the outside of one cluster can be compared with that of another.
    pub fn cut<'a>(cluster: &Cluster, program: &'a PolicyProgram, others: impl Iterator<Item = &'a PrefixSet>) -> Self {
        let told_apart: Vec<&PrefixSet> = program.blocks().chain(others).collect();
        let ends = Ends::new(cluster, program, &told_apart);
        let mut traffic = TrafficTable::new();
        let certain = Relation::new(program, &ends, Level::Certain, &mut traffic);
        let undecided = program.has_open_names()
            || Family::ALL.into_iter().any(|family| {
                let family = ends.family(family);
                program.blocks().any(|block| family.perhaps_in_block(block).is_some())
            });
        let possible = undecided.then(|| Relation::new(program, &ends, Level::Possible, &mut traffic));
        let undecided = possible.as_ref().map(|possible| possible.without(&certain, &mut traffic));
        Self { ends, traffic, certain, possible, undecided }
    }

    /// Who can be at an end.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The traffic of an id.
    pub fn traffic(&self, id: TrafficId) -> &TrafficSet {
        self.traffic.set(id)
    }

    /// Whom no policy holds back in a direction: pods that it does not isolate, and whoever is no pod.
    pub fn not_isolated(&self, program: &PolicyProgram, direction: Direction) -> EndSet {
        let isolated =
            program.identities().filter(|(id, _)| !program.profile(program.profile_of(*id, direction)).is_open());
        let mut set: EndSet = (0..number(self.ends.len())).collect();
        isolated.for_each(|(id, _)| _ = set.remove(self.ends.of_identity(id).number()));
        set
    }

    /// What is allowed for certain.
    pub fn allowed(&self) -> &Relation {
        &self.certain
    }

    /// What is allowed or could be, if addresses that are not known should come to match an ipBlock;
    /// `None` when nothing hangs on such an address.
    pub fn possible(&self) -> Option<&Relation> {
        self.possible.as_ref()
    }

    /// What is possible and not allowed for certain.
    pub fn undecided(&self) -> Option<&Relation> {
        self.undecided.as_ref()
    }
}

impl Cell {
    /// Over one family.
    pub fn of(self, family: Family) -> Option<TrafficId> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

impl Relation {
    fn new(program: &PolicyProgram, ends: &Ends, level: Level, traffic: &mut TrafficTable) -> Self {
        let [v4, v6] = Family::ALL.map(|family| family::columns(program, ends, family, level, traffic));
        let both = ends.present(Family::V4) & ends.present(Family::V6);
        let mut rows = Rows::default();
        let mut known: FxHashMap<(Option<u32>, Option<u32>), u32> = FxHashMap::default();
        let mut of_end = Vec::with_capacity(ends.len());
        for (end, key) in (0u32..).zip(v4.of_end.iter().copied().zip(v6.of_end.iter().copied())) {
            let row = *known.entry(key).or_insert_with(|| {
                let column = |columns: &Columns, index: Option<u32>| {
                    index.and_then(|index| columns.distinct.get(index as usize).cloned())
                };
                rows.intern(joined(column(&v4, key.0), column(&v6, key.1), &both))
            });
            rows.add(row, end);
            of_end.push(row);
        }
        Self { rows: rows.rows, of_end }
    }

    /// What this one has and `other`, of the same ends, has not.
    fn without(&self, other: &Self, traffic: &mut TrafficTable) -> Self {
        let mut rows = Rows::default();
        let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let mut of_end = Vec::with_capacity(self.of_end.len());
        for (end, key) in (0u32..).zip(self.of_end.iter().copied().zip(other.of_end.iter().copied())) {
            let row = *known.entry(key).or_insert_with(|| {
                let sources =
                    |relation: &Self, row: u32| relation.rows.get(row as usize).map(|row| row.sources.clone());
                let (from, less) =
                    (sources(self, key.0).unwrap_or_default(), sources(other, key.1).unwrap_or_default());
                rows.intern(less_sources(from, &less, traffic))
            });
            rows.add(row, end);
            of_end.push(row);
        }
        Self { rows: rows.rows, of_end }
    }

    /// Every row; every end is a destination of one.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a destination.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: every end of these connections has a row")]
    pub fn to(&self, destination: EndId) -> &Row {
        &self.rows[self.row_of(destination)]
    }

    /// The place of a destination's row in [`Self::rows`].
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: every end of these connections has a row")]
    pub fn row_of(&self, destination: EndId) -> usize {
        self.of_end[destination.0 as usize] as usize
    }

    /// What may pass from one end to another. A family that an end does not have is not told from one
    /// over which nothing may pass.
    pub fn between(&self, source: EndId, destination: EndId) -> Cell {
        let sources = &self.to(destination).sources;
        sources.iter().find(|(set, _)| set.contains(source.0)).map_or_else(Cell::default, |(_, cell)| *cell)
    }
}

/// The columns that a destination has in each family, as one.
fn joined(v4: Option<Column>, v6: Option<Column>, both: &EndSet) -> Vec<(EndSet, Cell)> {
    let (v4, v6) = match (v4, v6) {
        (None, None) => return Vec::new(),
        (Some(only), None) => return only.into_iter().map(|(t, set)| (set, Cell { v4: Some(t), v6: None })).collect(),
        (None, Some(only)) => return only.into_iter().map(|(t, set)| (set, Cell { v4: None, v6: Some(t) })).collect(),
        (Some(v4), Some(v6)) => (v4, v6),
    };
    let mut cells: FxHashMap<Cell, EndSet> = FxHashMap::default();
    let mut add = |set: RoaringBitmap, cell: Cell| {
        if !set.is_empty() {
            *cells.entry(cell).or_default() |= set;
        }
    };
    let mut in_v6: Vec<(TrafficId, EndSet)> = Vec::with_capacity(v6.len());
    for (traffic, set) in v6 {
        add(&set - both, Cell { v4: None, v6: Some(traffic) });
        in_v6.push((traffic, set & both));
    }
    for (traffic, set) in v4 {
        add(&set - both, Cell { v4: Some(traffic), v6: None });
        let mut rest = set & both;
        for (other, set) in &mut in_v6 {
            let shared = &rest & &*set;
            rest -= &shared;
            *set -= &shared;
            add(shared, Cell { v4: Some(traffic), v6: Some(*other) });
        }
        add(rest, Cell { v4: Some(traffic), v6: Some(TrafficId::NOTHING) });
    }
    for (traffic, rest) in in_v6 {
        add(rest, Cell { v4: Some(TrafficId::NOTHING), v6: Some(traffic) });
    }
    let mut sources: Vec<(EndSet, Cell)> = cells.into_iter().map(|(cell, set)| (set, cell)).collect();
    sources.sort_unstable_by_key(|(_, cell)| *cell);
    sources
}

/// Sources of a row by what they may send beyond what `less` has for them.
fn less_sources(from: Vec<(EndSet, Cell)>, less: &[(EndSet, Cell)], table: &mut TrafficTable) -> Vec<(EndSet, Cell)> {
    let mut cells: FxHashMap<Cell, EndSet> = FxHashMap::default();
    for (mut rest, cell) in from {
        for (set, taken) in less {
            let both = &rest & set;
            rest -= &both;
            let mut of = |family: Family| {
                let taken = taken.of(family).unwrap_or(TrafficId::NOTHING);
                cell.of(family).map(|has| table.difference(has, taken))
            };
            let left = Cell { v4: of(Family::V4), v6: of(Family::V6) };
            if !both.is_empty() {
                *cells.entry(left).or_default() |= both;
            }
        }
        if !rest.is_empty() {
            *cells.entry(cell).or_default() |= rest;
        }
    }
    let nothing = |cell: &Cell| [cell.v4, cell.v6].into_iter().flatten().all(|id| id == TrafficId::NOTHING);
    let mut sources: Vec<(EndSet, Cell)> =
        cells.into_iter().filter(|(cell, _)| !nothing(cell)).map(|(cell, set)| (set, cell)).collect();
    sources.sort_unstable_by_key(|(_, cell)| *cell);
    sources
}

/// Rows without repetition.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// Those that may be equal: cells, and of each set its size and its ends.
    alike: FxHashMap<Vec<(Cell, Sketch)>, Vec<u32>>,
}

type Sketch = (u64, Option<u32>, Option<u32>);

impl Rows {
    fn intern(&mut self, sources: Vec<(EndSet, Cell)>) -> u32 {
        let sketch = sources.iter().map(|(set, cell)| (*cell, (set.len(), set.min(), set.max()))).collect();
        let alike = self.alike.entry(sketch).or_default();
        let equal = |row: &&u32| self.rows.get(**row as usize).is_some_and(|row| row.sources == sources);
        if let Some(found) = alike.iter().find(equal) {
            return *found;
        }
        let index = number(self.rows.len());
        alike.push(index);
        self.rows.push(Row { destinations: EndSet::new(), sources });
        index
    }

    fn add(&mut self, row: u32, destination: u32) {
        if let Some(row) = self.rows.get_mut(row as usize) {
            row.destinations.insert(destination);
        }
    }
}
