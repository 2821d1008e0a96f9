//! From texts, files and folders to the model.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests: what is missing fails the test"
)]

use std::{fs, path::PathBuf};

use palisade_engine::model::{
    Direction, Family, NamespaceScope, Operator, Peer, Phase, PolicyTypes, PortMatch, PortRange, Protocol, ServiceType,
    Span, TargetPort, WorkloadKind,
};
use palisade_manifest::{Diagnostic, ReadOptions, Reading, read_bytes, read_paths, read_text};

fn read(text: &str) -> Reading {
    read_text("test.yaml", text, &ReadOptions::default())
}

fn good(text: &str) -> Reading {
    let reading = read(text);
    assert_eq!(reading.diagnostics, [], "{text}");
    reading
}

/// `code place field: message` of every finding.
fn told(reading: &Reading) -> Vec<String> {
    let tell = |d: &Diagnostic| {
        let place = d.primary.as_ref().map(|p| p.span.start.to_string()).unwrap_or_default();
        format!("{} {place} {}: {}", d.code, d.field.as_deref().unwrap_or("-"), d.message)
    };
    reading.diagnostics.iter().map(tell).collect()
}

/// The text that a span covers.
fn covered(text: &str, span: Span) -> String {
    let at = |line: u32, column: u32| {
        let before: usize = text.split_inclusive('\n').take(line as usize - 1).map(str::len).sum();
        before + text[before..].chars().take(column as usize - 1).map(char::len_utf8).sum::<usize>()
    };
    text[at(span.start.line, span.start.column)..at(span.end.line, span.end.column)].to_owned()
}

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-allow
  namespace: prod
spec:
  podSelector:
    matchLabels:
      app: api
      \"tier\": 'back'
    matchExpressions:
    - key: env
      operator: NotIn
      values: [dev, \"\"]
    - {key: legacy, operator: DoesNotExist}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - namespaceSelector: {}
      podSelector:
        matchLabels: {app: web}
    - ipBlock:
        cidr: 10.0.0.0/8
        except: [10.1.0.0/16, 10.2.0.0/16]
    ports:
    - protocol: UDP
      port: 53
    - port: 8000
      endPort: 0x1F90
    - port: http
    - {}
    - null
  - null
  egress: []
";

#[test]
fn a_policy_and_the_places_of_its_parts() {
    let reading = good(POLICY);
    let policy = &reading.inventory.policies[0];
    assert_eq!(policy.id.to_string(), "prod/api-allow");
    assert_eq!(policy.subject.to_string(), "app=api,tier=back,env notin (dev,),!legacy");
    assert_eq!(policy.policy_types, Some(PolicyTypes { ingress: true, egress: true }));
    assert!(policy.rules(Direction::Egress).is_empty());
    let text = |span: Option<Span>| covered(POLICY, span.unwrap());

    let at: Vec<String> = policy.subject.requirements.iter().map(|r| text(r.at)).collect();
    assert_eq!(at[0], "app: api");
    assert_eq!(at[1], "\"tier\": 'back'");
    assert_eq!(at[2], "key: env\n      operator: NotIn\n      values: [dev, \"\"]");
    assert_eq!(at[3], "{key: legacy, operator: DoesNotExist}");
    assert_eq!(text(policy.at), POLICY.trim_end());

    let [rule, empty] = policy.ingress.as_slice() else { panic!("two rules") };
    assert!(empty.peers.is_empty() && empty.ports.is_empty());
    assert_eq!(text(empty.at), "null");
    assert!(text(rule.at).starts_with("from:\n    - namespaceSelector") && text(rule.at).ends_with("- null"));

    let [Peer::Pods { namespaces: NamespaceScope::Matching(all), pods, at }, Peer::IpBlock(block)] =
        rule.peers.as_slice()
    else {
        panic!("two peers")
    };
    assert!(all.is_everything());
    assert_eq!(pods.to_string(), "app=web");
    assert_eq!(text(pods.requirements[0].at), "app: web");
    assert!(text(*at).starts_with("namespaceSelector: {}\n      podSelector:"));
    assert_eq!(block.cidr.to_string(), "10.0.0.0/8");
    assert_eq!(text(block.cidr_at), "10.0.0.0/8");
    let except: Vec<String> = block.except_at.iter().map(|span| covered(POLICY, *span)).collect();
    assert_eq!(except, ["10.1.0.0/16", "10.2.0.0/16"]);
    assert!(text(block.at).starts_with("ipBlock:\n        cidr"));

    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["UDP 53", "TCP 8000-8080", "TCP http", "TCP", "TCP"]);
    assert_eq!(rule.ports[1].port, PortMatch::Range(PortRange::new(8000, 8080).unwrap()));
    assert_eq!(text(rule.ports[1].at), "port: 8000\n      endPort: 0x1F90");
    assert_eq!(rule.ports[4].port, PortMatch::All);
}

