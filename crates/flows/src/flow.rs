//! One form for what every log tells of a connection.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;

use crate::record::{FlowDirection, FlowEnd, FlowProtocol, FlowRecord, FlowVerdict, Who};

/// What a line of a flow log says of a connection, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who opened it.
    pub source: End,
    /// Who received it, or would have.
    pub destination: End,
    /// What it carries.
    pub protocol: FlowProtocol,
    /// The port at the destination, where the protocol has ports and the log tells it.
    pub port: Option<u16>,
    /// Which end was judged.
    pub direction: FlowDirection,
    /// What became of it.
    pub verdict: FlowVerdict,
    /// When it was seen; the first time, where one line stands for several.
    pub first: Timestamp,
    /// When it was seen for the last time.
    pub last: Timestamp,
    /// How often, at least 1.
    pub count: u64,
    /// The node that judged it, where the log tells it.
    pub node: Option<String>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Who it is.
    pub subject: Subject,
    /// Its address, where the log tells it.
    pub address: Option<IpAddr>,
}

/// Who has an address, as far as whoever wrote the log knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A pod with a network of its own, or pods that the log tells as one.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name; `frontend-7c9f6d-*` of pods that the log tells as one; `None` where only the workload counts.
        pod: Option<String>,
        /// What made it, as `deploy/frontend`, with kubectl's short names.
        workload: Option<String>,
    },
    /// A node, or a pod that uses its node's network.
    Node {
        /// The node.
        node: String,
    },
    /// Neither: an address is all that is known, if it is.
    Address,
}

impl fmt::Display for End {
    /// `prod/deploy/web`, `prod/client`, `node/node-1`, `203.0.113.9`, or `outside`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.subject, self.address) {
            (Subject::Pod { namespace, pod, workload }, _) => {
                let name = workload.as_deref().or(pod.as_deref()).unwrap_or("*");
                write!(f, "{namespace}/{name}")
            }
            (Subject::Node { node }, _) => write!(f, "node/{node}"),
            (Subject::Address, Some(address)) => address.fmt(f),
            (Subject::Address, None) => f.write_str("outside"),
        }
    }
}

impl From<FlowEnd> for End {
    fn from(end: FlowEnd) -> Self {
        let subject = match end.who {
            Who::Pod(pod) => Subject::Pod { namespace: pod.namespace, pod: Some(pod.pod), workload: pod.workload },
            Who::Node { node } => Subject::Node { node },
            Who::Outside {} => Subject::Address,
        };
        Self { subject, address: Some(end.ip.to_canonical()) }
    }
}

impl From<FlowRecord> for Flow {
    fn from(record: FlowRecord) -> Self {
        Self {
            port: record.dst.port,
            source: record.src.into(),
            destination: record.dst.into(),
            protocol: record.protocol,
            direction: record.direction,
            verdict: record.verdict,
            first: record.time,
            last: record.time,
            count: 1,
            node: Some(record.node),
        }
    }
}
