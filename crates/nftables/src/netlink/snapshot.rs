//! The state of our table as it was read back, and what is wrong with it.

use std::collections::BTreeMap;

use super::attribute::Writer;
use super::change::describe_key;
use super::expression::write_all;
use super::listing;
use super::uapi::chain;
use crate::ruleset::{Elements, Key, Name, Passing, Rule, Ruleset, Set, SetKind, Verdict};

/// What is in the kernel of `table inet palisade`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether the table is there.
    pub exists: bool,
    /// Whether the table was put to sleep (`flags dormant`): its chains see no packets.
    pub is_dormant: bool,
    /// Whether no nftables rule of the network namespace, ours or not, changed while it was read.
    pub is_one_moment: bool,
    /// The chains, by name.
    pub chains: BTreeMap<Name, ChainState>,
    /// The sets and maps, by name.
    pub sets: BTreeMap<Name, SetState>,
}

/// A chain in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainState {
    /// Where the kernel enters it; `None`: only other chains do.
    pub entry: Option<Entry>,
    /// Its rules in order.
    pub rules: Vec<RuleState>,
}

/// Where the kernel enters a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its type (`filter`).
    pub kind: String,
    /// The hook (`enum nf_inet_hooks`: 2 is forward).
    pub hook: u32,
    /// The order among chains of one hook; smaller is earlier.
    pub priority: i32,
    /// What happens at its end (1 accepts, 0 drops).
    pub policy: u32,
}

/// A rule in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleState {
    /// Its comment.
    pub comment: Option<String>,
    /// Its list of expressions as the kernel sends it (the value of NFTA_RULE_EXPRESSIONS).
    pub expressions: Vec<u8>,
}

/// A set or map in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetState {
    /// What its keys are; `None`: nothing that we make.
    pub kind: Option<SetKind>,
    /// Whether its keys have verdicts.
    pub is_map: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether its elements come and go by themselves; then they are not read.
    pub passing: Option<Passing>,
    /// Its elements; addresses of a set of ranges as ranges.
    pub elements: Elements,
    /// How many elements it has besides that cannot be ours.
    pub strange: usize,
}

/// What a rule counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCounter {
    /// The rule's chain.
    pub chain: Name,
    /// The rule's comment.
    pub comment: Option<String>,
    /// Packets since the rule was made.
    pub packets: u64,
    /// Bytes since the rule was made.
    pub bytes: u64,
}

impl RuleState {
    /// Its expressions, one line each, as `nft --debug=netlink` shows them (without what counters
    /// counted).
    pub fn listing(&self) -> Vec<String> {
        listing::lines(&self.expressions)
    }
}

/// The expressions that the kernel gets for a rule, one line each, as `nft --debug=netlink` shows
/// them.
pub fn rule_listing(rule: &Rule) -> Vec<String> {
    listing::lines(&encoded(rule))
}

fn encoded(rule: &Rule) -> Vec<u8> {
    let mut writer = Writer::default();
    write_all(&mut writer, &rule.expressions);
    writer.into_bytes()
}

impl Snapshot {
    /// In what it differs from `wanted`, one line each; nothing when the kernel has exactly that.
    pub fn differences(&self, wanted: &Ruleset) -> Vec<String> {
        if !self.exists {
            return vec!["the table is gone".to_owned()];
        }
        let mut found = Vec::new();
        if self.is_dormant {
            found.push("the table is dormant: none of its rules has an effect".to_owned());
        }
        for (name, state) in &self.chains {
            match wanted.chains.get(name) {
                Some(chain) => state.differences(name, chain.is_base, &chain.rules, &mut found),
                None => found.push(format!("chain {name} is one too many")),
            }
        }
        found.extend(missing("chain", wanted.chains.keys(), |name| self.chains.contains_key(name)));
        for (name, state) in &self.sets {
            match wanted.sets.get(name) {
                Some(set) => state.differences(name, set, &mut found),
                None => found.push(format!("set {name} is one too many")),
            }
        }
        found.extend(missing("set", wanted.sets.keys(), |name| self.sets.contains_key(name)));
        found
    }
}

fn missing<'a>(
    noun: &'static str,
    wanted: impl Iterator<Item = &'a Name>,
    has: impl Fn(&str) -> bool,
) -> impl Iterator<Item = String> {
    wanted.filter(move |name| !has(name)).map(move |name| format!("{noun} {name} is missing"))
}

impl ChainState {
    fn differences(&self, name: &str, is_base: bool, wanted: &[Rule], found: &mut Vec<String>) {
        let entry = is_base.then(|| Entry {
            kind: "filter".to_owned(),
            hook: chain::FORWARD,
            priority: chain::PRIORITY_FILTER,
            policy: chain::POLICY_ACCEPT,
        });
        if self.entry != entry {
            found.push(format!("chain {name} is entered at {:?} and not at {entry:?}", self.entry));
        }
        if self.rules.len() != wanted.len() {
            found.push(format!("chain {name} has {} rules and not {}", self.rules.len(), wanted.len()));
            return;
        }
        for (position, (state, rule)) in self.rules.iter().zip(wanted).enumerate() {
            let expressions = encoded(rule);
            let same = state.comment == rule.comment
                && state.listing() == listing::lines(&expressions)
                && listing::widths(&state.expressions) == listing::widths(&expressions);
            if !same {
                let comment = rule.comment.as_deref().unwrap_or("no comment");
                found.push(format!("rule {} of chain {name} ({comment}) is another one", position + 1));
            }
        }
    }
}

impl SetState {
    fn differences(&self, name: &str, wanted: &Set, found: &mut Vec<String>) {
        let is = (self.kind, self.is_map, &self.comment, self.passing);
        if is != (Some(wanted.kind), wanted.is_map, &wanted.comment, wanted.passing) {
            found.push(format!("set {name} is of another kind or has another comment"));
            return;
        }
        // Whoever puts them there knows which they are.
        if wanted.passing.is_some() {
            return;
        }
        let elements: BTreeMap<Key, &Option<Verdict>> =
            wanted.elements.iter().map(|(key, verdict)| (as_read(wanted.kind, *key), verdict)).collect();
        let unwanted = self.elements.iter().filter(|(key, verdict)| elements.get(*key) != Some(verdict));
        let absent = elements.iter().filter(|(key, verdict)| self.elements.get(*key) != Some(**verdict));
        for (words, keys) in [
            ("elements too many or with another verdict", unwanted.map(|(key, _)| key).collect::<Vec<_>>()),
            ("elements too few or with another verdict", absent.map(|(key, _)| key).collect()),
        ] {
            if let Some(first) = keys.first() {
                found.push(format!("set {name} has {} {words}, first {}", keys.len(), describe_key(first)));
            }
        }
        if self.strange > 0 {
            found.push(format!("set {name} has {} elements that nobody here put there", self.strange));
        }
    }
}

/// A key as it is read back from a set of this kind.
fn as_read(kind: SetKind, key: Key) -> Key {
    use std::net::IpAddr::{V4, V6};
    match (kind, key) {
        (SetKind::AddressRanges(_), Key::Address(V4(address))) => Key::Range4(address, address),
        (SetKind::AddressRanges(_), Key::Address(V6(address))) => Key::Range6(address, address),
        (SetKind::PortRanges, Key::Port(protocol, port)) => {
            Key::Ports(protocol, palisade_engine::model::PortRange::single(port))
        }
        _ => key,
    }
}
