//! What is said of one connection, as data: the text and the JSON are made from it.

use std::net::IpAddr;

use palisade_engine::{
    PolicyProgram,
    compile::{Counting, RuleId},
    explain::{Explanation, HalfExplanation, PeerAnswer, PortAnswer, RuleMiss},
    model::{Cluster, Direction, Endpoint, Family, PodId, PolicyId, PolicyRef, Span},
    sets::TrafficSet,
    verdict::{Exemption, Half, Matched, Outcome, Verdict},
};
use serde::Serialize;

use super::{tiers::TierReport, words::Words};
use crate::endpoint::{Case, Party, ServiceHop};

/// One connection, explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) verdict: &'static str,
    pub(crate) from: String,
    /// The address of `from`, in the one family that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from_address: Option<IpAddr>,
    pub(crate) to: String,
    /// Likewise of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<ServiceReport>,
    pub(crate) traffic: String,
    /// The one family that this is about, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub(crate) family: Option<Family>,
    /// Whether an end has no address yet, so that the family is only one it may come to have.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) family_is_assumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exempt: Option<&'static str>,
    /// What the halves do not say by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) halves: Vec<HalfReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) to_allow: Vec<String>,
    #[serde(skip)]
    pub(crate) outcome: Outcome,
    /// How a person reads the ends: with the address where that is how one was named.
    #[serde(skip)]
    pub(crate) shown: (String, String),
    /// Whether the receiver is a pod.
    #[serde(skip)]
    pub(crate) to_pod: bool,
    /// Whether no port was asked about, so that `traffic` is part of the answer.
    #[serde(skip)]
    pub(crate) without_port: bool,
    /// Whether the family tells this one from another.
    #[serde(skip)]
    pub(crate) family_tells: bool,
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
    /// Why no policy selects this end, when none can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_a_pod: Option<&'static str>,
    /// The tiers in the order asked, where there are cluster-wide policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tiers: Vec<TierReport>,
    /// What would be said without the cluster-wide rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otherwise: Option<String>,
    /// What enforcing audited policies would deny of what this end allows now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_deny: Option<WouldDenyReport>,
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
    AllowedByDefault,
    Allowed,
    Denied,
    Undetermined,
}

/// What enforcing audited policies would deny.
#[derive(Debug, Serialize)]
pub(crate) struct WouldDenyReport {
    /// Which policies would.
    pub(crate) policies: Vec<PolicyPlace>,
    /// Of which traffic, where no port was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traffic: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PolicyPlace {
    pub(crate) policy: String,
    /// Of a NetworkPolicy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
}

/// One rule and what it says.
#[derive(Debug, Serialize)]
pub(crate) struct RuleReport {
    pub(crate) policy: String,
    /// Of a NetworkPolicy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    /// `egress[0]`
    pub(crate) rule: String,
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
    pub(crate) says: String,
    /// What missed, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<Missed>,
    /// What it allows to this receiver, where no port was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allows: Option<String>,
    /// The field that decided, and what there is to say of it.
    #[serde(skip)]
    pub(crate) culprit: Option<(Span, Span, String)>,
}

