//! Files, folders and standard input, read into an [`Inventory`].

use std::{collections::BTreeMap, path::Path};

use palisade_engine::model::{Inventory, Name, Span};

use crate::{
    diagnostic::{Diagnostic, code},
    interner::Interner,
    texts::Texts,
};

mod collector;
mod document;
mod exclude;
mod input;
mod list;
mod mistakes;
mod onto;
mod paths;

pub use collector::{Collector, Keep, Mark};
pub use exclude::Pattern;
pub(crate) use mistakes::TEMPLATE_HELP;
pub use onto::{read_onto, read_texts_onto, without};

/// More findings than this are not kept: nobody reads them, and a hostile file could make millions.
const MAX_FINDINGS: usize = 10_000;

/// Keeps a finding, unless there are far too many.
pub(crate) fn keep(findings: &mut Vec<Diagnostic>, finding: Diagnostic) {
    if findings.len() < MAX_FINDINGS {
        findings.push(finding);
    } else if findings.len() == MAX_FINDINGS {
        // An error whatever the rest is: something may be missing from the inventory.
        findings
            .push(Diagnostic::error(code::INPUT, format!("more than {MAX_FINDINGS} findings: the rest is not shown")));
    }
}

/// Longer texts in findings are cut.
const LONGEST_TEXT: usize = 300;

/// Versions of the API server that validate differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerVersion {
    /// 1.35 and older: networks with host bits, leading zeros or in IPv4-mapped form are taken, with a
    /// warning, for what they seem to mean.
    V1_35,
    /// 1.36: they are refused.
    #[default]
    V1_36,
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The namespace of objects that name none (`-n`).
    pub default_namespace: Name,
    /// The API server whose rules count.
    pub server: ServerVersion,
    /// Whether folders inside of folders are read too (`-R`).
    pub recursive: bool,
    /// Whether a cluster-wide policy that was not understood as a whole is in the inventory all the same, for
    /// who enforces policies: what was not understood of it fails closed there.
    pub fail_closed: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            default_namespace: Name::from("default"),
            server: ServerVersion::default(),
            recursive: false,
            fail_closed: false,
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Every object that was understood as a whole, with the places that it was read from. An object
    /// whose only fault has nothing to do with its meaning (a name in capitals) is here too.
    pub inventory: Inventory,
    /// How many objects of kinds that are not read there were, by `apiVersion` and `kind`.
    pub passed_over: BTreeMap<(String, String), usize>,
    /// All findings, in the order of the inputs. While one is an error, objects may be missing from
    /// the inventory, and an answer that ignores this could be wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Which findings objects do not want to hear of, in the order of the inputs.
    pub wishes: Vec<Wish>,
    /// Networks that mean something else than they seem to, or are not written as servers print them.
    pub networks: Vec<OddNetwork>,
    /// The texts that cannot be read again: standard input and pipes.
    pub texts: Texts,
}

/// The annotation `palisade.dev/ignore` of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The object, as findings call it: `Service prod/web`.
    pub object: String,
    /// All of it.
    pub at: Span,
    /// What it says: `NP302: the port is the same on both`.
    pub text: String,
}

/// A network that is taken as it is meant, and should be written otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddNetwork {
    /// The policy, as findings call it.
    pub object: String,
    /// The field: `spec.ingress[0].from[0].ipBlock.cidr`.
    pub field: String,
    /// Its value.
    pub at: Span,
    /// What is written.
    pub text: String,
    /// What it is taken for.
    pub network: ipnet::IpNet,
    /// Why newer servers refuse it ("has leading zeros"); `None` when all of them take it.
    pub refused: Option<String>,
}

impl Reading {
    /// Whether something was not understood.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads all `paths`: files, folders (of which the files that end in .yaml, .yml or .json, by name)
/// and `-` for standard input.
///
/// Never fails: what cannot be read becomes an error among the findings, and everything else is read,
/// so that all errors are known at once. Inputs that hold no object at all, taken together, are an
/// error too: an empty pipe must not look like a cluster where nothing is isolated.
pub fn read_paths<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Reading {
    let mut reader = Reader::new(options);
    for path in paths {
        reader.path(path.as_ref());
    }
    reader.finish()
}

/// What stands in for files, and which files are left out.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Texts to read in the place of those that files and standard input have, by the names that
    /// [`Sources`](palisade_engine::model::Sources) give them.
    pub texts: BTreeMap<String, String>,
    /// Files of folders that are not read.
    pub exclude: Vec<Pattern>,
}

