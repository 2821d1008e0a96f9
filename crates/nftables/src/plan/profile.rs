//! The chains of a profile.

use std::collections::BTreeMap;

use palisade_engine::{
    PolicyProgram,
    compile::{Action, Otherwise, Peers, Ports, ProfileId, Rule as PolicyRule, RulePeer, RulePorts, Tier, TierRules},
    model::{Cluster, Direction, Family, Mode, PortRange, Protocol},
};
use rustc_hash::FxHashMap;

use super::{
    Options,
    cells::{Cells, Decisions, Entry, Traffic, in_order},
    front::Front,
    names::{content_name, named_chain},
    peers::{Lookup, Lookups, NamedPortIndex},
    piece::{NamedPorts, Piece, PieceKey},
    self_name,
    unions::{Peer, UnionId, Unions, Who},
};
use crate::ruleset::{End, Expression, Key, Name, Rule, Set, SetKind, Verdict};

/// Up to this many rules a profile's cells are written out; more go behind a verdict map. A rule costs
/// a packet about 30 ns, a map costs the kernel a set, and the kernel searches sets by name in a list.
const PLAIN_RULES: usize = 6;

/// Plans the piece of one profile.
pub(super) struct ProfilePlanner<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a PolicyProgram,
    pub(super) options: &'a Options,
    ports: &'a NamedPortIndex,
    /// The families that pods have.
    families: &'a [Family],
    unions: Unions,
    /// What finds the members of a union; its sets are in the piece.
    lookups: FxHashMap<UnionId, Vec<Lookup>>,
    pub(super) piece: Piece,
    /// What becomes of what the profile denies that is being planned.
    mode: Mode,
}

