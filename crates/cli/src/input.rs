//! The input of every question: files or a live cluster become a cluster, or the mistakes in them are shown.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail};
use palisade_engine::model::{Cluster, Inventory, Name, Resolved, Sources, Span};
use palisade_manifest::{
    Diagnostic, ReadOptions, Reading, ServerVersion, Severity,
    read::read_onto,
    read_paths,
    render::{Excerpt, Renderer},
    texts::{ReadAgain, SourceText as _, Texts},
};

use crate::{
    args::{ClusterArguments, Input},
    live, screen,
};

/// Of files that name none, and on the command line beside them.
const DEFAULT_NAMESPACE: &str = "default";

/// How many contradictions of an input are shown: a folder of several clusters has one for each object.
const CONFLICTS_SHOWN: usize = 5;

/// A cluster, and the texts it came from.
pub(crate) struct Read {
    pub(crate) cluster: Cluster,
    pub(crate) excerpts: Excerpts,
    /// The namespace of what names none on the command line.
    pub(crate) namespace: String,
}

/// Lines of the input, for whoever points at them.
pub(crate) struct Excerpts {
    texts: Texts,
    /// What the names of inputs begin with that nobody needs to read: the one folder, or the live cluster.
    common: Option<String>,
}

impl Excerpts {
    /// A file's name, as short as it can be told from the others.
    pub(crate) fn short<'f>(&self, file: &'f str) -> &'f str {
        self.common.as_deref().and_then(|common| file.strip_prefix(common)).unwrap_or(file)
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

/// Standard input can be read once: `-` may stand for the cluster or for the flows, not for both.
///
/// # Errors
/// When it is given more than once.
pub(crate) fn once_from_stdin(input: &Input, flows: Option<&Path>) -> Result<()> {
    let paths = input.paths.iter().map(|path| ("-f", path.as_path())).chain(flows.map(|path| ("--flows", path)));
    let given: Vec<String> =
        paths.filter(|(_, path)| *path == Path::new("-")).map(|(option, _)| format!("`{option} -`")).collect();
    if given.len() > 1 {
        bail!(
            "{} would all read standard input, which can be read only once: give all but one of them as a file",
            given.join(" and ")
        );
    }
    Ok(())
}

/// Files or a cluster: whoever names both expects one of them to count that does not.
///
/// # Errors
/// When both are named.
pub(crate) fn one_of(paths: &[PathBuf], cluster: &ClusterArguments) -> Result<()> {
    if !paths.is_empty() && cluster.is_given() {
        bail!("-f gives files, --context and --kubeconfig a cluster to read in their place: leave out one of the two");
    }
    Ok(())
}

/// The options that ask about the same input again.
pub(crate) fn typed(input: &Input) -> String {
    let files = input.paths.iter().map(|path| format!("-f {}", path.display()));
    let kubeconfig = input.cluster.kubeconfig.iter().map(|path| format!("--kubeconfig {}", path.display()));
    let context = input.cluster.context.iter().map(|name| format!("--context {name}"));
    files.chain(kubeconfig).chain(context).collect::<Vec<_>>().join(" ")
}

/// Reads files, folders and standard input as they are.
pub(crate) fn read(paths: &[PathBuf], recursive: bool, namespace: &str) -> Reading {
    read_as(paths, recursive, namespace, ServerVersion::default())
}

/// The same by the rules of a version of the API server.
pub(crate) fn read_as(paths: &[PathBuf], recursive: bool, namespace: &str, server: ServerVersion) -> Reading {
    read_paths(paths, &ReadOptions { default_namespace: Name::from(namespace), server, recursive, fail_closed: false })
}

/// Reads everything that was given into a cluster.
///
/// # Errors
/// When something of it was not understood, unless the answer may leave it out. The mistakes have
/// been shown by then, and the error is empty.
pub(crate) fn cluster(input: &Input) -> Result<Read> {
    cluster_with(input, &[])
}

/// The same with what domain names resolve to.
///
/// # Errors
/// As [`cluster`].
pub(crate) fn cluster_with(input: &Input, resolved: &[Resolved]) -> Result<Read> {
    let Understood { mut reading, common, namespace } = reading(input)?;
    reading.inventory.resolved.extend_from_slice(resolved);
    let (cluster, texts) = consistent(reading)?;
    warn_of_nothing(input, &cluster);
    Ok(Read { cluster, excerpts: Excerpts { texts, common }, namespace })
}