#[test]
fn what_a_policy_leaves_out() {
    let policy = |spec: &str| {
        let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n";
        good(&format!("{head}{spec}")).inventory.policies.remove(0)
    };
    for spec in ["", "spec:", "spec: {}", "spec: {podSelector: null}", "spec: {podSelector: {matchLabels: }}"] {
        let policy = policy(spec);
        assert!(policy.subject.is_everything(), "{spec}");
        assert_eq!(policy.policy_types, None);
        assert_eq!(policy.id.to_string(), "default/a");
    }
    assert_eq!(policy("spec: {policyTypes: []}").policy_types, None);
    assert_eq!(
        policy("spec: {policyTypes: [Egress]}").policy_types,
        Some(PolicyTypes { ingress: false, egress: true })
    );
    for rules in ["null", "[]"] {
        assert!(policy(&format!("spec: {{ingress: {rules}}}")).ingress.is_empty());
    }
    let rule = policy("spec: {ingress: [{from: null, ports: []}]}").ingress.remove(0);
    assert!(rule.peers.is_empty() && rule.ports.is_empty());
    let peer = policy("spec: {ingress: [{from: [{podSelector: {}, namespaceSelector: null}]}]}").ingress.remove(0);
    assert!(matches!(peer.peers[0], Peer::Pods { namespaces: NamespaceScope::Own, .. }));
    let labels = policy("spec: {podSelector: {matchLabels: {app: null}}}").subject;
    assert!(matches!(&labels.requirements[0].operator, Operator::In(values) if values[0].is_empty()));
}

#[test]
fn pods() {
    let reading = good(
        "apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: prod
  labels: {app: web}
  ownerReferences:
  - {apiVersion: v1, kind: Other, name: x, uid: u}
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-6f, uid: u, controller: true}
spec:
  nodeName: node-1
  containers:
  - name: a
    ports:
    - {containerPort: 8080, name: http}
    - {containerPort: 53, protocol: UDP, hostPort: 53}
  initContainers:
  - name: once
    ports: [{containerPort: 1}]
  - name: sidecar
    restartPolicy: Always
    ports: [{containerPort: 9090}]
status:
  phase: Running
  hostIP: 172.18.0.11
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec: {hostNetwork: true}
",
    );
    let pod = &reading.inventory.pods[0];
    assert_eq!(pod.id.to_string(), "prod/web");
    assert_eq!(pod.labels.get("app").unwrap().as_str(), "web");
    assert_eq!(pod.node.as_deref(), Some("node-1"));
    assert_eq!(pod.addresses.of(Family::V4).unwrap().to_string(), "10.0.0.1");
    assert_eq!(pod.addresses.of(Family::V6).unwrap().to_string(), "fd00::1");
    assert_eq!(pod.host_addresses.of(Family::V4).unwrap().to_string(), "172.18.0.11");
    assert_eq!(pod.phase, Phase::Running);
    let ports: Vec<(u16, Protocol)> = pod.ports.iter().map(|port| (port.port, port.protocol)).collect();
    assert_eq!(ports, [(8080, Protocol::Tcp), (53, Protocol::Udp), (9090, Protocol::Tcp)]);
    assert_eq!(pod.owner.as_ref().unwrap().kind.as_str(), "ReplicaSet");
    let host = &reading.inventory.pods[1];
    assert!(host.host_network && host.phase == Phase::NotGiven && host.id.namespace.as_str() == "default");
}

