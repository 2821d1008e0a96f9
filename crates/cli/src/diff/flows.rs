//! `palisade diff --flows`: of these connections, which would a change break, and which would it let through.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use palisade_engine::{PolicyProgram, verdict::Outcome};
use serde::Serialize;

use crate::{
    args::{DiffArguments, DiffFormat},
    endpoint::Resolver,
    flows::{self, FlowRow},
    input::Read,
    screen::{self, BAD, GOOD, styled},
    verdicts::{self, word},
};

/// One state, for judging.
pub(super) struct Side<'a> {
    pub(super) read: &'a Read,
    pub(super) program: &'a PolicyProgram,
}

impl Side<'_> {
    fn answer(&self, row: &FlowRow) -> Result<Outcome> {
        let cluster = &self.read.cluster;
        let resolver = Resolver { cluster, namespace: &self.read.namespace };
        let cases = verdicts::cases_of(&resolver, row, None)?;
        Ok(verdicts::answer(cases.iter().map(|case| self.program.verdict(cluster, &case.flow).outcome())))
    }
}

/// One connection whose answer changes.
#[derive(Debug, Serialize)]
struct Changed {
    from: String,
    to: String,
    protocol: String,
    port: String,
    was: &'static str,
    becomes: &'static str,
}

/// Judges every flow in both states.
pub(super) fn run(arguments: &DiffArguments, path: &Path, old: &Side<'_>, new: &Side<'_>) -> Result<ExitCode> {
    let rows = flows::read(path)?.rows;
    let mut changed = Vec::new();
    for row in &rows {
        let (was, becomes) = match (old.answer(row), new.answer(row)) {
            (Err(error), Err(_)) => return Err(error.context(row.at.clone())),
            // An end that one state has not: nothing is sent there.
            (was, becomes) => (was.map_or("absent", word), becomes.map_or("absent", word)),
        };
        if was != becomes {
            let [from, to, protocol, port] = row.columns.clone();
            changed.push(Changed { from, to, protocol, port, was, becomes });
        }
    }
    let broken = changed.iter().filter(|flow| flow.becomes != "allow").count();
    if arguments.output == DiffFormat::Json {
        screen::out_json(&changed)?;
    } else {
        let mut text = String::new();
        for flow in &changed {
            let (mark, style) = if flow.becomes == "allow" { ("+", GOOD) } else { ("-", BAD) };
            let Changed { from, to, protocol, port, was, becomes } = flow;
            text.push_str(&format!(
                "{} {from} -> {to}  {protocol} {port}  {was}, then {becomes}\n",
                styled(style, mark)
            ));
        }
        let rest = rows.len() - changed.len();
        text.push_str(&format!("{broken} of {} connections would break; {rest} are as before.\n", rows.len()));
        screen::out(&text)?;
    }
    Ok(ExitCode::from(u8::from(!changed.is_empty())))
}
