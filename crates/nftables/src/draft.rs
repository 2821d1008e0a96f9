//! A ruleset that is being changed in place, and what it was where it was changed.
//!
//! Whoever changes one element of a large ruleset pays for that element: neither is the ruleset copied, nor
//! compared as a whole.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{
    difference::Difference,
    ruleset::{Chain, Key, Name, Ruleset, Set, Verdict},
};

/// What the table shall hold, with what it held the last time that it was [in force](Draft::is_in_force).
#[derive(Clone, Debug, Default)]
pub struct Draft {
    ruleset: Ruleset,
    /// What the chains that were changed were; `None`: not there.
    chains: BTreeMap<Name, Option<Chain>>,
    /// What the sets that were changed were.
    sets: BTreeMap<Name, Before>,
}

/// What a set was.
#[derive(Clone, Debug)]
enum Before {
    Absent,
    Whole(Set),
    /// The same set; some elements were others, or not there.
    Elements(BTreeMap<Key, Option<Option<Verdict>>>),
}

impl Draft {
    /// What the table shall hold.
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// What the table shall hold, alone.
    pub fn into_ruleset(self) -> Ruleset {
        self.ruleset
    }

    /// Whether it is what it was when it was last in force.
    pub fn is_unchanged(&self) -> bool {
        self.chains.is_empty() && self.sets.is_empty()
    }

    /// From what was last in force to what shall be.
    pub fn difference(&self) -> Difference {
        let (mut old, mut new) = (Ruleset::default(), Ruleset::default());
        for (name, before) in &self.chains {
            old.chains.extend(before.clone().map(|chain| (name.clone(), chain)));
            new.chains.extend(self.ruleset.chains.get(name).map(|chain| (name.clone(), chain.clone())));
        }
        for (name, before) in &self.sets {
            let now = self.ruleset.sets.get(name);
            match (before, now) {
                (Before::Elements(elements), Some(set)) => {
                    let of = |elements| Set { elements, comment: set.comment.clone(), ..*set };
                    let was = elements.iter().filter_map(|(key, verdict)| Some((*key, verdict.clone()?)));
                    let is = elements.keys().filter_map(|key| Some((*key, set.elements.get(key)?.clone())));
                    old.sets.insert(name.clone(), of(was.collect()));
                    new.sets.insert(name.clone(), of(is.collect()));
                }
                _ => {
                    if let Before::Whole(set) = before {
                        old.sets.insert(name.clone(), set.clone());
                    }
                    new.sets.extend(now.map(|set| (name.clone(), set.clone())));
                }
            }
        }
        Difference::between(Some(&old), &new)
    }

    /// What it shall hold is in force.
    pub fn is_in_force(&mut self) {
        self.chains.clear();
        self.sets.clear();
    }

    /// Becomes this ruleset, whatever it was.
    pub fn become_ruleset(&mut self, ruleset: Ruleset) {
        for name in names(&self.ruleset.chains, &ruleset.chains) {
            match ruleset.chains.get(&name) {
                Some(chain) => self.put_chain(&name, chain.clone()),
                None => self.remove_chain(&name),
            }
        }
        for name in names(&self.ruleset.sets, &ruleset.sets) {
            self.remove_set(&name);
        }
        for (name, set) in ruleset.sets {
            if self.ruleset.sets.get(&name) != Some(&set) {
                self.put_set(&name, set);
            }
        }
    }

    /// Puts a chain there, whatever was there before.
    pub fn put_chain(&mut self, name: &Name, chain: Chain) {
        let before = self.ruleset.chains.insert(name.clone(), chain);
        self.chains.entry(name.clone()).or_insert(before);
    }

    /// Takes a chain away.
    pub fn remove_chain(&mut self, name: &Name) {
        let Some(chain) = self.ruleset.chains.remove(name) else { return };
        match self.chains.entry(name.clone()) {
            Entry::Vacant(entry) => _ = entry.insert(Some(chain)),
            // It has never been in force.
            Entry::Occupied(entry) if entry.get().is_none() => _ = entry.remove(),
            Entry::Occupied(_) => {}
        }
    }

    /// Puts a set there, whatever was there before.
    pub fn put_set(&mut self, name: &Name, set: Set) {
        self.remove_set(name);
        self.ruleset.sets.insert(name.clone(), set);
        self.sets.entry(name.clone()).or_insert(Before::Absent);
    }

