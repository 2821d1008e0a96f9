//! What was learned: which addresses names have, until when, and what of it belongs into which set. Pure.
//!
//! ```text
//! Answer ──► by name ──┬──► of each set that asks for the name: what the kernel has to be told
//!                      └──► of a set that is new: what it has to begin with
//! ```
//!
//! An address whose time has ended is remembered for a day all the same: connections that were made in its time
//! stay, and who looks at them ([`crate::cut`]) has to know that they were right.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use palisade_engine::{
    model::{DomainName, Family},
    sets::PrefixSet,
};
use palisade_nftables::{difference::Learned, ruleset::Name};

use super::answer::Answer;

/// How long an address is remembered after its time.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How many addresses are remembered: those whose time ended first go first.
const MOST: usize = 65_536;
/// By how much an address stays longer in the kernel than it has to: it is on its way to the pod meanwhile.
const GRACE: Duration = Duration::from_secs(2);

/// How long answers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What an answer holds at least: applications keep addresses for longer than they may.
    pub floor: Duration,
    /// What it holds at most.
    pub ceiling: Duration,
}

impl Default for Limits {
    /// From half a minute, which the resolvers of common runtimes keep an address for, to a day.
    fn default() -> Self {
        Self { floor: Duration::from_secs(30), ceiling: Duration::from_secs(24 * 3600) }
    }
}

/// What was learned on a node.
#[derive(Debug, Default)]
pub struct Store {
    limits: Limits,
    sets: BTreeMap<Name, Vec<DomainName>>,
    names: HashMap<DomainName, HashMap<IpAddr, Instant>>,
    addresses: usize,
    inside: PrefixSet,
    /// Whether connections may stand that an earlier process let in, by addresses that nobody remembers.
    inherited: bool,
}

/// An address that the kernel has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The set.
    pub set: Name,
    /// The address.
    pub learned: Learned,
    /// Whether the set should have it, for a shorter time.
    pub known: bool,
}

/// What came of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What the kernel has to be told.
    pub news: Vec<News>,
    /// Addresses that were not believed, because they are the cluster's own.
    pub refused: usize,
}

