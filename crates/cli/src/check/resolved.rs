//! Fixes as edits of the texts that were read, for programs.

use std::collections::BTreeMap;

use palisade_engine::model::{FileId, Sources};
use palisade_manifest::{
    Diagnostic, Fix,
    fix::{Edit, resolve},
    texts::{ReadAgain, SourceText},
};
use serde_json::{Value, json};

use super::examine::Checked;

/// The edits of each finding's fix, where they can be made.
pub(super) fn edits(checked: &Checked) -> Vec<Option<Vec<Edit>>> {
    let texts = ReadAgain::new(&checked.sources, &checked.texts);
    let mut by_file: BTreeMap<FileId, Vec<(usize, &Fix)>> = BTreeMap::new();
    for (index, finding) in checked.findings.iter().enumerate() {
        let Some(fix) = &finding.fix else { continue };
        if let Some(change) = fix.changes.first() {
            by_file.entry(change.at().file).or_default().push((index, fix));
        }
    }
    let mut found = vec![None; checked.findings.len()];
    for (file, fixes) in by_file {
        let Some(text) = texts.text(file) else { continue };
        let wanted: Vec<&Fix> = fixes.iter().map(|(_, fix)| *fix).collect();
        for ((index, _), edits) in fixes.iter().zip(resolve(text.as_str(), &wanted)) {
            if let Some(place) = found.get_mut(*index) {
                *place = edits.ok();
            }
        }
    }
    found
}

/// `{description, safety, edits: [{file, line, column, endLine, endColumn, text}]}`, or null.
pub(super) fn json(finding: &Diagnostic, edits: Option<&Vec<Edit>>, sources: &Sources) -> Value {
    let (Some(fix), Some(edits)) = (&finding.fix, edits) else { return Value::Null };
    let edits: Vec<Value> = edits
        .iter()
        .map(|edit| {
            json!({
                "file": sources.name(edit.at.file),
                "line": edit.at.start.line,
                "column": edit.at.start.column,
                "endLine": edit.at.end.line,
                "endColumn": edit.at.end.column,
                "text": edit.text,
            })
        })
        .collect();
    json!({ "description": fix.description, "safety": fix.safety.to_string(), "edits": edits })
}
