//! Equal values share one small id.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Values by id, each held once.
#[derive(Clone, Debug)]
pub(crate) struct Interner<T> {
    ids: FxHashMap<T, u32>,
    values: Vec<T>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { ids: FxHashMap::default(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The id of `value`: that of an equal one if there is one, else the next.
    pub(crate) fn intern(&mut self, value: T) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    /// The value of an id.
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.values.get(id as usize)
    }

    /// Every value, in the order of the ids.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }
}
