//! What a ruleset does to a packet, without a kernel.
//!
//! Follows the kernel: chains are asked rule by rule, a rule's expressions in order; `return` and the
//! end of a chain go back to where the chain was jumped to from; the base chain's end accepts.

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::model::{Family, Protocol};

use crate::ruleset::{End, Expression, FORWARD, Key, Name, Ruleset, SetKind, Verdict};

/// How deep the kernel jumps (`NFT_JUMP_STACK_SIZE`).
const JUMPS: usize = 16;

/// The first packet of a connection, as the `forward` hook sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The source address.
    pub source: IpAddr,
    /// The destination address, of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Payload,
    /// The interface that it came in by.
    pub interface: String,
    /// Whether the source is reached through that interface.
    pub source_behind_interface: bool,
    /// Whether conntrack knows its connection.
    pub established: bool,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A protocol with ports; the destination port.
    Port(Protocol, u16),
    /// ICMP or ICMPv6, by type.
    Icmp(u8),
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Whether it passed the table.
    pub accepted: bool,
    /// How often each chain's counters counted it.
    pub counted: BTreeMap<Name, u32>,
    /// The prefixes under which it was logged.
    pub logged: Vec<String>,
}

/// A ruleset that could not be followed: it refers to what is not there, or goes round in circles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain {chain}: {problem}")]
pub struct Broken {
    /// Where.
    pub chain: Name,
    /// What.
    pub problem: String,
}

/// Sends `packet` through the `forward` chain.
///
/// # Errors
/// When the ruleset is not whole.
pub fn forward(ruleset: &Ruleset, packet: &Packet) -> Result<Passage, Broken> {
    forward_with(ruleset, packet, &|_, _| false)
}

/// The same where addresses were learned: `learned` says whether the set of that name has an address.
///
/// # Errors
/// When the ruleset is not whole.
pub fn forward_with(
    ruleset: &Ruleset,
    packet: &Packet,
    learned: &dyn Fn(&str, IpAddr) -> bool,
) -> Result<Passage, Broken> {
    let passage = Passage { accepted: true, counted: BTreeMap::new(), logged: Vec::new() };
    let mut walk = Walk { ruleset, packet, learned, passage, steps: 0, depth: 0 };
    let decided = walk.chain(FORWARD)?;
    walk.passage.accepted = decided != Some(Decided::Drop);
    Ok(walk.passage)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    Accept,
    Drop,
}

/// How a chain ends short of a decision.
enum Next {
    Rule,
    Decided(Decided),
    Return,
    Goto(Name),
}

struct Walk<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet,
    learned: &'a dyn Fn(&str, IpAddr) -> bool,
    passage: Passage,
    /// How many chains have been entered, and how many of them are to come back to.
    steps: usize,
    depth: usize,
}

