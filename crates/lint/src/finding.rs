//! What a rule finds, and how to mend it.

use palisade_engine::model::{NetworkPolicy, Span};
use palisade_manifest::{
    Fix, Safety,
    fix::{Change, Value},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Certainly not what was meant.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is the matter, in one sentence without a full stop.
    pub message: String,
    /// The object, such as `NetworkPolicy prod/api`.
    pub object: String,
    /// The field, such as `spec.egress[0].to[1]`.
    pub field: Option<String>,
    /// The place, when the object came from a file.
    pub at: Option<Span>,
    /// The words beside the place.
    pub label: String,
    /// Other places that matter.
    pub also: Vec<Note>,
    /// What to do.
    pub help: Vec<String>,
    /// How to do it, when a program can.
    pub fix: Option<Fix>,
}

/// Words beside another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The place.
    pub at: Span,
    /// The words.
    pub label: String,
}

impl Finding {
    /// A finding about an object.
    pub fn new(object: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            object: object.into(),
            field: None,
            at: None,
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
            fix: None,
        }
    }

    /// At a field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>, at: Option<Span>, label: impl Into<String>) -> Self {
        (self.field, self.at, self.label) = (Some(field.into()), at, label.into());
        self
    }

    /// With another place, when it is known.
    #[must_use]
    pub fn also(mut self, at: Option<Span>, label: impl Into<String>) -> Self {
        self.also.extend(at.map(|at| Note { at, label: label.into() }));
        self
    }

    /// With a line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// With a fix.
    #[must_use]
    pub fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }
}

/// Takes an item out of a list, which changes nothing of what the policy means.
pub(crate) fn remove(policy: &NetworkPolicy, field: impl Into<String>, description: &str) -> Option<Fix> {
    let change = Change::Remove { object: policy.at?, field: field.into() };
    Some(Fix::new(Safety::Safe, description, change))
}

/// Adds a field (`spec.policyTypes`) or an item of a list (`spec.egress[]`).
pub(crate) fn add(
    policy: &NetworkPolicy,
    safety: Safety,
    field: impl Into<String>,
    value: Value,
    description: &str,
) -> Option<Fix> {
    let change = Change::Add { object: policy.at?, field: field.into(), value, after: Some("podSelector") };
    Some(Fix::new(safety, description, change))
}
