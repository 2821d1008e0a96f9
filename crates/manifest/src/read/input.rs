//! From bytes to a text: encodings, and bytes that no text has.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use palisade_engine::model::{FileId, Position, Span};

use super::Reader;
use crate::{
    diagnostic::{Diagnostic, code},
    texts,
};

/// No input is larger than this: a cluster of 100,000 pods prints as less than half of it.
const MAX_BYTES: u64 = 1 << 30;

/// The bytes of a file, and whether it can be read again (a pipe cannot).
pub(super) fn read_file(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let file = File::open(path)?;
    let again = file.metadata()?.is_file();
    Ok((read_limited(file)?, again))
}

/// Everything from `input`, up to a limit.
pub(super) fn read_limited(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    Ok(bytes)
}

impl Reader<'_> {
    /// Reads the documents in `bytes`; `keep` keeps the text for excerpts.
    pub(super) fn bytes(&mut self, name: &str, bytes: Vec<u8>, keep: bool) {
        let file = self.reading.inventory.sources.add(name);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let finding = not_utf8(file, error.as_bytes(), error.utf8_error().valid_up_to());
                self.keep(finding);
                if keep {
                    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    self.reading.texts.keep(file, text);
                }
                return;
            }
        };
        let read = texts::without_mark(&text);
        if let Some(offset) = read.bytes().position(is_control) {
            let finding = control_character(file, read, offset);
            self.keep(finding);
        } else {
            self.documents(file, &texts::Lines::new(read));
        }
        if keep {
            self.reading.texts.keep(file, text);
        }
    }
}

/// Control characters other than tab and line ends: YAML forbids them, and no text editor makes them.
fn is_control(byte: u8) -> bool {
    (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7f
}

fn control_character(file: FileId, text: &str, offset: usize) -> Diagnostic {
    let start = position(text.get(..offset).unwrap_or_default());
    let end = Position { column: start.column.saturating_add(1), ..start };
    let byte = text.as_bytes().get(offset).copied().unwrap_or_default();
    let what = if byte == 0 { "a NUL byte".to_owned() } else { format!("the control character 0x{byte:02x}") };
    Diagnostic::error(code::YAML, format!("{what} cannot be in a manifest"))
        .at(Span { file, start, end }, "here")
        .help("is this a text file?")
}

fn not_utf8(file: FileId, bytes: &[u8], valid: usize) -> Diagnostic {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Diagnostic::error(code::ENCODING, "this text is UTF-16, and a manifest must be UTF-8")
            .at(Span { file, start: FIRST, end: FIRST }, "")
            .help("in PowerShell write it with `… | Out-File -Encoding utf8 FILE`");
    }
    let before = bytes.get(..valid).and_then(|before| std::str::from_utf8(before).ok()).unwrap_or_default();
    let start = position(texts::without_mark(before));
    let end = Position { column: start.column.saturating_add(1), ..start };
    let byte = bytes.get(valid).copied().unwrap_or_default();
    Diagnostic::error(code::ENCODING, format!("the byte 0x{byte:02x} is not UTF-8"))
        .at(Span { file, start, end }, "save this file as UTF-8")
}

const FIRST: Position = Position { line: 1, column: 1 };

/// The place after `before`.
fn position(before: &str) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut lines = 0;
    let mut last = "";
    for line in texts::lines(before) {
        lines += 1;
        last = line;
    }
    Position { line: number(lines), column: number(last.chars().count()).saturating_add(1) }
}
