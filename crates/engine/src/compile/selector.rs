//! Label selectors, each evaluated once, through an index from label to those who carry it.
//!
//! ```text
//! labels ──► LabelIndex ──► one bitmap a requirement ──► and ──► one bitmap a selector
//! ```
//!
//! There is an index over the namespaces and one over the identities. A requirement's bitmap is kept: an
//! explanation asks it which condition an identity missed. It stays current when a member comes or changes
//! its labels, at the cost of the requirements about those labels alone.

use std::cmp::Ordering;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::interner::Interner;
use crate::model::{LabelSelector, Labels, Name, Operator, Requirement};

/// A requirement of one program's namespace or pod selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequirementId(u32);

/// Who carries which label: members are numbers from 0.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex {
    all: RoaringBitmap,
    keys: FxHashMap<Name, KeyIndex>,
    interned: Interner<(Name, Operator)>,
    answers: Vec<Answer>,
}

/// A label's key: who carries it, and which requirements are about it.
#[derive(Debug, Default)]
struct KeyIndex {
    present: RoaringBitmap,
    values: FxHashMap<Name, RoaringBitmap>,
    about_presence: Vec<RequirementId>,
    about_value: FxHashMap<Name, Vec<RequirementId>>,
}

/// What a requirement comes to. Whoever has none of the labels in question is not in `carriers`, also when
/// the requirement asks for just that: a new member costs nothing for all that it does not carry.
#[derive(Debug)]
struct Answer {
    /// Those with the key, or with one of the values.
    carriers: RoaringBitmap,
    /// Whether it holds for everyone else instead.
    negated: bool,
}

impl LabelIndex {
    /// Gives a member, known or new, the labels `after` instead of `before`.
    pub(crate) fn put(&mut self, member: u32, before: &Labels, after: &Labels) {
        self.all.insert(member);
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let come = if order.is_ge() { new.next() } else { None };
            let Some((key, _)) = gone.or(come) else { return };
            self.put_label(member, key, gone.map(|(_, value)| value), come.map(|(_, value)| value));
        }
    }

    fn put_label(&mut self, member: u32, key: &Name, before: Option<&Name>, after: Option<&Name>) {
        if before == after {
            return;
        }
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), KeyIndex::default());
        }
        let Some(index) = self.keys.get_mut(key) else { return };
        let mut answers = |requirements: &[RequirementId], carries: bool| {
            for id in requirements {
                if let Some(answer) = self.answers.get_mut(id.0 as usize) {
                    set(&mut answer.carriers, member, carries);
                }
            }
        };
        if before.is_some() != after.is_some() {
            set(&mut index.present, member, after.is_some());
            answers(&index.about_presence, after.is_some());
        }
        // What is gone first: a requirement may name both values.
        for (value, carries) in before.map(|value| (value, false)).into_iter().chain(after.map(|value| (value, true))) {
            if !index.values.contains_key(value) {
                index.values.insert(value.clone(), RoaringBitmap::new());
            }
            index.values.get_mut(value).into_iter().for_each(|members| set(members, member, carries));
            answers(index.about_value.get(value).map_or(&[], Vec::as_slice), carries);
        }
    }

    /// The requirements of a selector, in the order written.
    pub(crate) fn requirements(&mut self, selector: &LabelSelector) -> Vec<RequirementId> {
        selector.requirements.iter().map(|requirement| self.requirement(requirement)).collect()
    }

    /// Those for whom all requirements hold.
    pub(crate) fn select(&self, requirements: &[RequirementId]) -> RoaringBitmap {
        let mut positive = requirements.iter().map(|id| self.answer(*id)).filter(|answer| !answer.negated);
        let first = positive.next().map_or(&self.all, |answer| &answer.carriers).clone();
        let selected = positive.fold(first, |selected, answer| selected & &answer.carriers);
        let negative = requirements.iter().map(|id| self.answer(*id)).filter(|answer| answer.negated);
        negative.fold(selected, |selected, answer| selected - &answer.carriers)
    }

    /// Some requirements as text, one way of writing it only; empty when there is none.
    pub(crate) fn text(&self, requirements: &[RequirementId]) -> String {
        let mut texts: Vec<String> = self
            .asked(requirements)
            .map(|(key, operator)| Requirement { key: key.clone(), operator: operator.clone(), at: None }.to_string())
            .collect();
        texts.sort();
        texts.join(",")
    }

    /// What some requirements ask.
    pub(crate) fn asked(&self, requirements: &[RequirementId]) -> impl Iterator<Item = (&Name, &Operator)> {
        requirements.iter().filter_map(|id| self.interned.get(id.0)).map(|(key, operator)| (key, operator))
    }

    /// Whether a requirement holds for `member`.
    pub(crate) fn holds(&self, requirement: RequirementId, member: u32) -> bool {
        let answer = self.answer(requirement);
        answer.carriers.contains(member) != answer.negated
    }

    fn requirement(&mut self, requirement: &Requirement) -> RequirementId {
        let operator = canonical(&requirement.operator);
        let id = RequirementId(self.interned.intern((requirement.key.clone(), operator)));
        if id.0 as usize == self.answers.len() {
            let key = self.keys.entry(requirement.key.clone()).or_default();
            self.answers.push(key.answer(id, &requirement.operator));
        }
        id
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT: an id is made with its answer, and none is ever removed")]
    fn answer(&self, id: RequirementId) -> &Answer {
        &self.answers[id.0 as usize]
    }
}

