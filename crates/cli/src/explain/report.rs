//! What is said of one connection, as data: the text and the JSON are made from it.

use palisade_engine::{
    PolicyProgram,
    compile::RuleId,
    explain::{HalfExplanation, PeerAnswer, PeerMiss, PortAnswer, PortMiss, RuleMiss},
    model::{Cluster, Direction, Peer, PodId, PolicyId, Span, Traffic},
    verdict::{Exemption, Half, Matched, Outcome, Verdict},
};
use serde::Serialize;

use super::words::Words;
use crate::endpoint::{Case, ServiceHop};

/// One connection, explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) verdict: &'static str,
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<ServiceReport>,
    pub(crate) traffic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exempt: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) halves: Vec<HalfReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) to_allow: Vec<String>,
    #[serde(skip)]
    pub(crate) outcome: Outcome,
}

/// The Service that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceReport {
    /// `prod/svc/api`
    pub(crate) name: String,
    /// `TCP 80`
    pub(crate) traffic: String,
}

/// One end of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HalfReport {
    pub(crate) direction: String,
    pub(crate) subject: String,
    pub(crate) state: State,
    /// The policies that isolate the subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) isolated_by: Vec<PolicyPlace>,
    /// Policies that select the subject, but not for this direction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) does_not_affect: Vec<PolicyPlace>,
    /// The rules that speak: the one that decided, or those that missed, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<RuleReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    NotAPod,
    NotIsolated,
    Allowed,
    Denied,
    Undetermined,
}

#[derive(Debug, Serialize)]
pub(crate) struct PolicyPlace {
    pub(crate) policy: String,
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
}

/// One rule and what it says.
#[derive(Debug, Serialize)]
pub(crate) struct RuleReport {
    pub(crate) policy: String,
    /// `egress[0]`
    pub(crate) rule: String,
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
    pub(crate) says: String,
    /// The field that decided, and what there is to say of it.
    #[serde(skip)]
    pub(crate) culprit: Option<(Span, Span, String)>,
}

/// Where something was written.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Makes reports for the flows of one cluster.
pub(crate) struct Reporter<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) program: &'a PolicyProgram,
}

