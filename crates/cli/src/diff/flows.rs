//! `palisade diff --flows`: of these connections, which would a change break, and which would it let through.

use std::{io::BufRead, path::Path, process::ExitCode};

use anyhow::Result;
use palisade_engine::{PolicyProgram, verdict::Outcome};
use palisade_flows::Connection;
use serde::Serialize;

use crate::{
    args::{DiffArguments, DiffFormat},
    breaks::{self, Break, traffics},
    endpoint::Resolver,
    flow_log::plain,
    flows::{self, FlowRow},
    input::Read,
    observed::{self, Finder, Met, Observed},
    screen::{self, BAD, GOOD, hanging, styled},
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
    if is_log(path) {
        return log(arguments, path, old, new);
    }
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
            text.push_str(&format!("{} {}\n", styled(style, mark), flow.text()));
        }
        let rest = rows.len() - changed.len();
        text.push_str(&format!("{broken} of {} connections would break; {rest} are as before.\n", rows.len()));
        screen::out(&text)?;
    }
    Ok(ExitCode::from(u8::from(!changed.is_empty())))
}

/// Whether a file is a flow log, and no table: it begins as JSON does. Of standard input nothing is taken by that.
fn is_log(path: &Path) -> bool {
    let begins =
        |reader: &mut dyn BufRead| reader.fill_buf().is_ok_and(|bytes| bytes.trim_ascii_start().first() == Some(&b'{'));
    if path == Path::new("-") {
        return begins(&mut std::io::stdin().lock());
    }
    // Who cannot open it says so better.
    std::fs::File::open(path).is_ok_and(|file| begins(&mut std::io::BufReader::new(file)))
}

/// What becomes of the connections of a flow log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Logged {
    /// How many different ones were seen to be made, between ends that one of the states has.
    connections: usize,
    /// How many of them were allowed, and are not any more.
    breaking: usize,
    /// How many were not, and are now.
    opening: usize,
    breaks: Vec<Break>,
    opens: Vec<Changed>,
    /// Those that were allowed, and whose end the new state does not have, or of which it cannot tell.
    gone: Vec<Changed>,
}

/// Judges every connection that was seen, in both states.
fn log(arguments: &DiffArguments, path: &Path, old: &Side<'_>, new: &Side<'_>) -> Result<ExitCode> {
    let (connections, tally) = observed::read(&[path.to_owned()])?;
    let mut told = Observed { tally, ..Observed::default() };
    let finders = [&old.read.cluster, &new.read.cluster].map(Finder::new);
    let [before, after] = &finders;
    let mut answer =
        Logged { connections: 0, breaking: 0, opening: 0, breaks: Vec::new(), opens: Vec::new(), gone: Vec::new() };
    let mut broken: Vec<Met> = Vec::new();
    for connection in connections.iter().filter(|connection| connection.seen.made() > 0) {
        let (was, becomes) = match (before.met(connection), after.met(connection)) {
            (Err(missing), Err(_)) => {
                told.missing(missing);
                continue;
            }
            (was, becomes) => (was.ok(), becomes.ok()),
        };
        answer.connections += 1;
        let judged = |side: &Side<'_>, met: &Option<Met>| {
            met.as_ref().and_then(|met| breaks::outcome(&side.read.cluster, side.program, met))
        };
        let (outcome_was, outcome_becomes) = (judged(old, &was), judged(new, &becomes));
        let changes = || Changed::of(connection, outcome_was, outcome_becomes);
        match (outcome_was, outcome_becomes) {
            (was, becomes) if was == becomes => {}
            // What was denied cannot break.
            (Some(Outcome::Deny), None | Some(Outcome::Undetermined)) => {}
            (_, None | Some(Outcome::Undetermined)) => answer.gone.push(changes()),
            (_, Some(Outcome::Deny)) => {
                answer.breaking += 1;
                broken.extend(becomes);
            }
            (_, Some(Outcome::Allow)) => {
                answer.opening += 1;
                answer.opens.push(changes());
            }
        }
    }
    told.told();
    answer.breaks = breaks::grouped(&new.read.cluster, new.program, &broken);
    if arguments.output == DiffFormat::Json {
        screen::out_json(&answer)?;
    } else {
        screen::out(&answer.text(screen::width()))?;
    }
    let differs = answer.breaking + answer.opening + answer.gone.len() > 0;
    Ok(ExitCode::from(match (differs, told.is_whole()) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => 2,
    }))
}

impl Changed {
    fn of(connection: &Connection, was: Option<Outcome>, becomes: Option<Outcome>) -> Self {
        Self {
            from: connection.source.to_string(),
            to: connection.destination.to_string(),
            protocol: connection.protocol.to_string(),
            port: connection.port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
            was: was.map_or("absent", word),
            becomes: becomes.map_or("absent", word),
        }
    }

    /// `prod/web -> prod/db  TCP 5432  allow, then deny`
    fn text(&self) -> String {
        let Self { from, to, protocol, port, was, becomes } = self;
        format!("{from} -> {to}  {protocol} {port}  {was}, then {becomes}")
    }
}

impl Logged {
    fn text(&self, width: usize) -> String {
        let mut text = String::new();
        let mut line = |style, mark: &str, rest: &str, below: &str| {
            let line = hanging("  ", &plain(rest), 4, width);
            text.push_str(&format!("{}{}\n{below}", styled(style, mark), line.get(1..).unwrap_or_default()));
        };
        for changed in &self.opens {
            line(GOOD, "+", &changed.text(), "");
        }
        for changed in &self.gone {
            line(BAD, "-", &changed.text(), "");
        }
        for found in &self.breaks {
            let rest = format!("{} -> {}  {}  would break", found.from, found.to, traffics(&found.traffic));
            line(BAD, "-", &rest, &found.below(4, width));
        }
        let rest = self.connections - self.breaking - self.opening - self.gone.len();
        text.push_str(&format!(
            "{} of {} connections that were seen would break; {rest} are as before.\n",
            self.breaking + self.gone.len(),
            self.connections
        ));
        text
    }
}
