//! The chains of a profile.

use std::collections::BTreeMap;

use palisade_engine::{
    PolicyProgram,
    compile::{
        Action, IdentityId, Otherwise, Peers, Ports, ProfileId, Rule as PolicyRule, RulePeer, RulePorts, TierRules,
    },
    model::{Cluster, Direction, PortRange, Protocol},
};
use rustc_hash::FxHashMap;

use super::{
    Options, Plan,
    cells::{Cells, Decisions, Entry, Traffic},
    names::content_name,
    peers::{Lookup, Members, Peer, UnionId, Unions, Who},
};
use crate::{
    ruleset::{Chain, End, Expression, Key, Name, Rule, Set, SetKind, Verdict, shortened},
    text,
};

/// Up to this many rules a profile's cells are written out; more go behind a verdict map. A rule costs
/// a packet about 30 ns, a map costs the kernel a set, and the kernel searches sets by name in a list.
const PLAIN_RULES: usize = 6;

/// Plans chains, each once.
pub(super) struct ProfilePlanner<'a> {
    program: &'a PolicyProgram,
    options: &'a Options,
    members: Members<'a>,
    unions: Unions,
    /// What finds the members of a union; its sets are in the plan.
    lookups: FxHashMap<UnionId, Vec<Lookup>>,
    plan: Plan,
    /// The first chain for an identity.
    subjects: FxHashMap<(IdentityId, Direction), Option<Name>>,
    /// The first chain of a profile, by what it depends on.
    chains: FxHashMap<(ProfileId, NamedPorts), Name>,
}

/// The numbers that a pod's own named ports have: what an ingress profile depends on besides its rules.
type NamedPorts = Vec<(palisade_engine::model::Name, Protocol, Vec<u16>)>;

impl<'a> ProfilePlanner<'a> {
    pub(super) fn new(cluster: &'a Cluster, program: &'a PolicyProgram, options: &'a Options) -> Self {
        let members = Members::new(cluster, program);
        Self {
            program,
            options,
            members,
            unions: Unions::default(),
            lookups: FxHashMap::default(),
            plan: Plan::default(),
            subjects: FxHashMap::default(),
            chains: FxHashMap::default(),
        }
    }

    pub(super) fn finish(mut self) -> Plan {
        let mut profiles: Vec<ProfileId> = self.chains.keys().map(|(profile, _)| *profile).collect();
        profiles.sort_unstable();
        profiles.dedup();
        self.plan.profiles = profiles.len();
        self.plan
    }

    /// The chain that judges the pods of an identity in a direction; `None` when no policy affects them.
    pub(super) fn chain(&mut self, identity: IdentityId, direction: Direction) -> Option<Name> {
        if let Some(known) = self.subjects.get(&(identity, direction)) {
            return known.clone();
        }
        let chain = self.profile_chain(identity, direction);
        self.subjects.insert((identity, direction), chain.clone());
        chain
    }

    fn profile_chain(&mut self, identity: IdentityId, direction: Direction) -> Option<Name> {
        let id = self.program.profile_of(identity, direction);
        let profile = self.program.profile(id);
        if profile.is_open() {
            return None;
        }
        let named = match direction {
            Direction::Ingress => self.named_ports(identity, &profile.tiers),
            Direction::Egress => Vec::new(),
        };
        let key = (id, named);
        if let Some(chain) = self.chains.get(&key) {
            return Some(chain.clone());
        }
        // From the last tier to the first: each goes on in the next one's chain.
        let mut next = Verdict::Return;
        for tier in profile.tiers.iter().rev() {
            let chain = self.tier(id, tier, identity, direction, &next);
            next = Verdict::Goto(chain);
        }
        let chain = next.chain().cloned()?;
        self.chains.insert(key, chain.clone());
        Some(chain)
    }

    fn named_ports(&self, identity: IdentityId, tiers: &[TierRules]) -> NamedPorts {
        let rules = tiers.iter().flat_map(|tier| &tier.rules).map(|id| self.program.rule(*id));
        let mut named: NamedPorts = Vec::new();
        for (protocol, name) in rules.flat_map(named_in) {
            let numbers = self.program.identity(identity).port_numbers(name, protocol).to_vec();
            named.push((name.clone(), protocol, numbers));
        }
        named.sort();
        named.dedup();
        named
    }

    fn tier(
        &mut self,
        id: ProfileId,
        tier: &TierRules,
        subject: IdentityId,
        direction: Direction,
        next: &Verdict,
    ) -> Name {
        let mut entries = Vec::new();
        for rule in &tier.rules {
            self.entries(self.program.rule(*rule), subject, &mut entries);
        }
        let cells = Cells::cut(&entries, &mut self.unions);
        let denies = tier.otherwise == Otherwise::Deny || entries.iter().any(|entry| entry.action == Action::Deny);
        // A tier that denies nothing needs no chain for it, and never gets to that verdict.
        let deny = if denies { Verdict::Goto(self.deny_chain(id, tier, direction)) } else { Verdict::Drop };
        let actions = Actions {
            end: match direction {
                Direction::Ingress => End::Source,
                Direction::Egress => End::Destination,
            },
            accept: Verdict::Return,
            deny: deny.clone(),
            pass: next.clone(),
        };
        let last = match tier.otherwise {
            Otherwise::Deny => deny,
            Otherwise::NextTier => next.clone(),
        };
        let mut rules =
            self.plain_cells(&cells, &actions).unwrap_or_else(|| self.mapped_cells(&cells, &actions, &last));
        rules.extend(self.ask(&cells.rest, &actions, &[]));
        rules.push(Rule::new([Expression::Verdict(last)]));
        self.add_chain(prefix(direction), rules)
    }

