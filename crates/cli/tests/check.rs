//! `palisade check`, as it is run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::process::Output;

use serde_json::Value;
use support::{Folder, folders, palisade, root};

/// Two warnings: no DNS (NP103), and a label misspelt (NP202).
const POLICIES: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: prod
spec:
  podSelector:
    matchLabels: {app: web}
  policyTypes: [Egress]
  egress:
  - to:
    - podSelector:
        matchLabels: {app: databse}
    ports:
    - port: 5432
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: prod, labels: {app: web}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: prod, labels: {app: database}}
spec: {containers: [{name: c, image: i}]}
";

const REFUSED: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {}
  ingress:
  - ports:
    - protocol: tcp
";

/// Runs `check` in a folder of its own that holds `files`.
fn check(files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = Folder::with(files);
    palisade().current_dir(folder.path()).arg("check").args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn codes(output: &Output) -> Vec<String> {
    json(output).as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

const P: (&str, &str) = ("p.yaml", POLICIES);

#[test]
fn exit_codes() {
    let run = |arguments: &[&str]| code(&check(&[P, ("bad.yaml", REFUSED)], arguments));
    assert_eq!(run(&["-f", "p.yaml"]), 0);
    assert_eq!(run(&["-f", "p.yaml", "--fail-on", "warning"]), 1);
    assert_eq!(run(&["-f", "p.yaml", "--fail-on", "note"]), 1);
    assert_eq!(run(&["-f", "bad.yaml"]), 1);
    assert_eq!(run(&["-f", "bad.yaml", "--fail-on", "never"]), 0);
    assert_eq!(run(&["-f", "gone.yaml"]), 2);
    assert_eq!(run(&["-f", "gone.yaml", "--fail-on", "never"]), 2);
    assert_eq!(run(&[]), 2);
}

#[test]
fn two_objects_of_one_name_are_an_error_with_both_lines() {
    let twice = format!("{POLICIES}---\n{POLICIES}");
    let output = check(&[("p.yaml", &twice)], &["-f", "p.yaml"]);
    assert_eq!(code(&output), 1);
    let said = out(&output);
    assert!(said.contains("first here") && said.contains("and again here"), "{said}");
}

#[test]
fn json_has_every_field() {
    let output = check(&[P], &["-f", "p.yaml", "-o", "json"]);
    let found = json(&output);
    let dns = found.as_array().unwrap().iter().find(|f| f["code"] == "NP103").unwrap();
    assert_eq!(dns["name"], "egress-without-dns");
    assert_eq!(dns["severity"], "warning");
    assert_eq!(dns["object"], "NetworkPolicy prod/web");
    assert_eq!(dns["field"], "spec.egress");
    assert_eq!(dns["file"], "p.yaml");
    assert_eq!((dns["line"].as_u64(), dns["column"].as_u64()), (Some(11), Some(5)));
    assert!(dns["endLine"].as_u64() >= Some(11) && dns["endColumn"].is_u64());
    assert!(dns["message"].as_str().unwrap().contains("may not resolve names"));
    assert!(dns["help"][0].as_str().unwrap().contains("kube-system"));
    assert_eq!(dns["fix"]["safety"], "changes-meaning");
}

#[test]
fn github_annotations() {
    let output = check(&[P], &["-f", "p.yaml", "-o", "github"]);
    let said = out(&output);
    let line = said.lines().find(|line| line.contains("NP103")).unwrap();
    assert!(line.starts_with("::warning file=p.yaml,line=11,col=5,endLine="), "{line}");
    assert!(line.contains(",title=NP103 egress-without-dns::prod/web may not"), "{line}");
    assert!(line.contains("%0A"), "help is in the same line: {line}");
    let odd = check(&[("a,b:c.yaml", REFUSED)], &["-f", "a,b:c.yaml", "-o", "github"]);
    assert!(out(&odd).starts_with("::error file=a%2Cb%3Ac.yaml,line=8,"), "{}", out(&odd));
}

#[test]
fn sarif_structure() {
    let log = json(&check(&[("my policies.yaml", POLICIES)], &["-f", "my policies.yaml", "-o", "sarif"]));
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "palisade");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["help"]["markdown"].as_str().unwrap().contains("## Why is this bad"));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20policies.yaml");
        assert!(place["region"]["startLine"].as_u64() > Some(0));
        assert!(["note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
    }
    let empty = json(&check(
        &[("pod.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")],
        &["-f", "pod.yaml", "-o", "sarif"],
    ));
    assert_eq!(empty["runs"][0]["results"], Value::Array(Vec::new()));
}

#[test]
fn a_baseline_hides_what_was_known() {
    let known = out(&check(&[P], &["-f", "p.yaml", "-o", "json"]));
    // Lines have moved; nothing is new.
    let moved = format!("# a comment\n\n{POLICIES}");
    let arguments = ["-f", "p.yaml", "-o", "json", "--baseline", "known.json", "--fail-on", "note"];
    let output = check(&[("p.yaml", &moved), ("known.json", &known)], &arguments);
    assert_eq!((code(&output), codes(&output)), (0, Vec::new()));
    let more = format!("{POLICIES}---\n{}", POLICIES.replace("prod", "dev"));
    let output = check(&[("p.yaml", &more), ("known.json", &known)], &arguments);
    assert_eq!(code(&output), 1);
    assert!(json(&output).as_array().unwrap().iter().all(|f| f["object"].as_str().unwrap().contains("dev")));
    assert_eq!(code(&check(&[P, ("known.json", "{}")], &arguments)), 2);
}

#[test]
fn levels_of_palisade_toml_need_reasons() {
    let run = |toml: &str| check(&[P, ("palisade.toml", toml)], &["-f", "p.yaml", "-o", "json"]);
    let plain = codes(&run(""));
    assert!(plain.iter().any(|code| code == "NP103") && !plain.iter().any(|code| code == "NP505"), "{plain:?}");
    let set = "[lints]\nNP103 = { level = \"off\", reason = \"addresses only\" }\n\
               missing-description = { level = \"error\", reason = \"the audit asks\" }\n";
    let output = run(set);
    assert_eq!(code(&output), 1);
    let found = codes(&output);
    assert!(!found.iter().any(|code| code == "NP103") && found.iter().any(|code| code == "NP505"), "{found:?}");
    assert_eq!(code(&run("[lints]\nNP103 = { level = \"off\" }\n")), 2);
    assert_eq!(code(&run("[lints]\nNP999 = { level = \"off\", reason = \"x\" }\n")), 2);
}

#[test]
fn an_annotation_with_a_reason_silences_a_rule_for_its_policy() {
    let with = |text: &str| {
        let annotated = format!("  namespace: prod\n  annotations:\n    palisade.dev/ignore: '{text}'\nspec:");
        let policies = POLICIES.replacen("  namespace: prod\nspec:", &annotated, 1);
        codes(&check(&[("p.yaml", &policies)], &["-f", "p.yaml", "-o", "json"]))
    };
    assert!(!with("NP103: addresses only; NP202: comes later").iter().any(|code| code == "NP103" || code == "NP202"));
    assert!(with("NP103").iter().any(|code| code == "NP103"), "no reason, no silence");
    assert!(with("NP104: x").iter().any(|code| code == "NP103"));
}

/// A Service, a pod or a namespace that a finding is about or points at has a say too.
#[test]
fn an_annotation_on_another_object_counts() {
    let with = |from: &str, to: &str| {
        let policies = POLICIES.replacen(from, to, 1);
        assert_ne!(policies, POLICIES);
        codes(&check(&[("p.yaml", &policies)], &["-f", "p.yaml", "-o", "json"]))
    };
    let db = "metadata: {name: db, namespace: prod,";
    let silent = format!("{db} annotations: {{palisade.dev/ignore: 'NP504: open on purpose'}},");
    assert!(with("5432", "5433").iter().any(|code| code == "NP504"));
    assert!(!with(db, &silent).iter().any(|code| code == "NP504"));
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: prod, annotations: \
                     {palisade.dev/ignore: 'NP504: open on purpose'}}\n---\napiVersion: v1\nkind: Pod";
    assert!(!with("---\napiVersion: v1\nkind: Pod", namespace).iter().any(|code| code == "NP504"));
}

