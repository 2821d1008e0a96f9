//! The ruleset of one node, planned from the policy program.
//!
//! ```text
//! chain forward    cut connections ─► established ─► neighbour discovery ─► forged source ─► itself
//!                  ─► map egress  by source address ──────► chain of the pod's egress profile
//!                  ─► map ingress by destination address ─► chain of the pod's ingress profile
//!                  ─► log, where accepted connections are logged
//! chain of a       the port's cell: plain rules, or a verdict map on protocol and port in front
//!   profile        each cell: one look-up in the union of the peers that its rules allow
//!                  return = this direction allows; the packet goes on to the other direction
//!                  goto the chain that logs, counts and drops
//! ```
//!
//! A packet costs the same under ten policies as under ten thousand: nothing here is a list of
//! policies. Names come from content, so what is equal is shared, and a restart recognises it.

mod cells;
mod names;
mod peers;
mod profile;

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::{
    PolicyProgram,
    compile::ProfileId,
    model::{Cluster, Direction, Family, NodeId},
};

use self::profile::ProfilePlanner;
use crate::ruleset::{Chain, End, Expression, FORWARD, Key, Name, Rule, Ruleset, Set, SetKind, Verdict};

/// What a node's ruleset depends on besides its pods and the policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How the names of the interfaces begin that lead to one pod each, such as `veth` or `cali`: a
    /// new packet from there must have a source that is reached through there. Empty: not checked.
    pub pod_interfaces: Vec<String>,
    /// The bit of the conntrack mark that cuts a connection.
    pub cut_mark: u32,
    /// Whether and how dropped packets are logged.
    pub log: Option<Log>,
    /// Whether and how new connections are logged that passed both directions.
    pub log_accepted: Option<Sample>,
}

/// The prefix of the log of accepted connections: no name of a chain that denies.
pub const ACCEPTED: &str = "accepted";

/// The logging of accepted connections: of one of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// One of how many, by chance; up to 1: each.
    pub one_of: u32,
    /// Where to, and how many at most.
    pub log: Log,
}

/// The logging of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The NFLOG group.
    pub group: u16,
    /// Packets a second, and at once on top of it, that each profile may log; `None`: all.
    pub limit: Option<(u32, u32)>,
}

impl Default for Options {
    fn default() -> Self {
        let log = Log { group: 1, limit: Some((100, 200)) };
        Self { pod_interfaces: Vec::new(), cut_mark: 1 << 27, log: Some(log), log_accepted: None }
    }
}

/// The plan of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What its table shall hold.
    pub ruleset: Ruleset,
    /// The profiles behind each chain that drops, by its name, which is also the prefix of its log.
    pub denials: BTreeMap<Name, ProfileId>,
    /// How many profiles isolate a pod of this node.
    pub profiles: usize,
}

/// Plans the ruleset of `node`: it judges what its own pods send and receive.
///
/// Pods without an address are not in it: there is no packet to tell theirs by.
pub fn plan(cluster: &Cluster, program: &PolicyProgram, node: NodeId, options: &Options) -> Plan {
    let mut planner = ProfilePlanner::new(cluster, program, options);
    let mut maps: BTreeMap<(Direction, Family), BTreeMap<Key, Option<Verdict>>> = BTreeMap::new();
    let mut pairs: BTreeMap<Family, BTreeMap<Key, Option<Verdict>>> = BTreeMap::new();
    for direction in Direction::ALL {
        for family in Family::ALL {
            maps.insert((direction, family), BTreeMap::new());
            pairs.insert(family, BTreeMap::new());
        }
    }
    for (id, pod) in cluster.pods() {
        let Some(identity) = program.identity_of(id) else { continue };
        if cluster.node_of(id) != Some(node) {
            continue;
        }
        for direction in Direction::ALL {
            let Some(chain) = planner.chain(identity, direction) else { continue };
            for address in pod.addresses.iter() {
                let family = Family::of(address);
                if let Some(map) = maps.get_mut(&(direction, family)) {
                    map.insert(Key::Address(address), Some(Verdict::Jump(chain.clone())));
                }
                if let Some(set) = pairs.get_mut(&family) {
                    set.insert(Key::Pair(address, address), None);
                }
            }
        }
    }
    let mut plan = planner.finish();
    for ((direction, family), elements) in maps {
        let set = Set { kind: SetKind::Addresses(family), is_map: true, comment: None, elements };
        plan.ruleset.sets.insert(map_name(direction, family), set);
    }
    for (family, elements) in pairs {
        let set = Set { kind: SetKind::AddressPairs(family), is_map: false, comment: None, elements };
        plan.ruleset.sets.insert(self_name(family), set);
    }
    plan.ruleset.chains.insert(FORWARD.to_owned(), forward(options));
    plan
}

fn forward(options: &Options) -> Chain {
    let mut rules = vec![
        Rule::new([
            Expression::ConnectionMark(options.cut_mark),
            Expression::Counter,
            Expression::Verdict(Verdict::Drop),
        ])
        .comment("connections that a change of policy has cut"),
        Rule::new([Expression::EstablishedOrRelated, Expression::Verdict(Verdict::Accept)]),
    ];
    // Router and neighbour solicitation, advertisement, redirect (RFC 4861): a bridged pod needs them to be
    // reached. Before the forged: the solicitation that looks for a duplicate address comes from `::`.
    rules.push(Rule::new([Expression::Icmpv6Types(133, 137), Expression::Verdict(Verdict::Accept)]));
    for prefix in &options.pod_interfaces {
        let forged = [
            Expression::InterfacePrefix(prefix.clone()),
            Expression::SourceNotBehindInterface,
            Expression::Counter,
            Expression::Verdict(Verdict::Drop),
        ];
        rules.push(Rule::new(forged).comment("forged source address"));
    }
    for family in Family::ALL {
        let itself = [Expression::PairIn(family, self_name(family)), Expression::Verdict(Verdict::Accept)];
        rules.push(Rule::new(itself).comment("a pod always reaches itself"));
    }
    for (direction, end) in [(Direction::Egress, End::Source), (Direction::Ingress, End::Destination)] {
        for family in Family::ALL {
            rules.push(Rule::new([Expression::AddressMap(end, family, map_name(direction, family))]));
        }
    }
    rules.extend(options.log_accepted.map(accepted));
    Chain { is_base: true, rules }
}

/// What comes to the end of the chain has passed both directions. Packets of connections that were there
/// before do not come so far, and what conntrack makes no sense of is no connection.
fn accepted(sample: Sample) -> Rule {
    let Sample { one_of, log: Log { group, limit } } = sample;
    let one_of = (one_of > 1).then_some(Expression::OneOf(one_of));
    let limit = limit.map(|(rate, burst)| Expression::Limit { rate, burst });
    let log = Expression::Log { group, prefix: ACCEPTED.to_owned() };
    Rule::new([Expression::NewConnection].into_iter().chain(one_of).chain(limit).chain([log]))
}

fn map_name(direction: Direction, family: Family) -> Name {
    format!("{direction}{}", digit(family))
}

fn self_name(family: Family) -> Name {
    format!("self{}", digit(family))
}

/// `4` or `6`, the end of a name that is there once a family.
fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

/// Where a packet of some address goes: for tests and messages.
pub fn chain_of(ruleset: &Ruleset, direction: Direction, address: IpAddr) -> Option<&Name> {
    let map = ruleset.sets.get(&map_name(direction, Family::of(address)))?;
    map.elements.get(&Key::Address(address))?.as_ref()?.chain()
}
