//! Pods that nobody told of yet: their addresses, held closed until they are known.
//!
//! ```text
//! packet ─► ip saddr @local4, ip saddr != @known4 ─► chain unknown-pod: log, count, drop
//!           ip daddr @local4, ip daddr != @known4 ─┘   (and the same in IPv6)
//! local     the prefixes that pods of this node have addresses from
//! known     who of them is known: the live pods of the cluster, isolated or not, and the nodes
//! ```
//!
//! A CNI gives a pod its address before the API server can tell anybody: for that while the pod has no
//! place in the maps, and would send and receive as if no policy isolated it. Inside of the prefixes
//! nobody counts as external, so whoever is not known is a pod that is not known yet.
//!
//! What is not concerned: packets between the node and its own pods (probes of the kubelet), for they do
//! not pass the forward hook; host-network pods, whose addresses are a node's; the bridge's own address
//! inside the prefix, to which and from which nothing is forwarded on its node (a source that is
//! masqueraded to it becomes so after this hook); connections that stand; neighbour discovery.
//!
//! A known pod is open whichever node it runs on: one prefix may serve pods of several nodes (a pool).

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::{
    model::{Cluster, Family, Name as ObjectName, NodeId, ObjectRef},
    sets::PrefixSet,
};

use super::{Log, digit, peers::range_keys};
use crate::ruleset::{Chain, End, Expression, FORWARD, Key, Name, Rule, Ruleset, Set, SetKind, Verdict};

/// The chain that drops, which is also the prefix of its log.
pub const UNKNOWN_POD: &str = "unknown-pod";

/// What becomes of the packets of a pod of this node before it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownPods {
    /// They pass, as if no policy isolated it.
    #[default]
    Allow,
    /// They are dropped.
    Deny(LocalPrefixes),
}

/// Where the addresses of a node's pods are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalPrefixes {
    /// The node's `podCIDRs`.
    OfNode,
    /// These.
    Given(PrefixSet),
}

/// Why the addresses of a node's pods cannot be held closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Nothing says where the addresses are from.
    #[error(
        "node {0} has no podCIDR, so nothing says which addresses are of pods that are not known: \
         give their prefixes with --pod-cidr, or start with --unknown-pods=allow"
    )]
    NoPrefixes(ObjectName),
    /// A pod has another address, so others may have too, and would not be held.
    #[error("{}", outside(.pod, *.address, *.more, .prefixes))]
    Outside {
        /// The first such pod.
        pod: ObjectRef,
        /// Its address.
        address: IpAddr,
        /// How many more addresses are outside.
        more: usize,
        /// What it is outside of.
        prefixes: PrefixSet,
    },
}

fn outside(pod: &ObjectRef, address: IpAddr, more: usize, prefixes: &PrefixSet) -> String {
    let prefixes: Vec<String> = prefixes.prefixes().map(|prefix| prefix.to_string()).collect();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!(
        "Pod {pod} of this node has the address {address}{more}, outside of {}: pods that are not known would not be \
         held; give all prefixes of this node's pods with --pod-cidr, or start with --unknown-pods=allow",
        prefixes.join(", ")
    )
}

impl UnknownPods {
    /// The prefixes that are held for `node`; none when nothing is.
    pub fn prefixes(&self, cluster: &Cluster, node: NodeId) -> PrefixSet {
        match self {
            Self::Allow => PrefixSet::empty(),
            Self::Deny(LocalPrefixes::Given(prefixes)) => prefixes.clone(),
            Self::Deny(LocalPrefixes::OfNode) => cluster.node(node).pod_prefixes.iter().copied().collect(),
        }
    }

