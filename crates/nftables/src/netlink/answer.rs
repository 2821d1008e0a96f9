//! What the kernel answered to a transaction.

use rustix::io::Errno;

use super::attribute::{Attributes, attributes};
use super::batch::{Origin, Transaction};
use super::change::{describe, describe_element};
use super::element::members;
use super::error::Refusal;
use super::listing;
use super::message::{ATTRIBUTES, Message};
use super::uapi::{LIST_ELEMENT, element, netlink, rule};
use crate::difference::Change;

/// The answers to one transaction, gathered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The refused messages, in order.
    pub(super) refusals: Vec<Refusal>,
    end: bool,
    last: bool,
}

impl Answers {
    /// Takes one message; those that belong to something else are left out.
    pub(super) fn take(&mut self, message: &Message<'_>, transaction: &Transaction<'_>) {
        let position = message.sequence.wrapping_sub(transaction.begin);
        let last = transaction.end().wrapping_sub(transaction.begin);
        let (netlink::ERROR, Some(code), true) = (message.kind, message.code(), position <= last) else { return };
        if code == 0 {
            self.end |= position == last;
            self.last |= position.wrapping_add(1) == last;
            return;
        }
        let errno = Errno::from_raw_os_error(code.saturating_neg());
        let explanation = message.explanation();
        let offset = explanation
            .get(netlink::ERROR_OFFSET)
            .and_then(|value| value.first_chunk().copied())
            .map(u32::from_ne_bytes);
        let origin =
            usize::try_from(position).ok().and_then(|at| at.checked_sub(1)).and_then(|at| transaction.origins.get(at));
        let part = origin.zip(offset).and_then(|(origin, offset)| part(transaction, origin, offset));
        let change = match origin {
            Some(origin) => describe(origin.change),
            // The commit as a whole is answered with the sequence of the first message.
            None => "take the transaction into force".to_owned(),
        };
        self.refusals.push(Refusal { change, part, offset, errno, text: explanation.text(netlink::ERROR_TEXT) });
    }

    /// Whether the transaction is in force; `overrun` when answers were lost. A kernel before 6.10
    /// acknowledges only the last message, which it also does when the transaction fails for an
    /// error that may have been among the lost.
    pub(super) fn in_force(&self, overrun: bool) -> bool {
        self.refusals.is_empty() && (self.end || (self.last && !overrun))
    }
}

/// The part of a message that begins at or around `offset`, in words.
fn part(transaction: &Transaction<'_>, origin: &Origin<'_>, offset: u32) -> Option<String> {
    let message = transaction.bytes.get(origin.bytes.clone())?;
    let inside = usize::try_from(offset).ok()?.checked_sub(ATTRIBUTES)?;
    let top = attributes(message.get(ATTRIBUTES..)?);
    match origin.change {
        Change::AddRule(..) => {
            let members = members_until(&top, rule::EXPRESSIONS, inside)?;
            Some(listing::line(&attributes(members.last()?)))
        }
        Change::AddElements { kind, elements, .. } => {
            let keys = elements.keys();
            let position = position(keys.map(|key| members(*kind, key)), origin, &top, inside)?;
            describe_element(origin.change, position)
        }
        Change::DeleteElements { kind, keys, .. } => {
            let position = position(keys.iter().map(|key| members(*kind, key)), origin, &top, inside)?;
            describe_element(origin.change, position)
        }
        _ => None,
    }
}

/// Which element the offset is in; `lengths` are the list members of each element of the change.
fn position(
    lengths: impl Iterator<Item = usize>,
    origin: &Origin<'_>,
    top: &Attributes<'_>,
    inside: usize,
) -> Option<usize> {
    let mut left = members_until(top, element::LIST_ELEMENTS, inside)?.len();
    for (position, length) in lengths.enumerate().skip(origin.elements.start) {
        if left <= length {
            return Some(position);
        }
        left -= length;
    }
    None
}

/// The members of a list up to the one that `inside` (bytes from the first attribute) is in.
fn members_until<'a>(top: &Attributes<'a>, list: u16, inside: usize) -> Option<Vec<&'a [u8]>> {
    let attribute = top.clone().find(|attribute| attribute.kind == list)?;
    let within = inside.checked_sub(attribute.start + 4).filter(|within| *within < attribute.value.len())?;
    let members = attributes(attribute.value).filter(|member| member.kind == LIST_ELEMENT);
    Some(members.take_while(|member| member.start <= within).map(|member| member.value).collect())
}
