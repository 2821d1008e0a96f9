//! Cluster-wide policies: what is read of them, what is refused beyond their CRDs, and that no field of a
//! CRD is unknown here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{fs, path::PathBuf};

use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterSubject, ClusterTier,
};
use palisade_manifest::{
    ReadOptions, Reading, Severity, read_text,
    yaml::{Node, Part, Plan, Stream, View},
};

fn read(text: &str) -> Reading {
    read_text("policy.yaml", text, &ReadOptions::default())
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: wide}}\nspec:\n{spec}"
    )
}

fn rules(rules: &str) -> String {
    policy(&format!("  tier: Admin\n  priority: 5\n  subject: {{namespaces: {{}}}}\n{rules}"))
}

fn only(text: &str) -> ClusterPolicy {
    let mut reading = read(text);
    assert!(!reading.has_errors(), "{:#?}", reading.diagnostics);
    assert_eq!(reading.inventory.cluster_policies.len(), 1);
    reading.inventory.cluster_policies.remove(0)
}

/// The codes of what is found, each with its line.
fn found(text: &str) -> Vec<(String, u32)> {
    let reading = read(text);
    let line = |d: &palisade_manifest::Diagnostic| d.primary.as_ref().map_or(0, |p| p.span.start.line);
    reading.diagnostics.iter().map(|d| (d.code.to_string(), line(d))).collect()
}

#[test]
fn every_part_is_read() {
    let read = only(&policy(
        "  tier: Baseline
  priority: 7
  subject: {pods: {podSelector: {matchLabels: {app: web}}}}
  ingress:
  - {name: monitoring, action: Accept, from: [{namespaces: {matchLabels: {team: ops}}}]}
  egress:
  - action: Deny
    to: [{nodes: {}}, {networks: [10.0.0.0/8, 'fd00::/8']}]
    protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 9}}}}]
  - {action: Accept, to: [{domainNames: ['*.Example.com']}]}
  - {action: Accept, to: [{pods: {podSelector: {}}}], protocols: [{destinationNamedPort: http}]}
",
    ));
    assert_eq!((read.kind, read.tier, read.priority), (ClusterPolicyKind::Cluster, ClusterTier::Baseline, Some(7)));
    assert!(
        matches!(&read.subject, ClusterSubject::Pods { namespaces, pods } if namespaces.is_everything() && pods.to_string() == "app=web")
    );
    let rule = &read.ingress[0];
    assert_eq!((rule.name.as_deref(), rule.action, rule.ports().len()), (Some("monitoring"), Action::Accept, 0));
    let deny = &read.egress[0];
    assert_eq!(deny.ports().iter().map(ToString::to_string).collect::<Vec<_>>(), ["TCP 80", "UDP 1-9"]);
    assert!(matches!(&deny.peers()[0], ClusterPeer::Nodes { nodes, .. } if nodes.is_everything()));
    assert!(matches!(&deny.peers()[1], ClusterPeer::Networks { networks, .. } if networks.len() == 2));
    assert!(
        matches!(&read.egress[1].peers()[0], ClusterPeer::DomainNames { names, .. } if names[0].as_str() == "*.example.com")
    );
    assert!(matches!(&read.egress[2].ports()[0], ClusterPort::Named { name, .. } if name.as_str() == "http"));
    assert_eq!(deny.at.unwrap().start.line, 11);
}

#[test]
fn the_older_kinds_are_read_into_the_same() {
    let admin = only(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec:\n  priority: 3\n  \
         subject: {namespaces: {}}\n  ingress:\n  - {action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {port: 80}}, {namedPort: dns}]}\n",
    );
    assert_eq!((admin.tier, admin.priority, admin.ingress[0].action), (ClusterTier::Admin, Some(3), Action::Accept));
    assert_eq!(admin.ingress[0].ports().iter().map(ToString::to_string).collect::<Vec<_>>(), ["TCP 80", "dns"]);
    let baseline = only(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\nspec:\n  \
         subject: {namespaces: {}}\n  egress:\n  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}\n",
    );
    assert_eq!((baseline.tier, baseline.priority), (ClusterTier::Baseline, None));
    assert!(matches!(&baseline.egress[0].matches, ClusterMatch::Of { ports: None, .. }));
}

