//! A connection that was seen once or many times, and its line.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    End, Flow, Subject,
    record::{FlowDirection, FlowProtocol, FlowVerdict},
};

/// A connection between two ends, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Connection {
    /// Who opens it.
    pub source: End,
    /// Who receives it.
    pub destination: End,
    /// What it carries.
    pub protocol: FlowProtocol,
    /// The port at the destination, where there is one.
    pub port: Option<u16>,
    /// How often, and when.
    pub seen: Seen,
}

/// How often a connection was seen, by what became of it at each end that judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How often it passed where it begins.
    pub egress: u64,
    /// How often it passed where it ends.
    pub ingress: u64,
    /// How often it was denied where it begins.
    pub denied_egress: u64,
    /// How often it was denied where it ends.
    pub denied_ingress: u64,
    /// How often it passed, at either end, though an audited policy would deny it. These are counted as passed, too.
    pub would_deny: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

impl Seen {
    /// Nothing yet, at the time of what is to be added.
    pub(crate) fn at(first: Timestamp, last: Timestamp) -> Self {
        Self { egress: 0, ingress: 0, denied_egress: 0, denied_ingress: 0, would_deny: 0, first, last }
    }

    /// How often the connection was made. It is told once at each end that judged it, so the greater of the two
    /// counts; what passed where it began and was denied where it ended was not made.
    pub fn made(&self) -> u64 {
        if self.ingress == 0 && self.denied_ingress > 0 { 0 } else { self.egress.max(self.ingress) }
    }

    /// How often it was denied, at either end.
    pub fn denied(&self) -> u64 {
        self.denied_egress.saturating_add(self.denied_ingress)
    }

    pub(crate) fn add(&mut self, flow: &Flow) {
        let add = |count: &mut u64| *count = count.saturating_add(flow.count);
        match flow.verdict {
            FlowVerdict::Denied if flow.direction == FlowDirection::Ingress => add(&mut self.denied_ingress),
            FlowVerdict::Denied => add(&mut self.denied_egress),
            FlowVerdict::Accepted | FlowVerdict::WouldDeny => {
                if flow.direction != FlowDirection::Ingress {
                    add(&mut self.egress);
                }
                if flow.direction != FlowDirection::Egress {
                    add(&mut self.ingress);
                }
            }
        }
        if flow.verdict == FlowVerdict::WouldDeny {
            add(&mut self.would_deny);
        }
        self.first = self.first.min(flow.first);
        self.last = self.last.max(flow.last);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.egress = self.egress.saturating_add(other.egress);
        self.ingress = self.ingress.saturating_add(other.ingress);
        self.denied_egress = self.denied_egress.saturating_add(other.denied_egress);
        self.denied_ingress = self.denied_ingress.saturating_add(other.denied_ingress);
        self.would_deny = self.would_deny.saturating_add(other.would_deny);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// A connection as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    src: WrittenEnd,
    dst: WrittenEnd,
    protocol: FlowProtocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    egress: u64,
    ingress: u64,
    denied_egress: u64,
    denied_ingress: u64,
    would_deny: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct WrittenEnd {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
}

impl From<Connection> for Written {
    fn from(connection: Connection) -> Self {
        let Connection { source, destination, protocol, port, seen } = connection;
        let Seen { egress, ingress, denied_egress, denied_ingress, would_deny, first, last } = seen;
        let (src, dst) = (source.into(), destination.into());
        Self { src, dst, protocol, port, egress, ingress, denied_egress, denied_ingress, would_deny, first, last }
    }
}

impl TryFrom<Written> for Connection {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written {
            src,
            dst,
            protocol,
            port,
            egress,
            ingress,
            denied_egress,
            denied_ingress,
            would_deny,
            first,
            last,
        } = written;
        Ok(Self {
            source: src.try_into()?,
            destination: dst.try_into()?,
            protocol,
            port,
            seen: Seen { egress, ingress, denied_egress, denied_ingress, would_deny, first, last },
        })
    }
}

impl From<End> for WrittenEnd {
    fn from(end: End) -> Self {
        let mut written = Self { namespace: None, pod: None, workload: None, node: None, ip: end.address };
        match end.subject {
            Subject::Pod { namespace, pod, workload } => {
                (written.namespace, written.pod, written.workload) = (Some(namespace), pod, workload);
            }
            Subject::Node { node } => written.node = Some(node),
            Subject::Address => {}
        }
        written
    }
}

impl TryFrom<WrittenEnd> for End {
    type Error = &'static str;

    fn try_from(written: WrittenEnd) -> Result<Self, &'static str> {
        let subject = match written {
            WrittenEnd { namespace: Some(_), pod: None, workload: None, .. } => {
                return Err("an end with `namespace` has `pod` or `workload`, too");
            }
            WrittenEnd { namespace: Some(namespace), pod, workload, .. } => Subject::Pod { namespace, pod, workload },
            WrittenEnd { pod: Some(_), .. } | WrittenEnd { workload: Some(_), .. } => {
                return Err("an end with `pod` or `workload` has `namespace`, too");
            }
            WrittenEnd { node: Some(node), .. } => Subject::Node { node },
            WrittenEnd { .. } => Subject::Address,
        };
        Ok(Self { subject, address: written.ip.map(|address| address.to_canonical()) })
    }
}
