//! `palisade explain`: one connection, its verdict, and the lines that made it.

mod nearest;
mod report;
mod text;
mod tiers;
mod traffic;
mod wide;
mod words;

use std::process::ExitCode;

use anyhow::Result;
use palisade_engine::{model::Family, verdict::Outcome};

pub(crate) use self::report::{HalfReport, Reporter, RuleReport, State};
use self::{report::Report, text::Printer};
use crate::{
    args::{Explain, Format},
    endpoint::{Case, Resolver, ServiceHop, cases, parse_end, parse_target},
    input::{self, Read},
    screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Explain) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let from = parse_end(&arguments.from)?;
    let target = parse_target(&arguments.to)?;
    let Read { cluster, excerpts, namespace } = input::cluster_with(&arguments.input, &arguments.resolve)?;
    let cluster = &cluster.in_mode(arguments.mode.into());
    let resolver = Resolver { cluster, namespace: &namespace };
    let from = resolver.source(&from)?;
    let (to, service) = resolver.destination(&target)?;
    let mut cases = cases(&resolver, &from, &to, arguments.family.map(Into::into))?;
    if service.is_some() {
        cases.iter_mut().for_each(|case| case.flow = case.flow.through_service());
    }

    let program = arguments.audited.compile(cluster);
    let reporter = Reporter { cluster, program: &program };
    let reports = distinct(&reporter, &cases, service.as_ref(), arguments.family.map(Into::into));
    let answer = Answer::of(&reports);
    match arguments.output {
        Format::Json => screen::out_json(&serde_json::json!({ "verdict": answer.word, "connections": reports }))?,
        Format::Text => {
            let printer = Printer { excerpts: &excerpts, sources: cluster.sources(), width: screen::width() };
            let text = match reports.as_slice() {
                [only] => printer.print(only),
                several => {
                    let asked = format!("{} -> {}", arguments.from, arguments.to);
                    text::several(&printer, answer.word, &asked, several)
                }
            };
            screen::out(&text)?;
        }
    }
    Ok(ExitCode::from(answer.exit_code))
}

/// What one or several connections come to.
struct Answer {
    word: &'static str,
    exit_code: u8,
}

impl Answer {
    fn of(reports: &[Report]) -> Self {
        if let [first, rest @ ..] = reports
            && rest.iter().all(|other| other.verdict == first.verdict)
        {
            let exit_code = match first.outcome {
                Outcome::Allow => 0,
                Outcome::Deny => 1,
                Outcome::Undetermined => 2,
            };
            return Self { word: first.verdict, exit_code };
        }
        // A family that an end may never have denies nothing for certain.
        let certain = |report: &&Report| !report.family_is_assumed || !report.family_tells;
        if reports.iter().filter(certain).any(|report| report.outcome == Outcome::Deny) {
            Self { word: "MIXED", exit_code: 1 }
        } else {
            Self { word: "UNKNOWN", exit_code: 2 }
        }
    }
}

/// One report a pair of ends where the families agree, one a family where they do not.
fn distinct(
    reporter: &Reporter<'_>,
    cases: &[Case],
    service: Option<&ServiceHop>,
    only: Option<Family>,
) -> Vec<Report> {
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
            Some(other) => {
                other.family = None;
                (other.from_address, other.to_address) = (None, None);
            }
            None => reports.push(report),
        }
    }
    let pairs: Vec<(String, String, String)> = reports.iter().map(pair).collect();
    for report in &mut reports {
        let own = pair(report);
        report.family_tells = only.is_some() || pairs.iter().filter(|pair| **pair == own).count() > 1;
    }
    reports
}

/// What is told apart without the family. What a question without a port comes to is no part of it.
fn pair(report: &Report) -> (String, String, String) {
    let asked = if report.without_port { String::new() } else { report.traffic.clone() };
    (report.from.clone(), report.to.clone(), asked)
}
