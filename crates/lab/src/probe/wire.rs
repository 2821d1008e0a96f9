//! The bytes of probes and of their answers. Pure; no bytes can make it panic.
//!
//! Everything that a probe sends carries its [`Nonce`] or something made from
//! it, and an answer counts only when it brings that back together with the
//! number of the listener that was meant: so neither an earlier run, nor
//! another probe, nor another host can make a probe look as if it had arrived.

/// Marks our own payloads.
const MAGIC: [u8; 4] = *b"PLSD";

/// The length of a probe's payload.
pub(super) const NONCE_LEN: usize = 16;
/// The length of the payload of an answer.
pub(super) const ANSWER_LEN: usize = NONCE_LEN + 4;

/// What tells a probe from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonce {
    /// Random, one for each run.
    pub(super) run: u64,
    /// The index of the probe in its run.
    pub(super) probe: u32,
}

impl Nonce {
    /// The payload of a probe.
    pub(super) fn payload(self) -> [u8; NONCE_LEN] {
        let mut bytes = [0; NONCE_LEN];
        let parts = MAGIC.into_iter().chain(self.run.to_be_bytes()).chain(self.probe.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// What a listener is to answer.
    pub(super) fn answer(self, listener: u32) -> [u8; ANSWER_LEN] {
        let mut bytes = [0; ANSWER_LEN];
        let parts = self.payload().into_iter().chain(listener.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// The nonce that a payload begins with.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(&MAGIC)?;
        Some(Self { run: u64::from_be_bytes(*rest.first_chunk()?), probe: be32(rest, 8)? })
    }

    /// The verification tag that the answer to this probe's INIT must bear:
    /// never 0 (RFC 9260, section 3.3.2).
    pub(super) fn tag(self) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.run.to_be_bytes();
        // An odd multiplier maps the probes of a run to different tags.
        u32::from_be_bytes([a, b, c, d]).wrapping_add(self.probe.wrapping_mul(0x9e37_79b1)).max(1)
    }
}

/// An SCTP packet that opens an association, or the answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sctp {
    /// INIT.
    Init {
        /// The port it came from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// The tag that the answer must bear.
        tag: u32,
    },
    /// INIT ACK.
    InitAck {
        /// The port it came from.
        source: u16,
        /// The port it is for.
        destination: u16,
        /// The tag of the INIT it answers.
        tag: u32,
        /// The listener's number, from the cookie; none when a kernel answered.
        listener: Option<u32>,
    },
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// The mandatory parameter of INIT ACK (RFC 9260, section 3.3.3.1).
const STATE_COOKIE: u16 = 7;
/// Marks our own cookies, for a kernel's are of any content.
const COOKIE_LEN: usize = MAGIC.len() + 4;

impl Sctp {
    /// The packet from its common header on, with a valid checksum: conntrack
    /// takes one with a wrong checksum for invalid.
    pub(super) fn bytes(self) -> Vec<u8> {
        let (kind, source, destination, verification, initiate, cookie) = match self {
            // The verification tag of an INIT is 0 (section 8.5.1).
            Self::Init { source, destination, tag } => (INIT, source, destination, 0, tag, None),
            // What the responder would have for a tag does not matter: nothing follows.
            Self::InitAck { source, destination, tag, listener } => {
                (INIT_ACK, source, destination, tag, tag ^ u32::MAX, listener)
            }
        };
        let mut bytes = Vec::with_capacity(12 + 20 + 4 + COOKIE_LEN);
        bytes.extend(source.to_be_bytes());
        bytes.extend(destination.to_be_bytes());
        bytes.extend(verification.to_be_bytes());
        bytes.extend([0; 4]);
        // Chunk: type, flags, length, then initiate tag, receiver window, outbound and inbound streams, first TSN.
        let length: u16 = if cookie.is_some() { 20 + 4 + 8 } else { 20 };
        bytes.extend([kind, 0]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(initiate.max(1).to_be_bytes());
        bytes.extend(65_536_u32.to_be_bytes());
        bytes.extend(1_u16.to_be_bytes());
        bytes.extend(1_u16.to_be_bytes());
        bytes.extend(1_u32.to_be_bytes());
        if let Some(listener) = cookie {
            bytes.extend(STATE_COOKIE.to_be_bytes());
            bytes.extend(12_u16.to_be_bytes());
            bytes.extend(MAGIC);
            bytes.extend(listener.to_be_bytes());
        }
        // Over the packet with a zero checksum, least significant byte first
        // (RFC 9260, appendix A).
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes.iter_mut().skip(8).zip(checksum).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// Reads a packet from its common header on. Its checksum is not looked
    /// at: it did not leave this machine.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (source, destination) = (be16(bytes, 0)?, be16(bytes, 2)?);
        match *bytes.get(12)? {
            INIT => Some(Self::Init { source, destination, tag: be32(bytes, 16)? }),
            INIT_ACK => {
                let cookie = bytes.get(32..).filter(|parameter| be16(parameter, 0) == Some(STATE_COOKIE));
                let listener = cookie
                    .and_then(|parameter| parameter.get(4..)?.strip_prefix(&MAGIC))
                    .and_then(|number| be32(number, 0));
                Some(Self::InitAck { source, destination, tag: be32(bytes, 4)?, listener })
            }
            _ => None,
        }
    }
}

/// An ICMP or ICMPv6 echo message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    /// The same in request and reply.
    pub(super) id: u16,
    /// Whose probe it is.
    pub(super) nonce: Nonce,
}

impl Echo {
    /// An echo request. The kernel fills in ICMPv6 checksums, on raw sockets too (RFC 3542, section 3.1).
    pub(super) fn request(self, ipv6: bool, sequence: u16) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + NONCE_LEN);
        bytes.extend([if ipv6 { 128 } else { 8 }, 0, 0, 0]);
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(self.nonce.payload());
        if !ipv6 {
            let checksum = internet_checksum(&bytes).to_be_bytes();
            bytes.iter_mut().skip(2).zip(checksum).for_each(|(byte, part)| *byte = part);
        }
        bytes
    }

