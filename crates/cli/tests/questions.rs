//! Every kind of end, answer and mistake, and the exit code of each. The cluster is in `questions/`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    process::{Output, Stdio},
};

use support::{Folder, palisade, said};

const FOLDER: &str = "crates/cli/tests/questions";

fn ask(arguments: &[&str]) -> Output {
    palisade().arg("explain").args(arguments).args(["-f", FOLDER]).output().unwrap()
}

/// Asks, and wants this exit code and all these words.
#[track_caller]
fn wants(arguments: &[&str], code: i32, words: &[&str]) {
    support::wants(&ask(arguments), code, words);
}

#[test]
fn pods() {
    wants(&["prod/web-1", "prod/db:5432"], 0, &["ALLOWED prod/web-1 -> prod/db TCP 5432", "policies.yaml:8"]);
    wants(
        &["prod/web-2", "prod/db:5432"],
        1,
        &["DENIED", "peer tier=b is not tier=a", "to allow it: ingress TCP 5432"],
    );
    wants(&["web-1", "db:pg", "-n", "prod"], 0, &["ALLOWED prod/web-1 -> prod/db TCP 5432"]);
    wants(&["prod/web-1", "prod/db:53/udp"], 0, &["UDP 53"]);
    wants(&["prod/web-1", "prod/db:icmp"], 1, &["ICMP has no port, and the rule asks for one"]);
    wants(&["prod/web-1", "prod/web-1:80"], 0, &["a pod always reaches itself"]);
}

#[test]
fn workloads_agree_or_are_mixed() {
    wants(&["prod/rs/web-5d", "prod/db:dns"], 0, &["ALLOWED prod/rs/web-5d -> prod/db:dns", "ALLOWED prod/web-2"]);
    wants(&["prod/rs/web-5d", "prod/db:5432"], 1, &["MIXED", "DENIED prod/web-2", "The first that is not allowed:"]);
    // The same name is another number on each pod, and the answer the same.
    wants(&["prod/db", "prod/rs/web-5d:http"], 1, &["DENIED prod/db -> prod/rs/web-5d:http", "8080", "8081"]);
    wants(&["prod/deploy/ghost", "prod/db:1"], 2, &["prod/ghost (deploy) has no live pods: it has 0 replicas"]);
}

#[test]
fn services() {
    wants(&["prod/web-1", "prod/svc/db:pg"], 0, &["prod/svc/db TCP 5432 (the pod prod/db, TCP 5432)"]);
    wants(&["prod/db", "prod/svc/web"], 1, &["DENIED", "(the pod prod/web-2, TCP 8081)"]);
    wants(&["prod/db", "10.96.0.10:80"], 1, &["prod/svc/web TCP 80"]);
    wants(&["prod/web-1", "prod/svc/nosel:443"], 1, &["(203.0.113.77, TCP 8443)"]);
    wants(&["prod/svc/web", "prod/db:5432"], 1, &["MIXED"]);
    wants(&["prod/web-1", "prod/svc/db"], 2, &["which port of prod/svc/db? It has TCP 5432 (pg), UDP 53 (dns)"]);
    wants(&["prod/web-1", "prod/svc/db:99"], 2, &["has no port TCP 99; it has TCP 5432 (pg)"]);
    wants(&["prod/web-1", "prod/svc/db:icmp"], 2, &["a Service answers no ICMP"]);
    wants(&["prod/db", "prod/svc/empty:80"], 2, &["has nobody behind it"]);
    wants(&["prod/db", "prod/svc/ext:80"], 2, &["only another name for example.com"]);
}

#[test]
fn nodes_and_host_network() {
    wants(&["node/node-1", "prod/web-1:8080"], 0, &["a pod and the node it runs on always reach each other"]);
    wants(&["prod/web-1", "prod/hostnet:metrics"], 0, &["TCP 9100"]);
    wants(&["prod/web-1", "node/node-1:http"], 2, &["only pods name their ports: give `http` as a number"]);
}

#[test]
fn addresses() {
    wants(&["prod/web-1", "10.0.0.3:5432"], 0, &["ALLOWED prod/web-1 -> prod/db (10.0.0.3) TCP 5432"]);
    wants(&["prod/web-1", "10.0.0.3:pg"], 0, &["TCP 5432"]);
    wants(&["prod/web-1", "[fd00::3]:5432"], 0, &["prod/db (fd00::3)"]);
    wants(&["192.168.0.1", "prod/db:5432"], 0, &["node/node-1 (192.168.0.1)"]);
    wants(&["prod/web-1", "203.0.113.9:443"], 1, &["203.0.113.9 is in the except 203.0.113.0/24"]);
    wants(&["1.1.1.1", "2.2.2.2:80"], 0, &["neither end is a pod"]);
    wants(&["1.1.1.1", "::1"], 2, &["no IP family in common"]);
    wants(&["10.0.0.0/8", "prod/db:80"], 2, &["is a network, and an end is one address"]);
}