/// Objects as they were read, and understood.
pub(crate) struct Understood {
    pub(crate) reading: Reading,
    /// What the names of inputs begin with that nobody needs to read.
    common: Option<String>,
    /// The namespace of what names none on the command line.
    pub(crate) namespace: String,
}

/// Reads everything that was given.
///
/// # Errors
/// As [`cluster`], but for contradictions between objects.
pub(crate) fn reading(input: &Input) -> Result<Understood> {
    one_of(&input.paths, &input.cluster)?;
    let (reading, common, namespace) = if input.paths.is_empty() {
        let (cluster, reading) = live::read(&input.cluster)?;
        (reading, Some(cluster.prefix()), cluster.namespace)
    } else {
        let namespace = input.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        (read(&input.paths, input.recursive, namespace), only_folder(&input.paths), namespace.to_owned())
    };
    let namespace = input.namespace.clone().unwrap_or(namespace);
    let reading = understood(reading, input)?;
    Ok(Understood { reading, common, namespace })
}

/// The cluster of objects that some were added to or taken from since they were read.
///
/// # Errors
/// When they contradict each other.
pub(crate) fn changed(inventory: Inventory) -> Result<Cluster> {
    inventory.into_cluster().map_err(|conflicts| {
        let first = conflicts.first().map(ToString::to_string).unwrap_or_default();
        anyhow!("no answer from an input that contradicts itself: {first}")
    })
}

/// The texts of a reading, each with the name of its input.
pub(crate) fn texts(reading: &Reading) -> Result<Vec<(String, String)>> {
    let again = ReadAgain::new(&reading.inventory.sources, &reading.texts);
    let text = |(file, name): (palisade_engine::model::FileId, &Name)| match again.text(file) {
        Some(text) => Ok((name.to_string(), text.as_str().to_owned())),
        None => Err(anyhow!("{name} cannot be read a second time")),
    };
    reading.inventory.sources.iter().map(text).collect()
}

/// The same where the question is who may connect with whom: policies alone connect nobody, and "nothing
/// is allowed" would be a wrong answer.
///
/// # Errors
/// As [`cluster`], and when there is no pod.
pub(crate) fn cluster_with_pods(input: &Input) -> Result<Read> {
    let read = cluster(input)?;
    has_pods(&read, &typed(input))?;
    Ok(read)
}

fn has_pods(read: &Read, input: &str) -> Result<()> {
    if read.cluster.pods().any(|(_, pod)| pod.is_live()) {
        return Ok(());
    }
    let of = if input.is_empty() { "the cluster".to_owned() } else { format!("`{input}`") };
    bail!("{of} has no pods and no workloads, so there is nobody to ask about: give their manifests too")
}

/// The live cluster, and what it would be with the files applied.
///
/// # Errors
/// As [`cluster`], of either.
pub(crate) fn beside_the_cluster(input: &Input) -> Result<(Read, Read)> {
    let (cluster, reading) = live::read(&input.cluster)?;
    let namespace = input.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let base = understood(reading, input)?;
    let options = ReadOptions {
        default_namespace: Name::from(namespace.as_str()),
        server: ServerVersion::default(),
        recursive: input.recursive,
        fail_closed: false,
    };
    let inventory = base.inventory.clone();
    let applied = understood(read_onto(base, &input.paths, &options), input)?;
    let state = |reading, common| -> Result<Read> {
        let (cluster, texts) = consistent(reading)?;
        Ok(Read { cluster, excerpts: Excerpts { texts, common }, namespace: namespace.clone() })
    };
    let old = state(Reading { inventory, ..Reading::default() }, Some(cluster.prefix()))?;
    Ok((old, state(applied, only_folder(&input.paths))?))
}

