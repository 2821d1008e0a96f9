//! 6xx: cluster-wide policies.

use crate::support::{finds, namespace, pod, quiet};

fn wide(name: &str, priority: u16, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         tier: Admin\n  priority: {priority}\n  subject: {{namespaces: {{}}}}\n{rules}\n"
    )
}

const DENY: &str = "  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}]";

#[test]
fn np601_equal_priorities() {
    let said = finds("NP601", &[wide("a", 5, DENY), wide("b", 5, DENY)], "spec.priority", 10);
    assert!(said.starts_with("a and b have the priority 5"), "{said}");
    quiet("NP601", &[wide("a", 5, DENY), wide("b", 6, DENY)]);
    quiet("NP601", &[wide("a", 5, DENY), wide("b", 5, "  egress: [{action: Deny, to: [{namespaces: {}}]}]")]);
}

#[test]
fn np602_shadowed_rule() {
    let rules = "  ingress:\n  - {action: Accept, from: [{namespaces: {}}]}\n  - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}";
    let said = finds("NP602", &[wide("a", 5, rules)], "spec.ingress[1]", 10);
    assert!(said.starts_with("ingress[1] never acts"), "{said}");
    let other = "  ingress:\n  - {action: Deny, from: [{namespaces: {matchLabels: {team: red}}}]}\n  - {action: Accept, from: [{namespaces: {}}]}";
    quiet("NP602", &[wide("a", 5, other)]);
}

#[test]
fn np602_shadowed_by_another_policy() {
    let all = "  ingress: [{action: Accept, from: [{namespaces: {}}]}]";
    let said = finds("NP602", &[wide("a", 5, all), wide("b", 6, DENY)], "spec.ingress[0]", 17);
    assert!(
        said.starts_with("ingress[0] never acts: ingress[0] of a (priority 5) is first, and it does Accept"),
        "{said}"
    );
    // Asked later, or perhaps later, or about other pods, or in another tier.
    quiet("NP602", &[wide("a", 7, all), wide("b", 6, DENY)]);
    quiet("NP602", &[wide("a", 6, all), wide("b", 6, DENY)]);
    let of = |subject: &str, text: String| text.replace("subject: {namespaces: {}}", &format!("subject: {subject}"));
    let (red, web) = ("{namespaces: {matchLabels: {team: red}}}", "{pods: {podSelector: {matchLabels: {app: web}}}}");
    quiet("NP602", &[of(red, wide("a", 5, all)), wide("b", 6, DENY)]);
    quiet("NP602", &[of(web, wide("a", 5, all)), of(red, wide("b", 6, DENY))]);
    quiet("NP602", &[wide("a", 5, all), wide("b", 6, DENY).replace("Admin", "Baseline")]);
    let both = "{pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: web}}}}";
    for wider in [red, web] {
        finds("NP602", &[of(wider, wide("a", 5, all)), of(both, wide("b", 6, DENY))], "spec.ingress[0]", 17);
    }
}

#[test]
fn np603_locked_out() {
    let deny = "  egress:\n  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}";
    finds("NP603", &[wide("a", 5, deny)], "spec.egress[0]", 9);
    let except = "  egress:\n  - {action: Accept, to: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 53}}}]}\n  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}";
    quiet("NP603", &[wide("a", 5, except), namespace("kube-system", ""), pod("kube-system/dns", "app: dns")]);
    let ingress = "  ingress:\n  - {action: Deny, from: [{namespaces: {}}]}";
    let said = finds("NP603", &[wide("a", 5, ingress)], "spec.ingress[0]", 9);
    assert!(said.contains("kube-system"), "{said}");
    quiet("NP603", &[wide("a", 5, DENY)]);
}