#[test]
fn explain_prints_the_page() {
    for name in ["NP103", "np103", "egress-without-dns"] {
        let output = check(&[], &["--explain", name]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).starts_with("# NP103 egress-without-dns (warning)\n"), "{}", out(&output));
        let page = std::fs::read_to_string(root().join("docs/lints/NP103.md")).unwrap();
        assert_eq!(out(&output), page);
    }
    let list = check(&[], &["--explain", "list"]);
    assert_eq!(code(&list), 0);
    assert!(out(&list).contains("  NP204  namespace-name-label\n"), "{}", out(&list));
    let unknown = check(&[], &["--explain", "NP999"]);
    assert_eq!(code(&unknown), 2);
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("NP204  namespace-name-label"));
}

#[test]
fn two_findings_at_80_columns() {
    let output = check(&[P], &["-f", "p.yaml"]);
    let said = out(&output);
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "wider than the terminal: {line}");
    }
    insta::assert_snapshot!(said);
}

/// Colours add nothing: without them the same stands there.
#[test]
fn the_same_findings_in_colours() {
    let folder = Folder::with(&[P]);
    let mut command = palisade();
    command.current_dir(folder.path()).env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
    let said = out(&command.args(["check", "-f", "p.yaml"]).output().unwrap());
    let mut plain = String::new();
    let mut parts = said.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    assert_eq!(plain, out(&check(&[P], &["-f", "p.yaml"])));
    insta::assert_snapshot!(said);
}

