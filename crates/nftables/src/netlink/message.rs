//! Netlink messages: `struct nlmsghdr` (length u32, type u16, flags u16, sequence u32, port u32, all
//! native), `struct nfgenmsg` (family u8, version u8, resource u16 big-endian), attributes.

use super::attribute::{Attributes, Writer, attributes};
use super::uapi::{netlink, nfnetlink};

/// Bytes of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// Bytes before the attributes of an nf_tables message.
pub(super) const ATTRIBUTES: usize = HEADER + 4;

/// Bytes of the message that begins a batch, and of the one that ends it.
pub(super) const BATCH_MARK: usize = ATTRIBUTES;

/// Writes an nf_tables message for the family `inet`.
pub(super) fn message<T>(
    writer: &mut Writer,
    request: u16,
    flags: u16,
    sequence: u32,
    content: impl FnOnce(&mut Writer) -> T,
) -> T {
    let start = writer.len();
    header(writer, (nfnetlink::NFTABLES << 8) | request, netlink::REQUEST | flags, sequence);
    writer.raw(&[nfnetlink::INET, 0, 0, 0]);
    let result = content(writer);
    finish(writer, start);
    result
}

/// Writes the message that begins or ends a batch.
pub(super) fn batch_mark(writer: &mut Writer, kind: u16, flags: u16, sequence: u32) {
    let start = writer.len();
    header(writer, kind, netlink::REQUEST | flags, sequence);
    writer.raw(&[nfnetlink::UNSPECIFIED, 0]);
    writer.raw(&nfnetlink::NFTABLES.to_be_bytes());
    finish(writer, start);
}

/// Sets the sequence number of the message that begins at `start`.
pub(super) fn set_sequence(writer: &mut Writer, start: usize, sequence: u32) {
    writer.patch(start + 8, sequence.to_ne_bytes());
}

/// Sets the flags of the message that begins at `start`.
pub(super) fn set_flags(writer: &mut Writer, start: usize, flags: u16) {
    writer.patch(start + 6, (netlink::REQUEST | flags).to_ne_bytes());
}

fn header(writer: &mut Writer, kind: u16, flags: u16, sequence: u32) {
    writer.raw(&[0; 4]);
    writer.raw(&kind.to_ne_bytes());
    writer.raw(&flags.to_ne_bytes());
    writer.raw(&sequence.to_ne_bytes());
    writer.raw(&[0; 4]);
}

fn finish(writer: &mut Writer, start: usize) {
    match u32::try_from(writer.len() - start) {
        Ok(length) => writer.patch(start, length.to_ne_bytes()),
        Err(_) => writer.set_fault("it is longer than 4 GiB"),
    }
}

/// One message as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// Its type.
    pub(super) kind: u16,
    /// Its flags.
    pub(super) flags: u16,
    /// The sequence number, of an answer that of the request.
    pub(super) sequence: u32,
    /// What is behind `struct nlmsghdr`.
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes of an nf_tables message.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        attributes(self.body.get(ATTRIBUTES - HEADER..).unwrap_or_default())
    }

    /// The family of an nf_tables message.
    pub(super) fn family(&self) -> Option<u8> {
        self.body.first().copied()
    }

    /// Of an NLMSG_ERROR or NLMSG_DONE: 0, or an errno below zero.
    pub(super) fn code(&self) -> Option<i32> {
        self.body.first_chunk().copied().map(i32::from_ne_bytes)
    }

    /// Of an NLMSG_ERROR: the attributes that explain it. `NETLINK_CAP_ACK` keeps the request
    /// down to its header.
    pub(super) fn explanation(&self) -> Attributes<'a> {
        let at = if self.flags & netlink::ACK_TLVS == 0 { usize::MAX } else { 4 + HEADER };
        attributes(self.body.get(at..).unwrap_or_default())
    }
}

/// The messages of a datagram; ends where the bytes make no sense.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        let message = bytes.get(..length)?;
        let body = message.get(HEADER..)?;
        let (kind, flags, sequence) = (half(message, 4)?, half(message, 6)?, word(message, 8)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, body })
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        batch_mark(&mut writer, nfnetlink::BATCH_BEGIN, 0, 7);
        assert_eq!(writer.len(), BATCH_MARK);
        message(&mut writer, 12, netlink::CREATE, 8, |writer| writer.text(2, "set"));
        let read: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (16, netlink::REQUEST, 7));
        assert_eq!(read[0].body, [0, 0, 0, 10]);
        assert_eq!((read[1].kind, read[1].sequence), (0x0a0c, 8));
        assert_eq!(read[1].family(), Some(1));
        assert_eq!(read[1].attributes().text(2).as_deref(), Some("set"));
    }

    #[test]
    fn bytes_that_make_no_sense_end_the_reading() {
        for bytes in [&[][..], &[1], &[0; 16], &[255; 40]] {
            assert_eq!(messages(bytes).count(), 0);
        }
    }
}