impl<'a> ProfilePlanner<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        program: &'a PolicyProgram,
        options: &'a Options,
        ports: &'a NamedPortIndex,
        families: &'a [Family],
    ) -> Self {
        let (unions, lookups, piece) = (Unions::default(), FxHashMap::default(), Piece::default());
        Self { cluster, program, options, ports, families, unions, lookups, piece, mode: Mode::Enforce }
    }

    /// The piece of a key. What the enforced policies let pass is asked of all policies, too, where some are audited.
    pub(super) fn plan(mut self, key: &PieceKey) -> Piece {
        let [mut enforced, mut all] =
            [key.enforced, key.with_audited].map(|id| id.map(|id| (id, self.entries(id, &key.named))));
        let both = enforced.is_some() && all.is_some();
        let entries = all.as_ref().or(enforced.as_ref()).map(|(_, tiers)| tiers.concat()).unwrap_or_default();
        let front = Front::of(&entries, both, &mut self.unions, self.program);
        // Where two answers are asked, each needs the pods that only the other one denies.
        if !both && front.as_ref().is_some_and(|front| front.has_all) {
            let tiers = [&mut enforced, &mut all].into_iter().flatten().flat_map(|(_, tiers)| tiers);
            tiers.for_each(|entries| self.leave_out_pods(entries));
        }
        let enforced = enforced.map(|(id, tiers)| self.profile(id, &tiers, Mode::Enforce));
        let audited = all.map(|(id, tiers)| self.profile(id, &tiers, Mode::Audit));
        let tiers = match (enforced, audited) {
            (Some(enforced), Some(audited)) => {
                let verdicts = [Verdict::Jump(enforced), Verdict::Goto(audited)];
                self.add_chain("both", verdicts.map(|verdict| Rule::new([Expression::Verdict(verdict)])).into())
            }
            (one, other) => one.or(other).unwrap_or_default(),
        };
        self.piece.for_itself = front.as_ref().filter(|front| front.spares_itself).map(|_| tiers.clone());
        self.piece.chain = match (front, key.profiles().next()) {
            (Some(front), Some(id)) => self.front(self.program.profile(id).direction, &front.cells, tiers),
            _ => tiers,
        };
        self.piece
    }

    /// The chain of a profile; `tiers` are the entries of each of its tiers.
    fn profile(&mut self, id: ProfileId, tiers: &[Vec<Entry>], mode: Mode) -> Name {
        self.mode = mode;
        let profile = self.program.profile(id);
        // From the last tier to the first: each goes on in the next one's chain.
        let mut next = Verdict::Return;
        for (index, (tier, entries)) in profile.tiers.iter().zip(tiers).enumerate().rev() {
            let chain = self.tier((id, index), tier, entries, &next);
            next = Verdict::Goto(chain);
        }
        next.chain().cloned().unwrap_or_default()
    }

    /// Takes out of the entries of NetworkPolicies whoever the front has.
    fn leave_out_pods(&mut self, entries: &mut Vec<Entry>) {
        entries.retain_mut(|entry| {
            if entry.tier != Tier::NetworkPolicy {
                return true;
            }
            let others = self.unions.without_pods(entry.peers);
            entry.peers = others.unwrap_or(entry.peers);
            others.is_some()
        });
    }

    /// The chain that comes before the tiers: who is accepted in the end.
    fn front(&mut self, direction: Direction, cells: &Cells, tiers: Name) -> Name {
        let tiers = Verdict::Goto(tiers);
        // Nothing is denied here.
        let actions =
            Actions { end: peer_end(direction), accept: Verdict::Return, deny: Verdict::Drop, pass: tiers.clone() };
        // A cell may accept less than the rest: so nothing of it may go on there.
        let plain = if cells.rest.is_empty() { self.plain_cells(cells, &actions) } else { None };
        let rules = plain.unwrap_or_else(|| self.mapped_cells(cells, &actions, &tiers));
        self.cells_chain(direction, rules, cells, &actions, &tiers)
    }

    fn tier(&mut self, place: (ProfileId, usize), tier: &TierRules, entries: &[Entry], next: &Verdict) -> Name {
        let direction = self.program.profile(place.0).direction;
        let cells = Cells::cut(entries, |here| in_order(here, &mut self.unions));
        let denies = tier.otherwise == Otherwise::Deny || entries.iter().any(|entry| entry.action == Action::Deny);
        // A tier that denies nothing needs no chain for it, and never gets to that verdict.
        let deny = match (denies, self.mode) {
            (false, _) => Verdict::Drop,
            (true, Mode::Enforce) => Verdict::Goto(self.deny_chain(place.0, tier)),
            (true, Mode::Audit) => Verdict::Goto(self.audit_chain(place)),
        };
        let end = peer_end(direction);
        let actions = Actions { end, accept: Verdict::Return, deny: deny.clone(), pass: next.clone() };
        let last = match tier.otherwise {
            Otherwise::Deny => deny,
            Otherwise::NextTier => next.clone(),
        };
        let mut rules = Vec::new();
        if tier.tier == Tier::NetworkPolicy && *next != Verdict::Return {
            // What a Service brought back to the pod that sent it is not NetworkPolicy's, but the next tier's.
            rules.extend(itself(next));
        }
        let plain = self.plain_cells(&cells, &actions);
        rules.extend(plain.unwrap_or_else(|| self.mapped_cells(&cells, &actions, &last)));
        self.cells_chain(direction, rules, &cells, &actions, &last)
    }

    /// The chain of some cells: `rules` ask those of ports, then the rest is asked, and `last` is what it ends with.
    fn cells_chain(
        &mut self,
        direction: Direction,
        mut rules: Vec<Rule>,
        cells: &Cells,
        actions: &Actions,
        last: &Verdict,
    ) -> Name {
        rules.extend(self.ask(&cells.rest, actions, &[]));
        rules.push(Rule::new([Expression::Verdict(last.clone())]));
        self.add_chain(prefix(direction), rules)
    }

    /// The cells as plain rules, when these are few and none needs an order: a packet that no rule of
    /// its cell accepts may then go on to the rest, which in a tier accepts no one that the cell does not.
    fn plain_cells(&mut self, cells: &Cells, actions: &Actions) -> Option<Vec<Rule>> {
        let only_accepts = |decisions: &Decisions| decisions.iter().all(|(action, _)| *action == Action::Accept);
        if cells.ports.len() > PLAIN_RULES || !cells.ports.values().all(only_accepts) {
            return None;
        }
        let mut rules = Vec::new();
        for ((protocol, range), decisions) in &cells.ports {
            rules.extend(self.ask(decisions, actions, &[Expression::Ports(*protocol, *range)]));
        }
        (rules.len() <= PLAIN_RULES).then_some(rules)
    }

    /// The cells as chains behind verdict maps: exact ports hashed, ranges apart.
    fn mapped_cells(&mut self, cells: &Cells, actions: &Actions, last: &Verdict) -> Vec<Rule> {
        let (mut exact, mut ranges) = (BTreeMap::new(), BTreeMap::new());
        for ((protocol, range), decisions) in &cells.ports {
            let verdict = match decisions.as_slice() {
                [] => last.clone(),
                [(action, UnionId::ANY), ..] => actions.verdict(*action).clone(),
                decisions => {
                    let mut rules = self.ask(decisions, actions, &[]);
                    rules.push(Rule::new([Expression::Verdict(last.clone())]));
                    Verdict::Goto(self.add_chain("cell", rules))
                }
            };
            if range.first() == range.last() {
                exact.insert(Key::Port(*protocol, range.first()), Some(verdict));
            } else {
                ranges.insert(Key::Ports(*protocol, *range), Some(verdict));
            }
        }
        let maps = [(SetKind::Ports, exact, "ports"), (SetKind::PortRanges, ranges, "ranges")];
        let used = maps.into_iter().filter(|(_, elements, _)| !elements.is_empty());
        let rules = used.map(|(kind, elements, prefix)| {
            let name = content_name(prefix, &format!("{elements:?}"));
            let elements = elements.into();
            self.piece.sets.insert(name.clone(), Set { kind, is_map: true, comment: None, passing: None, elements });
            Rule::new([Expression::PortMap(name)])
        });
        rules.collect()
    }

    /// The rules that ask for the peers of each decision, behind the expressions `when`.
    fn ask(&mut self, decisions: &[(Action, UnionId)], actions: &Actions, when: &[Expression]) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (action, union) in decisions {
            let verdict = Expression::Verdict(actions.verdict(*action).clone());
            if *union == UnionId::ANY {
                rules.push(Rule::new(when.iter().cloned().chain([verdict])));
                break;
            }
            for lookup in self.lookups(*union) {
                let expression = lookup.expression(actions.end);
                rules.push(Rule::new(when.iter().cloned().chain([expression, verdict.clone()])));
            }
        }
        rules
    }

    fn lookups(&mut self, union: UnionId) -> &[Lookup] {
        self.lookups.entry(union).or_insert_with(|| {
            let lookups = Lookups::of(self.cluster, self.program, self.families, (&self.unions, union));
            self.piece.pods.extend(lookups.pods);
            self.piece.sets.extend(lookups.fixed);
            self.piece.learned.extend(lookups.learned);
            lookups.asked
        })
    }

    fn add_chain(&mut self, prefix: &str, rules: Vec<Rule>) -> Name {
        let (name, chain) = named_chain(prefix, rules);
        self.piece.chains.insert(name.clone(), chain);
        name
    }

    /// The rules of a profile as entries, tier by tier.
    fn entries(&mut self, id: ProfileId, own: &NamedPorts) -> Vec<Vec<Entry>> {
        let (program, tiers) = (self.program, &self.program.profile(id).tiers);
        let of_tier = |tier: &TierRules| {
            let mut entries = Vec::new();
            for rule in &tier.rules {
                self.rule_entries(tier.tier, program.rule(*rule), own, &mut entries);
            }
            entries
        };
        tiers.iter().map(of_tier).collect()
    }

    /// One rule as entries: named ports become numbers, each with the peers that it means.
    fn rule_entries(&mut self, tier: Tier, rule: &PolicyRule, own: &NamedPorts, entries: &mut Vec<Entry>) {
        let unions = &mut self.unions;
        let peers = unions.of(peers(&rule.peers, None));
        let (action, is_audited) = (rule.action, self.program.is_audited(rule.origin.policy));
        let mut add = |peers, traffic| entries.push(Entry { tier, is_audited, action, peers, traffic });
        let Ports::Of(ports) = &rule.ports else { return add(peers, Traffic::All) };
        for port in ports {
            let protocol = port.protocol;
            let single = |number| Traffic::Ports(protocol, PortRange::single(number));
            match (&port.ports, rule.origin.direction) {
                (RulePorts::Range(range), _) => add(peers, Traffic::Ports(protocol, *range)),
                (RulePorts::Named(name), Direction::Ingress) => {
                    let own = own.iter().filter(|(known, of, _)| known == name && *of == protocol);
                    for number in own.flat_map(|(_, _, numbers)| numbers) {
                        add(peers, single(*number));
                    }
                }
                (RulePorts::Named(name), Direction::Egress) => {
                    self.piece.ports.insert((name.clone(), protocol));
                    for number in self.ports.numbers(name, protocol) {
                        let with_port = Some((name.clone(), protocol, number));
                        add(unions.of(self::peers(&rule.peers, with_port)), single(number));
                    }
                }
            }
        }
    }
}

