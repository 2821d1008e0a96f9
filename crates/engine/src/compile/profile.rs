//! Profiles: the ordered rules that judge an identity in one direction, over all tiers.
//!
//! Identities under the same policies share one profile: 100,000 pods have hundreds, not thousands.

use super::RuleId;
use crate::model::{Direction, PolicyId, PolicyRef};

/// A profile of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub(crate) u32);

impl ProfileId {
    /// The place in [`super::PolicyProgram::profiles`], from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The tiers in the order in which they are asked (ClusterNetworkPolicy API, v1alpha2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Cluster policies that come before everything.
    Admin,
    /// NetworkPolicy.
    NetworkPolicy,
    /// Cluster policies that only say what is so by default.
    Baseline,
}

/// What happens to traffic that no rule of a tier matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Otherwise {
    /// The next tier decides; after the last one it is allowed.
    NextTier,
    /// It is denied: the pod is isolated.
    Deny,
}

/// The part of a tier that concerns one profile.
#[derive(Clone, Debug)]
pub struct TierRules {
    /// Which tier.
    pub tier: Tier,
    /// The policies that select the pods in this direction: of a tier with priorities in the order in which
    /// they are asked, else in the order read.
    pub policies: Vec<PolicyRef>,
    /// Their rules, in order; the first that matches acts.
    pub rules: Vec<RuleId>,
    /// What happens when none does.
    pub otherwise: Otherwise,
}

/// Everything that judges some pods in one direction. Without a tier nothing affects them.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The direction.
    pub direction: Direction,
    /// The tiers that have something to say, in order.
    pub tiers: Vec<TierRules>,
}

impl Profile {
    /// The NetworkPolicies that isolate these pods in this direction, in the order read.
    pub fn isolating(&self) -> impl Iterator<Item = PolicyId> + '_ {
        self.tiers.iter().flat_map(|tier| &tier.policies).filter_map(|policy| policy.network())
    }

    /// Whether no policy affects these pods in this direction.
    pub fn is_open(&self) -> bool {
        self.tiers.is_empty()
    }
}
