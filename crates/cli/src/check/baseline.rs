//! A baseline: findings of an earlier run (`-o json`) that are not told again.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use palisade_manifest::Diagnostic;
use serde::Deserialize;

use super::json::split;

/// What makes a finding the same when lines have moved.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    code: String,
    message: String,
    object: Option<String>,
    field: Option<String>,
}

/// Drops the findings that the baseline has, each as often as it has it.
pub(crate) fn keep_new(findings: &mut Vec<Diagnostic>, path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let known: Vec<Known> = serde_json::from_str(&text)
        .with_context(|| format!("{} is no baseline: it is what `palisade check -o json` prints", path.display()))?;
    let mut left: BTreeMap<Known, usize> = BTreeMap::new();
    for finding in known {
        *left.entry(finding).or_default() += 1;
    }
    findings.retain(|finding| {
        let this = Known {
            code: split(&finding.code).0.to_owned(),
            message: finding.message.clone(),
            object: finding.object.clone(),
            field: finding.field.clone(),
        };
        match left.get_mut(&this) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        }
    });
    Ok(())
}