#[test]
fn mistakes_in_pods() {
    let pod = |rest: &str| read(&format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{rest}\n"));
    for (rest, expected) in [
        ("status: {podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]}", "status.podIPs[1].ip"),
        ("status: {podIP: 10.0.0}", "status.podIP"),
        ("status: {phase: running}", "status.phase"),
        ("spec: {containers: [{ports: [{name: http}]}]}", "spec.containers[0].ports[0].containerPort"),
        ("spec: {containers: [{ports: [{containerPort: 0}]}]}", "spec.containers[0].ports[0].containerPort"),
        ("spec: {containers: [{ports: [{containerPort: 80, protocol: udp}]}]}", "spec.containers[0].ports[0].protocol"),
        ("spec: {hostNetwork: 'true'}", "spec.hostNetwork"),
        ("spec: []", "spec"),
    ] {
        let reading = pod(rest);
        assert_eq!(reading.diagnostics.len(), 1, "{rest}: {:?}", told(&reading));
        assert_eq!(reading.diagnostics[0].field.as_deref(), Some(expected), "{rest}");
        assert_eq!(reading.diagnostics[0].object.as_deref(), Some("Pod default/a"));
        assert!(reading.inventory.pods.is_empty());
    }
    // Fields that decide nothing may be anything.
    assert_eq!(pod("spec: {containers: [{env: 1, image: [x]}], dnsPolicy: {}}\nextra: 1").diagnostics, []);
}

#[test]
fn workloads() {
    let template = "template: {metadata: {labels: {app: a}}, spec: {containers: [{ports: [{containerPort: 80}]}]}}";
    let read = |version: &str, kind: &str, spec: &str, status: &str| {
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{{spec}}}\nstatus: {{{status}}}\n"
        );
        good(&text).inventory.workloads.remove(0)
    };
    for (version, kind, workload) in [
        ("apps/v1", "Deployment", WorkloadKind::Deployment),
        ("apps/v1", "StatefulSet", WorkloadKind::StatefulSet),
        ("apps/v1", "DaemonSet", WorkloadKind::DaemonSet),
        ("apps/v1", "ReplicaSet", WorkloadKind::ReplicaSet),
        ("v1", "ReplicationController", WorkloadKind::ReplicationController),
        ("batch/v1", "Job", WorkloadKind::Job),
    ] {
        let read = read(version, kind, template, "");
        assert_eq!((read.kind, read.replicas), (workload, 1));
        assert_eq!(read.template.labels.get("app").unwrap().as_str(), "a");
        assert_eq!(read.template.ports[0].port, 80);
    }
    assert_eq!(read("apps/v1", "Deployment", &format!("replicas: 0, {template}"), "").replicas, 0);
    assert_eq!(read("apps/v1", "Deployment", &format!("replicas: 3, {template}"), "").replicas, 3);
    assert_eq!(read("batch/v1", "Job", template, "completionTime: '2026-01-01T00:00:00Z'").replicas, 0);
    assert_eq!(read("batch/v1", "Job", template, "conditions: [{type: Failed, status: 'True'}]").replicas, 0);
    assert_eq!(read("batch/v1", "Job", template, "conditions: [{type: Complete, status: 'False'}]").replicas, 1);
    let cron = read("batch/v1", "CronJob", &format!("jobTemplate: {{spec: {{{template}}}}}"), "");
    assert_eq!(cron.template.labels.get("app").unwrap().as_str(), "a");
}

