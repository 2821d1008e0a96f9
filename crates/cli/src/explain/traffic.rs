//! Without a port: what may pass at all, and which rules contribute to it.

use palisade_engine::{
    compile::Action,
    explain::{HalfExplanation, PeerAnswer, RuleMiss},
    model::Direction,
    verdict::{Half, Outcome, TrafficVerdict},
};

use super::{
    report::{HalfReport, Missed, Report, Reporter, RuleReport, State, verdict_word},
    tiers::verb,
    words::Words,
};
use crate::endpoint::{Case, ServiceHop};

impl Reporter<'_> {
    /// What may pass without asking for a port: both halves with the rules whose peers match.
    pub(crate) fn traffic_report(&self, case: &Case, service: Option<&ServiceHop>) -> Report {
        let verdict = self.program.traffic(self.cluster, &case.flow);
        let explanation = self.program.explain(self.cluster, &case.flow);
        let words = self.words(case);
        let outcome = match (verdict.allowed.is_all(), verdict.undetermined.is_empty()) {
            (true, _) => Outcome::Allow,
            (false, true) => Outcome::Deny,
            (false, false) => Outcome::Undetermined,
        };
        let partial = outcome == Outcome::Deny && !verdict.allowed.is_empty();
        let halves: Vec<HalfReport> = explanation
            .egress
            .iter()
            .chain(&explanation.ingress)
            .map(|half| self.open_half(half, case, &words, outcome))
            .collect();
        let nothing_common =
            outcome == Outcome::Deny && !partial && halves.iter().all(|half| half.state != State::Denied);
        Report {
            verdict: if partial { "MIXED" } else { verdict_word(outcome) },
            outcome,
            traffic: said(&verdict, outcome),
            note: nothing_common
                .then(|| "what one end allows, the other does not: the two have nothing in common".to_owned()),
            halves,
            ..self.bare(case, service, &explanation)
        }
    }

    fn open_half(&self, half: &HalfExplanation, case: &Case, words: &Words<'_>, outcome: Outcome) -> HalfReport {
        let mut report = self.half(half, words);
        if !half.tiers.is_empty() {
            return self.open_tiers(half, case, report);
        }
        if report.isolated_by.is_empty() {
            return report;
        }
        let contributions = self.program.contributions(&case.flow, half.direction);
        let allows = contributions.iter().any(|(_, traffic)| !traffic.is_empty());
        let mut rules: Vec<RuleReport> = contributions
            .iter()
            .map(|(rule, traffic)| match traffic.is_empty() {
                true => self.rule(*rule, format!("peer matches; {} has no port of that name", case.to.label)),
                false => {
                    let allows = Some(traffic.to_string());
                    RuleReport { allows, ..self.rule(*rule, format!("allows {traffic}")) }
                }
            })
            .collect();
        let unknown = if outcome == Outcome::Undetermined { self.unknown_rules(half, words) } else { Vec::new() };
        report.state = match (allows, unknown.is_empty()) {
            (true, _) => State::Allowed,
            (false, false) => State::Undetermined,
            (false, true) => State::Denied,
        };
        rules.extend(unknown);
        if report.state == State::Denied {
            rules.extend(half.misses.iter().filter_map(|miss| self.missed_peer(miss, words)));
        }
        report.rules = rules;
        report
    }

    /// Where there are cluster-wide policies: every rule about these ends in the order asked, with what it takes.
    fn open_tiers(&self, half: &HalfExplanation, case: &Case, mut report: HalfReport) -> HalfReport {
        let may = self.program.half_traffic(&case.flow, half.direction);
        let decisions = self.program.decisions(&case.flow, half.direction);
        let rules = decisions.into_iter().filter(|(_, traffic)| !traffic.is_empty()).map(|(rule, traffic)| {
            let action = self.program.rule(rule).action;
            let allows = (action == Action::Accept).then(|| traffic.to_string());
            RuleReport { allows, ..self.rule(rule, format!("{} {traffic}", verb(action))) }
        });
        report.rules = rules.collect();
        report.state = match (may.allowed.is_empty(), may.undetermined.is_empty()) {
            (false, _) if report.rules.is_empty() => State::AllowedByDefault,
            (false, _) => State::Allowed,
            (true, true) => State::Denied,
            (true, false) => State::Undetermined,
        };
        // The traffic of the flow itself means nothing here.
        report.tiers.clear();
        report.otherwise = None;
        report
    }

    /// The rules that an unknown address would decide.
    fn unknown_rules(&self, half: &HalfExplanation, words: &Words<'_>) -> Vec<RuleReport> {
        let decided = match &half.half {
            Half::Undetermined(matched) => matched.peer.map(|peer| (matched.rule, peer)),
            _ => None,
        };
        let others = half.misses.iter().filter_map(|miss| match miss.peers {
            PeerAnswer::AddressUnknown(peer) => Some((miss.rule, peer)),
            _ => None,
        });
        let rules = decided.into_iter().chain(others);
        rules
            .map(|(rule, peer)| {
                self.rule(rule, format!("an address that is not known would decide: {}", words.rule_text(rule, peer)))
            })
            .collect()
    }

    /// A rule whose peers are others: its ports do not matter.
    fn missed_peer(&self, miss: &RuleMiss, words: &Words<'_>) -> Option<RuleReport> {
        let PeerAnswer::Missed(_) = miss.peers else { return None };
        let says = words.peers_say(miss);
        let missed = Some(Missed { peer: Some(says.clone()), port: None });
        let report = RuleReport { missed, ..self.rule(miss.rule, says) };
        Some(self.pointed(report, miss.rule, self.culprit(miss, words)))
    }
}

/// The part of the headline that says what passes.
fn said(verdict: &TrafficVerdict, outcome: Outcome) -> String {
    let most = verdict.allowed.union(&verdict.undetermined);
    match outcome {
        Outcome::Allow => "everything".to_owned(),
        Outcome::Deny if verdict.allowed.is_empty() => "everything".to_owned(),
        Outcome::Deny => format!("only {}", verdict.allowed),
        Outcome::Undetermined => match (verdict.allowed.is_empty(), most.is_all()) {
            (true, true) => "everything or nothing".to_owned(),
            (true, false) => format!("at most {most}"),
            (false, true) => format!("at least {}", verdict.allowed),
            (false, false) => format!("at least {}, at most {most}", verdict.allowed),
        },
    }
}

/// The word between a direction's subject and its peer.
pub(super) fn preposition(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}
