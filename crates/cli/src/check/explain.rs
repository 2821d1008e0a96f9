//! `palisade check --explain CODE`: the rule's page, which is the doc comment of its source.

use std::process::ExitCode;

use anyhow::{Result, bail};
use palisade_lint::{REGISTRY, find};

use crate::screen;

/// What stands in place of a code for all of them.
const LIST: &str = "list";

/// Prints a page, or which there are.
pub(crate) fn run(code: &str) -> Result<ExitCode> {
    let rules = || REGISTRY.iter().map(|lint| format!("  {}  {}\n", lint.code, lint.name)).collect::<String>();
    if code == LIST {
        screen::out(&rules())?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(lint) = find(code) else {
        bail!(
            "there is no rule `{code}` (of other codes, such as API or CONFLICT, the finding itself says all); these \
             are the rules:\n{}",
            rules().trim_end()
        );
    };
    let level = lint.level.map_or("off", |level| match level {
        palisade_lint::Level::Note => "note",
        palisade_lint::Level::Warning => "warning",
        palisade_lint::Level::Error => "error",
    });
    screen::out(&format!("# {} {} ({level})\n\n{}", lint.code, lint.name, lint.page().markdown()))?;
    Ok(ExitCode::SUCCESS)
}
