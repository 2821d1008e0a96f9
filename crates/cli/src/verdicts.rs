//! `palisade verdicts`: a table of connections, each allowed or denied.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use palisade_engine::{model::Family, verdict::Outcome};

use crate::{
    args::{Format, Verdicts},
    endpoint::{Case, Resolver, cases},
    flows::{self, Expected, FlowRow},
    input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Verdicts) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, Some(&arguments.flows))?;
    let table = flows::read(&arguments.flows)?;
    let read = input::cluster_with(&arguments.input, &arguments.resolve)?;
    let resolver = Resolver { cluster: &read.cluster, namespace: &read.namespace };
    let program = arguments.audited.compile(&read.cluster);
    let family = arguments.family.map(Family::from);
    let mut answers = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let cases = cases_of(&resolver, row, family).with_context(|| row.at.clone())?;
        answers.push(answer(cases.iter().map(|case| program.verdict(&read.cluster, &case.flow).outcome())));
    }

    let rows = || table.rows.iter().zip(&answers);
    match arguments.output {
        Format::Text => screen::out_bytes(text(rows(), table.has_expected).as_bytes())?,
        Format::Json => {
            let rows: Vec<_> = rows().map(|(row, answer)| json(row, *answer)).collect();
            screen::out_json(&rows)?;
        }
    }
    let unknown = answers.iter().filter(|answer| **answer == Outcome::Undetermined).count();
    let wrong = rows().filter(|(row, answer)| row.expected.is_some_and(|expected| !agrees(expected, **answer))).count();
    if unknown > 0 {
        let name = if program.has_open_names() {
            ", or what a domain name resolves to (tell it by --resolve NAME=ADDRESS)"
        } else {
            ""
        };
        screen::aside(&format!(
            "{unknown} of {} could not be told: only the address of a pod that has none yet would decide{name}\n",
            answers.len()
        ));
        return Ok(ExitCode::from(2));
    }
    if wrong > 0 {
        screen::aside(&format!("{wrong} of {} not as expected\n", answers.len()));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// The flow that a row means, in one family: IPv4 where both ends have it, or the one asked for. Of an
/// end without an address the families that it may come to have.
pub(crate) fn cases_of(resolver: &Resolver<'_>, row: &FlowRow, family: Option<Family>) -> Result<Vec<Case>> {
    let from = flows::only(resolver.source(&row.from)?, &row.from)?;
    let (to, service) = resolver.destination(&row.target())?;
    let to = flows::only(to, &row.to)?;
    // A row that names an address is of that address's family, whatever was asked for.
    let named = [&row.from, &row.to].into_iter().any(|end| matches!(end, crate::endpoint::EndName::Address(_)));
    let family = if named { None } else { family };
    let mut found = cases(resolver, &[from], &[to], family)?;
    if found.iter().any(|case| !case.assumed) {
        found.truncate(1);
    }
    if service.is_some() {
        found.iter_mut().for_each(|case| case.flow = case.flow.through_service());
    }
    Ok(found)
}

/// One answer, or unknown where the family decides and is not known.
pub(crate) fn answer(mut outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    let Some(first) = outcomes.next() else { return Outcome::Undetermined };
    if outcomes.all(|outcome| outcome == first) { first } else { Outcome::Undetermined }
}

/// Whether an answer is the expected one.
fn agrees(expected: Expected, answer: Outcome) -> bool {
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
