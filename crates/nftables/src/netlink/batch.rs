//! A difference as transactions, each small enough for the socket.
//!
//! ```text
//! BATCH_BEGIN   sequence n
//! message       sequence n + 1      one origin for each: which change, which of its elements
//! …
//! BATCH_END     sequence n + 1 + number of origins
//! ```

use std::ops::Range;

use super::attribute::Writer;
use super::change::{self, Sink, describe};
use super::error::{ApplyError, Stage};
use super::message::{BATCH_MARK, batch_mark, set_flags, set_sequence};
use super::uapi::{netlink, nfnetlink};
use crate::difference::{Change, Difference};

/// The longest list of elements in one message, in bytes. The attribute could be twice as long;
/// shorter ones fill transactions better.
const LIST_LIMIT: usize = 32 * 1024;

/// What may be cut is cut here even if the socket would take more, in bytes: one transaction holds
/// the kernel's lock and is undone as a whole.
const CUT: usize = 1 << 20;

/// Room for what is around a list of elements: the batch's ends, the message's head, two names.
const AROUND_LIST: usize = 1024;

/// One transaction, ready to be sent.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    /// Which part of the difference it is of.
    pub(super) stage: Stage,
    /// The bytes to send.
    pub(super) bytes: Vec<u8>,
    /// The sequence number of BATCH_BEGIN.
    pub(super) begin: u32,
    /// What each message between the batch's ends is for.
    pub(super) origins: Vec<Origin<'a>>,
    /// How many changes are complete with it.
    pub(super) changes: usize,
}

/// What a message is for.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    /// The change.
    pub(super) change: &'a Change,
    /// Where the message is in the bytes.
    pub(super) bytes: Range<usize>,
    /// The positions of its elements in the change.
    pub(super) elements: Range<usize>,
}

impl Transaction<'_> {
    /// The sequence number of BATCH_END.
    pub(super) fn end(&self) -> u32 {
        let origins = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        self.begin.wrapping_add(origins).wrapping_add(1)
    }
}

/// Cuts a difference into transactions of at most `limit` bytes, with sequence numbers from
/// `sequence` on; `each` has one at a time, so that the first fill of a large table is never in memory as a whole.
/// Returns the sequence number after them.
///
/// # Errors
/// When one is too large or cannot be written; `each` has had those before it. And the error of `each`.
pub(super) fn transactions<'a>(
    difference: &'a Difference,
    limit: usize,
    mut sequence: u32,
    each: Each<'_, 'a>,
) -> Result<u32, ApplyError> {
    let mut scratch = Writer::default();
    for (stage, changes) in
        [(Stage::Prepare, &difference.prepare), (Stage::Switch, &difference.switch), (Stage::Clean, &difference.clean)]
    {
        let limit = if stage == Stage::Switch { limit } else { limit.min(CUT) };
        let list_limit = LIST_LIMIT.min(limit.saturating_sub(AROUND_LIST));
        let mut packer = Packer { limit, stage, sequence, each, open: None, change: None, overflow: 0 };
        for change in changes {
            packer.change = Some(change);
            change::write(change, list_limit, &mut scratch, &mut packer)?;
            packer.complete();
        }
        sequence = packer.finish()?;
    }
    Ok(sequence)
}

/// Has a transaction.
type Each<'e, 'a> = &'e mut dyn FnMut(Transaction<'a>) -> Result<(), ApplyError>;

/// Fills transactions with messages.
struct Packer<'e, 'a> {
    limit: usize,
    stage: Stage,
    sequence: u32,
    each: Each<'e, 'a>,
    open: Option<Open<'a>>,
    change: Option<&'a Change>,
    /// What the switch is longer than it may be, in bytes.
    overflow: usize,
}

struct Open<'a> {
    writer: Writer,
    begin: u32,
    origins: Vec<Origin<'a>>,
    changes: usize,
}

impl Sink for Packer<'_, '_> {
    type Error = ApplyError;

    fn message(&mut self, message: &mut Writer, elements: Range<usize>) -> Result<(), ApplyError> {
        let Some(change) = self.change else { return Ok(()) };
        if let Some(why) = message.take_fault() {
            return Err(ApplyError::NotEncodable { change: describe(change), why });
        }
        let needed = message.len() + BATCH_MARK;
        let filled = self.open.as_ref().map_or(BATCH_MARK, |open| open.writer.len());
        if filled + needed > self.limit {
            if self.stage == Stage::Switch {
                // Counted to the end, so that the error can say how much it is.
                self.overflow += message.len();
                return Ok(());
            }
            if BATCH_MARK + needed > self.limit {
                return Err(ApplyError::TooLarge { bytes: BATCH_MARK + needed, limit: self.limit });
            }
            self.close()?;
        }
        let sequence = &mut self.sequence;
        let mut next = || {
            let number = *sequence;
            *sequence = sequence.wrapping_add(1);
            number
        };
        let open = self.open.get_or_insert_with(|| {
            let begin = next();
            let mut writer = Writer::default();
            batch_mark(&mut writer, nfnetlink::BATCH_BEGIN, 0, begin);
            Open { writer, begin, origins: Vec::new(), changes: 0 }
        });
        let start = open.writer.len();
        open.writer.raw(message.bytes());
        set_sequence(&mut open.writer, start, next());
        open.origins.push(Origin { change, bytes: start..open.writer.len(), elements });
        Ok(())
    }
}

