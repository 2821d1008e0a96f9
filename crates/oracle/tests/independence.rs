//! The oracle shares nothing with the engine but the model: read from its own sources. CI relies on it.

#![expect(clippy::unwrap_used, reason = "test code: sources that cannot be read shall fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crate and the only module of it that may be used.
const ENGINE: &str = concat!("palisade", "_engine");
const MODEL: &str = "::model";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code without comments, and without white space. (No string here has `//` in it.)
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// What follows each mention of the engine, where that is not the model.
fn offences(text: &str) -> Vec<String> {
    let code = code(text);
    let after = code.split(ENGINE).skip(1);
    let is_model = |rest: &&str| {
        rest.strip_prefix(MODEL).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    after.filter(|rest| !is_model(rest)).map(|rest| rest.chars().take(40).collect()).collect()
}

#[test]
fn nothing_of_the_engine_is_used_but_the_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 10, "the sources were not found: {files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(offences(&text), Vec::<String>::new(), "{} uses more than the model", file.display());
        // Another way in would be to take a file of the engine as one's own.
        let code = code(&text);
        for way in [concat!("inc", "lude!("), concat!("#[pa", "th")] {
            assert!(!code.contains(way), "{} has {way}", file.display());
        }
    }
}

#[test]
fn no_other_crate_of_the_workspace_is_a_dependency() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let dependencies: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert_eq!(dependencies, ["ipnet.workspace = true", "palisade-engine.workspace = true"]);
    assert_eq!(manifest.matches("dependencies").count(), 1, "no other tables of dependencies");
}

#[test]
fn the_check_itself_finds_what_it_looks_for() {
    for bad in [
        "use ENGINE::compile;",
        "use ENGINE::{model, verdict};",
        "use ENGINE as e;",
        "ENGINE :: modelling::x",
        "use ENGINE::*;",
        "extern crate ENGINE;",
    ] {
        assert_eq!(offences(&bad.replace("ENGINE", ENGINE)).len(), 1, "{bad}");
    }
    for good in ["use ENGINE::model;", "use ENGINE::model::{A, B};", "// ENGINE::compile", "use ENGINE\n  ::model::A;"]
    {
        assert!(offences(&good.replace("ENGINE", ENGINE)).is_empty(), "{good}");
    }
}