#[test]
fn services_and_slices() {
    let reading = good(
        "apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, 'fd00::96']
  ports:
  - {name: http, port: 80, targetPort: http}
  - {port: 53, protocol: UDP, targetPort: 5353}
  - {port: 443}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, clusterIPs: [None], selector: {}}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: example.org}
---
apiVersion: v1
kind: Service
metadata: {name: outward}
spec: {type: NodePort, ports: [{port: 80, nodePort: 30080}, {port: 81, nodePort: 0, name: b}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-abc, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: false}}
- {addresses: [10.0.0.2]}
ports: [{name: http, port: 8080, protocol: TCP}, {}]
",
    );
    let [web, headless, alias, outward] = reading.inventory.services.as_slice() else { panic!("four services") };
    assert_eq!(web.selector.as_ref().unwrap().to_string(), "app=web");
    assert_eq!(web.addresses.len(), 2);
    assert_eq!(web.ports[0].target, TargetPort::Named("http".into()));
    assert_eq!(web.ports[1].target, TargetPort::Number(5353));
    assert_eq!(web.ports[2].target, TargetPort::Number(443));
    assert!(headless.addresses.is_empty() && headless.selector.is_none());
    let kinds = [web, headless, alias, outward].map(|service| service.kind);
    use ServiceType::{ClusterIp, Headless, NodePort};
    assert_eq!(kinds, [ClusterIp, Headless, ClusterIp, NodePort]);
    assert_eq!(outward.ports.iter().map(|port| port.node_port).collect::<Vec<_>>(), [Some(30080), None]);
    assert_eq!(alias.external_name.as_deref(), Some("example.org"));
    let slice = &reading.inventory.endpoint_slices[0];
    assert_eq!(slice.service.as_deref(), Some("web"));
    assert_eq!(slice.endpoints.iter().map(|e| e.ready).collect::<Vec<_>>(), [false, true]);
    assert_eq!(slice.ports.iter().map(|p| p.port).collect::<Vec<_>>(), [Some(8080), None]);

    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, targetPort: '8080'}]}\n";
    let reading = read(bad);
    assert_eq!(reading.diagnostics[0].field.as_deref(), Some("spec.ports[0].targetPort"));
    assert_eq!(reading.diagnostics[0].primary.as_ref().unwrap().label, "write 8080, without quotes");

    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: Nodeport, ports: [{port: 80, nodePort: 70000}]}\n";
    let reading = read(bad);
    let fields: Vec<&str> = reading.diagnostics.iter().filter_map(|finding| finding.field.as_deref()).collect();
    assert_eq!(fields, ["spec.type", "spec.ports[0].nodePort"]);
    assert_eq!(reading.diagnostics[0].primary.as_ref().unwrap().label, "write `NodePort`");
}

#[test]
fn namespaces_and_nodes() {
    let reading = good(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {env: prod}}\n---
apiVersion: v1\nkind: Node\nmetadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 172.18.0.1}, {type: Hostname, address: n1}, {type: ExternalIP, address: 'fd00::1'}]}
",
    );
    assert_eq!(reading.inventory.namespaces[0].labels.get("env").unwrap().as_str(), "prod");
    assert_eq!(reading.inventory.nodes[0].addresses.len(), 2);
}