#[test]
fn families() {
    wants(&["prod/web-1", "prod/db:5432", "--family", "6"], 0, &["over IPv6"]);
    wants(&["prod/web-1", "prod/web-2:http"], 1, &["MIXED", "TCP 8081 over IPv4", "DENIED prod/web-1", "over IPv6"]);
    wants(&["prod/web-1", "svc/pod/x:80", "--family", "6"], 2, &["do not both have an IPv6 address"]);
}

#[test]
fn without_a_port() {
    wants(&["prod/web-1", "prod/db"], 1, &["MIXED prod/web-1 -> prod/db only TCP 5432, UDP 53", "allows UDP 53"]);
    wants(&["prod/web-1", "svc/pod/x"], 1, &["DENIED", "peer is not in the policy's own namespace"]);
    wants(&["prod/db", "prod/pending"], 0, &["ALLOWED prod/db -> prod/pending everything"]);
}

#[test]
fn what_only_an_address_decides_is_not_guessed() {
    wants(&["prod/pending", "prod/web-1:8080"], 2, &["UNKNOWN", "an address that is not known would decide"]);
    wants(&["prod/web-1", "prod/pending:80"], 2, &["UNKNOWN"]);
    wants(&["prod/pending", "prod/web-1"], 2, &["UNKNOWN", "at most TCP 8080", "it cannot be told whether a rule"]);
    wants(&["prod/pending", "prod/db:5432"], 1, &["DENIED"]);
    wants(&["prod/done", "prod/db:80"], 2, &["has ended (Succeeded)"]);
}

#[test]
fn names_that_are_not_there() {
    wants(&["prod/wbe-1", "prod/db:1"], 2, &["there is no pod `wbe-1` in namespace prod; did you mean prod/web-1"]);
    wants(&["prod/deploy/web", "prod/db:1"], 2, &["no deploy `web` in namespace prod", "prod/svc/web"]);
    wants(&["web-1", "prod/db:1"], 2, &["did you mean prod/web-1"]);
    wants(&["nowhere/zzz", "prod/db:1"], 2, &["pods are in default, prod, svc"]);
    wants(&["prod/web-1", "svc/x:80"], 2, &["write all three parts, NAMESPACE/KIND/NAME"]);
    wants(&["prod/web-1", "svc/pod/x:80"], 1, &["DENIED"]);
    wants(&["prod/web-1", "default/svc/x:80"], 2, &["has nobody behind it"]);
    wants(&["node/node-9", "prod/db:1"], 2, &["no node `node-9`"]);
    wants(&["prod/web-1", "prod/db:http"], 2, &["no port named `http`; it names pg (TCP 5432), dns (UDP 53)"]);
    wants(&["prod/web-1", "prod/db:"], 2, &["no port behind the `:`"]);
    wants(&["prod/web-1:80", "prod/db:80"], 2, &["a port belongs to the end that receives"]);
    wants(&["prod/web-1", "prod/db:-1"], 2, &["`-1` is no port"]);
    wants(&["prod/web-1", "prod/db:80-90"], 2, &["`80-90` is no port"]);
    wants(&["prod/web-1", "prod/svc/zzz:80"], 2, &["no svc `zzz` in namespace prod; it has prod/svc/db,"]);
    wants(&["prod/web-1", "prod/sts/zzz:80"], 2, &["it has no sts, but prod/"]);
    wants(&["prod/web-1", "www.example.com:443"], 2, &["whoever is outside of the cluster is named by an address"]);
}

/// Where no rule speaks, the policies that isolate are the lines that say so.
#[test]
fn a_default_deny_is_shown_with_its_line() {
    let arguments = ["bookshop/visitor", "bookshop/web:80", "-f", "examples/recipes/01-deny-all-to-an-application"];
    let output = palisade().arg("explain").args(arguments).output().unwrap();
    support::wants(&output, 1, &["isolated by web-takes-nobody (policies.yaml:2), no rule allows it"]);
}

