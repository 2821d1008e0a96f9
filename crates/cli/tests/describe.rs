//! `palisade describe`: in words, and as objects that mean the same.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{net::IpAddr, path::Path};

use serde_json::{Value, json};
use support::{Folder, folders, palisade, resolve, root, said};

const FORMS: &str = "crates/cli/tests/describe";

fn describe(arguments: &[&str]) -> String {
    let said = said(&palisade().arg("describe").args(arguments).output().unwrap());
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "wider than the terminal: {line}");
    }
    said
}

/// Standard output alone, of a run that must succeed.
fn answer(arguments: &[&str], path: &Path) -> String {
    let output = palisade().arg("describe").args(arguments).arg("-f").arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_form_in_words() {
    insta::assert_snapshot!(describe(&["-f", FORMS]));
}

#[test]
fn without_pods_nothing_is_said_of_them() {
    let said = describe(&["prod/every-peer", "-f", &format!("{FORMS}/policies.yaml")]);
    assert!(!said.contains("today") && !said.contains("here"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn every_form_as_yaml() {
    insta::assert_snapshot!(answer(&["-o", "yaml"], Path::new(FORMS)));
}

#[test]
fn one_as_json() {
    insta::assert_snapshot!(answer(&["default-deny", "-n", "prod", "-o", "json"], Path::new(FORMS)));
}

#[test]
fn several_as_json_are_a_list() {
    let list: Value = serde_json::from_str(&answer(&["-o", "json"], Path::new(FORMS))).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 4));
}

#[test]
fn a_policy_that_is_not_there() {
    insta::assert_snapshot!(describe(&["prod/defaultdeny", "-f", FORMS]));
    let said = describe(&["default-deny", "-f", FORMS]);
    assert!(said.starts_with("exit code Some(2)") && said.contains("prod/default-deny"), "{said}");
}

#[test]
fn those_asked_for_in_the_order_asked() {
    let said = answer(&["prod/out-only", "prod/default-deny", "prod/out-only"], Path::new(FORMS));
    let names: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("Name:")).map(str::trim).collect();
    assert_eq!(names, ["out-only", "default-deny"]);
}

#[test]
fn narrow_and_still_within_the_terminal() {
    let output = palisade().env("COLUMNS", "44").args(["describe", "-f", FORMS]).output().unwrap();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        assert!(line.chars().count() <= 44, "wider than the terminal: {line}");
    }
}

/// Read back, the YAML and the JSON decide every flow of the examples as the files do.
#[test]
fn what_is_printed_means_the_same() {
    let examples = folders(&root().join("examples"));
    assert!(examples.len() > 20, "the examples are gone");
    for folder in examples {
        for form in ["yaml", "json"] {
            let printed = answer(&["-R", "-o", form], &folder);
            let mut files: Vec<(String, String)> = Vec::new();
            for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let text = std::fs::read_to_string(&entry).unwrap_or_default();
                let name = entry.file_name().unwrap().to_string_lossy().into_owned();
                if entry.extension().is_some_and(|ending| ending == "yaml") && name != "policies.yaml" {
                    assert!(!text.contains("kind: NetworkPolicy"), "{} has policies", entry.display());
                    files.push((name, text));
                }
            }
            files.push((format!("printed.{form}"), printed.clone()));
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
            let again = Folder::with(&files);
            assert_eq!(answer(&["-o", form], again.path()), printed, "{}", folder.display());

            let verdicts = |path: &Path| {
                let flows = folder.join("flows.tsv");
                let mut command = palisade();
                command.args(["verdicts", "--flows"]).arg(flows).arg("-f").arg(path).args(resolve(&folder));
                let output = command.output().unwrap();
                (output.status.code(), String::from_utf8(output.stdout).unwrap())
            };
            let (code, expected) = verdicts(&folder);
            assert_ne!(code, Some(2), "{}", folder.display());
            assert_eq!(verdicts(again.path()), (code, expected), "{}", folder.display());
        }
    }
}

