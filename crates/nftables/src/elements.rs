//! The elements of a set, which a ruleset and the changes that fill the set share.

use std::{collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use crate::ruleset::{Key, Verdict};

/// Keys in their order, each with its verdict in a map.
///
/// A clone is the same elements until one of the two is changed: filling a kernel with the sets of a large
/// cluster would else take the memory of all of them once more.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Elements(Arc<BTreeMap<Key, Option<Verdict>>>);

impl Elements {
    /// Puts an element there; returns the verdict that the key had, if it was there.
    pub fn insert(&mut self, key: Key, verdict: Option<Verdict>) -> Option<Option<Verdict>> {
        Arc::make_mut(&mut self.0).insert(key, verdict)
    }

    /// Takes an element away; returns its verdict, if it was there.
    pub fn remove(&mut self, key: &Key) -> Option<Option<Verdict>> {
        match self.0.contains_key(key) {
            true => Arc::make_mut(&mut self.0).remove(key),
            false => None,
        }
    }
}

impl Deref for Elements {
    type Target = BTreeMap<Key, Option<Verdict>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Elements {
    /// As the map: names are made of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<BTreeMap<Key, Option<Verdict>>> for Elements {
    fn from(elements: BTreeMap<Key, Option<Verdict>>) -> Self {
        Self(Arc::new(elements))
    }
}

impl FromIterator<(Key, Option<Verdict>)> for Elements {
    fn from_iter<I: IntoIterator<Item = (Key, Option<Verdict>)>>(elements: I) -> Self {
        Self::from(elements.into_iter().collect::<BTreeMap<_, _>>())
    }
}

impl<'a> IntoIterator for &'a Elements {
    type Item = (&'a Key, &'a Option<Verdict>);
    type IntoIter = std::collections::btree_map::Iter<'a, Key, Option<Verdict>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<const N: usize> From<[(Key, Option<Verdict>); N]> for Elements {
    fn from(elements: [(Key, Option<Verdict>); N]) -> Self {
        elements.into_iter().collect()
    }
}