    /// Takes a set away.
    pub fn remove_set(&mut self, name: &Name) {
        let Some(mut set) = self.ruleset.sets.remove(name) else { return };
        match self.sets.remove(name) {
            None => _ = self.sets.insert(name.clone(), Before::Whole(set)),
            // It has never been in force.
            Some(Before::Absent) => {}
            Some(whole @ Before::Whole(_)) => _ = self.sets.insert(name.clone(), whole),
            Some(Before::Elements(elements)) => {
                for (key, verdict) in elements {
                    match verdict {
                        Some(verdict) => _ = set.elements.insert(key, verdict),
                        None => _ = set.elements.remove(&key),
                    }
                }
                self.sets.insert(name.clone(), Before::Whole(set));
            }
        }
    }

    /// Puts an element into a set or map that is there; with what it decides, in a map.
    pub fn put_element(&mut self, name: &Name, key: Key, verdict: Option<Verdict>) {
        let Some(set) = self.ruleset.sets.get_mut(name) else { return };
        if set.elements.get(&key) == Some(&verdict) {
            return;
        }
        let before = set.elements.insert(key, verdict);
        self.note_element(name, key, before);
    }

    /// Takes an element out of a set or map.
    pub fn remove_element(&mut self, name: &Name, key: Key) {
        let Some(set) = self.ruleset.sets.get_mut(name) else { return };
        if let Some(before) = set.elements.remove(&key) {
            self.note_element(name, key, Some(before));
        }
    }

    fn note_element(&mut self, name: &Name, key: Key, before: Option<Option<Verdict>>) {
        if !self.sets.contains_key(name) {
            self.sets.insert(name.clone(), Before::Elements(BTreeMap::new()));
        }
        if let Some(Before::Elements(elements)) = self.sets.get_mut(name) {
            elements.entry(key).or_insert(before);
        }
    }
}

/// The names of what is in only one of the two, or not the same in both.
fn names<T: PartialEq>(a: &BTreeMap<Name, T>, b: &BTreeMap<Name, T>) -> Vec<Name> {
    let differs = |(name, value): &(&Name, &T)| b.get(*name) != Some(*value);
    let added = b.keys().filter(|name| !a.contains_key(*name));
    a.iter().filter(differs).map(|(name, _)| name).chain(added).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use palisade_engine::model::Family;

    use super::*;
    use crate::{
        fake::FakeKernel,
        ruleset::{Rule, SetKind},
    };

    fn key(last: u8) -> Key {
        Key::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn set(last: impl IntoIterator<Item = u8>) -> Set {
        let elements = last.into_iter().map(|last| (key(last), None)).collect();
        Set { kind: SetKind::Addresses(Family::V4), is_map: false, comment: None, passing: None, elements }
    }

    fn chain(rules: usize) -> Chain {
        Chain { is_base: false, rules: vec![Rule::default(); rules] }
    }

    /// One of the things that can be done, by number.
    fn step(draft: &mut Draft, number: usize) {
        let name = ["a", "b", "c"][number % 3].to_owned();
        let n = u8::try_from(number / 3 % 5).unwrap();
        match number / 15 % 7 {
            0 => draft.put_chain(&name, chain(n.into())),
            1 => draft.remove_chain(&name),
            2 => draft.put_set(&name, set(0..n)),
            3 => draft.remove_set(&name),
            4 => draft.remove_element(&name, key(n)),
            _ => draft.put_element(&name, key(n), None),
        }
    }

    /// Whatever is done in whatever order, a kernel that has got every difference has the ruleset.
    #[test]
    fn the_differences_lead_to_the_ruleset() {
        let mut seed = 1_u64;
        let mut dice = |limit: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % limit
        };
        let (mut draft, mut kernel) = (Draft::default(), FakeKernel::default());
        kernel.apply(&Difference::between(None, draft.ruleset())).unwrap();
        for _ in 0..3000 {
            for _ in 0..dice(8) {
                step(&mut draft, dice(105));
            }
            if dice(50) == 0 {
                let ruleset = Ruleset {
                    sets: [("b".to_owned(), set(0..3)), ("c".to_owned(), set(1..4))].into(),
                    chains: [("a".to_owned(), chain(2))].into(),
                };
                draft.become_ruleset(ruleset.clone());
                assert_eq!(*draft.ruleset(), ruleset);
            }
            kernel.apply(&draft.difference()).unwrap();
            draft.is_in_force();
            assert!(draft.is_unchanged() && draft.difference().is_empty());
            assert_eq!(kernel.ruleset(), Some(draft.ruleset()));
        }
    }
}
