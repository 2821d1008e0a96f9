//! Profiles: the ordered rules that judge an identity in one direction, over all tiers.
//!
//! Identities under the same policies share one profile: 100,000 pods have hundreds, not thousands. Where audited
//! policies select an identity it has a second one, with them: what enforcing them would come to.

use rustc_hash::FxHashMap;

use super::{IdentityId, RuleId, SelectorId};
use crate::model::{Direction, Mode, PolicyId, PolicyRef};

/// A profile of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub(crate) u32);

impl ProfileId {
    /// The place in [`super::PolicyProgram::profiles`], from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which policies count for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counting {
    /// Those that are enforced: what passes.
    #[default]
    Enforced,
    /// The audited ones too: what would pass if they were enforced.
    WithAudited,
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

/// The rules that one policy has in one direction.
#[derive(Clone, Debug)]
pub(super) struct PolicyHalf {
    pub(super) policy: PolicyRef,
    pub(super) tier: Tier,
    pub(super) direction: Direction,
    pub(super) subjects: SelectorId,
    pub(super) rules: Vec<RuleId>,
    pub(super) mode: Mode,
}

/// A half of this program; the number is never used again.
pub(super) type HalfId = u32;

/// Which policies select each identity, and the profiles that this comes to.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    list: Vec<Profile>,
    ids: FxHashMap<(Direction, Vec<HalfId>), ProfileId>,
    halves: Vec<PolicyHalf>,
    /// Those that count now.
    current: FxHashMap<(PolicyRef, Direction), HalfId>,
    by_subjects: FxHashMap<SelectorId, Vec<HalfId>>,
    /// By identity and direction, ascending.
    selected_by: Vec<[Vec<HalfId>; 2]>,
    /// By identity and direction: of the enforced policies.
    of_identity: Vec<[ProfileId; 2]>,
    /// Of the audited ones too, where some select the identity.
    with_audited: FxHashMap<(IdentityId, Direction), ProfileId>,
}

impl Profiles {
    /// Every profile, by [`ProfileId::index`].
    pub(super) fn list(&self) -> &[Profile] {
        &self.list
    }

    /// The profile that judges an identity in a direction.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of PolicyProgram: one pair an identity")]
    pub(super) fn of(&self, identity: IdentityId, direction: Direction, counting: Counting) -> ProfileId {
        let enforced = self.of_identity[identity.0 as usize][direction as usize];
        match counting {
            Counting::Enforced => enforced,
            Counting::WithAudited => self.with_audited.get(&(identity, direction)).copied().unwrap_or(enforced),
        }
    }

    /// What a policy comes to in a direction; `None` when it affects nobody there.
    pub(super) fn half(&self, policy: PolicyRef, direction: Direction) -> Option<&PolicyHalf> {
        self.halves.get(*self.current.get(&(policy, direction))? as usize)
    }

    /// Adds a half, for the identities that its subject selects; [`Self::settle`] has to follow.
    pub(super) fn add(&mut self, half: PolicyHalf, subjects: impl Iterator<Item = IdentityId>) {
        let id = HalfId::try_from(self.halves.len()).unwrap_or(HalfId::MAX);
        for identity in subjects {
            self.select(identity, half.direction, id, true);
        }
        self.current.insert((half.policy, half.direction), id);
        self.by_subjects.entry(half.subjects).or_default().push(id);
        self.halves.push(half);
    }

    /// Takes a half away; likewise. Returns how many rules count no more.
    pub(super) fn remove(
        &mut self,
        policy: PolicyRef,
        direction: Direction,
        subjects: impl Iterator<Item = IdentityId>,
    ) -> usize {
        let Some(id) = self.current.remove(&(policy, direction)) else { return 0 };
        for identity in subjects {
            self.select(identity, direction, id, false);
        }
        let Some(half) = self.halves.get(id as usize) else { return 0 };
        if let Some(halves) = self.by_subjects.get_mut(&half.subjects) {
            halves.retain(|known| *known != id);
        }
        half.rules.len()
    }