#[test]
fn a_node_says_where_its_pods_are() {
    let spec = |text: &str| {
        let reading = read(&format!("apiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nspec: {{{text}}}\n"));
        let findings: Vec<(String, bool)> =
            reading.diagnostics.iter().map(|one| (one.field.clone().unwrap_or_default(), one.leaves_out())).collect();
        let prefixes = reading.inventory.nodes[0].pod_prefixes.iter().map(ToString::to_string);
        (prefixes.collect::<Vec<_>>().join(" "), findings)
    };
    let clean = |text: &str, prefixes: &str| assert_eq!(spec(text), (prefixes.to_owned(), Vec::new()), "{text}");
    clean("podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, 'fd00:1::/64']", "10.244.1.0/24 fd00:1::/64");
    clean("podCIDR: 10.244.1.0/24", "10.244.1.0/24");
    clean("podCIDR: 10.244.1.0/24, podCIDRs: []", "10.244.1.0/24");
    clean("podCIDR: '', podCIDRs: null", "");
    // What an older server took for a network; and what nobody can read, without the loss of the node.
    clean("podCIDR: 10.244.1.7/24", "10.244.1.0/24");
    let harmless = |field: &str| vec![(field.to_owned(), false)];
    let bad = "podCIDRs: [10.244.1.0/33, 'fd00:1::/64']";
    assert_eq!(spec(bad), ("fd00:1::/64".to_owned(), harmless("spec.podCIDRs[0]")));
    assert_eq!(spec("podCIDR: nonsense"), (String::new(), harmless("spec.podCIDR")));
    assert_eq!(spec("podCIDRs: 10.244.1.0/24"), (String::new(), harmless("spec.podCIDRs")));
}

#[test]
fn lists_in_every_order() {
    let item = "{apiVersion: v1, kind: Pod, metadata: {name: a}}";
    let bare = "{metadata: {name: a}}";
    for text in [
        format!("kind: List\napiVersion: v1\nitems: [{item}, {item}]\n"),
        format!("apiVersion: v1\nitems:\n- {item}\n- {item}\nkind: List\nmetadata: {{resourceVersion: ''}}\n"),
        format!("{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{bare},{bare}]}}"),
        format!("apiVersion: v1\nitems:\n- {bare}\n- {bare}\nkind: PodList\n"),
        format!("items:\n- {item}\n- {bare}\nkind: PodList\napiVersion: v1\n"),
        format!("apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: List, items: [{item}]}}\n- {item}\n"),
        format!("apiVersion: v1\nkind: List\nitems: &all [{item}, {item}]\n"),
        format!("{item}\n---\n{item}\n"),
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}\n".repeat(2),
    ] {
        let reading = good(&text);
        assert_eq!(reading.inventory.pods.len(), 2, "{text}");
        for pod in &reading.inventory.pods {
            let here = covered(&text, pod.at.unwrap());
            assert!(here.contains("name") && here.contains('a') && !here.contains("items"), "{here}");
        }
    }
    good("apiVersion: v1\nkind: List\nitems: []\n");
    good("apiVersion: v1\nitems: []\nkind: PodList\n");
    good("apiVersion: v1\nkind: PodList\nitems: null\n");
    // Items without a kind in a list that does not say theirs.
    let reading = read(&format!("apiVersion: v1\nitems: [{bare}]\nkind: List\n"));
    assert_eq!(told(&reading), ["API 2:9 apiVersion: this object has no `apiVersion` and no `kind`"]);
}

#[test]
fn what_only_looks_like_a_list() {
    let text = "apiVersion: example.org/v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\nkind: Bundle\n";
    let reading = good(text);
    assert!(reading.inventory.pods.is_empty(), "a Bundle's items are its own");
    assert_eq!(reading.passed_over.len(), 1);
    let reading = good("apiVersion: example.org/v1\nkind: ThingList\nitems: [{metadata: {}}, 3]\n");
    assert_eq!(reading.passed_over[&("example.org/v1".to_owned(), "Thing".to_owned())], 1);
    let reading = read("apiVersion: v1\nitems: []\n");
    assert_eq!(told(&reading), ["API 1:1 kind: this object has no `kind`"]);
}

