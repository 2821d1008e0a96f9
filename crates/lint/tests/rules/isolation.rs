//! 1xx: who is isolated.

use crate::support::{finds, listening, pod, policy, quiet};

#[test]
fn np101_rules_of_unlisted_type() {
    let wrong = policy("p", "  podSelector: {}\n  policyTypes: [Ingress]\n  egress:\n  - {}");
    assert!(finds("NP101", &[wrong], "spec.egress[0]", 8).contains("policyTypes does not list Egress"));
    quiet("NP101", &[policy("p", "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  egress:\n  - {}")]);
    quiet("NP101", &[policy("p", "  podSelector: {}\n  policyTypes: [Ingress]\n  egress: []")]);
}

#[test]
fn np102_policy_types_by_default() {
    finds("NP102", &[policy("p", "  podSelector: {}\n  egress:\n  - {}")], "spec.policyTypes", 1);
    quiet("NP102", &[policy("p", "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - {}")]);
    quiet("NP102", &[policy("p", "  podSelector: {}\n  ingress:\n  - {}\n  egress:\n  - {}")]);
    quiet("NP102", &[policy("p", "  podSelector: {}")]);
}

const TO_DB: &str = "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress:\n  \
                     - to: [{podSelector: {matchLabels: {app: db}}}]\n";

#[test]
fn np103_egress_without_dns() {
    let pods = [pod("prod/web", "app: web"), pod("prod/db", "app: db")];
    let with = |spec: &str| [vec![policy("p", spec)], pods.to_vec()].concat();
    let said = finds("NP103", &with(&format!("{TO_DB}    ports: [{{port: 5432}}]")), "spec.egress", 8);
    assert!(said.starts_with("prod/web may not resolve names"), "{said}");
    // All ports, but to a database alone.
    finds("NP103", &with(TO_DB), "spec.egress", 8);
    let dns = "  - to: [{namespaceSelector: {}}]\n    ports: [{protocol: UDP, port: 53}]";
    quiet("NP103", &with(&format!("{TO_DB}{dns}")));
    quiet("NP103", &with("  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{}]"));
    // A pod that is to send nothing needs no names.
    quiet("NP103", &with("  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Egress]"));
}

#[test]
fn np103_a_default_deny_that_nobody_opens_for_dns() {
    let deny = policy("deny", "  podSelector: {}\n  policyTypes: [Egress]");
    let pods = [pod("prod/web", "app: web"), pod("prod/db", "app: db")];
    let said = finds("NP103", &[std::slice::from_ref(&deny), &pods[..]].concat(), "spec.egress", 1);
    assert!(said.contains("prod/db and 1 more"), "{said}");
    let dns = "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress:\n  \
               - ports: [{protocol: UDP, port: 53}]";
    quiet("NP103", &[&[deny, policy("dns", dns)], &pods[..]].concat());
}

#[test]
fn np103_the_admin_tier_comes_first() {
    let admin = |tier: &str, action: &str, to: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: a}}\n\
             spec:\n  tier: {tier}\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  egress:\n  \
             - {{action: {action}, to: [{to}], protocols: [{{udp: {{destinationPort: {{number: 53}}}}}}]}}\n"
        )
    };
    let system = "{namespaces: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}";
    let with = |wide: String| vec![policy("p", TO_DB), pod("prod/web", "app: web"), pod("prod/db", "app: db"), wide];
    quiet("NP103", &with(admin("Admin", "Accept", system)));
    quiet("NP103", &with(admin("Admin", "Accept", "{nodes: {}}")));
    quiet("NP103", &with(admin("Admin", "Deny", system)));
    for wide in [
        admin("Admin", "Pass", system),
        admin("Admin", "Accept", "{networks: [8.8.8.8/32]}"),
        // It is not asked: the pod is isolated.
        admin("Baseline", "Accept", system),
        admin("Admin", "Accept", system).replace("number: 53", "number: 80"),
    ] {
        finds("NP103", &with(wide), "spec.egress", 8);
    }
}

#[test]
fn np103_dns_pods_of_ones_own_count() {
    let own = listening("prod/resolver", "app: db", "{containerPort: 53, protocol: UDP}");
    quiet("NP103", &[policy("p", TO_DB), pod("prod/web", "app: web"), own]);
}

#[test]
fn np104_dns_over_udp_only() {
    let udp = "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - ports:\n    - {protocol: UDP, port: 53}";
    finds("NP104", &[policy("p", udp)], "spec.egress[0].ports[0]", 9);
    quiet("NP104", &[policy("p", &format!("{udp}\n    - {{port: 53}}"))]);
    // Another policy allows the same pods TCP.
    let tcp = "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - ports: [{port: 53}]";
    quiet("NP104", &[policy("p", udp), policy("q", tcp), pod("prod/web", "app: web")]);
}

#[test]
fn np105_policy_selects_no_pod() {
    let bakend = policy("p", "  podSelector:\n    matchLabels: {app: bakend}");
    let said = finds("NP105", &[bakend.clone(), pod("prod/a", "app: backend")], "spec.podSelector", 6);
    assert!(said.contains("did you mean `app: backend`?"), "{said}");
    let said = finds("NP105", &[bakend.clone(), pod("dev/a", "app: bakend")], "spec.podSelector", 6);
    assert!(said.contains("namespace dev has such pods"), "{said}");
    quiet("NP105", std::slice::from_ref(&bakend));
    quiet("NP105", &[bakend, pod("prod/a", "app: bakend")]);
}

#[test]
fn np106_no_default_deny() {
    let web = policy("p", "  podSelector: {matchLabels: {app: web}}");
    let pods = [pod("prod/web", "app: web"), pod("prod/db", "app: db")];
    finds("NP106", &[std::slice::from_ref(&web), &pods[..]].concat(), "spec.podSelector", 5);
    let deny = policy("deny", "  podSelector: {}");
    quiet("NP106", &[&[web, deny], &pods[..]].concat());
}

#[test]
fn np107_one_sided_allow() {
    let to_db = policy("to-db", TO_DB);
    let closed = policy("closed", "  podSelector: {matchLabels: {app: db}}");
    let pods = [pod("prod/web", "app: web"), pod("prod/db", "app: db")];
    let said = finds("NP107", &[&[to_db.clone(), closed.clone()], &pods[..]].concat(), "spec.egress[0]", 8);
    assert!(said.contains("to-db") && said.contains("prod/closed"), "{said}");
    let open = policy("open", "  podSelector: {matchLabels: {app: db}}\n  ingress:\n  - {}");
    quiet("NP107", &[&[to_db.clone(), closed, open], &pods[..]].concat());
    quiet("NP107", &[&[to_db], &pods[..]].concat());
}