    /// The cells as plain rules, when these are few and none needs an order: a packet that no rule of
    /// its cell accepts may then go on to the rest, which accepts no one that the cell does not.
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
            self.plan.ruleset.sets.insert(name.clone(), Set { kind, is_map: true, comment: None, elements });
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
            let (lookups, sets) = self.members.lookups(self.unions.peers(union));
            self.plan.ruleset.sets.extend(sets);
            lookups
        })
    }

    /// The chain that logs, counts and drops what a tier of a profile denies; one for each group of
    /// policies that isolates.
    fn deny_chain(&mut self, id: ProfileId, tier: &TierRules, direction: Direction) -> Name {
        let policies = tier.policies.iter().map(|policy| self.members.cluster.policy_name(*policy));
        let mut policies: Vec<String> = policies.collect();
        // The order in which policies are read must not matter.
        policies.sort();
        let policies = policies.join(", ");
        let name = content_name(&format!("deny-{}", prefix(direction)), &format!("{:?} {policies}", tier.tier));
        let mut rules = Vec::new();
        if let Some(log) = self.options.log {
            let limit = log.limit.map(|(rate, burst)| Expression::Limit { rate, burst });
            let log = Expression::Log { group: log.group, prefix: name.clone() };
            rules.push(Rule::new(limit.into_iter().chain([log])));
        }
        let drop = Rule::new([Expression::Counter, Expression::Verdict(Verdict::Drop)]);
        rules.push(drop.comment(shortened(policies, 200)));
        self.plan.ruleset.chains.insert(name.clone(), Chain { is_base: false, rules });
        self.plan.denials.insert(name.clone(), id);
        name
    }

    fn add_chain(&mut self, prefix: &str, rules: Vec<Rule>) -> Name {
        let content: Vec<String> = rules.iter().map(text::rule).collect();
        let name = content_name(prefix, &content.join("\n"));
        self.plan.ruleset.chains.insert(name.clone(), Chain { is_base: false, rules });
        name
    }

    /// One rule as entries: named ports become numbers, each with the peers that it means.
    fn entries(&mut self, rule: &PolicyRule, subject: IdentityId, entries: &mut Vec<Entry>) {
        let unions = &mut self.unions;
        let peers = unions.of(peers(&rule.peers, None));
        let mut add = |peers, traffic| entries.push(Entry { action: rule.action, peers, traffic });
        let Ports::Of(ports) = &rule.ports else { return add(peers, Traffic::All) };
        for port in ports {
            let protocol = port.protocol;
            let single = |number| Traffic::Ports(protocol, PortRange::single(number));
            match (&port.ports, rule.origin.direction) {
                (RulePorts::Range(range), _) => add(peers, Traffic::Ports(protocol, *range)),
                (RulePorts::Named(name), Direction::Ingress) => {
                    for number in self.program.identity(subject).port_numbers(name, protocol) {
                        add(peers, single(*number));
                    }
                }
                (RulePorts::Named(name), Direction::Egress) => {
                    for number in self.members.numbers(name, protocol) {
                        let with_port = Some((name.clone(), protocol, number));
                        add(unions.of(self::peers(&rule.peers, with_port)), single(number));
                    }
                }
            }
        }
    }
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

fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

fn named_in(rule: &PolicyRule) -> impl Iterator<Item = (Protocol, &palisade_engine::model::Name)> {
    let ports = match &rule.ports {
        Ports::All => [].iter(),
        Ports::Of(ports) => ports.iter(),
    };
    ports.filter_map(|port| match &port.ports {
        RulePorts::Named(name) => Some((port.protocol, name)),
        RulePorts::Range(_) => None,
    })
}

fn peers(peers: &Peers, with_port: Option<(palisade_engine::model::Name, Protocol, u16)>) -> Vec<Peer> {
    let peer = |who| Peer { who, with_port: with_port.clone() };
    match peers {
        Peers::Any => vec![peer(Who::Anyone)],
        Peers::Of(peers) => {
            let who = peers.iter().map(|item| match item {
                RulePeer::Pods { members, .. } => Who::Pods(*members),
                RulePeer::Block(block) => Who::Block(*block),
                RulePeer::Nodes { members, .. } => Who::Nodes(*members),
                // The addresses that are known; whoever learns of others puts them in.
                RulePeer::Names { known, .. } => Who::Block(*known),
            });
            who.map(peer).collect()
        }
    }
}
