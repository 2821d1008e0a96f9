//! `palisade ready` and `palisade diff --flows` with a flow log: known answers, and what is not known.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod support;

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use support::{Folder, palisade, root, said};

const LOG: &str = "examples/e-commerce/flows.jsonl";
const SHOP: &str = "examples/e-commerce";

fn ready(arguments: &[&str]) -> Output {
    palisade().arg("ready").args(arguments).output().unwrap()
}

/// What was said, with every space and line break as one space.
fn flat(output: &Output) -> String {
    said(output).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of the shop's log that have all these words, as a file.
fn only(words: &[&str]) -> (Folder, String) {
    let log = std::fs::read_to_string(root().join(LOG)).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect();
    file(&(lines.join("\n") + "\n"))
}

fn file(text: &str) -> (Folder, String) {
    let folder = Folder::with(&[("log.jsonl", text)]);
    let path = folder.path().join("log.jsonl").display().to_string();
    (folder, path)
}

fn line(verdict: &str, src: &str, dst: &str, port: u16) -> String {
    format!(
        r#"{{"v":1,"time":"2026-03-01T12:00:00Z","verdict":"{verdict}","direction":"ingress","protocol":"TCP","src":{src},"dst":{{{dst},"port":{port}}},"node":"node-1","isolatedBy":[],"nearest":null,"suppressed":0}}"#
    )
}

#[test]
fn what_breaks_is_what_the_policies_do_not_know_of() {
    let output = ready(&[LOG, "-f", SHOP, "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let breaks: Vec<String> = json
        .get("breaks")
        .and_then(|breaks| breaks.as_array())
        .unwrap()
        .iter()
        .map(|one| {
            let text = |key: &str| one.get(key).map(ToString::to_string).unwrap_or_default();
            format!("{} {} {}", text("from"), text("to"), text("traffic")).replace('"', "")
        })
        .collect();
    assert_eq!(
        breaks,
        [
            "ecommerce/redis kube-system/kube-dns [UDP 53]",
            "ecommerce/redis 203.0.113.9 [TCP 443]",
            "monitoring/grafana ecommerce/api [TCP 9090]"
        ]
    );
    let count = |key: &str| json.get(key).and_then(serde_json::Value::as_u64);
    assert_eq!((count("connections"), count("breaking"), count("deniedAlready")), (Some(18), Some(3), Some(0)));
    assert_eq!(json.pointer("/breaks/2/denied/0/rules/0/rule"), Some(&"ingress[1]".into()));
}

/// A policy whose neighbours deny the same breaks nothing by itself.
#[test]
fn what_others_deny_does_not_count() {
    let output = ready(&[LOG, "-f", SHOP, "--policy", "ecommerce/api-policy"]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Nothing seen in 7 days would break: 18 connections."), "{text}");
    assert!(text.contains("3 connections that were seen and that other policies deny by now"), "{text}");
    for (policy, wanted) in [("api-polcy", "did you mean"), ("a/b/c", "is not the name of a policy")] {
        let output = ready(&[LOG, "-f", SHOP, "-n", "ecommerce", "--policy", policy]);
        assert!(output.status.code() == Some(2) && flat(&output).contains(wanted), "{}", said(&output));
    }
}

#[test]
fn what_was_not_seen_is_told() {
    let (_folder, log) = only(&["\"pod\":\"web\"", "\"node\":\"node-1\",\"isolatedBy\""]);
    let output = ready(&[&log, "-f", SHOP]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("by node-1; nothing was told by node-2."), "{text}");
    let never = "Never seen, so nothing is known of them: ecommerce/postgres, ecommerce/redis, \
                 ecommerce/sts/elasticsearch.";
    assert!(text.contains(never), "{text}");
    // Of pods that the policies do not isolate nothing has to be known.
    let output = ready(&[&log, "-f", SHOP, "--policy", "ecommerce/web-policy"]);
    assert!(!flat(&output).contains("Never seen"), "{}", said(&output));
}

#[test]
fn what_cannot_be_read_or_told_is_no_yes() {
    let whole = std::fs::read_to_string(root().join(LOG)).unwrap();
    let fine: Vec<&str> = whole.lines().filter(|line| line.contains("\"pod\":\"web\"")).collect();
    let (_folder, log) = file(&format!("{}\n{{\"v\":1,\"lost\":7}}\nnonsense\n", fine.join("\n")));
    let output = ready(&[&log, "-f", SHOP]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let at = format!("log.jsonl:{}: this is no line of a flow log", fine.len() + 2);
    assert!(text.contains(&at), "{text}");
    assert!(text.contains("1 line could not be read") && text.contains("7 lines were lost"), "{text}");
    // What breaks for certain breaks.
    let (_folder, log) = file(&format!("{whole}nonsense\n"));
    assert_eq!(ready(&[&log, "-f", SHOP]).status.code(), Some(1));
    // Pods without an address, and a rule that asks for it.
    let workload = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: x}}\nspec: {{selector: \
             {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: \
             [{{name: c, image: c}}]}}}}}}\n---\n"
        )
    };
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\nspec: \
                  {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}\n";
    let manifests = Folder::with(&[("all.yaml", &format!("{}{}{policy}", workload("web"), workload("api")))]);
    let yaml = manifests.path().join("all.yaml").display().to_string();
    let connection = r#"{"v":1,"connection":{"src":{"namespace":"x","workload":"deploy/api"},"dst":{"namespace":"x","workload":"deploy/web"},"protocol":"TCP","port":80,"egress":1,"ingress":1,"deniedEgress":0,"deniedIngress":0,"wouldDeny":0,"first":"2026-03-01T12:00:00Z","last":"2026-03-01T12:00:00Z"}}"#;
    let (_folder, log) = file(&format!("{connection}\n"));
    let output = ready(&[&log, "-f", &yaml]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("Nothing seen in 0 seconds would break for certain: 1 connection, 1 of which"), "{text}");
    assert!(text.contains("x/deploy/api -> x/deploy/web TCP 80"), "{text}");
}

