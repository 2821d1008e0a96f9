//! The tiers in the order asked: what each came to, and what would be said without the rule that decided.

use palisade_engine::{
    compile::{Action, Peers, RuleId, RulePeer, Tier},
    explain::{Came, HalfExplanation, TierStep},
    model::{Direction, Endpoint},
    verdict::{Half, Matched},
};
use serde::Serialize;

use super::{
    report::{Reporter, RuleReport},
    words::Words,
};
use crate::endpoint::Case;

/// What one tier did.
#[derive(Debug, Serialize)]
pub(crate) struct TierReport {
    /// `Admin`, `NetworkPolicy` or `Baseline`.
    pub(crate) tier: &'static str,
    /// `strict egress[0] denies`, `no rule matches`, `not asked`
    pub(crate) said: String,
    /// The rule that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<RuleReport>,
    #[serde(skip)]
    decides: bool,
}

impl TierReport {
    /// Whether this tier allowed or denied.
    pub(crate) fn decides(&self) -> bool {
        self.decides
    }
}

impl Reporter<'_> {
    pub(super) fn tiers(&self, half: &HalfExplanation, words: &Words<'_>) -> Vec<TierReport> {
        half.tiers.iter().map(|step| self.tier(step, words)).collect()
    }

    fn tier(&self, step: &TierStep, words: &Words<'_>) -> TierReport {
        let acts = |matched: &Matched, verb: &str| {
            let rule = self.rule(matched.rule, words.matched(matched));
            (format!("{} {verb}", self.called(matched.rule)), Some(rule))
        };
        let (said, rule) = match &step.came {
            Came::Decided(matched) => acts(matched, verb(self.program.rule(matched.rule).action)),
            Came::Passed(matched) => acts(matched, "passes: the next tier decides"),
            Came::Perhaps(matched) => acts(matched, "may match, which cannot be told"),
            Came::Denied => ("isolates, and no rule allows it".to_owned(), None),
            Came::Nothing => ("no rule matches".to_owned(), None),
            Came::NotAsked => ("not asked".to_owned(), None),
        };
        let decides = matches!(step.came, Came::Decided(_) | Came::Denied);
        TierReport { tier: tier_name(step.tier), said, rule, decides }
    }

    /// `strict egress[0]`, with the rule's own name where it has one.
    fn called(&self, rule: RuleId) -> String {
        let origin = self.program.rule(rule).origin;
        let name = origin
            .policy
            .cluster()
            .and_then(|id| self.cluster.cluster_policy(id).rules(origin.direction).get(origin.index)?.name.as_ref());
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        format!("{} {}[{}]{name}", self.cluster.policy_name(origin.policy), origin.direction, origin.index)
    }

    /// What would be said if the rule that decided were not there.
    pub(super) fn next(&self, half: &HalfExplanation) -> Option<String> {
        let rule = |matched: &Matched, verb: &str| format!("{verb} by {}", self.called(matched.rule));
        Some(match half.next.as_ref()? {
            Half::Allowed(matched) => rule(matched, "allowed"),
            Half::DeniedBy(matched) => rule(matched, "denied"),
            Half::Undetermined(matched) => format!("unknown: {} may match", self.called(matched.rule)),
            Half::Denied { policies, .. } => {
                let names: Vec<String> =
                    policies.iter().map(|id| self.cluster.policy(*id).id.name.to_string()).collect();
                format!("denied: isolated by {}, and no rule allows it", names.join(", "))
            }
            Half::AllowedByDefault | Half::NotIsolated | Half::NotASubject => {
                "allowed: nothing else decides".to_owned()
            }
        })
    }

    /// A rule that denies nodes, and with them the node that the pod runs on, where it has no effect.
    pub(super) fn without_effect(&self, case: &Case) -> Option<String> {
        let sides = [
            (Direction::Egress, case.flow.from().endpoint, case.flow.to().endpoint),
            (Direction::Ingress, case.flow.to().endpoint, case.flow.from().endpoint),
        ];
        sides.into_iter().find_map(|(direction, subject, other)| {
            let (Endpoint::Pod(pod), Endpoint::Node(node)) = (subject, other) else { return None };
            let profile = self.program.profile(self.program.profile_of(self.program.identity_of(pod)?, direction));
            let mut rules = profile.tiers.iter().flat_map(|tier| &tier.rules);
            let denies = rules.find(|id| {
                let rule = self.program.rule(**id);
                let Peers::Of(peers) = &rule.peers else { return false };
                let means = |peer: &RulePeer| matches!(peer, RulePeer::Nodes { members, .. } if self.program.selects_node(*members, node));
                rule.action == Action::Deny && peers.iter().any(means)
            })?;
            let rule = self.called(*denies);
            Some(format!("{rule} denies this node, which has no effect: a pod and its own node always reach each other"))
        })
    }
}

/// What an action does.
pub(super) fn verb(action: Action) -> &'static str {
    match action {
        Action::Accept => "accepts",
        Action::Deny => "denies",
        Action::Pass => "passes",
    }
}

/// How a tier is called.
pub(crate) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Admin => "Admin",
        Tier::NetworkPolicy => "NetworkPolicy",
        Tier::Baseline => "Baseline",
    }
}
