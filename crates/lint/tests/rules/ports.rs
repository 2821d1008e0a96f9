//! 3xx: ports.

use crate::support::{finds, listening, pod, policy, quiet, service};

fn allow(ports: &str) -> String {
    policy("p", &format!("  podSelector: {{matchLabels: {{app: web}}}}\n  ingress:\n  - ports:\n{ports}"))
}

const FIRST: &str = "spec.ingress[0].ports[0]";

#[test]
fn np301_named_port_undefined() {
    let http = || allow("    - port: http");
    let said = finds("NP301", &[http(), listening("prod/a", "app: web", "{name: web, containerPort: 80}")], FIRST, 8);
    assert!(said.contains("named web"), "{said}");
    let udp = listening("prod/a", "app: web", "{name: http, containerPort: 80, protocol: UDP}");
    assert!(finds("NP301", &[http(), udp], FIRST, 8).contains("write `protocol: UDP`"));
    quiet("NP301", &[http(), listening("prod/a", "app: web", "{name: http, containerPort: 80}")]);
    quiet("NP301", &[http()]);
}

#[test]
fn np302_service_port() {
    let web = listening("prod/a", "app: web", "{containerPort: 8080}");
    let sends = service("front", "10.96.0.7", "{port: 80, targetPort: 8080}");
    let said = finds("NP302", &[allow("    - port: 80"), web.clone(), sends.clone()], FIRST, 8);
    assert!(said.contains("prod/front") && said.contains("8080"), "{said}");
    // It is told once.
    quiet("NP303", &[allow("    - port: 80"), web.clone(), sends.clone()]);
    quiet("NP302", &[allow("    - port: 8080"), web.clone(), sends.clone()]);
    // Another Service sends to port 80 after all.
    let other = service("other", "10.96.0.8", "{port: 81, targetPort: 80}");
    quiet("NP302", &[allow("    - port: 80"), web, sends, other]);
}

#[test]
fn np303_port_not_declared() {
    let web = listening("prod/a", "app: web", "{containerPort: 80}");
    let said = finds("NP303", &[allow("    - port: 8080"), web.clone()], FIRST, 8);
    assert!(said.contains("they declare TCP 80"), "{said}");
    quiet("NP303", &[allow("    - {port: 80, endPort: 90}"), web.clone()]);
    // Nothing is declared at all; a Service knows better.
    quiet("NP303", &[allow("    - port: 8080"), pod("prod/a", "app: web")]);
    quiet("NP303", &[allow("    - port: 8080"), web, service("s", "10.96.0.7", "{port: 8080}")]);
}

#[test]
fn np303_of_the_pods_that_egress_reaches() {
    let to = |peers: &str| {
        policy(
            "p",
            &format!(
                "  podSelector: {{matchLabels: {{app: web}}}}\n  egress:\n  - to: {peers}\n    ports: [{{port: 5433}}]"
            ),
        )
    };
    let db = || listening("prod/db", "app: db", "{containerPort: 5432}");
    let known = "[{podSelector: {matchLabels: {app: db}}}]";
    let said = finds("NP303", &[to(known), db(), pod("prod/a", "app: web")], "spec.egress[0].ports[0]", 8);
    assert!(said.contains("no pod that egress[0] of p reaches declares TCP 5433"), "{said}");
    // Another pod that is reached declares none; addresses are reached too, or anyone.
    quiet("NP303", &[to(known), db(), pod("prod/b", "app: db")]);
    quiet("NP303", &[to("[{podSelector: {matchLabels: {app: db}}}, {ipBlock: {cidr: 192.0.2.0/24}}]"), db()]);
    quiet("NP303", &[to("[{podSelector: {}}]"), db()]);
    quiet("NP303", &[to("[]"), db()]);
    quiet("NP303", &[to(known), listening("prod/db", "app: db", "{containerPort: 5433}")]);
    quiet("NP303", &[to(known), db(), service("db", "10.96.0.7", "{port: 5433}").replace("app: web", "app: db")]);
}

#[test]
fn np304_udp_port_as_tcp() {
    finds("NP304", &[allow("    - port: 123")], FIRST, 8);
    quiet("NP304", &[allow("    - {port: 123, protocol: UDP}")]);
    quiet("NP304", &[allow("    - port: 443")]);
    // UDP is in a rule of its own.
    quiet("NP304", &[allow("    - port: 53\n  - ports: [{port: 53, protocol: UDP}]")]);
    quiet("NP304", &[allow("    - port: 500"), listening("prod/a", "app: web", "{containerPort: 500}")]);
}

#[test]
fn np305_overlapping_ports() {
    let second = "spec.ingress[0].ports[1]";
    finds("NP305", &[allow("    - {port: 8000, endPort: 8100}\n    - port: 8080")], second, 9);
    finds("NP305", &[allow("    - protocol: TCP\n    - port: http")], second, 9);
    quiet("NP305", &[allow("    - port: 80\n    - {port: 80, protocol: UDP}\n    - port: 81")]);
}
