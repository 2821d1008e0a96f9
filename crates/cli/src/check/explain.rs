//! `palisade check --explain CODE`: the rule's page, which is the doc comment of its source.

use std::process::ExitCode;

use anyhow::{Result, bail};
use palisade_lint::{REGISTRY, find};

use crate::screen;

/// Prints a page.
pub(crate) fn run(code: &str) -> Result<ExitCode> {
    let Some(lint) = find(code) else {
        let codes: Vec<String> = REGISTRY.iter().map(|lint| format!("  {}  {}", lint.code, lint.name)).collect();
        bail!("there is no rule `{code}`; these are the rules:\n{}", codes.join("\n"));
    };
    let level = lint.level.map_or("off", |level| match level {
        palisade_lint::Level::Note => "note",
        palisade_lint::Level::Warning => "warning",
        palisade_lint::Level::Error => "error",
    });
    screen::out(&format!("# {} {} ({level})\n\n{}", lint.code, lint.name, lint.page().markdown()))?;
    Ok(ExitCode::SUCCESS)
}
