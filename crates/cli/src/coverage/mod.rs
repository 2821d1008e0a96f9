//! `palisade coverage`: which workloads are isolated, by what, and which are open.

mod baseline;
mod report;
mod text;

use std::process::ExitCode;

use anyhow::Result;
use palisade_engine::PolicyProgram;

use self::{baseline::Baseline, report::Report};
use crate::{
    args::{Coverage, Format},
    input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Coverage) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?;
    let read = input::cluster_with_pods(&arguments.input)?;
    let program = PolicyProgram::compile(&read.cluster);
    let report = Report::new(&read.cluster, &program);
    let newly_open = baseline.as_ref().map(|baseline| baseline.newly_open(&report)).unwrap_or_default();
    match arguments.output {
        Format::Json => screen::out_json(&report)?,
        Format::Text => screen::out(&text::print(&report, &newly_open, baseline.is_some(), screen::width()))?,
    }
    let too_little = arguments.fail_under.is_some_and(|least| report.percent < f64::from(least));
    if too_little && arguments.output == Format::Text {
        let least = arguments.fail_under.unwrap_or_default();
        screen::aside(&format!("{:.1} % is under the {least} % asked for\n", report.percent));
    }
    Ok(ExitCode::from(u8::from(too_little || !newly_open.is_empty())))
}
