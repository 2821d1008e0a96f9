//! What chains that deny have counted, beside what was seen of them in the log.
//!
//! ```text
//! the chain's counter   every packet dropped         ─► denied by policy and direction (metrics)
//! lines seen            those the kernel logged      ─┴► suppressed = dropped - seen, told with the next line
//! ```
//!
//! Of chains that only say what audited policies would deny likewise, apart.
//!
//! The two are read at different times. A reading counts only when everything that was logged before it
//! has been seen: then dropped - seen is never too much, and right as soon as the next reading comes. The
//! kernel's counter begins again when a chain is made anew; the sums here go on.

use std::collections::BTreeMap;

use palisade_engine::model::{Direction, Mode};

/// What is known of a chain that denies, or would: it follows from its name, which comes from content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyChain {
    /// Which direction it denies.
    pub direction: Direction,
    /// Whether it drops, or only says what audited policies would.
    pub mode: Mode,
    /// The policies that judge, as `namespace/name`, or the name alone of a cluster-wide one; by name.
    pub policies: Vec<String>,
    /// The NetworkPolicies among them, which isolate.
    pub isolating: Vec<String>,
}

/// How many packets each policy denied in each direction, since the agent began. A packet that several
/// policies isolate counts for each of them.
pub type Denied = BTreeMap<(String, Direction), u64>;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Tally {
    chains: BTreeMap<String, Counts>,
    denied: Denied,
    would_deny: Denied,
    began: bool,
}

#[derive(Debug)]
struct Counts {
    chain: DenyChain,
    /// The kernel's counter when it was last read; `None`: it was there before, and counts from the first reading.
    last: Option<u64>,
    /// Packets dropped while the log was read.
    dropped: u64,
    /// Packets of those that came by the log.
    seen: u64,
    /// How many are missing for certain, and how many of them were told.
    missing: u64,
    told: u64,
}

impl Tally {
    /// Says which chains there are from now on. Those of the first call may have counted before.
    pub(super) fn follow(&mut self, chains: &BTreeMap<String, DenyChain>) {
        self.chains.retain(|name, _| chains.contains_key(name));
        let last = std::mem::replace(&mut self.began, true).then_some(0);
        for (name, chain) in chains {
            let fresh = || Counts { chain: chain.clone(), last, dropped: 0, seen: 0, missing: 0, told: 0 };
            self.chains.entry(name.clone()).or_insert_with(fresh);
        }
        // Only policies of chains that are there have a place among the labels of a metric.
        for (mode, sums) in [(Mode::Enforce, &mut self.denied), (Mode::Audit, &mut self.would_deny)] {
            let chains = || self.chains.values().map(|counts| &counts.chain).filter(|chain| chain.mode == mode);
            sums.retain(|(policy, direction), _| {
                chains().any(|chain| chain.direction == *direction && chain.policies.contains(policy))
            });
            for chain in chains() {
                for policy in &chain.policies {
                    sums.entry((policy.clone(), chain.direction)).or_default();
                }
            }
        }
    }

    /// The names of the chains.
    pub(super) fn names(&self) -> Vec<String> {
        self.chains.keys().cloned().collect()
    }

    /// Takes note of a logged packet; returns how many of its chain are to be told as missing with it.
    pub(super) fn saw(&mut self, chain: &str) -> u64 {
        let Some(counts) = self.chains.get_mut(chain) else { return 0 };
        counts.seen += 1;
        let untold = counts.missing.saturating_sub(counts.told);
        counts.told += untold;
        untold
    }

    /// Takes back that so many were told: their line went nowhere.
    pub(super) fn untell(&mut self, chain: &str, untold: u64) {
        if let Some(counts) = self.chains.get_mut(chain) {
            counts.told = counts.told.saturating_sub(untold);
        }
    }

    /// Takes what the kernel's counter of a chain was; everything logged before that has been seen.
    /// Returns how many more are missing than was known before.
    pub(super) fn read(&mut self, chain: &str, counter: u64) -> u64 {
        let Some(counts) = self.chains.get_mut(chain) else { return 0 };
        let more = match counts.last {
            // It began again.
            Some(last) if counter < last => counter,
            Some(last) => counter - last,
            None => counter,
        };
        let restarted = counts.last.is_none_or(|last| counter < last);
        counts.last = Some(counter);
        // What was counted before anybody listened, or in the last moments of a chain that was made anew, is not missing.
        counts.dropped = if restarted { counts.seen } else { counts.dropped + more };
        let sums = match counts.chain.mode {
            Mode::Enforce => &mut self.denied,
            Mode::Audit => &mut self.would_deny,
        };
        for policy in &counts.chain.policies {
            *sums.entry((policy.clone(), counts.chain.direction)).or_default() += more;
        }
        let before = counts.missing;
        counts.missing = before.max(counts.dropped.saturating_sub(counts.seen));
        counts.missing - before
    }