impl Store {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, inherited: true, ..Self::default() }
    }

    /// Which sets there are, each with the names that it asks for.
    pub fn plan(&mut self, sets: &BTreeMap<Name, Vec<DomainName>>) {
        if self.sets != *sets {
            self.sets.clone_from(sets);
        }
    }

    /// The addresses of pods and nodes: no name from outside has one of these.
    pub fn set_inside(&mut self, inside: PrefixSet) {
        self.inside = inside;
    }

    /// Takes in what an earlier process left in the kernel's sets.
    pub fn restore(&mut self, left: impl IntoIterator<Item = Learned>, now: Instant) {
        for Learned { address, left, why } in left {
            if let Ok(name) = DomainName::parse(&why) {
                self.keep(name, address, now + left);
            }
        }
    }

    /// Every connection of an earlier process has been looked at.
    pub fn inherits_no_more(&mut self) {
        self.inherited = false;
    }

    /// Takes an answer, if some set asks for its name.
    pub fn learn(&mut self, answer: &Answer, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let holds = |names: &[DomainName]| names.iter().any(|name| name.holds(&answer.name));
        if !self.sets.values().any(|names| holds(names)) {
            return outcome;
        }
        let ttl = Duration::from_secs(answer.ttl.into()).clamp(self.limits.floor, self.limits.ceiling);
        let until = now + ttl + GRACE;
        for address in &answer.addresses {
            if self.inside.contains(*address) && !answer.name.may_be_inside() {
                outcome.refused += 1;
                continue;
            }
            let family = Some(Family::of(*address));
            for (set, names) in self.sets.iter().filter(|(set, names)| holds(names) && family_of(set) == family) {
                let before = self.latest(names, *address);
                // A second more is not worth a transaction: the grace is there for that.
                if before.is_none_or(|before| before + GRACE / 2 < until) {
                    let known = before.is_some_and(|before| before > now);
                    let learned = Learned { address: *address, left: until - now, why: answer.name.to_string() };
                    outcome.news.push(News { set: set.clone(), learned, known });
                }
            }
            self.keep(answer.name.clone(), *address, until);
        }
        outcome
    }

    /// Until when a set has an address, or had it.
    fn latest(&self, names: &[DomainName], address: IpAddr) -> Option<Instant> {
        let held = self.names.iter().filter(|(name, _)| names.iter().any(|one| one.holds(name)));
        held.filter_map(|(_, addresses)| addresses.get(&address).copied()).max()
    }

    /// What a set has to have now.
    pub fn members(&self, set: &str, now: Instant) -> Vec<Learned> {
        let (Some(names), Some(family)) = (self.sets.get(set), family_of(set)) else { return Vec::new() };
        let mut members: BTreeMap<IpAddr, Learned> = BTreeMap::new();
        for (name, addresses) in &self.names {
            if !names.iter().any(|one| one.holds(name)) {
                continue;
            }
            for (address, until) in addresses.iter().filter(|(address, _)| Family::of(**address) == family) {
                let left = until.saturating_duration_since(now);
                if left.is_zero() || members.get(address).is_some_and(|known| known.left >= left) {
                    continue;
                }
                members.insert(*address, Learned { address: *address, left, why: name.to_string() });
            }
        }
        members.into_values().collect()
    }

    /// Whether a connection to an address that stands may have been let in by a set.
    pub fn has_had(&self, set: &str, address: IpAddr) -> bool {
        let Some(names) = self.sets.get(set) else { return false };
        self.inherited || self.latest(names, address).is_some()
    }

    /// How many addresses are known, of those in force and those remembered.
    pub fn len(&self) -> usize {
        self.addresses
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.addresses == 0
    }

    fn keep(&mut self, name: DomainName, address: IpAddr, until: Instant) {
        let known = self.names.entry(name).or_default();
        let ends = known.entry(address);
        self.addresses += usize::from(matches!(ends, std::collections::hash_map::Entry::Vacant(_)));
        let ends = ends.or_insert(until);
        *ends = (*ends).max(until);
        if self.addresses > MOST {
            self.forget(until);
        }
    }

    /// Forgets what ended long ago, and if that is little, a quarter of all: what ended first.
    fn forget(&mut self, now: Instant) {
        let oldest = now.checked_sub(REMEMBERED);
        let mut ends: Vec<Instant> = self.names.values().flat_map(|addresses| addresses.values().copied()).collect();
        ends.sort_unstable();
        let quarter = ends.get(ends.len() / 4).copied();
        let before = oldest.max(quarter);
        for addresses in self.names.values_mut() {
            addresses.retain(|_, until| before.is_none_or(|before| *until > before));
        }
        self.names.retain(|_, addresses| !addresses.is_empty());
        self.addresses = self.names.values().map(HashMap::len).sum();
    }
}

