//! The lines of Palisade's flow log: what is written is what is read.
//!
//! ```text
//! {"v":1,"time":"…","verdict":"denied",…}    a flow      FlowRecord
//! {"v":1,"connection":{…}}                   many flows  Connection, as `palisade flows --fold` writes it
//! {"v":1,"lost":12}                          a gap       lines that were dropped here
//! {"v":1,"caughtUp":true}                    a mark      the socket has told what was before; now live
//! ```
//!
//! The format is documented in `docs/reference/flows.md`. Within one version fields are added, and readers
//! pass over those that they do not know; a line of a later version is refused.

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;
use palisade_engine::model;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{Connection, LineError, error::json};

/// The version of the format, in every line.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A connection that was denied or accepted.
    Flow(Box<FlowRecord>),
    /// A connection that was seen once or many times.
    Connection(Box<Connection>),
    /// Here so many lines are missing: somebody did not take them as fast as they came.
    Lost(u64),
    /// On a socket: what was before has been told.
    CaughtUp,
}

/// A connection that was denied or accepted, as its first packet showed it, or one that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowRecord {
    /// When the agent took it from the kernel, in UTC, to the millisecond.
    pub time: Timestamp,
    /// What became of it.
    pub verdict: FlowVerdict,
    /// Which end was judged.
    pub direction: FlowDirection,
    /// What it carries.
    pub protocol: FlowProtocol,
    /// Where it came from.
    pub src: FlowEnd,
    /// Where it was to go.
    pub dst: FlowEnd,
    /// The node that judged it.
    pub node: String,
    /// The policies that isolate the judged pod in that direction, as `namespace/name`.
    pub isolated_by: Vec<String>,
    /// The rules that decided: of an accepted connection those that allowed it, of a denied one the rule
    /// that denies it. Empty where no rule did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided_by: Vec<RuleName>,
    /// Of one that audited policies would deny: those whose doing it would be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audited: Vec<String>,
    /// Of one that audited policies would deny: that it stood already when it was judged. Missing otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standing: bool,
    /// Of a denied one, or one that would be: the rule that came nearest to allowing it, if there is any.
    pub nearest: Option<Nearest>,
    /// How many packets the same policies dropped since the last line about them without one of their own. Of one that
    /// stands: how many more stood likewise, and are to be told later.
    pub suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowVerdict {
    /// The packet was dropped.
    Denied,
    /// The packet passed.
    Accepted,
    /// The packet passed, and an audited policy would have dropped it.
    #[serde(rename = "would-deny")]
    WouldDeny,
}

/// Which end was judged on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowDirection {
    /// The destination.
    Ingress,
    /// The source.
    Egress,
    /// Both: the ends are pods of one node, and the connection was accepted.
    Both,
}

/// The protocol of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FlowProtocol {
    /// TCP, UDP or SCTP.
    WithPorts(model::Protocol),
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// Another one, by its number (IANA).
    Other(u8),
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ReadEnd")]
pub struct FlowEnd {
    /// Who it is.
    #[serde(flatten)]
    pub who: Who,
    /// Its address.
    pub ip: IpAddr,
    /// Its port, where the protocol has ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Who has an address, as far as the agent knew it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Who {
    /// A pod with a network of its own.
    Pod(PodEnd),
    /// A node, or a pod that uses its node's network.
    Node {
        /// The node.
        node: String,
    },
    /// Neither.
    Outside {},
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodEnd {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// What made it, as `deploy/frontend`, with kubectl's short names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The node it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Names a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    /// Its policy, as `namespace/name`.
    pub policy: String,
    /// Which of its rules.
    pub rule: RulePlace,
}

/// A rule that did not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nearest {
    /// Its policy, as `namespace/name`.
    pub policy: String,
    /// Which of its rules.
    pub rule: RulePlace,
    /// In what it did not match.
    pub missed: Missed,
}

/// In what a rule did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// None of its peers is the other end.
    Peer,
    /// None of its ports is the connection's.
    Port,
    /// Neither.
    Both,
}

