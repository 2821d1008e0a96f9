//! One look at the input: what the API server would say, and what the rules find.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Name, Sources},
};
use palisade_lint::{Finding, Level, Lint, REGISTRY, Subject};
use palisade_manifest::{
    Annotation, Diagnostic, Inputs, ReadOptions, Severity,
    diagnostic::code,
    read::{OddNetwork, Wish},
    read_inputs,
    texts::Texts,
};

use super::{baseline, configuration::Configuration};
use crate::{args::Check, input, live};

/// Everything that was found, and the input it was found in.
pub(super) struct Checked {
    pub(super) findings: Vec<Diagnostic>,
    pub(super) sources: Sources,
    pub(super) texts: Texts,
    /// How many objects of kinds that are not read there were.
    pub(super) passed_over: BTreeMap<(String, String), usize>,
    /// The cluster that was read where no files were given.
    pub(super) live: Option<String>,
}

impl Checked {
    /// How many files were read.
    pub(super) fn files(&self) -> usize {
        self.sources.iter().count()
    }
}

/// What is looked at, and how.
pub(super) struct Task<'a> {
    pub(super) arguments: &'a Check,
    pub(super) configuration: &'a Configuration,
    /// Those of the command line, or of the configuration; without any the live cluster is looked at.
    pub(super) paths: Vec<PathBuf>,
}

impl Task<'_> {
    /// Reads the input and looks at it.
    pub(super) fn examine(&self, inputs: &Inputs) -> Result<Checked> {
        let options = ReadOptions {
            default_namespace: Name::from(self.arguments.namespace.as_str()),
            server: self.arguments.server_version.into(),
            recursive: self.arguments.recursive || self.configuration.is_recursive(),
            fail_closed: false,
        };
        let (reading, live) = if self.paths.is_empty() {
            let (cluster, reading) = live::read(&self.arguments.cluster)?;
            (reading, Some(cluster.title))
        } else {
            (read_inputs(&self.paths, &options, inputs), None)
        };
        let sources = reading.inventory.sources.clone();
        let mut findings = reading.diagnostics;
        match reading.inventory.into_cluster() {
            Err(conflicts) => findings.extend(conflicts.iter().map(Diagnostic::from)),
            Ok(cluster) => findings.extend(lint(&cluster, self.configuration, &reading.wishes, &reading.networks)),
        }
        let baseline = self.arguments.baseline.clone().or_else(|| self.configuration.baseline());
        if let Some(path) = baseline {
            baseline::keep_new(&mut findings, &path)?;
        }
        Ok(Checked { findings, sources, texts: reading.texts, passed_over: reading.passed_over, live })
    }
}

/// Says which kinds were not read; policies among them are an error.
pub(super) fn tell_passed_over(checked: &mut Checked) {
    let unread = input::note_passed_over(&checked.passed_over);
    if !unread.is_empty() {
        let message = format!("{} not checked: this version does not read them", unread.join(", "));
        checked.findings.push(Diagnostic::error(code::INPUT, message));
    }
}

/// The findings of every rule that is on, in the order of the input.
fn lint(cluster: &Cluster, configuration: &Configuration, wishes: &[Wish], networks: &[OddNetwork]) -> Vec<Diagnostic> {
    // An audited policy is to be right before it is enforced.
    let program = PolicyProgram::compile(cluster).with_audited();
    let subject = Subject::new(cluster, &program).with(wishes, networks);
    let mut found = Vec::new();
    for lint in REGISTRY {
        let Some(level) = configuration.level(lint) else { continue };
        found.extend(lint.check(&subject).into_iter().map(|finding| diagnostic(lint, level, finding)));
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
    diagnostic.fix = finding.fix;
    diagnostic
}
