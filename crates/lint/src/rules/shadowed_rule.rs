//! A cluster-wide rule that an earlier one shadows
//!
//! ## What it does
//! Finds rules of a cluster-wide policy that can never act, whatever pods come and go: an earlier rule of the
//! same list, or of a policy of the same tier with a smaller priority that selects all the same pods, matches
//! everything that they match.
//!
//! ## Why is this bad
//! The first rule that matches acts. A Deny behind an Accept of the same peers denies nothing.
//!
//! ## Example
//! ```yaml
//! ingress:
//! - {action: Accept, from: [{namespaces: {}}]}
//! - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}
//! ```
//!
//! ## Use instead
//! ```yaml
//! ingress:
//! - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}
//! - {action: Accept, from: [{namespaces: {}}]}
//! ```
//!
//! ## Where it comes from
//! ClusterNetworkPolicy v1alpha2: policies of a tier are asked by priority, and rules in order.

use palisade_engine::{
    compile::RuleId,
    model::{
        ClusterPolicy, ClusterPolicyId, ClusterRule, ClusterSubject, ClusterTier, Direction, LabelSelector, Requirement,
    },
};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP602",
    name: "shadowed-rule",
    level: Some(Level::Warning),
    source: include_str!("shadowed_rule.rs"),
    check,
};

/// A rule, where it is, and what it was compiled to.
struct Placed<'a> {
    policy: &'a ClusterPolicy,
    index: usize,
    rule: &'a ClusterRule,
    compiled: RuleId,
}

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (tier, direction) in ClusterTier::ALL.into_iter().flat_map(|tier| Direction::ALL.map(|one| (tier, one))) {
        let mut policies: Vec<_> = subject.cluster.cluster_policies().filter(|(_, one)| one.tier == tier).collect();
        policies.sort_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
        for (id, policy) in &policies {
            // Of equal priorities it is not said which one is asked first.
            let earlier = policies
                .iter()
                .take_while(|(_, other)| before(other, policy))
                .filter(|(_, other)| selects_all_of(&other.subject, &policy.subject))
                .flat_map(|(id, other)| placed(subject, *id, other, direction));
            let mut earlier: Vec<Placed<'_>> = earlier.collect();
            for narrow in placed(subject, *id, policy, direction) {
                if let Some(wide) = earlier.iter().find(|wide| subject.program.covers(wide.compiled, narrow.compiled)) {
                    findings.push(tell(wide, &narrow, direction));
                }
                earlier.push(narrow);
            }
        }
    }
}

fn placed<'a>(
    subject: &Subject<'a>,
    id: ClusterPolicyId,
    policy: &'a ClusterPolicy,
    direction: Direction,
) -> Vec<Placed<'a>> {
    let rules = policy.rules(direction).iter().enumerate().filter(|(_, rule)| rule.is_understood());
    let placed = rules.filter_map(|(index, rule)| {
        let compiled = subject.program.rule_of(id, direction, index)?;
        Some(Placed { policy, index, rule, compiled })
    });
    placed.collect()
}

fn tell(wide: &Placed<'_>, narrow: &Placed<'_>, direction: Direction) -> Finding {
    let what = if wide.rule.action == narrow.rule.action { "already does" } else { "is first, and it does" };
    let of = match (std::ptr::eq(wide.policy, narrow.policy), wide.policy.priority) {
        (true, _) => String::new(),
        (false, Some(priority)) => format!(" of {} (priority {priority})", wide.policy.name),
        (false, None) => format!(" of {}", wide.policy.name),
    };
    let message = format!(
        "{direction}[{}] never acts: {direction}[{}]{of} {what} {}",
        narrow.index, wide.index, wide.rule.action
    );
    let finding = Finding::new(format!("{} {}", narrow.policy.kind, narrow.policy.name), message);
    let finding = finding.at(format!("spec.{direction}[{}]", narrow.index), narrow.rule.at, "never reached");
    finding.also(wide.rule.at, "matches all of it")
}

/// Whether one policy is asked before another one, whatever their names.
fn before(one: &ClusterPolicy, other: &ClusterPolicy) -> bool {
    let place = |policy: &ClusterPolicy| policy.priority.unwrap_or(u16::MAX);
    place(one) < place(other)
}

/// Whether a policy selects every pod that another one selects, by what they say.
fn selects_all_of(wide: &ClusterSubject, narrow: &ClusterSubject) -> bool {
    fn parts(subject: &ClusterSubject) -> Option<(&LabelSelector, Option<&LabelSelector>)> {
        match subject {
            ClusterSubject::Namespaces(namespaces) => Some((namespaces, None)),
            ClusterSubject::Pods { namespaces, pods } => Some((namespaces, Some(pods))),
            ClusterSubject::NotUnderstood => None,
        }
    }
    let (Some((wide, wide_pods)), Some((narrow, narrow_pods))) = (parts(wide), parts(narrow)) else { return false };
    asks_less(Some(wide), Some(narrow)) && asks_less(wide_pods, narrow_pods)
}

/// Whether all conditions of `wide` are among those of `narrow`.
fn asks_less(wide: Option<&LabelSelector>, narrow: Option<&LabelSelector>) -> bool {
    fn of(selector: Option<&LabelSelector>) -> impl Iterator<Item = &Requirement> {
        selector.into_iter().flat_map(|selector| &selector.requirements)
    }
    let is = |one: &Requirement, other: &Requirement| one.key == other.key && one.operator == other.operator;
    of(wide).all(|one| of(narrow).any(|other| is(one, other)))
}
