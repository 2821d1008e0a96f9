//! How the agent is: written by its loop, read by whoever asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    change::Kind,
    cut,
    enforce::Counters,
    flow_log::{Denied, FlowCounts},
    names::NameCounts,
};

/// How long the loop may be busy before the agent counts as hung.
pub const HUNG_AFTER: Duration = Duration::from_secs(60);

/// How many objects that are not understood are told one by one.
const MOST_POISON: usize = 20;

/// How the agent is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether the node enforces what the agent was told: everything was told once, and the kernel
    /// acknowledged the rules. Changes under way leave it so; a failure does not.
    pub ready: bool,
    /// The last thing that went wrong and is not mended yet.
    pub error: Option<String>,
    /// The last thing that went wrong, mended or not.
    pub last_error: Option<String>,
    /// In what the table last differed from what it should have been.
    pub last_drift: Vec<String>,
    /// Each kind's watch; none that is not here was heard of.
    pub watches: BTreeMap<Kind, Watch>,
    /// What the enforcer did.
    pub counters: Counters,
    /// What was done about established connections.
    pub established: cut::Counters,
    /// What the rules are made from and come to.
    pub sizes: Sizes,
    /// Objects that cannot be understood, with the reasons.
    pub poison: BTreeMap<String, Vec<String>>,
    /// Why pods that are not known are not all held closed, though they shall be.
    pub not_held: Option<String>,
    /// Addresses that somebody claims who does not have them.
    pub disputes: Vec<String>,
    /// Changes that were received.
    pub changes: u64,
    /// Times that rules were planned.
    pub windows: u64,
    /// Times that everything was compiled and planned anew for that.
    pub compiles: u64,
    /// From a change received to the kernel's acknowledgement, for changes that led to a transaction.
    pub programming: Histogram,
    /// Packets that policies denied, by policy and direction.
    pub denied: Denied,
    /// Packets that passed, and that audited policies would deny, likewise.
    pub would_deny: Denied,
    /// Connections that stood when they were last looked at, and that audited policies would deny, likewise.
    pub would_deny_standing: Denied,
    /// What became of flows that were logged.
    pub flows: FlowCounts,
    /// Why no flows are logged, or no denied packets counted, though they should be.
    pub flow_trouble: Option<String>,
    /// What was learned of domain names.
    pub names: NameCounts,
    /// When the loop last came round; `None`: it has not begun.
    pub heartbeat: Option<Instant>,
}

/// The watch of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Whether everything was told once.
    pub synced: bool,
    /// Why it is broken, if it is.
    pub trouble: Option<String>,
    /// How often it broke.
    pub troubles: u64,
}

/// The sizes of what is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// NetworkPolicies of the cluster.
    pub policies: usize,
    /// Pods of the cluster.
    pub pods: usize,
    /// Profiles that isolate a pod of this node.
    pub profiles: usize,
    /// Sets and maps in the table.
    pub sets: usize,
    /// Their elements.
    pub elements: usize,
    /// Chains in the table.
    pub chains: usize,
}

/// Durations, counted by bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// The upper bounds of the buckets, in seconds; everything is below the last, infinite one.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Histogram {
    /// Counts a duration.
    pub fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(count) = BOUNDS.iter().zip(&mut self.counts).find(|(bound, _)| seconds <= **bound) {
            *count.1 += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Each bound, in seconds, with how many durations were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.iter().zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((*bound, *sum))
        })
    }
}

impl Status {
    /// Whether the loop has begun and still comes round.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.heartbeat.is_some_and(|beat| now.saturating_duration_since(beat) < HUNG_AFTER)
    }

    /// What there is to know though it is ready, in lines: what it does not understand.
    pub fn but_ready(&self) -> String {
        let mut text = String::new();
        for (object, why) in self.poison.iter().take(MOST_POISON) {
            text.push_str(&format!("not understood: {object}: {}\n", why.join("; ").replace('\n', " ")));
        }
        let more = self.poison.len().saturating_sub(MOST_POISON);
        if more > 0 {
            text.push_str(&format!("not understood: and {more} more\n"));
        }
        text
    }

    /// Why the agent is not ready, in one line.
    pub fn why_not_ready(&self) -> Option<String> {
        if self.ready {
            return None;
        }
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        let missing: Vec<String> = Kind::ALL
            .into_iter()
            .filter(|kind| !self.watches.get(kind).is_some_and(|watch| watch.synced))
            .map(|kind| match self.watches.get(&kind).and_then(|watch| watch.trouble.as_deref()) {
                Some(trouble) => format!("{kind} ({trouble})"),
                None => kind.to_string(),
            })
            .collect();
        Some(match missing.as_slice() {
            [] => "the first rules are on their way to the kernel".to_owned(),
            missing => format!("waiting for the API server: {}", missing.join(", ")),
        })
    }
}

/// One status that several threads see.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Status>>);

impl Shared {
    /// Looks at it, or changes it. Others wait meanwhile.
    pub fn with<R>(&self, work: impl FnOnce(&mut Status) -> R) -> R {
        // Whoever panicked while holding it left numbers, which are still worth showing.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of it as it is now.
    pub fn get(&self) -> Status {
        self.with(|status| status.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        for ms in [1, 2, 2, 60, 20_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 20.065).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut status = Status::default();
        let trouble = Watch { trouble: Some("403".to_owned()), ..Watch::default() };
        status.watches.insert(Kind::Pod, trouble);
        for kind in [Kind::Namespace, Kind::Node] {
            status.watches.insert(kind, Watch { synced: true, ..Watch::default() });
        }
        assert_eq!(
            status.why_not_ready().as_deref(),
            Some(
                "waiting for the API server: pods (403), networkpolicies, clusternetworkpolicies, \
                 adminnetworkpolicies, baselineadminnetworkpolicies"
            )
        );
        status.error = Some("no".to_owned());
        assert_eq!(status.why_not_ready().as_deref(), Some("no"));
        status.ready = true;
        assert_eq!(status.why_not_ready(), None);
    }
}
