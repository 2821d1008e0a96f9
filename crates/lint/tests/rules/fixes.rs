//! What `--fix` makes of findings, and what it leaves to a person.

use palisade_manifest::Safety;

use crate::support::{listening, mended, pod, policy};

/// The rule is mended so that the policy's `spec` is this, and the fix is safe.
#[track_caller]
fn safely(code: &str, before: &str, after: &str) {
    let wanted = Some((Safety::Safe, policy("p", after)));
    assert_eq!(mended(code, &[policy("p", before)]), wanted, "{before}");
}

fn ports(list: &str) -> String {
    format!("  podSelector: {{}}\n  ingress:\n  - ports: [{list}]")
}

#[test]
fn np102_writes_what_is_the_default() {
    let rest = "  egress:\n  - {}";
    safely(
        "NP102",
        &format!("  podSelector: {{}}\n{rest}"),
        &format!("  podSelector: {{}}\n  policyTypes: [Ingress, Egress]\n{rest}"),
    );
    safely("NP102", rest, &format!("{rest}\n  policyTypes: [Ingress, Egress]"));
}

#[test]
fn np103_adds_a_rule_when_asked() {
    let pods = || pod("prod/a", "app: web");
    let before = "  podSelector: {}\n  policyTypes: [Egress]";
    let (safety, after) = mended("NP103", &[policy("p", before), pods()]).unwrap();
    assert_eq!(safety, Safety::ChangesMeaning);
    let rule = "  egress:\n  - to:\n    - namespaceSelector:\n        matchLabels:\n          \
                kubernetes.io/metadata.name: kube-system\n    ports:\n    - port: 53\n      protocol: UDP\n    \
                - port: 53\n      protocol: TCP";
    assert_eq!(after, [policy("p", &format!("{before}\n{rule}")), pods()].join("---\n"));
    let empty = format!("{before}\n  egress: []");
    let (_, after) = mended("NP103", &[policy("p", &empty), pods()]).unwrap();
    assert!(after.contains("egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/"), "{after}");
}

#[test]
fn np104_adds_tcp_when_asked() {
    let egress = |ports: &str| {
        policy(
            "p",
            &format!(
                "  podSelector: {{}}\n  egress:\n  - ports: [{ports}]\n  - to: [{{podSelector: {{}}}}]\n    ports: [{{port: 80}}]"
            ),
        )
    };
    let udp = "{port: 53, protocol: UDP}";
    let after = egress(&format!("{udp}, {{port: 53, protocol: TCP}}"));
    assert_eq!(mended("NP104", &[egress(udp)]), Some((Safety::ChangesMeaning, after)));
}

#[test]
fn np206_takes_the_later_one_out() {
    let from = |peers: &str| format!("  podSelector: {{}}\n  ingress:\n  - from:\n{peers}");
    let (a, b) = ("    - podSelector: {matchLabels: {a: b, c: d}}", "    - podSelector: {matchLabels: {c: d, a: b}}");
    safely("NP206", &from(&format!("{a}\n{b}")), &from(a));
}

#[test]
fn np305_takes_out_what_the_other_holds_and_nothing_else() {
    safely("NP305", &ports("{port: 80}, {port: 80}"), &ports("{port: 80}"));
    safely("NP305", &ports("{port: 80}, {port: 79, endPort: 90}"), &ports("{port: 79, endPort: 90}"));
    safely("NP305", &ports("{protocol: TCP}, {port: web}"), &ports("{protocol: TCP}"));
    let in_part = policy("p", &ports("{port: 70, endPort: 80}, {port: 80, endPort: 90}"));
    assert_eq!(mended_or_not("NP305", &in_part), None);
}

#[test]
fn np404_takes_out_what_takes_nothing_away() {
    let block = |except: &str| {
        format!("  podSelector: {{}}\n  ingress:\n  - from: [{{ipBlock: {{cidr: 10.0.0.0/8, except: [{except}]}}}}]")
    };
    safely("NP404", &block("10.1.0.0/16, 10.1.2.0/24"), &block("10.1.0.0/16"));
    let other = |except: &str| {
        format!("{}\n  - ports: [{{port: 1}}]", block(except).replace("}}]", "}}, {ipBlock: {cidr: 10.1.0.0/16}}]"))
    };
    safely("NP404", &other("10.1.0.0/16"), &other(""));
}

#[test]
fn np501_takes_the_narrower_rule_out() {
    let rules = |rest: &str| format!("  podSelector: {{}}\n  ingress:\n  - from: [{{podSelector: {{}}}}]\n{rest}");
    let narrow = "  # only the web\n  - from:\n    - podSelector: {matchLabels: {app: web}} # front\n";
    safely("NP501", &rules(narrow), &rules("  # only the web\n    # front\n").replace("\n    # front", "\n  # front"));
}

/// Findings that only a person can mend.
#[test]
fn a_guess_is_no_fix() {
    let egress = policy("p", "  podSelector: {}\n  policyTypes: [Ingress]\n  egress: [{}]");
    assert_eq!(mended_or_not("NP101", &egress), None);
    let udp = policy("p", "  podSelector: {}\n  ingress: [{ports: [{port: 123}]}]");
    assert_eq!(mended_or_not("NP304", &[udp, listening("prod/a", "a: b", "{containerPort: 1}")].join("---\n")), None);
}

fn mended_or_not(code: &str, text: &str) -> Option<(Safety, String)> {
    mended(code, &[text.to_owned()])
}
