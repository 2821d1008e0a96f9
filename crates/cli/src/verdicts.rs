//! `palisade verdicts`: a table of connections, each allowed or denied.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use palisade_engine::{PolicyProgram, model::Family, verdict::Outcome};

use crate::{
    args::{Format, Verdicts},
    endpoint::{Case, Resolver, cases},
    flows::{self, Expected, FlowRow},
    input,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Verdicts) -> Result<ExitCode> {
    let table = flows::read(&arguments.flows)?;
    let read = input::cluster(&arguments.input)?;
    let resolver = Resolver { cluster: &read.cluster, namespace: &arguments.input.namespace };
    let program = PolicyProgram::compile(&read.cluster);
    let family = arguments.family.map(Family::from);
    let mut answers = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let case = case(&resolver, row, family).with_context(|| row.at.clone())?;
        answers.push(program.verdict(&read.cluster, &case.flow).outcome());
    }

    let rows = || table.rows.iter().zip(&answers);
    match arguments.output {
        Format::Text => print!("{}", text(rows(), table.has_expected)),
        Format::Json => {
            let rows: Vec<_> = rows().map(|(row, answer)| json(row, *answer)).collect();
            println!("{}", serde_json::to_string_pretty(&rows).context("cannot write JSON")?);
        }
    }
    let unknown = answers.iter().filter(|answer| **answer == Outcome::Undetermined).count();
    let wrong = rows().filter(|(row, answer)| row.expected.is_some_and(|expected| !agrees(expected, **answer))).count();
    if unknown > 0 {
        eprintln!(
            "{unknown} of {} could not be told: only the address of a pod that has none yet would decide",
            answers.len()
        );
        return Ok(ExitCode::from(2));
    }
    if wrong > 0 {
        eprintln!("{wrong} of {} not as expected", answers.len());
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// The flow that a row means, in one family: IPv4 where both ends have it, or the one asked for.
pub(crate) fn case(resolver: &Resolver<'_>, row: &FlowRow, family: Option<Family>) -> Result<Case> {
    let from = flows::only(resolver.source(&row.from)?, &row.from)?;
    let to = flows::only(resolver.destination(&row.target())?.0, &row.to)?;
    // A row that names an address is of that address's family, whatever was asked for.
    let named = [&row.from, &row.to].into_iter().any(|end| matches!(end, crate::endpoint::EndName::Address(_)));
    let family = if named { None } else { family };
    let found = cases(resolver, &[from], &[to], family)?;
    found.into_iter().next().context("there is no address to judge it by")
}

/// Whether an answer is the expected one.
pub(crate) fn agrees(expected: Expected, answer: Outcome) -> bool {
    matches!((expected, answer), (Expected::Allow, Outcome::Allow) | (Expected::Deny, Outcome::Deny))
}

/// The word of a table for an answer.
pub(crate) fn word(answer: Outcome) -> &'static str {
    match answer {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Undetermined => "unknown",
    }
}

fn text<'a>(rows: impl Iterator<Item = (&'a FlowRow, &'a Outcome)>, has_expected: bool) -> String {
    let mut text = String::from("from\tto\tprotocol\tport");
    text.push_str(if has_expected { "\texpected\tverdict\n" } else { "\tverdict\n" });
    for (row, answer) in rows {
        text.push_str(&row.columns.join("\t"));
        if has_expected {
            // Writing to a String does not fail.
            _ = write!(text, "\t{}", row.expected.map_or("", Expected::word));
        }
        _ = writeln!(text, "\t{}", word(*answer));
    }
    text
}

fn json(row: &FlowRow, answer: Outcome) -> serde_json::Value {
    let [from, to, protocol, port] = &row.columns;
    let mut value = serde_json::json!({
        "from": from, "to": to, "protocol": protocol, "port": port.parse::<u16>().ok(), "verdict": word(answer),
    });
    if let (Some(expected), Some(object)) = (row.expected, value.as_object_mut()) {
        object.insert("expected".to_owned(), expected.word().into());
    }
    value
}