impl Walk<'_> {
    fn chain(&mut self, name: &str) -> Result<Option<Decided>, Broken> {
        let mut name = name.to_owned();
        'chain: loop {
            self.steps += 1;
            if self.steps > 10_000 {
                return Err(broken(&name, "goes round in circles"));
            }
            let chain = self.ruleset.chains.get(&name).ok_or_else(|| broken(&name, "does not exist"))?;
            for rule in &chain.rules {
                match self.rule(&name, &rule.expressions)? {
                    Next::Rule => {}
                    Next::Decided(decided) => return Ok(Some(decided)),
                    Next::Return => return Ok(None),
                    Next::Goto(next) => {
                        name = next;
                        continue 'chain;
                    }
                }
            }
            return Ok(None);
        }
    }

    fn rule(&mut self, chain: &str, expressions: &[Expression]) -> Result<Next, Broken> {
        for expression in expressions {
            let verdict = match expression {
                Expression::Verdict(verdict) => Some(verdict.clone()),
                Expression::AddressMap(end, family, map) => {
                    self.look_up(chain, map, self.address(*end, *family))?.flatten()
                }
                Expression::PortMap(map) => self.look_up(chain, map, self.port())?.flatten(),
                other => {
                    if !self.matches(chain, other)? {
                        return Ok(Next::Rule);
                    }
                    continue;
                }
            };
            return match verdict {
                None => Ok(Next::Rule),
                Some(Verdict::Accept) => Ok(Next::Decided(Decided::Accept)),
                Some(Verdict::Drop) => Ok(Next::Decided(Decided::Drop)),
                Some(Verdict::Return) => Ok(Next::Return),
                Some(Verdict::Goto(target)) => Ok(Next::Goto(target)),
                Some(Verdict::Jump(target)) => {
                    self.depth += 1;
                    if self.depth > JUMPS {
                        return Err(broken(&target, "is jumped to too deep down"));
                    }
                    let decided = self.chain(&target)?;
                    self.depth -= 1;
                    Ok(decided.map_or(Next::Rule, Next::Decided))
                }
            };
        }
        Ok(Next::Rule)
    }

    fn matches(&mut self, chain: &str, expression: &Expression) -> Result<bool, Broken> {
        let packet = self.packet;
        Ok(match expression {
            Expression::EstablishedOrRelated => packet.established,
            Expression::NewConnection => !packet.established,
            Expression::NeitherEstablishedNorRelated => !packet.established,
            Expression::InterfacePrefix(prefix) => packet.interface.starts_with(prefix),
            Expression::SourceNotBehindInterface => !packet.source_behind_interface,
            // What rules have learnt from packets is not known here: it is taken to be nothing.
            Expression::SourceNotIn(family, _) | Expression::AddSource(family, _) => {
                Family::of(packet.source) == *family
            }
            Expression::Family(family) => Family::of(packet.source) == *family,
            Expression::Icmpv6Types(first, last) => match packet.payload {
                Payload::Icmp(kind) => packet.source.is_ipv6() && (*first..=*last).contains(&kind),
                Payload::Port(..) => false,
            },
            Expression::Ports(protocol, range) => match packet.payload {
                Payload::Port(of, port) => of == *protocol && range.contains(port),
                Payload::Icmp(_) => false,
            },
            Expression::AddressIn(end, family, set) => self.look_up(chain, set, self.address(*end, *family))?.is_some(),
            Expression::AddressNotIn(end, family, set) => {
                // Of another family it asks nothing: the rule ends at the family.
                let key = self.address(*end, *family);
                key.is_some() && self.look_up(chain, set, key)?.is_none()
            }
            Expression::AddressIsNot(end, other) => {
                self.address(*end, Family::of(*other)).is_some_and(|key| key != Key::Address(*other))
            }
            Expression::PairIn(family, set) => {
                let key = self.address(End::Source, *family).map(|_| Key::Pair(packet.source, packet.destination));
                self.look_up(chain, set, key)?.is_some()
            }
            Expression::Counter => {
                *self.passage.counted.entry(chain.to_owned()).or_default() += 1;
                true
            }
            Expression::Log { prefix, .. } => {
                self.passage.logged.push(prefix.clone());
                true
            }
            // What comes by chance or in its time is taken to come.
            Expression::Limit { .. } | Expression::OneOf(_) => true,
            Expression::Verdict(_) | Expression::AddressMap(..) | Expression::PortMap(_) => true,
        })
    }

    fn address(&self, end: End, family: Family) -> Option<Key> {
        let address = match end {
            End::Source => self.packet.source,
            End::Destination => self.packet.destination,
        };
        (Family::of(address) == family).then_some(Key::Address(address))
    }

    fn port(&self) -> Option<Key> {
        match self.packet.payload {
            Payload::Port(protocol, port) => Some(Key::Port(protocol, port)),
            Payload::Icmp(_) => None,
        }
    }

    /// The verdict under a key: `None` when the key is not there, `Some(None)` in a set.
    fn look_up(&self, chain: &str, set: &str, key: Option<Key>) -> Result<Option<Option<Verdict>>, Broken> {
        let found = self
            .ruleset
            .sets
            .get(set)
            .ok_or_else(|| broken(chain, &format!("looks into {set}, which does not exist")))?;
        let Some(key) = key else { return Ok(None) };
        let elements = &found.elements;
        Ok(match (found.kind, key) {
            (SetKind::AddressRanges(_), Key::Address(IpAddr::V4(address))) => {
                // The range that begins last at or before the address is the only one that may hold it.
                let before = elements.range(..=Key::Range4(address, u32::MAX.into())).next_back();
                before
                    .filter(|(key, _)| matches!(key, Key::Range4(_, last) if address <= *last))
                    .map(|(_, v)| v.clone())
            }
            (SetKind::AddressRanges(_), Key::Address(IpAddr::V6(address))) => {
                let before = elements.range(..=Key::Range6(address, u128::MAX.into())).next_back();
                before
                    .filter(|(key, _)| matches!(key, Key::Range6(_, last) if address <= *last))
                    .map(|(_, v)| v.clone())
            }
            (SetKind::PortRanges, Key::Port(protocol, port)) => {
                let holds = |key: &Key| matches!(key, Key::Ports(of, range) if *of == protocol && range.contains(port));
                elements.iter().find(|(key, _)| holds(key)).map(|(_, verdict)| verdict.clone())
            }
            (SetKind::Addresses(_), Key::Address(address)) if found.passing.is_some() => {
                (self.learned)(set, address).then_some(None)
            }
            (_, key) => elements.get(&key).cloned(),
        })
    }
}

fn broken(chain: &str, problem: &str) -> Broken {
    Broken { chain: chain.to_owned(), problem: problem.to_owned() }
}