/// Reads as [`read_paths`] does, but for what `inputs` say.
pub fn read_inputs<P: AsRef<Path>>(paths: &[P], options: &ReadOptions, inputs: &Inputs) -> Reading {
    let mut reader = Reader::new(options);
    reader.inputs = Some(inputs);
    for path in paths {
        reader.path(path.as_ref());
    }
    reader.finish()
}

/// Reads one text that is no file; `name` is what findings call it.
pub fn read_text(name: &str, text: &str, options: &ReadOptions) -> Reading {
    let mut reader = Reader::new(options);
    reader.bytes(name, text.as_bytes().to_vec(), true);
    reader.finish()
}

/// Reads the bytes of a text, as [`read_text`] does; they may be anything.
pub fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Reading {
    let mut reader = Reader::new(options);
    reader.bytes(name, bytes.to_vec(), true);
    reader.finish()
}

/// Reads one input after the other.
struct Reader<'o> {
    options: &'o ReadOptions,
    inputs: Option<&'o Inputs>,
    reading: Reading,
    names: Interner,
    /// Objects met, passed-over ones included.
    objects: usize,
    generated: u32,
    /// The current file's first `y` or `n` without quotes, and how many more there are.
    bool_letters: Option<(Diagnostic, usize)>,
    /// Files read, to read none twice.
    seen: std::collections::BTreeSet<std::path::PathBuf>,
}

impl<'o> Reader<'o> {
    fn new(options: &'o ReadOptions) -> Self {
        Self {
            options,
            inputs: None,
            reading: Reading::default(),
            names: Interner::default(),
            objects: 0,
            generated: 0,
            bool_letters: None,
            seen: std::collections::BTreeSet::new(),
        }
    }

    fn keep(&mut self, finding: Diagnostic) {
        keep(&mut self.reading.diagnostics, finding);
    }

    fn keep_all(&mut self, findings: Vec<Diagnostic>) {
        for finding in findings {
            self.keep(finding);
        }
    }

    fn finish(mut self) -> Reading {
        if self.objects == 0 && !self.reading.has_errors() {
            let names: Vec<&str> = self.reading.inventory.sources.iter().map(|(_, name)| name.as_str()).collect();
            let of = if names.is_empty() { "no input was named".to_owned() } else { names.join(", ") };
            let finding = Diagnostic::error(code::INPUT, format!("no object in the input: {of}"));
            let finding =
                finding.help("an empty input says nothing about a cluster, so nothing can be answered from it");
            keep(&mut self.reading.diagnostics, finding);
        }
        for finding in &mut self.reading.diagnostics {
            presentable(finding);
        }
        self.reading
    }
}

/// Findings quote what was written: cut to what a person reads, and without what a terminal obeys.
fn presentable(finding: &mut Diagnostic) {
    let labels = finding.primary.iter_mut().chain(&mut finding.secondary).map(|annotation| &mut annotation.label);
    let texts = [&mut finding.message].into_iter().chain(&mut finding.object).chain(&mut finding.field);
    let fix = finding.fix.iter_mut().map(|fix| &mut fix.description);
    for text in texts.chain(&mut finding.help).chain(labels).chain(fix) {
        let long = text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT;
        if long || text.chars().any(|c| c.is_control() || c == crate::render::PATH) {
            let mut cut: String = text.chars().take(LONGEST_TEXT).flat_map(printable).collect();
            if long {
                cut.push('…');
            }
            *text = cut;
        }
    }
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control() || c == crate::render::PATH;
    let plain = (!escaped).then_some(c);
    plain.into_iter().chain(escaped.then(|| c.escape_default()).into_iter().flatten())
}
