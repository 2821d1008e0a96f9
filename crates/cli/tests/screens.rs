//! What people see, at 80 columns. `cargo insta review` shows what changed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{io::Write as _, process::Stdio};

use support::{can_namespace, palisade, said};

fn run(arguments: &[&str]) -> String {
    let output = palisade().args(arguments).output().unwrap();
    let said = said(&output);
    for line in said.lines().skip(1) {
        assert!(line.chars().count() <= 80, "wider than the terminal: {line}");
    }
    said
}

/// With `text` on standard input.
fn fed(arguments: &[&str], text: &str) -> String {
    let mut child = palisade();
    let mut child =
        child.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    said(&child.wait_with_output().unwrap())
}

const THREE_TIER: &str = "examples/three-tier";

#[test]
fn a_denial_explained() {
    insta::assert_snapshot!(run(&["explain", "prod/frontend", "prod/database:5432", "-f", THREE_TIER]));
}

#[test]
fn a_connection_allowed() {
    insta::assert_snapshot!(run(&["explain", "web/client", "prod/frontend:80", "-f", THREE_TIER]));
}

#[test]
fn a_direction_that_is_not_affected() {
    insta::assert_snapshot!(run(&["explain", "prod/database", "203.0.113.9:443", "-f", THREE_TIER]));
}

#[test]
fn all_that_is_allowed_between_two() {
    insta::assert_snapshot!(run(&["explain", "prod/frontend", "prod/backend", "-f", THREE_TIER]));
}

const QUESTIONS: &str = "crates/cli/tests/questions";

#[test]
fn several_that_do_not_agree() {
    insta::assert_snapshot!(run(&["explain", "prod/rs/web-5d", "prod/svc/db:pg", "-f", QUESTIONS]));
}

#[test]
fn what_cannot_be_told() {
    insta::assert_snapshot!(run(&["explain", "prod/pending", "prod/web-1", "-f", QUESTIONS]));
}

#[test]
fn a_denial_as_json() {
    let arguments = ["explain", "prod/frontend", "prod/database:5432", "-f", THREE_TIER, "-o", "json"];
    insta::assert_snapshot!(run_unbounded(&arguments));
}

#[test]
fn verdicts() {
    insta::assert_snapshot!(run(&["verdicts", "--flows", "examples/and-or/flows.tsv", "-f", "examples/and-or"]));
}

#[test]
fn the_ruleset_of_a_node() {
    let output = palisade().args(["ruleset", "--node", "node-1", "-f", THREE_TIER]).output().unwrap();
    insta::assert_snapshot!(said(&output));
}

#[test]
fn a_name_that_is_not_there() {
    insta::assert_snapshot!(run(&["explain", "frontend", "prod/database:5432", "-f", THREE_TIER]));
}

#[test]
fn a_mistake_in_a_policy() {
    let policy = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-allow
  namespace: prod
spec:
  podSelector:
    matchLabels:
      app: api
  ingress:
  - from:
    - podSelector: {}
    ports:
    - protocol: tcp
      port: 8080
      endport: 8090
";
    insta::assert_snapshot!(fed(&["explain", "a", "b", "-f", "-"], policy));
}

#[test]
fn a_key_given_twice() {
    let policy = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: one
spec:
  podSelector: {}
  ingress: []
  podSelector:
    matchLabels:
      app: web
";
    insta::assert_snapshot!(fed(&["explain", "a", "b", "-f", "-"], policy));
}

#[test]
fn two_objects_of_one_name() {
    let pods = "\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: web}]}
";
    insta::assert_snapshot!(fed(&["explain", "web", "web:80", "-f", "-"], pods));
}

#[test]
fn help_has_examples() {
    for command in
        [&["explain", "--help"][..], &["verdicts", "--help"], &["lab", "run", "--help"], &["ruleset", "--help"]]
    {
        let said = run(command);
        assert!(said.contains("Examples:"), "{said}");
    }
}

#[test]
fn completions_and_man_pages() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run_unbounded(&["completion", shell]).contains("palisade"));
    }
    assert!(run_unbounded(&["man"]).contains(".TH"));
    let page = run_unbounded(&["man", "lab", "run"]);
    assert!(page.contains(".TH palisade-lab-run 1  \"palisade "), "{page}");
}

fn run_unbounded(arguments: &[&str]) -> String {
    said(&palisade().args(arguments).output().unwrap())
}

#[test]
fn the_lab() {
    if let Err(why) = can_namespace() {
        eprintln!("skipped: no lab here: {why}");
        return;
    }
    let said = run(&["lab", "run", "-f", THREE_TIER, "--family", "4"]);
    // Times differ from run to run.
    let numbers = |word: &str| word.parse::<f64>().is_ok();
    let steady: Vec<String> = said
        .lines()
        .map(|line| match line.split_once(" in ") {
            Some((before, after)) if line.starts_with(|c: char| c.is_ascii_lowercase()) => {
                let after: Vec<&str> = after.split(' ').map(|word| if numbers(word) { "T" } else { word }).collect();
                format!("{before} in {}", after.join(" "))
            }
            _ => line.to_owned(),
        })
        .collect();
    insta::assert_snapshot!(steady.join("\n").replace("as root", "no root"));
}
