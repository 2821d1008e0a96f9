//! `palisade ready` where policies are audited: which are asked about, and known answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail as tests do")]

mod support;

use serde_json::Value;
use support::{Folder, palisade, root, said};

const AUDIT: &str = "examples/audit";
const LOG: &str = "examples/audit/flows.jsonl";
const NIGHTLY: &str = "reports/nightly shop/db [\"TCP 5432\"]";
const CUSTOMER: &str = "203.0.113.9 shop/web [\"TCP 8080\"]";
/// Seen before the policy that denies it was made.
const OLD: &str = r#"{"v":1,"time":"2026-03-01T12:00:00Z","verdict":"accepted","direction":"egress","protocol":"TCP","src":{"namespace":"shop","pod":"web","node":"node-1","ip":"10.244.1.2","port":40000},"dst":{"ip":"203.0.113.9","port":443},"node":"node-1","isolatedBy":[],"nearest":null,"suppressed":0}"#;

struct Said {
    code: Option<i32>,
    json: Value,
    breaks: Vec<String>,
}

impl Said {
    fn policies(&self) -> Vec<&str> {
        self.json["policies"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }
}

#[track_caller]
fn ready(arguments: &[&str]) -> Said {
    let output = palisade().arg("ready").args(arguments).args(["-o", "json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(said(&output)));
    let text = |one: &Value, key: &str| one[key].as_str().map(str::to_owned).unwrap_or_default();
    let breaks = json["breaks"].as_array().into_iter().flatten();
    let breaks =
        breaks.map(|one| format!("{} {} {}", text(one, "from"), text(one, "to"), one["traffic"])).collect::<Vec<_>>();
    Said { code: output.status.code(), breaks, json }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join(AUDIT).join(name)).unwrap()
}

/// The example with another cluster.yaml, more policies and a line more in the log.
fn changed(cluster: &str, policies: &str, line: &str) -> (Folder, String, String) {
    let policies = format!("{}\n---\n{policies}", example("policies.yaml"));
    let log = format!("{}{line}\n", example("flows.jsonl"));
    let folder =
        Folder::with(&[("cluster.yaml", cluster), ("policies.yaml", &policies), ("flows.jsonl", log.trim_start())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (files, log) = (folder.path().display().to_string(), path("flows.jsonl"));
    (folder, files, log)
}

#[test]
fn audited_policies_are_those_that_are_meant() {
    let said = ready(&[LOG, "-f", AUDIT]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &[NIGHTLY.to_owned(), CUSTOMER.to_owned()][..]));
    assert_eq!(said.policies(), ["shop/default-deny", "shop/api-from-web", "shop/db-from-api"]);
    let count = |key: &str| said.json[key].as_u64();
    assert_eq!((count("connections"), count("deniedAlready"), count("mended")), (Some(4), Some(0), Some(0)));
    assert_eq!(said.json["audited"], true);
    assert_eq!(said.json["breaks"][0]["wouldDeny"], 2, "two nights");
    assert_eq!(said.json["breaks"][0]["denied"][0]["rules"][0]["policy"], "db-from-api");
}

#[test]
fn what_enforced_policies_deny_is_not_of_the_audited_ones() {
    let (_folder, files, log) = changed(&example("cluster.yaml"), "", OLD);
    let said = ready(&[&log, "-f", &files]);
    assert_eq!((said.breaks.len(), &said.json["deniedAlready"]), (2, &1.into()), "{}", said.json);
    // By name an enforced one is asked about as well, and the audited ones go on being so.
    let said = ready(&[&log, "-f", &files, "--policy", "shop/web-egress"]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &["shop/web 203.0.113.9 [\"TCP 443\"]".to_owned()][..]));
    assert_eq!((said.policies(), &said.json["audited"]), (vec!["shop/web-egress"], &false.into()));
}

#[test]
fn one_of_the_audited_policies_by_name() {
    let said = ready(&[LOG, "-f", AUDIT, "--policy", "shop/db-from-api"]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &[NIGHTLY.to_owned()][..]));
    let isolating = said.json["breaks"][0]["denied"][0]["isolatedBy"].as_array().unwrap();
    assert_eq!((isolating.len(), &isolating[0]["policy"]), (1, &"db-from-api".into()), "the others are only audited");
    assert_eq!(said.json["mended"], 0, "default-deny would still deny the customer");
}

/// An audited policy is judged as one that is named and enforced nowhere yet.
#[test]
fn audited_or_named_is_the_same() {
    let enforced = example("cluster.yaml").replace("palisade.dev/mode: audit", "palisade.dev/mode: enforce");
    let (_folder, files, _) = changed(&enforced, "", "");
    let three = ["shop/default-deny", "shop/api-from-web", "shop/db-from-api"];
    let named: Vec<&str> = three.iter().flat_map(|name| ["--policy", *name]).collect();
    let (audited, named) = (ready(&[LOG, "-f", AUDIT]), ready(&[&[LOG, "-f", &files], &named[..]].concat()));
    for key in ["connections", "breaking", "deniedAlready", "neverSeen", "undetermined", "policies"] {
        assert_eq!(audited.json[key], named.json[key], "{key}");
    }
    assert_eq!(audited.breaks, named.breaks);
    // Where none is audited and none named, it is all of them.
    let all = ready(&[LOG, "-f", &files]);
    assert_eq!((all.policies().len(), &all.json["audited"]), (4, &false.into()));
}

#[test]
fn cluster_wide_policies_too() {
    let wide = |annotations: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: no-reports, \
             annotations: {{{annotations}}}}}\nspec:\n  tier: Admin\n  priority: 1\n  subject: {{namespaces: \
             {{matchLabels: {{kubernetes.io/metadata.name: shop}}}}}}\n  ingress:\n  - action: Deny\n    from: \
             [{{namespaces: {{matchLabels: {{kubernetes.io/metadata.name: reports}}}}}}]\n"
        )
    };
    let open = example("cluster.yaml").replace("palisade.dev/mode: audit", "a: b");
    // The enforced NetworkPolicies deny the nights already.
    let (_folder, files, log) = changed(&open, &wide("palisade.dev/mode: audit"), "");
    let said = ready(&[&log, "-f", &files]);
    assert_eq!((said.code, said.policies(), &said.json["deniedAlready"]), (Some(0), vec!["no-reports"], &2.into()));
    // By itself it denies them, and is named.
    let policies = Folder::with(&[("cluster.yaml", &open), ("wide.yaml", &wide("palisade.dev/mode: audit"))]);
    let said = ready(&[LOG, "-f", policies.path().to_str().unwrap()]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &[NIGHTLY.to_owned()][..]));
    assert_eq!(said.json["breaks"][0]["denied"][0]["rules"][0]["policy"], "no-reports");
    let enforced = Folder::with(&[("cluster.yaml", &open), ("wide.yaml", &wide(""))]);
    let enforced = enforced.path().to_str().unwrap();
    let said = ready(&[LOG, "-f", enforced, "--policy", "cnp/no-reports"]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &[NIGHTLY.to_owned()][..]));
    // Without being asked about it is no policy to be ready for.
    let said = ready(&[LOG, "-f", enforced]);
    assert!(said.code == Some(2) && said.json.to_string().contains("nothing that is audited"), "{}", said.json);
}

