//! What became of the tests, for programs: JSON, JUnit XML and TAP.

use palisade_engine::model::{Sources, Span};
use serde::Serialize;

use super::{
    outcome::{Failure, Outcome},
    text::Printer,
    why::Reason,
};
use crate::connections::TrafficData;

/// What JSON says.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    tests: Vec<TestData<'a>>,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct TestData<'a> {
    name: &'a str,
    file: &'a str,
    line: u32,
    passed: bool,
    assertions: Vec<AssertionData<'a>>,
}

#[derive(Debug, Serialize)]
struct AssertionData<'a> {
    form: &'static str,
    line: u32,
    passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailureData<'a>>,
}

#[derive(Debug, Serialize)]
struct FailureData<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    from: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    to: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<TrafficData>,
    #[serde(skip_serializing_if = "<[Reason]>::is_empty")]
    reasons: &'a [Reason],
}

/// All of it as data.
pub(super) fn json<'a>(outcomes: &'a [Outcome<'_>], sources: &'a Sources) -> Answer<'a> {
    let failure = |failure: &'a Failure| FailureData {
        kind: failure.kind,
        message: &failure.message,
        from: &failure.from,
        to: &failure.to,
        family: failure.family.map(|family| family.to_string()),
        traffic: failure.traffic.as_ref().map(TrafficData::from),
        reasons: &failure.reasons,
    };
    let test = |outcome: &'a Outcome<'_>| TestData {
        name: &outcome.test.name,
        file: sources.name(outcome.test.at.file),
        line: outcome.test.at.start.line,
        passed: outcome.holds(),
        assertions: outcome
            .assertions
            .iter()
            .map(|(assertion, failures)| AssertionData {
                form: assertion.form.key(),
                line: assertion.at.start.line,
                passed: failures.is_empty(),
                failures: failures.iter().map(failure).collect(),
            })
            .collect(),
    };
    let tests: Vec<TestData<'_>> = outcomes.iter().map(test).collect();
    Answer { failed: tests.iter().filter(|test| !test.passed).count(), tests }
}

/// JUnit XML: a suite for each file.
pub(super) fn junit(outcomes: &[Outcome<'_>], printer: &Printer<'_>) -> String {
    let failed = |of: &[&Outcome<'_>]| of.iter().filter(|outcome| !outcome.holds()).count();
    let all: Vec<&Outcome<'_>> = outcomes.iter().collect();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"palisade test\" tests=\"{}\" failures=\"{}\" \
         errors=\"0\">\n",
        all.len(),
        failed(&all)
    );
    for (file, name) in printer.sources.iter() {
        let own: Vec<&Outcome<'_>> = all.iter().copied().filter(|outcome| outcome.test.at.file == file).collect();
        if own.is_empty() {
            continue;
        }
        let name = xml(name);
        text.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">\n",
            own.len(),
            failed(&own)
        ));
        for outcome in own {
            let Span { start, .. } = outcome.test.at;
            let case = format!(
                "    <testcase classname=\"{name}\" name=\"{}\" file=\"{name}\" line=\"{}\"",
                xml(&outcome.test.name),
                start.line
            );
            if outcome.holds() {
                text.push_str(&format!("{case}/>\n"));
                continue;
            }
            let lines = printer.failures(outcome, usize::MAX);
            let message = xml(&first_message(outcome));
            let body = format!("{name}:{}\n{}", start.line, xml(&lines.join("\n")));
            text.push_str(&format!(
                "{case}>\n      <failure message=\"{message}\" type=\"{}\">{body}</failure>\n    </testcase>\n",
                kind(outcome)
            ));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// TAP 14, with what is wrong as YAML.
pub(super) fn tap(outcomes: &[Outcome<'_>], printer: &Printer<'_>) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", outcomes.len());
    for (number, outcome) in (1..).zip(outcomes) {
        let name: String = outcome.test.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let name = name.replace('\\', "\\\\").replace('#', "\\#");
        let word = if outcome.holds() { "ok" } else { "not ok" };
        text.push_str(&format!("{word} {number} - {name}\n"));
        if outcome.holds() {
            continue;
        }
        let file = printer.sources.name(outcome.test.at.file);
        text.push_str(&format!(
            "  ---\n  message: {}\n  severity: fail\n  at:\n    file: {}\n    line: {}\n  failures:\n",
            yaml(&first_message(outcome)),
            yaml(file),
            outcome.test.at.start.line
        ));
        for line in printer.failures(outcome, usize::MAX) {
            text.push_str(&format!("  - {}\n", yaml(line.trim())));
        }
        text.push_str("  ...\n");
    }
    text
}

fn first_message(outcome: &Outcome<'_>) -> String {
    first(outcome).map(|failure| failure.message.clone()).unwrap_or_default()
}

fn kind(outcome: &Outcome<'_>) -> &'static str {
    first(outcome).map_or("failure", |failure| failure.kind)
}

fn first<'o>(outcome: &'o Outcome<'_>) -> Option<&'o Failure> {
    outcome.assertions.iter().flat_map(|(_, failures)| failures).next()
}

/// Text in XML; what XML has no way to say is left out.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => {}
            c => out.push(c),
        }
    }
    out
}

/// A string in YAML: as in JSON.
pub(super) fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
