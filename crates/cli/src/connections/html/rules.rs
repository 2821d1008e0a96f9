//! The compiled rules for the page: whom each means, with which traffic, and where it was written.

use std::collections::{BTreeMap, HashMap};

use palisade_engine::{
    Connections, PolicyProgram,
    compile::{Action, BlockId, Otherwise, Peers, Ports, Rule, RuleId, RulePeer, RulePorts},
    connections::{End, EndSet},
    model::{Cluster, Direction, Family, PolicyRef, Span},
    sets::TrafficSet,
};
use serde::Serialize;

use super::tables::{NONE, Tables, number, signed};
use crate::{
    connections::{names::prefixes, text::readable},
    input::Excerpts,
    screen::shortened,
};

/// Namespace, name, file, line.
#[derive(Debug, Serialize)]
pub(super) struct PolicyData(u32, String, i32, u32);

/// The policies and the rules that judge some pods in one direction; then its tiers in order, each as how many of
/// the rules are its own, and whether (1) what none of them matches is denied.
#[derive(Debug, Serialize)]
pub(super) struct ProfileData(Vec<u32>, Vec<u32>, Vec<(u32, u8)>);

/// Policy, direction (0 ingress, 1 egress), index, file, line, peers and ports as text, and of ends:
/// whom it means over IPv4, over IPv6 ([`NONE`]: everyone), whom it would mean if an address that is
/// not known were right; what it does (0 accepts, 1 denies, 2 passes); then its traffic, followed by ends and theirs where a name makes it another one.
#[derive(Debug, Serialize)]
pub(super) struct RuleData(u32, u8, u32, i32, u32, u32, u32, i32, i32, i32, u8, Vec<u32>);

/// The ends that an ipBlock holds.
#[derive(Clone, Debug, Default)]
struct Held {
    /// For certain, by family.
    certain: [EndSet; 2],
    /// If their address, which is not known, should be in it.
    perhaps: EndSet,
}

