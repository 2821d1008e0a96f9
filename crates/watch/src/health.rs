//! How each watch is doing, for readiness and metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::change::Watched;

/// How the watch of one resource is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// All objects were listed once: from then on what was said is the cluster as it was at some moment.
    pub synced: bool,
    /// A watch is open: what changes comes at once.
    pub watching: bool,
    /// When the server last said something: a list, an event or a bookmark.
    pub last_heard: Option<Instant>,
    /// Since when nothing works, if nothing does.
    pub failing_since: Option<Instant>,
    /// Objects there are, those that could not be understood among them.
    pub objects: usize,
    /// Those that could not be understood.
    pub poison: usize,
    /// Lists made as a whole.
    pub lists: u64,
    /// Watches opened.
    pub watches: u64,
    /// Changes that came on watches, without bookmarks.
    pub events: u64,
    /// Failures so far.
    pub troubles: u64,
    /// What failed last, even if it works again.
    pub last_trouble: Option<String>,
}

impl Health {
    pub(crate) fn fails(&mut self, why: &str) {
        self.troubles += 1;
        self.last_trouble = Some(why.to_owned());
        self.failing_since.get_or_insert_with(Instant::now);
    }
}

/// The health of all watches, for whoever wants to look at it from another thread.
#[derive(Clone, Debug)]
pub struct HealthBoard(Arc<Mutex<BTreeMap<Watched, Health>>>);

impl HealthBoard {
    pub(crate) fn new(of: &[Watched]) -> Self {
        Self(Arc::new(Mutex::new(of.iter().map(|one| (*one, Health::default())).collect())))
    }

    /// The health of each watch at this moment.
    pub fn all(&self) -> BTreeMap<Watched, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The health of one watch; of what is not watched, as if it had not begun.
    pub fn of(&self, of: Watched) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&of).cloned().unwrap_or_default()
    }

    /// Whether every watch has synced. Before that, nothing may be written from what was said.
    pub fn is_synced(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().all(|health| health.synced)
    }

    pub(crate) fn note(&self, of: Watched, change: impl FnOnce(&mut Health)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(of).or_default());
    }
}
