//! `palisade explain`: one connection, its verdict, and the lines that made it.

mod report;
mod text;
mod words;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use palisade_engine::{PolicyProgram, verdict::Outcome};

use self::{
    report::{Report, Reporter, verdict_word},
    text::Printer,
};
use crate::{
    args::{Explain, Format},
    endpoint::{Case, Resolver, ServiceHop, cases, parse_end, parse_target},
    input,
    screen::{self, MIXED, styled},
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Explain) -> Result<ExitCode> {
    let from = parse_end(&arguments.from)?;
    let target = parse_target(&arguments.to)?;
    let read = input::cluster(&arguments.input)?;
    let cluster = &read.cluster;
    let resolver = Resolver { cluster, namespace: &arguments.input.namespace };
    let from = resolver.source(&from)?;
    let (to, service) = resolver.destination(&target)?;
    let cases = cases(&resolver, &from, &to, arguments.family.map(Into::into))?;

    let program = PolicyProgram::compile(cluster);
    let reporter = Reporter { cluster, program: &program };
    let reports = distinct(&reporter, &cases, service.as_ref());
    let answer = Answer::of(&reports);
    match arguments.output {
        Format::Json => {
            let json = serde_json::json!({
                "verdict": answer.word(),
                "connections": reports,
            });
            println!("{}", serde_json::to_string_pretty(&json).context("cannot write JSON")?);
        }
        Format::Text => {
            let printer = Printer { excerpts: &read.excerpts, sources: cluster.sources(), width: screen::width() };
            match (&answer, reports.as_slice()) {
                (Answer::One(_), [first, ..]) => text::show(&printer.print(first)),
                _ => text::show(&mixed(&printer, arguments, &reports)),
            }
        }
    }
    Ok(answer.exit_code())
}

/// What several connections come to.
enum Answer {
    One(Outcome),
    Mixed,
}

impl Answer {
    fn of(reports: &[Report]) -> Self {
        match reports {
            [first, rest @ ..]
                if rest.iter().all(|report| report.verdict == first.verdict && report.traffic == first.traffic) =>
            {
                Self::One(first.outcome)
            }
            _ => Self::Mixed,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::One(outcome) => verdict_word(*outcome),
            Self::Mixed => "MIXED",
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::One(Outcome::Allow) => 0,
            Self::One(Outcome::Deny) | Self::Mixed => 1,
            Self::One(Outcome::Undetermined) => 2,
        })
    }
}

/// One report a pair of ends where the families agree, one a family where they do not.
fn distinct(reporter: &Reporter<'_>, cases: &[Case], service: Option<&ServiceHop>) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    for case in cases {
        let report = match case.to.traffic {
            Some(_) => reporter.report(case, service),
            None => reporter.traffic_report(case, service),
        };
        let same = reports.iter_mut().find(|other| {
            other.from == report.from
                && other.to == report.to
                && other.traffic == report.traffic
                && other.verdict == report.verdict
        });
        match same {
            Some(other) => other.family = None,
            None => reports.push(report),
        }
    }
    reports
}

fn mixed(printer: &Printer<'_>, arguments: &Explain, reports: &[Report]) -> String {
    let mut text = format!("{}  {} -> {}\n\n", styled(MIXED, "MIXED"), arguments.from, arguments.to);
    text.push_str(&text::summary(printer, reports));
    if let Some(denied) = reports.iter().find(|report| report.outcome != Outcome::Allow) {
        text.push_str("\nThe first that is not allowed:\n\n");
        text.push_str(&printer.print(denied));
    }
    text
}
