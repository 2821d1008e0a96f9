//! What is to be told about an input: plain data, made here and by lints, rendered by [`crate::render`].

use std::{borrow::Cow, fmt};

use palisade_engine::model::{Conflict, Span};

use crate::fix::Fix;

/// The codes of this crate's own findings. Lints have numbered codes (`NP103`).
pub mod code {
    /// The Kubernetes API server would refuse it.
    pub const API: &str = "API";
    /// Not YAML, or not JSON.
    pub const YAML: &str = "YAML";
    /// A key twice in one mapping: kubectl may keep the last in silence.
    pub const DUPLICATE_KEY: &str = "DUPLICATE-KEY";
    /// Bytes that are not UTF-8: kubectl may swallow them.
    pub const ENCODING: &str = "ENCODING";
    /// A key that kubectl turns into another one in silence (`y:` becomes `true:`).
    pub const YAML_KEY: &str = "YAML-KEY";
    /// A `y` or `n` without quotes: a string for most tools and here, a boolean for kubectl.
    pub const YAML_BOOL: &str = "YAML-BOOL";
    /// A file or folder that cannot be read, or holds nothing.
    pub const INPUT: &str = "INPUT";
    /// Two objects that cannot both be there.
    pub const CONFLICT: &str = "CONFLICT";
    /// A list that is only one page of several.
    pub const PARTIAL_LIST: &str = "PARTIAL-LIST";

    /// An annotation that says neither that policies are enforced nor that they are audited.
    pub const MODE: &str = "MODE";

    /// A selector of a cluster-wide policy that no label can be compared with.
    pub const CNP_SELECTOR: &str = "CNP-SELECTOR";
    /// A port of a cluster-wide policy that no pod can have.
    pub const CNP_PORT: &str = "CNP-PORT";
    /// A domain name that cannot be one, or that a rule denies or passes.
    pub const CNP_DOMAIN: &str = "CNP-DOMAIN";
    /// A rule of the last tier that leaves it to the next one.
    pub const CNP_PASS: &str = "CNP-PASS";

    /// All of them.
    pub const ALL: [&str; 14] = [
        API,
        YAML,
        DUPLICATE_KEY,
        ENCODING,
        YAML_KEY,
        YAML_BOOL,
        INPUT,
        CONFLICT,
        PARTIAL_LIST,
        MODE,
        CNP_SELECTOR,
        CNP_PORT,
        CNP_DOMAIN,
        CNP_PASS,
    ];
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look; the answer stands.
    Warning,
    /// Something was not understood: no answer may be given that ignores it.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place and what is to be said there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The place.
    pub span: Span,
    /// The words beside the carets; may be empty.
    pub label: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One of [`code`], or a lint's, perhaps with its name: `NP103 egress-without-dns`.
    pub code: Cow<'static, str>,
    /// What is wrong, in one line.
    pub message: String,
    /// Where, with what to do about it in a few words. `None` for what has no place in a text.
    pub primary: Option<Annotation>,
    /// Other places that matter, such as the first of two equal keys.
    pub secondary: Vec<Annotation>,
    /// The object: `NetworkPolicy prod/api-allow`.
    pub object: Option<String>,
    /// The field, as the API server would name it: `spec.ingress[0].ports[0].protocol`.
    pub field: Option<String>,
    /// More lines of help.
    pub help: Vec<String>,
    /// What would mend it.
    pub fix: Option<Fix>,
    /// Whether it has nothing to do with what the object means: the server refuses it, and yet what a
    /// policy of a wrong name would do is beyond doubt.
    pub is_harmless: bool,
}

impl Diagnostic {
    /// A finding without a place so far.
    pub fn new(severity: Severity, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: code.into(),
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            object: None,
            field: None,
            help: Vec::new(),
            fix: None,
            is_harmless: false,
        }
    }

    /// An error without a place so far.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.primary = Some(Annotation { span, label: label.into() });
        self
    }

    /// The same with other words at its place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.label = label.into();
        }
        self
    }

    /// The same with one more place.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push(Annotation { span, label: label.into() });
        self
    }

    /// The same with one more line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// The same with what would mend it.
    #[must_use]
    pub fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }

    /// Whether no answer may be given that ignores it: something of what the input means is not known.
    pub fn leaves_out(&self) -> bool {
        self.is_error() && !self.is_harmless
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl From<&Conflict> for Diagnostic {
    /// Two objects of one name, or two owners of one address, with both places.
    fn from(conflict: &Conflict) -> Self {
        let finding = Self::error(code::CONFLICT, conflict.to_string());
        let (first, second, labels) = match conflict {
            Conflict::Duplicate { first, second, .. } => {
                (*first, *second, ("first here".to_owned(), "and again here".to_owned()))
            }
            Conflict::SharedAddress { first, second, first_at, second_at, .. } => {
                (*first_at, *second_at, (first.clone(), second.clone()))
            }
            _ => return finding,
        };
        match (first, second) {
            (Some(first), Some(second)) => finding.at(second, labels.1).also(first, labels.0),
            (Some(only), None) => finding.at(only, labels.0),
            (None, Some(only)) => finding.at(only, labels.1),
            (None, None) => finding,
        }
    }
}
