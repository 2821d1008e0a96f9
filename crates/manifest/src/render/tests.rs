//! What people see at 80 columns.

use std::rc::Rc;

use palisade_engine::model::{FileId, Position};

use super::*;
use crate::{
    ReadOptions, Reading, read_text,
    texts::{ReadAgain, Text},
};

fn read(text: &str) -> Reading {
    read_text("policies.yaml", text, &ReadOptions::default())
}

fn draw(reading: &Reading, renderer: Renderer) -> String {
    let sources = &reading.inventory.sources;
    let texts = ReadAgain::new(sources, &reading.texts);
    let drawn: Vec<String> = reading.diagnostics.iter().map(|d| renderer.diagnostic(d, sources, &texts)).collect();
    drawn.join("\n\n")
}

fn told(text: &str) -> String {
    let reading = read(text);
    for width in [40, 60, 80, 120] {
        for line in draw(&reading, Renderer::new(width, false, false)).lines() {
            // A word longer than the terminal stays whole; source lines and prose never exceed it.
            let fits = wrap::columns(line) <= width || width < 80;
            assert!(fits, "{width} columns: {line}");
        }
    }
    draw(&reading, Renderer::new(80, false, false))
}

const HEAD: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: api-allow\n  namespace: prod\n";

fn policy(spec: &str) -> String {
    format!("{HEAD}spec:\n{spec}")
}

#[test]
fn lower_case_protocol() {
    insta::assert_snapshot!(told(&policy(
        "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {}\n    ports:\n    - protocol: tcp\n      port: 80\n"
    )));
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(told(&policy(
        "  podSelector: {}\n  ingress:\n  - ports:\n    - port: 80\n  policyTypes:\n  - Ingress\n  ingress:\n  - ports:\n    - port: 443\n"
    )));
}

#[test]
fn unknown_field() {
    insta::assert_snapshot!(told(&policy(
        "  podSelector: {}\n  egress:\n  - ports:\n    - port: 8000\n      endport: 9000\n"
    )));
}

#[test]
fn host_bits() {
    insta::assert_snapshot!(told(&policy(
        "  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.1.2.3/24\n        except: [10.1.3.0/28]\n"
    )));
}

#[test]
fn except_outside() {
    insta::assert_snapshot!(told(&policy(
        "  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.1.2.0/24\n        except: [10.1.3.0/28]\n"
    )));
}

#[test]
fn tabs() {
    insta::assert_snapshot!(told(&policy("  podSelector: {}\n\tingress:\n\t- {}\n")));
}

#[test]
fn missing_separator() {
    insta::assert_snapshot!(told(&format!("{}{}", policy("  podSelector: {}\n"), policy("  podSelector: {}\n"))));
}

#[test]
fn template_braces() {
    insta::assert_snapshot!(told(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {{ .Release.Name }}-deny\n"
    ));
}

#[test]
fn template_value() {
    insta::assert_snapshot!(told(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {{ .Release.Name }}\nspec: {}\n"
    ));
}

#[test]
fn alias_bomb() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (now, before) in "bcdefg".chars().zip("abcdef".chars()) {
        text += &format!("{now}: &{now} [{}]\n", vec![format!("*{before}"); 9].join(","));
    }
    insta::assert_snapshot!(told(&format!("{HEAD}{text}")));
}

#[test]
fn unquoted_no() {
    insta::assert_snapshot!(told(&policy("  podSelector:\n    matchLabels:\n      country: no\n      y: a\n")));
}

#[test]
fn old_api_version() {
    insta::assert_snapshot!(told(
        "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {}\n"
    ));
}

#[test]
fn long_line_and_long_path() {
    let labels: String = (0..80).map(|i| format!("k{i}: v, ")).collect();
    insta::assert_snapshot!(told(&policy(&format!(
        "  podSelector: {{}}\n  ingress:\n  - from:\n    - podSelector: {{matchLabels: {{{labels}bad: yes}}}}\n"
    ))));
}

#[test]
fn prose_instead_of_a_manifest() {
    insta::assert_snapshot!(told(&format!("{}\n", "The cluster has many nodes and many policies. ".repeat(5))));
}

#[test]
fn empty_input() {
    insta::assert_snapshot!(told("# nothing\n"));
}

#[test]
fn unicode_and_colour() {
    let reading = read(&policy("  podSelector: {}\n  policyTypes: [ingress]\n"));
    insta::assert_snapshot!(draw(&reading, Renderer::new(80, true, true)));
}

struct One(Rc<Text>);

impl SourceText for One {
    fn text(&self, _: FileId) -> Option<Rc<Text>> {
        Some(Rc::clone(&self.0))
    }
}

