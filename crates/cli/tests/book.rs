//! The book is true: every command that its pages show with its output prints just that.
//!
//! A block ```` ```console ```` holds commands after `$ ` and what they print. `PALISADE_BLESS=1` writes
//! what they print now.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use support::{palisade, root};

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        if entry.is_dir() {
            pages(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            found.push(entry);
        }
    }
}

/// What a command prints, and its exit code where that is not 0.
fn printed(line: &str) -> String {
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("palisade"), "{line}: only palisade is run");
    let output = palisade().args(words).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    let code = output.status.code().unwrap();
    if code != 0 {
        text.push_str(&format!("(exit code {code})\n"));
    }
    text
}

/// The page with every block as it would be printed now, and how many commands that were.
fn current(page: &str) -> (String, usize) {
    let (mut text, mut commands, mut in_block) = (String::new(), 0, false);
    for line in page.split_inclusive('\n') {
        if in_block && line.trim_end() != "```" {
            let Some(command) = line.strip_prefix("$ ") else { continue };
            if commands > 0 && !text.ends_with("```console\n") {
                text.push('\n');
            }
            text.push_str(line);
            text.push_str(&printed(command));
            commands += 1;
            continue;
        }
        in_block = if in_block { false } else { line.trim_end() == "```console" };
        text.push_str(line);
    }
    (text, commands)
}

#[test]
fn pages_show_what_commands_print() {
    let mut found = Vec::new();
    pages(&root().join("docs"), &mut found);
    let bless = std::env::var_os("PALISADE_BLESS").is_some();
    let (mut commands, mut stale) = (0, Vec::new());
    for path in found {
        let page = std::fs::read_to_string(&path).unwrap();
        let (wanted, ran) = current(&page);
        commands += ran;
        if wanted == page {
            continue;
        }
        if bless {
            std::fs::write(&path, wanted).unwrap();
        } else {
            stale.push(format!("{}:\n{wanted}", path.display()));
        }
    }
    assert!(stale.is_empty(), "not what is printed now (PALISADE_BLESS=1 writes it):\n{}", stale.join("\n"));
    assert!(commands >= 12, "the pages have lost their examples: {commands}");
}

/// Every command has its page, and the index names it.
#[test]
fn every_command_has_a_page() {
    let help = String::from_utf8(palisade().arg("--help").output().unwrap().stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let index = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let mut count = 0;
    for command in commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()) {
        if command == "help" {
            continue;
        }
        let page = format!("reference/{command}.md");
        assert!(root().join("docs").join(&page).exists(), "{command} has no page");
        assert!(index.contains(&page), "docs/README.md does not name {page}");
        count += 1;
    }
    assert!(count >= 10, "{help}");
}

/// Where a page links to: what stands behind `](`, outside of blocks of code.
fn links(page: &str) -> Vec<&str> {
    let prose = page.split("\n```").step_by(2);
    let targets = prose.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).collect()
}

/// No page links to a file that has moved.
#[test]
fn links_lead_to_what_is_there() {
    let mut found = Vec::new();
    for folder in ["docs", "examples", "deploy"] {
        pages(&root().join(folder), &mut found);
    }
    let beside = std::fs::read_dir(root()).unwrap().flatten().map(|entry| entry.path());
    found.extend(beside.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let (mut followed, mut dead) = (0, Vec::new());
    for path in found {
        let page = std::fs::read_to_string(&path).unwrap();
        for link in links(&page).into_iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = link.split('#').next().unwrap_or(link);
            followed += 1;
            if !path.parent().unwrap().join(target).exists() {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links to nothing:\n{}", dead.join("\n"));
    assert!(followed > 200, "the pages have lost their links: {followed}");
}
