//! One line, whoever wrote it.

use std::fmt;

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    Connection, Flow, LineError, calico,
    error::{fault, json},
    goldmane, hubble,
    record::{FlowRecord, Line},
};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A connection, as an agent logged it: with why.
    Record(Box<FlowRecord>),
    /// A connection, as somebody else logged it.
    Flow(Box<Flow>),
    /// A connection that was seen many times, as `palisade flows --fold` wrote it.
    Connection(Box<Connection>),
    /// Here so many lines are missing.
    Lost(u64),
    /// On a socket: what was before has been told.
    CaughtUp,
    /// Nothing that policies were asked about.
    PassedOver(PassedOver),
}

/// Why a line that could be read does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// A packet of the way back.
    Reply,
    /// It is not told which way it goes.
    PerhapsReply,
    /// Dropped, but not by a policy.
    NotByPolicy,
    /// Told without a verdict, or without the end that was judged.
    NoVerdict,
    /// No connection: a status, a request within a connection, a packet that a host passes on.
    NoConnection,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reply => "replies",
            Self::PerhapsReply => "packets that may be replies",
            Self::NotByPolicy => "packets that no policy dropped",
            Self::NoVerdict => "packets without a verdict",
            Self::NoConnection => "not about connections",
        })
    }
}

/// What tells the forms apart.
#[derive(Deserialize)]
struct Marks {
    v: Option<IgnoredAny>,
    flow: Option<FlowMarks>,
    lost_events: Option<IgnoredAny>,
    node_status: Option<IgnoredAny>,
    agent_event: Option<IgnoredAny>,
    debug_event: Option<IgnoredAny>,
    reporter: Option<IgnoredAny>,
    /// Of a flow of Hubble's alone.
    event_type: Option<IgnoredAny>,
}

/// What tells the forms apart whose lines are a `flow`.
#[derive(Deserialize)]
struct FlowMarks {
    #[serde(rename = "Key", alias = "key")]
    key: Option<IgnoredAny>,
}

/// Reads a line of Palisade's flow log, of what `palisade flows --fold -o jsonl` prints, of Hubble's export or of
/// Calico's flow logs, without its end. A line of a stream of events (`data: {…}`), as Whisker's API gives it, too.
///
/// # Errors
/// When it is none of them, or has a field that says what nobody can mean.
pub fn read(text: &str) -> Result<Entry, LineError> {
    let text = text.strip_prefix("data:").unwrap_or(text).trim_start();
    // As they are written; the rest is found out by what is in it.
    if text.starts_with("{\"v\":") {
        return own(text);
    }
    if text.starts_with("{\"flow\":{\"time\":") {
        return hubble::read(text);
    }
    let marks: Marks = json(text)?;
    match marks {
        Marks { v: Some(_), .. } => own(text),
        Marks { flow: Some(FlowMarks { key: Some(_) }), .. } => goldmane::read(text),
        Marks { flow: Some(_), .. } | Marks { lost_events: Some(_), .. } | Marks { node_status: Some(_), .. } => {
            hubble::read(text)
        }
        Marks { agent_event: Some(_), .. } | Marks { debug_event: Some(_), .. } => hubble::read(text),
        Marks { event_type: Some(_), .. } => hubble::read_flow(text),
        Marks { reporter: Some(_), .. } => calico::read(text),
        _ => Err(fault(
            "",
            "it has neither `v`, as Palisade's lines have, nor `flow`, as Hubble's, nor `reporter`, as Calico's",
        )),
    }
}

fn own(text: &str) -> Result<Entry, LineError> {
    Ok(match Line::parse(text)? {
        Line::Flow(record) => Entry::Record(record),
        Line::Connection(connection) => Entry::Connection(connection),
        Line::Lost(lost) => Entry::Lost(lost),
        Line::CaughtUp => Entry::CaughtUp,
    })
}
