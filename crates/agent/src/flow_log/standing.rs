//! Connections that stand and that audited policies would deny: each is told once. Pure.
//!
//! ```text
//! a look (cut) ──► found ─┬─► told before, by a look or by the kernel when it began: no line
//!                         └─► waits a moment, for the kernel's own line may be on its way ──► a line
//! the kernel's lines ─────► logged
//! the end of a look ──────► over: what was neither found nor logged since the look before is forgotten
//! ```
//!
//! Told of a connection is what one chain says, whose name comes from the policies: under other audited policies
//! it is told again. What a look may not tell (more than the rate, or than is remembered) the next ones do, as long
//! as it stands.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use palisade_linux::packet::Tuple;
use palisade_nftables::{plan::Log, ruleset::Name};

/// How many connections are remembered as told.
const KNOWN: usize = 65_536;
/// How long a line waits for the kernel's own one: longer than the kernel keeps it back and the tap comes round.
const SETTLES: Duration = Duration::from_millis(500);

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Standing {
    known: HashMap<Tuple, Vec<Known>>,
    /// The number of the look under way, or to come.
    look: u64,
    /// What it has found so far, by chain.
    found: BTreeMap<Name, Found>,
    /// Lines to come: since when, and the look's of one chain.
    waiting: Vec<(Instant, Name, Found)>,
    /// When a chain has used up what it may tell, by the generic cell rate algorithm (ITU-T I.371).
    used_until: BTreeMap<Name, Instant>,
}

/// That a chain was told of a connection, or will be.
#[derive(Debug)]
struct Known {
    chain: Name,
    /// The last look that found it, or before whose end it was logged.
    look: u64,
    is_told: bool,
}

/// What a look found of one chain.
#[derive(Debug, Default)]
struct Found {
    connections: u64,
    untold: Vec<Tuple>,
    /// How many it may not tell.
    left_out: u64,
}

/// A line to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToTell {
    pub(super) chain: Name,
    pub(super) tuple: Tuple,
    /// How many more the same look found and may not tell.
    pub(super) left_out: u64,
}

impl Standing {
    /// The kernel logged a packet of that connection under that chain: it needs no other line.
    pub(super) fn logged(&mut self, chain: &str, tuple: &Tuple) {
        if self.known.len() < KNOWN || self.known.contains_key(tuple) {
            self.remember(chain, tuple, true);
        }
    }

    /// A look found that connection, and that chain would deny it. `log` is how packets are logged; `None`: not, so
    /// it is counted alone.
    pub(super) fn found(&mut self, now: Instant, chain: &str, tuple: &Tuple, log: Option<Log>) {
        let found = self.found.entry(chain.to_owned()).or_default();
        found.connections += 1;
        let Some(log) = log else { return };
        let known = self.known.get_mut(tuple);
        if let Some(known) = known.and_then(|known| known.iter_mut().find(|known| known.chain == chain)) {
            known.look = self.look;
            return;
        }
        let has_room = self.known.len() < KNOWN || self.known.contains_key(tuple);
        if !has_room || !may_tell(&mut self.used_until, now, chain, log) {
            found.left_out += 1;
            return;
        }
        found.untold.push(*tuple);
        self.remember(chain, tuple, false);
    }

    /// A look is over; `is_whole`: it saw every connection. Returns how many connections each chain would deny.
    pub(super) fn over(&mut self, now: Instant, is_whole: bool) -> BTreeMap<Name, u64> {
        let mut counts = BTreeMap::new();
        for (chain, found) in std::mem::take(&mut self.found) {
            counts.insert(chain.clone(), found.connections);
            if !found.untold.is_empty() {
                self.waiting.push((now, chain, found));
            }
        }
        self.used_until.retain(|_, until| *until > now);
        if is_whole {
            let look = self.look;
            self.known.retain(|_, known| {
                known.retain(|known| known.look == look);
                !known.is_empty()
            });
            self.look += 1;
        }
        counts
    }

    /// The lines whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ToTell> {
        let mut lines = Vec::new();
        let due = |(since, ..): &mut (Instant, Name, Found)| now.saturating_duration_since(*since) >= SETTLES;
        for (_, chain, found) in self.waiting.extract_if(.., due) {
            let before = lines.len();
            for tuple in found.untold {
                let known = self.known.get_mut(&tuple);
                let known = known.and_then(|known| known.iter_mut().find(|known| known.chain == chain));
                // One that is forgotten has ended meanwhile: it stood all the same.
                if !known.is_some_and(|known| std::mem::replace(&mut known.is_told, true)) {
                    lines.push(ToTell { chain: chain.clone(), tuple, left_out: 0 });
                }
            }
            if let Some(last) = lines.get_mut(before..).and_then(<[ToTell]>::last_mut) {
                last.left_out = found.left_out;
            }
        }
        lines
    }

    fn remember(&mut self, chain: &str, tuple: &Tuple, is_told: bool) {
        let (look, known) = (self.look, self.known.entry(*tuple).or_default());
        match known.iter_mut().find(|known| known.chain == chain) {
            Some(known) => (known.look, known.is_told) = (look, known.is_told || is_told),
            None => known.push(Known { chain: chain.to_owned(), look, is_told }),
        }
    }
}

/// Whether a chain may tell one more now, as many a second and at once as the kernel logs packets of it.
fn may_tell(used_until: &mut BTreeMap<Name, Instant>, now: Instant, chain: &str, log: Log) -> bool {
    let Some((rate, burst)) = log.limit else { return true };
    let each = Duration::from_secs(1) / rate.max(1);
    let until = used_until.get(chain).copied().unwrap_or(now).max(now) + each;
    let may = until - now <= each * burst.max(1);
    if may {
        used_until.insert(chain.to_owned(), until);
    }
    may
}

