//! Calico's flow logs: the files that Felix writes, and what Whisker's backend gives of Goldmane's flows.
//!
//! Both tell connections that are alike as one, over some minutes: pods whose names begin alike are `web-7c9f6d-*`,
//! addresses may be left out, and who is no pod may be `pub` or `pvt` alone. A staged policy is Calico's audit: what
//! passes though a pending policy denies it would be denied.
//!
//! ```text
//! file     {"start_time":1577834657,"source_name_aggr":"web-7c9f6d-*","source_type":"wep","proto":"tcp","action":"allow",…}
//! Whisker  {"start_time":"2026-03-01T12:00:00Z","source_name":"web-7c9f6d-*","protocol":"tcp","action":"Allow",…}
//! ```

use std::{borrow::Cow, net::IpAddr};

use jiff::Timestamp;
use palisade_engine::model::Protocol;
use serde::Deserialize;

use crate::{
    End, Entry, Flow, LineError, PassedOver, Subject,
    error::{fault, json},
    record::{FlowDirection, FlowProtocol, FlowVerdict},
};

/// What Whisker calls the namespace of what is in none.
const GLOBAL: &str = "Global";

pub(crate) type Text<'a> = Option<Cow<'a, str>>;

#[derive(Deserialize)]
pub(crate) struct Log<'a> {
    pub(crate) start_time: Time<'a>,
    pub(crate) end_time: Option<Time<'a>>,
    #[serde(borrow)]
    pub(crate) action: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) reporter: Cow<'a, str>,
    #[serde(borrow, alias = "protocol")]
    pub(crate) proto: Cow<'a, str>,
    pub(crate) source_ip: Option<IpAddr>,
    #[serde(borrow)]
    pub(crate) source_name: Text<'a>,
    #[serde(borrow)]
    pub(crate) source_name_aggr: Text<'a>,
    #[serde(borrow)]
    pub(crate) source_namespace: Text<'a>,
    #[serde(borrow)]
    pub(crate) source_type: Text<'a>,
    #[serde(borrow)]
    pub(crate) source_labels: Option<Labels<'a>>,
    pub(crate) dest_ip: Option<IpAddr>,
    #[serde(borrow)]
    pub(crate) dest_name: Text<'a>,
    #[serde(borrow)]
    pub(crate) dest_name_aggr: Text<'a>,
    #[serde(borrow)]
    pub(crate) dest_namespace: Text<'a>,
    #[serde(borrow)]
    pub(crate) dest_type: Text<'a>,
    #[serde(borrow)]
    pub(crate) dest_labels: Option<Labels<'a>>,
    pub(crate) dest_port: Option<u16>,
    pub(crate) num_flows_started: Option<u64>,
    #[serde(borrow)]
    pub(crate) policies: Option<Policies<'a>>,
    #[serde(borrow)]
    pub(crate) host: Text<'a>,
}

/// Seconds since 1970, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Time<'a> {
    Seconds(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// `{"labels":["app=web"]}`, or `app=web | tier=front`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Labels<'a> {
    List {
        #[serde(borrow)]
        labels: Vec<Cow<'a, str>>,
    },
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
pub(crate) struct Policies<'a> {
    #[serde(borrow, default, alias = "pending", alias = "pendingPolicies")]
    pending_policies: Option<Vec<Hit<'a>>>,
}

/// `0|tier|namespace/tier.policy|deny|0`, or an object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Hit<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Object {
        /// Left out where it is none.
        #[serde(borrow, default)]
        action: Cow<'a, str>,
    },
}

/// Reads a line.
pub(crate) fn read(text: &str) -> Result<Entry, LineError> {
    json::<Log<'_>>(text)?.told()
}

impl Log<'_> {
    /// What the line says.
    pub(crate) fn told(self) -> Result<Entry, LineError> {
        let direction = match self.reporter.to_ascii_lowercase().as_str() {
            "src" => FlowDirection::Egress,
            "dst" => FlowDirection::Ingress,
            // What a host passes on, for policies of hosts.
            "fwd" => return Ok(Entry::PassedOver(PassedOver::NoConnection)),
            other => return Err(fault("reporter", format!("`{other}` is neither `src` nor `dst`"))),
        };
        let pending = self.policies.and_then(|policies| policies.pending_policies).unwrap_or_default();
        let verdict = match self.action.to_ascii_lowercase().as_str() {
            "allow" if pending.iter().any(Hit::denies) => FlowVerdict::WouldDeny,
            "allow" => FlowVerdict::Accepted,
            "deny" => FlowVerdict::Denied,
            other => return Err(fault("action", format!("`{other}` is neither `allow` nor `deny`"))),
        };
        let first = self.start_time.read("start_time")?;
        let last = match self.end_time {
            Some(time) => time.read("end_time")?.max(first),
            None => first,
        };
        let source = Named { name: self.source_name, aggregated: self.source_name_aggr, kind: self.source_type };
        let destination = Named { name: self.dest_name, aggregated: self.dest_name_aggr, kind: self.dest_type };
        Ok(Entry::Flow(Box::new(Flow {
            source: source.end(self.source_namespace, self.source_labels, self.source_ip),
            destination: destination.end(self.dest_namespace, self.dest_labels, self.dest_ip),
            protocol: protocol(&self.proto)?,
            port: self.dest_port.filter(|port| *port != 0),
            direction,
            verdict,
            first,
            last,
            // None may have begun in a window in which an older one was used.
            count: self.num_flows_started.unwrap_or(1).max(1),
            node: said(self.host),
        })))
    }
}

