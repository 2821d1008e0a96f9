//! 5xx: the whole set.

use crate::support::{finds, namespace, pod, pod_with, policy, quiet};

const FROM_ALL: &str = "  podSelector: {}\n  ingress:\n  - from: [{podSelector: {}}]\n";

#[test]
fn np501_redundant_rule() {
    let web = "  - from: [{podSelector: {matchLabels: {app: web}}}]";
    finds("NP501", &[policy("p", &format!("{FROM_ALL}{web}"))], "spec.ingress[1]", 8);
    let other = "  - from: [{namespaceSelector: {matchLabels: {team: a}}}]";
    quiet("NP501", &[policy("p", &format!("{FROM_ALL}{other}"))]);
    // Two equal ones: the later.
    finds("NP501", &[policy("p", &format!("{FROM_ALL}  - from: [{{podSelector: {{}}}}]"))], "spec.ingress[1]", 8);
}

#[test]
fn np502_redundant_policy() {
    let narrow = FROM_ALL.replace("podSelector: {}\n", "podSelector: {matchLabels: {app: web}}\n");
    let web = pod("prod/web", "app: web");
    let said = finds("NP502", &[policy("a", &narrow), policy("b", FROM_ALL), web.clone()], "spec", 1);
    assert!(said.starts_with("a isolates"), "{said}");
    let deny = policy("deny", "  podSelector: {}");
    // Today both select the same pod; tomorrow they do not.
    quiet("NP502", &[deny.clone(), policy("a", &narrow), web.clone()]);
    // A default deny is written to stay.
    quiet("NP502", &[deny.clone(), policy("b", FROM_ALL), web.clone()]);
    finds("NP502", &[deny, policy("deny-again", "  podSelector: {}"), web], "spec", 7);
}

#[test]
fn np503_host_network_selected() {
    let web = policy("p", "  podSelector:\n    matchLabels: {app: web}");
    let host = pod_with("prod/a", "app: web", "hostNetwork: true, containers: [{name: c, image: i}]", "");
    finds("NP503", &[web.clone(), host.clone()], "spec.podSelector", 6);
    quiet("NP105", &[web.clone(), host.clone()]);
    quiet("NP503", &[web, pod("prod/a", "app: web")]);
    quiet("NP503", &[policy("p", "  podSelector: {}"), host]);
}

#[test]
fn np504_pods_without_policy() {
    let deny = policy("p", "  podSelector: {}");
    let said = finds(
        "NP504",
        &[deny.clone(), pod("prod/a", "app: web"), namespace("dev", ""), pod("dev/b", "app: web")],
        "metadata.name",
        13,
    );
    assert!(said.contains("namespace dev has no policy"), "{said}");
    quiet("NP504", &[deny, pod("prod/a", "app: web"), namespace("dev", "")]);
    quiet("NP504", &[pod("prod/a", "app: web")]);
    let egress = policy("p", "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]");
    let said = finds("NP504", &[egress, pod("prod/a", "app: web"), pod("prod/b", "app: db")], "metadata.name", 14);
    assert!(said.contains("selects b"), "{said}");
}

#[test]
fn np505_missing_description() {
    let bare = policy("p", "  podSelector: {}");
    finds("NP505", std::slice::from_ref(&bare), "metadata.annotations", 1);
    let annotated = bare.replace("namespace: prod", "namespace: prod, annotations: {kubernetes.io/description: why}");
    quiet("NP505", &[annotated]);
}
