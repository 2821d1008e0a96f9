//! A kernel in memory: takes changes as the real one does, whole or not at all, and can be told to fail.

use crate::{
    difference::{Change, Difference},
    ruleset::{Chain, Key, Name, Passing, Ruleset, Set, SetKind, Verdict},
};

/// The kernel's side of the table.
#[derive(Clone, Debug, Default)]
pub struct FakeKernel {
    table: Option<Ruleset>,
    transactions: usize,
    fail_at: Option<usize>,
}

/// Why a transaction was not taken; nothing of it is in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It was told to fail here.
    #[error("transaction {0} failed, as told")]
    AsTold(usize),
    /// There is no table.
    #[error("the table does not exist")]
    NoTable,
    /// A chain, set or element that does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// A chain, set or element that exists already, or otherwise.
    #[error("{0} exists already")]
    Exists(String),
    /// Something refers to it.
    #[error("{0} is in use by {1}")]
    Busy(String, String),
    /// Ranges of one set that overlap.
    #[error("{0} overlaps another range of {1}")]
    Overlap(String, Name),
    /// A key of another kind than the set's, a verdict in a plain set, or none in a map.
    #[error("{0} is no element for {1}")]
    WrongElement(String, Name),
}

impl FakeKernel {
    /// What the table holds; `None` when it does not exist.
    pub fn ruleset(&self) -> Option<&Ruleset> {
        self.table.as_ref()
    }

    /// How many transactions were taken or refused so far.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// Refuses the transaction of that number, counted from 0.
    pub fn fail_at(&mut self, transaction: usize) {
        self.fail_at = Some(transaction);
    }

    /// Applies a difference as the real kernel gets it: every preparing and every cleaning change as a
    /// transaction of its own, the switch as one.
    ///
    /// # Errors
    /// The first refusal; what came before it stays in force.
    pub fn apply(&mut self, difference: &Difference) -> Result<(), Refusal> {
        for change in &difference.prepare {
            self.commit(std::slice::from_ref(change))?;
        }
        if !difference.switch.is_empty() {
            self.commit(&difference.switch)?;
        }
        for change in &difference.clean {
            self.commit(std::slice::from_ref(change))?;
        }
        Ok(())
    }

    /// Takes some changes as one transaction.
    ///
    /// # Errors
    /// Why none of them is in force.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        let number = self.transactions;
        self.transactions += 1;
        if self.fail_at == Some(number) {
            return Err(Refusal::AsTold(number));
        }
        let mut table = self.table.clone();
        for change in changes {
            take(&mut table, change)?;
        }
        self.table = table;
        Ok(())
    }
}

fn take(slot: &mut Option<Ruleset>, change: &Change) -> Result<(), Refusal> {
    match change {
        Change::AddTable => {
            slot.get_or_insert_default();
            return Ok(());
        }
        Change::DeleteTable => return slot.take().map(|_| ()).ok_or(Refusal::NoTable),
        _ => {}
    }
    let table = slot.as_mut().ok_or(Refusal::NoTable)?;
    match change {
        Change::AddTable | Change::DeleteTable => {}
        Change::AddChain { name, is_base } => {
            let chain =
                table.chains.entry(name.clone()).or_insert_with(|| Chain { is_base: *is_base, rules: Vec::new() });
            if chain.is_base != *is_base {
                return Err(Refusal::Exists(name.clone()));
            }
        }
        Change::DeleteChain(name) => {
            free(table, name, false)?;
            table.chains.remove(name).ok_or_else(|| Refusal::Missing(name.clone()))?;
        }
        Change::AddRule(name, rule) => {
            let verdicts = rule.expressions.iter().filter_map(|expression| match expression {
                crate::ruleset::Expression::Verdict(verdict) => verdict.chain(),
                _ => None,
            });
            for target in verdicts {
                exists(table.chains.contains_key(target), target)?;
            }
            for set in rule.expressions.iter().filter_map(|expression| expression.set()) {
                exists(table.sets.contains_key(set), set)?;
            }
            let chain = table.chains.get_mut(name).ok_or_else(|| Refusal::Missing(name.clone()))?;
            chain.rules.push(rule.clone());
        }
        Change::FlushChain(name) => {
            table.chains.get_mut(name).ok_or_else(|| Refusal::Missing(name.clone()))?.rules.clear();
        }
        Change::AddSet { name, kind, is_map, comment, passing } => {
            let (comment, elements) = (comment.clone(), Default::default());
            let set = Set { kind: *kind, is_map: *is_map, comment, passing: *passing, elements };
            if table.sets.insert(name.clone(), set).is_some() {
                return Err(Refusal::Exists(name.clone()));
            }
        }
        Change::DeleteSet(name) => {
            free(table, name, true)?;
            table.sets.remove(name).ok_or_else(|| Refusal::Missing(name.clone()))?;
        }
        Change::AddElements { set, elements, .. } => {
            for (key, verdict) in elements {
                add_element(table, set, key, verdict.as_ref())?;
            }
        }
        // What is learned is no part of a ruleset.
        Change::AddLearned { set, .. } => {
            let found = table.sets.get(set).ok_or_else(|| Refusal::Missing(set.clone()))?;
            if found.passing != Some(Passing::LEARNED) {
                return Err(Refusal::WrongElement("a learned address".to_owned(), set.clone()));
            }
        }
        Change::DeleteElements { set, keys, .. } => {
            let found = table.sets.get_mut(set).ok_or_else(|| Refusal::Missing(set.clone()))?;
            for key in keys {
                found.elements.remove(key).ok_or_else(|| Refusal::Missing(format!("{key:?} in {set}")))?;
            }
        }
    }
    Ok(())
}

