//! Reading a cluster through a real socket: pages, expiry, permissions, faults.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use palisade_engine::{
    PolicyProgram,
    model::{Direction, Family, Flow, Inventory, Protocol, Traffic},
};
use palisade_manifest::{ReadOptions, Reading, read_paths};
use palisade_watch::{
    Access, ReadError, Resource,
    fake::{FakeServer, Fault},
};
use support::{Folder, root};

/// Reads the server with a kubeconfig that points at it.
fn read(server: &FakeServer) -> Result<Reading, ReadError> {
    let folder = Folder::with("config", &server.kubeconfig("prod"));
    let access = Access { kubeconfig: Some(folder.file("config")), context: None };
    access.find().unwrap().read(&mut |_| {})
}

fn pods(server: &FakeServer, count: usize) {
    for number in 0..count {
        server.apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p{number:04}, namespace: prod, labels: {{app: web}}}},
              spec: {{containers: [{{name: c, image: x, env: [{{name: A, value: b}}]}}]}}, status: {{podIP: 10.0.{}.{}}}}}",
            number / 250,
            number % 250
        ));
    }
}

fn lists_of<'r>(requests: &'r [String], plural: &str) -> Vec<&'r String> {
    requests.iter().filter(|line| line.contains(&format!("/{plural}?"))).collect()
}

#[test]
fn all_pages_are_read() {
    let server = FakeServer::start().unwrap();
    pods(&server, 1203);
    let folder = Folder::with("config", &server.kubeconfig("prod"));
    let cluster = Access { kubeconfig: Some(folder.file("config")), context: None }.find().unwrap();
    assert_eq!((cluster.namespace.as_str(), cluster.title.as_str()), ("prod", "context fake"));
    let mut seen = Vec::new();
    let reading = cluster.read(&mut |progress| seen.push((progress.resource.clone(), progress.objects))).unwrap();
    assert_eq!(reading.inventory.pods.len(), 1203);
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    let of_pods: Vec<usize> = seen.iter().filter(|(of, _)| of == "pods").map(|(_, objects)| *objects).collect();
    assert_eq!(of_pods, [0, 500, 1000]);
    let requests = server.requests();
    let lists = lists_of(&requests, "pods");
    assert_eq!(lists[0], "GET /api/v1/pods?limit=500");
    assert!(lists[1].contains("continue=") && lists.len() == 3, "{lists:?}");
    // Texts of pods are not kept, and they have a place all the same.
    let at = reading.inventory.pods[0].at.unwrap();
    assert_eq!(reading.inventory.sources.name(at.file), "context fake: pods/prod/p0000");
    assert!(reading.texts.get(at.file).is_none());
}

#[test]
fn an_expired_token_begins_the_list_again() {
    let server = FakeServer::start().unwrap();
    pods(&server, 1203);
    server.fail(Fault::expired("pods").times(2));
    let reading = read(&server).unwrap();
    assert_eq!(reading.inventory.pods.len(), 1203, "each pod once");
    assert_eq!(lists_of(&server.requests(), "pods").len(), 2 * 2 + 3);

    server.fail(Fault::expired("pods"));
    let error = read(&server).unwrap_err().to_string();
    assert_eq!(error, "cannot list pods of context fake: it changes faster than it can be read (410)");
}

#[test]
fn every_missing_permission_is_told() {
    let server = FakeServer::start().unwrap();
    for what in ["pods", "nodes", "networkpolicies", "/apis"] {
        server.fail(Fault::forbidden(what));
    }
    let error = read(&server).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
you may not read all of context fake, and no answer is given from a part:
  cannot list nodes (403)
  cannot list pods in all namespaces (403)
  cannot list networkpolicies.networking.k8s.io in all namespaces (403)
  cannot get /apis (403)
A ClusterRole with these rules, bound to you by a ClusterRoleBinding, grants it:
  rules:
  - apiGroups: [\"\"]
    resources: [nodes, pods]
    verbs: [list]
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [list]
  - nonResourceURLs: [/apis]
    verbs: [get]"
    );
}

#[test]
fn credentials_go_along() {
    let server = FakeServer::start().unwrap();
    server.require_token("s3cret");
    assert!(read(&server).is_ok());
    let folder = Folder::with("config", &server.kubeconfig("prod").replace("s3cret", "old"));
    let access = Access { kubeconfig: Some(folder.file("config")), context: None };
    let error = access.find().unwrap().read(&mut |_| {}).unwrap_err().to_string();
    assert_eq!(error, "context fake does not take the credentials of the kubeconfig (401): have they expired?");
}

#[test]
fn what_passes_is_waited_for_and_what_stays_is_told() {
    let server = FakeServer::start().unwrap();
    pods(&server, 3);
    server.fail(Fault::status("pods", 429).times(1));
    server.fail(Fault::status("services", 503).times(1));
    assert_eq!(read(&server).unwrap().inventory.pods.len(), 3);

    server.fail(Fault::text("services", 418, "a teapot\n"));
    let error = read(&server).unwrap_err().to_string();
    assert_eq!(error, "cannot list services of context fake: a teapot (418)");

    let server = FakeServer::start().unwrap();
    server.fail(Fault::text("nodes", 200, "<html>log in</html>"));
    let error = read(&server).unwrap_err().to_string();
    assert!(error.starts_with("cannot list nodes of context fake: its answer is none of an API server"), "{error}");
}

