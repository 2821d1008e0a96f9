//! The terminal: its width, the colours, and lines that fit.

use anstyle::{AnsiColor, Style};

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
    let options = textwrap::Options::new(width)
        .initial_indent(lead)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Says why there is no answer.
pub(crate) fn error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    if !text.is_empty() {
        anstream::eprintln!("{}: {text}", styled(BAD, "error"));
    }
}

/// Says something beside the answer.
pub(crate) fn note(text: &str) {
    anstream::eprintln!("{}: {text}", styled(MIXED, "note"));
}
