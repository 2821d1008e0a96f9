//! What all netlink families share (netlink(7)): messages, attributes, errors.
//! Pure; no bytes can make it panic.
//!
//! struct nlmsghdr is 16 bytes: length u32, type u16, flags u16, sequence u32,
//! port u32; struct nlattr is 4: length u16, type u16. All in the machine's
//! byte order, and padded to four bytes.

use rustix::io::Errno;

/// NLMSG_ERROR: an acknowledgement or a refusal.
pub(crate) const NLMSG_ERROR: u16 = 2;
/// NLMSG_DONE: the end of a list.
pub(crate) const NLMSG_DONE: u16 = 3;

/// One message of a datagram.
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram, as far as their lengths make sense.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        let (kind, flags, sequence) = (half(bytes, 4)?, half(bytes, 6)?, word(bytes, 8)?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, body })
    })
}

/// The attributes of a message, as far as their lengths make sense: type
/// (without the nested and byte-order flags) and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const NLA_TYPE_MASK: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// What an NLMSG_ERROR says: done, or why not.
pub(crate) fn outcome(message: &Message<'_>) -> Option<Result<(), Errno>> {
    let code = word(message.body, 0)?.cast_signed();
    Some(match code {
        0 => Ok(()),
        // The kernel's own range (MAX_ERRNO); rustix panics outside it.
        -4095..=-1 => Err(Errno::from_raw_os_error(-code)),
        _ => Err(Errno::PROTO),
    })
}

/// The u32 at an offset, in the machine's byte order.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}
