//! A selector that nothing can meet
//!
//! ## What it does
//! Finds selectors whose requirements exclude each other: In and NotIn of the same values, Exists and
//! DoesNotExist of one key, two equalities of one key.
//!
//! ## Why is this bad
//! All requirements must hold, so the selector selects nothing, whatever pods come.
//!
//! ## Example
//! ```yaml
//! matchExpressions:
//! - {key: tier, operator: In, values: [web]}
//! - {key: tier, operator: NotIn, values: [web]}
//! ```
//!
//! ## Use instead
//! One requirement for a key.
//!
//! ## Where it comes from
//! LabelSelector in the API reference: the requirements are ANDed.

use palisade_engine::model::{LabelSelector, Name, NamespaceScope, Operator, Peer, Requirement};

use crate::{Finding, Level, Lint, Subject, subject::peer_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP205",
    name: "contradictory-selector",
    level: Some(Level::Warning),
    source: include_str!("contradictory_selector.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        let mut selectors: Vec<(String, &LabelSelector)> = vec![("spec.podSelector".to_owned(), &policy.subject)];
        for (direction, index, rule) in subject.rules(id) {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Pods { namespaces, pods, .. } = peer else { continue };
                let field = peer_field(direction, index, number);
                if let NamespaceScope::Matching(selector) = namespaces {
                    selectors.push((format!("{field}.namespaceSelector"), selector));
                }
                selectors.push((format!("{field}.podSelector"), pods));
            }
        }
        for (field, selector) in selectors {
            let Some((first, second)) = contradiction(selector) else { continue };
            let message = format!("nothing can be both `{first}` and `{second}`, so this selector selects nothing");
            let finding = Finding::new(&object, message).at(field, second.at, "and this");
            findings.push(finding.also(first.at, "it asks for this"));
        }
    }
}

/// Two requirements of a selector that exclude each other.
pub(crate) fn contradiction(selector: &LabelSelector) -> Option<(&Requirement, &Requirement)> {
    let requirements = &selector.requirements;
    let pairs = requirements
        .iter()
        .enumerate()
        .flat_map(|(index, first)| requirements.iter().skip(index + 1).map(move |second| (first, second)));
    pairs.into_iter().find(|(first, second)| first.key == second.key && exclude(&first.operator, &second.operator))
}

fn exclude(first: &Operator, second: &Operator) -> bool {
    let disjoint = |a: &[Name], b: &[Name]| !a.iter().any(|value| b.contains(value));
    let within = |a: &[Name], b: &[Name]| a.iter().all(|value| b.contains(value));
    match (first, second) {
        (Operator::In(a), Operator::In(b)) => disjoint(a, b),
        (Operator::In(a), Operator::NotIn(b)) | (Operator::NotIn(b), Operator::In(a)) => within(a, b),
        (Operator::DoesNotExist, Operator::In(_) | Operator::Exists) => true,
        (Operator::In(_) | Operator::Exists, Operator::DoesNotExist) => true,
        _ => false,
    }
}
