//! The terminal: its width, the colours, lines that fit, and writing that does not mind who stops reading.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result};

/// What was allowed or succeeded.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What was denied or failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is neither.
pub(crate) const MIXED: Style = AnsiColor::Yellow.on_default().bold();
/// What may be read last.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// The columns to write in: the terminal's, `COLUMNS`, or 80.
pub(crate) fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    asked.or_else(terminal).unwrap_or(80).clamp(40, 200)
}

/// `text` in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// `text` behind `lead`, in lines of `width`; the lines after the first begin `indent` spaces in.
pub(crate) fn hanging(lead: &str, text: &str, indent: usize, width: usize) -> String {
    let indent = " ".repeat(indent.min(width * 3 / 4));
    // Only a word that is longer than a whole line is broken.
    let options = textwrap::Options::new(width)
        .initial_indent(lead)
        .subsequent_indent(&indent)
        .break_words(true)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines: Vec<_> = textwrap::wrap(text, options);
    // A lead before a word that is too long for its line ends in a blank.
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A command that can be copied: where it does not fit, its lines end in a backslash.
pub(crate) fn command(lead: &str, command: &str, width: usize) -> String {
    let options = textwrap::Options::new(width.saturating_sub(2))
        .initial_indent(lead)
        .subsequent_indent("    ")
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(command, options).join(" \\\n")
}

/// `text`, its middle left out when it is longer than `most`.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most || most < 5 {
        return text.chars().take(most).collect();
    }
    let head = (most - 2) / 2;
    let tail = most - 2 - head;
    text.chars().take(head).chain("..".chars()).chain(text.chars().skip(length - tail)).collect()
}

/// A list in words; what is past `most` is counted.
pub(crate) fn shortened<T: AsRef<str>>(items: &[T], joint: &str, most: usize) -> String {
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let rest = items.len().saturating_sub(most);
    if rest == 0 { shown.join(joint) } else { format!("{} and {rest} more", shown.join(", ")) }
}

/// Writes an answer to standard output, with its colours where they are wanted.
///
/// # Errors
/// When it cannot be written. A reader who has seen enough (`| head`) is no error.
pub(crate) fn out(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes data to standard output as it is.
///
/// # Errors
/// As [`out`].
pub(crate) fn out_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes JSON to standard output.
///
/// # Errors
/// As [`out`].
pub(crate) fn out_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    out_bytes(format!("{text}\n").as_bytes())
}

fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says why there is no answer.
pub(crate) fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    if !text.is_empty() {
        labelled(BAD, "error", &text);
    }
}

/// Says something beside the answer.
pub(crate) fn note(text: &str) {
    labelled(MIXED, "note", text);
}

/// Writes to standard error; that nobody reads it is no reason to stop.
pub(crate) fn aside(text: &str) {
    _ = anstream::stderr().lock().write_all(text.as_bytes());
}

fn labelled(style: Style, label: &str, text: &str) {
    let lead = format!("{label}: ");
    let text = hanging(&lead, text, lead.len(), width());
    let rest = text.strip_prefix(label).unwrap_or(&text);
    aside(&format!("{}{rest}\n", styled(style, label)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_asked() {
        let text = hanging("  lead  ", "a word and averyveryveryverylongwordthatdoesnotfitatall", 8, 40);
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
    }

    #[test]
    fn a_broken_command_can_be_copied() {
        assert_eq!(command("Try  ", "palisade explain one two", 80), "Try  palisade explain one two");
        assert_eq!(command("Try  ", "palisade explain one two", 24), "Try  palisade explain \\\n    one two");
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(clipped("production/frontend-abc", 12), "produ..d-abc");
        assert_eq!(clipped("short", 12), "short");
    }
}
