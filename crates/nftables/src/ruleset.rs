//! The wanted state of `table inet palisade`, as a value.
//!
//! Only what Palisade uses of nftables has a place here, so every value can be rendered as text,
//! encoded for the kernel and interpreted on a packet.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use palisade_engine::model::{Family, PortRange, Protocol};

pub use crate::elements::Elements;

/// The one table that is ours.
pub const TABLE: &str = "palisade";

/// The chain that the kernel enters at the `forward` hook.
pub const FORWARD: &str = "forward";

/// Everything in the table. Chains, sets and maps have one name space each in the kernel: chains,
/// and sets together with maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Sets and verdict maps, by name.
    pub sets: BTreeMap<Name, Set>,
    /// Chains, by name.
    pub chains: BTreeMap<Name, Chain>,
}

/// The name of a chain, set or map: at most 255 characters.
pub type Name = String;

/// A set of keys, or a map from keys to verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What its keys are.
    pub kind: SetKind,
    /// Whether every key has a verdict.
    pub is_map: bool,
    /// What it stands for, for people.
    pub comment: Option<String>,
    /// Whether elements come and go by themselves; `None`: those below are there, and no others.
    pub passing: Option<Passing>,
    /// The keys, each with its verdict in a map. Ranges neither overlap nor touch.
    pub elements: Elements,
}

/// Elements that come and go by themselves: which of them are there at a time, no ruleset says. So they are
/// neither compared nor taken out, only the set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Passing {
    /// After how many seconds an element goes that was added without a time of its own; 0: never.
    pub seconds: u32,
    /// How many there may be; 0: any number.
    pub at_most: u32,
    /// Whether rules add elements (`flags dynamic`), beside whoever else does.
    pub by_rules: bool,
}

impl Passing {
    /// Of a set whose elements somebody learns, each with a time of its own.
    pub const LEARNED: Self = Self { seconds: 0, at_most: 0, by_rules: false };
}

/// The type of a set's keys, and how the kernel keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetKind {
    /// Addresses, hashed.
    Addresses(Family),
    /// Ranges of addresses, in a tree.
    AddressRanges(Family),
    /// Source and destination address, hashed.
    AddressPairs(Family),
    /// Source address and the interface it came by, hashed. Rules alone put elements there: no [`Key`] is one.
    Sources(Family),
    /// Protocol and port, hashed.
    Ports,
    /// Protocol and range of ports.
    PortRanges,
}

/// An element's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An address.
    Address(IpAddr),
    /// From a first to a last IPv4 address.
    Range4(Ipv4Addr, Ipv4Addr),
    /// From a first to a last IPv6 address.
    Range6(Ipv6Addr, Ipv6Addr),
    /// Source and destination.
    Pair(IpAddr, IpAddr),
    /// A port.
    Port(Protocol, u16),
    /// Some ports.
    Ports(Protocol, PortRange),
}

/// A chain: rules asked in order until one decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Whether the kernel enters it at the `forward` hook (`type filter`, accepting at its end).
    pub is_base: bool,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule: its expressions are asked in order; the first that does not match ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What it asks and does.
    pub expressions: Vec<Expression>,
    /// Why, for people: at most 253 characters.
    pub comment: Option<String>,
}

/// An end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// `saddr`.
    Source,
    /// `daddr`.
    Destination,
}

/// One expression of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `ct state established,related`: matches packets of connections already allowed, and errors about them.
    EstablishedOrRelated,
    /// `ct state invalid,new,untracked`: matches what `established,related` does not.
    NeitherEstablishedNorRelated,
    /// `ct state new`: matches packets of connections that nobody has answered yet.
    NewConnection,
    /// `iifname "PREFIX*"`: matches packets that came in by an interface whose name begins so.
    InterfacePrefix(String),
    /// `fib saddr . iif oif missing`: matches when the source is not reached through the interface the packet came by.
    SourceNotBehindInterface,
    /// `ip saddr . iif != @SET`: matches when the set does not have the source with the interface the packet came by;
    /// of its family only.
    SourceNotIn(Family, Name),
    /// `add @SET { ip saddr . iif }`: puts them there, for the time that the set says; of its family only. When there
    /// is no room, the rule ends.
    AddSource(Family, Name),
    /// `meta nfproto`: matches one family.
    Family(Family),
    /// `icmpv6 type FIRST-LAST`: matches ICMPv6 messages by type.
    Icmpv6Types(u8, u8),
    /// `tcp dport RANGE`: matches a protocol and its destination ports.
    Ports(Protocol, PortRange),
    /// `ip saddr @SET`: matches when the set has the address of that end; of its family only.
    AddressIn(End, Family, Name),
    /// `ip saddr != @SET`: matches when the set does not have the address of that end; of its family only.
    AddressNotIn(End, Family, Name),
    /// `ip saddr != ADDRESS`: matches when the address of that end is another one of its family.
    AddressIsNot(End, IpAddr),
    /// `ip saddr . ip daddr @SET`: matches when the set has the pair.
    PairIn(Family, Name),
    /// `ip saddr vmap @MAP`: the verdict that the map has for the address of that end.
    AddressMap(End, Family, Name),
    /// `meta l4proto . th dport vmap @MAP`: the verdict that the map has for protocol and destination port.
    PortMap(Name),
    /// `limit rate RATE/second burst BURST packets`: matches while there is allowance.
    Limit {
        /// Packets a second.
        rate: u32,
        /// Packets on top, at once.
        burst: u32,
    },
    /// `numgen random mod N 0`: matches one of N, by chance; N is not 0.
    OneOf(u32),
    /// `counter`: counts what comes so far.
    Counter,
    /// `log prefix "PREFIX" group GROUP`: hands a copy to whoever listens to that NFLOG group.
    Log {
        /// The NFLOG group.
        group: u16,
        /// At most 127 characters.
        prefix: String,
    },
    /// Ends the rule.
    Verdict(Verdict),
}

/// What a rule or map element decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The packet passes this table.
    Accept,
    /// The packet is dropped.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// On in that chain, and back here when it returns.
    Jump(Name),
    /// On in that chain, and back to where this one was jumped to from when it returns.
    Goto(Name),
}

impl Rule {
    /// A rule of these expressions.
    pub fn new(expressions: impl IntoIterator<Item = Expression>) -> Self {
        Self { expressions: expressions.into_iter().collect(), comment: None }
    }

    /// The same with a comment, cut to what the kernel takes.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(shortened(comment.into(), 253));
        self
    }
}

impl Expression {
    /// The set or map that it looks into.
    pub fn set(&self) -> Option<&Name> {
        match self {
            Self::AddressIn(_, _, set)
            | Self::AddressNotIn(_, _, set)
            | Self::PairIn(_, set)
            | Self::SourceNotIn(_, set)
            | Self::AddSource(_, set)
            | Self::AddressMap(_, _, set)
            | Self::PortMap(set) => Some(set),
            _ => None,
        }
    }
}

impl Verdict {
    /// The chain that it goes on in.
    pub fn chain(&self) -> Option<&Name> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Return => None,
        }
    }
}

impl fmt::Display for Verdict {
    /// nft's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

/// `text`, cut after `limit` bytes at a character's end.
pub(crate) fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
