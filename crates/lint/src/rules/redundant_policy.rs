//! A policy that another one makes redundant
//!
//! ## What it does
//! Finds policies whose pods another policy of the namespace selects too, in the same directions, with
//! rules that allow at least the same, whatever pods come and go. A default deny beside policies that allow
//! is left alone.
//!
//! ## Why is this bad
//! Taking it out changes nothing, and nobody knows which of the two is meant.
//!
//! ## Example
//! Two copies of one policy under two names.
//!
//! ## Use instead
//! One of them.
//!
//! ## Where it comes from
//! Policies are united: isolation by any, allowed by any.

use std::collections::BTreeMap;

use palisade_engine::model::{Direction, NetworkPolicy, PolicyId, Requirement};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP502",
    name: "redundant-policy",
    level: Some(Level::Warning),
    source: include_str!("redundant_policy.rs"),
    check,
};

/// In a namespace with more policies than this nobody reads them one by one.
const MOST: usize = 200;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let mut by_namespace: BTreeMap<&str, Vec<PolicyId>> = BTreeMap::new();
    for (id, policy) in subject.cluster.policies() {
        by_namespace.entry(&policy.id.namespace).or_default().push(id);
    }
    for ids in by_namespace.values().filter(|ids| ids.len() <= MOST) {
        for id in ids {
            let wider = ids.iter().find(|other| {
                *other != id && covers(subject, **other, *id) && (*other < id || !covers(subject, *id, **other))
            });
            let Some(wider) = wider else { continue };
            let (policy, other) = (subject.cluster.policy(*id), subject.cluster.policy(*wider));
            let message = format!("{} isolates and allows nothing that {} does not", policy.id.name, other.id.name);
            let finding =
                Finding::new(format!("NetworkPolicy {}", policy.id), message).at("spec", policy.at, "redundant");
            findings.push(finding.also(other.at, "does all of it"));
        }
    }
}

fn covers(subject: &Subject<'_>, wide: PolicyId, narrow: PolicyId) -> bool {
    let program = subject.program;
    let (outer, inner) = (subject.cluster.policy(wide), subject.cluster.policy(narrow));
    if !subject_covers(outer, inner) {
        return false;
    }
    // A policy that selects nobody today is another rule's business.
    if subject.has_pods && program.subjects_of(narrow).is_none_or(|some| program.members(some).is_empty()) {
        return false;
    }
    // A policy without rules says "closed by default", whatever the others come to allow.
    let closes = |policy: &NetworkPolicy| policy.ingress.is_empty() && policy.egress.is_empty();
    if closes(inner) && !closes(outer) {
        return false;
    }
    Direction::ALL.into_iter().filter(|direction| program.affects(narrow, *direction)).all(|direction| {
        let rules = |policy| {
            let count = subject.cluster.policy(policy).rules(direction).len();
            (0..count).filter_map(move |index| program.rule_of(policy, direction, index))
        };
        program.affects(wide, direction)
            && rules(narrow).all(|rule| rules(wide).any(|wider| program.covers(wider, rule)))
    })
}

/// Whether every pod that the one selects is one that the other selects, whatever pods come.
fn subject_covers(wide: &NetworkPolicy, narrow: &NetworkPolicy) -> bool {
    let asks = |wanted: &Requirement| {
        narrow.subject.requirements.iter().any(|other| other.key == wanted.key && other.operator == wanted.operator)
    };
    wide.subject.requirements.iter().all(asks)
}
