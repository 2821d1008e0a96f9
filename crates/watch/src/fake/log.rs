//! What happened, change by change: what watches are answered from.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::resources::{self, Resource};

/// The changes since the beginning, and from where on they may still be asked for.
#[derive(Default)]
pub(super) struct Log {
    events: Vec<Logged>,
    /// Changes up to this version are forgotten: who asks for what came after an older one is told so.
    pub(super) forgotten: u64,
}

struct Logged {
    version: u64,
    plural: String,
    key: String,
    kind: &'static str,
    object: Arc<Value>,
}

impl Log {
    pub(super) fn add(&mut self, version: u64, plural: &str, key: &str, kind: &'static str, object: Arc<Value>) {
        self.events.push(Logged { version, plural: plural.to_owned(), key: key.to_owned(), kind, object });
    }

    /// The lines for what came after a version, at most so many, and the version of the last of them.
    pub(super) fn after(&self, version: u64, resource: &Resource, namespace: &str, most: usize) -> (Vec<String>, u64) {
        let from = self.events.partition_point(|event| event.version <= version);
        let of_it = self.events.iter().skip(from).filter(|event| {
            let in_scope = namespace.is_empty() || event.key.split_once('/').is_some_and(|(ns, _)| ns == namespace);
            event.plural == resource.plural && in_scope
        });
        let mut last = version;
        let lines = of_it.take(most).map(|event| {
            last = event.version;
            line(event.kind, resource, &event.object)
        });
        (lines.collect(), last)
    }
}

/// An event with an object, which says what it is here, other than in a list.
pub(super) fn line(kind: &str, resource: &Resource, object: &Value) -> String {
    let object = whole(resource, object);
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// An object with its `apiVersion` and `kind`.
pub(super) fn whole(resource: &Resource, object: &Value) -> String {
    let text = object.to_string();
    // Those of a CRD have them already.
    match text.strip_prefix('{').filter(|_| object.get("kind").is_none()) {
        Some(fields) => {
            format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",{fields}", resource.kind, resource.api_version())
        }
        None => text,
    }
}

/// A bookmark: the empty object of its kind. The one after which a list by watch is complete says so.
pub(super) fn bookmark(resource: &Resource, version: u64, ends_list: bool) -> String {
    let version = version.to_string();
    let metadata = if ends_list {
        json!({ "resourceVersion": version, "annotations": { "k8s.io/initial-events-end": "true" } })
    } else {
        json!({ "resourceVersion": version })
    };
    // What Go prints of a structure with nothing in it.
    let object = if *resource == resources::PODS {
        json!({ "metadata": metadata, "spec": { "containers": null }, "status": {} })
    } else if *resource == resources::NETWORK_POLICIES {
        json!({ "metadata": metadata, "spec": { "podSelector": {} } })
    } else {
        json!({ "metadata": metadata, "spec": {}, "status": {} })
    };
    line("BOOKMARK", resource, &object)
}

/// What a watch says when it cannot go on.
pub(super) fn error(code: u16, reason: &str, message: &str) -> String {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n")
}
