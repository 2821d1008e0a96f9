//! A request as the bytes that the kernel reads (rtnetlink(7)).

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::request::{Diversion, Gateway, LOOPBACK, Request, Route, VethEnd};

impl Request<'_> {
    /// The message that asks for it, with an acknowledgement, padded to four bytes.
    pub(super) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let (payload, flags) = self.message();
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = sequence;
        bytes(header, payload)
    }

    /// The message's content, and the flags that say what it may find or make.
    fn message(&self) -> (RouteNetlinkMessage, u16) {
        match self {
            Self::Veth { here, there, namespace, mtu } => {
                let mut peer = link_message(there, *mtu);
                peer.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
                let mut message = link_message(here, *mtu);
                message.header.flags = LinkFlags::Up;
                message.header.change_mask = LinkFlags::Up;
                message.attributes.push(LinkAttribute::LinkInfo(vec![
                    LinkInfo::Kind(InfoKind::Veth),
                    LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
                ]));
                (RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
            }
            Self::Bridge { name, index, mac } => {
                let end = VethEnd { name: name.clone(), index: *index, mac: *mac };
                let mut message = link_message(&end, None);
                message.header.flags = LinkFlags::Up;
                message.header.change_mask = LinkFlags::Up;
                message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
                (RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
            }
            Self::Enslave { link, bridge } => {
                let mut message = LinkMessage::default();
                message.header.index = *link;
                message.attributes.push(LinkAttribute::Controller(*bridge));
                (RouteNetlinkMessage::SetLink(message), 0)
            }
            Self::Remove { link } => {
                let mut message = LinkMessage::default();
                message.header.index = *link;
                (RouteNetlinkMessage::DelLink(message), 0)
            }
            Self::Up { link } => {
                let mut message = LinkMessage::default();
                message.header.index = *link;
                message.header.flags = LinkFlags::Up;
                message.header.change_mask = LinkFlags::Up;
                (RouteNetlinkMessage::SetLink(message), 0)
            }
            Self::Address { address, length, link } => {
                let mut message = AddressMessage::default();
                message.header.family = family(*address);
                message.header.prefix_len = *length;
                message.header.index = *link;
                message.header.scope = AddressScope::Universe;
                message.header.flags = AddressHeaderFlags::Nodad;
                message.attributes = vec![
                    AddressAttribute::Address(*address),
                    AddressAttribute::Local(*address),
                    AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute),
                ];
                (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
            }
            Self::Route(route) => (RouteNetlinkMessage::NewRoute(route.message()), NLM_F_CREATE | NLM_F_EXCL),
            Self::RemoveRoute(route) => (RouteNetlinkMessage::DelRoute(route.message()), 0),
            Self::DivertedRoute(diversion, family, true) => {
                (RouteNetlinkMessage::NewRoute(diversion.route(*family)), NLM_F_CREATE | NLM_F_EXCL)
            }
            Self::DivertedRoute(diversion, family, false) => {
                (RouteNetlinkMessage::DelRoute(diversion.route(*family)), 0)
            }
            Self::DivertedRule(diversion, family, true) => {
                (RouteNetlinkMessage::NewRule(diversion.rule(*family)), NLM_F_CREATE | NLM_F_EXCL)
            }
            Self::DivertedRule(diversion, family, false) => (RouteNetlinkMessage::DelRule(diversion.rule(*family)), 0),
            Self::Neighbour(neighbour) => {
                let mut message = NeighbourMessage::default();
                message.header.family = family(neighbour.address);
                message.header.ifindex = neighbour.link;
                message.header.state = NeighbourState::Permanent;
                message.header.kind = RouteType::Unicast;
                message.attributes = vec![
                    NeighbourAttribute::Destination(match neighbour.address {
                        IpAddr::V4(address) => NeighbourAddress::Inet(address),
                        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
                    }),
                    NeighbourAttribute::LinkLayerAddress(neighbour.mac.0.to_vec()),
                ];
                (RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
            }
        }
    }
}

impl Route {
    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.destination);
        message.header.destination_prefix_length = self.length;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match self.gateway {
            Gateway::OnLink => RouteScope::Link,
            Gateway::Via(_) => RouteScope::Universe,
        };
        if self.length > 0 {
            message.attributes.push(RouteAttribute::Destination(route_address(self.destination)));
        }
        message.attributes.push(RouteAttribute::Oif(self.link));
        if let Gateway::Via(gateway) = self.gateway {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.push(RouteAttribute::Gateway(route_address(gateway)));
        }
        if let Some(source) = self.source {
            message.attributes.push(RouteAttribute::PrefSource(route_address(source)));
        }
        message
    }
}

impl Diversion {
    fn rule(self, family: AddressFamily) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = family;
        message.header.table = self.table;
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::FwMark(self.mark),
            RuleAttribute::FwMask(self.mask),
        ];
        message
    }

    fn route(self, family: AddressFamily) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = self.table;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Local;
        message.header.scope = RouteScope::Host;
        message.attributes = vec![RouteAttribute::Oif(LOOPBACK)];
        message
    }
}

/// The message that asks for a list of the links (RTM_GETLINK, dump).
pub(super) fn list_links(sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.sequence_number = sequence;
    bytes(header, RouteNetlinkMessage::GetLink(LinkMessage::default()))
}

/// The message that asks for a list of the addresses (RTM_GETADDR, dump).
pub(super) fn list_addresses(sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.sequence_number = sequence;
    bytes(header, RouteNetlinkMessage::GetAddress(AddressMessage::default()))
}

/// The message as it is sent, padded to four bytes.
fn bytes(header: NetlinkHeader, payload: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(payload));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
    message.serialize(&mut bytes);
    bytes
}

fn link_message(end: &VethEnd, mtu: Option<u32>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = end.index;
    message.attributes.push(LinkAttribute::IfName(end.name.clone()));
    message.attributes.push(LinkAttribute::Address(end.mac.0.to_vec()));
    if let Some(mtu) = mtu {
        message.attributes.push(LinkAttribute::Mtu(mtu));
    }
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