/// The place of a rule in its policy: `ingress[0]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RulePlace {
    /// `spec.ingress` or `spec.egress`.
    pub direction: model::Direction,
    /// From 0.
    pub index: usize,
}

/// An end as it is read: who it is follows from which fields there are.
#[derive(Deserialize)]
struct ReadEnd {
    namespace: Option<String>,
    pod: Option<String>,
    workload: Option<String>,
    node: Option<String>,
    ip: IpAddr,
    port: Option<u16>,
}

impl TryFrom<ReadEnd> for FlowEnd {
    type Error = &'static str;

    fn try_from(end: ReadEnd) -> Result<Self, &'static str> {
        let ReadEnd { namespace, pod, workload, node, ip, port } = end;
        let who = match (namespace, pod, node) {
            (Some(namespace), Some(pod), node) => Who::Pod(PodEnd { namespace, pod, workload, node }),
            (None, None, Some(node)) => Who::Node { node },
            (None, None, None) => Who::Outside {},
            _ => return Err("a pod has both `namespace` and `pod`"),
        };
        Ok(Self { who, ip, port })
    }
}

/// What every line has, and what tells the kinds apart.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caught_up: Option<bool>,
    #[serde(default, skip_serializing)]
    connection: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    record: &'a FlowRecord,
}

#[derive(Serialize, Deserialize)]
struct Folded<C> {
    v: u32,
    connection: C,
}

impl Line {
    /// The line as JSON, without the end of line.
    pub fn to_json(&self) -> String {
        let head = |lost, caught_up| serde_json::to_string(&Head { v: VERSION, lost, caught_up, connection: None });
        let json = match self {
            Self::Connection(connection) => serde_json::to_string(&Folded { v: VERSION, connection }),
            Self::Flow(record) => serde_json::to_string(&Versioned { v: VERSION, record }),
            Self::Lost(lost) => head(Some(*lost), None),
            Self::CaughtUp => head(None, Some(true)),
        };
        // None of these types has what JSON has no place for.
        json.unwrap_or_default()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When it is none, or one of a later version.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let head: Head = json(text)?;
        match head {
            Head { v, .. } if v != VERSION => Err(LineError::Version(v)),
            Head { lost: Some(lost), .. } => Ok(Self::Lost(lost)),
            Head { caught_up: Some(true), .. } => Ok(Self::CaughtUp),
            Head { connection: Some(_), .. } => Ok(Self::Connection(json::<Folded<_>>(text)?.connection)),
            Head { .. } => Ok(Self::Flow(json(text)?)),
        }
    }
}

impl From<model::Direction> for FlowDirection {
    fn from(direction: model::Direction) -> Self {
        match direction {
            model::Direction::Ingress => Self::Ingress,
            model::Direction::Egress => Self::Egress,
        }
    }
}

impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithPorts(protocol) => f.pad(protocol.name()),
            Self::Icmp => f.pad("ICMP"),
            Self::Icmpv6 => f.pad("ICMPv6"),
            Self::Other(number) => f.pad(&number.to_string()),
        }
    }
}

impl From<FlowProtocol> for String {
    fn from(protocol: FlowProtocol) -> Self {
        protocol.to_string()
    }
}

impl TryFrom<String> for FlowProtocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "ICMP" => Ok(Self::Icmp),
            "ICMPv6" => Ok(Self::Icmpv6),
            name => match model::Protocol::parse(name) {
                Some(protocol) => Ok(Self::WithPorts(protocol)),
                None => name.parse().map(Self::Other).map_err(|_| format!("`{name}` is no protocol or its number")),
            },
        }
    }
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.direction, self.index)
    }
}

impl From<RulePlace> for String {
    fn from(place: RulePlace) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for RulePlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for RulePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rule: `ingress[0]`, `egress[2]`");
        let (direction, index) = text.strip_suffix(']').and_then(|text| text.split_once('[')).ok_or_else(wrong)?;
        let direction = model::Direction::ALL.into_iter().find(|known| known.to_string() == direction);
        let (direction, index) = direction.zip(index.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { direction, index })
    }
}

#[cfg(test)]
mod tests;