#[test]
fn what_was_logged_as_would_deny_and_is_allowed_is_mended() {
    let mended = example("policies.yaml").replace(
        "          app: api\n    ports:\n    - port: 5432",
        "          app: api\n    - namespaceSelector: {}\n      podSelector:\n        matchLabels:\n          app: \
         nightly\n    ports:\n    - port: 5432",
    );
    assert_ne!(mended, example("policies.yaml"));
    let folder = Folder::with(&[("cluster.yaml", &example("cluster.yaml")), ("policies.yaml", &mended)]);
    let output = palisade().args(["ready", LOG, "-f", folder.path().to_str().unwrap()]).output().unwrap();
    let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(1), "{text}");
    for wanted in [
        "BREAKS 203.0.113.9 -> shop/web TCP 8080 made 2 times, logged as would-deny once;",
        "1 of the 4 connections seen in 42 hours would break.",
        "The audited policies: shop/default-deny, shop/api-from-web, shop/db-from-api.",
        "Mended: 1 connection that was logged as would-deny, and that no policy denies by now.",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

/// Where agents audit all, every policy is asked about, whatever it or its namespace says: nothing is enforced yet.
#[test]
fn of_agents_that_audit_all_every_policy_is_meant() {
    const WEB: &str = "shop/web 203.0.113.9 [\"TCP 443\"]";
    let (_folder, files, log) = changed(&example("cluster.yaml"), "", OLD);
    let said = ready(&[&log, "-f", &files, "--mode=audit"]);
    assert_eq!((said.code, &said.breaks[..]), (Some(1), &[NIGHTLY, WEB, CUSTOMER].map(str::to_owned)[..]));
    assert_eq!(said.policies(), ["shop/default-deny", "shop/api-from-web", "shop/db-from-api", "shop/web-egress"]);
    assert_eq!((&said.json["audited"], &said.json["deniedAlready"]), (&true.into(), &0.into()));
    // By name one of them alone: none of the others is enforced.
    let said = ready(&[&log, "-f", &files, "--mode=audit", "--policy", "shop/web-egress"]);
    assert_eq!((said.policies(), &said.breaks[..]), (vec!["shop/web-egress"], &[WEB.to_owned()][..]));
    // Cluster-wide ones too, which nobody asks about otherwise.
    let wide = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: no-reports}\n\
                spec:\n  tier: Admin\n  priority: 1\n  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: \
                shop}}}\n  ingress:\n  - action: Deny\n    from: [{namespaces: {matchLabels: \
                {kubernetes.io/metadata.name: reports}}}]\n";
    let open = Folder::with(&[("cluster.yaml", &example("cluster.yaml")), ("wide.yaml", wide)]);
    let said = ready(&[LOG, "-f", open.path().to_str().unwrap(), "--mode=audit"]);
    assert_eq!((said.policies(), &said.breaks[..]), (vec!["no-reports"], &[NIGHTLY.to_owned()][..]));
    // The agents' own default is the default here.
    let (as_said, alone) = (ready(&[LOG, "-f", AUDIT, "--mode=enforce"]), ready(&[LOG, "-f", AUDIT]));
    assert_eq!(as_said.json, alone.json);
}