#[test]
fn other_kinds_are_counted() {
    let reading = good(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1, a: 2}\n---
apiVersion: v1\nkind: ConfigMap\n---
apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nspec: {selector: all()}\n",
    );
    let counts: Vec<(&str, usize)> = reading.passed_over.iter().map(|((_, kind), n)| (kind.as_str(), *n)).collect();
    assert_eq!(counts, [("NetworkPolicy", 1), ("ConfigMap", 2)]);
    // But two objects in one are two objects, whatever the first is.
    let reading = read("apiVersion: v1\nkind: ConfigMap\ndata: {}\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    assert_eq!(told(&reading), ["DUPLICATE-KEY 4:1 -: the key `apiVersion` is written twice"]);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let reading = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: 1}}\n---\na: [\n---\nkind: Pod\n---\n- 1\n---\nhello\n---
apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n",
    );
    assert_eq!(reading.diagnostics.len(), 5, "{:?}", told(&reading));
    assert_eq!(reading.inventory.pods.len(), 1);
}

#[test]
fn encodings() {
    good("\u{feff}apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a\r\n");
    let bytes = |bytes: &[u8]| read_bytes("x", bytes, &ReadOptions::default());
    assert_eq!(told(&bytes(b"a: b\nc: caf\xe9\n")), ["ENCODING 2:7 -: the byte 0xe9 is not UTF-8"]);
    let utf16: Vec<u8> = "\u{feff}a: b".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told(&bytes(&utf16)), ["ENCODING 1:1 -: this text is UTF-16, and a manifest must be UTF-8"]);
    assert_eq!(told(&bytes(b"a: \"\x1b[31m\"\n")), ["YAML 1:5 -: the control character 0x1b cannot be in a manifest"]);
    assert_eq!(told(&bytes(b"\x7fELF\x00\x00")), ["YAML 1:1 -: the control character 0x7f cannot be in a manifest"]);
}