#[test]
fn a_resource_that_every_cluster_has_must_be_there() {
    let server = FakeServer::start().unwrap();
    server.uninstall("cronjobs");
    let error = read(&server).unwrap_err().to_string();
    assert!(error.starts_with("context fake does not serve cronjobs.batch in batch/v1"), "{error}");
}

#[test]
fn a_server_that_is_not_there() {
    let server = FakeServer::start().unwrap();
    server.fail(Fault::closed("namespaces"));
    let error = read(&server).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read context fake at {}/: ", server.url())), "{error}");

    let kubeconfig = server.kubeconfig("prod");
    drop(server);
    let nobody = kubeconfig.replace("server: http://127.0.0.1:", "server: http://127.0.0.2:");
    let folder = Folder::with("config", &nobody);
    let access = Access { kubeconfig: Some(folder.file("config")), context: None };
    let error = access.find().unwrap().read(&mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
}

#[test]
fn cluster_policies_are_handed_on() {
    let server = FakeServer::start().unwrap();
    assert!(read(&server).unwrap().passed_over.is_empty());
    let crd = |version: &'static str, plural: &'static str, kind: &'static str| Resource {
        group: "policy.networking.k8s.io".into(),
        version: version.into(),
        plural: plural.into(),
        kind: kind.into(),
        namespaced: false,
    };
    server.install(crd("v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"));
    server.install(crd("v1alpha1", "clusternetworkpolicies", "ClusterNetworkPolicy"));
    server.install(crd("v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"));
    assert!(read(&server).unwrap().passed_over.is_empty());
    for (version, kind) in [("v1alpha2", "ClusterNetworkPolicy"), ("v1alpha1", "AdminNetworkPolicy")] {
        let object = "{apiVersion: policy.networking.k8s.io/VERSION, kind: KIND, metadata: {name: x}, \
                      spec: {TIERpriority: 1, subject: {namespaces: {}}}}";
        let tier = if kind == "ClusterNetworkPolicy" { "tier: Admin, " } else { "" };
        let object = object.replace("TIER", tier);
        server.apply(&object.replace("VERSION", version).replace("KIND", kind));
    }
    let reading = read(&server).unwrap();
    assert!(reading.passed_over.is_empty() && !reading.has_errors(), "{:?}", reading.diagnostics);
    let mut kinds: Vec<&str> = reading.inventory.cluster_policies.iter().map(|policy| policy.kind.kind()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["AdminNetworkPolicy", "ClusterNetworkPolicy"]);
    server.fail(Fault::forbidden("adminnetworkpolicies"));
    let error = read(&server).unwrap_err().to_string();
    assert!(error.contains("cannot list adminnetworkpolicies.policy.networking.k8s.io (403)"), "{error}");
}

#[test]
fn what_an_older_server_stored_is_read_as_it_is_enforced() {
    let server = FakeServer::start().unwrap();
    server.apply(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: old, namespace: prod},
          spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.1.2.3/8}}]}], policyTypes: [Egress]}}",
    );
    let reading = read(&server).unwrap();
    let policy = &reading.inventory.policies[0];
    let palisade_engine::model::Peer::IpBlock(block) = &policy.rules(Direction::Egress)[0].peers[0] else { panic!() };
    assert_eq!(block.cidr.to_string(), "10.0.0.0/8");
    assert!(!reading.has_errors(), "{:?}", reading.diagnostics);
    let span = block.cidr_at.unwrap();
    let text = reading.texts.get(span.file).unwrap();
    let line = text.lines().nth(span.start.line as usize - 1).unwrap();
    assert_eq!(line.trim(), "cidr: 10.1.2.3/8");
    assert_eq!(reading.inventory.sources.name(span.file), "context fake: networkpolicies/prod/old");
}

/// The cluster of an inventory and its verdict for every pair of pods and some ports.
fn answers(inventory: Inventory) -> Vec<String> {
    let cluster = inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    let mut names: Vec<_> = cluster.pods().map(|(id, pod)| (pod.id.to_string(), id)).collect();
    names.sort();
    let mut said = Vec::new();
    for (from, source) in &names {
        for (to, destination) in &names {
            for port in [53, 80, 443, 5432, 8080] {
                let sides = [*source, *destination].map(|id| cluster.side_of_pod(id, Family::V4));
                let [Some(source), Some(destination)] = sides else { continue };
                let traffic = Traffic::Port(Protocol::Tcp, port);
                let flow = Flow::new(source, destination, traffic).unwrap();
                said.push(format!("{from} {to} {port} {:?}", program.verdict(&cluster, &flow).outcome()));
            }
        }
    }
    said
}

#[test]
fn a_cluster_answers_as_its_files_do() {
    for example in ["three-tier", "default-policies", "named-ports", "ip-block"] {
        let folder = root().join("examples").join(example);
        let server = FakeServer::start().unwrap();
        let files = ["cluster.yaml", "policies.yaml"].map(|name| folder.join(name));
        for file in &files {
            server.apply(&std::fs::read_to_string(file).unwrap());
        }
        let live = read(&server).unwrap();
        assert!(live.diagnostics.is_empty(), "{:?}", live.diagnostics);
        let read_files = read_paths(&files, &ReadOptions::default());
        let expected = answers(read_files.inventory);
        assert!(expected.iter().any(|line| line.ends_with("Deny")), "{example} denies nothing");
        assert_eq!(answers(live.inventory), expected, "{example}");
    }
}