impl KeyIndex {
    /// Evaluates a new requirement, and takes note of what keeps it current.
    fn answer(&mut self, id: RequirementId, operator: &Operator) -> Answer {
        let negated = matches!(operator, Operator::NotIn(_) | Operator::DoesNotExist);
        let carriers = match operator {
            Operator::Exists | Operator::DoesNotExist => {
                self.about_presence.push(id);
                self.present.clone()
            }
            Operator::In(values) | Operator::NotIn(values) => {
                let mut carriers = RoaringBitmap::new();
                for value in values {
                    carriers |= self.values.entry(value.clone()).or_default() as &RoaringBitmap;
                    let about = self.about_value.entry(value.clone()).or_default();
                    if about.last() != Some(&id) {
                        about.push(id);
                    }
                }
                carriers
            }
        };
        Answer { carriers, negated }
    }
}

fn set(members: &mut RoaringBitmap, member: u32, is_one: bool) {
    if is_one {
        members.insert(member);
    } else {
        members.remove(member);
    }
}

/// The order of values, and a value given twice, mean nothing.
fn canonical(operator: &Operator) -> Operator {
    let sorted = |values: &[Name]| {
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        values
    };
    match operator {
        Operator::In(values) => Operator::In(sorted(values)),
        Operator::NotIn(values) => Operator::NotIn(sorted(values)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    /// An index over the label sets given; the first one is member 0.
    fn index_of<'a>(members: impl Iterator<Item = &'a Labels>) -> LabelIndex {
        let mut index = LabelIndex::default();
        (0..).zip(members).for_each(|(member, labels)| index.put(member, &Labels::default(), labels));
        index
    }

    fn select(requirements: &[Requirement]) -> Vec<u32> {
        let members = [labels(&[("app", "web")]), labels(&[("app", "db"), ("tier", "back")]), labels(&[])];
        let mut index = index_of(members.iter());
        let ids = index.requirements(&requirements.iter().cloned().collect());
        index.select(&ids).iter().collect()
    }

    fn values(values: &[&str]) -> Vec<Name> {
        values.iter().copied().map(Name::from).collect()
    }

    #[test]
    fn an_empty_selector_selects_all() {
        assert_eq!(select(&[]), [0, 1, 2]);
    }

    #[test]
    fn each_operator() {
        assert_eq!(select(&[Requirement::equals("app", "web")]), [0]);
        assert_eq!(select(&[Requirement::new("app", Operator::In(values(&["db", "web"])))]), [0, 1]);
        assert_eq!(select(&[Requirement::new("app", Operator::NotIn(values(&["db"])))]), [0, 2]);
        assert_eq!(select(&[Requirement::new("tier", Operator::Exists)]), [1]);
        assert_eq!(select(&[Requirement::new("tier", Operator::DoesNotExist)]), [0, 2]);
        assert_eq!(select(&[Requirement::new("nobody", Operator::NotIn(values(&["has"])))]), [0, 1, 2]);
    }

    #[test]
    fn requirements_are_anded() {
        assert_eq!(select(&[Requirement::new("app", Operator::Exists), Requirement::equals("tier", "back")]), [1]);
    }

    #[test]
    fn a_member_that_changes_its_labels_is_found_anew() {
        let operators = [
            Operator::In(values(&["web", "db"])),
            Operator::NotIn(values(&["web"])),
            Operator::Exists,
            Operator::DoesNotExist,
        ];
        let asked = || operators.iter().map(|operator| Requirement::new("app", operator.clone()));
        let versions =
            [labels(&[]), labels(&[("app", "web")]), labels(&[("app", "db"), ("x", "1")]), labels(&[("app", "q")])];
        for before in &versions {
            for after in &versions {
                let mut index = index_of([before].into_iter());
                let ids = index.requirements(&asked().collect());
                index.put(0, before, after);
                index.put(1, &versions[0], before);
                let mut fresh = index_of([after, before].into_iter());
                for (id, fresh_id) in ids.into_iter().zip(fresh.requirements(&asked().collect())) {
                    assert_eq!(index.select(&[id]), fresh.select(&[fresh_id]), "{before:?} to {after:?}");
                }
            }
        }
    }
}
