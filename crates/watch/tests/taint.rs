//! The one write: the start-up taint of a node goes, and nothing else of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{thread, time::Duration};

use palisade_watch::{
    Access, Cluster, NodeError, TaintRemoval,
    fake::{FakeServer, Fault},
};
use serde_json::{Value, json};
use support::Folder;

const KEY: &str = "palisade.dev/agent-not-ready";

fn node(name: &str, taints: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": { "zone": "a" } },
        "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"], "taints": taints },
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }] },
    })
}

fn ours() -> Value {
    json!({ "key": KEY, "effect": "NoSchedule" })
}

fn other() -> Value {
    json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z" })
}

fn with(nodes: &[Value]) -> (FakeServer, Cluster) {
    let server = FakeServer::start().unwrap();
    nodes.iter().for_each(|node| server.put(node.clone()));
    let home = Folder::with("config", &server.kubeconfig("default"));
    let cluster = Access { kubeconfig: Some(home.file("config")), context: None }.find().unwrap();
    (server, cluster)
}

fn taints(server: &FakeServer, name: &str) -> Value {
    let nodes = server.objects(&palisade_watch::Watched::Nodes.resource());
    let node = nodes.into_iter().find(|node| node["metadata"]["name"] == name).unwrap();
    node["spec"]["taints"].clone()
}

fn patches(server: &FakeServer) -> usize {
    server.requests().iter().filter(|line| line.starts_with("PATCH ")).count()
}

#[test]
fn it_goes_and_nothing_else() {
    let (server, cluster) = with(&[node("n1", &json!([ours(), other()])), node("n2", &json!([ours()]))]);
    assert_eq!(cluster.remove_taint("n1", KEY).unwrap(), TaintRemoval::Removed);
    assert_eq!(taints(&server, "n1"), json!([other()]));
    assert_eq!(taints(&server, "n2"), json!([ours()]), "another node's");
    assert_eq!(cluster.remove_taint("n2", KEY).unwrap(), TaintRemoval::Removed);
    assert_eq!(taints(&server, "n2"), Value::Null);
    assert_eq!(patches(&server), 2);
    // What is not there is not written again.
    assert_eq!(cluster.remove_taint("n2", KEY).unwrap(), TaintRemoval::NotThere);
    assert_eq!(cluster.remove_taint("n1", KEY).unwrap(), TaintRemoval::NotThere);
    assert_eq!(patches(&server), 2);
    let whole = cluster.node("n1").unwrap();
    assert_eq!(whole.labels.get("zone").map(|zone| zone.as_str()), Some("a"));
    assert_eq!((whole.addresses.len(), whole.pod_prefixes.len()), (1, 2));
}

#[test]
fn a_taint_that_comes_in_between_stays() {
    let (server, cluster) = with(&[node("n1", &json!([ours()]))]);
    // What is read comes late: by then there is another taint, and the patch is refused.
    server.fail(Fault::slow("/api/v1/nodes/n1", Duration::from_millis(500)).times(1));
    let removing = thread::spawn(move || cluster.remove_taint("n1", KEY));
    while !server.requests().iter().any(|line| line.starts_with("GET ")) {
        thread::sleep(Duration::from_millis(5));
    }
    server.put(node("n1", &json!([ours(), other()])));
    assert_eq!(removing.join().unwrap().unwrap(), TaintRemoval::Removed);
    assert_eq!(taints(&server, "n1"), json!([other()]));
    assert_eq!(patches(&server), 2);
}

#[test]
fn what_is_in_the_way_is_told() {
    let (server, cluster) = with(&[node("n1", &json!([ours()]))]);
    let error = cluster.remove_taint("nobody", KEY).unwrap_err();
    assert!(matches!(error, NodeError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("context fake has no node nobody"), "{error}");
    assert!(matches!(cluster.node("nobody"), Err(NodeError::NotFound { .. })));
    server.go_away();
    assert!(matches!(cluster.remove_taint("n1", KEY), Err(NodeError::Cluster(_))));
    server.come_back().unwrap();
    server.require_token("another");
    let error = cluster.remove_taint("n1", KEY).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert_eq!(taints(&server, "n1"), json!([ours()]));
}
