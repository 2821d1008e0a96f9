//! Which rules count, and how much: `palisade.toml`, and annotations on objects.
//!
//! ```toml
//! [lints]
//! NP106 = { level = "off", reason = "these namespaces are open by design" }
//! missing-description = { level = "warning", reason = "audit asks for them" }
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use palisade_engine::model::Cluster;
use palisade_lint::{Finding, Level, Lint, find};
use serde::Deserialize;

/// The file that is read when none is named, if it is there.
const DEFAULT: &str = "palisade.toml";

/// The annotation that silences rules on one policy: `NP103: reason`, several separated by `;`.
const IGNORE: &str = "palisade.dev/ignore";

/// Levels that differ from the rules' own.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    levels: BTreeMap<&'static str, Option<Level>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
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
        Self::parse(&text).with_context(|| format!("{} is not understood", path.display()))
    }

    /// The level of a rule; `None` when it is off.
    pub(crate) fn level(&self, lint: &Lint) -> Option<Level> {
        self.levels.get(lint.code).copied().unwrap_or(lint.level)
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut levels = BTreeMap::new();
        for (name, entry) in file.lints {
            let Some(lint) = find(&name) else {
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
        Ok(Self { levels })
    }
}

/// What policies do not want to hear of, by how findings call them.
#[derive(Debug, Default)]
pub(crate) struct Ignored<'a> {
    annotations: HashMap<String, &'a str>,
}

impl<'a> Ignored<'a> {
    /// The annotations of a cluster's policies.
    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        let annotated = cluster.policies().filter_map(|(_, policy)| {
            Some((format!("NetworkPolicy {}", policy.id), policy.annotations.get(IGNORE)?.as_str()))
        });
        Self { annotations: annotated.collect() }
    }

    /// Whether the object of a finding says that it does not want to hear of it. An entry without a
    /// reason silences nothing.
    pub(crate) fn has(&self, finding: &Finding, lint: &Lint) -> bool {
        let asked = self.annotations.get(&finding.object).copied().unwrap_or_default();
        asked.split(';').filter_map(|entry| entry.split_once(':')).any(|(code, reason)| {
            find(code.trim()).is_some_and(|found| found.code == lint.code) && !reason.trim().is_empty()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_need_a_known_rule_and_a_reason() {
        let found = Configuration::parse("[lints]\nNP106 = { level = \"off\", reason = \"by design\" }").unwrap();
        assert_eq!(found.level(find("NP106").unwrap()), None);
        assert_eq!(found.level(find("NP103").unwrap()), Some(Level::Warning));
        for wrong in [
            "[lints]\nNP999 = { level = \"off\", reason = \"x\" }",
            "[lints]\nNP106 = { level = \"off\", reason = \" \" }",
            "[lints]\nNP106 = { level = \"loud\", reason = \"x\" }",
            "[lint]\n",
        ] {
            assert!(Configuration::parse(wrong).is_err(), "{wrong}");
        }
    }
}