/// The family of a set of learned addresses: its name begins with `names4` or `names6`.
fn family_of(set: &str) -> Option<Family> {
    match set.strip_prefix("names")?.as_bytes().first()? {
        b'4' => Some(Family::V4),
        b'6' => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    fn answer(of: &str, addresses: &[&str], ttl: u32) -> Answer {
        Answer { name: name(of), addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(), ttl }
    }

    fn store() -> Store {
        let mut store = Store::new(Limits { floor: 5 * SECOND, ceiling: 100 * SECOND });
        let sets = [
            ("names4-a", vec![name("api.example.com")]),
            ("names6-a", vec![name("api.example.com")]),
            ("names4-b", vec![name("*.example.com"), name("x.net")]),
        ];
        store.plan(&sets.map(|(set, names)| (set.to_owned(), names)).into());
        store.inherits_no_more();
        store
    }

    fn told(outcome: &Outcome) -> Vec<(String, String, u64, bool)> {
        let one =
            |news: &News| (news.set.clone(), news.learned.address.to_string(), news.learned.left.as_secs(), news.known);
        outcome.news.iter().map(one).collect()
    }

    #[test]
    fn each_set_that_asks_for_the_name_is_told() {
        let (mut store, now) = (store(), Instant::now());
        let outcome = store.learn(&answer("api.example.com", &["203.0.113.7", "2001:db8::7"], 60), now);
        let expected = [("names4-a", "203.0.113.7"), ("names4-b", "203.0.113.7"), ("names6-a", "2001:db8::7")];
        let expected: Vec<_> = expected.map(|(set, a)| (set.to_owned(), a.to_owned(), 62, false)).into();
        let mut seen = told(&outcome);
        seen.sort();
        assert_eq!(seen, expected);
        // What is in force for long enough is not told again, what is not is.
        assert!(store.learn(&answer("api.example.com", &["203.0.113.7"], 60), now).news.is_empty());
        assert!(store.learn(&answer("api.example.com", &["203.0.113.7"], 50), now + 10 * SECOND).news.is_empty());
        let longer = store.learn(&answer("api.example.com", &["203.0.113.7"], 60), now + 10 * SECOND);
        assert!(longer.news.iter().all(|news| news.known) && longer.news.len() == 2);
        assert!(store.learn(&answer("example.com", &["203.0.113.8"], 60), now).news.is_empty());
        assert!(store.learn(&answer("evil.net", &["203.0.113.8"], 60), now).news.is_empty() && store.len() == 2);
    }

    #[test]
    fn time_has_a_floor_and_a_ceiling() {
        let (mut store, now) = (store(), Instant::now());
        let short = told(&store.learn(&answer("x.net", &["203.0.113.7"], 0), now));
        let long = told(&store.learn(&answer("x.net", &["203.0.113.8"], u32::MAX), now));
        assert_eq!((short[0].2, long[0].2), (7, 102));
    }

    #[test]
    fn a_name_from_outside_has_no_address_inside() {
        let (mut store, now) = (store(), Instant::now());
        store.set_inside(["10.244.0.0/16".parse::<ipnet::IpNet>().unwrap()].into_iter().collect());
        let outcome = store.learn(&answer("x.net", &["10.244.0.7", "203.0.113.7"], 60), now);
        assert_eq!((outcome.refused, outcome.news.len()), (1, 1));
        store.plan(&[("names4-c".to_owned(), vec![name("*.svc.cluster.local")])].into());
        let own = store.learn(&answer("db.prod.svc.cluster.local", &["10.244.0.7"], 60), now);
        assert_eq!((own.refused, own.news.len()), (0, 1));
    }

    #[test]
    fn a_new_set_begins_with_what_holds_and_old_ones_are_remembered() {
        let (mut store, now) = (store(), Instant::now());
        store.learn(&answer("a.example.com", &["203.0.113.7"], 20), now);
        store.learn(&answer("b.example.com", &["203.0.113.7", "203.0.113.8"], 50), now);
        store.plan(&[("names4-n".to_owned(), vec![name("*.example.com")])].into());
        let members = store.members("names4-n", now);
        assert_eq!(members.iter().map(|one| one.left.as_secs()).collect::<Vec<_>>(), [52, 52]);
        assert!(store.members("names4-n", now + 60 * SECOND).is_empty() && store.members("names6-n", now).is_empty());
        let address = |last| IpAddr::from([203, 0, 113, last]);
        assert!(store.has_had("names4-n", address(7)) && !store.has_had("names4-n", address(9)));
        assert!(!store.has_had("names4-a", address(7)), "a set that is gone");
    }

    #[test]
    fn a_new_process_takes_what_it_finds_and_does_not_know_what_it_missed() {
        let now = Instant::now();
        let mut store = Store::new(Limits::default());
        let left = Learned { address: [203, 0, 113, 7].into(), left: 9 * SECOND, why: "x.net".to_owned() };
        store.restore([left.clone()], now);
        store.plan(&[("names4-b".to_owned(), vec![name("x.net")])].into());
        assert_eq!(store.members("names4-b", now), [left]);
        assert!(store.has_had("names4-b", [203, 0, 113, 99].into()), "it may be an old one");
        store.inherits_no_more();
        assert!(!store.has_had("names4-b", [203, 0, 113, 99].into()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut store, now) = (store(), Instant::now());
        for number in 0..70_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            let address = IpAddr::from([198, a, b, c]);
            let one = Answer { name: name("x.net"), addresses: [address].into(), ttl: 10 + number / 1000 };
            store.learn(&one, now);
        }
        assert!(store.len() <= MOST && store.len() > MOST / 2);
        assert!(store.has_had("names4-b", [198, 1, 17, 111].into()), "the last");
    }
}