impl Packer<'_, '_> {
    /// The current change has no more messages.
    fn complete(&mut self) {
        if let Some(open) = &mut self.open {
            open.changes += 1;
        }
    }

    fn close(&mut self) -> Result<(), ApplyError> {
        let Some(Open { mut writer, begin, origins, changes }) = self.open.take() else { return Ok(()) };
        // Kernels before 6.10 do not acknowledge BATCH_END, and later ones may do so even when the
        // batch failed: the last real message is asked to answer too, and an error outweighs both.
        if let Some(last) = origins.last() {
            let flags = request_flags(&writer, last.bytes.start) | netlink::ACK;
            set_flags(&mut writer, last.bytes.start, flags);
        }
        batch_mark(&mut writer, nfnetlink::BATCH_END, netlink::ACK, self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = writer.into_bytes();
        (self.each)(Transaction { stage: self.stage, bytes, begin, origins, changes })
    }

    fn finish(mut self) -> Result<u32, ApplyError> {
        if self.overflow > 0 {
            let filled = self.open.as_ref().map_or(BATCH_MARK, |open| open.writer.len());
            return Err(ApplyError::TooLarge { bytes: filled + self.overflow + BATCH_MARK, limit: self.limit });
        }
        self.close()?;
        Ok(self.sequence)
    }
}

fn request_flags(writer: &Writer, start: usize) -> u16 {
    let flags = writer.bytes().get(start + 6..).and_then(|bytes| bytes.first_chunk().copied());
    flags.map_or(0, u16::from_ne_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use palisade_engine::model::{Family, PortRange, Protocol};

    use super::*;
    use crate::difference::Change;
    use crate::netlink::message::{Message, messages};
    use crate::netlink::uapi::element;
    use crate::ruleset::{Elements, Key, SetKind};

    /// All transactions that a difference is cut into.
    pub(in crate::netlink) fn cut(
        difference: &Difference,
        limit: usize,
        sequence: u32,
    ) -> Result<Vec<Transaction<'_>>, ApplyError> {
        let mut all = Vec::new();
        transactions(difference, limit, sequence, &mut |transaction| {
            all.push(transaction);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn a_range_that_cannot_be_is_never_written() {
        let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        for (kind, key) in [
            (SetKind::AddressRanges(Family::V4), Key::Range4(high, low)),
            (SetKind::Addresses(Family::V4), Key::Range4(low, high)),
            (SetKind::Ports, Key::Ports(Protocol::Tcp, PortRange::new(1, 2).unwrap())),
        ] {
            let prepare = vec![Change::AddElements { set: "s".to_owned(), kind, elements: [(key, None)].into() }];
            let difference = Difference { prepare, ..Difference::default() };
            let error = cut(&difference, 200_000, 1).unwrap_err();
            assert!(matches!(error, ApplyError::NotEncodable { .. }), "{error}");
        }
    }

    #[test]
    fn no_elements_make_no_message() {
        // DELSETELEM without elements would empty the set.
        let (set, kind) = ("s".to_owned(), SetKind::Ports);
        let switch = vec![
            Change::DeleteElements { set: set.clone(), kind, keys: Vec::new() },
            Change::AddElements { set, kind, elements: Elements::default() },
        ];
        assert!(cut(&Difference { switch, ..Difference::default() }, 200_000, 1).unwrap().is_empty());
    }

    fn addresses(count: u32) -> Elements {
        (0..count).map(|n| (Key::Address(Ipv4Addr::from_bits(0x0a00_0000 + n).into()), None)).collect()
    }

    #[test]
    fn transactions_are_cut_to_fit_and_cover_every_element_once() {
        let kind = SetKind::Addresses(Family::V4);
        let elements = addresses(50_000);
        let add = Change::AddElements { set: "s".to_owned(), kind, elements };
        let difference = Difference { prepare: vec![Change::AddTable, add], ..Difference::default() };
        let all = cut(&difference, 100_000, 7).unwrap();
        assert!(all.len() > 5);
        let (mut sequence, mut covered) = (7, 0);
        for transaction in &all {
            assert!(transaction.bytes.len() <= 100_000);
            let parsed: Vec<Message<'_>> = messages(&transaction.bytes).collect();
            assert_eq!(parsed.first().unwrap().kind, nfnetlink::BATCH_BEGIN);
            assert_eq!(parsed.last().unwrap().kind, nfnetlink::BATCH_END);
            assert_eq!((transaction.begin, transaction.end()), (sequence, parsed.last().unwrap().sequence));
            for message in parsed {
                assert_eq!(message.sequence, sequence);
                sequence += 1;
                covered += message.attributes().nested(element::LIST_ELEMENTS).count();
            }
        }
        assert_eq!(covered, 50_000);
        assert_eq!(all.iter().map(|transaction| transaction.changes).sum::<usize>(), 2);
    }

    #[test]
    fn a_switch_is_never_cut() {
        let kind = SetKind::Addresses(Family::V4);
        let switch = vec![Change::AddElements { set: "s".to_owned(), kind, elements: addresses(50_000) }];
        let difference = Difference { switch, ..Difference::default() };
        let one = cut(&difference, 2_000_000, 1).unwrap();
        assert_eq!((one.len(), one[0].stage), (1, Stage::Switch));
        let error = cut(&difference, 100_000, 1).unwrap_err();
        assert_eq!(error, ApplyError::TooLarge { bytes: one[0].bytes.len(), limit: 100_000 });
    }
}
