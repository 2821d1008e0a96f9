//! `palisade check`: what the API server would say, said better, and what it would never say.
//!
//! ```text
//! palisade.toml ─┐
//! arguments ─────┴─► Task ──► examine: read, lint ──► Checked ──► text, json, sarif, github
//!                               ▲                        │
//!                               └── fix: in memory ◄─────┘   until no fix is left ──► write, diff
//! ```

mod baseline;
mod configuration;
mod diff;
mod examine;
mod explain;
mod fix;
mod github;
mod json;
mod resolved;
mod sarif;
mod text;
mod write;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};
use palisade_manifest::{Diagnostic, Inputs, Severity, diagnostic::code};

use self::{
    configuration::Configuration,
    examine::{Checked, Task, tell_passed_over},
    fix::Fixed,
};
use crate::{
    args::{Check, CheckFormat, FailOn},
    input, screen,
};

/// What findings call standard input.
const STDIN: &str = "<stdin>";

/// Runs the subcommand.
pub(crate) fn run(arguments: &Check) -> Result<ExitCode> {
    if let Some(code) = &arguments.explain {
        return explain::run(code);
    }
    let configuration = Configuration::read(arguments.config.as_deref())?;
    input::one_of(&arguments.paths, &arguments.cluster)?;
    let is_configured = arguments.paths.is_empty() && !arguments.cluster.is_given();
    let paths = if is_configured { configuration.paths() } else { arguments.paths.clone() };
    if paths.is_empty() && (arguments.fix || arguments.diff) {
        bail!(
            "nothing to fix: give files or folders with -f (`-f -` for standard input), or write \
             `paths = [\"manifests/\"]` into palisade.toml; a live cluster is only checked"
        );
    }
    let task = Task { arguments, configuration: &configuration, paths };
    let inputs = Inputs { exclude: configuration.exclude(), ..Inputs::default() };
    if arguments.diff {
        return show_diff(&task, inputs);
    }
    if arguments.fix {
        return fix_and_print(&task, inputs);
    }
    let mut checked = task.examine(&inputs)?;
    tell_passed_over(&mut checked);
    print(&checked, arguments.output)?;
    Ok(exit_code(&checked.findings, arguments.fail_on))
}

/// `--diff`: what `--fix` would change. Exit code 1 when that is anything.
fn show_diff(task: &Task<'_>, inputs: Inputs) -> Result<ExitCode> {
    let mut fixed = fix::run(task, inputs)?;
    tell_passed_over(&mut fixed.checked);
    diff::print(&fixed.files)?;
    tell_refused(&fixed);
    screen::aside(&text::fixed("would fix", fixed.count, fixed.files.len(), fixed.checked.findings.len()));
    let unread = fixed.checked.findings.iter().any(is_unread);
    Ok(ExitCode::from(if unread { 2 } else { u8::from(!fixed.files.is_empty()) }))
}

/// `--fix`: changes files, prints the fixed text of standard input, and tells what remains.
fn fix_and_print(task: &Task<'_>, inputs: Inputs) -> Result<ExitCode> {
    let from_stdin = task.paths.iter().any(|path| path == Path::new("-"));
    if from_stdin && task.arguments.output != CheckFormat::Text {
        bail!("the fixed text of standard input goes to standard output, so findings cannot: leave out -o");
    }
    let mut fixed = fix::run(task, inputs)?;
    for file in fixed.files.iter().filter(|file| file.name != STDIN) {
        write::replace(&file.name, &file.before, &file.after)?;
    }
    tell_passed_over(&mut fixed.checked);
    let checked = &fixed.checked;
    let told = text::fixed("fixed", fixed.count, fixed.files.len(), checked.findings.len());
    if from_stdin {
        let fixed_text = fixed.inputs.texts.get(STDIN).map_or("", String::as_str);
        screen::out_bytes(fixed_text.as_bytes())?;
        text::findings(checked, anstream::AutoStream::choice(&std::io::stderr())).for_each(|text| screen::aside(&text));
        tell_refused(&fixed);
        screen::aside(&told);
    } else {
        print(checked, task.arguments.output)?;
        tell_refused(&fixed);
        match task.arguments.output {
            CheckFormat::Text => screen::out(&told)?,
            CheckFormat::Json | CheckFormat::Sarif | CheckFormat::Github => screen::aside(&told),
        }
    }
    Ok(exit_code(&checked.findings, task.arguments.fail_on))
}

fn tell_refused(fixed: &Fixed) {
    fixed.refused.iter().for_each(|refused| screen::note(refused));
}

fn print(checked: &Checked, format: CheckFormat) -> Result<()> {
    match format {
        CheckFormat::Text => {
            let colour = anstream::AutoStream::choice(&std::io::stdout());
            text::findings(checked, colour).try_for_each(|finding| screen::out(&finding))?;
            screen::out(&text::summary(checked))
        }
        CheckFormat::Json => json::print(checked),
        CheckFormat::Sarif => sarif::print(checked),
        CheckFormat::Github => github::print(&checked.findings, &checked.sources),
    }
}

/// Whether something could not be read, so that nothing can be said of it.
fn is_unread(finding: &Diagnostic) -> bool {
    finding.code == code::INPUT && finding.is_error()
}

fn exit_code(findings: &[Diagnostic], fail_on: FailOn) -> ExitCode {
    if findings.iter().any(is_unread) {
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