/// What of a rule did not match.
#[derive(Debug, Serialize)]
pub(crate) struct Missed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<String>,
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
        let denied = halves.iter().filter(|half| half.half.outcome() == Outcome::Deny);
        Report {
            to_allow: denied.map(|half| self.remedy(half, &words)).collect(),
            halves: halves.iter().map(|half| self.half(half, &words)).collect(),
            ..self.bare(case, service, &explanation)
        }
    }

    /// A report without its halves.
    pub(super) fn bare(&self, case: &Case, service: Option<&ServiceHop>, explanation: &Explanation) -> Report {
        let exempt = match &explanation.verdict {
            Verdict::Exempt(Exemption::Itself) => Some("a pod always reaches itself: no policy applies"),
            Verdict::Exempt(Exemption::OwnNode) => {
                Some("a pod and the node it runs on always reach each other: no policy applies")
            }
            Verdict::Exempt(Exemption::NoPod) => {
                Some("neither end is a pod with a network of its own: no policy applies")
            }
            Verdict::Judged { .. } => None,
        };
        let outcome = explanation.verdict.outcome();
        let shown = |party: &Party| match party.typed {
            Some(address) => format!("{} ({address})", party.label),
            None => party.label.clone(),
        };
        Report {
            verdict: verdict_word(outcome),
            from: case.from.label.clone(),
            from_address: case.flow.from().address,
            to: case.to.label.clone(),
            to_address: case.flow.to().address,
            service: service.map(|hop| ServiceReport { name: hop.service.clone(), traffic: hop.traffic.to_string() }),
            traffic: case.flow.traffic().to_string(),
            family: case.family,
            family_is_assumed: case.assumed,
            exempt,
            note: exempt.and_then(|_| self.without_effect(case)),
            halves: Vec::new(),
            to_allow: Vec::new(),
            outcome,
            shown: (shown(&case.from), shown(&case.to)),
            to_pod: matches!(case.flow.to().endpoint, Endpoint::Pod(_)) || case.to.pod().is_some(),
            without_port: case.to.traffic.is_none(),
            family_tells: false,
        }
    }

    pub(super) fn words<'c>(&'c self, case: &'c Case) -> Words<'c> {
        Words { cluster: self.cluster, program: self.program, case }
    }

    pub(super) fn half(&self, half: &HalfExplanation, words: &Words<'_>) -> HalfReport {
        let state = match half.half {
            Half::NotASubject => State::NotAPod,
            Half::NotIsolated => State::NotIsolated,
            Half::AllowedByDefault => State::AllowedByDefault,
            Half::Allowed(_) => State::Allowed,
            Half::DeniedBy(_) | Half::Denied { .. } => State::Denied,
            Half::Undetermined(_) => State::Undetermined,
        };
        let rules = match &half.half {
            Half::Allowed(matched) => vec![self.decisive(matched, words, "")],
            Half::DeniedBy(matched) => vec![self.decisive(matched, words, "denies ")],
            Half::Undetermined(matched) => {
                vec![self.decisive(matched, words, words.unknown_lead(matched))]
            }
            Half::Denied { .. } => half.misses.iter().map(|miss| self.missed(miss, words)).collect(),
            Half::NotASubject | Half::NotIsolated | Half::AllowedByDefault => Vec::new(),
        };
        let does_not_affect = match (half.subject, &half.half) {
            (Some(pod), Half::NotIsolated) => self.selecting(pod, opposite(half.direction)),
            _ => Vec::new(),
        };
        HalfReport {
            direction: half.direction.to_string(),
            subject: words.subject(half.direction).to_owned(),
            state,
            not_a_pod: (state == State::NotAPod).then(|| words.not_a_pod(half.direction)),
            tiers: self.tiers(half, words),
            otherwise: self.next(half),
            would_deny: self.would_deny(half.direction, words.case),
            isolated_by: half.isolated_by.iter().map(|policy| self.policy((*policy).into())).collect(),
            does_not_affect: does_not_affect.into_iter().map(|policy| self.policy(policy.into())).collect(),
            rules,
        }
    }

    /// The policies that isolate a pod in a direction.
    fn selecting(&self, pod: PodId, direction: Direction) -> Vec<PolicyId> {
        let Some(identity) = self.program.identity_of(pod) else { return Vec::new() };
        let profile = self.program.profile(self.program.profile_of(identity, direction));
        profile.isolating().collect()
    }

    fn decisive(&self, matched: &Matched, words: &Words<'_>, lead: &str) -> RuleReport {
        let says = format!("{lead}{}", words.matched(matched));
        self.rule(matched.rule, says)
    }

    fn missed(&self, miss: &RuleMiss, words: &Words<'_>) -> RuleReport {
        let peer = matches!(miss.peers, PeerAnswer::Missed(_)).then(|| words.peers_say(miss));
        let port = matches!(miss.ports, PortAnswer::Missed(_)).then(|| words.ports_say(miss));
        let missed = Some(Missed { peer, port });
        let report = RuleReport { missed, ..self.rule(miss.rule, words.miss(miss)) };
        self.pointed(report, miss.rule, self.culprit(miss, words))
    }

    /// With the field that is to be shown.
    pub(super) fn pointed(&self, report: RuleReport, id: RuleId, culprit: Option<(Span, String)>) -> RuleReport {
        let origin = self.program.rule(id).origin;
        let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
        RuleReport { culprit: at.zip(culprit).map(|(rule, (field, label))| (rule, field, label)), ..report }
    }

    pub(super) fn rule(&self, id: RuleId, says: String) -> RuleReport {
        let origin = self.program.rule(id).origin;
        let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
        let (namespace, policy) = self.name(origin.policy);
        RuleReport {
            policy,
            namespace,
            rule: format!("{}[{}]", origin.direction, origin.index),
            place: at.map(|span| self.place(span)),
            says,
            missed: None,
            allows: None,
            culprit: None,
        }
    }

    fn policy(&self, policy: PolicyRef) -> PolicyPlace {
        let (namespace, name) = self.name(policy);
        PolicyPlace { policy: name, namespace, place: self.cluster.policy_at(policy).map(|span| self.place(span)) }
    }

    /// The namespace of a policy, empty where it has none, and its name.
    fn name(&self, policy: PolicyRef) -> (String, String) {
        match policy {
            PolicyRef::Network(id) => {
                let id = &self.cluster.policy(id).id;
                (id.namespace.to_string(), id.name.to_string())
            }
            PolicyRef::Cluster(_) => (String::new(), self.cluster.policy_name(policy)),
        }
    }

    /// What audited policies would deny at one end, where the answer does not count them.
    fn would_deny(&self, direction: Direction, case: &Case) -> Option<WouldDenyReport> {
        if self.program.counting() == Counting::WithAudited {
            return None;
        }
        let (policies, traffic) = match case.to.traffic {
            Some(_) => (self.program.would_deny(self.cluster, &case.flow, direction)?.policies, None),
            None => {
                let (traffic, policies) = self.program.would_deny_traffic(self.cluster, &case.flow, direction)?;
                (policies, Some(in_short(&traffic)))
            }
        };
        let policies = policies.into_iter().map(|policy| self.policy(policy)).collect();
        Some(WouldDenyReport { policies, traffic })
    }

    fn place(&self, span: Span) -> Place {
        let file = self.cluster.sources().name(span.file).to_owned();
        Place { file, line: span.start.line, column: span.start.column }
    }
}

/// Some traffic, or what it is not where that takes fewer words.
fn in_short(traffic: &TrafficSet) -> String {
    let (is, not) = (traffic.to_string(), format!("all but {}", TrafficSet::all().difference(traffic)));
    if not.len() < is.len() { not } else { is }
}

fn as_text<S: serde::Serializer>(family: &Option<Family>, serializer: S) -> Result<S::Ok, S::Error> {
    family.map(|family| family.to_string()).serialize(serializer)
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
