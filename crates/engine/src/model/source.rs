//! Where a value was written: the file, the line and the column.

use std::{fmt, num::NonZeroU32};

use super::Name;

/// One of the inputs of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(NonZeroU32);

/// A place in a text: both numbers start at 1; a column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}

/// A stretch of one input, from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The input.
    pub file: FileId,
    /// The first character.
    pub start: Position,
    /// The place after the last character.
    pub end: Position,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The names of the inputs, as the user gave them (`-` reads as `<stdin>`).
#[derive(Clone, Debug, Default)]
pub struct Sources {
    names: Vec<Name>,
}

impl Sources {
    /// Adds an input and returns its id.
    pub fn add(&mut self, name: impl Into<Name>) -> FileId {
        self.names.push(name.into());
        let count = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        FileId(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
    }

    /// The name under which `file` was added.
    pub fn name(&self, file: FileId) -> &str {
        self.names.get(file.0.get() as usize - 1).map_or("?", Name::as_str)
    }

    /// Every input with its id, in the order added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Name)> {
        (1u32..).filter_map(NonZeroU32::new).map(FileId).zip(&self.names)
    }
}
