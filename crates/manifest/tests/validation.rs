//! Agreement with a real API server (kube-apiserver 1.36.2): each recorded case is read as a file,
//! and what is found is compared with what the server answered. See `README.md` beside the cases.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: a recorded input that cannot be read fails the test"
)]

use std::{fs, path::PathBuf};

use palisade_manifest::{Diagnostic, ReadOptions, Reading, read_paths};
use serde_json::Value;

/// The recorded answers: to NetworkPolicies, and to the cluster-wide kinds.
fn folders() -> Vec<PathBuf> {
    let folder = |name| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/validation").join(name);
    let there = |folder: &PathBuf| {
        let there = folder.is_dir();
        if !there {
            eprintln!("skipped: no recorded answers at {}", folder.display());
        }
        there
    };
    ["networkpolicy", "clusternetworkpolicy"].map(folder).into_iter().filter(there).collect()
}

/// What the CRDs of cluster-wide policies do not look at: a code of its own, and so no disagreement.
fn is_beyond(reading: &Reading) -> bool {
    let mut errors = reading.diagnostics.iter().filter(|finding| finding.is_error());
    errors.all(|finding| finding.code.starts_with("CNP-"))
}

fn answers(folder: &std::path::Path) -> Vec<(String, Value, Reading)> {
    let answers = fs::read_to_string(folder.join("answers.json")).unwrap();
    let answers: Vec<Value> = serde_json::from_str(&answers).unwrap();
    let read = |answer: Value| {
        let case = answer["case"].as_str().unwrap().to_owned();
        let reading = read_paths(&[folder.join("cases").join(format!("{case}.yaml"))], &ReadOptions::default());
        (case, answer, reading)
    };
    answers.into_iter().map(read).collect()
}

/// Paths as the parser of Go names them: without places in lists.
fn without_indices(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

fn told(reading: &Reading) -> String {
    let line = |d: &Diagnostic| {
        let line = d.primary.as_ref().map(|p| p.span.start.to_string()).unwrap_or_default();
        format!(
            "    {} {line} {} | {} | {:?}\n",
            d.code,
            d.field.as_deref().unwrap_or("-"),
            d.message,
            d.primary.as_ref().map(|p| &p.label)
        )
    };
    reading.diagnostics.iter().map(line).collect()
}

#[test]
fn accepts_and_rejects_as_the_server_does() {
    let (mut accepts, mut rejects, mut beyond, mut wrong) = (0, 0, 0, String::new());
    for (case, answer, reading) in folders().iter().flat_map(|folder| answers(folder)) {
        match (answer["as_file"].as_str().unwrap(), reading.has_errors()) {
            ("accept", false) => accepts += 1,
            ("accept", true) if is_beyond(&reading) => beyond += 1,
            ("reject", true) => rejects += 1,
            ("skip", _) => {}
            (expected, _) => wrong += &format!("{case}: {expected}\n{}", told(&reading)),
        }
    }
    eprintln!("{accepts} accepted, {rejects} rejected, as the server does; {beyond} refused beyond it");
    assert_eq!(wrong, "");
}

#[test]
fn names_the_fields_that_the_server_names() {
    let (mut checked, mut wrong) = (0, String::new());
    for (case, answer, reading) in folders().iter().flat_map(|folder| answers(folder)) {
        // These were made from another question: what is posted to one namespace's collection.
        if answer["as_file"] != "reject" {
            continue;
        }
        let fields: Vec<&str> = reading.diagnostics.iter().filter_map(|d| d.field.as_deref()).collect();
        for cause in answer["causes"].as_array().unwrap() {
            let field = cause["field"].as_str().unwrap();
            // Of an object as a whole: that it was not looked at to the end, or a name that is told there.
            if field == "<nil>" {
                continue;
            }
            // A name made from generateName is told once, where it was written.
            let made = field == "metadata.name" && fields.contains(&"metadata.generateName");
            checked += 1;
            // An empty file has no object that could miss a name.
            let nothing = reading.diagnostics.iter().all(|d| d.code == "INPUT");
            if !fields.contains(&field) && !made && !nothing {
                wrong += &format!("{case}: {field}\n{}", told(&reading));
            }
        }
        let message = answer["message"].as_str().unwrap_or_default();
        if let Some(path) = message.split("unknown field \"").nth(1).and_then(|rest| rest.split('"').next()) {
            checked += 1;
            if !fields.contains(&path) {
                wrong += &format!("{case}: {path}\n{}", told(&reading));
            }
        }
        if let Some(rest) = message.split("Go struct field ").nth(1) {
            let path = rest.split(" of type").next().unwrap().split_once('.').unwrap().1;
            checked += 1;
            if !fields.iter().any(|field| without_indices(field) == path) {
                wrong += &format!("{case}: {path}\n{}", told(&reading));
            }
        }
    }
    eprintln!("{checked} fields named as the server does");
    assert_eq!(wrong, "");
}

/// Where we refuse what the server or kubectl takes, the finding does not pass for the server's.
#[test]
fn what_is_stricter_on_purpose_has_a_code_of_its_own() {
    let folders = folders();
    let mut checked = 0;
    for (case, answer, reading) in folders.iter().flat_map(|folder| answers(folder)) {
        if answer["stricter_on_purpose"] == true {
            checked += 1;
            let mut errors = reading.diagnostics.iter().filter(|finding| finding.is_error());
            assert!(errors.all(|finding| finding.code != "API"), "{case}\n{}", told(&reading));
        }
    }
    assert!(checked > 0 || folders.is_empty(), "no case is marked");
}
