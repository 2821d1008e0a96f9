//! Inputs made to break a reader: each ends, soon, without a panic, and with something to say.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use palisade_manifest::{Diagnostic, ReadOptions, read_bytes, read_text, render::Renderer, texts::ReadAgain};
use proptest::prelude::*;

/// Everything that a program does with an input: read it, draw what was found, make a cluster.
fn survives(bytes: &[u8]) -> Vec<Diagnostic> {
    let reading = read_bytes("hostile", bytes, &ReadOptions::default());
    let sources = reading.inventory.sources.clone();
    let texts = ReadAgain::new(&sources, &reading.texts);
    for finding in reading.diagnostics.iter().take(20) {
        let drawn = Renderer::new(80, false, false).diagnostic(finding, &sources, &texts);
        assert!(drawn.starts_with(&finding.severity.to_string()), "{drawn}");
    }
    let _ = reading.inventory.into_cluster();
    reading.diagnostics
}

const SAMPLE: &str = "apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: &m {name: é, labels: {\"a\\u00e9\": 'b'}}
  spec:
    podSelector: {matchLabels: {app: !!str 1}}
    ingress:
    - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
      ports: [{port: 80, endPort: 90}, {port: http}]
- {\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": *m, <<: {status: {podIPs: [{ip: \"fd00::1\"}]}}}
kind: List
---
{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80}]}}
--- |
  text
";

#[test]
fn cut_off_anywhere() {
    for end in 0..SAMPLE.len() {
        survives(&SAMPLE.as_bytes()[..end]);
    }
}

#[test]
fn one_byte_wrong_anywhere() {
    for place in 0..SAMPLE.len() {
        for byte in [0, b'\t', b'\n', b' ', b':', b'-', b'{', b'"', b'\'', b'*', b'&', b'!', b'|', b'#', 0xff] {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[place] = byte;
            survives(&bytes);
        }
    }
}

/// Megabytes of one thing each (ten with `--release`). The limit is generous: the machine may be doing
/// other things, and what grows with the square of the size takes hours, not seconds.
#[test]
fn megabytes_of_one_thing() {
    const SIZE: usize = if cfg!(debug_assertions) { 1 << 20 } else { 10 << 20 };
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n";
    let lines = |line: fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let inputs: Vec<(&str, String)> = vec![
        ("[", "[".repeat(SIZE)),
        ("{", "{".repeat(SIZE)),
        ("- ", "- ".repeat(SIZE / 2)),
        ("{a: ", "{a: ".repeat(SIZE / 4)),
        ("? ", "? ".repeat(SIZE / 2)),
        (": ", ": ".repeat(SIZE / 2)),
        ("closed", format!("[{}]", "[],".repeat(SIZE / 3))),
        ("one long word", "x".repeat(SIZE)),
        ("one long value", format!("a: \"{}\"", "x".repeat(SIZE))),
        ("one long key", format!("{}: a", "x".repeat(SIZE))),
        ("a quote that never ends", format!("a: \"{}", "x ".repeat(SIZE / 2))),
        ("spaces", " ".repeat(SIZE)),
        ("tabs", "\t".repeat(SIZE)),
        ("empty lines", "\n".repeat(SIZE)),
        ("comments", "#\n".repeat(SIZE / 2)),
        ("documents", "---\n".repeat(SIZE / 4)),
        ("JSON objects", "{}".repeat(SIZE / 16)),
        ("JSON of mistakes", "{]}".repeat(SIZE / 16)),
        ("stars", "*a ".repeat(SIZE / 3)),
        ("anchors", lines(|i| format!("- &a{i} x\n"), SIZE / 16)),
        ("aliases", format!("a: &a [1, 2, 3]\nb:\n{}", "- *a\n".repeat(SIZE / 16))),
        ("aliases of aliases", lines(|i| format!("- &a{i} [*a{}]\n", i.saturating_sub(1)), SIZE / 64)),
        (
            "merges",
            format!(
                "a: &a {{{}}}\n{}",
                lines(|i| format!("k{i}: 1, "), 5000),
                lines(|i| format!("b{i}: {{<<: *a}}\n"), 5000)
            ),
        ),
        ("equal keys", "a: 1\n".repeat(SIZE / 16)),
        ("different keys", lines(|i| format!("k{i}: 1\n"), SIZE / 16)),
        (
            "labels",
            format!("{head}  podSelector:\n    matchLabels:\n{}", lines(|i| format!("      k{i}: v\n"), SIZE / 32)),
        ),
        (
            "bad labels",
            format!("{head}  podSelector:\n    matchLabels:\n{}", lines(|i| format!("      k{i}: -\n"), SIZE / 32)),
        ),
        ("unknown fields", format!("{head}{}", lines(|i| format!("  f{i}: 1\n"), SIZE / 32))),
        ("rules", format!("{head}  ingress: [{}]", "{ports: [{port: 1}]},".repeat(SIZE / 32))),
        ("null items", format!("apiVersion: v1\nitems: [{}]\nkind: PodList\n", "null,".repeat(SIZE / 32))),
        ("things like lists", "items: [1]\nkind: X\napiVersion: v1\n---\n".repeat(SIZE / 64)),
        ("templates", "a: {{ x }}\n---\n".repeat(SIZE / 32)),
        ("Chinese", "中".repeat(SIZE / 3)),
    ];
    for (name, input) in inputs {
        let started = Instant::now();
        let findings = survives(input.as_bytes());
        let took = started.elapsed();
        eprintln!("{name:<28} {took:>10.0?}  {} findings", findings.len());
        assert!(took < Duration::from_secs(60), "{name} took {took:?}");
        assert!(findings.len() <= 10_001);
    }
}

#[test]
fn a_policy_read_item_by_item_needs_no_stack() {
    // A small stack: reading must not go deeper than the depth limit allows.
    let text = format!("a: {}1{}\n", "[".repeat(127), "]".repeat(127));
    let done =
        std::thread::Builder::new().stack_size(256 << 10).spawn(move || read_text("x", &text, &ReadOptions::default()));
    assert!(done.unwrap().join().unwrap().has_errors());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn words_of_manifests_in_any_order(words in prop::collection::vec(prop::sample::select(vec![
        "apiVersion: ", "networking.k8s.io/v1", "v1", "kind: ", "NetworkPolicy", "Pod", "List", "items:", "\n", "\n  ", "\n    ",
        "- ", "metadata:", "name: a", "spec:", "podSelector:", "ingress:", "egress:", "from:", "ports:", "port: ", "80", "null", "{", "}",
        "[", "]", ", ", "'", "\"", "&a ", "*a", "<<: ", "---\n", "...\n", "{{", "}}", "\t", "é", "| ", "!!str ", "# c", "labels: ", "status:",
    ]), 0..60)) {
        survives(words.concat().as_bytes());
    }
}
