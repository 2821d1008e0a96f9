//! Findings as SARIF 2.1.0, for code scanning.

use std::collections::BTreeMap;

use anyhow::Result;
use palisade_engine::model::Sources;
use palisade_lint::find;
use palisade_manifest::{Diagnostic, Severity};
use serde_json::{Value, json};

use super::json::split;
use crate::screen;

/// Prints one run.
pub(crate) fn print(findings: &[Diagnostic], sources: &Sources) -> Result<()> {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in findings {
        let (code, _) = split(&finding.code);
        rules.entry(code).or_insert_with(|| rule(code));
    }
    let indices: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, sources, &indices)).collect();
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

/// A file's name as a relative URI: what is not a letter, a digit or `-._~/` is escaped.
fn uri(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
