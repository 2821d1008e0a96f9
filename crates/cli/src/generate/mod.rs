//! `palisade generate`: policies to begin with, without flows.
//!
//! ```text
//! flags, or questions ──► starters: NetworkPolicy + Remarks ──► suggest's YAML ──► read as `check` reads it ──► out
//! ```

mod questions;
mod starters;

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::{Result, bail};
use palisade_manifest::{ReadOptions, read_bytes};
use palisade_suggest::yaml;

use crate::{args::Generate, screen};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Generate) -> Result<ExitCode> {
    let asked;
    let arguments = match arguments.starters.is_empty() {
        false => arguments,
        true if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => {
            asked = questions::ask(&mut std::io::stdin().lock(), &mut std::io::stderr().lock())?;
            &asked
        }
        true => bail!("which starter? See `palisade generate --help`; on a terminal it is asked for"),
    };
    let documents: Vec<String> =
        starters::policies(arguments)?.iter().map(|(policy, remarks)| yaml::document(policy, remarks)).collect();
    let text = documents.join("---\n");
    // A name or a label that the API server would refuse came from the command line.
    let reading = read_bytes("generated", text.as_bytes(), &ReadOptions::default());
    if let Some(wrong) = reading.diagnostics.iter().find(|finding| finding.is_error()) {
        let field = wrong.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        bail!("these policies would be refused: {field}{}", wrong.message);
    }
    screen::out_bytes(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
