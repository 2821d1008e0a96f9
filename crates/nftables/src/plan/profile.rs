//! The chains of a profile.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram,
    compile::{
        Action, Counting, IdentityId, Otherwise, Peers, Ports, ProfileId, Rule as PolicyRule, RulePeer, RulePorts,
        Tier, TierRules,
    },
    model::{Cluster, Direction, DomainName, Family, Mode, PolicyRef, PortRange, Protocol},
};
use rustc_hash::FxHashMap;

use super::{
    Options, WOULD_DENY,
    cells::{Cells, Decisions, Entry, Traffic},
    names::content_name,
    neighbour_discovery,
    peers::{Lookup, Lookups, NamedPortIndex, Peer, PodSet, UnionId, Unions, Who},
    self_name,
};
use crate::{
    ruleset::{Chain, End, Expression, Key, Name, Rule, Set, SetKind, Verdict, shortened},
    text,
};

/// Up to this many rules a profile's cells are written out; more go behind a verdict map. A rule costs
/// a packet about 30 ns, a map costs the kernel a set, and the kernel searches sets by name in a list.
const PLAIN_RULES: usize = 6;

/// What the pods of one profile need in the table. All but the sets of pods follows from the rules.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The chain that judges them.
    pub(super) chain: Name,
    /// All chains, that one among them.
    pub(super) chains: BTreeMap<Name, Chain>,
    /// The sets and maps that never change.
    pub(super) sets: BTreeMap<Name, Set>,
    /// The sets of pods.
    pub(super) pods: BTreeMap<Name, PodSet>,
    /// What is learned from for some of the sets.
    pub(super) learned: BTreeMap<Name, Vec<DomainName>>,
    /// The chains among them that drop, each with the profile that it belongs to.
    pub(super) denials: Vec<(Name, ProfileId)>,
    /// The chains among them that log what audited policies would deny, and let it pass.
    pub(super) audits: Vec<(Name, AuditChain)>,
    /// The named ports whose numbers, all over the cluster, it depends on.
    pub(super) ports: BTreeSet<(palisade_engine::model::Name, Protocol)>,
}

/// A chain that logs what audited policies would deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// In which direction.
    pub direction: Direction,
    /// The audited policies, as `namespace/name`, or the name alone of a cluster-wide one; by name.
    pub policies: Vec<String>,
    /// The NetworkPolicies among them, which would isolate.
    pub isolating: Vec<String>,
}

/// What a piece is made from: profiles, and the numbers that the pod's own named ports have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PieceKey {
    /// The profile of the enforced policies; `None` when none affects the pod.
    enforced: Option<ProfileId>,
    /// That of all policies; `None` where no audited policy affects the pod, or none that may deny more.
    with_audited: Option<ProfileId>,
    named: NamedPorts,
}

impl PieceKey {
    /// Its profiles.
    pub(super) fn profiles(&self) -> impl Iterator<Item = ProfileId> + use<> {
        self.enforced.into_iter().chain(self.with_audited)
    }
}

/// The numbers that a pod's own named ports have: what an ingress profile depends on besides its rules.
type NamedPorts = Vec<(palisade_engine::model::Name, Protocol, Vec<u16>)>;

/// What judges the pods of an identity in a direction; `None` when no policy affects them.
pub(super) fn piece_key(program: &PolicyProgram, identity: IdentityId, direction: Direction) -> Option<PieceKey> {
    let [enforced, all] = [Counting::Enforced, Counting::WithAudited]
        .map(|counting| program.profile_counting(identity, direction, counting));
    let affects = |id: &ProfileId| !program.profile(*id).is_open();
    let (enforced, with_audited) = (Some(enforced).filter(affects), Some(all).filter(|id| *id != enforced));
    let with_audited = with_audited.filter(|all| may_deny_more(program, enforced, *all));
    // Who has all rules has the enforced ones.
    let rules = with_audited.or(enforced).map(|id| program.profile(id))?;
    let mut named: NamedPorts = Vec::new();
    if direction == Direction::Ingress {
        let rules = rules.tiers.iter().flat_map(|tier| &tier.rules).map(|id| program.rule(*id));
        for (protocol, name) in rules.flat_map(named_in) {
            let numbers = program.identity(identity).port_numbers(name, protocol).to_vec();
            named.push((name.clone(), protocol, numbers));
        }
        named.sort();
        named.dedup();
    }
    Some(PieceKey { enforced, with_audited, named })
}

