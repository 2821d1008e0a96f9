//! What the rules about some pods grant: sets of other ends, each with its traffic.
//!
//! ```text
//! rule ──► peers as a set of ends, ports as traffic ──┐
//! rules of a profile, tier by tier ───────────────────┴─► grants
//! ```

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    ends::{EndSet, FamilyEnds},
    in_order::only_accepts,
    traffic::{TrafficId, TrafficTable},
};
use crate::{
    compile::{
        BlockId, IdentityId, NodeSetId, Peers, PolicyProgram, Ports, Profile, RuleId, RulePeer, RulePorts, SelectorId,
    },
    model::{Direction, Name, Protocol},
    sets::TrafficSet,
};

/// How an address that is not known counts where a rule asks for it; what a domain name resolves to likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Against whoever asks: what is granted so is granted for certain.
    Certain,
    /// In favour: whatever is not granted so is denied for certain.
    Possible,
}

/// Some other ends, and the traffic that is granted with them.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) ends: Rc<EndSet>,
    pub(super) traffic: TrafficId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PeerKey {
    Pods(SelectorId),
    Block(BlockId),
    Nodes(NodeSetId),
    Names { known: BlockId, may_be_outside: bool, may_be_inside: bool },
}

/// Equal for rules that mean the same peers and ports, whatever policy they are from; the last part says
/// whether whoever is perhaps a peer counts as one.
type RuleKey = (Option<Vec<PeerKey>>, TrafficId, Vec<(Protocol, Name)>, bool);

/// Evaluates rules and profiles in one family.
pub(super) struct Grants<'a> {
    pub(super) program: &'a PolicyProgram,
    pub(super) ends: &'a FamilyEnds,
    pub(super) level: Level,
    pub(super) traffic: &'a mut TrafficTable,
    pub(super) everyone: Rc<EndSet>,
    peers: FxHashMap<(Vec<PeerKey>, bool), Rc<EndSet>>,
    /// Every egress grant, by number.
    egress: Vec<Grant>,
    egress_of_rule: FxHashMap<RuleKey, Vec<u32>>,
}

impl<'a> Grants<'a> {
    pub(super) fn new(
        program: &'a PolicyProgram,
        ends: &'a FamilyEnds,
        level: Level,
        traffic: &'a mut TrafficTable,
    ) -> Self {
        let everyone = Rc::new(ends.present.clone());
        Self {
            program,
            ends,
            level,
            traffic,
            everyone,
            peers: FxHashMap::default(),
            egress: Vec::new(),
            egress_of_rule: FxHashMap::default(),
        }
    }

