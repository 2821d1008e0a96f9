//! Findings as the annotations of a GitHub workflow.

use anyhow::Result;
use palisade_engine::model::Sources;
use palisade_manifest::{Diagnostic, Severity};

use crate::screen;

/// Prints one command a finding.
pub(crate) fn print(findings: &[Diagnostic], sources: &Sources) -> Result<()> {
    findings.iter().try_for_each(|finding| screen::out(&format!("{}\n", command(finding, sources))))
}

fn command(finding: &Diagnostic, sources: &Sources) -> String {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = finding.primary.as_ref().map(|primary| {
        let span = primary.span;
        let file = property(sources.name(span.file));
        format!(
            "file={file},line={},col={},endLine={},endColumn={},",
            span.start.line, span.start.column, span.end.line, span.end.column
        )
    });
    let text = finding.help.iter().fold(finding.message.clone(), |text, help| format!("{text}\n{help}"));
    format!("::{level} {}title={}::{}", place.unwrap_or_default(), property(&finding.code), data(&text))
}

/// Escaped as the workflow commands ask for.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
