//! Hubble's export: what `hubble observe -o jsonl` prints, and what Cilium's agent writes to files.
//!
//! A line is a `GetFlowsResponse` of Cilium's `observer.proto` in the JSON form of protocol buffers: numbers of
//! 64 bits are strings there, and what has its default is left out. Up to 0.10, and as `HUBBLE_COMPAT=legacy-json-output`
//! still, `hubble observe -o json` prints the flow alone. Hubble tells packets at each place that they
//! pass, replies too. What counts here is a packet that opens a connection and that policies were asked about.

use std::{borrow::Cow, net::IpAddr};

use jiff::Timestamp;
use palisade_engine::model::{Protocol, WorkloadKind};
use serde::Deserialize;

use crate::{
    End, Entry, Flow, LineError, PassedOver, Subject,
    error::{fault, json},
    record::{FlowDirection, FlowProtocol, FlowVerdict},
};

/// Cilium's number of the node's own identity, `reserved:host`.
const HOST: u32 = 1;
/// Cilium's number of events that tell a policy's verdict: always of a packet that opens a connection.
const POLICY_VERDICT: i64 = 5;

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    flow: Option<Packet<'a>>,
    lost_events: Option<LostEvents<'a>>,
    #[serde(borrow)]
    node_name: Option<Cow<'a, str>>,
    time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct LostEvents<'a> {
    #[serde(borrow)]
    num_events_lost: Option<Number<'a>>,
}

/// A number of 64 bits, as protocol buffers write it or as anybody else would.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<'a> {
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct Packet<'a> {
    time: Option<Timestamp>,
    #[serde(borrow)]
    verdict: Option<Cow<'a, str>>,
    #[serde(rename = "IP")]
    ip: Option<Addresses>,
    l4: Option<Layer4>,
    #[serde(default)]
    source: Endpoint,
    #[serde(default)]
    destination: Endpoint,
    #[serde(rename = "Type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    node_name: Option<Cow<'a, str>>,
    is_reply: Option<bool>,
    event_type: Option<EventType>,
    #[serde(borrow)]
    trace_observation_point: Option<Cow<'a, str>>,
    /// Told by newer Cilium alone.
    #[serde(borrow)]
    trace_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    traffic_direction: Option<Cow<'a, str>>,
    /// In words since Cilium 1.11, as its number before.
    #[serde(borrow)]
    drop_reason_desc: Option<Cow<'a, str>>,
    drop_reason: Option<u32>,
}