/// A folder of several clusters: a screen of contradictions, and not one for each object.
#[test]
fn of_many_contradictions_a_few_are_shown() {
    let output = palisade().args(["connections", "-R", "-f", "examples"]).output().unwrap();
    support::wants(&output, 2, &["error[CONFLICT]", "more places, which `palisade check` lists", "`palisade diff`"]);
    assert_eq!(said(&output).matches("error[CONFLICT]").count(), 5);
}

#[test]
fn json_says_what_the_text_says() {
    let output = ask(&["prod/web-2", "prod/svc/db:pg", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = &json["connections"][0];
    assert_eq!((&json["verdict"], &one["verdict"]), (&"DENIED".into(), &"DENIED".into()));
    assert_eq!(one["service"], serde_json::json!({ "name": "prod/svc/db", "traffic": "TCP 5432" }));
    assert_eq!(one["toAllow"][0], "ingress TCP 5432 from tier=b in db");
    let ingress = &one["halves"][1];
    assert_eq!((&ingress["state"], &ingress["isolatedBy"][0]["namespace"]), (&"denied".into(), &"prod".into()));
    let rule = &ingress["rules"][0];
    assert_eq!((&rule["policy"], &rule["namespace"], &rule["line"]), (&"db".into(), &"prod".into(), &8.into()));
    assert!(rule["file"].as_str().unwrap().ends_with("policies.yaml") && rule["column"].is_u64());
    assert_eq!(rule["missed"], serde_json::json!({ "peer": "peer tier=b is not tier=a" }));
    assert_eq!(ingress["rules"][1]["missed"], serde_json::json!({ "port": "TCP is not UDP" }));

    let output = ask(&["prod/web-1", "prod/db", "-o", "json", "--family", "6"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = &json["connections"][0];
    assert_eq!((&json["verdict"], &one["verdict"]), (&"MIXED".into(), &"MIXED".into()));
    assert_eq!((&one["family"], &one["toAddress"]), (&"IPv6".into(), &"fd00::3".into()));
    assert_eq!(one["halves"][1]["rules"][0]["allows"], "TCP 5432");
}

const BAD: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad, namespace: prod}\n\
                   spec: {podSelector: {}, ingress: [{ports: [{protocol: tcp}]}]}\n";

#[test]
fn an_input_with_mistakes_answers_nothing_unless_asked_to() {
    let folder = Folder::with(&[("bad.yaml", BAD), ("empty.yaml", "")]);
    let cluster = format!("{FOLDER}/cluster.yaml");
    let with = |file: &str, more: &[&str]| {
        let (mut command, path) = (palisade(), folder.path().join(file));
        command
            .args(["explain", "prod/web-1", "prod/db:1", "-f", &cluster, "-f"])
            .arg(path)
            .args(more)
            .output()
            .unwrap()
    };
    let refused = with("bad.yaml", &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(refused.stdout.is_empty() && said(&refused).contains("write `TCP`"), "{}", said(&refused));
    let answered = with("bad.yaml", &["--keep-going"]);
    assert_eq!(answered.status.code(), Some(0), "{}", said(&answered));
    assert!(said(&answered).contains("the mistake above is left out"), "{}", said(&answered));
    let empty = with("empty.yaml", &[]);
    assert!(said(&empty).contains("is empty") && said(&empty).contains("has no NetworkPolicy"), "{}", said(&empty));
    let missing = with("missing.yaml", &[]);
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
}

#[test]
fn standard_input_is_read_once() {
    for arguments in [&["verdicts", "--flows", "-", "-f", "-"][..], &["explain", "a", "b", "-f", "-", "-f", "-"]] {
        let output = palisade().args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("would all read standard input"), "{}", said(&output));
    }
}

#[test]
fn verdicts_and_their_exit_codes() {
    let header = "from\tto\tprotocol\tport\texpected\n";
    for (row, code) in [
        ("prod/web-1\tprod/db\tTCP\t5432\tallow", 0),
        ("prod/web-1\tprod/db\tTCP\t5432\tdeny", 1),
        ("prod/pending\tprod/web-1\tTCP\t8080\tdeny", 2),
        ("prod/web-1\tprod/db\ttcp\t5432\tdeny", 2),
        ("prod/rs/web-5d\tprod/db\tTCP\t5432\tdeny", 2),
    ] {
        let mut child = palisade()
            .args(["verdicts", "--flows", "-", "-f", FOLDER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{header}{row}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{row}\n{}", said(&output));
    }
}

/// `| head` reads a little and goes away.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let questions: [(&[&str], i32); 5] = [
        (&["explain", "prod/web-2", "prod/db:5432", "-f", FOLDER], 1),
        (&["explain", "prod/web-2", "prod/db:5432", "-f", FOLDER, "-o", "json"], 1),
        (&["ruleset", "--node", "node-1", "-f", FOLDER], 0),
        (&["completion", "bash"], 0),
        (&["man"], 0),
    ];
    for (arguments, code) in questions {
        let mut child = palisade().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let status = child.wait().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked") && !errors.contains("error"), "{arguments:?}: {errors}");
    }
}

#[test]
fn narrow_and_wide_terminals() {
    for columns in ["40", "60", "200"] {
        let output = palisade()
            .env("COLUMNS", columns)
            .args(["explain", "prod/web-1", "prod/db:icmp", "-f", FOLDER, "-o", "text"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Excerpts are lines of the input, with a label of their own.
        let own = text.lines().filter(|line| !line.contains('|') && !line.contains('^'));
        let widest = own.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns.parse().unwrap(), "{text}");
    }
}

/// What only the address of a pod would tell that has none yet is neither gained nor lost, and not passed over.
#[test]
fn a_difference_that_hangs_on_an_address_is_told() {
    let workload = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: x}\nspec: {replicas: 2, selector: \
                    {matchLabels: {app: w}}, template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: \
                    c}]}}}\n---\n";
    let policy = |ingress: &str| {
        format!(
            "{workload}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: x}}\nspec: \
             {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{ingress}]}}\n"
        )
    };
    let (closed, open) = (policy(""), policy("{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}"));
    let folder = support::Folder::with(&[("closed.yaml", closed.as_str()), ("open.yaml", open.as_str())]);
    let diff = |old: &str, new: &str| {
        let path = |name: &str| folder.path().join(name);
        support::palisade().arg("diff").arg(path(old)).arg(path(new)).output().unwrap()
    };
    let output = diff("closed.yaml", "open.yaml");
    let said = support::said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1 gained, 0 lost.\nMore may differ"), "{said}");
    let output = diff("open.yaml", "open.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", support::said(&output));
}

