//! Rules that are asked in order, tier by tier: which of them decides about whom, and what that grants.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    ends::EndSet,
    family::{Column, disjoint},
    grants::{Grant, Grants, Level},
    traffic::TrafficId,
};
use crate::compile::{Action, Otherwise, PolicyProgram, Profile, RuleId};

impl Grants<'_> {
    /// The tiers in order, and within each the first rule that matches. Of those who perhaps match, both ways
    /// are followed: what is denied on one of them is not granted for certain, what is accepted on one of
    /// them is granted perhaps. Whoever perhaps passes goes on in the tier and in the next one.
    pub(super) fn ordered(
        &mut self,
        profile: &Profile,
        mut of_rule: impl FnMut(&mut Self, RuleId, bool) -> Vec<Grant>,
    ) -> Vec<Grant> {
        let everything = || vec![(TrafficId::EVERYTHING, EndSet::clone(&self.everyone))];
        let mut open = everything();
        let mut left = everything();
        let (mut granted, mut denied) = (Column::new(), Column::new());
        for tier in &profile.tiers {
            let mut passed = Column::new();
            for rule in &tier.rules {
                let action = self.program.rule(*rule).action;
                let with_unknown = match action {
                    Action::Accept => self.level == Level::Possible,
                    Action::Deny => self.level == Level::Certain,
                    Action::Pass => false,
                };
                for matched in of_rule(self, *rule, with_unknown) {
                    let taken = self.take(&mut open, &matched);
                    match action {
                        Action::Accept => granted.extend(taken),
                        Action::Deny => denied.extend(taken),
                        Action::Pass => passed.extend(taken),
                    }
                }
                if action == Action::Pass {
                    for matched in of_rule(self, *rule, true) {
                        passed.extend(self.take(&mut open.clone(), &matched));
                    }
                }
                if open.is_empty() {
                    break;
                }
            }
            match tier.otherwise {
                Otherwise::NextTier => passed.append(&mut open),
                Otherwise::Deny => denied.append(&mut open),
            }
            open = disjoint(passed.into_iter(), self.traffic);
        }
        granted.append(&mut open);
        let result = match self.level {
            Level::Possible => granted,
            Level::Certain => {
                for (traffic, ends) in denied {
                    self.take(&mut left, &Grant { ends: Rc::new(ends), traffic });
                }
                left
            }
        };
        result.into_iter().map(|(traffic, ends)| Grant { ends: Rc::new(ends), traffic }).collect()
    }

    /// Takes what `matched` holds out of what is still open, where every end is in one set only.
    fn take(&mut self, open: &mut Column, matched: &Grant) -> Column {
        let mut taken = Column::new();
        let mut left: FxHashMap<TrafficId, EndSet> = FxHashMap::default();
        for (has, mut ends) in open.drain(..) {
            let traffic = self.traffic.intersection(has, matched.traffic);
            if traffic != TrafficId::NOTHING {
                let both = &ends & &*matched.ends;
                ends -= &both;
                let rest = self.traffic.difference(has, traffic);
                if rest != TrafficId::NOTHING && !both.is_empty() {
                    *left.entry(rest).or_default() |= &both;
                }
                if !both.is_empty() {
                    taken.push((traffic, both));
                }
            }
            if !ends.is_empty() {
                *left.entry(has).or_default() |= ends;
            }
        }
        open.extend(left);
        open.sort_unstable_by_key(|(traffic, _)| *traffic);
        taken
    }
}

