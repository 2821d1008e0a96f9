//! Findings as JSON: an array of `{code, severity, message, object, field, file, line, column, …}`.

use anyhow::Result;
use palisade_engine::model::Sources;
use palisade_manifest::Diagnostic;
use serde_json::{Value, json};

use crate::screen;

/// Prints the array.
pub(crate) fn print(findings: &[Diagnostic], sources: &Sources) -> Result<()> {
    let findings: Vec<Value> = findings.iter().map(|finding| value(finding, sources)).collect();
    screen::out_json(&findings)
}

/// One finding.
pub(crate) fn value(finding: &Diagnostic, sources: &Sources) -> Value {
    let (code, name) = split(&finding.code);
    let span = finding.primary.as_ref().map(|primary| primary.span);
    json!({
        "code": code,
        "name": name,
        "severity": finding.severity.to_string(),
        "message": finding.message,
        "label": finding.primary.as_ref().map(|primary| &primary.label).filter(|label| !label.is_empty()),
        "object": finding.object,
        "field": finding.field,
        "file": span.map(|span| sources.name(span.file)),
        "line": span.map(|span| span.start.line),
        "column": span.map(|span| span.start.column),
        "endLine": span.map(|span| span.end.line),
        "endColumn": span.map(|span| span.end.column),
        "help": finding.help,
    })
}

/// `NP103` and `egress-without-dns`.
pub(crate) fn split(code: &str) -> (&str, Option<&str>) {
    code.split_once(' ').map_or((code, None), |(code, name)| (code, Some(name)))
}
