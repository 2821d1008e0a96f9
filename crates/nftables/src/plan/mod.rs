//! The ruleset of one node, planned from the policy program.
//!
//! ```text
//! chain forward    the end, for whatever belongs to a connection that stands; chain judge, for everything else
//! chain judge      forged source ─► pods not known (when asked for)
//!                  ─► map egress  by source address ──────► chain of the pod's egress profile
//!                  ─► map ingress by destination address ─► chain of the pod's ingress profile
//!                  ─► log, where accepted connections are logged
//! chain of a       the port's cell: plain rules, or a verdict map on protocol and port in front
//!   tier           each cell: one look-up in the union of the peers that its rules allow
//!                  return = this direction allows; the packet goes on to the other direction
//!                  goto the chain that logs, counts and drops, but for neighbour discovery, and for what a
//!                  Service brought back to the pod that sent it
//! where cluster-   first, in a chain like that of a tier: the pods that NetworkPolicies accept, and nobody
//!   wide policies  before them denies; all others go through the tiers. What a Service brought back to the pod that
//!   come before    sent it goes around, where the Baseline tier may deny it
//! where audited    jump to the chain of the enforced ones, then goto that of all, which is built alike: but what
//!   ones may deny  it denies is logged, counted, and returns
//!   more
//! ```
//!
//! [`plan`] plans all of it, a [`Planner`] goes on from there: what a change touches is planned anew.
//!
//! A packet costs the same under ten policies as under ten thousand: nothing here is a list of
//! policies. Names come from content, so what is equal is shared, and a restart recognises it.

mod cells;
mod denial;
mod dispatch;
mod front;
mod names;
mod peers;
mod piece;
mod planner;
mod profile;
mod source;
mod unions;
mod unknown;

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::{
    PolicyProgram,
    compile::ProfileId,
    model::{Cluster, Direction, Family, NodeId},
};

pub use self::piece::AuditChain;
pub use self::planner::Planner;
pub use self::unknown::{LocalPrefixes, Misfit, UNKNOWN_POD, UnknownPods, closed};
use crate::{
    draft::Draft,
    ruleset::{Chain, End, Expression, Key, Name, Rule, Ruleset, Verdict},
};

/// The chain that judges first packets, and whatever else belongs to no connection that stands.
const JUDGE: &str = "judge";

/// What a node's ruleset depends on besides its pods and the policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How the names of the interfaces begin that lead to one pod each, such as `veth` or `cali`: a
    /// new packet from there must have a source that is reached through there. Empty: not checked.
    pub pod_interfaces: Vec<String>,
    /// Whether and how dropped packets are logged.
    pub log: Option<Log>,
    /// Whether and how new connections are logged that passed both directions.
    pub log_accepted: Option<Sample>,
    /// What becomes of the packets of this node's pods that are not known yet.
    pub unknown_pods: UnknownPods,
}

/// The prefix of the log of accepted connections: no name of a chain that denies.
pub const ACCEPTED: &str = "accepted";

/// How the names of the chains begin that log what audited policies would deny.
pub const WOULD_DENY: &str = "would-deny-";

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
        Self { pod_interfaces: Vec::new(), log: Some(log), log_accepted: None, unknown_pods: UnknownPods::Allow }
    }
}

/// The plan of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What its table shall hold.
    pub ruleset: Ruleset,
    /// The profiles behind each chain that drops, by its name, which is also the prefix of its log.
    pub denials: BTreeMap<Name, ProfileId>,
    /// The chains that log what audited policies would deny, likewise.
    pub audits: BTreeMap<Name, AuditChain>,
    /// How many profiles isolate a pod of this node, or would.
    pub profiles: usize,
}

/// Plans the ruleset of `node`: it judges what its own pods send and receive.
///
/// Pods without an address are not in it: there is no packet to tell theirs by.
pub fn plan(cluster: &Cluster, program: &PolicyProgram, node: NodeId, options: &Options) -> Plan {
    let mut draft = Draft::default();
    let planner = Planner::new(cluster, program, node, options.clone(), &mut draft);
    let (denials, audits, profiles) = (planner.denials().clone(), planner.audits().clone(), planner.profiles());
    Plan { ruleset: draft.into_ruleset(), denials, audits, profiles }
}

/// Sends on what belongs to no connection that stands, nor is an error about one. For all others the end of the chain
/// accepts: as short as can be, without even a verdict of its own, since each expression costs every packet that the
/// node forwards.
fn forward() -> Chain {
    let goto = Expression::Verdict(Verdict::Goto(JUDGE.to_owned()));
    Chain { is_base: true, rules: vec![Rule::new([Expression::NeitherEstablishedNorRelated, goto])] }
}

/// What judges first packets.
fn judge(options: &Options, unknown: Vec<Rule>) -> Chain {
    let mut rules = Vec::new();
    for family in Family::ALL {
        rules.extend(options.pod_interfaces.iter().map(|prefix| source::ask(family, prefix)));
    }
    rules.extend(unknown);
    for (direction, end) in [(Direction::Egress, End::Source), (Direction::Ingress, End::Destination)] {
        for family in Family::ALL {
            rules.push(Rule::new([Expression::AddressMap(end, family, map_name(direction, family))]));
        }
    }
    rules.extend(options.log_accepted.map(accepted));
    Chain { is_base: false, rules }
}

/// Router and neighbour solicitation, advertisement, redirect (RFC 4861), which a bridged pod needs to be
/// reached, are never dropped. Asked where something is to be dropped, not of every packet.
fn neighbour_discovery() -> Rule {
    Rule::new([Expression::Icmpv6Types(133, 137), Expression::Verdict(Verdict::Return)])
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
