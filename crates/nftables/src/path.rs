//! The way of a flow through the nodes: whose rulesets see its first packet, and what they do.

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::model::{Cluster, Endpoint, Family, Flow, NodeId, Traffic};

use crate::{
    interpret::{self, Broken, Packet, Payload},
    plan::Plan,
};

/// Type of an ICMP echo request.
const ECHO_REQUEST: u8 = 8;
/// Type of an ICMPv6 echo request.
const ECHO_REQUEST_V6: u8 = 128;

/// The nodes whose `forward` hook the first packet of a flow passes, in order: the source pod's, then
/// the destination pod's. What a node sends or receives itself is not forwarded there.
pub fn nodes(cluster: &Cluster, flow: &Flow) -> Vec<NodeId> {
    let (from, to) = (flow.from().endpoint, flow.to().endpoint);
    let node = |endpoint| match endpoint {
        Endpoint::Pod(pod) => cluster.node_of(pod),
        Endpoint::Node(_) | Endpoint::Outside => None,
    };
    let itself = |endpoint, node| endpoint == Endpoint::Node(node);
    let mut nodes: Vec<NodeId> = Vec::new();
    if from == to {
        return nodes;
    }
    nodes.extend(node(from).filter(|id| !itself(to, *id)));
    nodes.extend(node(to).filter(|id| !itself(from, *id)));
    nodes.dedup();
    nodes
}

/// The first packet of a flow; `None` when an end has no address.
pub fn first_packet(flow: &Flow) -> Option<Packet> {
    let (source, destination) = (flow.from().address?, flow.to().address?);
    let payload = match (flow.traffic(), Family::of(source)) {
        (Traffic::Port(protocol, port), _) => Payload::Port(protocol, port),
        (Traffic::Portless, Family::V4) => Payload::Icmp(ECHO_REQUEST),
        (Traffic::Portless, Family::V6) => Payload::Icmp(ECHO_REQUEST_V6),
    };
    Some(packet(source, destination, payload))
}

/// Whether the rulesets of all nodes let a flow's first packet through; `None` when it has none.
///
/// # Errors
/// When a ruleset is not whole.
pub fn passes(cluster: &Cluster, plans: &BTreeMap<NodeId, Plan>, flow: &Flow) -> Result<Option<bool>, Broken> {
    let Some(packet) = first_packet(flow) else { return Ok(None) };
    for node in nodes(cluster, flow) {
        let Some(plan) = plans.get(&node) else { continue };
        if !interpret::forward(&plan.ruleset, &packet)?.accepted {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

fn packet(source: IpAddr, destination: IpAddr, payload: Payload) -> Packet {
    Packet {
        source,
        destination,
        payload,
        interface: "pod0".to_owned(),
        source_behind_interface: true,
        established: false,
    }
}
