//! Findings for people: each with its lines, and a summary.

use palisade_manifest::{Diagnostic, Severity, texts::ReadAgain};

use super::examine::Checked;
use crate::{input, screen};

/// Every finding, drawn, for an output in colours or not.
pub(super) fn findings(checked: &Checked, colour: anstream::ColorChoice) -> impl Iterator<Item = String> {
    let renderer = input::renderer(screen::width(), colour);
    let texts = ReadAgain::new(&checked.sources, &checked.texts);
    let draw = move |finding| format!("{}\n\n", renderer.diagnostic(finding, &checked.sources, &texts).trim_end());
    checked.findings.iter().map(draw)
}

/// `1 error, 2 warnings in 3 files; palisade check --explain NP103 says more`, and what can be fixed.
pub(super) fn summary(checked: &Checked) -> String {
    let findings = &checked.findings;
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts: Vec<String> =
        counts.into_iter().filter_map(|(severity, what)| counted(count(severity), what)).collect();
    let files = || counted(checked.files(), "file").unwrap_or_else(|| "no file".to_owned());
    let files = checked.live.clone().unwrap_or_else(files);
    if counts.is_empty() {
        return format!("nothing found in {files}\n");
    }
    let lint = findings.iter().find_map(|finding| finding.code.split_once(' ').map(|(code, _)| code));
    let more = lint.map_or_else(String::new, |code| format!("; palisade check --explain {code} says more"));
    let text = format!("{} in {files}{more}", counts.join(", "));
    // Objects of a live cluster are mended where they come from.
    let fixable = if checked.live.is_none() { fixable(findings) } else { String::new() };
    format!("{}\n{}", screen::hanging("", &text, 0, screen::width()), fixable)
}

/// `--fix mends 2 of these, --fix --unsafe-fixes 1 more`
fn fixable(findings: &[Diagnostic]) -> String {
    let fixes = || findings.iter().filter_map(|finding| finding.fix.as_ref());
    let safe = fixes().filter(|fix| fix.is_wanted(false)).count();
    match (safe, fixes().count() - safe) {
        (0, 0) => String::new(),
        (safe, 0) => format!("--fix mends {safe} of these\n"),
        (0, others) => format!("--fix --unsafe-fixes mends {others} of these\n"),
        (safe, others) => format!("--fix mends {safe} of these, --fix --unsafe-fixes {others} more\n"),
    }
}

/// `fixed 3 problems in 1 file, 1 remains`
pub(super) fn fixed(verb: &str, count: usize, files: usize, remain: usize) -> String {
    let problems = counted(count, "problem").unwrap_or_else(|| "nothing".to_owned());
    let within = counted(files, "file").map_or_else(String::new, |files| format!(" in {files}"));
    let remains = match remain {
        0 => "none remains".to_owned(),
        1 => "1 remains".to_owned(),
        remain => format!("{remain} remain"),
    };
    format!("{verb} {problems}{within}, {remains}\n")
}

fn counted(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    }
}
