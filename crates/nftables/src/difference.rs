//! From one ruleset to another: the changes in between, in an order the kernel accepts.
//!
//! What is in the kernel stays in force until the one small switch: new sets are filled while nothing
//! refers to them, then rules and maps change together, then what nobody needs goes.

use std::{net::IpAddr, time::Duration};

use crate::ruleset::{Chain, Elements, Key, Name, Passing, Rule, Ruleset, SetKind};

/// One thing to change in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make the table; no error when it exists.
    AddTable,
    /// Remove the table with everything in it.
    DeleteTable,
    /// Make an empty chain.
    AddChain {
        /// Its name.
        name: Name,
        /// Whether it is entered at the `forward` hook.
        is_base: bool,
    },
    /// Remove a chain with its rules; nothing may refer to it.
    DeleteChain(Name),
    /// Append a rule to a chain.
    AddRule(Name, Rule),
    /// Remove all rules of a chain.
    FlushChain(Name),
    /// Make an empty set or map.
    AddSet {
        /// Its name.
        name: Name,
        /// What its keys are.
        kind: SetKind,
        /// Whether its keys have verdicts.
        is_map: bool,
        /// What it stands for.
        comment: Option<String>,
        /// Whether its elements come and go by themselves.
        passing: Option<Passing>,
    },
    /// Remove a set or map; nothing may refer to it.
    DeleteSet(Name),
    /// Put elements into a set or map. A key that is there with the same verdict is no error, one with another is.
    AddElements {
        /// The set.
        set: Name,
        /// What its keys are.
        kind: SetKind,
        /// The elements.
        elements: Elements,
    },
    /// Put learned addresses into a set of these. One that is there keeps what is left of its time.
    AddLearned {
        /// The set.
        set: Name,
        /// The addresses.
        elements: Vec<Learned>,
    },
    /// Take elements out of a set or map; they must be there.
    DeleteElements {
        /// The set.
        set: Name,
        /// What its keys are.
        kind: SetKind,
        /// Their keys.
        keys: Vec<Key>,
    },
}

/// An address of a set of [learned](Passing::LEARNED) ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The address.
    pub address: IpAddr,
    /// How long it stays in the set; the kernel counts in milliseconds, and at least one.
    pub left: Duration,
    /// What it was learned from, at most 253 bytes: the kernel keeps it beside the address.
    pub why: String,
}

/// The changes from one ruleset to the next, in two parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Fills what nothing refers to yet: may be cut into as many transactions as it takes.
    pub prepare: Vec<Change>,
    /// Takes effect as one transaction.
    pub switch: Vec<Change>,
    /// Removes what nothing refers to any more: may be cut likewise.
    pub clean: Vec<Change>,
}

impl Difference {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.prepare.is_empty() && self.switch.is_empty() && self.clean.is_empty()
    }

    /// Every change in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.prepare.iter().chain(&self.switch).chain(&self.clean)
    }

    /// What makes `new` out of `old`; `None`: out of a kernel without our table.
    pub fn between(old: Option<&Ruleset>, new: &Ruleset) -> Self {
        let mut difference = Self::default();
        if old.is_none() {
            difference.prepare.push(Change::AddTable);
        }
        let empty = Ruleset::default();
        let old = old.unwrap_or(&empty);
        difference.added(old, new);
        difference.changed(old, new);
        difference.removed(old, new);
        difference
    }

    fn added(&mut self, old: &Ruleset, new: &Ruleset) {
        let fresh = || new.chains.iter().filter(|(name, _)| !old.chains.contains_key(*name));
        for (name, chain) in fresh().filter(|(_, chain)| !chain.is_base) {
            self.prepare.push(Change::AddChain { name: name.clone(), is_base: chain.is_base });
        }
        let fresh_sets = || new.sets.iter().filter(|(name, _)| !old.sets.contains_key(*name));
        for (name, set) in fresh_sets() {
            let (kind, is_map, comment, passing) = (set.kind, set.is_map, set.comment.clone(), set.passing);
            self.prepare.push(Change::AddSet { name: name.clone(), kind, is_map, comment, passing });
        }
        for (name, set) in fresh_sets().filter(|(_, set)| !set.elements.is_empty()) {
            let elements = set.elements.clone();
            self.prepare.push(Change::AddElements { set: name.clone(), kind: set.kind, elements });
        }
        for (name, chain) in fresh().filter(|(_, chain)| !chain.is_base) {
            self.prepare.extend(rules(name, chain));
        }
        for (name, chain) in fresh().filter(|(_, chain)| chain.is_base) {
            self.switch.push(Change::AddChain { name: name.clone(), is_base: true });
            self.switch.extend(rules(name, chain));
        }
    }

    fn changed(&mut self, old: &Ruleset, new: &Ruleset) {
        for (name, after) in new.sets.iter().filter(|(_, set)| set.passing.is_none()) {
            let Some(before) = old.sets.get(name) else { continue };
            let gone = before.elements.iter().filter(|(key, verdict)| after.elements.get(*key) != Some(*verdict));
            let keys: Vec<Key> = gone.map(|(key, _)| *key).collect();
            let come = after.elements.iter().filter(|(key, verdict)| before.elements.get(*key) != Some(*verdict));
            let elements: Elements = come.map(|(key, verdict)| (*key, verdict.clone())).collect();
            let (set, kind) = (name, after.kind);
            if !keys.is_empty() {
                self.switch.push(Change::DeleteElements { set: set.clone(), kind, keys });
            }
            if !elements.is_empty() {
                self.switch.push(Change::AddElements { set: set.clone(), kind, elements });
            }
        }
        for (name, after) in &new.chains {
            if old.chains.get(name).is_some_and(|before| before.rules != after.rules) {
                self.switch.push(Change::FlushChain(name.clone()));
                self.switch.extend(rules(name, after));
            }
        }
    }

    fn removed(&mut self, old: &Ruleset, new: &Ruleset) {
        // A chain's rules may refer to chains that go too: empty them all before the first is removed.
        let gone = || old.chains.iter().filter(|(name, _)| !new.chains.contains_key(*name));
        for (name, chain) in gone() {
            let target = if chain.is_base { &mut self.switch } else { &mut self.clean };
            target.push(Change::FlushChain(name.clone()));
        }
        let gone_sets = || old.sets.iter().filter(|(name, _)| !new.sets.contains_key(*name));
        self.clean.extend(gone_sets().map(|(name, _)| Change::DeleteSet(name.clone())));
        for (name, chain) in gone() {
            let target = if chain.is_base { &mut self.switch } else { &mut self.clean };
            target.push(Change::DeleteChain(name.clone()));
        }
    }
}

fn rules(name: &Name, chain: &Chain) -> impl Iterator<Item = Change> {
    chain.rules.iter().map(|rule| Change::AddRule(name.clone(), rule.clone()))
}