/// What agents that log everything would log of the connections of an example's table.
fn flow_log(example: &std::path::Path) -> String {
    let table = std::fs::read_to_string(example.join("flows.tsv")).unwrap();
    let mut log = String::new();
    for row in table.lines().skip(1) {
        let row: Vec<&str> = row.split('\t').collect();
        let [from, to, protocol, port, expected] = row.as_slice() else { continue };
        let verdict = if *expected == "allow" { "accepted" } else { "denied" };
        if *port == "-" {
            continue;
        }
        let six = from.contains(':') || to.contains(':');
        let end = |end: &str, port: &str| match end.split_once('/') {
            Some((namespace, pod)) => {
                let ip = if six { "fd00:9::9" } else { "10.9.9.9" };
                format!(r#"{{"namespace":"{namespace}","pod":"{pod}","ip":"{ip}","port":{port}}}"#)
            }
            None => format!(r#"{{"ip":"{end}","port":{port}}}"#),
        };
        log.push_str(&format!(
            "{{\"v\":1,\"time\":\"2026-03-01T12:00:00Z\",\"verdict\":\"{verdict}\",\"direction\":\"both\",\
             \"protocol\":\"{protocol}\",\"src\":{},\"dst\":{},\"node\":\"n\",\"isolatedBy\":[],\"nearest\":null,\
             \"suppressed\":0}}\n",
            end(from, "40000"),
            end(to, port)
        ));
    }
    log
}

/// What `suggest` makes of a full log of an example passes `check` without a finding, and allows nothing that the
/// example's own policies deny.
#[test]
fn suggested_policies_are_as_tight_as_those_of_the_examples() {
    let (mut seen, mut examples) = (0, 0);
    for example in support::folders(&support::root().join("examples")) {
        let name = example.display();
        if !example.join("flows.tsv").exists() {
            continue;
        }
        examples += 1;
        let cluster = std::fs::read_to_string(example.join("cluster.yaml")).unwrap();
        let policies = std::fs::read_to_string(example.join("policies.yaml")).unwrap();
        let before = Folder::with(&[("cluster.yaml", cluster.as_str()), ("flows.jsonl", &flow_log(&example))]);
        let flows = before.path().join("flows.jsonl");
        let file = before.path().join("cluster.yaml");
        let suggested = palisade().arg("suggest").arg(&flows).arg("-f").arg(&file).output().unwrap();
        assert_eq!(suggested.status.code(), Some(0), "{name}: {}", said(&suggested));
        let yaml = String::from_utf8(suggested.stdout).unwrap();
        seen += yaml.matches("kind: NetworkPolicy").count();

        let after = Folder::with(&[("cluster.yaml", cluster.as_str()), ("policies.yaml", &yaml)]);
        let check = palisade().args(["check", "--fail-on", "note", "-f"]).arg(after.path()).output().unwrap();
        assert_eq!(check.status.code(), Some(0), "{name}: {}", said(&check));
        // What is audited passes, so it was observed, and the policies that follow from it allow it.
        if example.ends_with("audit") {
            continue;
        }
        let own = Folder::with(&[("cluster.yaml", cluster.as_str()), ("policies.yaml", &policies)]);
        let diff = palisade().arg("diff").args([own.path(), after.path()]).output().unwrap();
        let text = said(&diff);
        // Two bare pods with the same labels, told apart by an address: policies that select by labels cannot.
        let known = [
            ("ip-block", "+ reporting/exporter-b"),
            // What the names resolve to, by address.
            ("names", "+ shop/checkout -> 198.51.100.7/32, 203.0.113.9/32, 2001:db8::9/128  TCP 443"),
        ];
        let known = known.iter().any(|(at, line)| example.ends_with(at) && text.contains(line));
        let known = known && text.contains("1 gained");
        assert!(known || text.contains("0 gained"), "{name}: {text}");
    }
    assert!(seen > 150 && examples > 25, "{seen} policies of {examples} examples");
}

#[test]
fn workloads_that_were_never_seen_are_left_or_closed() {
    let shop = "examples/e-commerce/cluster.yaml";
    let suggest = |arguments: &[&str]| {
        let flows = "docs/reference/suggest.flows.jsonl";
        let output = palisade().args(["suggest", flows, "-f", shop]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let (yaml, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (yaml, notes.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (yaml, notes) = suggest(&[]);
    // What was denied was seen, and is not allowed.
    assert!(yaml.contains("name: postgres") && !yaml.contains("name: redis"), "{yaml}");
    assert!(notes.contains("no policy is suggested for: ecommerce/redis, ecommerce/elasticsearch"), "{notes}");
    let (yaml, notes) = suggest(&["--deny-unseen"]);
    assert!(yaml.contains("name: redis") && !yaml.contains("kube-dns"), "{yaml}");
    assert!(notes.contains("nothing is allowed to or from: ecommerce/redis, ecommerce/elasticsearch"), "{notes}");
    assert!(notes.contains("no policy is suggested for: ingress-nginx/controller, kube-system/kube-dns"), "{notes}");
}

/// Policies add up: those of the input go on allowing.
#[test]
fn what_policies_of_the_input_allow_beside_is_told() {
    let output = palisade()
        .args(["suggest", "docs/reference/suggest.flows.jsonl", "-f", "examples/e-commerce"])
        .output()
        .unwrap();
    let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let wanted = "what policies of the input allow ecommerce/api: ecommerce/api-policy, ecommerce/default-deny-all";
    assert!(text.contains(wanted) && text.contains("name: web"), "{text}");
}

/// What only an address that is not known could tell does not pass for certain, so nothing is suggested.
#[test]
fn a_replay_that_cannot_be_told_is_no_suggestion() {
    let workload = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: x}}\nspec: {{selector: \
             {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: \
             [{{name: c, image: c}}]}}}}}}\n---\n"
        )
    };
    let policy = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: \
                  {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{name: n, action: Deny, to: \
                  [{networks: [10.0.0.0/8]}]}]}\n";
    let connection = r#"{"v":1,"connection":{"src":{"namespace":"x","workload":"deploy/api"},"dst":{"namespace":"x","workload":"deploy/web"},"protocol":"TCP","port":80,"egress":1,"ingress":1,"deniedEgress":0,"deniedIngress":0,"wouldDeny":0,"first":"2026-03-01T12:00:00Z","last":"2026-03-01T12:00:00Z"}}"#;
    let yaml = format!("{}{}{policy}", workload("web"), workload("api"));
    let folder = Folder::with(&[("all.yaml", yaml.as_str()), ("log", connection)]);
    let (yaml, log) = (folder.path().join("all.yaml"), folder.path().join("log"));
    let output = palisade().arg("suggest").arg(log).arg("-f").arg(yaml).output().unwrap();
    let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("x/deploy/api -> x/deploy/web TCP 80 was observed and may still be denied"), "{text}");
    assert!(!text.contains("kind: NetworkPolicy"), "{text}");
}
