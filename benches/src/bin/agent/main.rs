//! What the agent of a node takes from a change to the kernel's rules: time, CPU and memory, by the cluster's size.
//!
//! ```text
//! cargo run -p palisade-benches --release --bin agent            three sizes; exit 1 if it is too much
//! cargo run -p palisade-benches --release --bin agent -- --quick small, judges nothing
//! ```
//!
//! Each size is a process of its own, so its memory is that of one agent. Times go from an event to the
//! kernel's acknowledgement, the window in which changes are gathered included (5 ms of silence).

mod changes;
mod child;
mod meter;
mod process;
mod report;

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use self::{
    child::Task,
    report::{HEAD, Line, Size},
};

/// Policies and pods.
const SIZES: [Size; 3] = [(100, 1_000), (1_000, 10_000), (10_000, 100_000)];
const QUICK: [Size; 2] = [(30, 120), (60, 300)];

/// Measure an agent: change to enforced, CPU, memory, at three sizes of the cluster.
#[derive(Parser)]
#[command(after_help = "Exit codes: 0 within the limits, 1 beyond them, 2 could not be measured.")]
struct Arguments {
    /// Another size than the three, as POLICIES/PODS; may be given several times, the smallest first.
    #[arg(long = "size", value_name = "POLICIES/PODS", value_parser = size)]
    sizes: Vec<Size>,
    /// Small clusters and few changes, to see that it works; no limit is held against anything.
    #[arg(long)]
    quick: bool,
    /// Be the process that measures the one size given.
    #[arg(long, hide = true)]
    child: bool,
    /// Be the process that has the whole command measured at the one size given.
    #[arg(long, hide = true)]
    command: bool,
}

fn size(text: &str) -> Result<Size> {
    let (policies, pods) = text.split_once('/').context("write POLICIES/PODS, for example 100/1000")?;
    Ok((policies.parse()?, pods.parse()?))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.child { be_child(&arguments) } else { measure(&arguments) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn be_child(arguments: &Arguments) -> Result<bool> {
    let &[(policies, pods)] = arguments.sizes.as_slice() else { bail!("a child has one --size") };
    let task = if arguments.quick { Task::quick(policies, pods) } else { Task::usual(policies, pods) };
    let say = &mut |line| println!("{line}");
    if arguments.command {
        process::run(task, say)?
    } else {
        child::run(task, say)?
    }
    Ok(true)
}

/// Measures every size and prints the table; whether everything is within its limits.
fn measure(arguments: &Arguments) -> Result<bool> {
    let sizes = match (arguments.sizes.as_slice(), arguments.quick) {
        ([], true) => QUICK.to_vec(),
        ([], false) => SIZES.to_vec(),
        (sizes, _) => sizes.to_vec(),
    };
    println!("{HEAD}");
    let (mut smallest, mut too_much): (Option<Vec<Line>>, Vec<String>) = (None, Vec::new());
    for (policies, pods) in sizes {
        let lines =
            of_size((policies, pods), arguments.quick).with_context(|| format!("{policies} policies, {pods} pods"))?;
        let (rows, excess) = report::rows((policies, pods), &lines, smallest.as_deref(), !arguments.quick);
        rows.iter().for_each(|row| println!("{row}"));
        too_much.extend(excess);
        smallest.get_or_insert(lines);
    }
    too_much.iter().for_each(|line| println!("too much\t{line}"));
    Ok(too_much.is_empty())
}

/// Has a child measure one size.
fn of_size((policies, pods): Size, quick: bool) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for whole in [None, Some("--command")] {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--child", "--size", &format!("{policies}/{pods}")]).args(quick.then_some("--quick"));
        command.args(whole);
        lines_of(command, (policies, pods), &mut lines)?;
    }
    Ok(lines)
}

fn lines_of(mut command: Command, (policies, pods): Size, lines: &mut Vec<Line>) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("this program cannot be started again")?;
    let said = child.stdout.take().context("a child without an output")?;
    for line in BufReader::new(said).lines() {
        let line: Line = line?.parse()?;
        eprintln!("{policies} policies, {pods} pods: {}", line.what);
        lines.push(line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the process that measured it ended with {status}; its error is above");
    }
    Ok(())
}