    /// A selector selects an identity now, or no more; [`Self::settle`] has to follow. Returns in which
    /// directions it mattered.
    pub(super) fn flip(&mut self, selector: SelectorId, identity: IdentityId, is_selected: bool) -> Vec<Direction> {
        let halves = self.by_subjects.get(&selector).cloned().unwrap_or_default();
        let mut directions = Vec::new();
        for id in halves {
            let Some(direction) = self.halves.get(id as usize).map(|half| half.direction) else { continue };
            self.select(identity, direction, id, is_selected);
            directions.push(direction);
        }
        directions
    }

    fn select(&mut self, identity: IdentityId, direction: Direction, half: HalfId, is_selected: bool) {
        self.reach(identity);
        let pair = self.selected_by.get_mut(identity.0 as usize);
        let Some(list) = pair.and_then(|pair| pair.get_mut(direction as usize)) else { return };
        match (list.binary_search(&half), is_selected) {
            (Err(place), true) => list.insert(place, half),
            (Ok(place), false) => _ = list.remove(place),
            _ => {}
        }
    }

    /// Gives an identity the profiles that go with what selects it. Says whether one of them is another one.
    pub(super) fn settle(&mut self, identity: IdentityId, direction: Direction) -> bool {
        self.reach(identity);
        let pair = self.selected_by.get(identity.0 as usize);
        let all = pair.and_then(|pair| pair.get(direction as usize)).cloned().unwrap_or_default();
        let is_enforced = |id: &HalfId| self.halves.get(*id as usize).is_some_and(|half| half.mode == Mode::Enforce);
        let enforced: Vec<HalfId> = all.iter().copied().filter(is_enforced).collect();
        let with_audited = (enforced.len() < all.len()).then(|| self.intern(direction, all));
        let id = self.intern(direction, enforced);
        let slot = self.of_identity.get_mut(identity.0 as usize).and_then(|pair| pair.get_mut(direction as usize));
        let differs = slot.is_some_and(|slot| std::mem::replace(slot, id) != id);
        let before = match with_audited {
            Some(id) => self.with_audited.insert((identity, direction), id),
            None => self.with_audited.remove(&(identity, direction)),
        };
        differs || before != with_audited
    }

    /// The profile of these halves, ascending.
    fn intern(&mut self, direction: Direction, halves: Vec<HalfId>) -> ProfileId {
        *self.ids.entry((direction, halves)).or_insert_with_key(|(direction, halves)| {
            let halves = halves.iter().filter_map(|id| self.halves.get(*id as usize));
            self.list.push(profile(*direction, halves.collect()));
            ProfileId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// Makes room for an identity.
    fn reach(&mut self, identity: IdentityId) {
        let size = identity.0 as usize + 1;
        if self.selected_by.len() < size {
            self.selected_by.resize(size, Default::default());
            self.of_identity.resize(size, [NOT_SETTLED; 2]);
        }
    }
}

/// The profile of an identity that has none yet.
const NOT_SETTLED: ProfileId = ProfileId(u32::MAX);

/// The halves that select some pods, tier by tier: within one in the order in which they were added, which is
/// that of their priorities. A pod selected by any NetworkPolicy of this direction is isolated. What no
/// cluster-wide policy decides goes on.
fn profile(direction: Direction, mut halves: Vec<&PolicyHalf>) -> Profile {
    halves.sort_by_key(|half| half.tier);
    let mut tiers: Vec<TierRules> = Vec::new();
    for half in halves {
        match tiers.last_mut().filter(|tier| tier.tier == half.tier) {
            Some(tier) => {
                tier.policies.push(half.policy);
                tier.rules.extend(&half.rules);
            }
            None => tiers.push(TierRules {
                tier: half.tier,
                policies: vec![half.policy],
                rules: half.rules.clone(),
                otherwise: match half.tier {
                    Tier::NetworkPolicy => Otherwise::Deny,
                    Tier::Admin | Tier::Baseline => Otherwise::NextTier,
                },
            }),
        }
    }
    Profile { direction, tiers }
}
