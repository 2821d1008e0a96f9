//! All that may pass in one family: for each destination, who may send it what.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    ends::{End, EndSet, Ends, number},
    grants::{Grant, Grants, Level, asks_names},
    traffic::{TrafficId, TrafficTable},
};
use crate::{
    compile::{IdentityId, PolicyProgram, ProfileId},
    model::{Direction, Family},
};

/// Sources by what they may send; no source is in two of them, and whoever is in none may send nothing.
pub(super) type Column = Vec<(TrafficId, EndSet)>;

/// Every end's column; `None` for an end that has no connections of the family.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) distinct: Vec<Column>,
    pub(super) of_end: Vec<Option<u32>>,
}

/// What decides a column: how the destination receives, and which egress grants it is in.
type Key = (Option<Receiver>, Rc<[u32]>);

/// The ingress side of a destination that is isolated.
type Receiver = (ProfileId, Option<IdentityId>);

/// Evaluates one family at one level.
pub(super) fn columns(
    program: &PolicyProgram,
    ends: &Ends,
    family: Family,
    level: Level,
    traffic: &mut TrafficTable,
) -> Columns {
    let family = ends.family(family);
    let mut grants = Grants::new(program, family, level, traffic);
    let senders = senders(program, ends, &mut grants);
    // Which egress grants each end is in.
    let mut within: Vec<Vec<u32>> = vec![Vec::new(); ends.len()];
    for (number, grant) in (0u32..).zip(grants.egress_grants()) {
        for end in grant.ends.iter() {
            if let Some(list) = within.get_mut(end as usize) {
                list.push(number);
            }
        }
    }
    let sent_by: Vec<(TrafficId, EndSet)> =
        grants.egress_grants().iter().zip(senders.by_grant).map(|(grant, set)| (grant.traffic, set)).collect();

    let mut receivers: FxHashMap<Receiver, Column> = FxHashMap::default();
    let mut arrivals: FxHashMap<(Rc<[u32]>, bool), Rc<Column>> = FxHashMap::default();
    let mut known: FxHashMap<(Key, bool), u32> = FxHashMap::default();
    let mut columns = Columns { distinct: Vec::new(), of_end: vec![None; ends.len()] };
    for (((id, end), within), slot) in ends.iter().zip(within).zip(&mut columns.of_end) {
        if !family.present.contains(id.0) {
            continue;
        }
        let within: Rc<[u32]> = within.into();
        let receiver = match end {
            End::Pods(identity) => receiver(program, *identity),
            End::Node { .. } | End::Outside { .. } => None,
        };
        let is_pod = matches!(end, End::Pods(_));
        let key = ((receiver, Rc::clone(&within)), is_pod);
        if let Some(known) = known.get(&key) {
            *slot = Some(*known);
            continue;
        }
        let arriving = arrivals.entry((Rc::clone(&within), is_pod)).or_insert_with(|| {
            // What is neither sent nor received by a pod is nobody's to judge.
            let open = if is_pod { senders.open.clone() } else { &senders.open & ends.pods() };
            let sent = within.iter().filter_map(|number| sent_by.get(*number as usize));
            let sent = sent.map(|(traffic, set)| (*traffic, set));
            Rc::new(by_traffic(std::iter::once((TrafficId::EVERYTHING, &open)).chain(sent)))
        });
        let arriving = Rc::clone(arriving);
        let column = match receiver {
            None => disjoint(arriving.iter().cloned(), grants.traffic),
            Some(receiver) => {
                let accepted = match receivers.get(&receiver) {
                    Some(known) => known.clone(),
                    None => {
                        let profile = program.profile(receiver.0);
                        let subject = receiver.1.or_else(|| identity(end)).unwrap_or(IdentityId(0));
                        let granted = grants.ingress(profile, subject).unwrap_or_default();
                        let column = by_traffic(granted.iter().map(|Grant { ends, traffic }| (*traffic, &**ends)));
                        receivers.insert(receiver, column.clone());
                        column
                    }
                };
                let mut met = Vec::new();
                for (sent, from) in arriving.iter() {
                    for (taken, by) in &accepted {
                        let traffic = grants.traffic.intersection(*sent, *taken);
                        if traffic != TrafficId::NOTHING {
                            met.push((traffic, from & by));
                        }
                    }
                }
                disjoint(met.into_iter(), grants.traffic)
            }
        };
        columns.distinct.push(column);
        let index = number(columns.distinct.len() - 1);
        known.insert(key, index);
        *slot = Some(index);
    }
    columns
}

