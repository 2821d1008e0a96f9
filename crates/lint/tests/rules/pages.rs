//! docs/lints is what the rules' sources say. `PALISADE_BLESS=1` writes it.

use std::{collections::BTreeSet, env, fs, path::Path};

use palisade_lint::{Level, Lint, REGISTRY};

fn level(lint: &Lint) -> &'static str {
    match lint.level {
        None => "off",
        Some(Level::Note) => "note",
        Some(Level::Warning) => "warning",
        Some(Level::Error) => "error",
    }
}

fn pages() -> Vec<(String, String)> {
    let mut index = "# Lints\n\nWhat `palisade check` finds beyond what the API server refuses. Levels are set in \
                     `palisade.toml`,\nand one policy opts out with the annotation `palisade.dev/ignore: 'NP103: \
                     reason'`. These pages are the\ndoc comments of `crates/lint/src/rules`, written by \
                     `PALISADE_BLESS=1 cargo test -p palisade-lint`.\n\n| code | name | level | finds |\n|---|---|---|---|\n"
        .to_owned();
    let mut pages = Vec::new();
    for lint in REGISTRY {
        let (code, name, level) = (lint.code, lint.name, level(lint));
        index.push_str(&format!("| [{code}]({code}.md) | {name} | {level} | {} |\n", lint.page().title()));
        pages.push((format!("{code}.md"), format!("# {code} {name} ({level})\n\n{}", lint.page().markdown())));
    }
    pages.push(("README.md".to_owned(), index));
    pages
}

#[test]
fn pages_are_what_the_rules_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lints");
    let pages = pages();
    if env::var_os("PALISADE_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &pages {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let written = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(&written, text, "docs/lints/{name}: PALISADE_BLESS=1 cargo test -p palisade-lint writes it");
    }
    let names: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
    let there = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<String>>(), names, "docs/lints holds a page of no rule");
}
