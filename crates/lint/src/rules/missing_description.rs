//! A policy without a description
//!
//! ## What it does
//! Finds policies without the annotation `kubernetes.io/description` (or `description`). Off unless switched on.
//!
//! ## Why is this bad
//! A rule outlives the reason for it; the next person does not dare to change it.
//!
//! ## Example
//! ```yaml
//! metadata:
//!   name: legacy-allow
//! ```
//!
//! ## Use instead
//! ```yaml
//! metadata:
//!   name: legacy-allow
//!   annotations:
//!     kubernetes.io/description: the old billing job still writes to the database directly
//! ```
//!
//! ## Where it comes from
//! `kubernetes.io/description` among the well-known annotations.

use palisade_engine::model::NetworkPolicy;

use crate::{Finding, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP505",
    name: "missing-description",
    level: None,
    source: include_str!("missing_description.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (_, policy, object) in subject.policies() {
        if ["kubernetes.io/description", "description"].iter().all(|key| is_empty(policy, key)) {
            let message = format!("{} does not say what it is for", policy.id.name);
            let finding =
                Finding::new(&object, message).at("metadata.annotations", policy.at, "no kubernetes.io/description");
            findings.push(finding);
        }
    }
}

fn is_empty(policy: &NetworkPolicy, key: &str) -> bool {
    policy.annotations.get(key).is_none_or(|text| text.trim().is_empty())
}
