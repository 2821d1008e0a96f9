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

use std::net::IpAddr;

use palisade_engine::{
    model::{Cluster, Endpoint, Family, Name as ObjectName, NodeId, ObjectRef, Pod},
    sets::PrefixSet,
};

use super::{JUDGE, Log, digit, forward, peers::range_keys};
use crate::{
    draft::Draft,
    ruleset::{Chain, Elements, End, Expression, FORWARD, Key, Name, Rule, Ruleset, Set, SetKind, Verdict},
};

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
        outside_of(&prefixes, local.map(|(_, pod)| pod))
    }
}

/// Whether the addresses of these pods are inside of the prefixes.
pub(super) fn outside_of<'p>(prefixes: &PrefixSet, pods: impl Iterator<Item = &'p Pod>) -> Result<(), Misfit> {
    let mut outside = pods
        .flat_map(|pod| pod.addresses.iter().map(move |address| (&pod.id, address)))
        .filter(|(_, address)| !prefixes.contains(*address));
    match outside.next() {
        None => Ok(()),
        Some((pod, address)) => {
            let more = outside.count();
            Err(Misfit::Outside { pod: pod.clone(), address, more, prefixes: prefixes.clone() })
        }
    }
}

/// The ruleset of a node of which nothing is known: what is inside of `prefixes` neither sends nor
/// receives through it. For the time between a start of the node and the first sync of its agent.
pub fn closed(prefixes: &PrefixSet, log: Option<Log>) -> Ruleset {
    let mut draft = Draft::default();
    let rules = hold(&mut draft, prefixes, log);
    draft.put_chain(&JUDGE.to_owned(), Chain { is_base: false, rules });
    draft.put_chain(&FORWARD.to_owned(), forward());
    draft.into_ruleset()
}

/// Adds what holds `prefixes` closed, with nobody known; the rules for the chain that judges are returned.
pub(super) fn hold(draft: &mut Draft, prefixes: &PrefixSet, log: Option<Log>) -> Vec<Rule> {
    if prefixes.is_empty() {
        return Vec::new();
    }
    let mut rules = Vec::new();
    for family in Family::ALL.into_iter().filter(|family| !prefixes.is_empty_in(*family)) {
        let (local, known) = (name("local", family), known_name(family));
        let set = |kind, elements| Set { kind, is_map: false, comment: None, passing: None, elements };
        let elements = range_keys(prefixes, family).map(|key| (key, None)).collect();
        draft.put_set(&local, set(SetKind::AddressRanges(family), elements));
        draft.put_set(&known, set(SetKind::Addresses(family), Elements::default()));
        for end in [End::Source, End::Destination] {
            rules.push(Rule::new([
                Expression::AddressIn(end, family, local.clone()),
                Expression::AddressNotIn(end, family, known.clone()),
                Expression::Verdict(Verdict::Goto(UNKNOWN_POD.to_owned())),
            ]));
        }
    }
    draft.put_chain(&UNKNOWN_POD.to_owned(), drop_chain(log));
    rules
}

/// Takes note of whether an address inside of `prefixes` is known: a live pod's, or a node's.
pub(super) fn know(draft: &mut Draft, cluster: &Cluster, prefixes: &PrefixSet, address: IpAddr) {
    if !prefixes.contains(address) {
        return;
    }
    let (set, key) = (known_name(Family::of(address)), Key::Address(address));
    match cluster.endpoint_of(address) {
        Endpoint::Pod(_) | Endpoint::Node(_) => draft.put_element(&set, key, None),
        Endpoint::Outside => draft.remove_element(&set, key),
    }
}

fn known_name(family: Family) -> Name {
    name("known", family)
}

fn drop_chain(log: Option<Log>) -> Chain {
    let mut rules = vec![super::neighbour_discovery()];
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