#[test]
fn what_was_denied_or_is_of_nobody_is_not_judged() {
    let api = r#""namespace":"ecommerce","pod":"api","ip":"10.244.1.11""#;
    let known = r#"{"namespace":"ecommerce","pod":"web","ip":"10.244.1.10"}"#;
    let gone = r#"{"namespace":"ecommerce","pod":"batch-x7","workload":"job/batch","ip":"10.244.1.99"}"#;
    let denied = line("denied", known, api, 1);
    let audited = line("would-deny", known, api, 9090);
    let unknown = line("accepted", gone, api, 8080);
    let (_folder, log) = file(&format!("{denied}\n{unknown}\n"));
    let output = ready(&[&log, "-f", SHOP]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the cluster does not have them: ecommerce/batch-x7"), "{text}");
    assert!(text.contains("no connection was seen to be made"), "{text}");
    // What passed under an audited policy was made, and would break.
    let (_folder, log) = file(&format!("{audited}\n"));
    let output = ready(&[&log, "-f", SHOP]);
    assert!(flat(&output).contains("BREAKS ecommerce/web -> ecommerce/api TCP 9090"), "{}", said(&output));
}

/// The same connections break, whoever logged them.
#[test]
fn hubble_and_calico_say_the_same() {
    let hubble = r#"{"flow":{"time":"2026-03-01T12:00:00Z","verdict":"FORWARDED","IP":{"source":"10.244.2.21","destination":"10.244.1.11"},"l4":{"TCP":{"source_port":4,"destination_port":9090}},"source":{"identity":9000,"namespace":"monitoring","pod_name":"grafana"},"destination":{"identity":9001,"namespace":"ecommerce","pod_name":"api"},"Type":"L3_L4","node_name":"node-1","traffic_direction":"INGRESS","is_reply":false}}"#;
    let calico = r#"{"start_time":1772366400,"end_time":1772366700,"source_ip":null,"source_name":"-","source_name_aggr":"grafana*","source_namespace":"monitoring","source_type":"wep","dest_ip":null,"dest_name":"api","dest_name_aggr":"api","dest_namespace":"ecommerce","dest_port":9090,"dest_type":"wep","proto":"tcp","action":"allow","reporter":"dst","num_flows_started":1}"#;
    // A stream of events, with an empty line behind each.
    let whisker = "data: {\"start_time\":\"2026-03-01T12:00:00Z\",\"end_time\":\"2026-03-01T12:00:15Z\",\"action\":\"Allow\",\"source_name\":\"grafana\",\"source_namespace\":\"monitoring\",\"dest_name\":\"api\",\"dest_namespace\":\"ecommerce\",\"protocol\":\"tcp\",\"dest_port\":9090,\"reporter\":\"Dst\"}\n\n";
    let goldmane = r#"{"id":"1","flow":{"Key":{"sourceName":"grafana","sourceNamespace":"monitoring","sourceType":"WorkloadEndpoint","destName":"api","destNamespace":"ecommerce","destType":"WorkloadEndpoint","destPort":"9090","proto":"tcp","reporter":"Dst","action":"Allow"},"startTime":"1772366400","endTime":"1772366415","numConnectionsStarted":"1"}}"#;
    for log in [hubble, calico, whisker, goldmane] {
        let mut command = palisade();
        command.args(["ready", "-", "-f", SHOP]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = flat(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("BREAKS monitoring/grafana -> ecommerce/api TCP 9090 made once"), "{text}");
        assert!(text.contains("nearest: ecommerce/api-policy ingress[1]"), "{text}");
    }
}

#[test]
fn diff_marks_what_breaks_of_a_log_as_of_a_table() {
    let diff = |old: &str, new: &str, more: &[&str]| {
        palisade().args(["diff", old, new, "--flows", LOG]).args(more).output().unwrap()
    };
    let (before, after) = ("examples/change/before", "examples/change/after");
    let output = diff(before, after, &[]);
    let text = flat(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("- monitoring/prometheus -> ecommerce/api TCP 9090 would break"), "{text}");
    assert!(text.contains("1 of 18 connections that were seen would break; 17 are as before."), "{text}");
    let back = diff(after, before, &[]);
    let text = flat(&back);
    assert!(text.contains("+ monitoring/prometheus -> ecommerce/api TCP 9090 deny, then allow"), "{text}");
    assert!(text.contains("0 of 18 connections that were seen would break; 17 are as before."), "{text}");
    let same = diff(before, before, &[]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    let json = diff(before, after, &["-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.pointer("/breaks/0/to"), Some(&"ecommerce/api".into()));
    // An end that the new state does not have.
    let cluster = std::fs::read_to_string(root().join(SHOP).join("cluster.yaml")).unwrap();
    let without: Vec<&str> = cluster.split("\n---\n").filter(|object| !object.contains("name: redis\n")).collect();
    let folder = Folder::with(&[("cluster.yaml", &without.join("\n---\n"))]);
    let gone = diff(&format!("{SHOP}/cluster.yaml"), folder.path().to_str().unwrap(), &[]);
    let text = flat(&gone);
    assert!(text.contains("- ecommerce/api -> ecommerce/redis TCP 6379 allow, then absent"), "{text}");
    assert!(text.contains("3 of 18 connections that were seen would break"), "{text}");
}

/// The draft that the tutorial shows is what its command prints, and what was reviewed breaks what the text says.
#[test]
fn the_roll_out_of_the_tutorial_is_true() {
    let cluster = "examples/e-commerce/cluster.yaml";
    let output = palisade().args(["suggest", LOG, "-f", cluster]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = root().join("docs/tutorials/roll-out/suggested.yaml");
    if std::env::var_os("PALISADE_BLESS").is_some() {
        std::fs::write(&path, &output.stdout).unwrap();
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(&path).unwrap());
    let reviewed = "docs/tutorials/roll-out/reviewed.yaml";
    let check = said(&palisade().args(["check", "-f", cluster, "-f", reviewed]).output().unwrap());
    // The two namespaces that are left to others are open; nothing else is found.
    assert_eq!((check.matches("[NP").count(), check.matches("note[NP504").count()), (2, 2), "{check}");
}

/// The audited policies are the reviewed ones, the log has a `would-deny` for what they break and nothing else, and
/// what was mended only allows more.
#[test]
fn the_audit_of_the_tutorial_is_true() {
    let folder = root().join("docs/tutorials/roll-out");
    let [reviewed, audited, mended] = ["reviewed.yaml", "audited.yaml", "mended.yaml"]
        .map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    let mode = "    palisade.dev/mode: audit\n";
    assert_eq!(audited.replace(&format!("  annotations:\n{mode}"), "").replace(mode, ""), reviewed);
    let mut more = mended.lines();
    assert!(audited.lines().all(|line| more.any(|other| other == line)), "what is mended has all of it, in order");
    let log = "docs/tutorials/roll-out/audited.jsonl";
    let judged = |name: &str| {
        let (cluster, policies) = ("examples/e-commerce/cluster.yaml", format!("docs/tutorials/roll-out/{name}"));
        let output = ready(&[log, "-f", cluster, "-f", &policies, "-o", "json"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let before = judged("audited.yaml");
    let number = |json: &serde_json::Value, at: &str| json.pointer(at).and_then(serde_json::Value::as_u64);
    let lines = std::fs::read_to_string(root().join(log)).unwrap().matches("\"would-deny\"").count();
    assert_eq!((number(&before, "/breaking"), number(&before, "/mended")), (Some(1), Some(0)), "{before}");
    assert_eq!(number(&before, "/breaks/0/wouldDeny"), Some(lines as u64), "{before}");
    assert_eq!(before.get("policies").and_then(|all| all.as_array()).map(Vec::len), Some(5), "{before}");
    let after = judged("mended.yaml");
    assert_eq!((number(&after, "/breaking"), number(&after, "/mended")), (Some(0), Some(1)), "{after}");
    // Enforced, it is still what was meant.
    let enforced = Folder::with(&[("enforced.yaml", &mended.replace(mode, ""))]);
    let assertions = "examples/e-commerce/policies.test.yaml";
    let files = ["test", assertions, "-f", "examples/e-commerce/cluster.yaml", "-f"];
    let output = palisade().args(files).arg(enforced.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
