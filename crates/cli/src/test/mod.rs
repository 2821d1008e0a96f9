//! `palisade test`: assertions about what is allowed, judged exactly.
//!
//! ```text
//! test files ──read──► tests ──who──► questions ──judge──► what is wrong ──why──► lines that say so
//!                                        ▲
//! manifests ──► all connections, cut where the assertions' addresses begin and end
//! ```

mod blocks;
mod ends;
mod file;
mod formats;
mod init;
mod judge;
mod outcome;
mod ports;
mod read;
mod spare;
mod starter;
mod text;
mod who;
mod why;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use palisade_engine::{
    Connections, PolicyProgram,
    model::{Cluster, Direction},
    sets::PrefixSet,
};
use palisade_manifest::{Diagnostic, texts::ReadAgain};

use self::{
    file::{Assertion, EndSpec, Form, Test},
    judge::{Judge, Question, Spare},
    outcome::{Failure, Outcome, Teller},
    read::Files,
    text::Printer,
    who::{Missing, Who},
};
use crate::{
    args::{TestArguments, TestFormat},
    endpoint::Resolver,
    input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode> {
    if arguments.init {
        return init::run(&arguments.input);
    }
    once_from_stdin(arguments)?;
    let files = Files::read(&arguments.files);
    complain(&files, &files.findings)?;
    let tests: Vec<&Test> = files.tests.iter().filter(|test| is_wanted(test, arguments.filter.as_deref())).collect();
    if tests.is_empty() {
        bail!("no test has `{}` in its name", arguments.filter.as_deref().unwrap_or_default());
    }
    let read = input::cluster(&arguments.input)?;
    let (mut asked, mut findings) = (Vec::new(), Vec::new());
    for test in tests {
        let resolver =
            Resolver { cluster: &read.cluster, namespace: test.namespace.as_deref().unwrap_or(&read.namespace) };
        let mut questions = Vec::new();
        for assertion in &test.assertions {
            questions.push((assertion, question(&resolver, assertion, &mut findings)));
        }
        asked.push((test, questions));
    }
    complain(&files, &findings)?;
    let outcomes = judged(&read.cluster, asked);
    // Programs get the names of files as they were given.
    let excerpts = (arguments.output == TestFormat::Text).then_some(&read.excerpts);
    let printer = Printer { excerpts, sources: &files.sources, width: screen::width() };
    match arguments.output {
        TestFormat::Text => screen::out(&printer.print(&outcomes))?,
        TestFormat::Json => screen::out_json(&formats::json(&outcomes, &files.sources))?,
        TestFormat::Junit => screen::out_bytes(formats::junit(&outcomes, &printer).as_bytes())?,
        TestFormat::Tap => screen::out_bytes(formats::tap(&outcomes, &printer).as_bytes())?,
    }
    Ok(ExitCode::from(u8::from(!outcomes.iter().all(Outcome::holds))))
}

/// An assertion as a question, or why it fails before it is one.
type Asked = Result<Question, Box<Failure>>;

/// Judges all questions about one cluster.
fn judged<'f>(cluster: &Cluster, asked: Vec<(&'f Test, Vec<(&'f Assertion, Asked)>)>) -> Vec<Outcome<'f>> {
    let program = PolicyProgram::compile(cluster);
    let questions = asked.iter().flat_map(|(_, questions)| questions).filter_map(|(_, asked)| asked.as_ref().ok());
    let cuts: Vec<&PrefixSet> = questions.flat_map(addresses).filter(|set| !set.is_empty()).collect();
    let connections = Connections::cut(cluster, &program, cuts.into_iter());
    let judge = Judge::new(cluster, &program, &connections);
    let teller = Teller::new(&judge);
    let mut outcomes = Vec::with_capacity(asked.len());
    for (test, questions) in asked {
        let told = questions.into_iter().map(|(assertion, asked)| match asked {
            Ok(question) => (assertion, teller.failures(&question, assertion)),
            Err(failure) => (assertion, vec![*failure]),
        });
        outcomes.push(Outcome { test, assertions: told.collect() });
    }
    outcomes
}

/// Finds the ends of an assertion. What can be read in two ways is a finding.
fn question(resolver: &Resolver<'_>, assertion: &Assertion, findings: &mut Vec<Diagnostic>) -> Asked {
    let empty = assertion.allow_empty;
    let mut failed = |spec: &EndSpec, missing: Missing| {
        if let Missing::Ambiguous { at, why } = &missing {
            findings.push(read::finding(*at, why.clone()));
        }
        Box::new(outcome::missing(outcome::key(assertion.form, spec, assertion), &missing))
    };
    let mut whole = |spec: &Option<EndSpec>| match spec {
        Some(spec) => who::resolve(resolver, spec, empty).map_err(|missing| failed(spec, missing)),
        None => Ok(Who::default()),
    };
    let ports = &assertion.ports;
    Ok(match assertion.form {
        Form::Isolated(direction) => {
            let mut who = whole(&assertion.from)?;
            who = if assertion.from.is_some() { who } else { whole(&assertion.to)? };
            Question::Isolated { who, direction }
        }
        Form::OnlyTo => {
            let (from, to) = (whole(&assertion.from)?, whole(&assertion.to)?);
            let from = Who { named_nodes: Vec::new(), ..from };
            let others = to.complement(resolver.cluster);
            let spare = Some(Spare { direction: Direction::Egress, networks: to.networks });
            Question::Deny { from, to: who::by_port(resolver.cluster, others, ports), spare }
        }
        Form::Allow | Form::Deny | Form::Only => {
            let from = whole(&assertion.from)?;
            let mut to = match &assertion.to {
                Some(spec) => who::aims(resolver, spec, ports, empty).map_err(|missing| failed(spec, missing))?,
                None => Vec::new(),
            };
            match assertion.form {
                Form::Allow => Question::Allow { from, to },
                Form::Deny => Question::Deny { from, to, spare: None },
                _ => {
                    // That its own node reaches it goes without saying.
                    to.iter_mut().for_each(|aim| aim.who.named_nodes.clear());
                    let others = from.complement(resolver.cluster);
                    let spare = Some(Spare { direction: Direction::Ingress, networks: from.networks });
                    Question::Deny { from: others, to, spare }
                }
            }
        }
    })
}

/// The addresses that a question tells apart.
fn addresses(question: &Question) -> Vec<&PrefixSet> {
    match question {
        Question::Allow { from, to } | Question::Deny { from, to, .. } => {
            std::iter::once(&from.outside).chain(to.iter().map(|aim| &aim.who.outside)).collect()
        }
        Question::Isolated { .. } => Vec::new(),
    }
}

fn is_wanted(test: &Test, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| test.name.contains(filter))
}

/// Standard input can be read once.
fn once_from_stdin(arguments: &TestArguments) -> Result<()> {
    let dashes = arguments.files.iter().chain(&arguments.input.paths).filter(|path| *path == Path::new("-")).count();
    if dashes > 1 {
        bail!("`-` stands for standard input, which can be read only once: give all but one as a file");
    }
    Ok(())
}

/// Shows the mistakes of test files.
///
/// # Errors
/// When there is one.
fn complain(files: &Files, findings: &[Diagnostic]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let renderer = input::renderer(screen::width(), anstream::AutoStream::choice(&std::io::stderr()));
    let texts = ReadAgain::new(&files.sources, &files.texts);
    for finding in findings {
        screen::aside(&format!("{}\n\n", renderer.diagnostic(finding, &files.sources, &texts).trim_end()));
    }
    let what = if findings.len() == 1 { "one mistake".to_owned() } else { format!("{} mistakes", findings.len()) };
    Err(anyhow!("no answer from tests with {what}"))
}
