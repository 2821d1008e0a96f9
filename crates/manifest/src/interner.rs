//! One copy of every name: labels, namespaces and port names repeat by the thousand.

use std::collections::HashSet;

use palisade_engine::model::Name;

/// Longer names are rare and do not repeat: they are not kept.
const LONGEST: usize = 256;

/// Gives equal texts one shared [`Name`].
///
/// The standard library's hasher on purpose: names come from files, and a file must not be able to
/// make a faster one collide.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: HashSet<Name>,
}

impl Interner {
    /// The name for `text`.
    pub(crate) fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        if text.len() <= LONGEST {
            self.names.insert(name.clone());
        }
        name
    }
}