    /// Reads an echo reply with one of our nonces.
    pub(super) fn read_reply(bytes: &[u8], ipv6: bool) -> Option<Self> {
        if *bytes.first()? != if ipv6 { 129 } else { 0 } {
            return None;
        }
        Some(Self { id: be16(bytes, 4)?, nonce: Nonce::read(bytes.get(8..)?)? })
    }
}

/// What follows the IPv4 header, which raw IPv4 sockets hand over and raw IPv6 sockets do not.
pub(super) fn behind_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0x0f) * 4..)
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let high = pair.first().copied().unwrap_or_default();
        let low = pair.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([high, low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// CRC32c (Castagnoli), bit by bit: a packet has 50 bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry != 0 {
                crc ^= 0x82f6_3b78;
            }
        }
    }
    !crc
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc32c_is_the_one_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn an_internet_checksum_verifies_itself() {
        let echo = Echo { id: 7, nonce: Nonce { run: 9, probe: 3 } };
        let bytes = echo.request(false, 1);
        assert_eq!(internet_checksum(&bytes), 0);
        let mut reply = bytes;
        reply[0] = 0;
        assert_eq!(Echo::read_reply(&reply, false), Some(echo));
        assert_eq!(Echo::read_reply(&echo.request(true, 1), true), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(run: u64, probe: u32, source: u16, destination: u16, listener: u32) {
            let nonce = Nonce { run, probe };
            prop_assert_eq!(Nonce::read(&nonce.payload()), Some(nonce));
            prop_assert_eq!(Nonce::read(&nonce.answer(listener)), Some(nonce));
            let tag = nonce.tag();
            prop_assert!(tag != 0);
            for packet in [
                Sctp::Init { source, destination, tag },
                Sctp::InitAck { source, destination, tag, listener: Some(listener) },
                Sctp::InitAck { source, destination, tag, listener: None },
            ] {
                prop_assert_eq!(Sctp::read(&packet.bytes()), Some(packet));
                prop_assert_eq!(packet.bytes().len() % 4, 0);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Nonce::read(&bytes), Sctp::read(&bytes), behind_ipv4_header(&bytes));
            let _ = (Echo::read_reply(&bytes, false), Echo::read_reply(&bytes, true));
        }
    }
}
