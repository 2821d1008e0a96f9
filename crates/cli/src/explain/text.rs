//! A report as a person reads it.

use palisade_engine::{model::Sources, verdict::Outcome};

use super::{
    report::{HalfReport, PolicyPlace, Report, RuleReport, State},
    words::shortened,
};
use crate::{
    input::Excerpts,
    screen::{self, BAD, GOOD, MIXED, hanging, styled},
};

/// How many rules of one half are shown.
const RULES_SHOWN: usize = 6;

/// Prints reports, with excerpts of the files they point into.
pub(crate) struct Printer<'a> {
    pub(crate) excerpts: &'a Excerpts,
    pub(crate) sources: &'a Sources,
    pub(crate) width: usize,
}

impl Printer<'_> {
    /// The whole report.
    pub(crate) fn print(&self, report: &Report) -> String {
        let mut text = self.headline(report);
        text.push('\n');
        if let Some(exempt) = report.exempt {
            text.push_str(&format!("\n{}\n", hanging("", exempt, 0, self.width)));
        }
        let last = report.halves.iter().rposition(|half| half.state == State::Denied);
        for (index, half) in report.halves.iter().enumerate() {
            text.push('\n');
            text.push_str(&self.half(half));
            let denied = half.state == State::Denied;
            if let Some(excerpt) = half.rules.first().filter(|_| denied).and_then(|rule| self.excerpt(rule)) {
                text.push_str(&excerpt);
            }
            if Some(index) == last {
                text.push_str(&self.remedy(report));
            }
        }
        text
    }

    /// `DENIED  prod/frontend -> prod/database  TCP 5432`
    pub(crate) fn headline(&self, report: &Report) -> String {
        let style = match (report.verdict, report.outcome) {
            ("MIXED", _) | (_, Outcome::Undetermined) => MIXED,
            (_, Outcome::Allow) => GOOD,
            (_, Outcome::Deny) => BAD,
        };
        let connection = match &report.service {
            None => format!("{} -> {}  {}", report.from, report.to, report.traffic),
            Some(service) => format!(
                "{} -> {}  {}  (the pod {}, {})",
                report.from, service.name, service.traffic, report.to, report.traffic
            ),
        };
        let line = hanging(&" ".repeat(report.verdict.len() + 2), &connection, report.verdict.len() + 2, self.width);
        let rest = line.get(report.verdict.len()..).unwrap_or_default().to_owned();
        format!("{}{rest}", styled(style, report.verdict))
    }

    fn half(&self, half: &HalfReport) -> String {
        let lead = format!("{} of {}: ", half.direction, half.subject);
        let policies = |places: &[PolicyPlace]| {
            shortened(&places.iter().map(|place| place.policy.clone()).collect::<Vec<_>>(), ", ", 4)
        };
        let said = match half.state {
            State::NotAPod => "not a pod with a network of its own, so no policy selects it".to_owned(),
            State::NotIsolated if half.does_not_affect.is_empty() => "no policy isolates it".to_owned(),
            State::NotIsolated => {
                let verb = if half.does_not_affect.len() == 1 { "does" } else { "do" };
                let names = policies(&half.does_not_affect);
                format!("no policy isolates it; {names} {verb} not affect {}", half.direction)
            }
            State::Allowed => format!("isolated by {}", policies(&half.isolated_by)),
            State::Denied => format!("isolated by {}, no rule allows it", policies(&half.isolated_by)),
            State::Undetermined => {
                format!("isolated by {}, and it cannot be told whether a rule allows it", policies(&half.isolated_by))
            }
        };
        let mut text = hanging("", &format!("{lead}{said}"), 2, self.width);
        text.push('\n');
        text.push_str(&self.rules(&half.rules));
        text
    }

    fn rules(&self, rules: &[RuleReport]) -> String {
        let shown = rules.get(..RULES_SHOWN).unwrap_or(rules);
        let places: Vec<String> = shown.iter().map(|rule| self.place(rule)).collect();
        let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let place_width = widest(&mut places.iter().map(String::len));
        let policy_width = widest(&mut shown.iter().map(|rule| rule.policy.len()));
        let rule_width = widest(&mut shown.iter().map(|rule| rule.rule.len()));
        let mut text = String::new();
        for (rule, place) in shown.iter().zip(&places) {
            let lead = format!("  {place:place_width$}  {:policy_width$}  {:rule_width$}  ", rule.policy, rule.rule);
            let narrow = lead.len() + 24 > self.width;
            if narrow {
                text.push_str(lead.trim_end());
                text.push('\n');
                text.push_str(&hanging("      ", &rule.says, 6, self.width));
            } else {
                text.push_str(&hanging(&lead, &rule.says, lead.len(), self.width));
            }
            text.push('\n');
        }
        if rules.len() > shown.len() {
            text.push_str(&format!(
                "  and {} more rules, further off (-o json has them all)\n",
                rules.len() - shown.len()
            ));
        }
        text
    }

    fn place(&self, rule: &RuleReport) -> String {
        rule.place
            .as_ref()
            .map_or_else(String::new, |place| format!("{}:{}", self.excerpts.short(&place.file), place.line))
    }

    fn excerpt(&self, rule: &RuleReport) -> Option<String> {
        let (from, field, label) = rule.culprit.as_ref()?;
        self.excerpts.render(self.sources, *from, *field, label, self.width)
    }

    fn remedy(&self, report: &Report) -> String {
        let text = match report.to_allow.as_slice() {
            [] => return String::new(),
            [one] => format!("to allow it: {one}"),
            [egress, rest @ ..] => format!("to allow it, both halves must: {egress}, and {}", rest.join(", and ")),
        };
        hanging("   = ", &text, 5, self.width) + "\n"
    }
}

/// Prints to standard output, with colours where they are wanted.
pub(crate) fn show(text: &str) {
    anstream::print!("{text}");
}

/// A line for each of several answers that do not agree.
pub(crate) fn summary(printer: &Printer<'_>, reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        text.push_str("  ");
        text.push_str(&printer.headline(report));
        if let Some(family) = &report.family {
            text.push_str(&screen::styled(screen::FAINT, &format!("  {family}")));
        }
        text.push('\n');
    }
    text
}