fn add_element(table: &mut Ruleset, name: &Name, key: &Key, verdict: Option<&Verdict>) -> Result<(), Refusal> {
    if let Some(target) = verdict.and_then(Verdict::chain) {
        exists(table.chains.contains_key(target), target)?;
    }
    let set = table.sets.get_mut(name).ok_or_else(|| Refusal::Missing(name.clone()))?;
    if verdict.is_some() != set.is_map || !fits(set.kind, key) {
        return Err(Refusal::WrongElement(format!("{key:?}"), name.clone()));
    }
    if let Some(before) = set.elements.get(key) {
        let same = before.as_ref() == verdict;
        return if same { Ok(()) } else { Err(Refusal::Exists(format!("{key:?} in {name}"))) };
    }
    let before = set.elements.range(..key).next_back().map(|(other, _)| other);
    let after = set.elements.range(key..).next().map(|(other, _)| other);
    if before.is_some_and(|other| overlap(other, key)) || after.is_some_and(|other| overlap(key, other)) {
        return Err(Refusal::Overlap(format!("{key:?}"), name.clone()));
    }
    set.elements.insert(*key, verdict.cloned());
    Ok(())
}

fn fits(kind: SetKind, key: &Key) -> bool {
    use palisade_engine::model::Family;
    match (kind, key) {
        (SetKind::Addresses(family), Key::Address(address)) => Family::of(*address) == family,
        (SetKind::AddressRanges(Family::V4), Key::Range4(first, last)) => first <= last,
        (SetKind::AddressRanges(Family::V6), Key::Range6(first, last)) => first <= last,
        (SetKind::AddressPairs(family), Key::Pair(a, b)) => Family::of(*a) == family && Family::of(*b) == family,
        (SetKind::Ports, Key::Port(..)) | (SetKind::PortRanges, Key::Ports(..)) => true,
        _ => false,
    }
}

fn overlap(lower: &Key, higher: &Key) -> bool {
    match (lower, higher) {
        (Key::Range4(_, last), Key::Range4(first, _)) => first <= last,
        (Key::Range6(_, last), Key::Range6(first, _)) => first <= last,
        (Key::Ports(a, lower), Key::Ports(b, higher)) => a == b && higher.first() <= lower.last(),
        _ => false,
    }
}

fn exists(there: bool, name: &Name) -> Result<(), Refusal> {
    if there { Ok(()) } else { Err(Refusal::Missing(name.clone())) }
}

/// Nothing that stays refers to a chain or set that is to go. A chain's own rules go with it.
fn free(table: &Ruleset, name: &Name, is_set: bool) -> Result<(), Refusal> {
    for (chain, rules) in table.chains.iter().filter(|(chain, _)| is_set || *chain != name) {
        for expression in rules.rules.iter().flat_map(|rule| &rule.expressions) {
            let refers = match expression {
                crate::ruleset::Expression::Verdict(verdict) if !is_set => verdict.chain() == Some(name),
                other => is_set && other.set() == Some(name),
            };
            if refers {
                return Err(Refusal::Busy(name.clone(), format!("chain {chain}")));
            }
        }
    }
    for (set, elements) in table.sets.iter().filter(|_| !is_set) {
        if elements.elements.values().flatten().any(|verdict| verdict.chain() == Some(name)) {
            return Err(Refusal::Busy(name.clone(), format!("map {set}")));
        }
    }
    Ok(())
}
