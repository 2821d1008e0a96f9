//! Texts of inputs, for excerpts: read again from the disk when one is needed.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    fs,
    rc::Rc,
};

use palisade_engine::model::{FileId, Sources};

/// A text with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    text: String,
    /// Where each line begins and ends, without its end mark.
    lines: Vec<(usize, usize)>,
}

impl Text {
    /// A text; a byte order mark in front is taken off.
    pub fn new(text: &str) -> Self {
        let text = without_mark(text).to_owned();
        let mut start = 0;
        let mut found = Vec::new();
        for line in lines(&text) {
            found.push((start, start + line.len()));
            let after = text.get(start + line.len()..).unwrap_or_default();
            start += line.len() + if after.starts_with("\r\n") { 2 } else { 1 };
        }
        Self { text, lines: found }
    }

    /// All of it, without byte order mark.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// One line, counted from 1, without its end.
    pub fn line(&self, number: u32) -> Option<&str> {
        let (start, end) = *self.lines.get(number.checked_sub(1)? as usize)?;
        self.text.get(start..end)
    }
}

/// Where a renderer gets the text of an input from.
pub trait SourceText {
    /// The text of `file`; `None` when it cannot be had.
    fn text(&self, file: FileId) -> Option<Rc<Text>>;
}

/// Texts that cannot be read again: standard input and pipes.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    kept: BTreeMap<FileId, String>,
}

impl Texts {
    /// Keeps the text of an input.
    pub fn keep(&mut self, file: FileId, text: String) {
        self.kept.insert(file, text);
    }

    /// The text of an input that was kept, without byte order mark.
    pub fn get(&self, file: FileId) -> Option<&str> {
        self.kept.get(&file).map(|text| without_mark(text))
    }
}

/// The texts of a [`crate::Reading`]: those kept, and the files on the disk. Remembers the last text.
#[derive(Debug)]
pub struct ReadAgain<'r> {
    sources: &'r Sources,
    texts: &'r Texts,
    last: RefCell<Option<(FileId, Rc<Text>)>>,
}

impl<'r> ReadAgain<'r> {
    /// The texts of these inputs.
    pub fn new(sources: &'r Sources, texts: &'r Texts) -> Self {
        Self { sources, texts, last: RefCell::new(None) }
    }
}

impl SourceText for ReadAgain<'_> {
    fn text(&self, file: FileId) -> Option<Rc<Text>> {
        if let Some((last, text)) = &*self.last.borrow()
            && *last == file
        {
            return Some(Rc::clone(text));
        }
        let text = match self.texts.get(file) {
            Some(text) => Text::new(text),
            None => {
                let path = self.sources.name(file);
                // Not a pipe: that would wait for ever.
                if !fs::metadata(path).ok()?.is_file() {
                    return None;
                }
                Text::new(&String::from_utf8_lossy(&fs::read(path).ok()?))
            }
        };
        let text = Rc::new(text);
        *self.last.borrow_mut() = Some((file, Rc::clone(&text)));
        Some(text)
    }
}

/// The text without a byte order mark in front.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The lines of a text without their ends, which may be `\n`, `\r\n` or `\r`; the last may be empty.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, after) = text.split_at_checked(end)?;
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\n', '\r']));
        Some(line)
    })
}

/// A text whose lines are asked for again and again: finds each at once, after the first.
pub(crate) struct Lines<'t> {
    pub(crate) text: &'t str,
    lines: OnceCell<Vec<&'t str>>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, lines: OnceCell::new() }
    }

    /// One line, counted from 1.
    pub(crate) fn line(&self, number: u32) -> Option<&'t str> {
        let lines = self.lines.get_or_init(|| lines(self.text).collect());
        lines.get(number.checked_sub(1)? as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_line_ends() {
        assert_eq!(lines("a\nb\r\nc\rd").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(lines("").collect::<Vec<_>>(), [""]);
        assert_eq!(lines("a\n").collect::<Vec<_>>(), ["a", ""]);
        for text in ["a\nb\r\nc\rd", "", "a\n", "\u{feff}é\r\n\r\n", "\r\r\n\n"] {
            let indexed = Text::new(text);
            let scanned: Vec<&str> = lines(without_mark(text)).collect();
            let found: Vec<&str> = (1..).map_while(|number| indexed.line(number)).collect();
            assert_eq!(found, scanned, "{text:?}");
            assert_eq!(indexed.line(0), None);
        }
    }
}
