//! Label selectors, each evaluated once, through an index from label to those who carry it.
//!
//! ```text
//! labels ──► LabelIndex ──► one bitmap a requirement ──► and ──► one bitmap a selector
//! ```
//!
//! There is an index over the namespaces and one over the identities. A requirement's bitmap is kept:
//! an explanation asks it which condition an identity missed.

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
    bitmaps: Vec<RoaringBitmap>,
}

#[derive(Debug, Default)]
struct KeyIndex {
    present: RoaringBitmap,
    values: FxHashMap<Name, RoaringBitmap>,
}

impl LabelIndex {
    /// An index over the label sets given; the first one is member 0.
    pub(crate) fn new<'a>(members: impl Iterator<Item = &'a Labels>) -> Self {
        let mut index = Self::default();
        for (member, labels) in (0u32..).zip(members) {
            index.all.insert(member);
            for (key, value) in labels.iter() {
                let entry = index.keys.entry(key.clone()).or_default();
                entry.present.insert(member);
                entry.values.entry(value.clone()).or_default().insert(member);
            }
        }
        index
    }

    /// The requirements of a selector, in the order written.
    pub(crate) fn requirements(&mut self, selector: &LabelSelector) -> Vec<RequirementId> {
        selector.requirements.iter().map(|requirement| self.requirement(requirement)).collect()
    }

    /// Those for whom all requirements hold.
    pub(crate) fn select(&self, requirements: &[RequirementId]) -> RoaringBitmap {
        let mut bitmaps = requirements.iter().map(|id| self.members(*id));
        let Some(first) = bitmaps.next() else { return self.all.clone() };
        bitmaps.fold(first.clone(), |selected, bitmap| selected & bitmap)
    }

    /// Some requirements as text, one way of writing it only; empty when there is none.
    pub(crate) fn text(&self, requirements: &[RequirementId]) -> String {
        let texts = requirements.iter().filter_map(|id| self.interned.get(id.0));
        let mut texts: Vec<String> = texts
            .map(|(key, operator)| Requirement { key: key.clone(), operator: operator.clone(), at: None }.to_string())
            .collect();
        texts.sort();
        texts.join(",")
    }

    /// Whether a requirement holds for `member`.
    pub(crate) fn holds(&self, requirement: RequirementId, member: u32) -> bool {
        self.members(requirement).contains(member)
    }

    fn requirement(&mut self, requirement: &Requirement) -> RequirementId {
        let id = self.interned.intern((requirement.key.clone(), canonical(&requirement.operator)));
        if id as usize == self.bitmaps.len() {
            self.bitmaps.push(self.evaluate(requirement));
        }
        RequirementId(id)
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT: an id is made with its bitmap, and none is ever removed")]
    fn members(&self, id: RequirementId) -> &RoaringBitmap {
        &self.bitmaps[id.0 as usize]
    }

    fn evaluate(&self, requirement: &Requirement) -> RoaringBitmap {
        let key = self.keys.get(&requirement.key);
        let with_one_of = |values: &[Name]| {
            let found = values.iter().filter_map(|value| key?.values.get(value));
            found.fold(RoaringBitmap::new(), |members, bitmap| members | bitmap)
        };
        let present = || key.map(|key| key.present.clone()).unwrap_or_default();
        match &requirement.operator {
            Operator::In(values) => with_one_of(values),
            Operator::NotIn(values) => &self.all - with_one_of(values),
            Operator::Exists => present(),
            Operator::DoesNotExist => &self.all - present(),
        }
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

    fn select(requirements: &[Requirement]) -> Vec<u32> {
        let members = [labels(&[("app", "web")]), labels(&[("app", "db"), ("tier", "back")]), labels(&[])];
        let mut index = LabelIndex::new(members.iter());
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
}
