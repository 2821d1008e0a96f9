//! docs/lints is what the rules' sources say. `PALISADE_BLESS=1` writes it.

use std::{collections::BTreeSet, env, fs, path::Path};

use palisade_lint::{Level, Lint, REGISTRY, find};

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
                     `palisade.toml`,\nand an object opts out with the annotation `palisade.dev/ignore: 'NP103: \
                     reason'`: the one that a finding is\nabout, or a Namespace, Service, pod or workload that it \
                     points at. `--fix` mends what can be mended without\nchanging what is allowed. These pages are \
                     the\ndoc comments of `crates/lint/src/rules`, written by \
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

/// What stands between backquotes and looks like a code, or is in a link to a lint's page.
fn codes_in(page: &str) -> BTreeSet<&str> {
    let like_a_code = |word: &&str| {
        let letters = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
        letters && word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let quoted = page.split('`').skip(1).step_by(2);
    let linked = page.split("lints/").skip(1).filter_map(|rest| rest.split_once(".md").map(|(code, _)| code));
    quoted.chain(linked.filter(|code| *code != "README")).filter(like_a_code).collect()
}

/// The page of what is stricter than the server names every code of ours, and none that is not there.
#[test]
fn the_page_of_what_is_stricter_names_every_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/stricter-than-the-server.md");
    let page = fs::read_to_string(page).unwrap();
    let named = codes_in(&page);
    let own: BTreeSet<&str> = palisade_manifest::diagnostic::code::ALL.into_iter().collect();
    let missing: Vec<&&str> = own.difference(&named).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let unknown: Vec<&&str> = named.iter().filter(|code| !own.contains(*code) && find(code).is_none()).collect();
    assert!(unknown.is_empty(), "there is no such code: {unknown:?}");
    let (first, last) = (REGISTRY.first().unwrap().code, REGISTRY.last().unwrap().code);
    assert!(page.contains(&format!("`{first}` to `{last}`")), "the lints are {first} to {last}");
}

#[test]
fn codes_are_found_in_pages() {
    let page = "`API`, `kind: List`, `NP101` and [x](../lints/NP406.md), [all](../lints/README.md), `UTF-8 x`";
    assert_eq!(codes_in(page), BTreeSet::from(["API", "NP101", "NP406"]));
}
