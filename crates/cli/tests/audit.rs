//! Audited policies: today's answer, and that of `--with-audited`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use support::{Folder, palisade, said};

const FOLDER: &str = "examples/audit";

/// Asks, and wants this exit code and all these words, wherever lines are broken.
#[track_caller]
fn wants(arguments: &[&str], code: i32, words: &[&str]) {
    support::wants(&palisade().args(arguments).output().unwrap(), code, words);
}

#[test]
fn explain_says_what_audited_policies_would_deny() {
    let nightly = ["explain", "reports/nightly", "shop/db:5432", "-f", FOLDER];
    let would = "audited: default-deny (policies.yaml:2) and db-from-api (policies.yaml:29) would deny it";
    wants(&nightly, 0, &["ALLOWED", would]);
    wants(&[&nightly[..], &["--with-audited"]].concat(), 1, &["DENIED", "isolated by default-deny, db-from-api"]);
    wants(&["explain", "shop/api", "shop/db", "-f", FOLDER], 0, &["would deny all but TCP 5432"]);
    let told = palisade().args(["explain", "shop/web", "shop/api:8080", "-f", FOLDER]).output().unwrap();
    assert!(!said(&told).contains("audited"), "nothing would change: {}", said(&told));
    let denied = palisade().args(["explain", "shop/web", "shop/db:5432", "-f", FOLDER, "-o", "json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&denied.stdout).unwrap();
    let ingress = &json["connections"][0]["halves"][1];
    assert_eq!((&json["verdict"], &ingress["direction"]), (&"DENIED".into(), &"ingress".into()));
    // Each half by itself: this one allows today.
    assert_eq!(ingress["wouldDeny"]["policies"][1]["policy"], "db-from-api");
}

#[test]
fn an_agent_that_audits_all_denies_nothing_and_says_what_would_be() {
    let denied = ["explain", "shop/web", "203.0.113.9:443", "-f", FOLDER];
    wants(&denied, 1, &["DENIED", "isolated by web-egress"]);
    let audits = [&denied[..], &["--mode=audit"]].concat();
    wants(&audits, 0, &["ALLOWED", "audited: web-egress (policies.yaml:47) would deny it"]);
    // What is so where all are enforced is the same, however they came to be audited.
    let nightly = ["explain", "reports/nightly", "shop/db:5432", "-f", FOLDER, "--with-audited"];
    wants(&[&nightly[..], &["--mode=audit"]].concat(), 1, &["DENIED", "isolated by default-deny, db-from-api"]);
}

#[test]
fn tables_count_audited_policies_when_asked_to() {
    let flows = format!("{FOLDER}/flows.tsv");
    wants(&["verdicts", "--flows", &flows, "-f", FOLDER], 0, &[]);
    wants(&["verdicts", "--flows", &flows, "-f", FOLDER, "--with-audited"], 1, &["6 of 11 not as expected"]);
    let to_db = ["connections", "--to", "shop/db", "-f", FOLDER];
    wants(&to_db, 0, &["everyone but shop/web"]);
    wants(&[&to_db[..], &["--with-audited"]].concat(), 0, &["shop/api shop/db TCP 5432"]);
}

#[test]
fn describe_says_that_a_policy_is_audited() {
    wants(&["describe", "shop/db-from-api", "-f", FOLDER], 0, &["Audited: by its namespace: it denies nothing yet"]);
    let enforced = palisade().args(["describe", "shop/web-egress", "-f", FOLDER]).output().unwrap();
    assert!(!said(&enforced).contains("Audited"), "{}", said(&enforced));
    let policy = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a, \
                  annotations: {palisade.dev/mode: audit}}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}}\n";
    let folder = Folder::with(&[("policy.yaml", policy)]);
    wants(&["describe", "-f", folder.path().to_str().unwrap()], 0, &["Audited: it denies nothing yet"]);
}

#[test]
fn a_policy_that_is_enforced_is_no_difference_where_audited_ones_count() {
    let text = |name: &str| std::fs::read_to_string(support::root().join(FOLDER).join(name)).unwrap();
    let cluster = text("cluster.yaml");
    let enforced = cluster.replace("palisade.dev/mode: audit", "palisade.dev/mode: enforce");
    assert_ne!(cluster, enforced);
    let policies = text("policies.yaml");
    let old = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", &policies)]);
    let new = Folder::with(&[("cluster.yaml", &enforced), ("policies.yaml", &policies)]);
    let states = ["diff", old.path().to_str().unwrap(), new.path().to_str().unwrap()];
    wants(&states, 1, &["isolates now", "0 gained, 4 lost"]);
    wants(&[&states[..], &["--with-audited"]].concat(), 0, &["No connection is gained or lost."]);
}

#[test]
fn a_mode_that_is_none_is_an_error_and_enforced() {
    let text = |name: &str| std::fs::read_to_string(support::root().join(FOLDER).join(name)).unwrap();
    let cluster = text("cluster.yaml").replace("palisade.dev/mode: audit", "palisade.dev/mode: audti");
    let folder = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", &text("policies.yaml"))]);
    let folder = folder.path().to_str().unwrap();
    let words = ["error[MODE]", "`audti` is no mode of `palisade.dev/mode`: enforce or audit", "write `audit`"];
    wants(&["check", "-f", folder], 1, &words);
    wants(&["explain", "reports/nightly", "shop/db:5432", "-f", folder], 1, &["DENIED"]);
}

