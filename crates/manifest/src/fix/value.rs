//! Values as fixes write them: YAML with hyphens, YAML in braces, JSON.

use crate::yaml::{Value as Scalar, plain};

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number.
    Number(u16),
    /// A list.
    List(Vec<Self>),
    /// A mapping.
    Map(Vec<(&'static str, Self)>),
}

impl Value {
    /// In braces and brackets, on one line.
    pub(super) fn flow(&self, json: bool) -> String {
        match self {
            Self::Text(text) => scalar(text, json),
            Self::Number(number) => number.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.flow(json)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}: {}", scalar(key, json), value.flow(json))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// What follows `key:`, with the blank or line end in front of it, in lines that begin `indent` columns
    /// in; the hyphens of lists stand `offset` columns right of their keys.
    pub(super) fn after_key(&self, indent: usize, offset: usize, line_end: &str) -> String {
        match self {
            Self::List(items) if !items.is_empty() && !self.is_short() => {
                let dashes = indent + offset;
                let lead = format!("{line_end}{}", " ".repeat(dashes));
                items.iter().map(|item| format!("{lead}{}", item.item(dashes, offset, line_end))).collect()
            }
            Self::Map(entries) if !entries.is_empty() => {
                let lead = format!("{line_end}{}", " ".repeat(indent + 2));
                let write = |(key, value): &(&str, Self)| {
                    format!("{lead}{}:{}", scalar(key, false), value.after_key(indent + 2, offset, line_end))
                };
                entries.iter().map(write).collect()
            }
            value => format!(" {}", value.flow(false)),
        }
    }

    /// An item of a list whose hyphens stand `dashes` columns in, from its hyphen on.
    pub(super) fn item(&self, dashes: usize, offset: usize, line_end: &str) -> String {
        let Self::Map(entries) = self else { return format!("- {}", self.flow(false)) };
        let lead = format!("{line_end}{}", " ".repeat(dashes + 2));
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, value)| format!("{}:{}", scalar(key, false), value.after_key(dashes + 2, offset, line_end)))
            .collect();
        format!("- {}", entries.join(&lead))
    }

    /// A list of words fits behind its key.
    fn is_short(&self) -> bool {
        matches!(self, Self::List(items) if items.iter().all(|item| matches!(item, Self::Text(_) | Self::Number(_))))
    }
}

/// A text as a scalar: without quotes where that is a string too.
pub(super) fn scalar(text: &str, json: bool) -> String {
    if json || !needs_no_quotes(text) { quoted(text) } else { text.to_owned() }
}

/// A text in double quotes, which JSON and YAML read alike.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a text without quotes is that text as a string, wherever it stands and whoever reads it.
fn needs_no_quotes(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_');
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | ':');
    text.starts_with(begins)
        && text.chars().all(goes_on)
        && !text.ends_with(':')
        && !matches!(text, "y" | "Y" | "n" | "N")
        && matches!(plain(text), Scalar::String(_))
}
