//! Findings as SARIF 2.1.0, for code scanning.

use std::collections::BTreeMap;

use anyhow::Result;
use palisade_engine::model::Sources;
use palisade_lint::find;
use palisade_manifest::{Diagnostic, Fix, Severity, fix::Edit};
use serde_json::{Value, json};

use super::{examine::Checked, json::split, resolved};
use crate::screen;

/// Prints one run.
pub(crate) fn print(checked: &Checked) -> Result<()> {
    let (findings, sources) = (&checked.findings, &checked.sources);
    let edits = resolved::edits(checked);
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in findings {
        let (code, _) = split(&finding.code);
        rules.entry(code).or_insert_with(|| rule(code));
    }
    let indices: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let results = findings.iter().zip(&edits);
    let results: Vec<Value> = results
        .map(|(finding, edits)| {
            let mut result = result(finding, sources, &indices);
            if let (Some(fix), Some(edits), Some(object)) = (&finding.fix, edits, result.as_object_mut()) {
                object.insert("fixes".to_owned(), json!([sarif_fix(fix, edits, sources)]));
            }
            result
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "palisade",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    screen::out_json(&log)
}

fn rule(code: &str) -> Value {
    match find(code) {
        Some(lint) => json!({
            "id": code,
            "name": lint.name,
            "shortDescription": { "text": lint.page().title() },
            "fullDescription": { "text": lint.page().title() },
            "help": { "text": lint.page().markdown(), "markdown": lint.page().markdown() },
        }),
        None => json!({ "id": code, "shortDescription": { "text": format!("Refused: {code}") } }),
    }
}

fn result(finding: &Diagnostic, sources: &Sources, indices: &BTreeMap<&str, usize>) -> Value {
    let (code, _) = split(&finding.code);
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let text = finding.help.iter().fold(finding.message.clone(), |text, help| format!("{text}\n{help}"));
    let mut result =
        json!({ "ruleId": code, "ruleIndex": indices.get(code), "level": level, "message": { "text": text } });
    if let (Some(primary), Some(object)) = (&finding.primary, result.as_object_mut()) {
        let span = primary.span;
        let mut location = json!({ "physicalLocation": {
            "artifactLocation": { "uri": uri(sources.name(span.file)) },
            "region": {
                "startLine": span.start.line,
                "startColumn": span.start.column,
                "endLine": span.end.line,
                "endColumn": span.end.column,
            },
        }});
        if let (Some(field), Some(location)) = (&finding.field, location.as_object_mut()) {
            let name = finding.object.as_deref().map_or_else(|| field.clone(), |object| format!("{object} {field}"));
            location.insert("logicalLocations".to_owned(), json!([{ "fullyQualifiedName": name }]));
        }
        object.insert("locations".to_owned(), json!([location]));
    }
    result
}

/// A fix, as the replacements in its one file.
fn sarif_fix(fix: &Fix, edits: &[Edit], sources: &Sources) -> Value {
    let file = edits.first().map_or("", |edit| sources.name(edit.at.file));
    let replacements: Vec<Value> = edits
        .iter()
        .map(|edit| {
            let region = json!({
                "startLine": edit.at.start.line,
                "startColumn": edit.at.start.column,
                "endLine": edit.at.end.line,
                "endColumn": edit.at.end.column,
            });
            json!({ "deletedRegion": region, "insertedContent": { "text": edit.text } })
        })
        .collect();
    json!({
        "description": { "text": fix.description },
        "artifactChanges": [{ "artifactLocation": { "uri": uri(file) }, "replacements": replacements }],
    })
}

/// A file's name as a relative URI: what is not a letter, a digit or `-._~/` is escaped.
fn uri(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
