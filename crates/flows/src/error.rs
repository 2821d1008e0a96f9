//! Why a line cannot be read: which field, and what is the matter with it.

use std::fmt;

use serde::Deserialize;

use crate::record::VERSION;

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is no line of a flow log.
    #[error("this is no line of a flow log: {0}")]
    Strange(Fault),
    /// It is of another version.
    #[error("this line is of version {0} of the format, and this palisade reads version {VERSION}")]
    Version(u32),
}

/// What is wrong with a line, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, as `dst.ip`; empty where it is the line as a whole.
    pub field: String,
    /// What is the matter with it.
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.why) } else { write!(f, "`{}`: {}", self.field, self.why) }
    }
}

impl LineError {
    /// The same, where what was read stands elsewhere in the line than its fields are called by.
    pub(crate) fn renamed(self, rename: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Strange(Fault { field, why }) => Self::Strange(Fault { field: rename(&field), why }),
            version @ Self::Version(_) => version,
        }
    }
}

/// A fault of one field.
pub(crate) fn fault(field: impl Into<String>, why: impl Into<String>) -> LineError {
    LineError::Strange(Fault { field: field.into(), why: why.into() })
}

/// Reads JSON. Which field is at fault is found out only when one is.
pub(crate) fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, LineError> {
    serde_json::from_str(text).map_err(|error| {
        let mut again = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Err(found) => {
                let path = found.path().to_string();
                let field = if path == "." { String::new() } else { path };
                fault(field, plain(found.inner()))
            }
            // Something behind the object.
            Ok(_) => fault("", plain(&error)),
        }
    })
}

/// The message, with the column alone: what is read is always one line.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((message, _)) => format!("{message} (column {})", error.column()),
        None => text,
    }
}