/// A line of the flow log: the nights, with these fields at its end.
fn nightly(rest: &str) -> String {
    format!(
        "{{\"v\":1,\"time\":\"2026-03-01T12:00:00Z\",\"verdict\":\"would-deny\",\"direction\":\"ingress\",\"protocol\":\"TCP\",\
         \"src\":{{\"namespace\":\"reports\",\"pod\":\"nightly\",\"ip\":\"10.244.2.3\",\"port\":40000}},\
         \"dst\":{{\"namespace\":\"shop\",\"pod\":\"db\",\"ip\":\"10.244.1.3\",\"port\":5432}},\"node\":\"node-1\",\
         \"isolatedBy\":[\"shop/db-from-api\"],\"audited\":[\"shop/db-from-api\"],\
         \"nearest\":{{\"policy\":\"shop/db-from-api\",\"rule\":\"ingress[0]\",\"missed\":\"peer\"}},{rest}}}\n"
    )
}

#[test]
fn lines_of_what_would_be_denied() {
    let folder = Folder::with(&[("flows.jsonl", &nightly("\"suppressed\":2"))]);
    let file = folder.path().join("flows.jsonl");
    let file = file.to_str().unwrap();
    let words = [
        "WOULD DENY 12:00:00.000 reports/nightly -> shop/db TCP 5432",
        "ingress of shop/db: audited shop/db-from-api would deny it",
        "nearest: shop/db-from-api ingress[0], which is of another peer",
        "2 more packets were of the same kind, and not logged",
    ];
    wants(&["flows", file, "--would-deny"], 0, &words);
    wants(&["flows", file, "--denied"], 1, &[]);
}

/// A connection that stands counts wherever a new one does, and is told as what it is.
#[test]
fn lines_of_what_stands_and_would_be_denied() {
    let folder = Folder::with(&[("flows.jsonl", &nightly("\"standing\":true,\"suppressed\":2"))]);
    let file = folder.path().join("flows.jsonl");
    let file = file.to_str().unwrap();
    let words = [
        "WOULD DENY 12:00:00.000 reports/nightly -> shop/db TCP 5432",
        "ingress of shop/db: audited shop/db-from-api would deny it",
        "it is no new connection, but one that stands; 2 more stand likewise, and later lines tell",
    ];
    wants(&["flows", file, "--would-deny"], 0, &words);
    wants(&["flows", file, "--fold"], 0, &["WOULD DENY reports/nightly -> shop/db TCP 5432", "would be denied once"]);
    let recorded = palisade().args(["flows", file, "-o", "jsonl"]).output().unwrap();
    assert_eq!(String::from_utf8(recorded.stdout).unwrap(), std::fs::read_to_string(file).unwrap());
    wants(
        &["ready", file, "-f", FOLDER],
        1,
        &["BREAKS reports/nightly -> shop/db TCP 5432", "logged as would-deny once"],
    );
    let cluster = format!("{FOLDER}/cluster.yaml");
    let states = ["diff", "--flows", file, &cluster, FOLDER, "--with-audited"];
    wants(&states, 1, &["reports/nightly -> shop/db TCP 5432"]);
    wants(
        &["suggest", file, "-f", &cluster],
        0,
        &["kind: NetworkPolicy", "# reports/nightly: seen once", "port: postgres"],
    );
}

/// A policy that is drafted for a namespace that is audited is audited there, and says so.
#[test]
fn suggest_says_what_will_be_audited() {
    let text = |name: &str| std::fs::read_to_string(support::root().join(FOLDER).join(name)).unwrap();
    let (cluster, log) = (text("cluster.yaml"), text("flows.jsonl"));
    let suggest = |cluster: &str| {
        let folder = Folder::with(&[("cluster.yaml", cluster), ("flows.jsonl", &log)]);
        let file = |name: &str| folder.path().join(name).display().to_string();
        palisade().args(["suggest", &file("flows.jsonl"), "-f", &file("cluster.yaml")]).output().unwrap()
    };
    let output = suggest(&cluster);
    let note = "note: audited, since their namespace is, so they deny nothing yet: shop/api, shop/db, shop/web";
    support::wants(&output, 0, &[note]);
    let yaml = String::from_utf8(output.stdout).unwrap();
    let above = "# Audited, it denies nothing yet: the namespace shop says `palisade.dev/mode: audit`.\n\
                 apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: ";
    for (name, is_said) in [("api", true), ("db", true), ("web", true), ("nightly", false)] {
        assert!(yaml.contains(&format!("  name: {name}\n")), "{yaml}");
        assert_eq!(yaml.contains(&format!("{above}{name}\n")), is_said, "{name}: {yaml}");
    }
    // Where nothing is audited nothing is said of it.
    let enforced = suggest(&cluster.replace("palisade.dev/mode: audit", "palisade.dev/mode: enforce"));
    assert!(!said(&enforced).to_lowercase().contains("audited"), "{}", said(&enforced));
}