/// Who sends, by what lets them.
struct Senders {
    /// Those whom nothing holds back.
    open: EndSet,
    /// Those who have each egress grant, by its number.
    by_grant: Vec<EndSet>,
}

fn senders(program: &PolicyProgram, ends: &Ends, grants: &mut Grants<'_>) -> Senders {
    let present = &grants.ends.present;
    let mut open = present - ends.pods();
    let mut by_profile: FxHashMap<ProfileId, EndSet> = FxHashMap::default();
    for (identity, _) in program.identities() {
        let end = ends.of_identity(identity).0;
        if present.contains(end) {
            by_profile.entry(program.profile_of(identity, Direction::Egress)).or_default().insert(end);
        }
    }
    let mut by_profile: Vec<(ProfileId, EndSet)> = by_profile.into_iter().collect();
    by_profile.sort_unstable_by_key(|(profile, _)| *profile);
    let mut by_grant: Vec<EndSet> = Vec::new();
    for (profile, members) in by_profile {
        match grants.egress(program.profile(profile)) {
            None => open |= members,
            Some(numbers) => {
                by_grant.resize_with(grants.egress_grants().len(), EndSet::new);
                for number in numbers {
                    if let Some(set) = by_grant.get_mut(number as usize) {
                        *set |= &members;
                    }
                }
            }
        }
    }
    Senders { open, by_grant }
}

/// What decides how an identity receives; `None` when nothing is held back.
fn receiver(program: &PolicyProgram, identity: IdentityId) -> Option<Receiver> {
    let id = program.profile_of(identity, Direction::Ingress);
    let profile = program.profile(id);
    (!profile.is_open()).then(|| (id, asks_names(profile, program).then_some(identity)))
}

fn identity(end: &End) -> Option<IdentityId> {
    match end {
        End::Pods(identity) => Some(*identity),
        End::Node { .. } | End::Outside { .. } => None,
    }
}

/// One set for each traffic.
fn by_traffic<'s>(grants: impl Iterator<Item = (TrafficId, &'s EndSet)>) -> Column {
    let mut sets: FxHashMap<TrafficId, EndSet> = FxHashMap::default();
    for (traffic, set) in grants.filter(|(traffic, _)| *traffic != TrafficId::NOTHING) {
        *sets.entry(traffic).or_default() |= set;
    }
    sorted(sets)
}

/// The same grants with every source in one set only, whose traffic is all that it was granted.
pub(super) fn disjoint(grants: impl Iterator<Item = (TrafficId, EndSet)>, table: &mut TrafficTable) -> Column {
    let mut parts: Vec<(TrafficId, EndSet)> = Vec::new();
    for (traffic, mut rest) in grants {
        let mut split = Vec::new();
        for (has, set) in &mut parts {
            if rest.is_empty() {
                break;
            }
            if set.is_disjoint(&rest) {
                continue;
            }
            let both = &*set & &rest;
            rest -= &both;
            let union = table.union(*has, traffic);
            if union == *has {
                continue;
            }
            if both.len() == set.len() {
                *has = union;
            } else {
                *set -= &both;
                split.push((union, both));
            }
        }
        parts.append(&mut split);
        if !rest.is_empty() {
            parts.push((traffic, rest));
        }
    }
    let mut sets: FxHashMap<TrafficId, EndSet> = FxHashMap::default();
    for (traffic, set) in parts {
        *sets.entry(traffic).or_default() |= set;
    }
    sorted(sets)
}

fn sorted(sets: FxHashMap<TrafficId, EndSet>) -> Column {
    let mut column: Column = sets.into_iter().filter(|(_, set)| !set.is_empty()).collect();
    column.sort_unstable_by_key(|(traffic, _)| *traffic);
    column
}