/// Makes data of rules.
pub(super) struct Rules<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
    connections: &'a Connections,
    excerpts: &'a Excerpts,
    numbers: HashMap<RuleId, u32>,
    /// Whom each rule is about, where its traffic depends on them: an ingress rule that names ports.
    subjects: HashMap<RuleId, EndSet>,
    blocks: BTreeMap<BlockId, Held>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        program: &'a PolicyProgram,
        connections: &'a Connections,
        excerpts: &'a Excerpts,
    ) -> Self {
        let numbers = program.rules().map(|(id, _)| id).zip(0..).collect();
        let mut subjects: HashMap<RuleId, EndSet> = HashMap::new();
        for (identity, _) in program.identities() {
            let profile = program.profile(program.profile_of(identity, Direction::Ingress));
            for rule in
                profile.tiers.iter().flat_map(|tier| &tier.rules).filter(|rule| names_ports(program.rule(**rule)))
            {
                subjects.entry(*rule).or_default().insert(connections.ends().of_identity(identity).number());
            }
        }
        Self { cluster, program, connections, excerpts, numbers, subjects, blocks: BTreeMap::new() }
    }

    pub(super) fn number(&self, rule: RuleId) -> u32 {
        self.numbers.get(&rule).copied().unwrap_or_default()
    }

    pub(super) fn policies(&self, tables: &mut Tables) -> Vec<PolicyData> {
        let policies = self.cluster.policies().map(|(_, policy)| {
            let (file, line) = self.place(policy.at, tables);
            PolicyData(tables.text(&policy.id.namespace), policy.id.name.to_string(), file, line)
        });
        let mut policies: Vec<PolicyData> = policies.collect();
        for (_, policy) in self.cluster.cluster_policies() {
            let (file, line) = self.place(policy.at, tables);
            policies.push(PolicyData(tables.text(""), policy.name.to_string(), file, line));
        }
        policies
    }

    /// The place of a policy in [`Self::policies`]: NetworkPolicies first.
    fn policy_number(&self, policy: PolicyRef) -> u32 {
        match policy {
            PolicyRef::Network(id) => number(id.index()),
            PolicyRef::Cluster(id) => number(self.cluster.policies().len() + id.index()),
        }
    }

    pub(super) fn profiles(&self) -> Vec<ProfileData> {
        let profiles = self.program.profiles().iter().map(|profile| {
            let policies =
                profile.tiers.iter().flat_map(|tier| &tier.policies).map(|policy| self.policy_number(*policy));
            let rules = profile.tiers.iter().flat_map(|tier| &tier.rules).map(|rule| self.number(*rule));
            let tiers = profile.tiers.iter();
            let tiers = tiers.map(|tier| (number(tier.rules.len()), u8::from(tier.otherwise == Otherwise::Deny)));
            ProfileData(policies.collect(), rules.collect(), tiers.collect())
        });
        profiles.collect()
    }

    pub(super) fn rules(&mut self, tables: &mut Tables) -> Vec<RuleData> {
        let program = self.program;
        program.rules().map(|(id, rule)| self.rule(id, rule, tables)).collect()
    }

    fn rule(&mut self, id: RuleId, rule: &Rule, tables: &mut Tables) -> RuleData {
        let origin = rule.origin;
        let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
        let (file, line) = self.place(at, tables);
        let (peers, ports) = (tables.text(&self.peers_text(rule)), tables.text(&ports_text(rule)));
        let ends = self.ends(rule);
        let allows = self.traffic(id, rule, ends.as_ref(), tables);
        let set = |set: Option<&EndSet>, tables: &mut Tables| set.map_or(NONE, |set| signed(tables.set(set)));
        let perhaps = ends.as_ref().map(|held| &held.perhaps).filter(|set| !set.is_empty());
        let [v4, v6] = [0, 1].map(|family| ends.as_ref().and_then(|held| held.certain.get(family)));
        RuleData(
            self.policy_number(origin.policy),
            u8::from(origin.direction == Direction::Egress),
            number(origin.index),
            file,
            line,
            peers,
            ports,
            set(v4, tables),
            set(v6, tables),
            set(perhaps, tables),
            match rule.action {
                Action::Accept => 0,
                Action::Deny => 1,
                Action::Pass => 2,
            },
            allows,
        )
    }

    /// Whom a rule means; `None` for everyone.
    fn ends(&mut self, rule: &Rule) -> Option<Held> {
        let Peers::Of(peers) = &rule.peers else { return None };
        let mut all = Held::default();
        for peer in peers {
            match peer {
                RulePeer::Pods { members, .. } => {
                    // INVARIANT of Ends: identities come first, by their numbers.
                    all.certain.iter_mut().for_each(|set| *set |= self.program.members(*members));
                }
                RulePeer::Nodes { members, .. } => {
                    let ends = self.connections.ends();
                    let nodes = ends.iter().filter(
                        |(_, end)| matches!(end, End::Node { node, .. } if self.program.selects_node(*members, *node)),
                    );
                    let nodes: EndSet = nodes.map(|(id, _)| id.number()).collect();
                    all.certain.iter_mut().for_each(|set| *set |= &nodes);
                }
                RulePeer::Block(block) | RulePeer::Names { known: block, .. } => {
                    let held = match self.blocks.get(block) {
                        Some(known) => known,
                        None => {
                            let held = self.held(*block);
                            self.blocks.entry(*block).or_insert(held)
                        }
                    };
                    all.certain.iter_mut().zip(&held.certain).for_each(|(set, more)| *set |= more);
                    all.perhaps |= &held.perhaps;
                }
            }
        }
        Some(all)
    }

    fn held(&self, block: BlockId) -> Held {
        let (ends, block) = (self.connections.ends(), self.program.block(block));
        let outside = ends.of_prefixes(block);
        let mut held = Held { certain: [outside.clone(), outside], perhaps: EndSet::new() };
        for (id, end) in ends.iter() {
            let addresses = match end {
                End::Pods(identity) => {
                    // Of an identity, all are in a block or none is.
                    let Some(pod) = self.program.identity(*identity).pods.first() else { continue };
                    Family::ALL.map(|family| self.cluster.pod(*pod).addresses.of(family))
                }
                End::Node { addresses, .. } => *addresses,
                End::Outside { .. } => continue,
            };
            for ((family, set), address) in Family::ALL.into_iter().zip(&mut held.certain).zip(addresses) {
                match address {
                    Some(address) if block.contains(address) => _ = set.insert(id.number()),
                    None if addresses == [None, None] && block.is_all_in(family) => _ = set.insert(id.number()),
                    None if addresses == [None, None] && !block.is_empty_in(family) => {
                        held.perhaps.insert(id.number());
                    }
                    _ => {}
                }
            }
        }
        held
    }

    fn traffic(&self, id: RuleId, rule: &Rule, ends: Option<&Held>, tables: &mut Tables) -> Vec<u32> {
        if !names_ports(rule) {
            return vec![tables.traffic(&numbers_of(rule))];
        }
        let mut all = vec![tables.traffic(&numbers_of(rule))];
        let mut by_traffic: BTreeMap<TrafficSet, EndSet> = BTreeMap::new();
        let none = EndSet::new();
        for (identity, _) in self.program.identities() {
            let end = self.connections.ends().of_identity(identity).number();
            let receives = match rule.origin.direction {
                Direction::Ingress => self.subjects.get(&id).unwrap_or(&none).contains(end),
                Direction::Egress => ends
                    .is_none_or(|held| held.perhaps.contains(end) || held.certain.iter().any(|set| set.contains(end))),
            };
            if receives {
                by_traffic.entry(self.program.traffic_towards(rule, identity)).or_default().insert(end);
            }
        }
        for (traffic, set) in by_traffic {
            all.extend([tables.set(&set), tables.traffic(&traffic)]);
        }
        all
    }

    fn peers_text(&self, rule: &Rule) -> String {
        let Peers::Of(peers) = &rule.peers else { return "anyone".to_owned() };
        let texts = peers.iter().map(|peer| match peer {
            RulePeer::Pods { members, .. } => readable(self.program.selector_text(*members)),
            RulePeer::Block(block) => prefixes(self.program.block(*block)).join("; "),
            RulePeer::Nodes { members, .. } => self.program.node_set_text(*members).to_owned(),
            RulePeer::Names { .. } => "domain names".to_owned(),
        });
        shortened(&texts.collect::<Vec<_>>(), " or ", 8)
    }

    fn place(&self, at: Option<Span>, tables: &mut Tables) -> (i32, u32) {
        at.map_or((NONE, 0), |at| {
            let file = self.excerpts.short(self.cluster.sources().name(at.file));
            (signed(tables.text(file)), at.start.line)
        })
    }
}

fn names_ports(rule: &Rule) -> bool {
    match &rule.ports {
        Ports::All => false,
        Ports::Of(ports) => ports.iter().any(|port| matches!(port.ports, RulePorts::Named(_))),
    }
}

/// The ports that a rule gives as numbers.
fn numbers_of(rule: &Rule) -> TrafficSet {
    let Ports::Of(ports) = &rule.ports else { return TrafficSet::all() };
    let ranges = ports.iter().filter_map(|port| match port.ports {
        RulePorts::Range(range) => Some((port.protocol, range)),
        RulePorts::Named(_) => None,
    });
    ranges.collect()
}

fn ports_text(rule: &Rule) -> String {
    let Ports::Of(ports) = &rule.ports else { return "all traffic".to_owned() };
    let numbers = numbers_of(rule);
    let mut texts: Vec<String> = if numbers.is_empty() { Vec::new() } else { vec![numbers.to_string()] };
    texts.extend(ports.iter().filter_map(|port| match &port.ports {
        RulePorts::Named(name) => Some(format!("{} {name}", port.protocol)),
        RulePorts::Range(_) => None,
    }));
    shortened(&texts, " or ", 8)
}