#[test]
fn palisade_toml_says_what_is_checked() {
    let folder =
        Folder::with(&[("palisade.toml", "paths = ['m']\nexclude = ['old', '*.gen.yaml']\nrecursive = true\n")]);
    for name in ["m/p.yaml", "m/x.gen.yaml", "m/old/p.yaml", "m/more/deep/q.yaml"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, REFUSED).unwrap();
    }
    let files = |arguments: &[&str]| {
        let mut command = palisade();
        let output = command.current_dir(folder.path()).args(["check", "-o", "json"]).args(arguments).output().unwrap();
        let files: Vec<String> =
            json(&output).as_array().unwrap().iter().map(|f| f["file"].as_str().unwrap().to_owned()).collect();
        files
    };
    assert_eq!(files(&[]), ["m/p.yaml", "m/more/deep/q.yaml"]);
    // A file that is named is read whatever the patterns say; one in a folder is not.
    assert_eq!(files(&["-f", "m/x.gen.yaml", "-f", "m/more"]), ["m/x.gen.yaml", "m/more/deep/q.yaml"]);
    let all = palisade().current_dir(folder.path()).args(["check", "-f", "m/old"]).output().unwrap();
    assert_eq!(code(&all), 2);
    assert!(out(&all).contains("left out by `exclude`"), "{}", out(&all));
    // Paths are those of the configuration's folder.
    let moved = folder.path().join("m/ci.toml");
    std::fs::write(&moved, "paths = ['p.yaml']\nbaseline = 'known.json'\n").unwrap();
    let known = palisade().current_dir(folder.path()).args(["check", "-f", "m/p.yaml", "-o", "json"]).output().unwrap();
    std::fs::write(folder.path().join("m/known.json"), known.stdout).unwrap();
    assert_eq!(files(&["--config", "m/ci.toml"]), [""; 0]);
    assert_eq!(files(&["--config", "m/ci.toml", "-f", "m/more/deep"]), ["m/more/deep/q.yaml"; 0]);
    let other = REFUSED.replace("name: web", "name: other");
    std::fs::write(folder.path().join("m/p.yaml"), other).unwrap();
    assert_eq!(files(&["--config", "m/ci.toml"]), ["m/p.yaml"]);
    std::fs::write(&moved, "baseline = 'gone.json'\n").unwrap();
    let gone =
        palisade().current_dir(folder.path()).args(["check", "-f", "m", "--config", "m/ci.toml"]).output().unwrap();
    assert_eq!(code(&gone), 2);
}

/// What examples show on purpose, at level warning.
const MEANT: [(&str, &str, &str); 8] = [
    ("audit", "NP103", "its web server is told by address where the api is"),
    ("default-policies", "NP103", "a default deny for egress takes DNS away, which its text says"),
    ("dns", "NP103", "the first stage is the mistake"),
    ("ip-block", "NP401", "shows that an ipBlock takes pods by address"),
    ("ip-block", "NP403", "shows that 0.0.0.0/0 holds no IPv6 address"),
    ("named-ports", "NP103", "is about the names of ports; its crawler opens one port"),
    ("port-range", "NP103", "is about ranges; its billing knows the carrier by address"),
    ("12-default-deny-egress", "NP103", "a default deny for egress takes DNS away, which its text says"),
];

#[test]
fn examples_are_clean_but_for_what_they_show() {
    for folder in folders(&root().join("examples")) {
        let output = palisade().args(["check", "-o", "json", "-f"]).arg(&folder).output().unwrap();
        assert_eq!(code(&output), 0, "{}: {}", folder.display(), out(&output));
        let name = folder.file_name().unwrap().to_str().unwrap();
        for finding in json(&output).as_array().unwrap().iter().filter(|f| f["severity"] != "note") {
            let code = finding["code"].as_str().unwrap();
            assert!(MEANT.iter().any(|(at, meant, _)| *at == name && *meant == code), "{name}: {finding:#}");
        }
    }
}

/// Cluster-wide policies are checked as NetworkPolicies are, and what their CRD does not look at too.
#[test]
fn cluster_wide_policies_are_checked() {
    let policy = |operator: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: strict}}\n\
             spec:\n  tier: Admin\n  priority: 1\n  subject:\n    namespaces:\n      matchExpressions:\n      \
             - {{key: team, operator: {operator}, values: [a]}}\n  \
             egress:\n  - {{action: Deny, to: [{{networks: [10.0.0.0/8]}}]}}\n"
        )
    };
    let output = check(&[("c.yaml", &policy("In"))], &["-f", "c.yaml"]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    let output = check(&[("c.yaml", &policy("Is"))], &["-f", "c.yaml"]);
    assert_eq!(code(&output), 1, "{}", out(&output));
    assert!(out(&output).contains("CNP-SELECTOR") && out(&output).contains("c.yaml:10"), "{}", out(&output));
}

/// A policy that is not read must not look like one in which nothing was found.
#[test]
fn a_policy_of_a_kind_that_is_not_read_is_no_clean_answer() {
    let newer = "\
apiVersion: policy.networking.k8s.io/v1
kind: EgressQuota
metadata: {name: deny-all}
spec: {}
";
    let output = check(&[("c.yaml", newer)], &["-f", "c.yaml"]);
    assert_eq!(code(&output), 2);
    assert!(out(&output).contains("1 EgressQuota not checked"), "{}", out(&output));
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let output = check(&[("o.yaml", other), P], &["-f", "o.yaml", "-f", "p.yaml"]);
    assert_eq!(code(&output), 0);
    assert!(String::from_utf8_lossy(&output.stderr).contains("passed over 1 ConfigMap"));
}
