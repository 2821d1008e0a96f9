//! The fake API server beside recorded answers of a real one (`../shared/api-traces`, where it is there).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use palisade_watch::{
    Access,
    fake::{FakeServer, Fault},
};
use serde_json::Value;
use support::{Folder, root};

/// One request on a connection of its own: the status, the content type, the body.
fn get(server: &FakeServer, target: &str) -> (u16, String, String) {
    let mut connection = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    write!(connection, "GET {target} HTTP/1.1\r\nHost: fake\r\n\r\n").unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), header("Content-Type: "), body.to_owned())
}

fn json(server: &FakeServer, target: &str) -> Value {
    serde_json::from_str(&get(server, target).2).unwrap()
}

/// A recorded answer; `None` where the recordings are not there.
fn recorded(name: &str) -> Option<String> {
    let file = root().join("../shared/api-traces").join(name);
    let text = std::fs::read_to_string(&file).ok();
    if text.is_none() {
        println!("skipped: {} is not there", file.display());
    }
    text
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A server with the objects of recorded lists.
fn with_recorded(lists: &[&str]) -> Option<FakeServer> {
    let server = FakeServer::start().unwrap();
    for name in lists {
        let list: Value = serde_json::from_str(&recorded(name)?).unwrap();
        let kind = list["kind"].as_str().unwrap().strip_suffix("List").unwrap();
        for mut object in list["items"].as_array().unwrap().clone() {
            object["kind"] = kind.into();
            object["apiVersion"] = list["apiVersion"].clone();
            server.put(object);
        }
    }
    Some(server)
}

#[test]
fn pages_are_shaped_as_recorded() {
    let pages = ["list-pods-page-1.body", "list-pods-page-2.body"];
    let Some(server) = with_recorded(&pages) else { return };
    let mut target = "/api/v1/pods?limit=2".to_owned();
    for name in pages {
        let real: Value = serde_json::from_str(&recorded(name).unwrap()).unwrap();
        let page = json(&server, &target);
        assert_eq!(keys(&page), keys(&real), "{name}");
        assert_eq!(keys(&page["metadata"]), keys(&real["metadata"]), "{name}");
        assert_eq!(page["metadata"]["remainingItemCount"], real["metadata"]["remainingItemCount"], "{name}");
        let (ours, theirs) = (page["items"].as_array().unwrap(), real["items"].as_array().unwrap());
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours["metadata"]["name"], theirs["metadata"]["name"], "the order of {name}");
            assert_eq!(keys(ours), keys(theirs), "{name}");
            assert_eq!((&ours["spec"], &ours["status"]), (&theirs["spec"], &theirs["status"]), "{name}");
        }
        if let Some(token) = page["metadata"]["continue"].as_str() {
            let token: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
            target = format!("/api/v1/pods?limit=2&continue={token}");
        }
    }
}

#[test]
fn lists_and_refusals_are_shaped_as_recorded() {
    let server = FakeServer::start().unwrap();
    for (target, name) in [
        ("/apis/networking.k8s.io/v1/networkpolicies", "list-networkpolicies-empty"),
        ("/api/v1/namespaces", "list-namespaces"),
        ("/api/v1/pods?limit=2&continue=bm90LWEtdG9rZW4", "list-continue-bad"),
        ("/apis/example.palisade.dev/v1/things", "list-missing-crd"),
    ] {
        let (Some(headers), Some(body)) = (recorded(&format!("{name}.headers")), recorded(&format!("{name}.body")))
        else {
            return;
        };
        let (code, content_type, ours) = get(&server, target);
        assert!(headers.starts_with(&format!("HTTP/1.1 {code} ")), "{name}: {headers}");
        let expected = format!("Content-Type: {content_type}");
        assert!(headers.lines().any(|line| line.trim_end() == expected), "{name}: {headers}");
        match serde_json::from_str::<Value>(&body) {
            Ok(real) => {
                let ours: Value = serde_json::from_str(&ours).unwrap();
                assert_eq!(keys(&ours), keys(&real), "{name}");
                assert_eq!((&ours["kind"], &ours["reason"]), (&real["kind"], &real["reason"]), "{name}");
                assert_eq!(keys(&ours["metadata"]), keys(&real["metadata"]), "{name}");
            }
            Err(_) => assert_eq!(ours.trim(), body.trim(), "{name}"),
        }
    }
}

