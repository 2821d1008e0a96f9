//! What became of the tests, as a person reads it.

use super::{
    file::{Assertion, Form},
    outcome::{Failure, Outcome},
    why::Reason,
};
use crate::{
    input::Excerpts,
    screen::{BAD, GOOD, hanging, styled},
};

/// How many failures of one assertion are shown.
const SHOWN: usize = 5;

/// How many reasons of one failure are shown.
const REASONS: usize = 4;

/// Where lines below a test begin.
const INDENT: &str = "      ";

/// Prints outcomes.
pub(super) struct Printer<'a> {
    /// What shortens the names of the files that reasons point into.
    pub(super) excerpts: Option<&'a Excerpts>,
    /// The names of the test files.
    pub(super) sources: &'a palisade_engine::model::Sources,
    pub(super) width: usize,
}

impl Printer<'_> {
    /// A line for each test, what is wrong below those that fail, and the count.
    pub(super) fn print(&self, outcomes: &[Outcome<'_>]) -> String {
        let mut text = String::new();
        for outcome in outcomes {
            let (style, word) = if outcome.holds() { (GOOD, "ok") } else { (BAD, "FAIL") };
            let line = hanging(INDENT, &outcome.test.name, INDENT.len(), self.width);
            let rest = line.get(word.len()..).unwrap_or_default();
            text.push_str(&format!("{}{rest}\n", styled(style, word)));
            for line in self.failures(outcome, SHOWN) {
                text.push_str(&hanging(INDENT, &line, INDENT.len() + 2, self.width));
                text.push('\n');
            }
        }
        text.push_str(&summary(outcomes));
        text.push('\n');
        text
    }

    /// What is wrong, a sentence a line; of each assertion so many failures.
    pub(super) fn failures(&self, outcome: &Outcome<'_>, most: usize) -> Vec<String> {
        let several = outcome.assertions.len() > 1;
        let mut lines = Vec::new();
        for (assertion, failures) in &outcome.assertions {
            if several && !failures.is_empty() {
                lines.push(self.place(assertion));
            }
            lines.extend(failures.iter().take(most).flat_map(|failure| self.failure(failure)));
            let more = failures.len().saturating_sub(most);
            if more > 0 {
                lines.push(format!("and {more} more (-o json has them all)"));
            }
        }
        lines
    }

    /// One failure: a sentence, or one for each half.
    fn failure(&self, failure: &Failure) -> Vec<String> {
        let (rules, others): (Vec<&Reason>, Vec<&Reason>) =
            failure.reasons.iter().partition(|reason| reason.policy.is_some());
        if failure.kind != "allowed" {
            let halves = failure.reasons.iter().map(|reason| match self.at(reason) {
                Some(place) => format!("  {place}  {}", reason.text),
                None => format!("  {}", reason.text),
            });
            return std::iter::once(failure.message.clone()).chain(halves).collect();
        }
        let mut text = failure.message.clone();
        let more = rules.len().saturating_sub(REASONS);
        let rules = rules.into_iter().take(REASONS).map(|rule| match self.at(rule) {
            Some(place) => format!("{}, {place}", rule.text),
            None => rule.text.clone(),
        });
        let rules = rules.collect::<Vec<_>>().join(" and ");
        if !rules.is_empty() {
            text.push_str(&format!(" by {rules}"));
        }
        if more > 0 {
            text.push_str(&format!(" and {more} more rules"));
        }
        let others: Vec<&str> = others.into_iter().take(REASONS).map(|reason| reason.text.as_str()).collect();
        if !others.is_empty() {
            text.push_str(if rules.is_empty() { ": " } else { "; " });
            text.push_str(&others.join("; "));
        }
        vec![text]
    }

    /// `deny, policies.test.yaml:12`
    fn place(&self, assertion: &Assertion) -> String {
        let what = match assertion.form {
            Form::Isolated(direction) => format!("isolated for {direction}"),
            form => form.key().to_owned(),
        };
        format!("{what}, {}:{}:", self.sources.name(assertion.at.file), assertion.at.start.line)
    }

    fn at(&self, reason: &Reason) -> Option<String> {
        let file = reason.file.as_deref()?;
        let file = self.excerpts.map_or(file, |excerpts| excerpts.short(file));
        Some(format!("{file}:{}", reason.line?))
    }
}

/// `2 assertions, 1 failed.`
fn summary(outcomes: &[Outcome<'_>]) -> String {
    let count: usize = outcomes.iter().map(|outcome| outcome.assertions.len()).sum();
    let failed: usize = outcomes.iter().map(Outcome::failed).sum();
    let s = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let of = if count == outcomes.len() { String::new() } else { format!(" in {}", s(outcomes.len(), "test")) };
    let failed = if failed == 0 { "none failed".to_owned() } else { format!("{failed} failed") };
    format!("{}{of}, {failed}.", s(count, "assertion"))
}
