//! The annotation `palisade.dev/ignore`, on whatever object a finding is about or points at.

use crate::support::{findings, listening, namespace, pod, pod_with, policy, service};

/// The document with the annotation.
fn asking(document: &str, wish: &str) -> String {
    let annotated = format!("metadata: {{annotations: {{palisade.dev/ignore: '{wish}'}}, ");
    assert!(document.contains("metadata: {"));
    document.replacen("metadata: {", &annotated, 1)
}

/// The finding is there, goes with the wish of the document at `index`, and stays without a reason.
#[track_caller]
fn silences(code: &str, documents: &[String], index: usize) {
    let with = |wish: &str| {
        let mut documents = documents.to_vec();
        documents[index] = asking(&documents[index], wish);
        findings(code, &documents).len()
    };
    let all = findings(code, documents).len();
    assert!(all > 0, "nothing to silence");
    assert_eq!(with(&format!("{code}: meant")), all - 1);
    assert_eq!(with(code), all, "no reason, no silence");
    assert_eq!(with("NP505: meant"), all, "another rule's code");
}

const WEB: &str = "  podSelector: {matchLabels: {app: web}}\n  ingress:\n  - ports: [{port: 80}]";

#[test]
fn policies_and_what_they_are_about() {
    let sends = || service("front", "10.96.0.7", "{port: 80, targetPort: 8080}");
    let web = || listening("prod/a", "app: web", "{containerPort: 8080}");
    for index in [0, 2] {
        silences("NP302", &[policy("p", WEB), web(), sends()], index);
    }
    let host = pod_with("prod/a", "app: web", "hostNetwork: true, containers: [{name: c, image: i}]", "");
    for index in [0, 1] {
        silences("NP503", &[policy("p", WEB), host.clone()], index);
    }
}

#[test]
fn namespaces_pods_and_workloads() {
    let other = || policy("p", WEB);
    let open = || [other(), namespace("dev", ""), pod("dev/a", "x: y")];
    for index in [1, 2] {
        silences("NP504", &open(), index);
    }
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: dev}\n\
                      spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, \
                      spec: {containers: [{name: c, image: i}]}}}\n";
    silences("NP504", &[other(), deployment.to_owned()], 1);
}

/// Two pods of which one is meant to be open: the other is still told of.
#[test]
fn a_pod_speaks_for_itself_alone() {
    let documents = [policy("p", WEB), asking(&pod("dev/a", "x: y"), "NP504: the door"), pod("dev/b", "x: z")];
    let found = findings("NP504", &documents);
    assert!(found.len() == 1 && found[0].message.contains("its pod is open"), "{found:#?}");
}

#[test]
fn another_policy_has_no_say() {
    let same = |name: &str| policy(name, WEB);
    let before = [same("a"), same("b")];
    let found = findings("NP502", &before);
    assert_eq!((found.len(), found[0].object.as_str()), (1, "NetworkPolicy prod/b"));
    assert_eq!(findings("NP502", &[asking(&same("a"), "NP502: meant"), same("b")]).len(), 1);
    silences("NP502", &before, 1);
}