    /// Whether every pod of `node` would have been held.
    ///
    /// # Errors
    /// When there is no prefix, or a live pod of the node lies outside of all.
    pub fn check(&self, cluster: &Cluster, node: NodeId) -> Result<(), Misfit> {
        if *self == Self::Allow {
            return Ok(());
        }
        let prefixes = self.prefixes(cluster, node);
        if prefixes.is_empty() {
            return Err(Misfit::NoPrefixes(cluster.node(node).name.clone()));
        }
        let local = cluster.pods().filter(|(id, pod)| {
            pod.is_live() && !pod.host_network && !pod.stand_in && cluster.node_of(*id) == Some(node)
        });
        let mut outside = local
            .flat_map(|(_, pod)| pod.addresses.iter().map(move |address| (&pod.id, address)))
            .filter(|(_, address)| !prefixes.contains(*address));
        match outside.next() {
            None => Ok(()),
            Some((pod, address)) => {
                let more = outside.count();
                Err(Misfit::Outside { pod: pod.clone(), address, more, prefixes: prefixes.clone() })
            }
        }
    }
}

/// Adds what holds `prefixes` closed but for who is known; the rules for the base chain are returned.
pub(super) fn hold(ruleset: &mut Ruleset, cluster: &Cluster, prefixes: &PrefixSet, log: Option<Log>) -> Vec<Rule> {
    let of_pods = cluster.pods().filter(|(_, pod)| pod.is_live()).flat_map(|(_, pod)| pod.addresses.iter());
    let of_nodes = cluster.nodes().flat_map(|(_, node)| node.addresses.iter().copied());
    add(ruleset, prefixes, of_pods.chain(of_nodes), log)
}

/// The ruleset of a node of which nothing is known: what is inside of `prefixes` neither sends nor
/// receives through it. For the time between a start of the node and the first sync of its agent.
pub fn closed(prefixes: &PrefixSet, log: Option<Log>) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut rules = super::always().to_vec();
    rules.extend(add(&mut ruleset, prefixes, std::iter::empty(), log));
    ruleset.chains.insert(FORWARD.to_owned(), Chain { is_base: true, rules });
    ruleset
}

fn add(
    ruleset: &mut Ruleset,
    prefixes: &PrefixSet,
    known: impl Iterator<Item = IpAddr>,
    log: Option<Log>,
) -> Vec<Rule> {
    if prefixes.is_empty() {
        return Vec::new();
    }
    let mut addresses: BTreeMap<Family, BTreeMap<Key, Option<Verdict>>> = BTreeMap::new();
    for address in known.filter(|address| prefixes.contains(*address)) {
        addresses.entry(Family::of(address)).or_default().insert(Key::Address(address), None);
    }
    let mut rules = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| !prefixes.is_empty_in(*family)) {
        let (local, known) = (name("local", family), name("known", family));
        let set = |kind, elements| Set { kind, is_map: false, comment: None, elements };
        let elements = range_keys(prefixes, family).map(|key| (key, None)).collect();
        ruleset.sets.insert(local.clone(), set(SetKind::AddressRanges(family), elements));
        let elements = addresses.remove(&family).unwrap_or_default();
        ruleset.sets.insert(known.clone(), set(SetKind::Addresses(family), elements));
        for end in [End::Source, End::Destination] {
            rules.push(Rule::new([
                Expression::AddressIn(end, family, local.clone()),
                Expression::AddressNotIn(end, family, known.clone()),
                Expression::Verdict(Verdict::Goto(UNKNOWN_POD.to_owned())),
            ]));
        }
    }
    ruleset.chains.insert(UNKNOWN_POD.to_owned(), drop_chain(log));
    rules
}

fn drop_chain(log: Option<Log>) -> Chain {
    let mut rules = Vec::new();
    if let Some(log) = log {
        let limit = log.limit.map(|(rate, burst)| Expression::Limit { rate, burst });
        let log = Expression::Log { group: log.group, prefix: UNKNOWN_POD.to_owned() };
        rules.push(Rule::new(limit.into_iter().chain([log])));
    }
    let drop = Rule::new([Expression::Counter, Expression::Verdict(Verdict::Drop)]);
    rules.push(drop.comment("a local address whose pod is not known yet"));
    Chain { is_base: false, rules }
}

fn name(what: &str, family: Family) -> Name {
    format!("{what}{}", digit(family))
}