impl Reporter<'_> {
    /// Explains one case.
    pub(crate) fn report(&self, case: &Case, service: Option<&ServiceHop>) -> Report {
        let explanation = self.program.explain(self.cluster, &case.flow);
        let words = self.words(case);
        let halves: Vec<&HalfExplanation> = explanation.egress.iter().chain(&explanation.ingress).collect();
        let exempt = match &explanation.verdict {
            Verdict::Exempt(Exemption::Itself) => Some("a pod always reaches itself: no policy applies"),
            Verdict::Exempt(Exemption::OwnNode) => {
                Some("a pod and the node it runs on always reach each other: no policy applies")
            }
            Verdict::Exempt(Exemption::NoPod) => Some("neither end is a pod of this cluster: no policy applies"),
            Verdict::Judged { .. } => None,
        };
        let outcome = explanation.verdict.outcome();
        Report {
            verdict: verdict_word(outcome),
            from: case.from.label.clone(),
            to: case.to.label.clone(),
            service: service.map(|hop| ServiceReport { name: hop.service.clone(), traffic: hop.traffic.to_string() }),
            traffic: case.flow.traffic().to_string(),
            family: case.family.map(|family| family.to_string()),
            exempt,
            to_allow: halves
                .iter()
                .filter(|half| half.half.outcome() == Outcome::Deny)
                .map(|half| self.remedy(half, &words))
                .collect(),
            halves: halves.into_iter().map(|half| self.half(half, &words)).collect(),
            outcome,
        }
    }

    /// What may pass without asking for a port: both halves with the rules whose peers match.
    pub(crate) fn traffic_report(&self, case: &Case, service: Option<&ServiceHop>) -> Report {
        let verdict = self.program.traffic(self.cluster, &case.flow);
        let mut report = self.report(case, service);
        let words = self.words(case);
        report.outcome = match (verdict.allowed.is_all(), verdict.undetermined.is_empty()) {
            (true, _) => Outcome::Allow,
            (false, true) => Outcome::Deny,
            (false, false) => Outcome::Undetermined,
        };
        report.verdict = match report.outcome {
            Outcome::Deny if !verdict.allowed.is_empty() => "MIXED",
            outcome => verdict_word(outcome),
        };
        report.traffic = match report.verdict {
            "MIXED" => format!("only {}", verdict.allowed),
            "UNKNOWN" => format!("at least {}", verdict.allowed),
            _ => "everything".to_owned(),
        };
        report.to_allow.clear();
        let directions = [Direction::Egress, Direction::Ingress];
        for (half, direction) in report.halves.iter_mut().zip(directions) {
            if half.isolated_by.is_empty() {
                continue;
            }
            let rules = self.program.contributions(&case.flow, direction);
            half.rules = rules
                .iter()
                .map(|(rule, traffic)| self.rule(*rule, &words, format!("allows {traffic}"), None))
                .collect();
            half.state = if half.rules.is_empty() { State::Denied } else { State::Allowed };
        }
        report
    }

    fn words<'c>(&'c self, case: &'c Case) -> Words<'c> {
        Words {
            cluster: self.cluster,
            program: self.program,
            flow: &case.flow,
            from: &case.from.label,
            to: &case.to.label,
        }
    }

    fn half(&self, half: &HalfExplanation, words: &Words<'_>) -> HalfReport {
        let state = match half.half {
            Half::NotASubject => State::NotAPod,
            Half::NotIsolated => State::NotIsolated,
            Half::Allowed(_) => State::Allowed,
            Half::DeniedBy(_) | Half::Denied { .. } => State::Denied,
            Half::Undetermined(_) => State::Undetermined,
        };
        let rules = match &half.half {
            Half::Allowed(matched) => vec![self.decisive(matched, words, "")],
            Half::DeniedBy(matched) => vec![self.decisive(matched, words, "denies ")],
            Half::Undetermined(matched) => {
                vec![self.decisive(matched, words, "an address that is not known would decide: ")]
            }
            Half::Denied { .. } => half.misses.iter().map(|miss| self.missed(miss, words)).collect(),
            Half::NotASubject | Half::NotIsolated => Vec::new(),
        };
        let does_not_affect = match (half.subject, &half.half) {
            (Some(pod), Half::NotIsolated) => self.selecting(pod, opposite(half.direction)),
            _ => Vec::new(),
        };
        HalfReport {
            direction: half.direction.to_string(),
            subject: words.subject(half.direction).to_owned(),
            state,
            isolated_by: half.isolated_by.iter().map(|policy| self.policy(*policy)).collect(),
            does_not_affect: does_not_affect.into_iter().map(|policy| self.policy(policy)).collect(),
            rules,
        }
    }

    /// The policies that isolate a pod in a direction.
    fn selecting(&self, pod: PodId, direction: Direction) -> Vec<PolicyId> {
        let Some(identity) = self.program.identity_of(pod) else { return Vec::new() };
        let profile = self.program.profile(self.program.profile_of(identity, direction));
        profile.tiers.iter().flat_map(|tier| tier.policies.iter().copied()).collect()
    }

    fn decisive(&self, matched: &Matched, words: &Words<'_>, lead: &str) -> RuleReport {
        let says = format!("{lead}{}", words.matched(matched));
        self.rule(matched.rule, words, says, None)
    }

    fn missed(&self, miss: &RuleMiss, words: &Words<'_>) -> RuleReport {
        self.rule(miss.rule, words, words.miss(miss), self.culprit(miss, words))
    }

    fn rule(&self, id: RuleId, _words: &Words<'_>, says: String, culprit: Option<(Span, String)>) -> RuleReport {
        let origin = self.program.rule(id).origin;
        let policy = self.cluster.policy(origin.policy);
        let at = policy.rules(origin.direction).get(origin.index).and_then(|rule| rule.at);
        RuleReport {
            policy: policy.id.name.to_string(),
            rule: format!("{}[{}]", origin.direction, origin.index),
            place: at.map(|span| self.place(span)),
            says,
            culprit: at.zip(culprit).map(|(rule, (field, label))| (rule, field, label)),
        }
    }

    /// The field that a rule missed by, when a person wrote it: a peer's condition, else a port.
    fn culprit(&self, miss: &RuleMiss, words: &Words<'_>) -> Option<(Span, String)> {
        let origin = self.program.rule(miss.rule).origin;
        let rule = self.cluster.policy(origin.policy).rules(origin.direction).get(origin.index)?;
        if let PeerAnswer::Missed(misses) = &miss.peers {
            let (peer, why) = rule.peers.iter().zip(misses).max_by_key(|(_, why)| !matches!(why, PeerMiss::NotAPod))?;
            return Some((peer_field(peer, why)?, words.other_is(origin.direction, peer, why)));
        }
        if let PortAnswer::Missed(misses) = &miss.ports {
            let near = misses.iter().position(|why| !matches!(why, PortMiss::OtherProtocol | PortMiss::Portless));
            let port = rule.ports.get(near.unwrap_or(0))?;
            return Some((port.at?, format!("the connection is {}", words.flow.traffic())));
        }
        None
    }

    fn remedy(&self, half: &HalfExplanation, words: &Words<'_>) -> String {
        let nearest = half.misses.first().map(|miss| self.program.rule(miss.rule).origin.policy);
        let policy = nearest.or(half.isolated_by.first().copied()).map(|id| self.cluster.policy(id));
        let (word, other) = match half.direction {
            Direction::Egress => ("to", words.flow.to()),
            Direction::Ingress => ("from", words.flow.from()),
        };
        let keys = self.keys_asked(half);
        let peer = words.peer_text(other, &keys, policy.map(|policy| &*policy.id.namespace));
        let traffic = match words.flow.traffic() {
            Traffic::Portless => "all traffic".to_owned(),
            traffic => traffic.to_string(),
        };
        match policy {
            Some(policy) => format!("{} {traffic} {word} {peer} in {}", half.direction, policy.id.name),
            None => format!("{} {traffic} {word} {peer}", half.direction),
        }
    }

    /// The label keys by which the policies at hand select peers.
    fn keys_asked(&self, half: &HalfExplanation) -> Vec<String> {
        let rules = half.misses.iter().filter_map(|miss| {
            let origin = self.program.rule(miss.rule).origin;
            self.cluster.policy(origin.policy).rules(origin.direction).get(origin.index)
        });
        let selectors = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
            Peer::Pods { pods, .. } => Some(pods),
            Peer::IpBlock(_) => None,
        });
        selectors.flat_map(|selector| selector.requirements.iter().map(|r| r.key.to_string())).collect()
    }

    fn policy(&self, id: PolicyId) -> PolicyPlace {
        let policy = self.cluster.policy(id);
        PolicyPlace { policy: policy.id.name.to_string(), place: policy.at.map(|span| self.place(span)) }
    }

    fn place(&self, span: Span) -> Place {
        let file = self.cluster.sources().name(span.file).to_owned();
        Place { file, line: span.start.line, column: span.start.column }
    }
}

/// The word for an answer.
pub(crate) fn verdict_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "ALLOWED",
        Outcome::Deny => "DENIED",
        Outcome::Undetermined => "UNKNOWN",
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

fn peer_field(peer: &Peer, why: &PeerMiss) -> Option<Span> {
    use palisade_engine::model::NamespaceScope;
    match (peer, why) {
        (Peer::Pods { pods, .. }, PeerMiss::Pod(index)) => pods.requirements.get(*index)?.at,
        (Peer::Pods { namespaces: NamespaceScope::Matching(selector), .. }, PeerMiss::Namespace(index)) => {
            selector.requirements.get(*index)?.at
        }
        (Peer::IpBlock(block), PeerMiss::Excepted(index)) => block.except_at.get(*index).copied(),
        (Peer::IpBlock(block), _) => block.cidr_at.or(block.at),
        (Peer::Pods { pods, at, .. }, _) => pods.at.or(*at),
    }
}
