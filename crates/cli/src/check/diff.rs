//! Changes as a unified diff, which `patch -p0` and `git apply -p0` take.

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use similar::TextDiff;

use super::fix::Changed;
use crate::screen;

const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// Prints what changes; coloured where the output is.
pub(super) fn print(files: &[Changed]) -> Result<()> {
    files.iter().try_for_each(|file| screen::out(&coloured(&unified(file))))
}

fn unified(file: &Changed) -> String {
    let diff = TextDiff::from_lines(&file.before, &file.after);
    diff.unified_diff().context_radius(3).header(&file.name, &file.name).to_string()
}

fn coloured(diff: &str) -> String {
    diff.split_inclusive('\n')
        .map(|line| {
            let style = match line.as_bytes() {
                [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => Style::new().bold(),
                [b'-', ..] => GONE,
                [b'+', ..] => NEW,
                [b'@', ..] => PLACE,
                _ => return line.to_owned(),
            };
            let text = line.trim_end_matches(['\n', '\r']);
            format!("{}{}", screen::styled(style, text), line.get(text.len()..).unwrap_or_default())
        })
        .collect()
}
