//! How a text is laid out around a place: lines, bytes, blanks, comments.

use palisade_engine::model::Position;

use crate::texts::lines;

/// A text by line.
pub(super) struct Layout<'t> {
    text: &'t str,
    /// Where each line begins, and its text without its end.
    lines: Vec<(usize, &'t str)>,
}

impl<'t> Layout<'t> {
    /// A text without byte order mark.
    pub(super) fn new(text: &'t str) -> Self {
        let mut start = 0;
        let lines = lines(text).map(|line| {
            let this = start;
            let after = text.get(start + line.len()..).unwrap_or_default();
            start += line.len() + if after.starts_with("\r\n") { 2 } else { 1 };
            (this, line)
        });
        Self { text, lines: lines.collect() }
    }

    /// The byte of a place.
    pub(super) fn byte(&self, at: Position) -> Option<usize> {
        let (start, line) = *self.lines.get(at.line.checked_sub(1)? as usize)?;
        let column = at.column.checked_sub(1)? as usize;
        let inside = line.char_indices().map(|(byte, _)| byte).chain([line.len()]).nth(column)?;
        Some(start + inside)
    }

    /// The text between two places.
    pub(super) fn between(&self, start: Position, end: Position) -> Option<&'t str> {
        self.text.get(self.byte(start)?..self.byte(end)?)
    }

    /// What a line has before a place.
    pub(super) fn before(&self, at: Position) -> Option<&'t str> {
        self.between(Position { column: 1, ..at }, at)
    }

    /// What a line has from a place on.
    pub(super) fn after(&self, at: Position) -> Option<&'t str> {
        self.between(at, self.line_end(at.line)?)
    }

    /// The place behind the last character of a line.
    pub(super) fn line_end(&self, line: u32) -> Option<Position> {
        let (_, text) = self.lines.get(line.checked_sub(1)? as usize)?;
        Some(Position { line, column: u32::try_from(text.chars().count()).ok()?.saturating_add(1) })
    }

    /// One line, without its end.
    pub(super) fn line(&self, line: u32) -> Option<&'t str> {
        self.lines.get(line.checked_sub(1)? as usize).map(|(_, text)| *text)
    }

    /// How many lines there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// How this text's lines end.
    pub(super) fn end_mark(&self) -> &'static str {
        match self.text.find('\n') {
            Some(place) if self.text.get(..place).is_some_and(|before| before.ends_with('\r')) => "\r\n",
            _ => "\n",
        }
    }
}

/// Where the comment in a line begins, outside of quotes; a quote that goes on over lines is not known
/// here, so what has one is looked at with care by the caller.
pub(super) fn comment(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    let mut escaped = false;
    for (byte, c) in line.char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                before = c;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if matches!(before, ' ' | '\t' | '[' | '{' | ',' | ':') => quote = Some(c),
            (None, '#') if matches!(before, ' ' | '\t') => return Some(byte),
            (None, _) => {}
        }
        escaped = false;
        before = c;
    }
    None
}
