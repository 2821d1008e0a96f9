//! Who is accepted in the end, asked for before the tiers are gone through.
//!
//! Where cluster-wide policies come before the NetworkPolicies that isolate a pod, a packet would be looked up in the
//! cells of every tier in turn. What is accepted most, the pods that NetworkPolicies name, is known when the rules are
//! planned: who of them an earlier tier denies is left out of their set. So a packet that is accepted costs what it
//! costs without the tiers, and all others go through these.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram,
    compile::{Action, Tier},
};

use super::{
    cells::{Cells, Decisions, Entry},
    unions::{Before, Earlier, Peer, UnionId, Unions},
};

/// How many sets there may be, at most, of the pods that one union of NetworkPolicies accepts: one for each way in
/// which the tiers before deny some of them, which may differ from port to port. Each holds them all once more.
const VARIANTS: usize = 4;

/// Whom the NetworkPolicies that judge a pod accept, and nobody before them denies.
#[derive(Debug)]
pub(super) struct Front {
    /// All decisions are `Accept`; what meets none goes through the tiers.
    pub(super) cells: Cells,
    /// Whether it has everyone whom NetworkPolicies accept by the address of a pod, and nobody before denies: then these
    /// need not be asked for pods any more.
    pub(super) has_all: bool,
    /// Whether it may accept a pod to itself and the Baseline tier deny that: what a Service brought back to the pod that
    /// sent it is no NetworkPolicy's. Then such packets must go around.
    pub(super) spares_itself: bool,
}

impl Front {
    /// Of the entries of all tiers, in order; with `both`, whom the enforced ones among them accept and all of them, too.
    /// `None` where no tier comes before that of the NetworkPolicies, or where these accept no pods.
    pub(super) fn of(entries: &[Entry], both: bool, unions: &mut Unions, program: &PolicyProgram) -> Option<Self> {
        if entries.first().is_none_or(|entry| entry.tier >= Tier::NetworkPolicy) {
            return None;
        }
        let mut variants: BTreeMap<UnionId, BTreeSet<UnionId>> = BTreeMap::new();
        let (mut has_all, mut spares_itself) = (true, false);
        let cells = Cells::cut(entries, |here| {
            let [before, middle, behind] = [Tier::Admin, Tier::NetworkPolicy, Tier::Baseline]
                .map(|tier| here.iter().copied().filter(|entry| entry.tier == tier).collect::<Vec<Entry>>());
            // NetworkPolicies add up: whom the enforced ones accept, all accept.
            let accepts = middle.iter().filter(|entry| !both || !entry.is_audited);
            let accepted = unions.merge(accepts.map(|entry| entry.peers).collect());
            let Some(pods) = in_the_end(accepted, &before, both, unions, program) else { return Decisions::new() };
            let variants = variants.entry(accepted).or_default();
            if !variants.contains(&pods) && variants.len() == VARIANTS {
                has_all = false;
                return Decisions::new();
            }
            variants.insert(pods);
            spares_itself |= behind.iter().any(|entry| entry.action == Action::Deny);
            vec![(Action::Accept, pods)]
        });
        (!cells.rest.is_empty() || !cells.ports.is_empty()).then_some(Self { cells, has_all, spares_itself })
    }
}

/// Whom a union accepts in the end, which comes behind these entries; `None` when that is nobody, or not only who is
/// asked for by the addresses of pods.
fn in_the_end(
    accepted: UnionId,
    entries: &[Entry],
    both: bool,
    unions: &mut Unions,
    program: &PolicyProgram,
) -> Option<UnionId> {
    if accepted == UnionId::ANY {
        return entries.iter().all(|entry| entry.action != Action::Deny).then_some(accepted);
    }
    let enforced = both.then(|| before(entries.iter().filter(|entry| !entry.is_audited), unions, program));
    let lists: BTreeSet<Before> = enforced.into_iter().chain([before(entries.iter(), unions, program)]).collect();
    let denies_all = |list: &Before| list.first().is_some_and(|run| run.denies && run.peers.contains(&Peer::ANYONE));
    if lists.iter().any(denies_all) {
        return None;
    }
    unions.pods_but(accepted, lists.into_iter().filter(|list| !list.is_empty()).collect())
}

/// What the entries of the tiers before say of pods, as far as it takes some of them out: neighbours that do the same are
/// one, and what comes behind the last that denies changes nothing. Names are left out since they can only accept: where a
/// pod has such an address, what lets it on there is the tier's own chain.
fn before<'e>(entries: impl Iterator<Item = &'e Entry>, unions: &Unions, program: &PolicyProgram) -> Before {
    let mut runs = Before::new();
    for entry in entries {
        let denies = entry.action == Action::Deny;
        let peers: BTreeSet<Peer> = match entry.peers {
            UnionId::ANY => [Peer::ANYONE].into(),
            union => unions.peers(union).filter(|peer| peer.may_be_pod(program)).cloned().collect(),
        };
        match runs.last_mut() {
            _ if peers.is_empty() => {}
            Some(run) if run.denies == denies => run.peers.extend(peers),
            _ => runs.push(Earlier { denies, peers }),
        }
        if entry.peers == UnionId::ANY {
            break;
        }
    }
    let kept = runs.iter().rposition(|run| run.denies).map_or(0, |last| last + 1);
    runs.truncate(kept);
    runs
}
