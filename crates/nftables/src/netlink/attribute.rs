//! Netlink attributes: a length and a type (two native u16), the value, padding to four bytes.

use super::uapi::netlink;

/// Bytes of messages as they grow. Nested attributes get their length when they are closed, so
/// nothing is copied or allocated apart.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    fault: Option<&'static str>,
}

impl Writer {
    /// What is written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is written, to keep.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How much is written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets what is behind the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Why the bytes must not be sent, if so; asking forgets it.
    pub(super) fn take_fault(&mut self) -> Option<&'static str> {
        self.fault.take()
    }

    /// Notes why the bytes must not be sent.
    pub(super) fn set_fault(&mut self, why: &'static str) {
        self.fault.get_or_insert(why);
    }

    /// Bytes that are no attribute.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Replaces bytes written before.
    pub(super) fn patch<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut::<N>()) {
            *place = value;
        }
    }

    /// An attribute whose value is attributes.
    pub(super) fn nest<T>(&mut self, kind: u16, content: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.open(kind | netlink::NESTED);
        let result = content(self);
        self.close(start);
        result
    }

    /// An attribute of these bytes.
    pub(super) fn value(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.raw(value);
        self.close(start);
    }

    /// A text, ended by NUL.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        let start = self.open(kind);
        self.raw(text.as_bytes());
        self.raw(&[0]);
        self.close(start);
    }

    /// nf_tables keeps its numbers big-endian.
    pub(super) fn be16(&mut self, kind: u16, number: u16) {
        self.value(kind, &number.to_be_bytes());
    }

    /// As [`be16`](Self::be16).
    pub(super) fn be32(&mut self, kind: u16, number: u32) {
        self.value(kind, &number.to_be_bytes());
    }

    /// As [`be16`](Self::be16).
    pub(super) fn be64(&mut self, kind: u16, number: u64) {
        self.value(kind, &number.to_be_bytes());
    }

    /// nft's user data of one entry: type, length, value, each length in one byte. The kernel takes
    /// 256 bytes, which leaves 253 for a comment.
    pub(super) fn comment(&mut self, attribute: u16, kind: u8, comment: &str) {
        let end = (0..=253.min(comment.len())).rev().find(|end| comment.is_char_boundary(*end)).unwrap_or(0);
        let comment = comment.get(..end).unwrap_or_default();
        let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
        let start = self.open(attribute);
        self.raw(&[kind, length]);
        self.raw(comment.as_bytes());
        self.raw(&[0]);
        self.close(start);
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.raw(&[0, 0]);
        self.raw(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.patch(start, length.to_ne_bytes()),
            Err(_) => self.set_fault("a part of it is longer than the 65,535 bytes of a netlink attribute"),
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The attributes in `bytes`, each with its type (without flags), value and place. Ends where the
/// bytes make no sense.
#[derive(Clone, Debug)]
pub(super) struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    /// Its type.
    pub(super) kind: u16,
    /// Its value.
    pub(super) value: &'a [u8],
    /// Where its header begins.
    pub(super) start: usize,
}

/// Reads attributes.
pub(super) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { bytes, at: 0 }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & netlink::TYPE_MASK;
        let value = rest.get(4..length)?;
        let start = self.at;
        self.at = start.saturating_add(length.next_multiple_of(4));
        Some(Attribute { kind, value, start })
    }
}

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this type.
    pub(super) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find_map(|attribute| (attribute.kind == kind).then_some(attribute.value))
    }

    /// The attributes in the first attribute of this type; none when it is not there.
    pub(super) fn nested(&self, kind: u16) -> Attributes<'a> {
        attributes(self.get(kind).unwrap_or_default())
    }

    /// A text without its NUL.
    pub(super) fn text(&self, kind: u16) -> Option<String> {
        let value = self.get(kind)?;
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        Some(String::from_utf8_lossy(value.get(..end)?).into_owned())
    }

    /// A big-endian number.
    pub(super) fn be16(&self, kind: u16) -> Option<u16> {
        self.get(kind)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// A big-endian number.
    pub(super) fn be32(&self, kind: u16) -> Option<u32> {
        self.get(kind)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// A big-endian number.
    pub(super) fn be64(&self, kind: u16) -> Option<u64> {
        self.get(kind)?.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// The entry of nft's user data that is a comment.
    pub(super) fn comment(&self, attribute: u16, kind: u8) -> Option<String> {
        let mut rest = self.get(attribute)?;
        loop {
            let [entry, length, tail @ ..] = rest else { return None };
            let (value, after) = tail.split_at_checked(usize::from(*length))?;
            if *entry == kind {
                return Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned());
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nest_gets_its_length_and_everything_is_padded() {
        let mut writer = Writer::default();
        writer.nest(3, |writer| {
            writer.value(1, &[7]);
            writer.text(2, "abc");
        });
        let expected: [u8; 20] = [20, 0, 3, 0x80, 5, 0, 1, 0, 7, 0, 0, 0, 8, 0, 2, 0, b'a', b'b', b'c', 0];
        if cfg!(target_endian = "little") {
            assert_eq!(writer.bytes(), expected);
        }
        let inside = attributes(writer.bytes()).nested(3);
        assert_eq!(inside.get(1), Some(&[7][..]));
        assert_eq!(inside.text(2).as_deref(), Some("abc"));
        assert_eq!(inside.text(9), None);
    }

    #[test]
    fn a_comment_is_cut_at_253_bytes_between_characters() {
        let mut writer = Writer::default();
        writer.comment(7, 0, &format!("{}ö", "x".repeat(252)));
        let read = attributes(writer.bytes()).comment(7, 0);
        assert_eq!(read, Some("x".repeat(252)));
        assert_eq!(attributes(writer.bytes()).comment(7, 5), None);
    }

    #[test]
    fn too_long_is_a_fault_and_not_a_wrong_length() {
        let mut writer = Writer::default();
        writer.nest(1, |writer| writer.value(2, &[0; 65_531]));
        assert!(writer.take_fault().is_some_and(|why| why.contains("65,535")));
        assert!(writer.take_fault().is_none());
    }

    #[test]
    fn bytes_that_make_no_sense_end_the_reading() {
        for bytes in [&[][..], &[1], &[3, 0, 1, 0], &[200, 0, 1, 0, 0], &[0, 0, 0, 0]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }
}
