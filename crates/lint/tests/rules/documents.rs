//! The mistakes that the documents of the field warn of, in manifests of our own that make them. What the
//! API server refuses as well (`protocol: tcp`, `extensions/v1beta1`, a missing `---`) is tested where
//! manifests are read.

use crate::support::{at, finds, listening, namespace, pod, pod_with, policy, quiet, service};

const BALANCE: &str = "  podSelector: {matchLabels: {app: balance}}\n  policyTypes: [Egress]\n  egress:\n";

/// The article: an egress policy for the database alone, and the balancer finds no names.
#[test]
fn an_egress_rule_for_postgres_is_no_rule_for_dns() {
    let spec = format!("{BALANCE}  - to: [{{podSelector: {{matchLabels: {{app: postgres}}}}}}]");
    let pods = [pod("prod/balance", "app: balance"), pod("prod/postgres", "app: postgres")];
    finds("NP103", &[&[policy("p", &spec)], &pods[..]].concat(), "spec.egress", 8);
}

/// The article: a public resolver is allowed, and the cluster's own is not.
#[test]
fn a_public_resolver_is_not_the_clusters() {
    let spec =
        format!("{BALANCE}  - to: [{{ipBlock: {{cidr: 8.8.8.8/32}}}}]\n    ports: [{{protocol: UDP, port: 53}}]");
    let said = finds("NP103", &[policy("p", &spec), pod("prod/balance", "app: balance")], "spec.egress", 8);
    assert!(said.contains("outside addresses alone"), "{said}");
}

/// All of them: DNS over UDP 53 and nothing else.
#[test]
fn dns_over_udp_alone() {
    let spec = format!("{BALANCE}  - ports: [{{protocol: UDP, port: 53}}]");
    finds("NP104", &[policy("p", &spec)], "spec.egress[0].ports[0]", 8);
}

/// The article and the tips: the namespace has no such label.
#[test]
fn kube_system_has_no_name_label() {
    for key in ["name", "namespace"] {
        let spec = format!("{BALANCE}  - to: [{{namespaceSelector: {{matchLabels: {{{key}: kube-system}}}}}}]");
        let field = "spec.egress[0].to[0].namespaceSelector";
        finds("NP204", &[policy("p", &spec), namespace("kube-system", "")], field, 8);
    }
}

/// The concept page: one `-` more.
#[test]
fn and_written_as_or() {
    let spec = "  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector: {matchLabels: {user: alice}}\n    \
                - podSelector: {matchLabels: {role: client}}";
    let alice = [namespace("alice", "user: alice"), pod("alice/a", "role: client"), pod("prod/db", "role: db")];
    finds("NP203", &[&[policy("p", spec)], &alice[..]].concat(), "spec.ingress[0].from[1]", 9);
}

/// The article: pod addresses in an ipBlock.
#[test]
fn a_block_over_pods() {
    let spec = "  podSelector: {}\n  ingress:\n  - from: [{ipBlock: {cidr: 10.16.0.0/14}}]";
    let inside = at("prod/web", "app: web", "10.16.0.9");
    finds("NP401", &[policy("p", spec), inside], "spec.ingress[0].from[0].ipBlock.cidr", 7);
}

/// The article and the tips: `0.0.0.0/0` reaches every other pod too.
#[test]
fn the_whole_internet_holds_the_cluster() {
    let spec = format!("{BALANCE}  - to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]");
    finds("NP405", &[policy("p", &spec)], "spec.egress[0].to[0].ipBlock.cidr", 8);
}

/// The article: the Service listens on 80, the pods on 8080.
#[test]
fn the_port_of_a_service() {
    let spec = "  podSelector: {matchLabels: {app: web}}\n  ingress:\n  - ports: [{port: 80}]";
    let web = listening("prod/web", "app: web", "{containerPort: 8080}");
    let front = service("front", "10.96.0.7", "{port: 80, targetPort: 8080}");
    finds("NP302", &[policy("p", spec), web, front], "spec.ingress[0].ports[0]", 7);
}

/// The article: a named port must be defined in the pod.
#[test]
fn a_named_port_that_the_pod_does_not_define() {
    let spec = "  podSelector: {matchLabels: {app: hello}}\n  ingress:\n  - ports: [{port: my-http}]";
    let hello = listening("prod/hello", "app: hello", "{containerPort: 8080}");
    finds("NP301", &[policy("p", spec), hello], "spec.ingress[0].ports[0]", 7);
}

/// The article: host-network pods go around every policy.
#[test]
fn host_network_is_a_trap() {
    let host = pod_with("prod/a", "app: web", "hostNetwork: true, containers: [{name: c, image: i}]", "");
    let spec = "  podSelector: {matchLabels: {app: web}}";
    finds("NP503", &[policy("p", spec), host], "spec.podSelector", 5);
}

/// The article: policyTypes should always be written.
#[test]
fn policy_types_left_out() {
    finds("NP102", &[policy("p", "  podSelector: {}\n  egress:\n  - {}")], "spec.policyTypes", 1);
}

/// The tips: the labels of pod and policy differ.
#[test]
fn labels_that_do_not_match() {
    let spec = "  podSelector: {matchLabels: {app: back-end}}";
    let said = finds("NP105", &[policy("p", spec), pod("prod/a", "app: backend")], "spec.podSelector", 5);
    assert!(said.contains("`app: backend`"), "{said}");
}

/// The article: a podSelector alone never leaves its namespace.
#[test]
fn pods_of_another_namespace_need_a_namespace_selector() {
    let spec = "  podSelector: {}\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: prometheus}}}]";
    let pods = [pod("prod/web", "app: web"), pod("monitoring/p", "app: prometheus")];
    let said = finds("NP202", &[&[policy("p", spec)], &pods[..]].concat(), "spec.ingress[0].from[0].podSelector", 7);
    assert!(said.contains("kubernetes.io/metadata.name: monitoring"), "{said}");
}

/// The article: both ends must allow.
#[test]
fn one_end_is_not_enough() {
    let spec = format!("{BALANCE}  - to: [{{podSelector: {{matchLabels: {{app: postgres}}}}}}]");
    let closed = policy("q", "  podSelector: {matchLabels: {app: postgres}}");
    let pods = [pod("prod/balance", "app: balance"), pod("prod/postgres", "app: postgres")];
    finds("NP107", &[&[policy("p", &spec), closed], &pods[..]].concat(), "spec.egress[0]", 8);
}

/// The article and the tips: pods that no policy selects stay open; deny by default first.
#[test]
fn no_default_deny_and_no_policy_at_all() {
    let spec = "  podSelector: {matchLabels: {app: web}}";
    let pods = [pod("prod/web", "app: web"), pod("prod/db", "app: db"), pod("dev/x", "app: x")];
    finds("NP106", &[&[policy("p", spec)], &pods[..]].concat(), "spec.podSelector", 5);
    finds("NP504", &[&[policy("p", spec)], &pods[..]].concat(), "metadata.name", 19);
}

/// The tips: say what a policy is for.
#[test]
fn a_policy_that_does_not_say_what_it_is_for() {
    finds("NP505", &[policy("p", "  podSelector: {}")], "metadata.annotations", 1);
}

/// The article says that ingress policies of one pod overwrite each other. They do not: nothing is found.
#[test]
fn two_ingress_policies_are_united() {
    let from = |app: &str| {
        format!("  podSelector: {{}}\n  ingress:\n  - from: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}]")
    };
    let all = [policy("p", &from("a")), policy("q", &from("b")), pod("prod/a", "app: a"), pod("prod/b", "app: b")];
    for code in ["NP501", "NP502", "NP107"] {
        quiet(code, &all);
    }
}
