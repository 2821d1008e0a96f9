//! One node, asked for by its name; and the one thing that is ever written: a start-up taint goes.
//!
//! ```text
//! GET the node ──► is the taint there? ──► PATCH: test that the taints are still these; without it
//!       ▲                                    │
//!       └── 409, 422: they are others by now ┘
//! ```
//!
//! The patch names the whole list that was read and fails when it is another one: a taint that somebody
//! adds in between is never lost. No taint is ever added.

use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::{Client, api::GetParams, client::Body, core::Request};
use palisade_engine::model::Node;
use palisade_manifest::read::{Collector, Keep};
use serde_json::{Value, json, value::RawValue};

use crate::{access::Cluster, error::ReadError, list::message, object, resources::NODES, runtime};

/// How often taints that changed meanwhile are looked at again.
const ATTEMPTS: usize = 5;
/// How long to wait before that.
const PAUSE: Duration = Duration::from_millis(100);
/// A server that says nothing for so long will not answer.
const SILENCE: Duration = Duration::from_secs(30);

/// What became of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaintRemoval {
    /// It was there and is gone.
    Removed,
    /// It was not there; nothing was written.
    NotThere,
}

/// Why a node could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The cluster cannot be spoken to.
    #[error(transparent)]
    Cluster(#[from] ReadError),
    /// There is no such node.
    #[error("{cluster} has no node {node}: it is called as in `kubectl get nodes`")]
    NotFound {
        /// The cluster.
        cluster: String,
        /// The node.
        node: String,
    },
    /// A permission is missing.
    #[error(
        "may not {verb} the node {node} (403): a ClusterRole needs {{apiGroups: [\"\"], resources: [nodes], verbs: [{verb}]}}"
    )]
    Forbidden {
        /// What was tried: `get` or `patch`.
        verb: &'static str,
        /// The node.
        node: String,
    },
    /// Any other answer.
    #[error("cannot {verb} the node {node} of {cluster}: {why}")]
    Refused {
        /// What was tried: `get` or `patch`.
        verb: &'static str,
        /// The cluster.
        cluster: String,
        /// The node.
        node: String,
        /// The server's words.
        why: String,
    },
}

impl Cluster {
    /// The node of that name, as it is now. Waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn node(&self, name: &str) -> Result<Node, NodeError> {
        let body = runtime()?.block_on(async { Asker::new(self, name)?.get().await })?;
        let options = self.options();
        let mut collector = Collector::new(&options);
        let read = serde_json::from_slice::<Box<RawValue>>(&body).and_then(|raw| object::text(&NODES, &raw));
        let (_, text) = read.map_err(|error| self.refused("get", name, error.to_string()))?;
        collector.read(&format!("{}nodes/{name}", self.prefix()), text, Keep::IfFaulty);
        let mut reading = collector.finish();
        reading.inventory.nodes.pop().ok_or_else(|| {
            let why = reading.diagnostics.first().map_or("it is no Node", |finding| finding.message.as_str());
            self.refused("get", name, why.to_owned())
        })
    }

    /// Takes the taints of this key, whatever their effect, from the node of that name. Waits for it.
    ///
    /// # Errors
    /// When the node cannot be read or changed: its taints are as they were then.
    pub fn remove_taint(&self, node: &str, key: &str) -> Result<TaintRemoval, NodeError> {
        runtime()?.block_on(async {
            let asker = Asker::new(self, node)?;
            for _ in 0..ATTEMPTS {
                let body = asker.get().await?;
                let read: Value = serde_json::from_slice(&body)
                    .map_err(|error| self.refused("get", node, format!("its answer is no object: {error}")))?;
                let Some(patch) = without(&read, key) else { return Ok(TaintRemoval::NotThere) };
                if asker.patch(&patch).await? {
                    return Ok(TaintRemoval::Removed);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(self.refused("patch", node, "its taints change faster than they can be read".to_owned()))
        })
    }

    fn refused(&self, verb: &'static str, node: &str, why: String) -> NodeError {
        NodeError::Refused { verb, cluster: self.title.clone(), node: node.to_owned(), why }
    }
}

/// The operations of RFC 6902 that take the taints of this key from a node; `None` when it has none.
fn without(node: &Value, key: &str) -> Option<Value> {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array)?;
    let is_it = |taint: &&Value| taint.get("key").and_then(Value::as_str) == Some(key);
    let left: Vec<&Value> = taints.iter().filter(|taint| !is_it(taint)).collect();
    if left.len() == taints.len() {
        return None;
    }
    let test = json!({ "op": "test", "path": "/spec/taints", "value": taints });
    Some(match left.as_slice() {
        [] => json!([test, { "op": "remove", "path": "/spec/taints" }]),
        left => json!([test, { "op": "replace", "path": "/spec/taints", "value": left }]),
    })
}