/// The rules of a profile where their order means nothing: what any of them accepts is granted, and
/// nothing else.
pub(super) fn only_accepts<'p>(
    profile: &'p Profile,
    program: &PolicyProgram,
) -> Option<impl Iterator<Item = RuleId> + use<'p>> {
    let [tier] = profile.tiers.as_slice() else { return None };
    let accepts = tier.rules.iter().all(|rule| program.rule(*rule).action == Action::Accept);
    (accepts && tier.otherwise == Otherwise::Deny).then(|| tier.rules.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connections::{EndId, Ends, traffic::TrafficTable},
        model::{
            Direction, Family, Inventory, IpBlock, LabelSelector, Labels, NamespaceScope, NetworkPolicy, ObjectRef,
            Peer, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol, Requirement,
        },
    };

    fn pod(name: &str, last: u8) -> Pod {
        Pod {
            labels: [("app", name)].into_iter().collect(),
            addresses: PodAddresses { v4: Some([10, 0, 0, last].into()), v6: None },
            ..Pod::running(ObjectRef::new("a", name))
        }
    }

    fn selector(app: &str) -> LabelSelector {
        std::iter::once(Requirement::equals("app", app)).collect()
    }

    fn rule(peers: Vec<Peer>, ports: &[(u16, u16)]) -> PolicyRule {
        let port = |(first, last): &(u16, u16)| PolicyPort {
            protocol: Protocol::Tcp,
            port: PortMatch::Range(PortRange::new(*first, *last).unwrap()),
            at: None,
        };
        PolicyRule { peers, ports: ports.iter().map(port).collect(), at: None }
    }

    fn pods(app: &str) -> Peer {
        Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(app), at: None }
    }

    fn block(cidr: &str) -> Peer {
        let cidr = cidr.parse().unwrap();
        Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
    }

    /// Where every rule accepts, taking the first that matches comes to the same as taking them all.
    #[test]
    fn in_order_or_not_accepting_rules_grant_the_same() {
        let policy = NetworkPolicy {
            id: ObjectRef::new("a", "db"),
            subject: selector("db"),
            policy_types: Some(PolicyTypes { ingress: true, egress: false }),
            ingress: vec![
                rule(vec![pods("web")], &[(80, 90)]),
                rule(vec![pods("web"), pods("api")], &[(85, 100), (443, 443)]),
                rule(vec![block("10.0.0.0/30"), block("203.0.113.0/24")], &[]),
                rule(Vec::new(), &[(100, 100)]),
            ],
            annotations: Labels::default(),
            mode: None,
            egress: Vec::new(),
            at: None,
        };
        let inventory = Inventory {
            pods: vec![pod("db", 1), pod("web", 2), pod("api", 9), pod("other", 10)],
            policies: vec![policy],
            ..Inventory::default()
        };
        let cluster = inventory.into_cluster().unwrap();
        let program = PolicyProgram::compile(&cluster);
        let told_apart: Vec<_> = program.blocks().collect();
        let ends = Ends::new(&cluster, &program, &told_apart);
        let subject = program.identity_of(cluster.find_pod(&ObjectRef::new("a", "db")).unwrap()).unwrap();
        let profile = program.profile(program.profile_of(subject, Direction::Ingress)).clone();
        let mut traffic = TrafficTable::new();
        let mut grants = Grants::new(&program, ends.family(Family::V4), Level::Certain, &mut traffic);
        let at_once = grants.ingress(&profile, subject).unwrap();
        let in_order = grants.ordered(&profile, |grants, rule, _| vec![grants.ingress_rule(rule, subject, false)]);
        let mut told = 0;
        for (EndId(end), _) in ends.iter() {
            let mut of = |list: &[Grant]| {
                let granted = list.iter().filter(|grant| grant.ends.contains(end));
                granted.fold(TrafficId::NOTHING, |all, grant| grants.traffic.union(all, grant.traffic))
            };
            let (a, b) = (of(&at_once), of(&in_order));
            assert_eq!(a, b, "end {end}");
            told += usize::from(a != TrafficId::NOTHING);
        }
        assert!(told > 4, "{told}");
        let apart = in_order.iter().flat_map(|a| in_order.iter().map(move |b| (a, b)));
        let overlapping = apart.filter(|(a, b)| !std::ptr::eq(*a, *b) && !a.ends.is_disjoint(&b.ends));
        for (a, b) in overlapping {
            assert_eq!(grants.traffic.intersection(a.traffic, b.traffic), TrafficId::NOTHING, "granted once");
        }
    }
}