#[test]
fn what_is_printed_cannot_drive_a_terminal() {
    for text in [
        "apiVersion: v1\nkind: \"Pod\\e[31m\"\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: \"\\e]0;x\\a\", namespace: \"\\u009b1m\"}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {\"\\x1b\": \"\\x1b\"}}\nspec: {nodeName: \"\\x1b\"}\n",
    ] {
        let reading = read(text);
        for line in reading.diagnostics.iter().map(|finding| format!("{finding:?}")) {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        for pod in &reading.inventory.pods {
            assert!(!format!("{pod:?}").chars().any(char::is_control));
        }
    }
}

#[test]
fn letters_that_kubectl_takes_for_booleans() {
    let reading = read("apiVersion: v1\nkind: Pod\nmetadata: {name: y, namespace: n, labels: {a: y}}\n");
    assert!(!reading.has_errors());
    assert_eq!(
        told(&reading),
        ["YAML-BOOL 3:18 metadata.name: kubectl makes the boolean true of `y`, since it has no quotes"]
    );
    assert_eq!(reading.diagnostics[0].help, ["2 more of these in this file"]);
    assert_eq!(reading.inventory.pods[0].id.to_string(), "n/y");
    assert_eq!(good("apiVersion: v1\nkind: Pod\nmetadata: {name: 'y'}\n").inventory.pods.len(), 1);
}

#[test]
fn names_in_the_servers_place() {
    let reading = good(
        "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n",
    );
    let names: Vec<&str> = reading.inventory.pods.iter().map(|pod| pod.id.name.as_str()).collect();
    assert_eq!(names, ["a-(generated 1)", "a-(generated 2)"]);
    assert!(reading.inventory.into_cluster().is_ok());
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pod_named(name: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n")
}

#[test]
fn folders() {
    let (a, b, c, d) = (pod_named("a"), pod_named("b"), pod_named("c"), pod_named("d"));
    let folder = Folder::new(
        "folders",
        &[
            ("2.yaml", &a),
            ("1.yml", &b),
            ("3.json", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"j\"}}"),
            ("empty.yaml", "# nothing yet\n"),
            ("notes.txt", "not a manifest"),
            ("sub/c.yaml", &c),
            ("sub/deep/d.yaml", &d),
            ("only/sub/e.yaml", &pod_named("e")),
        ],
    );
    let names = |reading: &Reading| -> Vec<String> {
        reading.inventory.pods.iter().map(|pod| pod.id.name.to_string()).collect()
    };
    let flat = read_paths(&[&folder.0], &ReadOptions::default());
    assert_eq!(flat.diagnostics, []);
    assert_eq!(names(&flat), ["b", "a", "j"]);
    let all = read_paths(&[&folder.0], &ReadOptions { recursive: true, ..ReadOptions::default() });
    assert_eq!(names(&all), ["b", "a", "j", "e", "c", "d"]);
    // One file under two paths holds one pod.
    let twice = read_paths(&[&folder.0, &folder.0.join("2.yaml")], &ReadOptions::default());
    assert_eq!(names(&twice), ["b", "a", "j"]);
    let none = read_paths(&[folder.0.join("only")], &ReadOptions::default());
    assert!(none.diagnostics[0].message.contains("no file that ends in .yaml"));
    assert_eq!(none.diagnostics[0].help.len(), 1);
    let missing = read_paths(&[folder.0.join("nope.yaml")], &ReadOptions::default());
    assert!(missing.has_errors() && missing.diagnostics[0].message.contains("no such file or folder"));
    let empty = read_paths(&[folder.0.join("empty.yaml")], &ReadOptions::default());
    assert!(empty.has_errors(), "an input without any object is no answer");
}

#[test]
fn another_namespace_by_default() {
    let options = ReadOptions { default_namespace: "team".into(), ..ReadOptions::default() };
    let reading = read_text("x", &pod_named("a"), &options);
    assert_eq!(reading.inventory.pods[0].id.to_string(), "team/a");
}

#[test]
fn names_are_shared() {
    let reading = good(&format!(
        "{}---\n{}",
        pod_named("a").replace("{name", "{labels: {app: web}, name"),
        pod_named("b").replace("{name", "{labels: {app: web}, name")
    ));
    let values: Vec<*const u8> =
        reading.inventory.pods.iter().map(|pod| pod.labels.get("app").unwrap().as_str().as_ptr()).collect();
    assert_eq!(values[0], values[1]);
}

/// Networks that servers up to 1.35 took with a warning mean there what they seem to mean.
#[test]
fn an_older_server_takes_networks_that_a_newer_one_refuses() {
    let policy = |cidr: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\n\
             spec: {{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: \"{cidr}\"}}}}]}}]}}\n"
        )
    };
    let older = ReadOptions { server: palisade_manifest::ServerVersion::V1_35, ..ReadOptions::default() };
    for (cidr, meant) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("010.000.000.000/8", "10.0.0.0/8"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ] {
        assert!(read_text("p", &policy(cidr), &ReadOptions::default()).has_errors(), "{cidr}");
        let reading = read_text("p", &policy(cidr), &older);
        assert!(reading.diagnostics.is_empty(), "{cidr}: {:?}", reading.diagnostics);
        assert_eq!(reading.networks[0].network.to_string(), meant, "told by a lint");
        assert!(reading.networks[0].refused.is_some());
        let rule = &reading.inventory.policies[0].ingress[0];
        let palisade_engine::model::Peer::IpBlock(block) = &rule.peers[0] else { panic!("{cidr}: no ipBlock") };
        assert_eq!(block.cidr.to_string(), meant);
    }
    for cidr in ["10.0.0.0/33", "10.0.0.1", " 10.0.0.0/8"] {
        assert!(read_text("p", &policy(cidr), &older).has_errors(), "{cidr}");
    }
}

/// `palisade.dev/mode` of policies and namespaces; what is neither is an error with its line, and enforced.
#[test]
fn the_mode_of_policies() {
    use palisade_engine::model::Mode;
    let policy = |value: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a\n  annotations:\n    \
             palisade.dev/mode: {value}\nspec: {{podSelector: {{}}}}\n"
        )
    };
    let mode = |text: &str| read(text).inventory.policies[0].mode;
    good(&policy("audit"));
    assert_eq!(mode(&policy("audit")), Some(Mode::Audit));
    assert_eq!(mode(&policy("enforce")), Some(Mode::Enforce));
    assert_eq!(mode(&policy("x").replace("palisade.dev/mode: x", "other: audit")), None);
    for wrong in ["Audit", "audti", "''", "null", "true", "[audit]", "{a: b}"] {
        let text = policy(wrong);
        assert_eq!(mode(&text), Some(Mode::Enforce), "{wrong}");
        let reading = read(&text);
        let of_mode = |finding: &&Diagnostic| finding.code == "MODE";
        let finding = reading.diagnostics.iter().find(of_mode).unwrap();
        assert!(finding.is_error() && !finding.leaves_out(), "{finding:?}");
        assert_eq!(finding.field.as_deref(), Some("metadata.annotations.palisade.dev/mode"));
        assert_eq!(finding.primary.as_ref().unwrap().span.start.line, 6);
    }
    assert_eq!(
        told(&read(&policy("Audit"))),
        [
            "MODE 6:24 metadata.annotations.palisade.dev/mode: `Audit` is no mode of `palisade.dev/mode`: enforce or audit"
        ]
    );
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, annotations: {palisade.dev/mode: audit}}\n";
    assert_eq!(good(namespace).inventory.namespaces[0].mode, Some(Mode::Audit));
    let wide = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a, annotations: \
                {palisade.dev/mode: audit}}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}}\n";
    assert_eq!(good(wide).inventory.cluster_policies[0].mode, Some(Mode::Audit));
}