    /// What a profile lets its pods open, as numbers of [`Self::egress_grants`], ascending; `None` when
    /// nothing is held back.
    pub(super) fn egress(&mut self, profile: &Profile) -> Option<Vec<u32>> {
        if profile.is_open() {
            return None;
        }
        let mut numbers = Vec::new();
        if let Some(rules) = only_accepts(profile, self.program) {
            for rule in rules {
                numbers.extend(self.egress_rule(rule));
            }
        } else {
            let granted = self.ordered(profile, |grants, rule, with_unknown| {
                let numbers = grants.egress_rule_as(rule, with_unknown);
                numbers.iter().filter_map(|number| grants.egress.get(*number as usize).cloned()).collect()
            });
            numbers.extend(granted.into_iter().map(|grant| self.add(grant)));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    /// The egress grants found so far, by number.
    pub(super) fn egress_grants(&self) -> &[Grant] {
        &self.egress
    }

    /// What the profile of a pod lets others open to it; `None` when nothing is held back.
    pub(super) fn ingress(&mut self, profile: &Profile, subject: IdentityId) -> Option<Vec<Grant>> {
        if profile.is_open() {
            return None;
        }
        let Some(rules) = only_accepts(profile, self.program) else {
            return Some(self.ordered(profile, |grants, rule, with_unknown| {
                vec![grants.ingress_rule(rule, subject, with_unknown)]
            }));
        };
        let with_unknown = self.level == Level::Possible;
        Some(rules.map(|rule| self.ingress_rule(rule, subject, with_unknown)).collect())
    }

    /// What an ingress rule is about, whatever it does with it.
    pub(super) fn ingress_rule(&mut self, id: RuleId, subject: IdentityId, with_unknown: bool) -> Grant {
        let traffic = self.program.traffic_towards(self.program.rule(id), subject);
        Grant { ends: self.peers(id, with_unknown), traffic: self.traffic.id(traffic) }
    }

    fn egress_rule(&mut self, id: RuleId) -> Vec<u32> {
        self.egress_rule_as(id, self.level == Level::Possible)
    }

    /// The numbers of what an egress rule is about, whatever it does with it.
    fn egress_rule_as(&mut self, id: RuleId, with_unknown: bool) -> Vec<u32> {
        let rule = self.program.rule(id);
        let (numeric, named) = ports(&rule.ports);
        let numeric = self.traffic.id(numeric);
        let peers = match &rule.peers {
            Peers::Any => None,
            Peers::Of(peers) => Some(keys(peers)),
        };
        let key = (peers, numeric, named, with_unknown);
        if let Some(known) = self.egress_of_rule.get(&key) {
            return known.clone();
        }
        let ends = self.peers(id, with_unknown);
        let numbers = if key.2.is_empty() {
            vec![self.add(Grant { ends, traffic: numeric })]
        } else {
            // A name means what each destination says it does.
            let mut by_traffic: FxHashMap<TrafficId, EndSet> = FxHashMap::default();
            let identities = super::ends::number(self.program.identities().len());
            // INVARIANT of Ends: identity `n` is end `n`.
            for end in ends.iter().take_while(|end| *end < identities) {
                let traffic = self.traffic.id(self.program.traffic_towards(rule, IdentityId(end)));
                by_traffic.entry(traffic).or_default().insert(end);
            }
            let mut no_pods = EndSet::clone(&ends);
            no_pods.remove_range(..identities);
            *by_traffic.entry(numeric).or_default() |= no_pods;
            let mut grants: Vec<(TrafficId, EndSet)> = by_traffic.into_iter().collect();
            grants.sort_unstable_by_key(|(traffic, _)| *traffic);
            grants.into_iter().map(|(traffic, ends)| self.add(Grant { ends: Rc::new(ends), traffic })).collect()
        };
        self.egress_of_rule.insert(key, numbers.clone());
        numbers
    }

    fn add(&mut self, grant: Grant) -> u32 {
        self.egress.push(grant);
        super::ends::number(self.egress.len() - 1)
    }

    /// Whom a rule's peers are, with or without those who perhaps are.
    fn peers(&mut self, id: RuleId, with_unknown: bool) -> Rc<EndSet> {
        let rule = self.program.rule(id);
        let Peers::Of(peers) = &rule.peers else { return Rc::clone(&self.everyone) };
        let key = (keys(peers), with_unknown);
        if let Some(known) = self.peers.get(&key) {
            return Rc::clone(known);
        }
        let mut ends = EndSet::new();
        for peer in &key.0 {
            match peer {
                PeerKey::Pods(selector) => ends |= self.program.members(*selector) & &self.ends.present,
                PeerKey::Block(block) => ends |= self.block(*block, with_unknown),
                PeerKey::Nodes(nodes) => ends |= self.ends.of_nodes(self.program.node_members(*nodes)),
                PeerKey::Names { known, may_be_outside, may_be_inside } => {
                    ends |= self.block(*known, with_unknown);
                    if with_unknown && *may_be_outside {
                        ends |= self.ends.outside();
                    }
                    if with_unknown && *may_be_inside {
                        ends |= &self.ends.present - self.ends.outside();
                    }
                }
            }
        }
        let ends = Rc::new(ends);
        self.peers.insert(key, Rc::clone(&ends));
        ends
    }

    fn block(&self, block: BlockId, with_unknown: bool) -> EndSet {
        let block = self.program.block(block);
        let mut ends = self.ends.in_block(block);
        if let Some(unknown) = self.ends.perhaps_in_block(block).filter(|_| with_unknown) {
            ends |= unknown;
        }
        ends
    }
}

/// Whether what a profile grants depends on the ports that its pods name.
pub(super) fn asks_names(profile: &Profile, program: &PolicyProgram) -> bool {
    let mut rules = profile.tiers.iter().flat_map(|tier| &tier.rules);
    profile.direction == Direction::Ingress
        && rules.any(|rule| match &program.rule(*rule).ports {
            Ports::All => false,
            Ports::Of(ports) => ports.iter().any(|port| matches!(port.ports, RulePorts::Named(_))),
        })
}

fn keys(peers: &[RulePeer]) -> Vec<PeerKey> {
    let keys = peers.iter().map(|peer| match peer {
        RulePeer::Pods { members, .. } => PeerKey::Pods(*members),
        RulePeer::Block(block) => PeerKey::Block(*block),
        RulePeer::Nodes { members, .. } => PeerKey::Nodes(*members),
        RulePeer::Names { known, may_be_outside, may_be_inside, .. } => {
            PeerKey::Names { known: *known, may_be_outside: *may_be_outside, may_be_inside: *may_be_inside }
        }
    });
    let mut keys: Vec<PeerKey> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Ports by number, and those by name.
fn ports(ports: &Ports) -> (TrafficSet, Vec<(Protocol, Name)>) {
    let Ports::Of(ports) = ports else { return (TrafficSet::all(), Vec::new()) };
    let mut named: Vec<(Protocol, Name)> = Vec::new();
    let mut numeric = Vec::new();
    for port in ports {
        match &port.ports {
            RulePorts::Range(range) => numeric.push((port.protocol, *range)),
            RulePorts::Named(name) => named.push((port.protocol, name.clone())),
        }
    }
    named.sort_unstable();
    named.dedup();
    (numeric.into_iter().collect(), named)
}
