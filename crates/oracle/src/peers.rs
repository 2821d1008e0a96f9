//! Peers: who is meant by the items of `from` and `to`. Rules 1.2, 1.3, 3.1 to 3.5.

use std::net::IpAddr;

use ipnet::IpNet;
use palisade_engine::model::{
    Cluster, Endpoint, Family, IpBlock, LabelSelector, NamespaceScope, NetworkPolicy, Peer, Side,
};

use crate::{
    maybe::Maybe,
    selectors::{has_own_network, selects},
};

/// Whether the other end of the flow is one of a rule's peers. `family` is the flow's, when any of
/// its addresses tells.
pub(crate) fn peers_match(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    peers: &[Peer],
    other: Side,
    family: Option<Family>,
) -> Maybe {
    // 3.1: no peers, any peer, inside or outside.
    if peers.is_empty() {
        return Maybe::Yes;
    }
    // 3.2: the items are alternatives.
    Maybe::any(peers.iter().map(|peer| match peer {
        Peer::Pods { namespaces, pods, .. } => pods_match(cluster, policy, namespaces, pods, other).into(),
        Peer::IpBlock(block) => block_matches(block, other.address, family),
    }))
}

/// A `podSelector`, a `namespaceSelector`, or both.
fn pods_match(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    namespaces: &NamespaceScope,
    pods: &LabelSelector,
    other: Side,
) -> bool {
    // 1.1, 1.3: a node (so a host-network pod too) and an outside address have no pod labels.
    let Endpoint::Pod(id) = other.endpoint else { return false };
    let pod = cluster.pod(id);
    if !has_own_network(pod) {
        return false;
    }
    let namespace_holds = match namespaces {
        // 3.3: `podSelector` alone means the policy's own namespace.
        NamespaceScope::Own => pod.id.namespace == policy.id.namespace,
        // 3.3: else the namespaces whose labels match; 1.5: each has its name label, the cluster sees to it.
        NamespaceScope::Matching(selector) => cluster
            .namespaces()
            .filter(|namespace| namespace.name == pod.id.namespace)
            .any(|namespace| selects(selector, &namespace.labels)),
    };
    // 3.2: within one item both must hold.
    namespace_holds && selects(pods, &pod.labels)
}

/// 3.5: by address alone, whoever has it.
///
/// 1.2: an address that is not known leaves the answer open, with two exceptions that are certain. A
/// flow has one family (1.4), so a block of the other family never matches. And a block of all the
/// addresses of the flow's known family, without `except`, always matches.
///
/// Each block is looked at on its own: that two halves of the address space among the peers of a rule
/// together hold every address, or that an `except` list leaves nothing of its block, is not seen,
/// and the answer stays open.
pub(crate) fn block_matches(block: &IpBlock, address: Option<IpAddr>, family: Option<Family>) -> Maybe {
    if let Some(address) = address {
        // 3.5: `except` takes away from its own block only.
        let inside = contains(&block.cidr, address) && !block.except.iter().any(|except| contains(except, address));
        return inside.into();
    }
    let block_family = Family::of(block.cidr.addr());
    match family {
        Some(family) if family != block_family => Maybe::No,
        Some(_) if block.cidr.prefix_len() == 0 && block.except.is_empty() => Maybe::Yes,
        _ => Maybe::Unknown,
    }
}

/// Whether the first bits of `address`, as many as the prefix is long, are those of the block.
pub(crate) fn contains(block: &IpNet, address: IpAddr) -> bool {
    match (block.addr(), address) {
        (IpAddr::V4(block_address), IpAddr::V4(address)) => {
            let (a, b) = (u32::from(block_address), u32::from(address));
            (0..block.prefix_len()).all(|bit| bit_of_v4(a, bit) == bit_of_v4(b, bit))
        }
        (IpAddr::V6(block_address), IpAddr::V6(address)) => {
            let (a, b) = (u128::from(block_address), u128::from(address));
            (0..block.prefix_len()).all(|bit| bit_of_v6(a, bit) == bit_of_v6(b, bit))
        }
        // 1.4: the families never mix.
        _ => false,
    }
}

/// Bit 0 is the first one written.
fn bit_of_v4(address: u32, bit: u8) -> u32 {
    (address >> (31 - u32::from(bit))) & 1
}

/// Bit 0 is the first one written.
fn bit_of_v6(address: u128, bit: u8) -> u128 {
    (address >> (127 - u32::from(bit))) & 1
}
