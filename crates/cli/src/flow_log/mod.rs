//! `palisade flows`: what an agent logged, from its socket or a file.
//!
//! ```text
//! socket, file, standard input ──feed──► Line ──filter──► the last N, then what comes ──► text | the line as it was
//! ```

mod feed;
mod filter;
mod text;

use std::{collections::VecDeque, io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use palisade_agent::flow_log::record::Line;

use self::{
    feed::{Feed, Step},
    filter::Filter,
    text::Page,
};
use crate::{
    args::{Flows, FlowsFormat},
    screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Flows) -> Result<ExitCode> {
    let filter = Filter::of(arguments)?;
    let mut feed = Feed::open(arguments)?;
    let mut page = Page::new(screen::width());
    let mut held: VecDeque<String> = VecDeque::new();
    // Until what there is was read, only the last lines are held where these are asked for.
    let (mut holds, mut any, mut unreadable) = (arguments.last.is_some(), false, false);
    loop {
        let shown = match feed.next()? {
            Step::Line(place, text) => match Line::parse(&text) {
                Ok(Line::Flow(record)) if !filter.takes(&record) => None,
                Ok(line) => {
                    any |= matches!(line, Line::Flow(_));
                    Some(match arguments.output {
                        FlowsFormat::Text => page.entry(&line),
                        FlowsFormat::Jsonl => format!("{text}\n"),
                    })
                }
                Err(why) => {
                    unreadable = true;
                    screen::error(&anyhow!("{place}: {why}"));
                    None
                }
            },
            Step::CaughtUp => {
                holds = false;
                let last = held.drain(..).collect::<String>();
                (!last.is_empty()).then_some(last)
            }
            Step::End => break,
        };
        match shown {
            Some(shown) if holds => {
                held.push_back(shown);
                let excess = held.len().saturating_sub(arguments.last.unwrap_or(usize::MAX));
                held.drain(..excess);
            }
            // Whoever reads this has seen enough.
            Some(shown) if !put(&shown)? => break,
            Some(_) | None => {}
        }
        if !arguments.follow && feed.is_caught_up() {
            break;
        }
    }
    Ok(ExitCode::from(match (unreadable, any) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 1,
    }))
}

/// Writes to standard output; says whether anybody still reads it.
fn put(text: &str) -> Result<bool> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
