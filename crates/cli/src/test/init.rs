//! `palisade test --init`: what is true today, written as a test file.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;

use super::{
    file::{API_VERSION, KIND},
    formats::yaml,
    judged, question,
    read::Files,
    starter::{self, Draft, DraftAssertion, EndText},
};
use crate::{
    args::Input,
    endpoint::Resolver,
    input::{self, Read},
    screen,
};

/// What assertions fail by that assert nothing of anybody.
const EMPTY: [&str; 2] = ["nobody-left", "nothing-judged"];

/// Writes the file to standard output.
pub(super) fn run(arguments: &Input) -> Result<ExitCode> {
    input::once_from_stdin(arguments, None)?;
    let read = input::cluster(arguments)?;
    let mut cautious = BTreeSet::new();
    let mut drafts = starter::drafts(&read.cluster, &cautious);
    let mut checked = Checked::new(&read, &drafts);
    if !checked.uncertain.is_empty() {
        for draft in checked.uncertain.iter().filter_map(|test| drafts.get(*test)) {
            cautious.extend(draft.units.iter().copied());
        }
        drafts = starter::drafts(&read.cluster, &cautious);
        checked = Checked::new(&read, &drafts);
    }
    for (test, draft) in drafts.iter_mut().enumerate() {
        let mut index = 0..;
        draft.assertions.retain(|_| index.next().is_some_and(|index| !checked.idle.contains(&(test, index))));
    }
    drafts.retain(|draft| !draft.assertions.is_empty());
    if drafts.is_empty() {
        screen::note("no workload of the input is isolated, so there is nothing to assert yet");
    }
    screen::out_bytes(written(&drafts).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What became of drafts as tests, by their places.
#[derive(Default)]
struct Checked {
    /// The assertions that hold whatever policies say: that nobody but everyone reaches a workload.
    idle: BTreeSet<(usize, usize)>,
    /// The tests that only an address that is not known would decide.
    uncertain: BTreeSet<usize>,
}

impl Checked {
    fn new(read: &Read, drafts: &[Draft]) -> Self {
        let mut checked = Self::default();
        if drafts.is_empty() {
            return checked;
        }
        let files = Files::of_text("<stdout>", &written(drafts));
        debug_assert!(files.findings.is_empty(), "{:?}", files.findings);
        let resolver = Resolver { cluster: &read.cluster, namespace: &read.namespace };
        let asked = files.tests.iter().map(|test| {
            let mut findings = Vec::new();
            let assertions = test.assertions.iter();
            (test, assertions.map(|assertion| (assertion, question(&resolver, assertion, &mut findings))).collect())
        });
        for (test, outcome) in judged(&read.cluster, asked.collect()).iter().enumerate() {
            for (index, (_, failures)) in outcome.assertions.iter().enumerate() {
                if failures.iter().any(|failure| EMPTY.contains(&failure.kind)) {
                    checked.idle.insert((test, index));
                }
                if failures.iter().any(|failure| failure.kind == "not-certain") {
                    checked.uncertain.insert(test);
                }
            }
        }
        checked
    }
}

/// The file.
fn written(drafts: &[Draft]) -> String {
    let mut text = format!(
        "# What is true today, written by `palisade test --init`. Keep what should stay so.\n\
         # A pod always reaches itself and its own node; neither is asserted.\n\
         apiVersion: {API_VERSION}\nkind: {KIND}\n"
    );
    if drafts.is_empty() {
        text.push_str("tests: []\n");
        return text;
    }
    text.push_str("tests:\n");
    for draft in drafts {
        text.push_str(&format!("- name: {}\n", scalar(&draft.name)));
        let mut rest = draft.assertions.as_slice();
        // All of one form stand under one key.
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|assertion| assertion.key == first.key).count();
            let (own, others) = rest.split_at(count);
            text.push_str(&format!("  {}:\n", first.key));
            for assertion in own {
                text.push_str(&self::assertion(assertion, count > 1));
            }
            rest = others;
        }
    }
    text
}

fn assertion(assertion: &DraftAssertion, is_item: bool) -> String {
    let mut lines = Vec::new();
    lines.extend(ends("from", &assertion.from));
    lines.extend(ends("to", &assertion.to));
    if let Some((key, ports)) = &assertion.ports {
        lines.push(format!("{key}: [{}]", ports.join(", ")));
    }
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let lead = match (is_item, index) {
            (true, 0) => "  - ",
            _ => "    ",
        };
        text.push_str(&format!("{lead}{line}\n"));
    }
    text
}

fn ends(key: &str, ends: &[EndText]) -> Vec<String> {
    match ends {
        [EndText::Name(name)] => vec![format!("{key}: {}", scalar(name))],
        several => {
            let mut lines = vec![format!("{key}:")];
            for end in several {
                match end {
                    EndText::Name(name) => lines.push(format!("- {}", scalar(name))),
                    EndText::Block(cidr, except) => {
                        let except: Vec<String> = except.iter().map(|net| scalar(net)).collect();
                        lines.push(format!("- cidr: {}", scalar(cidr)));
                        lines.push(format!("  except: [{}]", except.join(", ")));
                    }
                }
            }
            lines
        }
    }
}

/// A string as YAML reads it back, with quotes only where they are needed.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_');
    let words = text.split(' ').all(|word| !word.is_empty());
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let is_safe = text.chars().all(|c| plain(c) || matches!(c, ' ' | ',')) && words;
    // A network begins with a digit and has a slash, so it is no number.
    if is_safe && (starts && text.contains(['/', ' ']) || text == "anyone" || text == "outside" || is_network(text)) {
        text.to_owned()
    } else {
        yaml(text)
    }
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::Ipv4Net>().is_ok()
}
