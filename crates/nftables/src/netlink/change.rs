//! The messages of a change, and the change in words.

use std::ops::Range;

use super::attribute::Writer;
use super::element::{layout, write as write_element, write_learned};
use super::expression::write_all;
use super::message::message;
use super::uapi::{LIST_ELEMENT, chain, element, netlink, request, rule, set, table};
use crate::difference::Change;
use crate::ruleset::{FORWARD, Key, Passing, SetKind, TABLE, Verdict};

/// How many learned addresses go into one list, which is of at most 64 KiB: a key and its name take 320 bytes.
const LEARNED_AT_ONCE: usize = 128;

/// Takes the messages of one change, each with the positions of the elements in it.
pub(super) trait Sink {
    /// An error ends the writing.
    type Error;

    /// One message, with sequence number 0.
    fn message(&mut self, message: &mut Writer, elements: Range<usize>) -> Result<(), Self::Error>;
}

/// Writes the messages of `change` one after the other into `scratch`, and each from there to `sink`.
/// A list of elements gets no longer than `list_limit` bytes as long as it has two elements.
pub(super) fn write<S: Sink>(
    change: &Change,
    list_limit: usize,
    scratch: &mut Writer,
    sink: &mut S,
) -> Result<(), S::Error> {
    let mut single = |kind, flags, content: &dyn Fn(&mut Writer)| {
        scratch.truncate(0);
        message(scratch, kind, flags, 0, content);
        sink.message(scratch, 0..0)
    };
    match change {
        Change::AddTable => single(request::NEW_TABLE, netlink::CREATE, &|writer| {
            writer.text(table::NAME, TABLE);
            writer.be32(table::FLAGS, 0);
        }),
        Change::DeleteTable => single(request::DELETE_TABLE, 0, &|writer| writer.text(table::NAME, TABLE)),
        // EXCL: what is there already may have rules or elements that nobody knows of.
        Change::AddChain { name, is_base } => single(request::NEW_CHAIN, netlink::CREATE | netlink::EXCL, &|writer| {
            writer.text(chain::TABLE, TABLE);
            writer.text(chain::NAME, name);
            if *is_base {
                write_hook(writer);
            }
        }),
        Change::DeleteChain(name) => single(request::DELETE_CHAIN, 0, &|writer| {
            writer.text(chain::TABLE, TABLE);
            writer.text(chain::NAME, name);
        }),
        Change::AddRule(chain, added) => single(request::NEW_RULE, netlink::CREATE | netlink::APPEND, &|writer| {
            writer.text(rule::TABLE, TABLE);
            writer.text(rule::CHAIN, chain);
            writer.nest(rule::EXPRESSIONS, |writer| write_all(writer, &added.expressions));
            if let Some(comment) = &added.comment {
                writer.comment(rule::USERDATA, rule::COMMENT, comment);
            }
        }),
        // Without a handle it means every rule of the chain.
        Change::FlushChain(chain) => single(request::DELETE_RULE, 0, &|writer| {
            writer.text(rule::TABLE, TABLE);
            writer.text(rule::CHAIN, chain);
        }),
        Change::AddSet { name, kind, is_map, comment, passing } => {
            single(request::NEW_SET, netlink::CREATE | netlink::EXCL, &|writer| {
                write_set(writer, name, *kind, *is_map, comment.as_deref(), *passing);
            })
        }
        Change::DeleteSet(name) => single(request::DELETE_SET, 0, &|writer| {
            writer.text(set::TABLE, TABLE);
            writer.text(set::NAME, name);
        }),
        Change::AddElements { set, kind, elements } => {
            let list = List { request: request::NEW_ELEMENT, flags: netlink::CREATE, set, kind: *kind, list_limit };
            list.write(elements.iter().map(|(key, verdict)| (key, verdict.as_ref())), scratch, sink)
        }
        Change::AddLearned { set, elements } => {
            let mut at = 0;
            for now in elements.chunks(LEARNED_AT_ONCE) {
                scratch.truncate(0);
                message(scratch, request::NEW_ELEMENT, netlink::CREATE, 0, |writer| {
                    writer.text(element::LIST_TABLE, TABLE);
                    writer.text(element::LIST_SET, set);
                    writer.nest(element::LIST_ELEMENTS, |writer| {
                        now.iter().for_each(|learned| write_learned(writer, learned));
                    });
                });
                sink.message(scratch, at..at + now.len())?;
                at += now.len();
            }
            Ok(())
        }
        Change::DeleteElements { set, kind, keys } => {
            let list = List { request: request::DELETE_ELEMENT, flags: 0, set, kind: *kind, list_limit };
            list.write(keys.iter().map(|key| (key, None)), scratch, sink)
        }
    }
}

fn write_hook(writer: &mut Writer) {
    writer.nest(chain::HOOK, |writer| {
        writer.be32(chain::HOOK_NUMBER, chain::FORWARD);
        writer.be32(chain::HOOK_PRIORITY, chain::PRIORITY_FILTER.cast_unsigned());
    });
    writer.be32(chain::POLICY, chain::POLICY_ACCEPT);
    writer.text(chain::TYPE, "filter");
}

