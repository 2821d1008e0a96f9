//! What the page says many times, by number: sets of ends, traffic, cells and texts are written once.

use std::{collections::HashMap, hash::Hash};

use palisade_engine::{
    Connections,
    connections::{Cell, EndSet, TrafficId},
    model::{Family, Protocol},
    sets::TrafficSet,
};
use serde::Serialize;

/// Stands for "none" where the page expects a number.
pub(super) const NONE: i32 = -1;

/// Everything that is referred to by number.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tables {
    #[serde(serialize_with = "values")]
    texts: Interned<String>,
    /// Each set as runs: how many are left out, how many are in, and so on.
    #[serde(serialize_with = "values")]
    sets: Interned<Vec<u32>>,
    traffic: Vec<TrafficData>,
    /// The traffic over IPv4 and over IPv6.
    #[serde(serialize_with = "values")]
    cells: Interned<[i32; 2]>,
    #[serde(skip)]
    traffic_numbers: HashMap<TrafficSet, u32>,
    #[serde(skip)]
    traffic_of: HashMap<TrafficId, u32>,
}

/// Its text, then the ranges of each protocol's ports, then whether traffic without ports is in it.
#[derive(Debug, Serialize)]
struct TrafficData(String, [Vec<u16>; 3], u8);

impl Tables {
    pub(super) fn text(&mut self, text: &str) -> u32 {
        self.texts.number(text.to_owned())
    }

    pub(super) fn set(&mut self, set: &EndSet) -> u32 {
        self.sets.number(runs(set))
    }

    pub(super) fn traffic(&mut self, set: &TrafficSet) -> u32 {
        if let Some(known) = self.traffic_numbers.get(set) {
            return *known;
        }
        let ranges = |protocol| set.of(protocol).ranges().flat_map(|(first, last)| [first, last]).collect();
        let number = number(self.traffic.len());
        self.traffic.push(TrafficData(set.to_string(), Protocol::ALL.map(ranges), u8::from(set.portless())));
        self.traffic_numbers.insert(set.clone(), number);
        number
    }

    pub(super) fn cell(&mut self, connections: &Connections, cell: Cell) -> u32 {
        let families = Family::ALL.map(|family| cell.of(family).map_or(NONE, |id| self.signed(connections, id)));
        self.cells.number(families)
    }

    fn signed(&mut self, connections: &Connections, id: TrafficId) -> i32 {
        let number = match self.traffic_of.get(&id) {
            Some(known) => *known,
            None => {
                let number = self.traffic(connections.traffic(id));
                self.traffic_of.insert(id, number);
                number
            }
        };
        signed(number)
    }
}

/// Values in the order of their first use.
#[derive(Debug)]
struct Interned<T> {
    list: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { list: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(known) = self.numbers.get(&value) {
            return *known;
        }
        let number = number(self.list.len());
        self.list.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

fn values<T: Serialize, S: serde::Serializer>(table: &Interned<T>, serializer: S) -> Result<S::Ok, S::Error> {
    table.list.serialize(serializer)
}

fn runs(set: &EndSet) -> Vec<u32> {
    let mut runs = Vec::new();
    let (mut first, mut next, mut written) = (0, 0, 0);
    for member in set {
        if member != next {
            if next > first {
                runs.extend([first - written, next - first]);
                written = next;
            }
            first = member;
        }
        next = member + 1;
    }
    if next > first {
        runs.extend([first - written, next - first]);
    }
    runs
}

/// An index as the page has it.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The same where [`NONE`] could stand, too.
pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_runs() {
        assert_eq!(runs(&EndSet::new()), [0u32; 0]);
        assert_eq!(runs(&[0, 1, 2].into_iter().collect()), [0, 3]);
        assert_eq!(runs(&[1, 4, 5, 9].into_iter().collect()), [1, 1, 2, 2, 3, 1]);
    }
}
