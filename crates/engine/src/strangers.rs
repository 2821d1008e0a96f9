//! What may be done with somebody of whom only this is known: a pod that no rule asks for, or an address outside. That
//! is about what rules say, not about who is there today. Whom else a pod lets in: [`crate::exposure`].
//!
//! ```text
//! whom ──► of each tier the rules whose peers mean all of them ──► the first of them acts ──► traffic
//! ```
//!
//! A rule about some of them alone says nothing of the others, and is passed over.

use crate::{
    compile::{Action, Identity, IdentityId, Otherwise, Peers, PolicyProgram, ProfileId, Rule, RuleId, RulePeer, Tier},
    exposure::is_any_pod,
    model::{Cluster, Family, PolicyRef},
    sets::TrafficSet,
};

/// Who is meant.
#[derive(Clone, Copy, Debug)]
pub enum Whom {
    /// A pod, of no namespace and with no labels that a rule asks for.
    Pod,
    /// An address that no pod has and no rule is about.
    Outside,
}

/// The rules of a profile that mean all of somebody, tier by tier, in order.
#[derive(Clone, Debug)]
pub struct Concerning {
    tiers: Vec<(Tier, Otherwise, Vec<RuleId>)>,
}

/// What they come to.
#[derive(Clone, Debug)]
pub struct Stance {
    /// What is allowed.
    pub allowed: TrafficSet,
    /// What of it no rule accepts: it is allowed since nothing denies it.
    pub by_default: TrafficSet,
    /// The policies of which a rule denies something.
    pub denied_by: Vec<PolicyRef>,
}

/// The families that the pods of an identity have addresses of; both where that is not known.
pub fn families(cluster: &Cluster, identity: &Identity) -> Vec<Family> {
    let pods = identity.pods.iter().map(|pod| cluster.pod(*pod).addresses);
    let known: Vec<Family> = Family::ALL
        .into_iter()
        .filter(|family| pods.clone().any(|addresses| addresses.of(*family).is_some()))
        .collect();
    if known.is_empty() { Family::ALL.into() } else { known }
}

impl Concerning {
    /// As if a tier were not there.
    #[must_use]
    pub fn without(mut self, tier: Tier) -> Self {
        self.tiers.retain(|(of, ..)| *of != tier);
        self
    }
}

impl PolicyProgram {
    /// The rules that mean all of `whom`. Pods that the profile judges have addresses of these `families`: one that
    /// they do not have is not asked for.
    pub fn concerning(&self, profile: ProfileId, families: &[Family], whom: Whom) -> Concerning {
        let tiers = self.profile(profile).tiers.iter().map(|tier| {
            let rules = tier.rules.iter().copied();
            let rules = rules.filter(|rule| self.means(self.rule(*rule), families, whom));
            (tier.tier, tier.otherwise, rules.collect())
        });
        Concerning { tiers: tiers.collect() }
    }

    /// What they come to. A port by name is that of `destination`; without one, it is none.
    pub fn stance(&self, rules: &Concerning, destination: Option<IdentityId>) -> Stance {
        let mut stance =
            Stance { allowed: TrafficSet::empty(), by_default: TrafficSet::empty(), denied_by: Vec::new() };
        let mut open = TrafficSet::all();
        for (_, otherwise, rules) in &rules.tiers {
            let mut passed = TrafficSet::empty();
            for rule in rules.iter().map(|rule| self.rule(*rule)) {
                let taken = self.traffic_of(rule, destination).intersection(&open);
                open = open.difference(&taken);
                match rule.action {
                    Action::Accept => stance.allowed = stance.allowed.union(&taken),
                    Action::Pass => passed = passed.union(&taken),
                    Action::Deny if taken.is_empty() => {}
                    Action::Deny => stance.denied_by.push(rule.origin.policy),
                }
            }
            if *otherwise == Otherwise::Deny {
                open = TrafficSet::empty();
            }
            open = open.union(&passed);
        }
        stance.denied_by.sort_unstable();
        stance.denied_by.dedup();
        stance.allowed = stance.allowed.union(&open);
        stance.by_default = open;
        stance
    }

    /// Whether a rule means all of somebody. Peers are asked one by one: what several mean together, such as
    /// two halves of all addresses, is not found out.
    fn means(&self, rule: &Rule, families: &[Family], whom: Whom) -> bool {
        let Peers::Of(peers) = &rule.peers else { return true };
        let holds_all = |family: &Family| {
            peers.iter().any(|peer| matches!(peer, RulePeer::Block(block) if self.block(*block).is_all_in(*family)))
        };
        if families.iter().all(holds_all) {
            return true;
        }
        match whom {
            Whom::Outside => false,
            Whom::Pod => peers.iter().any(is_any_pod),
        }
    }
}
