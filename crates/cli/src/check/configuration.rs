//! What is checked, and which rules count how much: `palisade.toml`.
//!
//! ```toml
//! paths = ["manifests"]
//! recursive = true
//! exclude = ["*.generated.yaml"]
//! baseline = "known.json"
//!
//! [lints]
//! NP106 = { level = "off", reason = "these namespaces are open by design" }
//! missing-description = { level = "warning", reason = "audit asks for them" }
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use palisade_lint::{Level, Lint, find};
use palisade_manifest::read::Pattern;
use serde::Deserialize;

/// The file that is read when none is named, if it is there.
const DEFAULT: &str = "palisade.toml";

/// What the file says. Paths in it are relative to its folder.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    folder: PathBuf,
    paths: Vec<PathBuf>,
    recursive: bool,
    exclude: Vec<Pattern>,
    baseline: Option<PathBuf>,
    /// Levels that differ from the rules' own.
    levels: BTreeMap<&'static str, Option<Level>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    paths: Vec<PathBuf>,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    exclude: Vec<String>,
    baseline: Option<PathBuf>,
    #[serde(default)]
    lints: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    level: EntryLevel,
    reason: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EntryLevel {
    Off,
    Note,
    Warning,
    Error,
}

impl Configuration {
    /// Reads the file named, or `palisade.toml` if it is there.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) => path,
            None if Path::new(DEFAULT).is_file() => Path::new(DEFAULT),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).with_context(|| format!("{} is not understood", path.display()))
    }

    /// What is checked when the command line names nothing.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.paths.iter().map(|path| self.folder.join(path)).collect()
    }

    /// Whether folders within folders are read.
    pub(crate) fn is_recursive(&self) -> bool {
        self.recursive
    }

    /// The files of folders that are not read.
    pub(crate) fn exclude(&self) -> Vec<Pattern> {
        self.exclude.clone()
    }

    /// The findings that are not told.
    pub(crate) fn baseline(&self) -> Option<PathBuf> {
        self.baseline.as_ref().map(|path| self.folder.join(path))
    }

    /// The level of a rule; `None` when it is off.
    pub(crate) fn level(&self, lint: &Lint) -> Option<Level> {
        self.levels.get(lint.code).copied().unwrap_or(lint.level)
    }

    fn parse(text: &str, folder: &Path) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut exclude = Vec::new();
        for pattern in &file.exclude {
            let is_path = pattern.trim_end_matches('/').contains('/') && !folder.as_os_str().is_empty();
            let text = if is_path { format!("{}/{pattern}", folder.display()) } else { pattern.clone() };
            match Pattern::new(&text).filter(|_| Pattern::new(pattern).is_some()) {
                Some(pattern) => exclude.push(pattern),
                None => bail!("`{pattern}` in `exclude` names no file: write for example `*.generated.yaml`"),
            }
        }
        let mut levels = BTreeMap::new();
        for (name, entry) in &file.lints {
            let Some(lint) = find(name) else {
                bail!("there is no rule `{name}`: `palisade check --explain list` names them")
            };
            if entry.reason.trim().is_empty() {
                bail!("`{name}` needs a reason");
            }
            let level = match entry.level {
                EntryLevel::Off => None,
                EntryLevel::Note => Some(Level::Note),
                EntryLevel::Warning => Some(Level::Warning),
                EntryLevel::Error => Some(Level::Error),
            };
            levels.insert(lint.code, level);
        }
        let File { paths, recursive, baseline, .. } = file;
        Ok(Self { folder: folder.to_owned(), paths, recursive, exclude, baseline, levels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Configuration> {
        Configuration::parse(text, Path::new("ci"))
    }

    #[test]
    fn paths_are_those_of_the_files_folder() {
        let found = parse("paths = ['a', '/b']\nexclude = ['*.x.yaml', 'a/old']\nbaseline = 'k.json'").unwrap();
        assert_eq!(found.paths(), [Path::new("ci/a"), Path::new("/b")]);
        assert_eq!(found.baseline().as_deref(), Some(Path::new("ci/k.json")));
        let excluded = |path: &str| found.exclude().iter().any(|pattern| pattern.matches(Path::new(path)));
        assert!(excluded("ci/a/old/x.yaml") && excluded("ci/a/b.x.yaml") && !excluded("a/old/x.yaml"));
    }

    #[test]
    fn levels_need_a_known_rule_and_a_reason() {
        let found = parse("[lints]\nNP106 = { level = \"off\", reason = \"by design\" }").unwrap();
        assert_eq!(found.level(find("NP106").unwrap()), None);
        assert_eq!(found.level(find("NP103").unwrap()), Some(Level::Warning));
        for wrong in [
            "[lints]\nNP999 = { level = \"off\", reason = \"x\" }",
            "[lints]\nNP106 = { level = \"off\", reason = \" \" }",
            "[lints]\nNP106 = { level = \"loud\", reason = \"x\" }",
            "[lint]\n",
            "path = ['a']",
            "exclude = ['/']",
            "paths = 'a'",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