/// What a kube-apiserver 1.36 refuses in the metadata and the status of policies, beside what is recorded.
#[test]
fn what_decides_nothing_is_looked_at_all_the_same() {
    let network = |metadata: &str, more: &str| {
        let spec = "spec: {podSelector: {}}";
        format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{{metadata}}}\n{spec}\n{more}")
    };
    let wide = |metadata: &str| {
        let spec = "spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}";
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{{metadata}}}\n{spec}\n"
        )
    };
    let owned = |owner: &str| network(&format!("name: a, ownerReferences: [{{name: b, uid: u, {owner}}}]"), "");
    for (text, found) in [
        (network("name: a", "status: {}"), Some("status")),
        (network("name: a", "status: null"), Some("status")),
        // A server of its time printed it.
        (network("name: a, uid: 3f1", "status: {}"), None),
        (network("name: a, uid: 3f1", "status: {conditions: []}"), Some("status")),
        (network("name: a, generateName: b-", ""), None),
        (network("name: a, generateName: B-", ""), Some("metadata.generateName")),
        (network("name: a, generateName: 5", ""), Some("metadata.generateName")),
        (owned("apiVersion: v1, kind: Pod, blockOwnerDeletion: true"), None),
        (
            owned("apiVersion: v1, kind: Pod, blockOwnerDeletion: 1"),
            Some("metadata.ownerReferences[0].blockOwnerDeletion"),
        ),
        (owned("apiVersion: v1, kind: Pod, owner: c"), Some("metadata.ownerReferences[0].owner")),
        (owned("apiVersion: v1, kind: Event"), Some("metadata.ownerReferences")),
        (wide("name: a, namespace: b"), None),
        (wide("name: a, namespace: true"), Some("metadata.namespace")),
    ] {
        let reading = read(&text);
        let fields: Vec<&str> = reading.diagnostics.iter().filter_map(|finding| finding.field.as_deref()).collect();
        assert_eq!(fields, found.into_iter().collect::<Vec<_>>(), "{text}");
        let inventory = &reading.inventory;
        assert_eq!(inventory.policies.len() + inventory.cluster_policies.len(), 1, "it stays: {text}");
    }
}
