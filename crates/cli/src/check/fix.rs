//! `--fix` and `--diff`: fixes are made in memory, and the input is looked at again, until none is left.
//!
//! Fixes that meet each other are made one after the other, each in a text where the ones before are made
//! already: the later one may have become needless.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anyhow::Result;
use palisade_engine::model::FileId;
use palisade_manifest::{
    Diagnostic, Fix, Inputs, Safety,
    fix::{Edit, apply, resolve},
    texts::{ReadAgain, SourceText, Text},
};

use super::examine::{Checked, Task};

/// Looks at the input that are taken at most. Each takes all that do not meet, so few files need three.
const ROUNDS: usize = 20;

/// What fixing came to.
pub(super) struct Fixed {
    /// What is found in the fixed texts.
    pub(super) checked: Checked,
    /// How many fixes were made.
    pub(super) count: usize,
    /// Every text that changed.
    pub(super) files: Vec<Changed>,
    /// The fixed text of each input that can be read only once, changed or not.
    pub(super) inputs: Inputs,
    /// Findings whose fix cannot be made, each with the reason.
    pub(super) refused: Vec<String>,
}

/// One file, before and after.
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// What made a finding: fixes that change what is allowed are made once for each, whatever comes of it.
type Cause = (String, Option<String>, Option<String>);

/// Makes the fixes that are wanted.
pub(super) fn run(task: &Task<'_>, mut inputs: Inputs) -> Result<Fixed> {
    let unsafe_too = task.arguments.unsafe_fixes;
    let mut checked = task.examine(&inputs)?;
    let mut before: BTreeMap<String, Rc<Text>> = BTreeMap::new();
    let mut done: BTreeSet<Cause> = BTreeSet::new();
    let mut count = 0;
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        // Standard input and pipes cannot be read a second time.
        for (file, name) in checked.sources.iter() {
            if let Some(text) = checked.texts.get(file) {
                inputs.texts.entry(name.to_string()).or_insert_with(|| text.to_owned());
            }
        }
        let made = {
            let texts = ReadAgain::new(&checked.sources, &checked.texts);
            let mut round = Round { checked: &checked, texts: &texts, done: &mut done, refused: Vec::new() };
            let made = round.run(unsafe_too);
            refused = round.refused;
            made
        };
        if made.is_empty() {
            break;
        }
        for file in made {
            count += file.count;
            let name = checked.sources.name(file.file).to_owned();
            before.entry(name.clone()).or_insert(file.before);
            inputs.texts.insert(name, file.after);
        }
        checked = task.examine(&inputs)?;
    }
    let files = before.into_iter().filter_map(|(name, before)| {
        let after = inputs.texts.get(&name)?.clone();
        Some(Changed { name, before: before.as_str().to_owned(), after })
    });
    Ok(Fixed { files: files.collect(), checked, count, inputs, refused })
}

/// One file's share of a round.
struct Made {
    file: FileId,
    count: usize,
    before: Rc<Text>,
    after: String,
}

struct Round<'r> {
    checked: &'r Checked,
    texts: &'r ReadAgain<'r>,
    done: &'r mut BTreeSet<Cause>,
    refused: Vec<String>,
}

impl Round<'_> {
    /// Makes all fixes that do not meet another.
    fn run(&mut self, unsafe_too: bool) -> Vec<Made> {
        let mut wanted: BTreeMap<FileId, Vec<(&Diagnostic, &Fix)>> = BTreeMap::new();
        for finding in &self.checked.findings {
            let Some(fix) = finding.fix.as_ref().filter(|fix| fix.is_wanted(unsafe_too)) else { continue };
            let is_done = fix.safety != Safety::Safe && self.done.contains(&cause(finding));
            if let Some(change) = fix.changes.first().filter(|_| !is_done) {
                wanted.entry(change.at().file).or_default().push((finding, fix));
            }
        }
        wanted.into_iter().filter_map(|(file, fixes)| self.file(file, &fixes)).collect()
    }

    fn file(&mut self, file: FileId, wanted: &[(&Diagnostic, &Fix)]) -> Option<Made> {
        let before = self.texts.text(file)?;
        let text = before.as_str();
        let fixes: Vec<&Fix> = wanted.iter().map(|(_, fix)| *fix).collect();
        let mut findings: Vec<&Diagnostic> = Vec::new();
        let mut edits: Vec<Vec<Edit>> = Vec::new();
        for ((finding, _), resolved) in wanted.iter().zip(resolve(text, &fixes)) {
            match resolved {
                Ok(resolved) => {
                    findings.push(finding);
                    edits.push(resolved);
                }
                Err(why) => self.refuse(finding, &why.to_string()),
            }
        }
        let (applied, made) = match apply(text, &edits) {
            Some(applied) => {
                let made = applied.made.iter().filter_map(|index| findings.get(*index).copied()).collect();
                (applied, made)
            }
            // One of them does harm: the first that does none is made, and the others have their turn.
            None => {
                let mut each = findings.iter().zip(&edits);
                let found =
                    each.find_map(|(finding, edits)| Some((apply(text, std::slice::from_ref(edits))?, vec![*finding])));
                if found.is_none() {
                    findings.iter().for_each(|finding| self.refuse(finding, "it would break the text"));
                }
                found?
            }
        };
        self.done.extend(made.iter().map(|finding| cause(finding)));
        Some(Made { file, count: made.len(), after: applied.text, before })
    }

    fn refuse(&mut self, finding: &Diagnostic, why: &str) {
        let place = finding.primary.as_ref().map_or_else(String::new, |primary| {
            format!("{}:{}: ", self.checked.sources.name(primary.span.file), primary.span.start)
        });
        let (code, _) = super::json::split(&finding.code);
        self.refused.push(format!("{place}{code} cannot be fixed by a program: {why}"));
    }
}

fn cause(finding: &Diagnostic) -> Cause {
    (finding.code.to_string(), finding.object.clone(), finding.field.clone())
}
