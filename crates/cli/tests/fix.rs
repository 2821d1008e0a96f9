//! `palisade check --fix` and `--diff`, as they are run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
};

use serde_json::Value;
use support::{Folder, palisade, said};

/// Three mistakes of which one has no fix: the operator that nobody knows.
const MISTAKES: &str = "\
# For the auditors: do not reformat.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web,   namespace: prod}
spec:
  podSelector:
    matchExpressions:
    - {key: app, operator: Sometimes}
  ingress:   # from the proxy
  - ports:
    - protocol: tcp   # as in RFC 793
      port: \"80\"
";

/// A pod that cannot resolve names.
const NO_DNS: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: prod}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - podSelector: {}
    ports:
    - port: 5432
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: prod}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 5432}]}]}
";

fn check(folder: &Folder, arguments: &[&str]) -> Output {
    palisade().current_dir(folder.path()).arg("check").args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

#[test]
fn fixes_are_made_in_place_and_nothing_else() {
    let folder = Folder::with(&[("p.yaml", MISTAKES), ("other.yaml", NO_DNS)]);
    let output = check(&folder, &["-f", "p.yaml", "-f", "other.yaml", "--fix"]);
    let expected = MISTAKES.replace("tcp ", "TCP ").replace("\"80\"", "80");
    assert_eq!(read(&folder, "p.yaml"), expected);
    assert_eq!(read(&folder, "other.yaml"), NO_DNS);
    assert!(out(&output).ends_with("fixed 2 problems in 1 file, 2 remain\n"), "{}", said(&output));
    assert!(out(&output).contains("operator `Sometimes`") && !out(&output).contains("`tcp`"), "{}", said(&output));
    assert_eq!(code(&output), 1, "an error remains, and DNS that is missing");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside the files");
    let again = check(&folder, &["-f", "p.yaml", "--fix"]);
    assert!(out(&again).ends_with("fixed nothing, 1 remains\n"), "{}", said(&again));
    assert_eq!(read(&folder, "p.yaml"), expected);
}

#[test]
fn the_diff_is_shown_and_nothing_is_written() {
    let folder = Folder::with(&[("p.yaml", MISTAKES)]);
    let output = check(&folder, &["-f", "p.yaml", "--diff"]);
    insta::assert_snapshot!(said(&output));
    assert_eq!(read(&folder, "p.yaml"), MISTAKES);
    let coloured = palisade()
        .current_dir(folder.path())
        .env_remove("NO_COLOR")
        .env("CLICOLOR_FORCE", "1")
        .args(["check", "-f", "p.yaml", "--diff"])
        .output()
        .unwrap();
    assert!(
        out(&coloured).contains("\u{1b}[32m+    - protocol: TCP   # as in RFC 793\u{1b}[0m\n"),
        "{}",
        out(&coloured)
    );
    check(&folder, &["-f", "p.yaml", "--fix"]);
    let none = check(&folder, &["-f", "p.yaml", "--diff"]);
    assert_eq!((code(&none), out(&none)), (0, String::new()), "what remains has no fix");
}

#[test]
fn a_diff_can_be_applied() {
    let folder = Folder::with(&[("p.yaml", MISTAKES)]);
    let diff = check(&folder, &["-f", "p.yaml", "--diff"]).stdout;
    fs::write(folder.path().join("fix.diff"), diff).unwrap();
    let Ok(applied) =
        std::process::Command::new("git").current_dir(folder.path()).args(["apply", "-p0", "fix.diff"]).output()
    else {
        println!("skipped: no git here");
        return;
    };
    assert!(applied.status.success(), "{}", said(&applied));
    assert!(read(&folder, "p.yaml").contains("protocol: TCP"));
}

#[test]
fn standard_input_comes_out_fixed() {
    let run = |arguments: &[&str], text: &str| {
        let mut command = palisade();
        command.args(["check", "-f", "-"]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&["--fix"], MISTAKES);
    assert_eq!(out(&output), MISTAKES.replace("tcp ", "TCP ").replace("\"80\"", "80"));
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.contains("operator `Sometimes`") && told.ends_with("1 file, 1 remains\n"), "{told}");
    assert_eq!(code(&output), 1);
    // What needs no fix comes out as it went in.
    assert_eq!(out(&run(&["--fix"], NO_DNS)), NO_DNS);
    assert!(out(&run(&["--diff"], MISTAKES)).starts_with("--- <stdin>\n"));
    assert_eq!(code(&run(&["--fix", "-o", "json"], MISTAKES)), 2);
}

#[test]
fn what_changes_what_is_allowed_is_made_only_when_asked_for() {
    let folder = Folder::with(&[("p.yaml", NO_DNS)]);
    let plain = check(&folder, &["-f", "p.yaml"]);
    assert!(out(&plain).ends_with("--fix --unsafe-fixes mends 1 of these\n"), "{}", out(&plain));
    check(&folder, &["-f", "p.yaml", "--fix"]);
    assert_eq!(read(&folder, "p.yaml"), NO_DNS);
    let output = check(&folder, &["-f", "p.yaml", "--fix", "--unsafe-fixes", "--fail-on", "note"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let dns = "    - port: 5432
  - to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
    ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
";
    assert_eq!(read(&folder, "p.yaml"), NO_DNS.replace("    - port: 5432\n", dns));
    assert_eq!(code(&check(&folder, &["-f", "p.yaml", "--unsafe-fixes"])), 2, "of nothing");
}

#[test]
fn fixes_that_meet_are_made_one_after_the_other() {
    let four = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 80}, {port: 80}, {port: 80}]}]