impl Time<'_> {
    fn read(self, field: &str) -> Result<Timestamp, LineError> {
        match self {
            Self::Seconds(seconds) => Timestamp::from_second(seconds).map_err(|why| fault(field, why.to_string())),
            Self::Text(text) => text.parse().map_err(|why: jiff::Error| fault(field, why.to_string())),
        }
    }
}

impl Hit<'_> {
    fn denies(&self) -> bool {
        let action = match self {
            Self::Text(text) => text.split('|').nth(3).unwrap_or_default(),
            Self::Object { action } => action,
        };
        action.eq_ignore_ascii_case("deny")
    }
}

impl Labels<'_> {
    fn has(&self, key: &str) -> bool {
        let is = |label: &str| label.trim().split_once('=').is_some_and(|(known, _)| known == key);
        match self {
            Self::List { labels } => labels.iter().any(|label| is(label)),
            Self::Text(text) => text.split('|').any(is),
        }
    }
}

/// Text that says something: `-` says that there is nothing to say.
fn said(text: Text<'_>) -> Option<String> {
    text.filter(|text| !text.is_empty() && text != "-").map(Cow::into_owned)
}

/// The names of an end. In files both are there, and one of them may be `-`.
struct Named<'a> {
    name: Text<'a>,
    aggregated: Text<'a>,
    /// `wep`, `hep`, `ns` or `net`; files alone have it.
    kind: Text<'a>,
}

impl Named<'_> {
    fn end(self, namespace: Text<'_>, labels: Option<Labels<'_>>, address: Option<IpAddr>) -> End {
        let (kind, name) = (self.kind, said(self.name));
        let (aggregated, namespace) = (said(self.aggregated), said(namespace));
        let subject = match (kind.as_deref(), namespace) {
            // No namespace is `Global` in Whisker's filters; no namespace of Kubernetes has a capital letter.
            (Some("wep") | None, Some(namespace)) if namespace != GLOBAL => match name.or(aggregated) {
                Some(pod) => Subject::Pod {
                    workload: labels.and_then(|labels| workload(&pod, &labels)),
                    namespace,
                    pod: Some(pod),
                },
                None => Subject::Address,
            },
            // Together it is told by its host; by itself by its own name, which has the host's in it where Calico made it.
            (Some("hep"), _) => match aggregated.or(name) {
                Some(name) => Subject::Node { node: name.strip_suffix("-auto-hep").unwrap_or(&name).to_owned() },
                None => Subject::Address,
            },
            _ => Subject::Address,
        };
        End { subject, address: address.map(|address| address.to_canonical()) }
    }
}

/// What made a pod, by the convention of names: a Deployment's pods are called by it, by what `pod-template-hash` says
/// and by a word of their own. Of other kinds the labels that tell them are not told for certain.
fn workload(pod: &str, labels: &Labels<'_>) -> Option<String> {
    if !labels.has("pod-template-hash") {
        return None;
    }
    let (replica_set, _) = pod.rsplit_once('-')?;
    let (deployment, _) = replica_set.rsplit_once('-')?;
    Some(format!("deploy/{deployment}"))
}

fn protocol(text: &str) -> Result<FlowProtocol, LineError> {
    let lower = text.to_ascii_lowercase();
    let known = Protocol::parse(&lower.to_ascii_uppercase()).map(FlowProtocol::WithPorts);
    Ok(match (known, lower.as_str()) {
        (Some(known), _) => known,
        (None, "icmp" | "1") => FlowProtocol::Icmp,
        (None, "icmp6" | "icmpv6" | "58") => FlowProtocol::Icmpv6,
        (None, "6") => FlowProtocol::WithPorts(Protocol::Tcp),
        (None, "17") => FlowProtocol::WithPorts(Protocol::Udp),
        (None, "132") => FlowProtocol::WithPorts(Protocol::Sctp),
        (None, "ipip") => FlowProtocol::Other(4),
        (None, "esp") => FlowProtocol::Other(50),
        (None, "udplite") => FlowProtocol::Other(136),
        (None, other) => {
            let number = other.parse().map_err(|_| fault("proto", format!("`{text}` is no protocol or its number")))?;
            FlowProtocol::Other(number)
        }
    })
}
