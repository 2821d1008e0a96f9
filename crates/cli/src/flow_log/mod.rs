//! `palisade flows`: what agents logged, from a socket or from files; line by line, or folded into connections.
//!
//! ```text
//! socket, files, standard input ──feed──► Entry ──filter──┬─► the last N, then what comes ──► text | the line as it was
//!                                                         └─► fold ──► Connection… ──► text | jsonl | json | tsv
//! ```

mod feed;
mod filter;
mod fold;
mod text;

use std::{collections::VecDeque, io::Write as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_flows::{Entry, read};

use self::{
    feed::{Feed, Merge, Step},
    filter::Filter,
    text::Page,
};
pub(crate) use self::{
    fold::{left_out, of_files},
    text::{plain, span, times},
};
use crate::{
    args::{Flows, FlowsFormat},
    screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Flows) -> Result<ExitCode> {
    let stdin = arguments.files.iter().filter(|path| path.as_path() == Path::new("-")).count();
    if stdin > 1 {
        bail!("standard input (`-`) can be read only once");
    }
    let filter = Filter::of(arguments)?;
    if arguments.fold {
        return fold::run(arguments, &filter);
    }
    if matches!(arguments.output, FlowsFormat::Json | FlowsFormat::Tsv) {
        bail!("lines are printed as text or jsonl; json and tsv are forms of what --fold makes of them");
    }
    let mut lines = Lines::open(arguments)?;
    let mut page = Page::new(screen::width());
    let mut held: VecDeque<String> = VecDeque::new();
    // Until what there is was read, only the last lines are held where these are asked for.
    let (mut holds, mut any, mut unreadable) = (arguments.last.is_some(), false, 0_u64);
    loop {
        let shown = match lines.next()? {
            Step::Line(text) => match read(&text) {
                Ok(Entry::Record(record)) if !filter.takes(&(*record).clone().into()) => None,
                Ok(Entry::Flow(flow)) if !filter.takes(&flow) => None,
                Ok(Entry::Connection(connection)) if !filter.takes_connection(&connection) => None,
                Ok(Entry::PassedOver(_)) => None,
                Ok(entry) => {
                    any |= !matches!(entry, Entry::Lost(_) | Entry::CaughtUp);
                    Some(match arguments.output {
                        FlowsFormat::Text => page.entry(&entry),
                        _ => format!("{text}\n"),
                    })
                }
                Err(why) => {
                    unreadable += 1;
                    // One that is no flow log at all has as many of them as it has lines.
                    if unreadable <= fold::TOLD || arguments.follow {
                        screen::error(&anyhow!("{}: {why}", lines.place()));
                    }
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
        if !arguments.follow && lines.is_caught_up() {
            break;
        }
    }
    if unreadable > fold::TOLD && !arguments.follow {
        screen::note(&format!("{} more lines could not be read", unreadable - fold::TOLD));
    }
    Ok(ExitCode::from(match (unreadable, any) {
        (1.., _) => 2,
        (0, true) => 0,
        (0, false) => 1,
    }))
}

/// Lines of one origin, or of several files.
enum Lines {
    One(Feed),
    Many {
        merge: Merge,
        /// Where the last line stands.
        place: String,
        ended: bool,
    },
}

impl Lines {
    fn open(arguments: &Flows) -> Result<Self> {
        match arguments.files.as_slice() {
            [] => Ok(Self::One(Feed::socket(&arguments.socket, arguments.follow)?)),
            [file] => Ok(Self::One(Feed::file(file, arguments.follow)?)),
            _ if arguments.follow => bail!("--follow goes on with one file, and not with several"),
            files => Ok(Self::Many { merge: Merge::open(files)?, place: String::new(), ended: false }),
        }
    }

    fn next(&mut self) -> Result<Step> {
        match self {
            Self::One(feed) => feed.next(),
            Self::Many { merge, place, ended } => match merge.next()? {
                Some((at, text)) => {
                    *place = at;
                    Ok(Step::Line(text))
                }
                None => {
                    *ended = true;
                    Ok(Step::CaughtUp)
                }
            },
        }
    }

    fn place(&self) -> String {
        match self {
            Self::One(feed) => feed.place(),
            Self::Many { place, .. } => place.clone(),
        }
    }

    fn is_caught_up(&self) -> bool {
        match self {
            Self::One(feed) => feed.is_caught_up(),
            Self::Many { ended, .. } => *ended,
        }
    }
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