/// Shows the mistakes of a reading, and gives it back when an answer may be made from it.
fn understood(mut reading: Reading, input: &Input) -> Result<Reading> {
    // What the server refuses without a doubt about its meaning is `palisade check`'s business.
    for finding in reading.diagnostics.iter_mut().filter(|finding| finding.is_harmless && finding.is_error()) {
        finding.severity = Severity::Warning;
    }
    show_all(&reading.diagnostics, &reading.inventory.sources, &reading.texts);
    let errors = reading.diagnostics.iter().filter(|finding| finding.leaves_out()).count();
    if errors > 0 {
        if !input.keep_going {
            let what = if errors == 1 { "one mistake".to_owned() } else { format!("{errors} mistakes") };
            // What cannot even be read is no part of the input that could be left out.
            let can_be_left_out =
                reading.diagnostics.iter().any(|finding| finding.leaves_out() && finding.code != "INPUT");
            let hint = match input.may_keep_going && can_be_left_out {
                true => " (--keep-going leaves out what has one)",
                false => "",
            };
            return Err(anyhow!("no answer from an input with {what}{hint}"));
        }
        let what = if errors == 1 { "the mistake".to_owned() } else { format!("one of the {errors} mistakes") };
        screen::note(&format!("whatever has {what} above is left out of this answer"));
    }
    passed_over(&reading.passed_over, input)?;
    Ok(reading)
}

/// The cluster of a reading, and its texts.
fn consistent(reading: Reading) -> Result<(Cluster, Texts)> {
    let Reading { inventory, texts, .. } = reading;
    let sources = inventory.sources.clone();
    match inventory.into_cluster() {
        Ok(cluster) => Ok((cluster, texts)),
        Err(conflicts) => {
            let diagnostics: Vec<Diagnostic> = conflicts.iter().map(Diagnostic::from).collect();
            let shown = diagnostics.get(..CONFLICTS_SHOWN).unwrap_or(&diagnostics);
            show_all(shown, &sources, &texts);
            let rest = diagnostics.len() - shown.len();
            if rest == 0 {
                return Err(anyhow!("no answer from an input that contradicts itself"));
            }
            Err(anyhow!(
                "no answer from an input that contradicts itself in {rest} more places, which `palisade check` lists: \
                 if it holds several states of a cluster, give one with -f, or compare two with `palisade diff`"
            ))
        }
    }
}

fn show_all(diagnostics: &[Diagnostic], sources: &Sources, texts: &Texts) {
    let renderer = renderer(screen::width(), anstream::AutoStream::choice(&std::io::stderr()));
    let texts = ReadAgain::new(sources, texts);
    for finding in diagnostics {
        screen::aside(&format!("{}\n\n", renderer.diagnostic(finding, sources, &texts).trim_end()));
    }
}

/// What draws findings, as wide as that, with colours or without.
pub(crate) fn renderer(width: usize, colour: anstream::ColorChoice) -> Renderer {
    Renderer::new(width, colour != anstream::ColorChoice::Never, false)
}

/// An empty file (a pipe that failed?) or an input without policies may well be meant, and changes the answer.
fn warn_of_nothing(input: &Input, cluster: &Cluster) {
    for path in &input.paths {
        if std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
            screen::note(&format!("{} is empty", path.display()));
        }
    }
    if cluster.policies().len() == 0 && cluster.cluster_policies().len() == 0 {
        screen::note("the input has no NetworkPolicy, so no pod is isolated");
    }
}

/// Kinds that policies do not speak of are no mistake, but whoever expected them to count should know.
/// Policies of a kind that is not read are one: without them the answer would be about another cluster.
fn passed_over(kinds: &BTreeMap<(String, String), usize>, input: &Input) -> Result<()> {
    let policies = note_passed_over(kinds);
    if policies.is_empty() || input.keep_going {
        return Ok(());
    }
    let hint = if input.may_keep_going { " (--keep-going leaves them out)" } else { "" };
    Err(anyhow!("no answer without {}: this version does not read them{hint}", policies.join(", ")))
}

/// Says which kinds were passed over, and returns those of them that are policies, each with its count.
pub(crate) fn note_passed_over(kinds: &BTreeMap<(String, String), usize>) -> Vec<String> {
    let counted = |(kind, count): (&(String, String), &usize)| format!("{count} {}", kind.1);
    if !kinds.is_empty() {
        screen::note(&format!("passed over {}", kinds.iter().map(counted).collect::<Vec<_>>().join(", ")));
    }
    let is_policy = |(kind, _): &(&(String, String), &usize)| kind.0.starts_with("policy.networking.k8s.io/");
    kinds.iter().filter(is_policy).map(counted).collect()
}

fn only_folder(paths: &[PathBuf]) -> Option<String> {
    let [path] = paths else { return None };
    let is_folder = path != Path::new("-") && path.is_dir();
    is_folder.then(|| format!("{}/", path.display().to_string().trim_end_matches('/')))
}
