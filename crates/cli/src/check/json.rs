//! Findings as JSON: an array of `{code, severity, message, object, field, file, line, column, …}`.

use anyhow::Result;
use palisade_engine::model::Sources;
use palisade_manifest::{Diagnostic, fix::Edit};
use serde_json::{Value, json};

use super::{examine::Checked, resolved};
use crate::screen;

/// Prints the array.
pub(crate) fn print(checked: &Checked) -> Result<()> {
    let edits = resolved::edits(checked);
    let values = checked.findings.iter().zip(&edits);
    let values: Vec<Value> = values.map(|(finding, edits)| value(finding, edits.as_ref(), &checked.sources)).collect();
    screen::out_json(&values)
}

/// One finding.
fn value(finding: &Diagnostic, edits: Option<&Vec<Edit>>, sources: &Sources) -> Value {
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
        "fix": resolved::json(finding, edits, sources),
    })
}

/// `NP103` and `egress-without-dns`.
pub(crate) fn split(code: &str) -> (&str, Option<&str>) {
    code.split_once(' ').map_or((code, None), |(code, name)| (code, Some(name)))
}