fn one(text: &str) -> One {
    One(Rc::new(Text::new(text)))
}

#[test]
fn policy_line_with_its_rule() {
    let text = policy(
        "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: backend\n",
    );
    let reading = read(&text);
    let rule = &reading.inventory.policies[0].ingress[0];
    let crate::diagnostic::Annotation { span, .. } = annotation(&rule.peers[0]);
    let texts = one(&text);
    let excerpt = Excerpt { span, label: "prod/frontend has app=frontend", from: rule.at, notes: &[] };
    let notes =
        ["to allow it, both halves must: egress TCP 5432 to app=database in frontend-policy, and ingress".to_owned()];
    let with_notes = Excerpt { notes: &notes, ..excerpt.clone() };
    let renderer = Renderer::new(80, false, false);
    insta::assert_snapshot!(format!(
        "{}\n\n{}",
        renderer.excerpt(&excerpt, &texts).unwrap(),
        renderer.excerpt(&with_notes, &texts).unwrap()
    ));
}

fn annotation(peer: &palisade_engine::model::Peer) -> crate::diagnostic::Annotation {
    let palisade_engine::model::Peer::Pods { pods, .. } = peer else { panic!("a selector") };
    crate::diagnostic::Annotation { span: pods.requirements[0].at.unwrap(), label: String::new() }
}

/// Words that do not fit beside the carets stand below, and no line is wider than the terminal.
#[test]
fn long_words_stand_below() {
    let text = policy(
        "  podSelector: {}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: backend\n",
    );
    let reading = read(&text);
    let rule = &reading.inventory.policies[0].ingress[0];
    let span = annotation(&rule.peers[0]).span;
    let label = "prod/frontend-with-a-long-name has app=frontend, tier=web, version=v1.2.3 and more of these";
    let notes = ["a note".to_owned()];
    let excerpt = Excerpt { span, label, from: rule.at, notes: &notes };
    let finding = crate::Diagnostic::error("API", "too many words").at(span, label).also(rule.at.unwrap(), label);
    let mut drawn = Vec::new();
    for width in [60, 80, 120, 160] {
        let renderer = Renderer::new(width, false, false);
        let shown = renderer.excerpt(&excerpt, &one(&text)).unwrap();
        let told = renderer.diagnostic(&finding, &reading.inventory.sources, &one(&text));
        for line in shown.lines().chain(told.lines()) {
            assert!(wrap::columns(line) <= width, "{width} columns: {line}");
        }
        assert_eq!(shown.split_whitespace().filter(|word| *word == "app=frontend,").count(), 1, "{shown}");
        assert_eq!(told.split_whitespace().filter(|word| *word == "app=frontend,").count(), 2, "{told}");
        drawn.extend((width == 80).then(|| format!("{shown}\n\n{told}")));
    }
    insta::assert_snapshot!(drawn.concat());
}

#[test]
fn far_below_the_rule_the_middle_is_left_out() {
    let peers: String = (0..30).map(|i| format!("    - podSelector: {{matchLabels: {{app: a{i}}}}}\n")).collect();
    let text = policy(&format!("  podSelector: {{}}\n  ingress:\n  - from:\n{peers}"));
    let reading = read(&text);
    let rule = &reading.inventory.policies[0].ingress[0];
    let span = annotation(&rule.peers[25]).span;
    let excerpt = Excerpt { span, label: "here", from: rule.at, notes: &[] };
    insta::assert_snapshot!(Renderer::new(80, false, false).excerpt(&excerpt, &one(&text)).unwrap());
}

#[test]
fn a_text_that_changed_costs_only_its_excerpt() {
    let reading = read(&policy("  podSelector: {}\n  policyTypes: [ingress]\n"));
    let finding = &reading.diagnostics[0];
    let renderer = Renderer::new(80, false, false);
    for text in ["", "a\n", "é\u{301}\r\n\t\n\n\n\n\n\n", "\u{f8ff}:1:1\n\n\n\n\n\n\n日\n日\n"] {
        let drawn = renderer.diagnostic(finding, &reading.inventory.sources, &one(text));
        assert!(drawn.contains("--> policies.yaml:8:17  NetworkPolicy prod/api-allow"), "{drawn}");
    }
    let span = finding.primary.as_ref().unwrap().span;
    let beyond = Span { start: Position { line: u32::MAX, column: u32::MAX }, ..span };
    let excerpt = Excerpt { span: beyond, label: "", from: Some(span), notes: &[] };
    assert_eq!(renderer.excerpt(&excerpt, &one("a")), None);
}
