//! 2xx: whom selectors select.

use crate::support::{finds, namespace, pod, pod_with, policy, quiet};

fn from(peers: &str) -> String {
    policy("p", &format!("  podSelector: {{}}\n  ingress:\n  - from:\n{peers}"))
}

#[test]
fn np201_namespace_selector_matches_nothing() {
    let asks = from("    - namespaceSelector: {matchLabels: {team: paymnts}}");
    let payments = namespace("a", "team: payments");
    let said = finds("NP201", &[asks.clone(), payments], "spec.ingress[0].from[0].namespaceSelector", 8);
    assert!(said.contains("did you mean `team: payments`?"), "{said}");
    let said =
        finds("NP201", &[asks.clone(), namespace("paymnts", "")], "spec.ingress[0].from[0].namespaceSelector", 8);
    assert!(said.contains("`kubernetes.io/metadata.name: paymnts`"), "{said}");
    quiet("NP201", &[asks.clone(), namespace("a", "team: paymnts")]);
    // Nothing is known of the labels of namespaces.
    quiet("NP201", &[asks, pod("prod/web", "app: web")]);
}

#[test]
fn np202_pod_selector_matches_nothing() {
    let asks = from("    - podSelector: {matchLabels: {app: frontent}}");
    let field = "spec.ingress[0].from[0].podSelector";
    let said = finds("NP202", &[asks.clone(), pod("prod/web", "app: frontend")], field, 8);
    assert!(said.contains("did you mean `app: frontend`?"), "{said}");
    let elsewhere = [asks.clone(), pod("prod/web", "tier: x"), pod("dev/web", "app: frontent")];
    assert!(finds("NP202", &elsewhere, field, 8).contains("kubernetes.io/metadata.name: dev"));
    let host = pod_with("prod/web", "app: frontent", "hostNetwork: true, containers: [{name: c, image: i}]", "");
    assert!(finds("NP202", &[asks.clone(), host], field, 8).contains("host-network"));
    quiet("NP202", &[asks.clone(), pod("prod/web", "app: frontent")]);
    // The pods of this namespace are not in the input.
    quiet("NP202", &[asks, pod("dev/web", "app: other")]);
}

const TWO: &str = "    - namespaceSelector: {matchLabels: {team: a}}\n    - podSelector: {matchLabels: {app: client}}";
const ONE: &str = "    - namespaceSelector: {matchLabels: {team: a}}\n      podSelector: {matchLabels: {app: client}}";

#[test]
fn np203_or_where_and_was_meant() {
    let team = [namespace("team-a", "team: a"), pod("team-a/x", "app: client"), pod("prod/y", "app: db")];
    let said = finds("NP203", &[&[from(TWO)], &team[..]].concat(), "spec.ingress[0].from[1]", 9);
    assert!(said.contains("drop the `-`"), "{said}");
    quiet("NP203", &[&[from(ONE)], &team[..]].concat());
    // Both namespaces have clients: nobody knows.
    quiet("NP203", &[&[from(TWO), pod("prod/z", "app: client")], &team[..]].concat());
}

#[test]
fn np203_and_where_or_was_meant() {
    let team = [namespace("team-a", "team: a"), pod("team-a/x", "app: other"), pod("prod/y", "app: client")];
    finds("NP203", &[&[from(ONE)], &team[..]].concat(), "spec.ingress[0].from[0]", 8);
    // It is told once.
    quiet("NP202", &[&[from(ONE)], &team[..]].concat());
    quiet("NP203", &[&[from(TWO)], &team[..]].concat());
}

#[test]
fn np204_namespace_name_label() {
    let asks = from("    - namespaceSelector:\n        matchLabels:\n          name: monitoring");
    let field = "spec.ingress[0].from[0].namespaceSelector";
    let said = finds("NP204", &[asks.clone(), namespace("monitoring", "")], field, 10);
    assert!(said.contains("`kubernetes.io/metadata.name: monitoring`"), "{said}");
    quiet("NP201", &[asks.clone(), namespace("monitoring", "")]);
    quiet("NP204", &[asks.clone(), namespace("monitoring", "name: monitoring")]);
    quiet("NP204", &[asks]);
}

#[test]
fn np205_contradictory_selector() {
    let spec = "  podSelector:\n    matchExpressions:\n    - {key: tier, operator: In, values: [web]}\n    \
                - {key: tier, operator: NotIn, values: [web]}";
    finds("NP205", &[policy("p", spec)], "spec.podSelector", 8);
    // The other rules that see nobody there leave it to this one.
    quiet("NP105", &[policy("p", spec), pod("prod/web", "tier: web")]);
    quiet("NP205", &[policy("p", &spec.replace("NotIn, values: [web]", "NotIn, values: [db]"))]);
    quiet("NP205", &[policy("p", &spec.replace("NotIn, values: [web]", "Exists"))]);
}

#[test]
fn np206_duplicate_peer() {
    let second = "spec.ingress[0].from[1]";
    let pods = "    - podSelector: {matchLabels: {a: b}}\n";
    finds(
        "NP206",
        &[from(&format!("{pods}    - podSelector: {{matchExpressions: [{{key: a, operator: In, values: [b, b]}}]}}"))],
        second,
        9,
    );
    let block = |cidr: &str, except: &str| format!("    - ipBlock: {{cidr: {cidr}, except: [{except}]}}\n");
    let one = block("10.0.0.0/8", "10.1.0.0/16, 10.2.0.0/16");
    finds("NP206", &[from(&format!("{one}{}", block("10.0.0.0/8", "10.2.0.0/16, 10.1.0.0/16")))], second, 9);
    quiet("NP206", &[from(&format!("{one}{}", block("10.0.0.0/8", "10.2.0.0/16")))]);
    quiet(
        "NP206",
        &[from(&format!("{pods}    - {{podSelector: {{matchLabels: {{a: b}}}}, namespaceSelector: {{}}}}"))],
    );
    quiet("NP206", &[from(&format!("{pods}    - namespaceSelector: {{matchLabels: {{a: b}}}}"))]);
    quiet("NP206", &[from(&format!("{pods}  - from:\n{pods}"))]);
}
