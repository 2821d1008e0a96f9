//! What can be wrong with a text before it is any object.

use std::fmt;

use granit_parser::ErrorKind;
use palisade_engine::model::Position;

/// A mistake in a YAML or JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// What is wrong.
    pub mistake: Mistake,
    /// The first character it is about.
    pub start: Position,
    /// The place after the last one.
    pub end: Position,
    /// The other place it is about: the first of two equal keys.
    pub earlier: Option<(Position, Position)>,
}

/// The ways in which a text is not YAML, or not YAML that can be turned into an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// The grammar is broken.
    Syntax {
        /// How.
        message: String,
        /// What to do about it, in a few words; may be empty.
        advice: &'static str,
    },
    /// A tab where only spaces may indent.
    Tab,
    /// A quote, bracket or brace is never closed.
    Unclosed(String),
    /// More collections inside each other than any object has.
    TooDeep,
    /// More values in one object than any object has.
    TooLarge,
    /// One key twice in one mapping.
    DuplicateKey {
        /// The key.
        key: String,
        /// Whether the mapping is the document itself (or an item of a list).
        top: bool,
    },
    /// A key that is a list or a mapping.
    KeyNotScalar,
    /// A key that is null.
    NullKey,
    /// `*name` without an `&name` before it.
    UnknownAnchor,
    /// `*name` inside of what `&name` stands at.
    AliasOfItself,
    /// Aliases of aliases: a small text that stands for an enormous one.
    TooManyAliases,
    /// `<<` with something else than a mapping, or a list of mappings.
    BadMerge,
    /// A value without quotes that starts with a colon, inside `{}` or `[]`.
    ColonInFlow,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { message, .. } | Self::Unclosed(message) => f.write_str(message),
            Self::Tab => f.write_str("a tab indents this line, and YAML allows only spaces"),
            Self::TooDeep => write!(f, "more than {} levels inside each other", super::MAX_DEPTH),
            Self::TooLarge => write!(f, "an object of more than {} values", super::MAX_NODES),
            Self::DuplicateKey { key, .. } => write!(f, "the key `{key}` is written twice"),
            Self::KeyNotScalar => f.write_str("a key must be a plain word, not a list or a mapping"),
            Self::NullKey => f.write_str("a key must not be null"),
            Self::UnknownAnchor => f.write_str("no anchor of this name is written before it"),
            Self::AliasOfItself => f.write_str("an alias inside of its own anchor would never end"),
            Self::TooManyAliases => f.write_str("aliases make this document many times larger than it is written"),
            Self::BadMerge => f.write_str("only a mapping, or a list of mappings, can be merged with `<<`"),
            Self::ColonInFlow => f.write_str("inside braces and brackets a value cannot start with a colon"),
        }
    }
}

impl Mistake {
    /// The parser's own findings in words that help.
    pub(super) fn of_parser(kind: &ErrorKind) -> Self {
        let syntax = |message: &str, advice| Self::Syntax { message: message.to_owned(), advice };
        match kind {
            ErrorKind::RecursionLimitExceeded => Self::TooDeep,
            ErrorKind::UnknownAnchor => Self::UnknownAnchor,
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar => Self::Tab,
            ErrorKind::UnclosedQuotedScalar => Self::Unclosed("this quote is never closed".to_owned()),
            ErrorKind::UnclosedFlowCollection { open } => Self::Unclosed(format!("this `{open}` is never closed")),
            ErrorKind::UnexpectedEofFlowSequence => Self::Unclosed("a `[` is never closed".to_owned()),
            ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
                Self::Unclosed("a `{` is never closed".to_owned())
            }
            ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
                syntax("this line is indented like nothing above it", "check the indentation")
            }
            ErrorKind::ExpectedBlockSequenceEntry => {
                syntax("this line is indented like a list item, but has no `- `", "check the indentation")
            }
            ErrorKind::MappingValueNotAllowed => syntax(
                "a value cannot have a key and value of its own on one line",
                "put quotes around the whole value",
            ),
            ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
                syntax("a key without a `:` after it", "write `key: value`")
            }
            ErrorKind::UnexpectedCharacter { character } => Self::Syntax {
                message: format!("a value without quotes cannot begin with `{}`", character.escape_debug()),
                advice: "put quotes around the value",
            },
            ErrorKind::InvalidQuotedScalarIndent => {
                syntax("a text in quotes goes on here without indentation", "is the closing quote missing above?")
            }
            ErrorKind::BlockSequenceEntryNotAllowed => {
                syntax("a list cannot begin on the line of its key", "put it on the next line")
            }
            ErrorKind::BlockEntryInFlowCollection => {
                syntax("inside braces and brackets an item has no `- `", "separate items by commas")
            }
            ErrorKind::ExpectedFlowMappingSeparator => syntax("a `,` or a `}` is missing before this", ""),
            ErrorKind::ExpectedFlowSequenceSeparator => syntax("a `,` or a `]` is missing before this", ""),
            ErrorKind::ExpectedDocumentStart => {
                syntax("after the end of this document only `---` can begin another", "")
            }
            ErrorKind::BomInsideDocument => syntax("a byte order mark in the middle of the text", "remove it"),
            kind => Self::Syntax { message: kind.to_string(), advice: "" },
        }
    }
}

impl std::error::Error for YamlError {}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.start, self.mistake)
    }
}