fn write_set(
    writer: &mut Writer,
    name: &str,
    kind: SetKind,
    is_map: bool,
    comment: Option<&str>,
    passing: Option<Passing>,
) {
    let layout = layout(kind);
    let at_most = passing.map_or(0, |passing| passing.at_most);
    writer.text(set::TABLE, TABLE);
    writer.text(set::NAME, name);
    writer.be32(set::FLAGS, layout.flags | if is_map { set::MAP } else { 0 } | passing.map_or(0, passing_flags));
    writer.be32(set::KEY_TYPE, layout.key_type);
    writer.be32(set::KEY_LENGTH, layout.key_length);
    if is_map {
        writer.be32(set::DATA_TYPE, set::VERDICT);
        writer.be32(set::DATA_LENGTH, set::VERDICT_LENGTH);
    }
    // Required, although everything here refers to sets by their names.
    writer.be32(set::ID, 1);
    if !layout.fields.is_empty() || at_most > 0 {
        writer.nest(set::DESCRIPTION, |writer| {
            if at_most > 0 {
                writer.be32(set::DESCRIPTION_SIZE, at_most);
            }
            if !layout.fields.is_empty() {
                writer.nest(set::DESCRIPTION_CONCAT, |writer| {
                    for length in layout.fields {
                        writer.nest(LIST_ELEMENT, |writer| writer.be32(set::FIELD_LENGTH, *length));
                    }
                });
            }
        });
    }
    if let Some(Passing { seconds, .. }) = passing.filter(|passing| passing.seconds > 0) {
        writer.be64(set::TIMEOUT, u64::from(seconds) * 1_000);
    }
    if let Some(comment) = comment {
        writer.comment(set::USERDATA, set::COMMENT, comment);
    }
}

/// What the flags of a set say of elements that come and go.
fn passing_flags(passing: Passing) -> u32 {
    set::TIMEOUT_FLAG | if passing.by_rules { set::DYNAMIC } else { 0 }
}

/// Elements to add or to delete.
struct List<'a> {
    request: u16,
    flags: u16,
    set: &'a str,
    kind: SetKind,
    list_limit: usize,
}

impl List<'_> {
    /// Nothing at all for no elements: DELSETELEM without a list empties the set.
    fn write<'a, S: Sink>(
        &self,
        elements: impl Iterator<Item = (&'a Key, Option<&'a Verdict>)>,
        scratch: &mut Writer,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let mut elements = elements.peekable();
        let mut written = 0;
        while elements.peek().is_some() {
            scratch.truncate(0);
            let end = message(scratch, self.request, self.flags, 0, |writer| {
                writer.text(element::LIST_TABLE, TABLE);
                writer.text(element::LIST_SET, self.set);
                writer.nest(element::LIST_ELEMENTS, |writer| {
                    let list = writer.len();
                    let mut end = written;
                    while let Some(&(key, verdict)) = elements.peek() {
                        let before = writer.len();
                        write_element(writer, self.kind, key, verdict);
                        if writer.len() - list > self.list_limit && end > written {
                            writer.truncate(before);
                            break;
                        }
                        end += 1;
                        elements.next();
                    }
                    end
                })
            });
            sink.message(scratch, written..end)?;
            written = end;
        }
        Ok(())
    }
}

/// The change in words, for errors.
pub(super) fn describe(change: &Change) -> String {
    match change {
        Change::AddTable => format!("add table inet {TABLE}"),
        Change::DeleteTable => format!("delete table inet {TABLE}"),
        Change::AddChain { name, is_base: true } => format!("add chain {name} at the {FORWARD} hook"),
        Change::AddChain { name, is_base: false } => format!("add chain {name}"),
        Change::DeleteChain(name) => format!("delete chain {name}"),
        Change::AddRule(chain, rule) => match &rule.comment {
            Some(comment) => format!("add rule \"{comment}\" to chain {chain}"),
            None => format!("add rule to chain {chain}"),
        },
        Change::FlushChain(chain) => format!("remove the rules of chain {chain}"),
        Change::AddSet { name, is_map, .. } => format!("add {} {name}", noun(*is_map)),
        Change::DeleteSet(name) => format!("delete set {name}"),
        Change::AddElements { set, elements, .. } => {
            let is_map = elements.iter().any(|(_, verdict)| verdict.is_some());
            format!("add {} to {} {set}", count(elements.len()), noun(is_map))
        }
        Change::AddLearned { set, elements } => format!("add {} to set {set}", count(elements.len())),
        Change::DeleteElements { set, keys, .. } => format!("delete {} of set {set}", count(keys.len())),
    }
}

/// One element of a change in words, by its position there.
pub(super) fn describe_element(change: &Change, position: usize) -> Option<String> {
    let (key, verdict) = match change {
        Change::AddElements { elements, .. } => {
            elements.iter().nth(position).map(|(key, verdict)| (key, verdict.as_ref()))?
        }
        Change::DeleteElements { keys, .. } => (keys.get(position)?, None),
        _ => return None,
    };
    let verdict = verdict.map(|verdict| format!(" : {verdict}")).unwrap_or_default();
    Some(format!("element {}{verdict}", describe_key(key)))
}

/// A key in nft's words.
pub(super) fn describe_key(key: &Key) -> String {
    match key {
        Key::Address(address) => address.to_string(),
        Key::Range4(first, last) if first == last => first.to_string(),
        Key::Range6(first, last) if first == last => first.to_string(),
        Key::Range4(first, last) => format!("{first}-{last}"),
        Key::Range6(first, last) => format!("{first}-{last}"),
        Key::Pair(source, destination) => format!("{source} . {destination}"),
        Key::Port(protocol, port) => format!("{} . {port}", protocol.name().to_lowercase()),
        Key::Ports(protocol, range) => format!("{} . {range}", protocol.name().to_lowercase()),
    }
}

fn noun(is_map: bool) -> &'static str {
    if is_map { "map" } else { "set" }
}

fn count(elements: usize) -> String {
    if elements == 1 { "1 element".to_owned() } else { format!("{elements} elements") }
}