/// Whether all policies may deny what the enforced ones let pass. Where these isolate a pod already, another
/// NetworkPolicy only adds to what is allowed, and need not be asked; a cluster-wide one may deny.
fn may_deny_more(program: &PolicyProgram, enforced: Option<ProfileId>, all: ProfileId) -> bool {
    let isolated = enforced.is_some_and(|id| program.profile(id).isolating().next().is_some());
    let policies = program.profile(all).tiers.iter().flat_map(|tier| &tier.policies);
    !isolated || policies.into_iter().any(|policy| policy.network().is_none() && program.is_audited(*policy))
}

/// Plans the piece of one profile.
pub(super) struct ProfilePlanner<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
    options: &'a Options,
    ports: &'a NamedPortIndex,
    /// The families that pods have.
    families: &'a [Family],
    unions: Unions,
    /// What finds the members of a union; its sets are in the piece.
    lookups: FxHashMap<UnionId, Vec<Lookup>>,
    piece: Piece,
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
        let enforced = key.enforced.map(|id| self.profile(id, &key.named, Mode::Enforce));
        let audited = key.with_audited.map(|id| self.profile(id, &key.named, Mode::Audit));
        self.piece.chain = match (enforced, audited) {
            (Some(enforced), Some(audited)) => {
                let verdicts = [Verdict::Jump(enforced), Verdict::Goto(audited)];
                self.add_chain("both", verdicts.map(|verdict| Rule::new([Expression::Verdict(verdict)])).into())
            }
            (one, other) => one.or(other).unwrap_or_default(),
        };
        self.piece
    }

    /// The chain of a profile.
    fn profile(&mut self, id: ProfileId, named: &NamedPorts, mode: Mode) -> Name {
        self.mode = mode;
        let profile = self.program.profile(id);
        // From the last tier to the first: each goes on in the next one's chain.
        let mut next = Verdict::Return;
        for (index, tier) in profile.tiers.iter().enumerate().rev() {
            let chain = self.tier((id, index), tier, named, &next);
            next = Verdict::Goto(chain);
        }
        next.chain().cloned().unwrap_or_default()
    }

    fn tier(&mut self, place: (ProfileId, usize), tier: &TierRules, named: &NamedPorts, next: &Verdict) -> Name {
        let direction = self.program.profile(place.0).direction;
        let mut entries = Vec::new();
        for rule in &tier.rules {
            self.entries(self.program.rule(*rule), named, &mut entries);
        }
        let cells = Cells::cut(&entries, &mut self.unions);
        let denies = tier.otherwise == Otherwise::Deny || entries.iter().any(|entry| entry.action == Action::Deny);
        // A tier that denies nothing needs no chain for it, and never gets to that verdict.
        let deny = match (denies, self.mode) {
            (false, _) => Verdict::Drop,
            (true, Mode::Enforce) => Verdict::Goto(self.deny_chain(place.0, tier)),
            (true, Mode::Audit) => Verdict::Goto(self.audit_chain(place)),
        };
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
        let mut rules = Vec::new();
        if tier.tier == Tier::NetworkPolicy && *next != Verdict::Return {
            // What a Service brought back to the pod that sent it is not NetworkPolicy's, but the next tier's.
            rules.extend(itself(next));
        }
        let cells_rules = self.plain_cells(&cells, &actions);
        rules.extend(cells_rules.unwrap_or_else(|| self.mapped_cells(&cells, &actions, &last)));
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
            let lookups = Lookups::of(self.cluster, self.program, self.families, self.unions.peers(union));
            self.piece.pods.extend(lookups.pods);
            self.piece.sets.extend(lookups.fixed);
            self.piece.learned.extend(lookups.learned);
            lookups.asked
        })
    }

    /// The chain that logs, counts and drops what a tier of a profile denies; one for each group of
    /// policies that isolates.
    fn deny_chain(&mut self, profile: ProfileId, tier: &TierRules) -> Name {
        let policies = self.names(&tier.policies).join(", ");
        let direction = self.program.profile(profile).direction;
        let name = content_name(&format!("deny-{}", prefix(direction)), &format!("{:?} {policies}", tier.tier));
        self.denying(&name, tier.tier, Verdict::Drop, policies);
        self.piece.denials.push((name.clone(), profile));
        name
    }

    /// The chain that logs and counts what the tier of a profile would deny, and lets it pass: of the audited
    /// policies there, or where there are none of those that did not let it come to what accepts it now.
    fn audit_chain(&mut self, (profile, index): (ProfileId, usize)) -> Name {
        let profile = self.program.profile(profile);
        let upto = profile.tiers.get(..=index).unwrap_or_default();
        let audited = |tier: &TierRules| -> Vec<PolicyRef> {
            tier.policies.iter().copied().filter(|policy| self.program.is_audited(*policy)).collect()
        };
        let here = upto.last().map(audited).filter(|here| !here.is_empty());
        let audited = here.unwrap_or_else(|| upto.iter().flat_map(audited).collect());
        let policies = self.names(&audited);
        let network: Vec<PolicyRef> = audited.into_iter().filter(|policy| policy.network().is_some()).collect();
        let isolating = self.names(&network);
        let tier = upto.last().map_or(Tier::NetworkPolicy, |tier| tier.tier);
        let (direction, text) = (profile.direction, policies.join(", "));
        let name = content_name(&format!("{WOULD_DENY}{}", prefix(direction)), &format!("{tier:?} {text}"));
        self.denying(&name, tier, Verdict::Return, text);
        self.piece.audits.push((name.clone(), AuditChain { direction, policies, isolating }));
        name
    }

    /// Adds a chain that logs and counts what policies deny, or would, before the verdict.
    fn denying(&mut self, name: &Name, tier: Tier, verdict: Verdict, policies: String) {
        let mut rules = vec![neighbour_discovery()];
        if tier == Tier::NetworkPolicy {
            let passes = itself(&Verdict::Return);
            rules.extend(passes.map(|rule| rule.comment("a pod always reaches itself")));
        }
        if let Some(log) = self.options.log {
            let limit = log.limit.map(|(rate, burst)| Expression::Limit { rate, burst });
            let log = Expression::Log { group: log.group, prefix: name.clone() };
            rules.push(Rule::new(limit.into_iter().chain([log])));
        }
        let last = Rule::new([Expression::Counter, Expression::Verdict(verdict)]);
        rules.push(last.comment(shortened(policies, 200)));
        self.piece.chains.insert(name.clone(), Chain { is_base: false, rules });
    }

    /// The names of policies: the order in which they are read must not matter.
    fn names(&self, policies: &[PolicyRef]) -> Vec<String> {
        let mut names: Vec<String> = policies.iter().map(|policy| self.cluster.policy_name(*policy)).collect();
        names.sort();
        names
    }

    fn add_chain(&mut self, prefix: &str, rules: Vec<Rule>) -> Name {
        let content: Vec<String> = rules.iter().map(text::rule).collect();
        let name = content_name(prefix, &content.join("\n"));
        self.piece.chains.insert(name.clone(), Chain { is_base: false, rules });
        name
    }

    /// One rule as entries: named ports become numbers, each with the peers that it means.
    fn entries(&mut self, rule: &PolicyRule, own: &NamedPorts, entries: &mut Vec<Entry>) {
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
fn itself(verdict: &Verdict) -> [Rule; 2] {
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
