//! `palisade lab`: the cluster as network namespaces. `run` tries every connection with real packets; the
//! others are for playing with a lab that stays up.
//!
//! ```text
//! up ──► holder   one process has the lab, and listens at a socket without a file (see `door`)
//!          ▲
//!          ├── exec            gets the descriptors of a pod's namespaces, goes there, runs the command
//!          ├── apply, delete   send texts, and are told what changed
//!          └── list, down
//! ```

mod change;
mod compact;
mod door;
mod exec;
mod holder;
mod matrix;
mod progress;
mod report;
mod running;
mod trials;
mod up;

pub(crate) use self::{
    change::{apply, delete},
    exec::exec,
    running::{down, list},
    up::up,
};

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use palisade_engine::{PolicyProgram, model::Flow};
use palisade_lab::{enforcement, placement, probe::Timing, sandbox::Sandbox};

use self::progress::ProgressLine;
use crate::{
    args::{Format, LabRun},
    endpoint::Resolver,
    flows, input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &LabRun) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, arguments.flows.as_deref())?;
    let table = arguments.flows.as_deref().map(flows::read).transpose()?;
    let read = input::cluster_with(&arguments.input, &arguments.resolve)?;
    let namespace = &read.namespace;
    let cluster = placement::place(read.cluster).map_err(|conflicts| {
        let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        anyhow!("the lab finds no addresses that suit: {}", conflicts.join("; "))
    })?;
    let resolver = Resolver { cluster: &cluster, namespace };
    let family = arguments.family.map(Into::into);
    let trials = match &table {
        Some(table) => trials::of_table(&resolver, table, family)?,
        None => trials::of_all(&resolver, family)?,
    };
    if trials.trials.is_empty() {
        return Err(anyhow!(
            "there is nothing to try: no pod has a port that listens (spec.containers[].ports); name connections with --flows"
        ));
    }

    let program = PolicyProgram::compile(&cluster);
    let flows: Vec<Flow> = trials.trials.iter().map(|trial| trial.flow).collect();
    // Before any thread starts: a process with threads cannot have a user namespace of its own.
    let sandbox = Sandbox::enter().context("the lab needs a network namespace of its own")?;
    let mut line = ProgressLine::new();
    let how = (Timing::default(), arguments.wiring.into());
    let report = enforcement::run_wired(&cluster, &program, &flows, how, &mut |step| line.show(step));
    line.clear();
    let report = report.map_err(|error| explained(error, &trials))?;

    let outcome = report::Outcome::new(&cluster, &program, &trials, &report, sandbox.means());
    match arguments.output {
        Format::Json => screen::out_json(&outcome.json())?,
        Format::Text => screen::out(&outcome.text(arguments, screen::width()))?,
    }
    Ok(ExitCode::from(u8::from(!outcome.holds())))
}

/// The lab's error, with the connection that it is about.
fn explained(error: enforcement::LabError, trials: &trials::Trials) -> anyhow::Error {
    let index = match &error {
        enforcement::LabError::Unreachable { first, .. } => Some(*first),
        enforcement::LabError::NoAddress { index, .. } => Some(*index),
        _ => None,
    };
    let trial = index.and_then(|index| trials.trials.get(index)).map(|trial| trials.describe(trial));
    match trial {
        Some(trial) => anyhow::Error::new(error).context(trial),
        None => error.into(),
    }
}
