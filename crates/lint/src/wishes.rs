//! Which findings objects do not want to hear of: the annotation `palisade.dev/ignore`.

use std::collections::HashMap;

use palisade_engine::model::Span;
use palisade_manifest::read::Wish;

use crate::{Finding, find};

/// Wishes with a reason, by object and by place.
#[derive(Debug, Default)]
pub struct Wishes<'w> {
    by_object: HashMap<&'w str, &'w str>,
    by_place: HashMap<Span, &'w Wish>,
}

impl<'w> Wishes<'w> {
    /// The wishes of the objects of an input.
    pub fn new(wishes: &'w [Wish]) -> Self {
        Self {
            by_object: wishes.iter().map(|wish| (wish.object.as_str(), wish.text.as_str())).collect(),
            by_place: wishes.iter().map(|wish| (wish.at, wish)).collect(),
        }
    }

    /// Whether the object at a place does not want to hear of a rule.
    pub(crate) fn at(&self, place: Option<Span>, code: &str) -> bool {
        place.and_then(|place| self.by_place.get(&place)).is_some_and(|wish| asks(&wish.text, code))
    }

    /// Whether nobody wants to hear of a finding: its object says so, or a Namespace, Service, pod or workload
    /// that it points at. Another policy that it points at has no say: it may be the one that is wrong.
    pub fn silence(&self, finding: &Finding, code: &str) -> bool {
        let own = self.by_object.get(finding.object.as_str()).is_some_and(|text| asks(text, code));
        let places = finding.also.iter().map(|note| note.at).chain(finding.at);
        let mut others = places.filter_map(|place| self.by_place.get(&place));
        own || others.any(|wish| !wish.object.starts_with("NetworkPolicy ") && asks(&wish.text, code))
    }
}

/// Whether a text names a rule and a reason: `NP103: reason`, several separated by `;`.
fn asks(text: &str, code: &str) -> bool {
    text.split(';')
        .filter_map(|entry| entry.split_once(':'))
        .any(|(named, reason)| find(named.trim()).is_some_and(|lint| lint.code == code) && !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::asks;

    #[test]
    fn a_wish_needs_a_known_rule_and_a_reason() {
        assert!(asks("NP103: addresses only", "NP103"));
        assert!(asks("NP104: x; egress-without-dns : addresses; only", "NP103"));
        for nothing in ["NP103", "NP103:", "NP103: ", "NP104: x", "", ";:;", "all: x"] {
            assert!(!asks(nothing, "NP103"), "{nothing}");
        }
    }
}