#[test]
fn what_the_crd_does_not_look_at_has_a_code_of_its_own() {
    let cases = [
        (
            "  ingress: [{action: Deny, from: [{namespaces: {matchExpressions: [{key: a, operator: Is}]}}]}]\n",
            "CNP-SELECTOR",
        ),
        ("  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {a b: c}}}]}]\n", "CNP-SELECTOR"),
        (
            "  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: HTTP_}]}]\n",
            "CNP-PORT",
        ),
        ("  egress: [{action: Deny, to: [{domainNames: [a.example.com]}]}]\n", "CNP-DOMAIN"),
        ("  egress: [{action: Accept, to: [{domainNames: ['_a.example.com']}]}]\n", "CNP-DOMAIN"),
    ];
    for (text, code) in cases {
        assert_eq!(found(&rules(text)), [(code.to_owned(), 8)], "{text}");
        assert!(read(&rules(text)).inventory.cluster_policies.is_empty(), "{text}");
    }
    let pass = policy(
        "  tier: Baseline\n  priority: 5\n  subject: {namespaces: {}}\n  ingress: [{action: Pass, from: [{namespaces: {}}]}]\n",
    );
    assert_eq!(found(&pass), [("CNP-PASS".to_owned(), 8)]);
    let reading = read(&pass);
    assert_eq!((reading.diagnostics[0].severity, reading.inventory.cluster_policies.len()), (Severity::Warning, 1));
}

#[test]
fn host_bits_are_taken_as_the_server_takes_them() {
    let reading = read(&rules("  egress: [{action: Deny, to: [{networks: [10.1.2.3/8]}]}]\n"));
    assert!(!reading.has_errors(), "{:?}", reading.diagnostics);
    assert_eq!((reading.networks.len(), reading.networks[0].network.to_string()), (1, "10.0.0.0/8".to_owned()));
}

/// Every field of a schema, as a path of names; `[]` stands for an item.
fn paths(schema: Node<'_>, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if let Some(items) = schema.get("items") {
        path.push("[]".to_owned());
        paths(items, path, found);
        path.pop();
    }
    let Some(View::Mapping(properties)) = schema.get("properties").map(Node::view) else { return };
    for (name, schema) in properties.iter() {
        path.push(name.text().unwrap().to_owned());
        found.push(path.clone());
        paths(schema, path, found);
        path.pop();
    }
}

/// An object with that field alone.
fn with(path: &[String]) -> String {
    match path {
        [] => "null".to_owned(),
        [item, rest @ ..] if item == "[]" => format!("[{}]", with(rest)),
        [name, rest @ ..] => format!("{{{name}: {}}}", with(rest)),
    }
}

#[test]
fn no_field_of_a_crd_is_unknown() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crd");
    let Ok(files) = fs::read_dir(&folder) else {
        eprintln!("skipped: no CRDs at {}", folder.display());
        return;
    };
    let mut checked = 0;
    for file in files {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut stream = Stream::new(&text, Plan::WHOLE);
        while let Some(part) = stream.next_part() {
            let Part::Document { root, .. } = part else { continue };
            let root = stream.tree().node(root);
            let Some(spec) = root.get("spec") else { continue };
            let kind = spec.get("names").unwrap().get("kind").unwrap().text().unwrap();
            let Some(View::Sequence(versions)) = spec.get("versions").map(Node::view) else { continue };
            for version in versions.iter() {
                let name = version.get("name").unwrap().text().unwrap();
                let schema = version.get("schema").unwrap().get("openAPIV3Schema").unwrap();
                let mut all = Vec::new();
                paths(schema.get("properties").unwrap().get("spec").unwrap(), &mut Vec::new(), &mut all);
                for path in all {
                    let spec = with(&path);
                    let text = format!(
                        "{{apiVersion: policy.networking.k8s.io/{name}, kind: {kind}, metadata: {{name: default}}, spec: {spec}}}"
                    );
                    let reading = read(&text);
                    let unknown = reading.diagnostics.iter().find(|d| d.message.contains("unknown field"));
                    assert!(unknown.is_none(), "{kind} {name}: {spec}: {unknown:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 150, "{checked}");
    eprintln!("{checked} fields of CRDs are known");
}
