//! Cluster-wide policies of equal priority
//!
//! ## What it does
//! Finds two cluster-wide policies of one tier and priority that have rules of the same direction and select
//! pods in common (where the input has no pods: that might).
//!
//! ## Why is this bad
//! The API leaves open which of the two is asked first. Here it is the one whose name comes first; another
//! implementation may do otherwise, and a rename changes what is allowed.
//!
//! ## Example
//! Two policies `allow-monitoring` and `deny-tenants`, both with `tier: Admin` and `priority: 10`.
//!
//! ## Use instead
//! ```yaml
//! spec:
//!   tier: Admin
//!   priority: 20
//! ```
//!
//! ## Where it comes from
//! ClusterNetworkPolicy v1alpha2, `spec.priority`: the behaviour of equal priorities is undefined.

use palisade_engine::model::{ClusterPolicyId, Direction};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP601",
    name: "equal-priorities",
    level: Some(Level::Warning),
    source: include_str!("equal_priorities.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let policies: Vec<_> = subject.cluster.cluster_policies().collect();
    for (place, (id, policy)) in policies.iter().enumerate() {
        let earlier = policies.iter().take(place).find(|(other_id, other)| {
            policy.priority.is_some()
                && (policy.tier, policy.priority) == (other.tier, other.priority)
                && meet(subject, *id, *other_id)
        });
        let Some((_, other)) = earlier else { continue };
        let priority = policy.priority.unwrap_or_default();
        let message =
            format!("{} and {} have the priority {priority} of the {} tier", other.name, policy.name, policy.tier);
        let finding = Finding::new(format!("{} {}", policy.kind, policy.name), message);
        let finding = finding.at("spec.priority", policy.at, "which of the two is asked first is left open");
        findings.push(finding.also(other.at, "the same priority"));
    }
}

/// Whether two policies have a say in one direction about pods in common.
fn meet(subject: &Subject<'_>, a: ClusterPolicyId, b: ClusterPolicyId) -> bool {
    let program = subject.program;
    let both = |direction: &Direction| program.affects(a, *direction) && program.affects(b, *direction);
    if !Direction::ALL.iter().any(both) {
        return false;
    }
    let members = |id| program.subjects_of(id).map(|selector| program.members(selector));
    !subject.has_pods || matches!((members(a), members(b)), (Some(a), Some(b)) if !a.is_disjoint(b))
}