/// A value without what no two servers have in common: the values of its scalars.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Null => Value::Null,
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
    }
}

/// Whole lists, each object to the last field; only versions and uids are the server's own.
#[test]
fn objects_are_listed_to_the_field() {
    for (target, name) in [
        ("/api/v1/namespaces", "list-namespaces.body"),
        ("/apis/networking.k8s.io/v1/networkpolicies", "list-networkpolicies.body"),
        ("/api/v1/pods?limit=2", "list-pods-page-1.body"),
    ] {
        let Some(server) = with_recorded(&[name]) else { return };
        if name.contains("page-1") {
            // One more than the page has, as there was.
            server.apply("{apiVersion: v1, kind: Pod, metadata: {name: zz, namespace: zz}}");
        }
        let (real, ours): (Value, Value) =
            (serde_json::from_str(&recorded(name).unwrap()).unwrap(), json(&server, target));
        assert_eq!((&ours["kind"], &ours["apiVersion"]), (&real["kind"], &real["apiVersion"]), "{name}");
        assert_eq!(shape(&ours["metadata"]), shape(&real["metadata"]), "{name}");
        for theirs in real["items"].as_array().unwrap() {
            let same = |ours: &&Value| {
                ["name", "namespace"].iter().all(|field| ours["metadata"][field] == theirs["metadata"][field])
            };
            let mut ours = ours["items"].as_array().unwrap().iter().find(same).unwrap().clone();
            assert_eq!(shape(&ours), shape(theirs), "{name}");
            for field in ["uid", "resourceVersion"] {
                ours["metadata"][field] = theirs["metadata"][field].clone();
            }
            assert_eq!(ours, *theirs, "{name}");
        }
    }
}

#[test]
fn recorded_objects_are_read() {
    let lists = ["list-namespaces.body", "list-pods-page-1.body", "list-pods-page-2.body", "list-networkpolicies.body"];
    let Some(server) = with_recorded(&lists) else { return };
    let folder = Folder::with("config", &server.kubeconfig("default"));
    let access = Access { kubeconfig: Some(folder.file("config")), context: None };
    let reading = access.find().unwrap().read(&mut |_| {}).unwrap();
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    let pods: Vec<String> = reading
        .inventory
        .pods
        .iter()
        .map(|pod| format!("{} {} {}", pod.id, pod.addresses.v4.unwrap(), pod.ports.len()))
        .collect();
    assert_eq!(pods, ["trace-a/p1 10.244.1.11 1", "trace-a/p2 10.244.1.12 1", "trace-b/p3 10.244.1.13 1"]);
    assert_eq!(reading.inventory.policies[0].id.to_string(), "trace-a/np");
}

#[test]
fn a_list_is_of_one_moment() {
    let server = FakeServer::start().unwrap();
    for name in ["a", "b", "c"] {
        server.apply(&format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x}}}}"));
    }
    let first = json(&server, "/api/v1/namespaces/x/pods?limit=1");
    server.delete("pods", "x/b");
    let token = first["metadata"]["continue"].as_str().unwrap().replace('=', "%3D").replace('&', "%26");
    let target = format!("/api/v1/namespaces/x/pods?limit=5&continue={}", token.replace('+', "%2B"));
    let rest = json(&server, &target);
    let names: Vec<&str> =
        rest["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    server.fail(Fault::expired("pods").times(1));
    assert_eq!(get(&server, &target).0, 410);
    assert_eq!(get(&server, &target).0, 410, "no token is good any more");
    assert_eq!(json(&server, "/api/v1/namespaces/y/pods")["items"].as_array().unwrap().len(), 0);
}

