//! Calico's flows as Goldmane's API gives them: a `FlowResult` of its `api.proto` a line, in the JSON form of protocol
//! buffers, as `grpcurl … goldmane.Flows/Stream | jq -c` prints it. Fields are called in either way that this form has,
//! numbers of 64 bits are strings, and what has its default is left out.
//!
//! ```text
//! {"id":"7","flow":{"Key":{"sourceName":"web-7c9f6d-*","sourceType":"WorkloadEndpoint",…},"startTime":"1772366400",…}}
//! ```

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    Entry, LineError,
    calico::{Labels, Log, Policies, Text, Time},
    error::{fault, json},
};

#[derive(Deserialize)]
struct FlowResult<'a> {
    #[serde(borrow)]
    flow: Flow<'a>,
}

#[derive(Deserialize)]
struct Flow<'a> {
    #[serde(borrow, rename = "Key", alias = "key")]
    key: Key<'a>,
    #[serde(borrow, alias = "startTime")]
    start_time: Number<'a>,
    #[serde(borrow, alias = "endTime")]
    end_time: Option<Number<'a>>,
    #[serde(borrow, default, alias = "sourceLabels")]
    source_labels: Vec<Cow<'a, str>>,
    #[serde(borrow, default, alias = "destLabels")]
    dest_labels: Vec<Cow<'a, str>>,
    #[serde(borrow, alias = "numConnectionsStarted")]
    num_connections_started: Option<Number<'a>>,
}

#[derive(Deserialize)]
struct Key<'a> {
    #[serde(borrow, alias = "sourceName")]
    source_name: Text<'a>,
    #[serde(borrow, alias = "sourceNamespace")]
    source_namespace: Text<'a>,
    #[serde(borrow, alias = "sourceType")]
    source_type: Text<'a>,
    #[serde(borrow, alias = "destName")]
    dest_name: Text<'a>,
    #[serde(borrow, alias = "destNamespace")]
    dest_namespace: Text<'a>,
    #[serde(borrow, alias = "destType")]
    dest_type: Text<'a>,
    #[serde(borrow, alias = "destPort")]
    dest_port: Option<Number<'a>>,
    #[serde(borrow)]
    proto: Cow<'a, str>,
    #[serde(borrow)]
    reporter: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    policies: Option<Policies<'a>>,
}

/// A number of 64 bits, as protocol buffers write it or as anybody else would.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<'a> {
    Number(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl Number<'_> {
    fn read<T: TryFrom<i64>>(self, field: &str) -> Result<T, LineError> {
        let number = match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => text.parse().ok(),
        };
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| fault(field, "it is no number that fits"))
    }
}

/// Reads a line.
pub(crate) fn read(text: &str) -> Result<Entry, LineError> {
    let FlowResult { flow } = json(text)?;
    let key = flow.key;
    let log = Log {
        start_time: Time::Seconds(flow.start_time.read("flow.startTime")?),
        end_time: flow.end_time.map(|time| time.read("flow.endTime")).transpose()?.map(Time::Seconds),
        action: key.action,
        reporter: key.reporter,
        proto: key.proto,
        source_ip: None,
        source_name: None,
        source_name_aggr: key.source_name,
        source_namespace: key.source_namespace,
        source_type: kind(key.source_type, "flow.Key.sourceType")?,
        source_labels: Some(Labels::List { labels: flow.source_labels }),
        dest_ip: None,
        dest_name: None,
        dest_name_aggr: key.dest_name,
        dest_namespace: key.dest_namespace,
        dest_type: kind(key.dest_type, "flow.Key.destType")?,
        dest_labels: Some(Labels::List { labels: flow.dest_labels }),
        dest_port: key.dest_port.map(|port| port.read("flow.Key.destPort")).transpose()?,
        num_flows_started: flow
            .num_connections_started
            .map(|number| number.read("flow.numConnectionsStarted"))
            .transpose()?,
        policies: key.policies,
        host: None,
    };
    log.told().map_err(|error| {
        error.renamed(|field| match field {
            "start_time" => "flow.startTime".to_owned(),
            "end_time" => "flow.endTime".to_owned(),
            of_key => format!("flow.Key.{of_key}"),
        })
    })
}

/// The kind of an end by the word that the files have for it.
fn kind<'a>(kind: Text<'_>, field: &str) -> Result<Text<'a>, LineError> {
    let known = match kind.as_deref() {
        Some("WorkloadEndpoint") => "wep",
        Some("HostEndpoint") => "hep",
        Some("NetworkSet") => "ns",
        Some("Network") => "net",
        Some("EndpointTypeUnspecified") | None => return Ok(None),
        Some(other) => return Err(fault(field, format!("`{other}` is none that is known"))),
    };
    Ok(Some(known.into()))
}
