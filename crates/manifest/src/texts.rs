//! Texts of inputs, for excerpts: read again from the disk when one is needed.

use std::{cell::RefCell, collections::BTreeMap, fs, rc::Rc};

use palisade_engine::model::{FileId, Sources};

/// Where a renderer gets the text of an input from.
pub trait SourceText {
    /// The text of `file`, without byte order mark; `None` when it cannot be had.
    fn text(&self, file: FileId) -> Option<Rc<str>>;
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
    last: RefCell<Option<(FileId, Rc<str>)>>,
}

impl<'r> ReadAgain<'r> {
    /// The texts of these inputs.
    pub fn new(sources: &'r Sources, texts: &'r Texts) -> Self {
        Self { sources, texts, last: RefCell::new(None) }
    }
}

impl SourceText for ReadAgain<'_> {
    fn text(&self, file: FileId) -> Option<Rc<str>> {
        if let Some((last, text)) = &*self.last.borrow()
            && *last == file
        {
            return Some(Rc::clone(text));
        }
        let text: Rc<str> = match self.texts.get(file) {
            Some(text) => Rc::from(text),
            None => {
                let path = self.sources.name(file);
                // Not a pipe: that would wait for ever.
                if !fs::metadata(path).ok()?.is_file() {
                    return None;
                }
                let bytes = fs::read(path).ok()?;
                Rc::from(without_mark(&String::from_utf8_lossy(&bytes)))
            }
        };
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

/// One line of a text, counted from 1.
pub(crate) fn line(text: &str, number: u32) -> Option<&str> {
    lines(text).nth(number.checked_sub(1)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_line_ends() {
        assert_eq!(lines("a\nb\r\nc\rd").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(lines("").collect::<Vec<_>>(), [""]);
        assert_eq!(lines("a\n").collect::<Vec<_>>(), ["a", ""]);
        assert_eq!(line("a\nb", 2), Some("b"));
        assert_eq!(line("a\nb", 3), None);
        assert_eq!(line("a\nb", 0), None);
    }
}