/// Speaks about one node.
struct Asker<'a> {
    cluster: &'a Cluster,
    client: Client,
    node: &'a str,
}

impl<'a> Asker<'a> {
    fn new(cluster: &'a Cluster, node: &'a str) -> Result<Self, NodeError> {
        let mut config = cluster.config.clone();
        config.read_timeout = Some(SILENCE);
        // What fails is asked again by whoever wants it, who can say so.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| cluster.unreachable(&error))?;
        Ok(Self { cluster, client, node })
    }

    async fn get(&self) -> Result<Vec<u8>, NodeError> {
        match self.send(None).await? {
            (200, body) => Ok(body),
            (code, body) => Err(self.failure("get", code, &body)),
        }
    }

    /// Says whether it was done; not when a test failed or somebody else was faster.
    async fn patch(&self, operations: &Value) -> Result<bool, NodeError> {
        match self.send(Some(operations)).await? {
            (200, _) => Ok(true),
            // Conflict; Unprocessable Entity, which is what a failed `test` becomes.
            (409 | 422, _) => Ok(false),
            (code, body) => Err(self.failure("patch", code, &body)),
        }
    }

    /// Asks for the node, or patches it.
    async fn send(&self, patch: Option<&Value>) -> Result<(u16, Vec<u8>), NodeError> {
        let unreachable = |error: &(dyn std::error::Error + 'static)| self.cluster.unreachable(error);
        let built = Request::new(NODES.path()).get(self.node, &GetParams::default());
        let mut request = built.map_err(|error| unreachable(&error))?;
        // Both words can be parsed.
        if let (Some(operations), Ok(method), Ok(kind)) =
            (patch, "PATCH".parse(), "application/json-patch+json".parse())
        {
            *request.method_mut() = method;
            request.headers_mut().insert("content-type", kind);
            *request.body_mut() = operations.to_string().into_bytes();
        }
        let sent = self.client.send(request.map(Body::from)).await;
        let response = sent.map_err(|error| unreachable(&error))?;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| unreachable(&error))?;
        Ok((code, body.to_bytes().to_vec()))
    }

    fn failure(&self, verb: &'static str, code: u16, body: &[u8]) -> NodeError {
        let (cluster, node) = (self.cluster.title.clone(), self.node.to_owned());
        match code {
            401 => ReadError::Credentials { cluster }.into(),
            403 => NodeError::Forbidden { verb, node },
            404 => NodeError::NotFound { cluster, node },
            _ => self.cluster.refused(verb, self.node, format!("{} ({code})", message(&body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_goes_and_the_list_must_be_as_it_was_read() {
        let taint = |key: &str, effect: &str| json!({ "key": key, "effect": effect });
        let node = |taints: &[&Value]| json!({ "spec": { "taints": taints } });
        let (ours, also, other) = (taint("a", "NoSchedule"), taint("a", "NoExecute"), taint("b", "NoSchedule"));
        let test = |taints: &[&Value]| json!({ "op": "test", "path": "/spec/taints", "value": taints });
        assert_eq!(without(&node(&[&other]), "a"), None);
        assert_eq!(without(&json!({ "spec": {} }), "a"), None);
        assert_eq!(without(&json!("nonsense"), "a"), None);
        let remove = json!({ "op": "remove", "path": "/spec/taints" });
        assert_eq!(without(&node(&[&ours, &also]), "a"), Some(json!([test(&[&ours, &also]), remove])));
        let replace = json!({ "op": "replace", "path": "/spec/taints", "value": [other] });
        assert_eq!(without(&node(&[&ours, &other]), "a"), Some(json!([test(&[&ours, &other]), replace])));
    }
}