    /// The sums by policy and direction.
    pub(super) fn denied(&self) -> &Denied {
        &self.denied
    }

    /// The sums of what audited policies would deny, likewise.
    pub(super) fn would_deny(&self) -> &Denied {
        &self.would_deny
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chains(names: &[&str]) -> BTreeMap<String, DenyChain> {
        let chain = |name: &&str| {
            let policies: Vec<String> = name.split('+').map(|policy| format!("prod/{policy}")).collect();
            (
                format!("deny-in-{name}"),
                DenyChain { direction: Direction::Ingress, mode: Mode::Enforce, isolating: policies.clone(), policies },
            )
        };
        names.iter().map(chain).collect()
    }

    fn denied(tally: &Tally, policy: &str) -> Option<u64> {
        tally.denied().get(&(format!("prod/{policy}"), Direction::Ingress)).copied()
    }

    #[test]
    fn what_the_rate_limit_keeps_is_told_once() {
        let mut tally = Tally::default();
        tally.follow(&chains(&["a"]));
        // 1,000 were counted before anybody listened: dropped, and not missing.
        assert_eq!(tally.read("deny-in-a", 1_000), 0);
        assert_eq!(tally.saw("deny-in-a"), 0);
        // Ten more were dropped, of which two were seen.
        assert_eq!(tally.saw("deny-in-a"), 0);
        assert_eq!(tally.read("deny-in-a", 1_010), 8);
        assert_eq!((tally.saw("deny-in-a"), tally.saw("deny-in-a")), (8, 0));
        assert_eq!(tally.read("deny-in-a", 1_012), 0);
        assert_eq!(denied(&tally, "a"), Some(1_012));
        // A line that went nowhere tells nothing.
        assert_eq!(tally.read("deny-in-a", 1_020), 8);
        assert_eq!(tally.saw("deny-in-a"), 8);
        tally.untell("deny-in-a", 8);
        assert_eq!(tally.saw("deny-in-a"), 8);
        assert_eq!(tally.saw("no such chain"), 0);
    }

    #[test]
    fn the_sums_of_a_policy_only_grow_while_its_chain_changes() {
        let mut tally = Tally::default();
        tally.follow(&chains(&["a", "b"]));
        tally.read("deny-in-a", 5);
        tally.read("deny-in-b", 7);
        // One more policy about the same pods: the chain has another name, and counts from 0.
        tally.follow(&chains(&["a+c", "b"]));
        assert_eq!((denied(&tally, "a"), denied(&tally, "c")), (Some(5), Some(0)));
        assert_eq!(tally.read("deny-in-a+c", 3), 3);
        assert_eq!((denied(&tally, "a"), denied(&tally, "c"), denied(&tally, "b")), (Some(8), Some(3), Some(7)));
        // The table was replaced: the chain is the same one, and counts from 0.
        tally.read("deny-in-b", 2);
        assert_eq!(denied(&tally, "b"), Some(9));
        // Policies that are gone have no label.
        tally.follow(&chains(&["b"]));
        assert_eq!((denied(&tally, "a"), tally.denied().len()), (None, 1));
    }

    proptest! {
        /// However packets, limits and readings alternate: never is more told as missing than is missing,
        /// and all of it is, after a reading and one more line.
        #[test]
        fn what_is_told_adds_up(steps in prop::collection::vec((0_u64..20, 0_u64..20, any::<bool>()), 1..40)) {
            let mut tally = Tally::default();
            tally.follow(&chains(&[]));
            tally.follow(&chains(&["a"]));
            let (mut counter, mut lines, mut told) = (0, 0, 0);
            for (logged, kept, reads) in steps {
                counter += logged + kept;
                for _ in 0..logged {
                    lines += 1;
                    told += tally.saw("deny-in-a");
                }
                if reads {
                    tally.read("deny-in-a", counter);
                }
                prop_assert!(told <= counter - lines);
            }
            tally.read("deny-in-a", counter);
            (counter, lines) = (counter + 1, lines + 1);
            told += tally.saw("deny-in-a");
            prop_assert_eq!(told, counter - lines);
            prop_assert_eq!(denied(&tally, "a"), Some(counter - 1));
        }
    }
}
