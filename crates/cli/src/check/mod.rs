//! `palisade check`: what the API server would say, said better, and what it would never say.

mod baseline;
mod configuration;
mod explain;
mod github;
mod json;
mod sarif;

use std::process::ExitCode;

use anyhow::{Result, bail};
use palisade_engine::{PolicyProgram, model::Cluster};
use palisade_lint::{Finding, Level, Lint, REGISTRY, Subject};
use palisade_manifest::{
    Annotation, Diagnostic, Severity,
    diagnostic::code,
    texts::{ReadAgain, Texts},
};

use self::configuration::{Configuration, Ignored};
use crate::{
    args::{Check, CheckFormat, FailOn},
    input, screen,
};

/// Everything that was found, and the input it was found in.
struct Checked {
    findings: Vec<Diagnostic>,
    sources: palisade_engine::model::Sources,
    texts: Texts,
    files: usize,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Check) -> Result<ExitCode> {
    if let Some(code) = &arguments.explain {
        return explain::run(code);
    }
    if arguments.paths.is_empty() {
        bail!("nothing to check: give files or folders with -f, or `-f -` for standard input");
    }
    let configuration = Configuration::read(arguments.config.as_deref())?;
    let mut checked = check(arguments, &configuration)?;
    if let Some(path) = &arguments.baseline {
        baseline::keep_new(&mut checked.findings, path)?;
    }
    match arguments.output {
        CheckFormat::Text => text(&checked)?,
        CheckFormat::Json => json::print(&checked.findings, &checked.sources)?,
        CheckFormat::Sarif => sarif::print(&checked.findings, &checked.sources)?,
        CheckFormat::Github => github::print(&checked.findings, &checked.sources)?,
    }
    Ok(exit_code(&checked.findings, arguments.fail_on))
}

fn check(arguments: &Check, configuration: &Configuration) -> Result<Checked> {
    let reading =
        input::read_as(&arguments.paths, arguments.recursive, &arguments.namespace, arguments.server_version.into());
    let sources = reading.inventory.sources.clone();
    let files = sources.iter().count();
    let mut findings = reading.diagnostics;
    let unread = input::note_passed_over(&reading.passed_over);
    if !unread.is_empty() {
        let message = format!("{} not checked: this version does not read them", unread.join(", "));
        findings.push(Diagnostic::error(code::INPUT, message));
    }
    match reading.inventory.into_cluster() {
        Err(conflicts) => findings.extend(conflicts.iter().map(Diagnostic::from)),
        Ok(cluster) => findings.extend(lint(&cluster, configuration)),
    }
    Ok(Checked { findings, sources, texts: reading.texts, files })
}

/// The findings of every rule that is on, in the order of the input.
fn lint(cluster: &Cluster, configuration: &Configuration) -> Vec<Diagnostic> {
    let program = PolicyProgram::compile(cluster);
    let subject = Subject::new(cluster, &program);
    let ignored = Ignored::of(cluster);
    let mut found = Vec::new();
    for lint in REGISTRY {
        let Some(level) = configuration.level(lint) else { continue };
        let findings = lint.check(&subject).into_iter();
        let findings = findings.filter(|finding| !ignored.has(finding, lint));
        found.extend(findings.map(|finding| diagnostic(lint, level, finding)));
    }
    found.sort_by_key(|finding| finding.primary.as_ref().map(|primary| (primary.span.file, primary.span.start)));
    found
}

fn diagnostic(lint: &Lint, level: Level, finding: Finding) -> Diagnostic {
    let severity = match level {
        Level::Note => Severity::Note,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
    };
    let mut diagnostic = Diagnostic::new(severity, format!("{} {}", lint.code, lint.name), finding.message);
    diagnostic.primary = finding.at.map(|span| Annotation { span, label: finding.label });
    diagnostic.secondary =
        finding.also.into_iter().map(|note| Annotation { span: note.at, label: note.label }).collect();
    diagnostic.object = Some(finding.object);
    diagnostic.field = finding.field;
    diagnostic.help = finding.help;
    diagnostic
}

fn text(checked: &Checked) -> Result<()> {
    let renderer = input::renderer(screen::width(), anstream::AutoStream::choice(&std::io::stdout()));
    let texts = ReadAgain::new(&checked.sources, &checked.texts);
    for finding in &checked.findings {
        screen::out(&format!("{}\n\n", renderer.diagnostic(finding, &checked.sources, &texts).trim_end()))?;
    }
    screen::out(&format!("{}\n", summary(&checked.findings, checked.files)))
}

/// `1 error, 2 warnings in 3 files; palisade check --explain NP103 says more`
fn summary(findings: &[Diagnostic], files: usize) -> String {
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let word = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts: Vec<String> = counts.into_iter().filter_map(|(severity, what)| word(count(severity), what)).collect();
    let files = word(files, "file").unwrap_or_else(|| "no file".to_owned());
    if counts.is_empty() {
        return format!("nothing found in {files}");
    }
    let lint = findings.iter().find_map(|finding| finding.code.split_once(' ').map(|(code, _)| code));
    let more = lint.map_or_else(String::new, |code| format!("; palisade check --explain {code} says more"));
    format!("{} in {files}{more}", counts.join(", "))
}

fn exit_code(findings: &[Diagnostic], fail_on: FailOn) -> ExitCode {
    if findings.iter().any(|finding| finding.code == code::INPUT && finding.is_error()) {
        return ExitCode::from(2);
    }
    let fails = |finding: &Diagnostic| match fail_on {
        FailOn::Error => finding.severity == Severity::Error,
        FailOn::Warning => matches!(finding.severity, Severity::Error | Severity::Warning),
        FailOn::Note => true,
        FailOn::Never => false,
    };
    ExitCode::from(u8::from(findings.iter().any(fails)))
}