#[derive(Deserialize)]
struct Addresses {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Layer4 {
    tcp: Option<Ports>,
    udp: Option<Ports>,
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    icmp: Option<serde::de::IgnoredAny>,
    #[serde(rename = "ICMPv6")]
    icmpv6: Option<serde::de::IgnoredAny>,
    igmp: Option<serde::de::IgnoredAny>,
    vrrp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Ports {
    destination_port: Option<u16>,
    flags: Option<Flags>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Flags {
    #[serde(default)]
    syn: bool,
    #[serde(default)]
    ack: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    identity: u32,
    cluster_name: String,
    namespace: String,
    pod_name: String,
    workloads: Vec<Made>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Made {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct EventType {
    #[serde(rename = "type")]
    kind: Option<i64>,
}

/// Reads a line.
pub(crate) fn read(text: &str) -> Result<Entry, LineError> {
    told(json(text)?)
}

/// Reads a line that is a flow alone.
pub(crate) fn read_flow(text: &str) -> Result<Entry, LineError> {
    let alone = Response { flow: Some(json(text)?), lost_events: None, node_name: None, time: None };
    told(alone).map_err(|error| error.renamed(|field| field.trim_start_matches("flow.").to_owned()))
}

fn told(response: Response<'_>) -> Result<Entry, LineError> {
    let Some(packet) = response.flow else {
        return match response.lost_events.and_then(|lost| lost.num_events_lost) {
            Some(Number::Number(lost)) => Ok(Entry::Lost(lost)),
            Some(Number::Text(lost)) => {
                let number = lost.parse().map_err(|_| fault("lost_events.num_events_lost", "it is no number"))?;
                Ok(Entry::Lost(number))
            }
            None => Ok(Entry::PassedOver(PassedOver::NoConnection)),
        };
    };
    if let Some(why) = no_opening(&packet) {
        return Ok(Entry::PassedOver(why));
    }
    let verdict = match packet.verdict.as_deref() {
        Some("FORWARDED" | "REDIRECTED") => FlowVerdict::Accepted,
        Some("DROPPED") => FlowVerdict::Denied,
        Some("AUDIT") => FlowVerdict::WouldDeny,
        Some("VERDICT_UNKNOWN" | "TRACED" | "TRANSLATED" | "ERROR") | None => {
            return Ok(Entry::PassedOver(PassedOver::NoVerdict));
        }
        Some(other) => return Err(fault("flow.verdict", format!("`{other}` is none that is known"))),
    };
    let direction = match packet.traffic_direction.as_deref() {
        Some("INGRESS") => FlowDirection::Ingress,
        Some("EGRESS") => FlowDirection::Egress,
        Some("TRAFFIC_DIRECTION_UNKNOWN") | None => return Ok(Entry::PassedOver(PassedOver::NoVerdict)),
        Some(other) => return Err(fault("flow.traffic_direction", format!("`{other}` is neither INGRESS nor EGRESS"))),
    };
    let time = packet.time.or(response.time).ok_or_else(|| fault("flow.time", "it is missing"))?;
    let node = packet.node_name.or(response.node_name);
    let at = node.as_deref().map(At::parse).unwrap_or_default();
    let (protocol, port) = carried(packet.l4.as_ref());
    let addresses = packet.ip.map_or((None, None), |ip| (ip.source, ip.destination));
    Ok(Entry::Flow(Box::new(Flow {
        source: end(packet.source, addresses.0, at),
        destination: end(packet.destination, addresses.1, at),
        protocol,
        port,
        direction,
        verdict,
        first: time,
        last: time,
        count: 1,
        node: at.node.map(str::to_owned),
    })))
}

/// Why a packet opens no connection that policies were asked about; `None` when it does.
fn no_opening(packet: &Packet<'_>) -> Option<PassedOver> {
    if packet.kind.as_deref().is_some_and(|kind| kind != "L3_L4") {
        return Some(PassedOver::NoConnection);
    }
    // What is told where it comes from (an endpoint, the network, an overlay, …) is told before policies are asked.
    if packet.trace_observation_point.as_deref().is_some_and(|point| point.starts_with("FROM_")) {
        return Some(PassedOver::NoVerdict);
    }
    // An ICMP error about a connection: of neither direction, and no policy is asked.
    if packet.trace_reason.as_deref() == Some("RELATED") {
        return Some(PassedOver::NoConnection);
    }
    let dropped = packet.verdict.as_deref() == Some("DROPPED");
    if dropped {
        let by_policy = match (packet.drop_reason_desc.as_deref(), packet.drop_reason) {
            (Some("DROP_REASON_UNKNOWN") | None, reason) => matches!(reason, None | Some(0 | 133 | 181)),
            (Some(reason), _) => matches!(reason, "POLICY_DENIED" | "POLICY_DENY"),
        };
        if !by_policy {
            return Some(PassedOver::NotByPolicy);
        }
    }
    // Of a connection that stands it is told for certain which way a packet goes: that is how one is seen that is older
    // than the record.
    match packet.is_reply {
        Some(true) => return Some(PassedOver::Reply),
        Some(false) => return None,
        None => {}
    }
    let event = packet.event_type.as_ref().and_then(|event| event.kind);
    // Policies are asked of what opens a connection alone.
    if dropped || packet.verdict.as_deref() == Some("AUDIT") || event == Some(POLICY_VERDICT) {
        return None;
    }
    let tcp = packet.l4.as_ref().and_then(|l4| l4.tcp.as_ref()).and_then(|tcp| tcp.flags.as_ref());
    match tcp {
        Some(Flags { syn: true, ack: false }) => None,
        Some(Flags { syn: true, ack: true }) => Some(PassedOver::Reply),
        _ => Some(PassedOver::PerhapsReply),
    }
}

fn carried(l4: Option<&Layer4>) -> (FlowProtocol, Option<u16>) {
    // Not told: the number that means nothing (IANA: reserved).
    let Some(l4) = l4 else { return (FlowProtocol::Other(255), None) };
    let ports = [(Protocol::Tcp, &l4.tcp), (Protocol::Udp, &l4.udp), (Protocol::Sctp, &l4.sctp)];
    for (protocol, ports) in ports {
        if let Some(ports) = ports {
            return (FlowProtocol::WithPorts(protocol), ports.destination_port);
        }
    }
    let protocol = match (&l4.icmp, &l4.icmpv6) {
        (Some(_), _) => FlowProtocol::Icmp,
        (_, Some(_)) => FlowProtocol::Icmpv6,
        _ if l4.igmp.is_some() => FlowProtocol::Other(2),
        _ if l4.vrrp.is_some() => FlowProtocol::Other(112),
        _ => FlowProtocol::Other(255),
    };
    (protocol, None)
}

/// Who tells: `cluster/node`, or the node alone where the cluster has no name of its own.
#[derive(Clone, Copy, Default)]
struct At<'n> {
    cluster: Option<&'n str>,
    node: Option<&'n str>,
}

impl<'n> At<'n> {
    fn parse(name: &'n str) -> Self {
        match name.rsplit_once('/') {
            Some((cluster, node)) => Self { cluster: Some(cluster), node: Some(node) },
            None => Self { cluster: None, node: Some(name) },
        }
    }

    /// Whether an end is of another cluster of a mesh, whose pods may have the names of this one's.
    fn is_foreign(self, endpoint: &Endpoint) -> bool {
        self.cluster.is_some_and(|own| !endpoint.cluster_name.is_empty() && endpoint.cluster_name != own)
    }
}

fn end(endpoint: Endpoint, address: Option<IpAddr>, at: At<'_>) -> End {
    let subject = match at.node {
        _ if at.is_foreign(&endpoint) => Subject::Address,
        _ if !endpoint.pod_name.is_empty() && !endpoint.namespace.is_empty() => Subject::Pod {
            workload: endpoint.workloads.into_iter().find(|made| !made.name.is_empty()).map(workload),
            namespace: endpoint.namespace,
            pod: Some(endpoint.pod_name),
        },
        Some(node) if endpoint.identity == HOST => Subject::Node { node: node.to_owned() },
        // Other nodes have no name here, but an address.
        _ => Subject::Address,
    };
    End { subject, address: address.map(|address| address.to_canonical()) }
}

/// `deploy/frontend`, of a kind that is not known in its own words.
fn workload(made: Made) -> String {
    match WorkloadKind::ALL.into_iter().find(|kind| kind.kind() == made.kind) {
        Some(kind) => format!("{kind}/{}", made.name),
        None => format!("{}/{}", made.kind.to_lowercase(), made.name),
    }
}
