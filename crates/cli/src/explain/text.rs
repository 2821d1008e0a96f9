//! A report as a person reads it.

use anstyle::Style;
use palisade_engine::{model::Sources, verdict::Outcome};

use super::report::{HalfReport, PolicyPlace, Report, RuleReport, State};
use crate::{
    input::Excerpts,
    screen::{BAD, GOOD, MIXED, clipped, hanging, shortened, styled},
};

/// How many rules of one half are shown.
const RULES_SHOWN: usize = 6;

/// How many of several answers are shown.
const REPORTS_SHOWN: usize = 20;

/// Prints reports, with excerpts of the files they point into.
pub(crate) struct Printer<'a> {
    pub(crate) excerpts: &'a Excerpts,
    pub(crate) sources: &'a Sources,
    pub(crate) width: usize,
}

impl Printer<'_> {
    /// The whole report.
    pub(crate) fn print(&self, report: &Report) -> String {
        let mut text = self.headline(report, 0);
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
        if let Some(note) = &report.note {
            text.push_str(&format!("\n{}\n", hanging("", note, 0, self.width)));
        }
        text
    }

    /// `DENIED  prod/frontend -> prod/database  TCP 5432`
    ///
    /// The verdict takes at least `least` columns.
    fn headline(&self, report: &Report, least: usize) -> String {
        let style = match (report.verdict, report.outcome) {
            ("MIXED", _) | (_, Outcome::Undetermined) => MIXED,
            (_, Outcome::Allow) => GOOD,
            (_, Outcome::Deny) => BAD,
        };
        let (from, to) = &report.shown;
        let mut connection = match &report.service {
            None => format!("{from} -> {to}  {}", report.traffic),
            Some(service) => {
                let kind = if report.to_pod { "the pod " } else { "" };
                format!("{from} -> {}  {}  ({kind}{to}, {})", service.name, service.traffic, report.traffic)
            }
        };
        if let Some(family) = report.family.filter(|_| report.family_tells) {
            connection.push_str(&format!("  over {family}"));
        }
        self.verdict(style, report.verdict, least, &connection)
    }

    /// A line that begins with a verdict.
    fn verdict(&self, style: Style, word: &str, least: usize, rest: &str) -> String {
        let indent = word.len().max(least) + 2;
        let line = hanging(&" ".repeat(indent), rest, indent, self.width);
        let rest = line.get(word.len()..).unwrap_or_default();
        format!("{}{rest}", styled(style, word))
    }

    fn half(&self, half: &HalfReport) -> String {
        let lead = format!("{} of {}: ", half.direction, half.subject);
        let policies = |places: &[PolicyPlace]| {
            shortened(&places.iter().map(|place| place.policy.clone()).collect::<Vec<_>>(), ", ", 4)
        };
        let said = match half.state {
            State::NotAPod => half.not_a_pod.unwrap_or("no policy selects it").to_owned(),
            State::NotIsolated if half.does_not_affect.is_empty() => "no policy isolates it".to_owned(),
            State::NotIsolated => {
                let verb = if half.does_not_affect.len() == 1 { "does" } else { "do" };
                let names = policies(&half.does_not_affect);
                format!("no policy isolates it; {names} {verb} not affect {}", half.direction)
            }
            State::AllowedByDefault => "no rule of any tier decides, and nothing isolates it".to_owned(),
            State::Allowed | State::Denied if !half.tiers.is_empty() && !is_by_isolation(half) => {
                let word = if half.state == State::Allowed { "allowed" } else { "denied" };
                match half.tiers.iter().find(|tier| tier.decides()) {
                    Some(tier) => format!("{word} in the {} tier", tier.tier),
                    None => word.to_owned(),
                }
            }
            State::Allowed if half.isolated_by.is_empty() => "rules of cluster-wide policies speak of it".to_owned(),
            State::Denied if half.isolated_by.is_empty() => "rules of cluster-wide policies deny it".to_owned(),
            State::Undetermined if half.isolated_by.is_empty() => "it cannot be told".to_owned(),
            State::Allowed => format!("isolated by {}", policies(&half.isolated_by)),
            // There is no rule to point at: the policies themselves are the lines that say so.
            State::Denied if half.rules.is_empty() => {
                let places: Vec<String> = half.isolated_by.iter().map(|policy| self.policy(policy)).collect();
                format!("isolated by {}, no rule allows it", shortened(&places, ", ", 4))
            }
            State::Denied => format!("isolated by {}, no rule allows it", policies(&half.isolated_by)),
            State::Undetermined => {
                format!("isolated by {}, and it cannot be told whether a rule allows it", policies(&half.isolated_by))
            }
        };
        let mut text = hanging("", &format!("{lead}{said}"), 2, self.width);
        text.push('\n');
        for tier in &half.tiers {
            let lead = format!("  {:<14} ", tier.tier);
            text.push_str(&hanging(&lead, &tier.said, lead.len(), self.width));
            text.push('\n');
        }
        text.push_str(&self.rules(&half.rules));
        if let Some(otherwise) = &half.otherwise {
            text.push_str(&hanging("  ", &format!("without that rule: {otherwise}"), 4, self.width));
            text.push('\n');
        }
        if let Some(would) = &half.would_deny {
            let what = would.traffic.as_deref().unwrap_or("it");
            let places: Vec<String> = would.policies.iter().map(|policy| self.policy(policy)).collect();
            let places = shortened(&places, " and ", 3);
            text.push_str(&hanging("  ", &format!("audited: {places} would deny {what}"), 4, self.width));
            text.push('\n');
        }
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
            let narrow = lead.chars().count() + 24 > self.width;
            if narrow {
                // The policy's whole name is in the line above.
                let rest = place.chars().count() + rule.rule.len() + 6;
                let policy = clipped(&rule.policy, self.width.saturating_sub(rest).max(12));
                text.push_str(&hanging("  ", &format!("{place}  {policy}  {}", rule.rule), 2, self.width));
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

    /// `default-deny (policies.yaml:2)`
    fn policy(&self, policy: &PolicyPlace) -> String {
        match &policy.place {
            Some(place) => format!("{} ({}:{})", policy.policy, self.excerpts.short(&place.file), place.line),
            None => policy.policy.clone(),
        }
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

/// Whether the NetworkPolicies decide, by isolating.
fn is_by_isolation(half: &HalfReport) -> bool {
    half.tiers.iter().any(|tier| tier.tier == "NetworkPolicy" && tier.decides())
}

/// Several answers: what they come to, a line for each, and the one to look at.
pub(crate) fn several(printer: &Printer<'_>, word: &str, asked: &str, reports: &[Report]) -> String {
    let style = match word {
        "ALLOWED" => GOOD,
        "DENIED" => BAD,
        _ => MIXED,
    };
    let mut text = printer.verdict(style, word, 0, asked);
    text.push_str("\n\n");
    let mut listed: Vec<&Report> = reports.iter().collect();
    if listed.len() > REPORTS_SHOWN {
        // What is not allowed must not be among those left out.
        listed.sort_by_key(|report| report.outcome == Outcome::Allow);
    }
    let widest = reports.iter().map(|report| report.verdict.len()).max().unwrap_or(0);
    let narrower = Printer { width: printer.width.saturating_sub(2), ..*printer };
    for report in listed.iter().take(REPORTS_SHOWN) {
        text.push_str(&narrower.headline(report, widest).lines().map(|line| format!("  {line}\n")).collect::<String>());
    }
    if let Some(rest) = listed.get(REPORTS_SHOWN..).filter(|rest| !rest.is_empty()) {
        text.push_str(&format!("  and {} more (-o json has them all)\n", rest.len()));
    }
    let (lead, told) = match reports.iter().find(|report| report.outcome != Outcome::Allow) {
        Some(other) if word == "MIXED" => ("The first that is not allowed:", Some(other)),
        Some(other) if word == "UNKNOWN" => ("The first that is not certain:", Some(other)),
        _ => ("The first of them:", reports.first()),
    };
    if let Some(report) = told {
        text.push_str(&format!("\n{lead}\n\n{}", printer.print(report)));
    }
    text
}
