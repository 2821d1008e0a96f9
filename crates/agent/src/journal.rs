//! What happens, told once: one event with fields for each thing that begins, ends, or occurs.
//!
//! The status is what is so; this is what was said of it. Who listens, and in which form it is written, is
//! the business of whoever runs the agent.

use std::collections::BTreeMap;

use crate::{
    change::Kind,
    enforce::Counters,
    names::NameCounts,
    status::{Status, Watch},
};

/// What was last said.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    ready: bool,
    error: Option<String>,
    watches: BTreeMap<Kind, Watch>,
    poison: BTreeMap<String, Vec<String>>,
    disputes: Vec<String>,
    not_held: Option<String>,
    established: Option<String>,
    names: Option<String>,
    counters: Counters,
}

impl Journal {
    /// Says what is new of one watch.
    pub(crate) fn watch(&mut self, kind: Kind, status: &Status) {
        let Some(watch) = status.watches.get(&kind) else { return };
        let said = self.watches.entry(kind).or_default();
        if said == watch {
            return;
        }
        let resource = kind.to_string();
        match (&watch.trouble, &said.trouble) {
            (Some(why), said) if Some(why) != said.as_ref() => {
                tracing::warn!(resource, error = why.as_str(), "watch trouble");
            }
            (None, Some(_)) => tracing::info!(resource, "watch works again"),
            _ => {}
        }
        if watch.synced && !said.synced {
            tracing::info!(resource, "synced");
        }
        said.clone_from(watch);
    }

    /// Says whether names are learned.
    pub(crate) fn names(&mut self, counts: &NameCounts) {
        if counts.trouble != self.names {
            match &counts.trouble {
                Some(why) => tracing::warn!(error = why.as_str(), "names are not learned"),
                None => tracing::info!("names are learned again"),
            }
            self.names.clone_from(&counts.trouble);
        }
    }

    /// Says what is new of everything else.
    pub(crate) fn look(&mut self, status: &Status) {
        let counters = status.counters;
        if counters.errors > self.counters.errors {
            let error = status.last_error.as_deref().unwrap_or_default();
            // What is in force stays so when it cannot be read.
            match status.error {
                Some(_) => tracing::warn!(failures = counters.errors, error, "transaction failed"),
                None => tracing::warn!(failures = counters.errors, error, "audit failed"),
            }
        }
        if counters.repairs > self.counters.repairs {
            let (drift, found) = (status.last_drift.join("; "), status.last_drift.len());
            tracing::warn!(found, drift, "drift repaired");
        }
        if counters.replacements > self.counters.replacements {
            tracing::warn!(replacements = counters.replacements, "table replaced");
        }
        self.counters = counters;
        if status.poison != self.poison {
            for (object, why) in status.poison.iter().filter(|(key, why)| self.poison.get(*key) != Some(*why)) {
                tracing::error!(object, error = why.join("; "), "object not understood");
            }
            for object in self.poison.keys().filter(|key| !status.poison.contains_key(*key)) {
                tracing::info!(object, "object understood again");
            }
            self.poison.clone_from(&status.poison);
        }
        if status.disputes != self.disputes {
            for dispute in status.disputes.iter().filter(|dispute| !self.disputes.contains(dispute)) {
                tracing::warn!(address = dispute.as_str(), "address of two");
            }
            self.disputes.clone_from(&status.disputes);
        }
        if status.not_held != self.not_held {
            if let Some(why) = &status.not_held {
                tracing::warn!(error = why.as_str(), "unknown pods are not all held");
            }
            self.not_held.clone_from(&status.not_held);
        }
        if status.established.error != self.established {
            if let Some(why) = &status.established.error {
                tracing::warn!(error = why.as_str(), "denied connections may live on");
            }
            self.established.clone_from(&status.established.error);
        }
        if status.error != self.error {
            // That it is ready no more says the same.
            if let Some(error) = status.error.as_deref().filter(|_| !status.ready && !self.ready) {
                tracing::error!(error, "not enforced");
            }
            self.error.clone_from(&status.error);
        }
        if status.ready != self.ready {
            match status.ready {
                true => {
                    let sizes = status.sizes;
                    tracing::info!(
                        policies = sizes.policies,
                        pods = sizes.pods,
                        profiles = sizes.profiles,
                        elements = sizes.elements,
                        "ready"
                    );
                }
                false => tracing::warn!(error = status.error.as_deref().unwrap_or_default(), "not ready"),
            }
            self.ready = status.ready;
        }
    }
}
