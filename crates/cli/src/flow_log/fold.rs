//! Lines become connections: `palisade flows --fold`, and every question that is asked of flow logs.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Result, anyhow};
use palisade_flows::{By, Connection, Entry, Flow, Fold, Tally, read, record::Line};
use serde_json::json;

use super::{
    feed::{Feed, Step},
    filter::Filter,
    text::{Page, plain},
};
use crate::{
    args::{Flows, FlowsFormat},
    screen,
};

/// How many distinct connections are held at most, where nobody says how many.
const MOST: usize = 1_000_000;
/// How many lines that cannot be read are told one by one.
pub(super) const TOLD: u64 = 10;

/// Prints the connections of what was logged.
pub(super) fn run(arguments: &Flows, filter: &Filter) -> Result<ExitCode> {
    let most = arguments.max_connections.unwrap_or(MOST);
    let (connections, tally) = match arguments.files.as_slice() {
        [] => {
            let mut fold = Fold::new(By::Workload, most);
            feed(Feed::socket(&arguments.socket, false)?, &mut fold, Some(filter))?;
            fold.finish()
        }
        files => fold_files(files, By::Workload, most, Some(filter))?,
    };
    match arguments.output {
        FlowsFormat::Text => {
            let page = Page::new(screen::width());
            screen::out(&connections.iter().map(|connection| page.connection(connection)).collect::<String>())?;
        }
        FlowsFormat::Jsonl => {
            let lines = connections.iter().map(|one| Line::Connection(Box::new(one.clone())).to_json() + "\n");
            screen::out_bytes(lines.collect::<String>().as_bytes())?;
        }
        FlowsFormat::Json => screen::out_json(&json!({ "connections": connections, "read": told(&tally) }))?,
        FlowsFormat::Tsv => screen::out_bytes(table(&connections).as_bytes())?,
    }
    left_out(&tally);
    Ok(ExitCode::from(match (tally.unreadable + tally.beyond, connections.is_empty()) {
        (1.., _) => 2,
        (0, false) => 0,
        (0, true) => 1,
    }))
}

/// The connections of files, each end a pod, and what was read. Lines that cannot be read are told and left out.
///
/// # Errors
/// When a file cannot be read at all.
pub(crate) fn of_files(paths: &[PathBuf]) -> Result<(Vec<Connection>, Tally)> {
    fold_files(paths, By::Pod, MOST, None)
}

fn fold_files(paths: &[PathBuf], by: By, most: usize, filter: Option<&Filter>) -> Result<(Vec<Connection>, Tally)> {
    let mut fold = Fold::new(by, most);
    for path in paths {
        feed(Feed::file(path, false)?, &mut fold, filter)?;
    }
    Ok(fold.finish())
}

/// Folds all that there is.
fn feed(mut feed: Feed, fold: &mut Fold, filter: Option<&Filter>) -> Result<()> {
    loop {
        let text = match feed.next()? {
            Step::Line(text) => text,
            Step::CaughtUp | Step::End => return Ok(()),
        };
        let entry = match read(&text) {
            Ok(Entry::Record(record)) => Entry::Flow(Box::new(Flow::from(*record))),
            Ok(entry) => entry,
            Err(why) => {
                fold.unreadable();
                if fold.tally().unreadable <= TOLD {
                    screen::error(&anyhow!("{}: {why}", feed.place()));
                }
                continue;
            }
        };
        let wanted = filter.is_none_or(|filter| match &entry {
            Entry::Flow(flow) => filter.takes(flow),
            Entry::Connection(connection) => filter.takes_connection(connection),
            _ => true,
        });
        if wanted {
            fold.take(entry);
        }
    }
}

/// Says what of the flow logs does not count.
pub(crate) fn left_out(tally: &Tally) {
    let lines = |count: u64| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    if tally.unreadable > 0 {
        screen::note(&format!("{} could not be read: left out of this answer", lines(tally.unreadable)));
    }
    if tally.beyond > 0 {
        screen::note(&format!(
            "{} are of connections that found no room (--max-connections): left out of this answer, which is not whole",
            lines(tally.beyond)
        ));
    }
    if tally.lost > 0 {
        screen::note(&format!(
            "the flow logs have gaps: {} were lost, and what they told is not known",
            lines(tally.lost)
        ));
    }
    if !tally.passed_over.is_empty() {
        let counted: Vec<String> = tally.passed_over.iter().map(|(why, count)| format!("{why} ({count})")).collect();
        screen::note(&format!("lines that say nothing of new connections were passed over: {}", counted.join(", ")));
    }
}

fn told(tally: &Tally) -> serde_json::Value {
    let passed_over: serde_json::Map<String, serde_json::Value> =
        tally.passed_over.iter().map(|(why, count)| (why.to_string(), (*count).into())).collect();
    json!({
        "flows": tally.flows, "lost": tally.lost, "unreadable": tally.unreadable, "beyond": tally.beyond,
        "passedOver": passed_over, "nodes": tally.nodes,
        "first": tally.span.map(|span| span.0), "last": tally.span.map(|span| span.1),
    })
}

/// The first four columns are those of a table for `verdicts`.
fn table(connections: &[Connection]) -> String {
    let mut text = String::from("from\tto\tprotocol\tport\tmade\tdenied\twould-deny\tfirst\tlast\n");
    for Connection { source, destination, protocol, port, seen } in connections {
        let port = port.map_or_else(|| "-".to_owned(), |port| port.to_string());
        // Writing to a String does not fail.
        _ = writeln!(
            text,
            "{}\t{}\t{protocol}\t{port}\t{}\t{}\t{}\t{}\t{}",
            plain(&source.to_string()),
            plain(&destination.to_string()),
            seen.made(),
            seen.denied(),
            seen.would_deny,
            seen.first,
            seen.last
        );
    }
    text
}
