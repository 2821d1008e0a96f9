//! What packets pay for the rules, beside connection tracking alone.
//!
//! ```text
//! cargo run -p palisade-benches --release --bin dataplane            the table; exit 1 if it is too much
//! cargo run -p palisade-benches --release --bin dataplane -- --quick small, judges nothing
//! ```
//!
//! Every set of rules has a place of its own, a node and two pods, which lives from the beginning to the end.
//! In a round all places have many short turns, one after the other, and in each turn the rules are measured
//! and what is there without them; who is first changes from turn to turn.

mod conntrack;
mod path;
mod place;
mod report;
mod rules;
mod statistic;
mod wide;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use palisade_linux::{
    netns::{Hopper, on_hopping_thread},
    sandbox::Sandbox,
};
use palisade_nftables::ruleset::Ruleset;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use self::{
    place::{Kind, Place, State},
    report::Row,
    rules::{Made, Wanted},
    statistic::{Best, Samples},
};

/// A round ends after this long, on a machine that is slow or busy, as long as each place had some turns.
const ROUND: Duration = Duration::from_secs(40);
const ENOUGH: u32 = 5;
/// What connection tracking alone may differ from itself.
const NOISE: f64 = 0.01;

/// Measure what a packet pays for the rules: no netfilter, conntrack alone, Palisade, a row of rules.
#[derive(Parser)]
#[command(after_help = "Exit codes: 0 within the limits, 1 beyond them, 2 could not be measured.")]
struct Arguments {
    /// How often everything is measured; of these the least counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many turns each place has in a round; fewer where a round takes longer than 40 s.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Small rules and few turns, to see that it works; no limit is held against anything.
    #[arg(long)]
    quick: bool,
}

/// A place with a name.
struct Entry {
    place: Place,
    row: Row,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before any thread: a process with threads gets no user namespace.
    let measured = Sandbox::enter()
        .map_err(anyhow::Error::from)
        .and_then(|_| on_hopping_thread(|hopper| run(&arguments, hopper))?);
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures and prints; whether everything is within its limits.
fn run(arguments: &Arguments, hopper: &mut Hopper) -> Result<bool> {
    pin()?;
    let (rounds, turns) = if arguments.quick { (2, 2) } else { (arguments.rounds, arguments.turns) };
    let mut entries = places(arguments.quick, hopper)?;
    let began = Instant::now();
    for round in 0..rounds {
        let mut samples: Vec<Samples> = entries.iter().map(|_| Samples::default()).collect();
        let round_began = Instant::now();
        for turn in 0..turns {
            if turn >= ENOUGH && round_began.elapsed() > ROUND {
                break;
            }
            progress(&format!("round {} of {rounds}, turn {} of {turns}", round + 1, turn + 1));
            let count = entries.len();
            let first = (round + turn) as usize % count.max(1);
            let order = (first..count).chain(0..first);
            for index in order {
                let (Some(Entry { place, .. }), Some(samples)) = (entries.get_mut(index), samples.get_mut(index))
                else {
                    continue;
                };
                // It begins in the state in which its last turn ended: half as many changes.
                for state in [place.state(), place.state().other()] {
                    place.set(state, hopper)?;
                    place.turn(hopper, samples)?;
                }
            }
        }
        entries.iter_mut().zip(samples).for_each(|(entry, samples)| entry.row.best.take(samples));
    }
    progress(&format!("measured in {:.0} s", began.elapsed().as_secs_f64()));
    if io::stderr().is_terminal() {
        eprintln!();
    }
    let rows: Vec<Row> = entries.into_iter().map(|entry| entry.row).collect();
    let (table, excess) = report::table(&rows, !arguments.quick);
    io::stdout().write_all(table.as_bytes())?;
    for line in &excess {
        println!("too much\t{line}");
    }
    let error = report::error(&rows);
    if error > NOISE && !arguments.quick {
        eprintln!(
            "conntrack alone is {error:.3} away from itself: this machine is too busy to hold a limit of 1.03 against"
        );
    }
    Ok(excess.is_empty())
}

/// Makes every place and sees that it is what it should be.
fn places(quick: bool, hopper: &mut Hopper) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut add = |kind, rules, policies, pods, ruleset| {
        progress(&format!("making: {rules} {policies}"));
        let mut place = Place::make(kind, ruleset, hopper)?;
        place.verify(hopper).with_context(|| format!("{rules}, {policies} policies"))?;
        entries.push(Entry { place, row: Row { kind, rules, policies, pods, best: Best::default() } });
        anyhow::Ok(())
    };
    add(Kind::Nothing, "no netfilter", 0, 0, Ruleset::default())?;
    add(Kind::Again, "conntrack again", 0, 0, Ruleset::default())?;
    add(Kind::Empty, "empty base chain", 0, 0, rules::empty())?;
    // The first is what the others are flat beside.
    let wanted = |policies, pods, on_pair| Wanted { policies, pods, on_pair, wide: 0, half_audited: false };
    let small = wanted(40, 200, 12);
    let large = wanted(10_000, 100_000, 12);
    let (first, others) = match quick {
        true => (
            small,
            vec![
                ("palisade, one pod", wanted(100, 200, 60)),
                ("palisade, cluster-wide", Wanted { wide: 20, ..small }),
                ("palisade, half audited", Wanted { half_audited: true, ..small }),
                ("palisade, half of both audited", Wanted { wide: 20, half_audited: true, ..small }),
            ],
        ),
        false => (
            wanted(100, 1_000, 12),
            vec![
                ("palisade", wanted(1_000, 10_000, 12)),
                ("palisade", large),
                ("palisade, one pod", wanted(2_000, 10_000, 1_000)),
                // A hundred cluster-wide ones besides, of 25 rules each.
                ("palisade, cluster-wide", Wanted { wide: 100, ..large }),
                ("palisade, half audited", Wanted { half_audited: true, ..large }),
                ("palisade, half of both audited", Wanted { wide: 100, half_audited: true, ..large }),
            ],
        ),
    };
    let all = std::iter::once(("palisade", first)).chain(others);
    let all = all.map(|(name, wanted)| (Kind::Palisade, name, wanted));
    for (kind, name, wanted) in all.chain([(Kind::Cutting, "palisade, some cut", first)]) {
        let Made { ruleset, policies, pods } = rules::palisade(wanted)?;
        add(kind, name, policies, pods, ruleset)?;
    }
    for policies in if quick { &[40][..] } else { &[100, 1_000, 10_000] } {
        add(Kind::Linear, "one rule a policy", *policies, 0, rules::linear(*policies))?;
    }
    Ok(entries)
}

impl State {
    fn other(self) -> Self {
        match self {
            Self::Alone => Self::With,
            Self::With => Self::Alone,
        }
    }
}

/// Keeps this thread on one CPU, the last that it may use: interrupts mostly come to the first.
fn pin() -> Result<()> {
    let allowed = sched_getaffinity(None).context("which CPUs may be used?")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).context("no CPU may be used")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).context("cannot stay on one CPU")
}

/// For whoever watches: one line that is written over; into a file, a line for each round.
fn progress(line: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r{line:<60}");
    } else if !line.contains("turn ") || line.contains("turn 1 ") {
        eprintln!("{line}");
    }
}
