//! The bytes of nfnetlink_log (linux/netfilter/nfnetlink_log.h). Pure.
//!
//! Headers (struct nlmsghdr, struct nlattr) are in the machine's byte order,
//! the values inside in network order.

use rustix::io::Errno;

use super::{Options, Record};
use crate::netlink::{NLMSG_ERROR, attributes, messages, outcome};

/// NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET.
const PACKET: u16 = 4 << 8;
/// NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG.
const CONFIG: u16 = 4 << 8 | 1;
/// NLM_F_REQUEST | NLM_F_ACK.
const REQUEST_ACK: u16 = 1 | 4;
/// struct nlmsghdr.
const MESSAGE_HEADER: usize = 16;
/// struct nfgenmsg behind it: family u8, version u8, group u16.
const GENERIC_HEADER: usize = 4;

/// NFULA_CFG_*: attributes of a configuration message.
mod cfg {
    pub(super) const CMD: u16 = 1;
    pub(super) const MODE: u16 = 2;
    pub(super) const TIMEOUT: u16 = 4;
    pub(super) const QTHRESH: u16 = 5;
    pub(super) const FLAGS: u16 = 6;
    /// NFULNL_CFG_CMD_BIND.
    pub(super) const BIND: u8 = 1;
    /// NFULNL_COPY_PACKET.
    pub(super) const COPY_PACKET: u8 = 2;
    /// NFULNL_CFG_F_SEQ: number the records of this group.
    pub(super) const F_SEQ: u16 = 1;
}

/// NFULA_*: attributes of a packet message.
mod attribute {
    pub(super) const PACKET_HDR: u16 = 1;
    pub(super) const MARK: u16 = 2;
    pub(super) const IFINDEX_INDEV: u16 = 4;
    pub(super) const IFINDEX_OUTDEV: u16 = 5;
    pub(super) const PAYLOAD: u16 = 9;
    pub(super) const PREFIX: u16 = 10;
    pub(super) const SEQ: u16 = 12;
}

/// The messages that bind `group` and set it up, each with its words for an error.
pub(super) fn configuration(group: u16, options: &Options) -> [(&'static str, Vec<u8>); 2] {
    let mut bind = Vec::new();
    push_attribute(&mut bind, cfg::CMD, &[cfg::BIND]);

    let mut set_up = Vec::new();
    // struct nfulnl_msg_config_mode: copy_range u32, copy_mode u8, pad.
    let [a, b, c, d] = options.copy.to_be_bytes();
    push_attribute(&mut set_up, cfg::MODE, &[a, b, c, d, cfg::COPY_PACKET, 0]);
    let hundredths = u32::try_from(options.flush.as_millis().div_ceil(10)).unwrap_or(u32::MAX).max(1);
    push_attribute(&mut set_up, cfg::TIMEOUT, &hundredths.to_be_bytes());
    push_attribute(&mut set_up, cfg::QTHRESH, &options.gather.max(1).to_be_bytes());
    push_attribute(&mut set_up, cfg::FLAGS, &cfg::F_SEQ.to_be_bytes());

    [("bind the group", config_message(group, &bind)), ("set how packets are copied", config_message(group, &set_up))]
}

fn config_message(group: u16, attributes: &[u8]) -> Vec<u8> {
    let length = MESSAGE_HEADER + GENERIC_HEADER + attributes.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&CONFIG.to_ne_bytes());
    bytes.extend_from_slice(&REQUEST_ACK.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    // AF_UNSPEC, NFNETLINK_V0, the group.
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&group.to_be_bytes());
    bytes.extend_from_slice(attributes);
    bytes
}

fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The kernel's answer in a datagram: nothing when there is none, else no
/// errno (an acknowledgement) or one.
pub(super) fn answer(datagram: &[u8]) -> Option<Option<Errno>> {
    let message = messages(datagram).find(|message| message.kind == NLMSG_ERROR)?;
    outcome(&message).map(Result::err)
}

/// A record with the number that the kernel gave it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) number: Option<u32>,
    pub(super) record: Record,
}

/// The packets in a datagram; `None` for one that cannot be read.
pub(super) fn packets(datagram: &[u8]) -> impl Iterator<Item = Option<Packet>> + '_ {
    messages(datagram)
        .filter(|message| message.kind == PACKET)
        .map(|message| packet(message.body.get(GENERIC_HEADER..)?))
}

fn packet(bytes: &[u8]) -> Option<Packet> {
    let mut number = None;
    let mut record =
        Record { prefix: String::new(), hook: 0, link_in: None, link_out: None, mark: 0, packet: Vec::new() };
    for (kind, value) in attributes(bytes) {
        match kind {
            // struct nfulnl_msg_packet_hdr: hw_protocol u16, hook u8, pad.
            attribute::PACKET_HDR => record.hook = *value.get(2)?,
            attribute::MARK => record.mark = be32(value)?,
            attribute::IFINDEX_INDEV => record.link_in = Some(be32(value)?),
            attribute::IFINDEX_OUTDEV => record.link_out = Some(be32(value)?),
            attribute::PAYLOAD => record.packet = value.to_vec(),
            attribute::PREFIX => {
                record.prefix = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
            }
            attribute::SEQ => number = Some(be32(value)?),
            _ => {}
        }
    }
    Some(Packet { number, record })
}

fn be32(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet_message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            push_attribute(&mut body, *kind, value);
        }
        let mut bytes = config_message(7, &body);
        bytes[4..6].copy_from_slice(&PACKET.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_record_is_read_with_all_that_it_says() {
        let bytes = packet_message(&[
            (attribute::PACKET_HDR, &[8, 0, 2, 0]),
            (attribute::PREFIX, b"deny egress\0"),
            (attribute::IFINDEX_INDEV, &[0, 0, 3, 232]),
            (attribute::PAYLOAD, &[0x45, 0, 0]),
            (attribute::SEQ, &[0, 0, 0, 9]),
            (99, &[1]),
        ]);
        let read: Vec<_> = packets(&bytes).collect();
        let record = Record {
            prefix: "deny egress".into(),
            hook: 2,
            link_in: Some(1000),
            link_out: None,
            mark: 0,
            packet: vec![0x45, 0, 0],
        };
        assert_eq!(read, [Some(Packet { number: Some(9), record })]);
    }

    #[test]
    fn several_messages_of_one_datagram_are_read_and_a_bad_one_is_said() {
        let mut bytes = packet_message(&[(attribute::PAYLOAD, &[1])]);
        bytes.extend(packet_message(&[(attribute::MARK, &[1])]));
        let read: Vec<_> = packets(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].is_some() && read[1].is_none());
    }

    #[test]
    fn answers_are_told_from_packets() {
        assert_eq!(answer(&packet_message(&[])), None);
        let mut ack = packet_message(&[]);
        ack[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        ack[16..20].copy_from_slice(&0_i32.to_ne_bytes());
        assert_eq!(answer(&ack), Some(None));
        ack[16..20].copy_from_slice(&(-16_i32).to_ne_bytes());
        assert_eq!(answer(&ack), Some(Some(Errno::BUSY)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&bytes);
            let _ = packets(&bytes).count();
        }

        #[test]
        fn no_attributes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = config_message(1, &body);
            bytes[4..6].copy_from_slice(&PACKET.to_ne_bytes());
            let _ = packets(&bytes).count();
        }
    }
}
