//! The input of every question: files become a cluster, or the mistakes in them are shown.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, anyhow};
use palisade_engine::model::{Cluster, Conflict, Name, Sources, Span};
use palisade_manifest::{
    Diagnostic, ReadOptions, Reading,
    diagnostic::code,
    read_paths,
    render::{Excerpt, Renderer},
    texts::{ReadAgain, Texts},
};

use crate::{args::Input, screen};

/// A cluster, and the texts it came from.
pub(crate) struct Read {
    pub(crate) cluster: Cluster,
    pub(crate) excerpts: Excerpts,
}

/// Lines of the input, for whoever points at them.
pub(crate) struct Excerpts {
    texts: Texts,
    /// What file names begin with that nobody needs to read: the one folder that was given.
    folder: Option<String>,
}

impl Excerpts {
    /// A file's name, as short as it can be told from the others.
    pub(crate) fn short<'f>(&self, file: &'f str) -> &'f str {
        self.folder.as_deref().and_then(|folder| file.strip_prefix(folder)).unwrap_or(file)
    }

    /// The lines from the beginning of `from` down to `field`, which is underlined and labelled.
    pub(crate) fn render(
        &self,
        sources: &Sources,
        from: Span,
        field: Span,
        label: &str,
        width: usize,
    ) -> Option<String> {
        let excerpt = Excerpt { span: field, label, from: Some(from), notes: &[] };
        let drawn = renderer(width, anstream::AutoStream::choice(&std::io::stdout()));
        drawn.excerpt(&excerpt, &ReadAgain::new(sources, &self.texts)).map(|text| text.trim_end().to_owned() + "\n")
    }
}

/// Reads everything that was given.
///
/// # Errors
/// When something of it was not understood, unless the answer may leave it out. The mistakes have
/// been shown by then, and the error is empty.
pub(crate) fn cluster(input: &Input) -> Result<Read> {
    let options = ReadOptions { default_namespace: Name::from(input.namespace.as_str()), recursive: input.recursive };
    let reading = read_paths(&input.paths, &options);
    show(&reading, &reading.inventory.sources);
    let errors = reading.diagnostics.iter().filter(|finding| finding.is_error()).count();
    if errors > 0 {
        if !input.keep_going {
            let what = if errors == 1 { "one mistake".to_owned() } else { format!("{errors} mistakes") };
            return Err(anyhow!("no answer from an input with {what} (--keep-going leaves out what has one)"));
        }
        screen::note(&format!("what has one of the {errors} mistakes above is left out of this answer"));
    }
    passed_over(&reading.passed_over, input.keep_going)?;
    let Reading { inventory, texts, .. } = reading;
    let sources = inventory.sources.clone();
    let cluster = match inventory.into_cluster() {
        Ok(cluster) => cluster,
        Err(conflicts) => {
            let diagnostics: Vec<Diagnostic> = conflicts.iter().map(conflict).collect();
            show_all(&diagnostics, &sources, &texts);
            return Err(anyhow!("no answer from an input that contradicts itself"));
        }
    };
    let excerpts = Excerpts { texts, folder: only_folder(&input.paths) };
    Ok(Read { cluster, excerpts })
}

fn show(reading: &Reading, sources: &Sources) {
    show_all(&reading.diagnostics, sources, &reading.texts);
}

fn show_all(diagnostics: &[Diagnostic], sources: &Sources, texts: &Texts) {
    let renderer = renderer(screen::width(), anstream::AutoStream::choice(&std::io::stderr()));
    let texts = ReadAgain::new(sources, texts);
    for finding in diagnostics {
        anstream::eprintln!("{}\n", renderer.diagnostic(finding, sources, &texts).trim_end());
    }
}

fn renderer(width: usize, colour: anstream::ColorChoice) -> Renderer {
    Renderer::new(width, colour != anstream::ColorChoice::Never, false)
}

/// Kinds that policies do not speak of are no mistake, but whoever expected them to count should know.
/// Policies of a kind that is not read are one: without them the answer would be about another cluster.
fn passed_over(kinds: &BTreeMap<(String, String), usize>, keep_going: bool) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let counted = |(kind, count): (&(String, String), &usize)| format!("{count} {}", kind.1);
    screen::note(&format!("passed over {}", kinds.iter().map(counted).collect::<Vec<_>>().join(", ")));
    let is_policy = |(kind, _): &(&(String, String), &usize)| kind.0.starts_with("policy.networking.k8s.io/");
    let policies: Vec<String> = kinds.iter().filter(is_policy).map(counted).collect();
    if policies.is_empty() || keep_going {
        return Ok(());
    }
    Err(anyhow!(
        "no answer without {}: this version does not read them (--keep-going leaves them out)",
        policies.join(", ")
    ))
}

fn conflict(conflict: &Conflict) -> Diagnostic {
    let finding = Diagnostic::error(code::CONFLICT, conflict.to_string());
    let (first, second, help) = match conflict {
        Conflict::Duplicate { first, second, .. } => (*first, *second, "keep one of them, or give one another name"),
        Conflict::SharedAddress { first_at, second_at, .. } => {
            (*first_at, *second_at, "an address belongs to one live pod or node")
        }
        _ => (None, None, ""),
    };
    let finding = match second {
        Some(span) => finding.at(span, "again here"),
        None => finding,
    };
    let finding = match first {
        Some(span) => finding.also(span, "first here"),
        None => finding,
    };
    finding.help(help)
}

fn only_folder(paths: &[std::path::PathBuf]) -> Option<String> {
    let [path] = paths else { return None };
    let is_folder = path != Path::new("-") && path.is_dir();
    is_folder.then(|| format!("{}/", path.display().to_string().trim_end_matches('/')))
}