/// What becomes of packets from a pod to itself.
pub(super) fn itself(verdict: &Verdict) -> [Rule; 2] {
    Family::ALL
        .map(|family| Rule::new([Expression::PairIn(family, self_name(family)), Expression::Verdict(verdict.clone())]))
}

/// What the actions of a tier's rules come to in one profile.
struct Actions {
    /// The end that peers are looked for at.
    end: End,
    accept: Verdict,
    deny: Verdict,
    pass: Verdict,
}

impl Actions {
    fn verdict(&self, action: Action) -> &Verdict {
        match action {
            Action::Accept => &self.accept,
            Action::Deny => &self.deny,
            Action::Pass => &self.pass,
        }
    }
}

/// The end of a packet at which the peers of a direction are.
pub(super) fn peer_end(direction: Direction) -> End {
    match direction {
        Direction::Ingress => End::Source,
        Direction::Egress => End::Destination,
    }
}

pub(super) fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

fn peers(peers: &Peers, with_port: Option<(palisade_engine::model::Name, Protocol, u16)>) -> Vec<Peer> {
    let peer = |who| Peer { who, with_port: with_port.clone() };
    match peers {
        Peers::Any => vec![peer(Who::Anyone)],
        Peers::Of(peers) => {
            let who = peers.iter().flat_map(|item| match item {
                RulePeer::Pods { members, .. } => vec![Who::Pods(*members)],
                RulePeer::Block(block) => vec![Who::Block(*block)],
                RulePeer::Nodes { members, .. } => vec![Who::Nodes(*members)],
                // The addresses that were told, and those that are learned; a list told whole has no others.
                RulePeer::Names { known, may_be_outside: false, may_be_inside: false, .. } => vec![Who::Block(*known)],
                RulePeer::Names { names, known, .. } => vec![Who::Block(*known), Who::Names(*names)],
            });
            who.map(peer).collect()
        }
    }
}