#[cfg(test)]
mod tests {
    use palisade_linux::packet::{Flow, protocol};

    use super::*;

    const LOG: Option<Log> = Some(Log { group: 1, limit: Some((10, 20)) });

    fn tuple(source: u16) -> Tuple {
        let flow = Flow::Ports { source, destination: 80 };
        Tuple { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), protocol: protocol::TCP, flow }
    }

    /// A look that finds these under one chain, and what is told once its lines have waited.
    fn look(standing: &mut Standing, at: Instant, chain: &str, found: &[u16]) -> Vec<(u16, u64)> {
        found.iter().for_each(|port| standing.found(at, chain, &tuple(*port), LOG));
        let counts = standing.over(at, true);
        assert_eq!(counts.get(chain).copied().unwrap_or(0), u64::try_from(found.len()).unwrap());
        told(standing, at + SETTLES)
    }

    fn told(standing: &mut Standing, at: Instant) -> Vec<(u16, u64)> {
        let port = |tuple: &Tuple| match tuple.flow {
            Flow::Ports { source, .. } => source,
            other => panic!("{other:?}"),
        };
        standing.take_due(at).iter().map(|line| (port(&line.tuple), line.left_out)).collect()
    }

    #[test]
    fn each_is_told_once_for_what_would_deny_it() {
        let (mut standing, start) = (Standing::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(look(&mut standing, at(0), "a", &[1, 2]), [(1, 0), (2, 0)]);
        assert_eq!(look(&mut standing, at(1), "a", &[1, 2, 3]), [(3, 0)]);
        // Another policy would, too: the chain has another name.
        assert_eq!(look(&mut standing, at(2), "b", &[1, 3]), [(1, 0), (3, 0)]);
        assert_eq!(look(&mut standing, at(3), "b", &[1, 3]), []);
        // Both at once, as at the two ends on one node.
        standing.found(at(4), "c", &tuple(1), LOG);
        assert_eq!(look(&mut standing, at(4), "b", &[1]), [(1, 0)]);
        // What ended is forgotten, and its ports may come again.
        assert_eq!(look(&mut standing, at(5), "b", &[3]), [(3, 0)]);
        standing.over(at(6), true);
        assert!(standing.known.is_empty());
    }

    #[test]
    fn what_the_kernel_told_is_not_told_again() {
        let (mut standing, start) = (Standing::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        // Before a look, and while the look's line waits.
        standing.logged("a", &tuple(1));
        [1, 2, 3].iter().for_each(|port| standing.found(at(0), "a", &tuple(*port), LOG));
        standing.over(at(0), true);
        standing.logged("a", &tuple(2));
        assert_eq!(told(&mut standing, at(0)), [], "its time has not come");
        assert_eq!(told(&mut standing, at(1)), [(3, 0)]);
        // One that began after the look had read conntrack is not forgotten at its end.
        standing.logged("a", &tuple(4));
        assert_eq!(look(&mut standing, at(2), "a", &[1]), []);
        assert_eq!(look(&mut standing, at(3), "a", &[1, 4]), []);
        // Nor does a look that failed forget.
        standing.over(at(4), false);
        assert_eq!(look(&mut standing, at(5), "a", &[1, 4]), []);
    }

    #[test]
    fn a_look_tells_as_many_as_the_kernel_may_log_and_the_next_ones_the_rest() {
        let (mut standing, start) = (Standing::default(), Instant::now());
        let all: Vec<u16> = (0..50).collect();
        let first = look(&mut standing, start, "a", &all);
        assert_eq!((first.len(), first.last().map(|line| line.1)), (20, Some(30)));
        // At once there is no more to tell of these, but of others.
        assert_eq!(look(&mut standing, start, "a", &all), []);
        [60, 61].iter().for_each(|port| standing.found(start, "b", &tuple(*port), LOG));
        assert_eq!(look(&mut standing, start, "a", &all).len(), 2);
        let later = start + Duration::from_secs(1);
        assert_eq!(look(&mut standing, later, "a", &all).len(), 10);
        let rest = look(&mut standing, later + Duration::from_secs(60), "a", &all);
        assert_eq!((rest.len(), rest.last().map(|line| line.1)), (20, Some(0)));
        assert_eq!(look(&mut standing, later + Duration::from_secs(120), "a", &all), []);
    }

    #[test]
    fn memory_is_bounded_and_what_is_not_logged_is_counted_alone() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        let log = LOG.map(|log| Log { limit: None, ..log });
        for number in 0..KNOWN + 10 {
            let [.., a, b, c] = number.to_be_bytes();
            let tuple = Tuple { source: [10, a, b, c].into(), ..tuple(1) };
            standing.found(now, "a", &tuple, log);
            standing.logged("b", &Tuple { destination: [10, 9, 9, 9].into(), ..tuple });
        }
        assert_eq!(standing.known.len(), KNOWN);
        let found = u64::try_from(KNOWN + 10).unwrap();
        assert_eq!(standing.over(now, true).get("a"), Some(&found));
        let lines = u64::try_from(standing.take_due(now + SETTLES).len()).unwrap();
        assert_eq!(lines, u64::try_from(KNOWN / 2).unwrap());
        let mut silent = Standing::default();
        silent.found(now, "a", &tuple(1), None);
        assert_eq!(silent.over(now, true).get("a"), Some(&1));
        assert_eq!((silent.take_due(now + SETTLES), silent.known.len()), (Vec::new(), 0));
    }
}
