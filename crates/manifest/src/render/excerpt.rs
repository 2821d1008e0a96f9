//! The stretch of a text that an excerpt shows, and what is marked in it.

use std::ops::Range;

use palisade_engine::model::{Position, Span};

use crate::texts::Text;

/// Lines of context that are shown above a caret line at most; what is between is left out.
const MAX_CONTEXT: usize = 8;

/// A longer line (JSON on one line, say) is cut to this many bytes on both sides of what is marked.
const MAX_SIDE: usize = 400;

/// Something marked.
#[derive(Debug)]
pub(super) struct Mark {
    /// Where, in [`Window::source`].
    pub(super) bytes: Range<usize>,
    /// The words beside it.
    pub(super) label: String,
    /// `None`: only to be visible.
    pub(super) is_primary: Option<bool>,
}

/// Lines of one text.
#[derive(Debug)]
pub(super) struct Window {
    path: Option<String>,
    /// Characters that are underlined at most, so that all of them fit on the terminal.
    longest_mark: usize,
    lines: Vec<(u32, String)>,
    marks: Vec<(u32, Range<usize>, String, Option<bool>)>,
    built: (String, Vec<Mark>),
}

impl Window {
    pub(super) fn new(path: Option<String>, width: usize) -> Self {
        let longest_mark = width.saturating_sub(16);
        Self { path, longest_mark, lines: Vec::new(), marks: Vec::new(), built: (String::new(), Vec::new()) }
    }

    /// Marks the first line of a span. `None` when the text has no such line.
    pub(super) fn add(&mut self, text: &Text, span: Span, label: &str, is_primary: bool) -> Option<()> {
        let line = text.line(span.start.line)?;
        let bytes = marked(line, span, self.longest_mark);
        self.marks.push((span.start.line, bytes, label.to_owned(), Some(is_primary)));
        self.show(span.start.line, line);
        self.build();
        Some(())
    }

    /// Shows the lines from the beginning of `from` down to `to`.
    pub(super) fn add_context(&mut self, text: &Text, from: Span, to: Span) {
        let count = to.start.line.saturating_sub(from.start.line) as usize;
        // The beginning says what it is, the end leads to the caret.
        let left_out = if count > MAX_CONTEXT { 2..count.saturating_sub(MAX_CONTEXT - 2) } else { 0..0 };
        let shown = (from.start.line..to.start.line).enumerate().filter(|(place, _)| !left_out.contains(place));
        for (number, line) in shown.filter_map(|(_, number)| Some((number, text.line(number)?))) {
            self.marks.push((number, 0..line.len(), String::new(), None));
            self.show(number, line);
        }
        self.build();
    }

    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The lines, with an empty one for each that is left out, so that numbers are right.
    pub(super) fn source(&self) -> &str {
        &self.built.0
    }

    pub(super) fn first_line(&self) -> usize {
        self.lines.first().map_or(1, |(number, _)| *number as usize)
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.built.1
    }

    fn show(&mut self, number: u32, line: &str) {
        if let Err(place) = self.lines.binary_search_by_key(&number, |(number, _)| *number) {
            self.lines.insert(place, (number, line.to_owned()));
        }
    }

    fn build(&mut self) {
        let mut source = String::new();
        let mut marks = Vec::new();
        let mut next = self.lines.first().map_or(1, |(number, _)| *number);
        for (number, line) in &self.lines {
            // The renderer counts lines, so each that is left out must be there.
            for _ in next..*number {
                source.push('\n');
            }
            next = number.saturating_add(1);
            let (cut, shown) = self.cut(*number, line);
            for (_, bytes, label, is_primary) in self.marks.iter().filter(|(at, ..)| at == number) {
                let start = source.len() + bytes.start.saturating_sub(cut).min(shown.len());
                let end = source.len() + bytes.end.saturating_sub(cut).min(shown.len());
                marks.push(Mark { bytes: start..end, label: label.clone(), is_primary: *is_primary });
            }
            source.push_str(shown);
            source.push('\n');
        }
        self.built = (source, marks);
    }

    /// What of a very long line is near its marks, and how much is cut off in front.
    fn cut<'l>(&self, number: u32, line: &'l str) -> (usize, &'l str) {
        let here = self.marks.iter().filter(|(at, _, _, kind)| *at == number && kind.is_some());
        let (mut first, mut last) = (usize::MAX, 0);
        for (_, bytes, ..) in here {
            first = first.min(bytes.start);
            last = last.max(bytes.start);
        }
        let (mut from, mut to) = (first.min(line.len()).saturating_sub(MAX_SIDE), last.saturating_add(MAX_SIDE));
        if first == usize::MAX {
            (from, to) = (0, MAX_SIDE);
        }
        to = to.min(line.len());
        while !line.is_char_boundary(from) {
            from -= 1;
        }
        while !line.is_char_boundary(to) {
            to += 1;
        }
        (from, line.get(from..to).unwrap_or(line))
    }
}

/// The bytes of a line that a span covers; at least one character, unless the line ends there.
fn marked(line: &str, span: Span, longest: usize) -> Range<usize> {
    let byte = |column: u32| {
        let place = column.saturating_sub(1) as usize;
        line.char_indices().nth(place).map_or(line.len(), |(byte, _)| byte)
    };
    let Position { line: last, column } = span.end;
    let start = byte(span.start.column);
    let end = if last == span.start.line { byte(column) } else { line.trim_end().len() };
    let next = line.get(start..).and_then(|rest| rest.chars().next()).map_or(start, |c| start + c.len_utf8());
    let rest = line.get(start..).unwrap_or_default();
    let most = rest.char_indices().nth(longest).map_or(line.len(), |(byte, _)| start + byte);
    start..end.max(next).min(most)
}
