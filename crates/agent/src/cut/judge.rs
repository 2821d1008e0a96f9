//! What is to happen to a connection, given the rules in force. Pure.
//!
//! ```text
//! Flow ──► Connection: its first packet, as the forward hook would see it now ──► interpret ──┬─► Action
//!                                                                                             └─► audited chains
//! ```

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use palisade_engine::model::Protocol;
use palisade_linux::{
    conntrack::{Flow, MarkChange, PortProtocol, Transport, Tuple, Zone},
    packet,
};
use palisade_nftables::{
    cut::MARK,
    interpret::{self, Broken, Packet, Payload},
    plan::WOULD_DENY,
    ruleset::{Name, Ruleset},
};

/// A connection that the rules may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What it is looked up by.
    pub original: Tuple,
    /// Where it is looked up.
    pub zone: Zone,
    /// Whether its mark has the bit that cuts it.
    pub is_cut: bool,
    /// Its first packet, if it came now; `None`: it does not pass the rules at all.
    pub first: Option<Packet>,
    /// What that packet says of its connection in the log.
    pub tuple: packet::Tuple,
}

/// What is to happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The rules deny it: its mark gets the bit.
    Cut,
    /// It was cut, and the rules allow it again: its mark loses the bit.
    Restore,
}

/// What the rules come to for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is to happen to it; `None`: nothing, it is as it should be.
    pub action: Option<Action>,
    /// Of one that passes: the chains of audited policies that would deny it, one for each end that is judged here.
    pub would_deny: Vec<Name>,
}

/// Those of some flows that the rules may be about.
///
/// - A flow is judged by its original direction: from the source that this node saw first, before any
///   translation of its own, to the place that it really goes to, which is where its answers come from.
/// - A flow that another one expected is judged as that one: it was let in as related. When that one is
///   gone, it is left alone.
/// - A flow to or from this node itself is not forwarded, so it passes. Only if it is marked does that matter.
///
/// `own` are the node's addresses, `judged` those that the rules are about
/// ([`palisade_nftables::judged`]).
pub fn connections(flows: &[Flow], own: &HashSet<IpAddr>, judged: Option<&HashSet<IpAddr>>) -> Vec<Connection> {
    let masters: HashSet<Tuple> = flows.iter().filter_map(|flow| flow.master).collect();
    let masters: HashMap<Tuple, &Flow> =
        flows.iter().filter(|flow| masters.contains(&flow.original)).map(|flow| (flow.original, flow)).collect();
    let connection = |flow: &Flow| {
        let is_cut = flow.mark & MARK != 0;
        let by = match flow.master {
            None => flow,
            Some(master) => masters.get(&master)?,
        };
        let (source, destination) = (by.original.source, by.reply.source);
        let is_own = own.contains(&source) || own.contains(&destination);
        let concerned = |judged: &HashSet<_>| judged.contains(&source) || judged.contains(&destination);
        if !is_cut && (is_own || !judged.is_none_or(concerned)) {
            return None;
        }
        let first = (!is_own).then(|| first_packet(by));
        Some(Connection { original: flow.original, zone: flow.zone, is_cut, first, tuple: tuple(by) })
    };
    flows.iter().filter_map(connection).collect()
}

/// Whether a set of learned addresses has, or had, an address.
pub type Learned<'a> = &'a dyn Fn(&str, IpAddr) -> bool;

/// What the rules come to for a connection. One that an address let in whose time has ended since is as it should be.
///
/// # Errors
/// When the ruleset is not whole.
pub fn judge(ruleset: &Ruleset, connection: &Connection, learned: Learned<'_>) -> Result<Judgement, Broken> {
    let (passes, would_deny) = match &connection.first {
        None => (true, Vec::new()),
        Some(packet) => {
            let passage = interpret::forward_with(ruleset, packet, learned)?;
            // They count also where nothing is logged.
            let counted = passage.counted.into_keys().filter(|chain| passage.accepted && chain.starts_with(WOULD_DENY));
            (passage.accepted, counted.collect())
        }
    };
    let action = match (passes, connection.is_cut) {
        (false, false) => Some(Action::Cut),
        (true, true) => Some(Action::Restore),
        (true, false) | (false, true) => None,
    };
    Ok(Judgement { action, would_deny })
}

/// Whether some audited policy would deny something by these rules.
pub(super) fn audits(ruleset: &Ruleset) -> bool {
    ruleset.chains.range(WOULD_DENY.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(WOULD_DENY))
}

/// The change of a connection's mark that an action comes to.
pub(super) fn change(connection: &Connection, action: Action) -> MarkChange {
    let value = match action {
        Action::Cut => MARK,
        Action::Restore => 0,
    };
    MarkChange { original: connection.original, zone: connection.zone, bits: MARK, value }
}

/// The first packet of a flow as the hook sees it: translated at its destination, not yet at its source.
/// Where it comes in is not asked again.
fn first_packet(flow: &Flow) -> Packet {
    // The destination's port is where the answers come from, as the address is.
    let payload = match (flow.original.transport, flow.reply.transport) {
        (Transport::Icmp { kind, .. }, _) => Payload::Icmp(kind),
        (Transport::Ports { protocol, destination, .. }, reply) => {
            let port = match reply {
                Transport::Ports { source, .. } => source,
                Transport::Icmp { .. } => destination,
            };
            Payload::Port(of(protocol), port)
        }
    };
    Packet {
        source: flow.original.source,
        destination: flow.reply.source,
        payload,
        interface: String::new(),
        source_behind_interface: true,
        established: false,
    }
}

/// What the log says of [`first_packet`].
fn tuple(flow: &Flow) -> packet::Tuple {
    let (protocol, within) = match (flow.original.transport, flow.reply.transport) {
        (Transport::Icmp { id, .. }, _) if flow.original.source.is_ipv4() => {
            (packet::protocol::ICMP, packet::Flow::Echo { id })
        }
        (Transport::Icmp { id, .. }, _) => (packet::protocol::ICMPV6, packet::Flow::Echo { id }),
        (Transport::Ports { protocol, source, .. }, Transport::Ports { source: destination, .. })
        | (Transport::Ports { protocol, source, destination }, Transport::Icmp { .. }) => {
            (protocol.number(), packet::Flow::Ports { source, destination })
        }
    };
    packet::Tuple { source: flow.original.source, destination: flow.reply.source, protocol, flow: within }
}

fn of(protocol: PortProtocol) -> Protocol {
    match protocol {
        PortProtocol::Tcp => Protocol::Tcp,
        PortProtocol::Udp => Protocol::Udp,
        PortProtocol::Sctp => Protocol::Sctp,
    }
}