";
    let folder = Folder::with(&[("p.yaml", four)]);
    let output = check(&folder, &["-f", "p.yaml", "--fix"]);
    assert_eq!(read(&folder, "p.yaml"), four.replace(", {port: 80}", ""), "{}", said(&output));
    assert!(out(&output).contains("fixed 3 problems in 1 file"), "{}", said(&output));
}

#[test]
fn json_stays_json_and_a_dump_stays_a_dump() {
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"},
    "spec": {
      "podSelector": {},
      "egress": [{"ports": [{"port": "53", "protocol": "udp"}, {"port": 53, "protocol": "UDP"}]}]
    }
  }
]}
"#;
    let folder = Folder::with(&[("p.json", json)]);
    let output = check(&folder, &["-f", "p.json", "--fix", "--unsafe-fixes"]);
    let after = read(&folder, "p.json");
    let value: Value = serde_json::from_str(&after).unwrap_or_else(|error| panic!("{error}: {after}"));
    let spec = &value["items"][0]["spec"];
    assert_eq!(spec["policyTypes"], serde_json::json!(["Ingress", "Egress"]), "{}", said(&output));
    assert_eq!(
        spec["egress"],
        serde_json::json!([{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}])
    );
    assert!(
        after.contains("      \"podSelector\": {},\n      \"policyTypes\": [\"Ingress\", \"Egress\"],\n"),
        "{after}"
    );
}

#[test]
fn what_cannot_be_fixed_says_why() {
    let shared = MISTAKES.replace("protocol: tcp", "protocol: &p tcp");
    let folder = Folder::with(&[("p.yaml", &shared)]);
    let output = check(&folder, &["-f", "p.yaml", "--fix"]);
    assert_eq!(read(&folder, "p.yaml"), shared);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.contains("p.yaml:11:20: API cannot be fixed by a program: its document has anchors"), "{told}");
    let json: Value = serde_json::from_slice(&check(&folder, &["-f", "p.yaml", "-o", "json"]).stdout).unwrap();
    assert!(json.as_array().unwrap().iter().all(|finding| finding["fix"].is_null()), "{json:#}");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::with(&[("real.yaml", MISTAKES)]);
    let (real, link) = (folder.path().join("real.yaml"), folder.path().join("link.yaml"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.yaml", &link).unwrap();
    check(&folder, &["-f", "link.yaml", "--fix"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(read(&folder, "real.yaml").contains("protocol: TCP"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);

    fs::write(&real, MISTAKES).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o440)).unwrap();
    let output = check(&folder, &["-f", "real.yaml", "--fix"]);
    assert_eq!(code(&output), 2, "{}", said(&output));
    assert!(said(&output).contains("real.yaml cannot be written: it is read-only"), "{}", said(&output));
    assert_eq!(read(&folder, "real.yaml"), MISTAKES);
}

#[test]
fn a_byte_order_mark_and_line_ends_are_kept() {
    let marked = format!("\u{feff}{}", NO_DNS.replace("[Egress]", "[egress]").replace('\n', "\r\n"));
    let folder = Folder::with(&[("p.yaml", &marked)]);
    check(&folder, &["-f", "p.yaml", "--fix", "--unsafe-fixes"]);
    let after = read(&folder, "p.yaml");
    assert!(after.starts_with('\u{feff}') && after.contains("[Egress]\r\n") && after.contains("kube-system\r\n"));
    assert!(!after.replace("\r\n", "").contains('\n'), "{after:?}");
}

#[test]
fn programs_get_the_edits() {
    let folder = Folder::with(&[("p.yaml", MISTAKES)]);
    let found: Value = serde_json::from_slice(&check(&folder, &["-f", "p.yaml", "-o", "json"]).stdout).unwrap();
    let found = found.as_array().unwrap();
    let protocol = found.iter().find(|f| f["field"] == "spec.ingress[0].ports[0].protocol").unwrap();
    let edit = serde_json::json!({
        "file": "p.yaml", "line": 11, "column": 17, "endLine": 11, "endColumn": 20, "text": "TCP",
    });
    assert_eq!(protocol["fix"], serde_json::json!({"description": "write `TCP`", "safety": "safe", "edits": [edit]}));
    let operator = found.iter().find(|f| f["message"].as_str().unwrap().contains("Sometimes")).unwrap();
    assert!(operator.as_object().unwrap().contains_key("fix") && operator["fix"].is_null());

    let log: Value = serde_json::from_slice(&check(&folder, &["-f", "p.yaml", "-o", "sarif"]).stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let fixes: Vec<&Value> = results.iter().filter_map(|result| result.get("fixes")).collect();
    let change =
        &fixes.iter().find(|fix| fix[0]["description"]["text"] == "write `TCP`").unwrap()[0]["artifactChanges"][0];
    assert_eq!(change["artifactLocation"]["uri"], "p.yaml");
    assert_eq!(change["replacements"][0]["insertedContent"]["text"], "TCP");
    assert_eq!(change["replacements"][0]["deletedRegion"]["startColumn"], 17);
}

#[test]
fn what_the_baseline_has_is_not_fixed() {
    let folder = Folder::with(&[("p.yaml", MISTAKES)]);
    let known = check(&folder, &["-f", "p.yaml", "-o", "json"]).stdout;
    fs::write(folder.path().join("known.json"), known).unwrap();
    let output = check(&folder, &["-f", "p.yaml", "--baseline", "known.json", "--fix"]);
    assert_eq!((code(&output), read(&folder, "p.yaml").as_str()), (0, MISTAKES), "{}", said(&output));
}
