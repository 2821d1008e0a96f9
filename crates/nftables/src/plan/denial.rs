//! The chains at which a profile ends for what it denies, or what audited policies would.

use palisade_engine::{
    compile::{ProfileId, Tier, TierRules},
    model::PolicyRef,
};

use super::{
    WOULD_DENY,
    names::content_name,
    neighbour_discovery,
    piece::AuditChain,
    profile::{ProfilePlanner, itself, prefix},
};
use crate::ruleset::{Chain, Expression, Name, Rule, Verdict, shortened};

impl ProfilePlanner<'_> {
    /// The chain that logs, counts and drops what a tier of a profile denies; one for each group of
    /// policies that isolates.
    pub(super) fn deny_chain(&mut self, profile: ProfileId, tier: &TierRules) -> Name {
        let policies = self.names(&tier.policies).join(", ");
        let direction = self.program.profile(profile).direction;
        let name = content_name(&format!("deny-{}", prefix(direction)), &format!("{:?} {policies}", tier.tier));
        self.denying(&name, tier.tier, Verdict::Drop, policies);
        self.piece.denials.push((name.clone(), profile));
        name
    }

    /// The chain that logs and counts what the tier of a profile would deny, and lets it pass: of the audited
    /// policies there, or where there are none of those that did not let it come to what accepts it now.
    pub(super) fn audit_chain(&mut self, (profile, index): (ProfileId, usize)) -> Name {
        let profile = self.program.profile(profile);
        let upto = profile.tiers.get(..=index).unwrap_or_default();
        let audited = |tier: &TierRules| -> Vec<PolicyRef> {
            tier.policies.iter().copied().filter(|policy| self.program.is_audited(*policy)).collect()
        };
        let here = upto.last().map(audited).filter(|here| !here.is_empty());
        let audited = here.unwrap_or_else(|| upto.iter().flat_map(audited).collect());
        let policies = self.names(&audited);
        let network: Vec<PolicyRef> = audited.into_iter().filter(|policy| policy.network().is_some()).collect();
        let isolating = self.names(&network);
        let tier = upto.last().map_or(Tier::NetworkPolicy, |tier| tier.tier);
        let (direction, text) = (profile.direction, policies.join(", "));
        let name = content_name(&format!("{WOULD_DENY}{}", prefix(direction)), &format!("{tier:?} {text}"));
        self.denying(&name, tier, Verdict::Return, text);
        self.piece.audits.push((name.clone(), AuditChain { direction, policies, isolating }));
        name
    }

    /// Adds a chain that logs and counts what policies deny, or would, before the verdict.
    fn denying(&mut self, name: &Name, tier: Tier, verdict: Verdict, policies: String) {
        let mut rules = vec![neighbour_discovery()];
        if tier == Tier::NetworkPolicy {
            let passes = itself(&Verdict::Return);
            rules.extend(passes.map(|rule| rule.comment("a pod always reaches itself")));
        }
        if let Some(log) = self.options.log {
            let limit = log.limit.map(|(rate, burst)| Expression::Limit { rate, burst });
            let log = Expression::Log { group: log.group, prefix: name.clone() };
            rules.push(Rule::new(limit.into_iter().chain([log])));
        }
        let last = Rule::new([Expression::Counter, Expression::Verdict(verdict)]);
        rules.push(last.comment(shortened(policies, 200)));
        self.piece.chains.insert(name.clone(), Chain { is_base: false, rules });
    }

    /// The names of policies: the order in which they are read must not matter.
    fn names(&self, policies: &[PolicyRef]) -> Vec<String> {
        let mut names: Vec<String> = policies.iter().map(|policy| self.cluster.policy_name(*policy)).collect();
        names.sort();
        names
    }
}