/// Texts that YAML could take for something else come back as they went.
#[test]
fn texts_survive() {
    let texts = [
        "",
        "no",
        "Y",
        "~",
        "null",
        "010",
        "0x1F",
        "1e3",
        "12:30:45",
        "2024-01-02",
        ".inf",
        "=",
        "<<",
        "- a",
        "a: b",
        "a:",
        "a #b",
        " a ",
        "*a",
        "&a",
        "!a",
        "{\"a\": [1]}",
        "'a'",
        "\"a\" 'b' \\n",
        "a\tb",
        "a\r\nb",
        "\u{7}\u{85}\u{2028}",
        "\u{feff}",
        "é ✓ 😀",
        "one\ntwo",
        "one\n\n  two\n",
        "one\ntwo\n\n",
        "\n",
        "\none",
        " one\ntwo",
        "one \ntwo",
        "# one\n--- \n...",
        "--- one\n---\ntwo\n",
        "one:\n- two\n",
        "::/0",
        "2001:db8::/32",
        "10.0.0.0/8",
        "1/2: 3",
    ];
    let annotations: serde_json::Map<String, Value> =
        texts.iter().enumerate().map(|(index, text)| (format!("key-{index}"), json!(text))).collect();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}},
        "metadata": {"name": "texts", "namespace": "prod", "annotations": annotations},
    });
    let given = Folder::with(&[("policy.json", &policy.to_string())]);
    let yaml = answer(&["-o", "yaml"], given.path());
    let again = Folder::with(&[("policy.yaml", &yaml)]);
    let json: Value = serde_json::from_str(&answer(&["-o", "json"], again.path())).unwrap();
    assert_eq!(json["metadata"]["annotations"], policy["metadata"]["annotations"], "{yaml}");
}

/// The defaulted object is the one that a real API server stored for the same file.
#[test]
fn defaults_are_those_of_the_server() {
    let folder = root().join("../shared/validation/networkpolicy");
    let Ok(answers) = std::fs::read_to_string(folder.join("answers.json")) else {
        eprintln!("skipped: no recorded answers at {}", folder.display());
        return;
    };
    let answers: Vec<Value> = serde_json::from_str(&answers).unwrap();
    let mut compared = 0;
    for case in answers.iter().filter(|case| case["as_file"] == "accept" && !case["defaulted_spec"].is_null()) {
        let name = case["case"].as_str().unwrap();
        let ours = answer(&["-o", "json"], &folder.join("cases").join(format!("{name}.yaml")));
        let ours: Value = serde_json::from_str(&ours).unwrap();
        assert_eq!(normal_spec(&ours["spec"]), normal_spec(&case["defaulted_spec"]), "{name}");
        compared += 1;
    }
    assert!(compared >= 80, "only {compared} recorded answers were compared");
}

/// What may be written in more than one way, in one: `In` of one value for `matchLabels`, addresses
/// in their shortest form, an `endPort` that says something, types in their order.
fn normal_spec(spec: &Value) -> Value {
    let mut spec = spec.clone();
    normalise(&mut spec);
    if let Some(types) = spec["policyTypes"].as_array_mut() {
        types.sort_by_key(|kind| kind != "Ingress");
        types.dedup();
    }
    spec
}

fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(map) => {
            if let Some(labels) = map.remove("matchLabels") {
                let mut all: Vec<Value> = labels
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
                    .collect();
                all.extend(
                    map.remove("matchExpressions").and_then(|list| list.as_array().cloned()).unwrap_or_default(),
                );
                map.insert("matchExpressions".to_owned(), Value::Array(all));
            }
            if let Some(list) = map.get_mut("matchExpressions").and_then(Value::as_array_mut) {
                list.sort_by_key(Value::to_string);
            }
            if map.contains_key("endPort") && map.get("endPort") == map.get("port") {
                map.remove("endPort");
            }
            for (key, value) in map.iter_mut() {
                match (key.as_str(), value) {
                    ("cidr", value) => *value = normal_cidr(value),
                    ("except", Value::Array(items)) => items.iter_mut().for_each(|item| *item = normal_cidr(item)),
                    (_, value) => normalise(value),
                }
            }
        }
        _ => {}
    }
}

fn normal_cidr(value: &Value) -> Value {
    let (address, length) = value.as_str().unwrap().split_once('/').unwrap();
    json!(format!("{}/{length}", address.parse::<IpAddr>().unwrap()))
}
