//! `palisade generate`: each starter passes `check` without a finding and means what it says, by `verdicts`.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod support;

use support::{Folder, palisade, root, said};

/// What is asked of every starter: from, to, port.
const ASKED: [(&str, &str, &str, u16); 14] = [
    ("other/client", "shop/web", "TCP", 8080),
    ("shop/web", "other/client", "TCP", 80),
    ("shop/web", "203.0.113.9", "TCP", 443),
    ("shop/web", "kube-system/kube-dns", "UDP", 53),
    ("shop/db", "kube-system/kube-dns", "TCP", 53),
    ("shop/web", "kube-system/kube-dns", "TCP", 9153),
    ("shop/web", "shop/api", "TCP", 8080),
    ("shop/web", "shop/db", "TCP", 5432),
    ("shop/api", "shop/db", "TCP", 5432),
    ("shop/api", "shop/web", "TCP", 8080),
    ("ingress-nginx/controller", "shop/web", "TCP", 8080),
    ("ingress-nginx/controller", "shop/api", "TCP", 8080),
    ("monitoring/prometheus", "shop/api", "TCP", 9090),
    ("monitoring/prometheus", "shop/web", "TCP", 8080),
];

fn generate(arguments: &str) -> String {
    let namespace: &[&str] = if arguments.contains("-n ") { &[] } else { &["-n", "shop"] };
    let output = palisade().arg("generate").args(namespace).args(arguments.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The answers under what a starter generates, in the order asked: `+` allowed, `-` denied.
fn verdicts(yaml: &str) -> String {
    let cluster = std::fs::read_to_string(root().join("crates/cli/tests/generate/cluster.yaml")).unwrap();
    let rows = ASKED.map(|(from, to, protocol, port)| format!("{from}\t{to}\t{protocol}\t{port}\n")).concat();
    let table = format!("from\tto\tprotocol\tport\n{rows}");
    let folder = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", yaml), ("flows.tsv", &table)]);
    let flows = folder.path().join("flows.tsv");
    let output = palisade().arg("verdicts").arg("--flows").arg(flows).arg("-f").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = |line: &str| if line.ends_with("\tallow") { '+' } else { '-' };
    text.lines().skip(1).map(answer).collect()
}

#[test]
fn starters_mean_what_they_say() {
    for (arguments, wanted) in [
        ("default-deny", "--------------"),
        ("default-deny-ingress", "-+++++--------"),
        ("default-deny-egress", "+---------++++"),
        ("dns", "+--++-----++++"),
        ("default-deny dns", "---++---------"),
        ("same-namespace", "------++++----"),
        ("default-deny dns same-namespace", "---++-++++----"),
        ("from-ingress-controller", "-+++++----++--"),
        ("from-ingress-controller --ingress-port http --select app=frontend", "-++++++++-+++-"),
        ("default-deny from-monitoring --monitoring-port metrics --select app=backend", "------------+-"),
        ("default-deny from-monitoring --monitoring other", "+-------------"),
        ("three-tier", "---++-+-+-+---"),
        ("three-tier from-monitoring --monitoring-port 9090", "---++-+-+-+-+-"),
        ("three-tier --frontend app=frontend:80 --database app=database:6432", "---++-+-------"),
    ] {
        assert_eq!(verdicts(&generate(arguments)), wanted, "{arguments}");
    }
}

#[test]
fn check_finds_nothing() {
    let cluster = std::fs::read_to_string(root().join("crates/cli/tests/generate/cluster.yaml")).unwrap();
    let check = |files: &[(&str, &str)], name: &str| {
        let folder = Folder::with(files);
        let output = palisade().args(["check", "--fail-on", "note", "-f"]).arg(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", said(&output));
    };
    let others = ["ingress-nginx", "monitoring", "other"]
        .map(|namespace| generate(&format!("default-deny-ingress -n {namespace}")));
    let others = others.join("---\n");
    for starter in [
        "default-deny",
        "default-deny-ingress",
        "default-deny-egress",
        "dns",
        "same-namespace",
        "from-ingress-controller --ingress-port http",
        "from-monitoring",
        "three-tier",
    ] {
        // By themselves, and with the floor beside the pods that they are for.
        check(&[("policies.yaml", &generate(starter))], starter);
        let with_floor = format!("default-deny dns {starter}");
        let files =
            [("cluster.yaml", cluster.as_str()), ("others.yaml", &others), ("policies.yaml", &generate(&with_floor))];
        check(&files, &with_floor);
    }
}

#[test]
fn each_policy_is_explained_and_comes_once() {
    let yaml = generate("three-tier default-deny dns dns default-deny");
    let documents: Vec<&str> = yaml.split("---\n").collect();
    assert_eq!(documents.len(), 5, "{yaml}");
    assert!(documents.iter().all(|document| document.starts_with("# ")), "{yaml}");
}

#[test]
fn what_is_no_starter_no_label_and_no_port_is_refused() {
    for (arguments, wanted) in [
        ("", "which starter?"),
        ("deny", "invalid value 'deny'"),
        ("from-monitoring --select app", "`app` is no label: write KEY=VALUE"),
        ("from-monitoring --select app=a,app=b", "the label `app` is given twice"),
        ("from-monitoring --select app=-", "would be refused"),
        ("from-monitoring --monitoring-port 0", "--monitoring-port 0"),
        ("from-monitoring --monitoring-port icmp", "cannot name ICMP"),
        ("from-monitoring --monitoring Over", "the name of a namespace has"),
        ("three-tier --backend app=api", "write LABELS:PORT"),
    ] {
        let output = palisade()
            .arg("generate")
            .args(arguments.split_whitespace())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {text}");
        assert!(text.contains(wanted) && output.stdout.is_empty(), "{arguments}: {text}");
    }
}