/// The lines of a watch that ends by itself, without the lengths of its chunks.
fn watched(server: &FakeServer, target: &str) -> Vec<Value> {
    let (code, content_type, body) = get(server, target);
    assert_eq!((code, content_type.as_str()), (200, "application/json"));
    body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Does to the server what a recorded watch says; what is no change is left out.
fn replay(server: &FakeServer, events: &[Value]) {
    for event in events {
        let object = event["object"].clone();
        let name = format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]).replace('"', "");
        match event["type"].as_str().unwrap() {
            "ADDED" | "MODIFIED" => server.put(object),
            "DELETED" => server.delete("pods", &name),
            _ => {}
        }
    }
}

fn recorded_events(name: &str) -> Option<Vec<Value>> {
    Some(recorded(name)?.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// An event is shaped as the recorded one is.
fn assert_shape(ours: &Value, theirs: &Value) {
    assert_eq!(keys(ours), keys(theirs));
    assert_eq!(ours["type"], theirs["type"]);
    let (mine, real) = (&ours["object"], &theirs["object"]);
    assert_eq!(keys(mine), keys(real), "{ours}");
    for field in ["kind", "apiVersion", "spec", "status", "code", "reason"] {
        if ours["type"] != "DELETED" {
            assert_eq!(mine[field], real[field], "{ours}");
        }
    }
    assert_eq!(keys(&mine["metadata"]), keys(&real["metadata"]), "{ours}");
    for field in ["name", "namespace", "annotations", "labels", "deletionTimestamp"] {
        assert_eq!(mine["metadata"][field], real["metadata"][field], "{ours}");
    }
}

#[test]
fn watches_are_shaped_as_recorded() {
    let pages = ["list-pods-page-1.body", "list-pods-page-2.body"];
    let Some(server) = with_recorded(&pages) else { return };
    let Some(theirs) = recorded_events("watch-pods-changes.body") else { return };
    let from = server.version();
    replay(&server, &theirs);
    let target = format!("/api/v1/pods?watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=1");
    server.bookmark_every(std::time::Duration::from_millis(1));
    let ours = watched(&server, &target);
    // The idle bookmarks repeat; how many come is a matter of time.
    let changes = theirs.iter().take_while(|event| event["type"] != "BOOKMARK").count();
    assert_eq!(changes, 23);
    assert!(ours.len() > changes, "{}", ours.len());
    for (ours, theirs) in ours.iter().zip(theirs.iter().take(changes + 1)) {
        assert_shape(ours, theirs);
    }
    let versions = ours.iter().map(|event| event["object"]["metadata"]["resourceVersion"].as_str().unwrap());
    let versions: Vec<u64> = versions.map(|version| version.parse().unwrap()).collect();
    assert!(versions.is_sorted() && versions.last() == Some(&server.version()), "{versions:?}");
}

#[test]
fn lists_by_watch_are_shaped_as_recorded() {
    let pages = ["list-pods-page-1.body", "list-pods-page-2.body"];
    let Some(server) = with_recorded(&pages) else { return };
    let Some(theirs) = recorded_events("watchlist-pods.body") else { return };
    let target = "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                  &allowWatchBookmarks=true&timeoutSeconds=1";
    let ours = watched(&server, target);
    assert_eq!(ours.len(), 4);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_shape(ours, theirs);
    }
}

#[test]
fn what_is_forgotten_cannot_be_watched() {
    let server = FakeServer::start().unwrap();
    let from = server.version();
    server.apply("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}");
    let target = |version: u64| format!("/api/v1/pods?watch=1&resourceVersion={version}&timeoutSeconds=1");
    assert_eq!(watched(&server, &target(from)).len(), 1);
    server.compact();
    // As the API's documentation says: a success, and then one event.
    let events = watched(&server, &target(from));
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&event["type"], &event["object"]["code"]), (&"ERROR".into(), &410.into()));
    assert_eq!((&event["object"]["kind"], &event["object"]["reason"]), (&"Status".into(), &"Expired".into()));
    assert_eq!(watched(&server, &target(server.version())).len(), 0);
}

#[test]
fn who_is_away_refuses() {
    let server = FakeServer::start().unwrap();
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    server.go_away();
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    server.apply("{apiVersion: v1, kind: Node, metadata: {name: n}}");
    server.come_back().unwrap();
    assert_eq!(json(&server, "/api/v1/nodes")["items"].as_array().unwrap().len(), 1);
}
