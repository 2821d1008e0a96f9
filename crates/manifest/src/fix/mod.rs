//! Fixes: what would mend a finding, said of fields, and made into edits of a text when it is wanted.
//!
//! ```text
//! Fix: changes of fields ──► resolve   the text is parsed again;      ──► edits ──► apply
//! (a diagnostic's, a lint's)           layout and comments are known                those that do not meet
//! ```
//!
//! Whoever finds something knows the field and the place, not how the text around it is laid out: whether
//! a list is in brackets or has hyphens, whether it is JSON, where comments stand. So a [`Fix`] says what
//! is to change, and [`resolve`] says how, or why it cannot be done.

use std::fmt;

use palisade_engine::model::{Position, Span};

mod apply;
mod layout;
mod resolve;
mod value;

pub use apply::{Applied, apply};
pub use resolve::{Resolved, resolve};
pub use value::Value;

/// Whether a fix may be made without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Safety {
    /// The object means what it meant, or what it was refused for can only have meant this.
    Safe,
    /// It changes what is allowed, or guesses what was meant.
    ChangesMeaning,
}

/// What mends a finding. All changes are in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does: "write `TCP`".
    pub description: String,
    /// Whether it may be made without asking.
    pub safety: Safety,
    /// What changes: all of it, or nothing.
    pub changes: Vec<Change>,
}

/// One change of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A scalar, a key or a value, becomes another one.
    Write {
        /// The scalar, its quotes included.
        at: Span,
        /// What it becomes: a text (in quotes where it needs them, or had them) or a number.
        value: Value,
    },
    /// An item leaves its list.
    Remove {
        /// The object, all of it.
        object: Span,
        /// The item: `spec.ingress[0].ports[1]`.
        field: String,
    },
    /// A field is added to a mapping that has none of its name, or an item to the end of a list, which is
    /// made when there is none.
    Add {
        /// The object, all of it.
        object: Span,
        /// `spec.policyTypes` for a field, `spec.egress[]` for an item.
        field: String,
        /// What is added.
        value: Value,
        /// The field after which a new field stands, if it is there.
        after: Option<&'static str>,
    },
}

/// A stretch of a text becomes another text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What goes; an empty stretch is a place to insert.
    pub at: Span,
    /// What comes.
    pub text: String,
}

/// Why a fix cannot be made in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What is behind an anchor may be used elsewhere.
    #[error("its document has anchors (`&name`), and what they stand at may be used elsewhere")]
    Anchors,
    /// The text is not the one in which the finding was made, or is no YAML there.
    #[error("the place is not found in the text")]
    NotFound,
    /// The layout is one that edits would spoil.
    #[error("{0}")]
    Layout(&'static str),
}

impl Fix {
    /// A fix of one change.
    pub fn new(safety: Safety, description: impl Into<String>, change: Change) -> Self {
        Self { description: description.into(), safety, changes: vec![change] }
    }

    /// A scalar becomes a text.
    pub fn write(safety: Safety, at: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        let description = format!("write `{text}`");
        Self::new(safety, description, Change::Write { at, value: Value::Text(text) })
    }

    /// Whether it may be made: always when it is safe, else when the others are wanted too.
    pub fn is_wanted(&self, others_too: bool) -> bool {
        self.safety == Safety::Safe || others_too
    }
}

impl Change {
    /// The place by which the change is found: the scalar, or the object.
    pub fn at(&self) -> Span {
        match self {
            Self::Write { at, .. } => *at,
            Self::Remove { object, .. } | Self::Add { object, .. } => *object,
        }
    }
}

impl Value {
    /// A mapping.
    pub fn map<const N: usize>(entries: [(&'static str, Self); N]) -> Self {
        Self::Map(entries.into())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Safety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safe => "safe",
            Self::ChangesMeaning => "changes-meaning",
        })
    }
}

/// One step of a field's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'p> {
    Name(&'p str),
    Index(usize),
    /// `[]`: the end of a list.
    End,
}

/// The steps of `spec.ingress[0].ports[]`; `None` when it is no such path.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        steps.push(Step::Name(pieces.next().filter(|name| !name.is_empty())?));
        for piece in pieces {
            let index = piece.strip_suffix(']')?;
            steps.push(if index.is_empty() { Step::End } else { Step::Index(index.parse().ok()?) });
        }
    }
    Some(steps)
}

/// The span from one place to another.
fn span(like: Span, start: Position, end: Position) -> Span {
    Span { start, end, ..like }
}

#[cfg(test)]
mod tests;
