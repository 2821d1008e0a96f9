//! What audited policies would deny: the difference between the two answers of one program.
//!
//! ```text
//!                      enforced and audited policies
//!                      allow            deny
//! enforced    allow    passes           passes, and would be denied ──► WouldDeny
//! policies    deny     is denied        is denied
//! ```
//!
//! Each half by itself: the node of the source does not know what that of the destination says. What an audited
//! policy would allow is denied as long as it is not enforced, where enforced ones deny it.

use std::collections::BTreeMap;

use crate::{
    compile::{Action, Counting, PolicyProgram},
    matching::Certainty,
    model::{Cluster, Direction, Flow, PolicyRef},
    sets::TrafficSet,
    verdict::{Half, Outcome, exemption, judging},
};

/// What enforcing the audited policies would do to a flow that passes one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldDeny {
    /// What that end would say.
    pub half: Half,
    /// The audited policies whose doing it is, in the order asked: those that would deny it, or where an enforced
    /// policy would, those that would not let it come to what allows it now.
    pub policies: Vec<PolicyRef>,
}

impl PolicyProgram {
    /// The answer of one end when these policies count.
    pub fn outcome(&self, cluster: &Cluster, flow: &Flow, direction: Direction, counting: Counting) -> Outcome {
        match exemption(cluster, flow) {
            Some(_) => Outcome::Allow,
            None => self.half(flow, direction, counting).outcome(),
        }
    }

    /// What enforcing the audited policies would do at one end; `None` when it would not deny there what is not
    /// denied there now.
    pub fn would_deny(&self, cluster: &Cluster, flow: &Flow, direction: Direction) -> Option<WouldDeny> {
        if exemption(cluster, flow).is_some()
            || self.half(flow, direction, Counting::Enforced).outcome() == Outcome::Deny
        {
            return None;
        }
        let half = self.half(flow, direction, Counting::WithAudited);
        (half.outcome() == Outcome::Deny).then(|| WouldDeny { policies: self.to_blame(flow, direction, &half), half })
    }

    /// What the audited policies would deny of a flow on its way: first at its source; and at its destination, if the
    /// enforced ones let it come so far.
    pub fn would_deny_on_the_way(&self, cluster: &Cluster, flow: &Flow) -> BTreeMap<Direction, WouldDeny> {
        let mut found = BTreeMap::new();
        for direction in [Direction::Egress, Direction::Ingress] {
            found.extend(self.would_deny(cluster, flow, direction).map(|would| (direction, would)));
            if self.outcome(cluster, flow, direction, Counting::Enforced) == Outcome::Deny {
                break;
            }
        }
        found
    }

    /// Of all traffic between the flow's ends, what enforcing the audited policies would deny at one of them that is
    /// allowed there now, and the audited policies that judge that end, in the order asked.
    pub fn would_deny_traffic(
        &self,
        cluster: &Cluster,
        flow: &Flow,
        direction: Direction,
    ) -> Option<(TrafficSet, Vec<PolicyRef>)> {
        if exemption(cluster, flow).is_some() {
            return None;
        }
        let now = self.traffic_counting(flow, direction, Counting::Enforced);
        let then = self.traffic_counting(flow, direction, Counting::WithAudited);
        let lost = now.allowed.difference(&then.allowed.union(&then.undetermined));
        let tiers = self.tiers_counting(flow, direction, Counting::WithAudited).unwrap_or_default();
        let mut policies: Vec<PolicyRef> =
            judging(tiers, flow).flat_map(|tier| tier.policies.iter().copied()).collect();
        policies.retain(|policy| self.is_audited(*policy));
        (!lost.is_empty()).then_some((lost, policies))
    }

    fn to_blame(&self, flow: &Flow, direction: Direction, half: &Half) -> Vec<PolicyRef> {
        let mut denying: Vec<PolicyRef> = match half {
            Half::DeniedBy(matched) => vec![self.rule(matched.rule).origin.policy],
            Half::Denied { policies, .. } => policies.iter().map(|policy| (*policy).into()).collect(),
            _ => Vec::new(),
        };
        denying.retain(|policy| self.is_audited(*policy));
        if !denying.is_empty() {
            return denying;
        }
        // An enforced policy would deny what an earlier tier accepts now: an audited rule passes it on before that.
        let tiers = self.tiers_counting(flow, direction, Counting::WithAudited).unwrap_or_default();
        let firsts = judging(tiers, flow).filter_map(|tier| {
            tier.rules.iter().map(|rule| self.rule(*rule)).zip(&tier.rules).find_map(|(rule, id)| {
                (self.matches(*id, flow).0 != Certainty::No).then_some((rule.action, rule.origin.policy))
            })
        });
        let passing = firsts.filter(|(action, policy)| *action == Action::Pass && self.is_audited(*policy));
        passing.map(|(_, policy)| policy).collect()
    }
}
