//! The kernel's replies, read by hand: the crate's parser keeps neither the
//! flags nor the attributes of an acknowledgement, and of a link only its
//! flags are wanted. Pure; no bytes can make it panic.

use std::net::IpAddr;

use rustix::io::Errno;

use crate::netlink::{NLMSG_DONE, NLMSG_ERROR, attributes, messages, outcome, word};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const IFF_RUNNING: u32 = 0x40;

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) sequence: u32,
    /// None: done.
    pub(super) errno: Option<Errno>,
    /// The kernel's own words; empty without any.
    pub(super) detail: String,
}

/// The NLMSG_ERROR messages of a datagram (netlink(7)): an i32 errno, the
/// request's header (16 bytes, no more with NETLINK_CAP_ACK), then attributes
/// if NLM_F_ACK_TLVS is set.
pub(super) fn answers(datagram: &[u8]) -> Vec<Answer> {
    const NLM_F_ACK_TLVS: u16 = 0x200;
    messages(datagram)
        .filter(|message| message.kind == NLMSG_ERROR)
        .filter_map(|message| {
            let errno = outcome(&message)?.err();
            let detail = match message.body.get(20..) {
                Some(tail) if message.flags & NLM_F_ACK_TLVS != 0 => kernels_words(tail),
                _ => String::new(),
            };
            Some(Answer { sequence: message.sequence, errno, detail })
        })
        .collect()
}

/// Adds the indices of the running links in a datagram that answers
/// `sequence`; whether it was the last one.
pub(super) fn running_links(datagram: &[u8], sequence: u32, running: &mut Vec<u32>) -> bool {
    for message in messages(datagram).filter(|message| message.sequence == sequence) {
        match message.kind {
            NLMSG_DONE | NLMSG_ERROR => return true,
            // struct ifinfomsg: family u8, pad, type u16, index i32, flags u32, change u32.
            RTM_NEWLINK => {
                if let (Some(index), Some(flags)) = (word(message.body, 4), word(message.body, 8))
                    && flags & IFF_RUNNING != 0
                {
                    running.push(index);
                }
            }
            _ => {}
        }
    }
    false
}

/// Adds the addresses in a datagram that answers `sequence`; whether it was
/// the last one.
pub(super) fn addresses(datagram: &[u8], sequence: u32, addresses: &mut Vec<IpAddr>) -> bool {
    for message in messages(datagram).filter(|message| message.sequence == sequence) {
        match message.kind {
            NLMSG_DONE | NLMSG_ERROR => return true,
            // struct ifaddrmsg: family, prefix length, flags, scope u8, index u32.
            RTM_NEWADDR => addresses.extend(message.body.get(8..).and_then(own_address)),
            _ => {}
        }
    }
    false
}

/// IFA_LOCAL, which of a point-to-point link is this end; else IFA_ADDRESS.
fn own_address(bytes: &[u8]) -> Option<IpAddr> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    let value = |wanted| attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let value = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))?;
    match value.len() {
        4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        16 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

/// The text of NLMSGERR_ATTR_MSG, if there is one.
fn kernels_words(tail: &[u8]) -> String {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    attributes(tail)
        .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn an_error_brings_the_kernels_words() {
        let mut body = (-22_i32).to_ne_bytes().to_vec();
        body.extend([0; 16]);
        body.extend(8_u16.to_ne_bytes());
        body.extend(2_u16.to_ne_bytes());
        body.extend(36_u32.to_ne_bytes());
        body.extend(12_u16.to_ne_bytes());
        body.extend(1_u16.to_ne_bytes());
        body.extend(b"No good\0");
        let mut datagram = message(NLMSG_ERROR, 0x200, &body);
        datagram.extend(message(NLMSG_ERROR, 0, &[0; 20]));
        let refused = Answer { sequence: 7, errno: Some(Errno::INVAL), detail: "No good".into() };
        let done = Answer { sequence: 7, errno: None, detail: String::new() };
        assert_eq!(answers(&datagram), [refused, done]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = answers(&bytes);
            let _ = answers(&message(NLMSG_ERROR, 0x200, &bytes));
            let _ = running_links(&bytes, 7, &mut Vec::new());
            let _ = running_links(&message(RTM_NEWLINK, 0, &bytes), 7, &mut Vec::new());
            let _ = addresses(&message(RTM_NEWADDR, 0, &bytes), 7, &mut Vec::new());
        }
    }
}
