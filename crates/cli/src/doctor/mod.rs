//! `palisade doctor`: whether this machine can enforce policies and run the lab, and what to do if not.

mod facts;
mod findings;

use std::process::ExitCode;

use anyhow::Result;

use self::{
    facts::Facts,
    findings::{Finding, State, findings},
};
use crate::{
    args::{Doctor, Format},
    screen::{self, BAD, FAINT, GOOD, MIXED, hanging, styled},
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Doctor) -> Result<ExitCode> {
    let findings = findings(&Facts::gather());
    match arguments.output {
        Format::Json => screen::out_json(&findings)?,
        Format::Text => screen::out(&text(&findings, screen::width()))?,
    }
    let fails = findings.iter().any(|finding| finding.state == State::Fails);
    Ok(ExitCode::from(u8::from(fails)))
}

/// How many Services IPVS has here.
pub(crate) fn ipvs_services() -> usize {
    facts::ipvs()
}

fn text(findings: &[Finding], width: usize) -> String {
    let mut text = String::new();
    let widest = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    for Finding { name, state, found, mend } in findings {
        let (word, style) = match state {
            State::Works => ("ok   ", GOOD),
            State::Doubtful => ("look ", MIXED),
            State::Fails => ("FAIL ", BAD),
            State::Unknown => ("?    ", FAINT),
        };
        let lead = format!("      {name:widest$}  ");
        let line = hanging(&lead, found, lead.len(), width);
        text.push_str(&format!("{} {}\n", styled(style, word), line.get(6..).unwrap_or_default()));
        if let Some(mend) = mend {
            text.push_str(&format!("{}\n", hanging("      = ", mend, 8, width)));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    text.push('\n');
    text.push_str(&match (count(State::Fails), count(State::Doubtful)) {
        (0, 0) => "This machine can enforce policies.\n".to_owned(),
        (0, look) => format!("This machine can enforce policies; {look} to look at.\n"),
        (fails, _) => format!("{fails} in the way of enforcing policies here.\n"),
    });
    text
}
