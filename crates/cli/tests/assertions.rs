//! `palisade test`: every form of an assertion, holding and failing; the forms of the answer; mistakes;
//! and that what --init writes holds. The cluster is in `assertions/`.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

#[path = "assertions/properties.rs"]
mod properties;
mod support;

use std::{
    io::{ErrorKind, Write as _},
    process::Stdio,
};

use serde_json::Value;
use support::{palisade, said};

const FOLDER: &str = "crates/cli/tests/assertions";
const HEAD: &str = "apiVersion: palisade.dev/v1alpha1\nkind: PolicyTest\n";

/// Runs tests given on standard input, as a whole file or without its head.
fn fed(text: &str, arguments: &[&str]) -> (i32, String, String) {
    let text = if text.starts_with("tests:") { format!("{HEAD}{text}") } else { text.to_owned() };
    let mut child = palisade();
    child.args(["test", "-"]).args(arguments);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that has its answer without reading may be gone already.
    let written = child.stdin.take().unwrap().write_all(text.as_bytes());
    assert!(written.is_ok() || written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One assertion in flow style, judged: the exit code and what is said.
fn judged(assertion: &str) -> (i32, String) {
    let (code, out, err) = fed(&format!("tests:\n- name: t\n  {assertion}\n"), &["-f", FOLDER]);
    (code, one_line(&format!("{out}{err}")))
}

#[track_caller]
fn holds(assertion: &str) {
    let (code, said) = judged(assertion);
    assert_eq!(code, 0, "{assertion}\n{said}");
}

#[track_caller]
fn fails(assertion: &str, words: &[&str]) {
    let (code, said) = judged(assertion);
    assert_eq!(code, 1, "{assertion}\n{said}");
    for word in words {
        assert!(said.contains(word), "{assertion} does not say {word:?}\n{said}");
    }
}

#[test]
fn allow_wants_every_pair_and_all_ports() {
    holds("allow: {from: payments/api, to: payments/ledger, ports: [5432]}");
    holds("allow: {from: [payments/api, reporting/exporter], to: payments/ledger, ports: [pg]}");
    holds("allow: {from: 203.0.113.0/25, to: payments/ledger, ports: [9187]}");
    holds("allow: {from: reporting/viewer-a, to: payments/api, ports: [http, 53/udp]}");
    holds("allow: {from: reporting/exporter, to: payments/api}");
    fails(
        "allow: {from: ns/reporting, to: payments/ledger, ports: [5432]}",
        &["reporting/{", "TCP 5432 is denied", "ingress of", "isolated by ledger-policy", "policies.yaml:"],
    );
    fails("allow: {from: payments/api, to: payments/ledger, ports: [5432, 9187]}", &["TCP 9187 is denied"]);
    fails(
        "allow: {from: 203.0.113.0/24, to: payments/ledger, ports: [9187]}",
        &["203.0.113.128/25 -> payments/ledger"],
    );
    fails("allow: {from: payments/api, to: payments/ledger}", &["UDP, SCTP, traffic without ports (ICMP) is denied"]);
    fails("allow: {from: reporting/viewer-a, to: payments/api, ports: [icmp]}", &["isolated by viewer-policy"]);
    // IPv6 counts as much: the block is of IPv4 alone.
    fails("allow: {from: outside, to: payments/ledger, ports: [9187]}", &["is denied"]);
}

#[test]
fn deny_wants_nothing_of_any_pair() {
    holds("deny: {from: reporting/exporter, to: payments/ledger, ports: [9187, 80-443, 1-65535/udp, icmp]}");
    holds("deny: {from: [{cidr: 203.0.113.128/25}, \"2001:db8::/32\"], to: payments/ledger}");
    holds("deny: {from: payments/ledger, to: anyone}");
    holds("deny: {from: anyone, to: payments/ledger, exceptPorts: [pg, metrics]}");
    fails(
        "deny: {from: ns/reporting, to: payments/ledger}",
        &["reporting/exporter -> payments/ledger TCP 5432 is allowed by ledger-policy ingress[1]", "policies.yaml:11"],
    );
    fails("deny: {from: 203.0.0.0/16, to: payments/ledger}", &["203.0.113.0/25 -> payments/ledger TCP 9187"]);
    fails(
        "deny: {from: reporting/exporter, to: payments/api, ports: [22]}",
        &["is allowed: no policy isolates payments/api for ingress; no policy isolates reporting/exporter for egress"],
    );
    fails("deny: {from: anyone, to: payments/ledger, exceptPorts: [pg]}", &["TCP 9187 is allowed"]);
}

#[test]
fn what_no_policy_judges_is_said() {
    fails("deny: {from: payments/ledger, to: payments/ledger}", &["no policy judges any of it", "itself"]);
    fails("deny: {from: outside, to: node/node-1}", &["no policy judges any of it"]);
    fails(
        "deny: {from: node/node-1, to: payments/ledger}",
        &["node/node-1 -> payments/ledger is allowed: a pod and the node it runs on always reach each other"],
    );
    holds("allow: {from: node/node-1, to: payments/ledger}");
    // Nor is its own node held against a network that holds it.
    holds("deny: {from: [172.18.0.0/16, 192.0.2.1], to: payments/ledger}");
    fails("only: {from: anyone, to: payments/ledger}", &["everyone is in `from`, so it asserts nothing"]);
    fails("allow: {from: 10.0.0.1, to: \"2001:db8::/32\"}", &["no IP family in common"]);
}

#[test]
fn only_is_about_everyone_else() {
    holds("only: {from: [ns/payments, reporting/exporter], to: payments/ledger, ports: [5432]}");
    holds("only: {from: [{namespaceSelector: {}}, 203.0.113.0/25], to: payments/ledger}");
    fails(
        "only: {from: ns/payments, to: payments/ledger, ports: [5432]}",
        &["reporting/exporter -> payments/ledger TCP 5432 is allowed by ledger-policy ingress[1], policies.yaml:11"],
    );
    fails("only: {from: {namespaceSelector: {}}, to: payments/ledger}", &["203.0.113.0/25"]);
    holds("onlyTo: {from: payments/ledger, to: payments/api, ports: [80]}");
    holds("onlyTo: {from: reporting/viewer-a, to: ns/payments}");
    // The ledger takes nothing on 8080 or UDP 53, so it does not matter that a viewer may send it.
    holds("onlyTo: {from: reporting/viewer-a, to: payments/api}");
    fails("onlyTo: {from: reporting/exporter, to: ns/payments}", &["reporting/exporter -> ", "everything is allowed"]);
    fails("onlyTo: {from: payments/api, to: payments/ledger, ports: [http]}", &["no policy judges"]);
}

#[test]
fn of_pods_that_no_policy_tells_apart_each_counts() {
    // Both viewers are one end of the engine's; the other one must not be forgiven with the first.
    fails("only: {from: reporting/viewer-a, to: payments/api, ports: [8080]}", &["reporting/viewer-b", "payments/api"]);
    fails(
        "only: {from: reporting/viewer-a, to: reporting/viewer-b}",
        &["reporting/{batch,exporter} -> reporting/viewer-b"],
    );
    holds("deny: {from: reporting/viewer-a, to: reporting/viewer-b}");
    fails("onlyTo: {from: payments/api, to: reporting/viewer-a}", &["reporting/{batch,exporter,viewer-b}"]);
}

#[test]
fn services_are_translated() {
    holds("allow: {from: payments/api, to: payments/svc/ledger, ports: [15432]}");
    holds("allow: {from: payments/api, to: payments/svc/ledger, ports: [sql]}");
    fails("allow: {from: payments/api, to: payments/svc/ledger}", &["payments/ledger TCP 9187 is denied"]);
    holds("deny: {from: payments/api, to: payments/svc/ledger, exceptPorts: [sql]}");
    fails("deny: {from: payments/api, to: payments/svc/ledger, ports: [1-65535]}", &["TCP 5432 is allowed"]);
    fails("allow: {from: payments/api, to: payments/svc/ledger, ports: [99]}", &["has no port TCP 99; it has"]);
    holds("only: {from: [ns/payments, reporting/exporter], to: payments/svc/ledger, ports: [sql]}");
}

#[test]
fn isolated_pods() {
    holds("isolated: {ingress: payments/ledger, egress: [payments/ledger, reporting/viewer-a]}");
    fails("isolated: {ingress: ns/payments}", &["no policy isolates payments/api for ingress"]);
    fails("isolated: {egress: outside}", &["no policy can isolate the outside"]);
}

#[test]
fn nobody_is_a_failure() {
    for (assertion, why) in [
        ("deny: {from: ghost, to: payments/ledger}", "`from`: ghost selects nobody: there is no pod `ghost`"),
        ("deny: {from: ns/ghosts, to: payments/ledger}", "there is no namespace ghosts"),
        ("deny: {from: {namespace: ghosts}, to: payments/ledger}", "there is no namespace ghosts"),
        (
            "only: {from: payments/api, to: {namespace: payments, podSelector: {matchLabels: {app: x}}}}",
            "`to`: pods app=x of namespace payments selects nobody: no pod there has such labels",
        ),
        ("deny: {from: {namespaceSelector: {matchLabels: {a: b}}}, to: outside}", "no namespace of the input has a=b"),
        ("allow: {from: payments/api, to: payments/ledger, ports: [sql]}", "none of its pods has a port named `sql`"),
        ("onlyTo: {from: payments/ledger, to: [payments/api, ghost]}", "ghost selects nobody"),
        ("isolated: {ingress: ghost}", "`ingress`: ghost selects nobody"),
    ] {
        fails(assertion, &[why]);
        let (code, said) = judged(&assertion.replacen('{', "{allowEmpty: true, ", 1));
        assert_eq!(code, 0, "{assertion}\n{said}");
    }
}

#[test]
fn what_an_unknown_address_would_tell_is_not_certain() {
    fails(
        "deny: {from: reporting/deploy/batch, to: payments/ledger, ports: [9187]}",
        &[
            "is not certain: an address that is not known yet would tell",
            "ledger-policy ingress[2]",
            "policies.yaml:15",
        ],
    );
    fails("allow: {from: reporting/deploy/batch, to: payments/ledger, ports: [9187]}", &["is denied"]);
    holds("deny: {from: reporting/deploy/batch, to: payments/ledger, ports: [5432]}");
    // Whatever its address will be: either it is in the network, or the rule does not let it through.
    holds("only: {from: 203.0.113.0/25, to: payments/ledger, ports: [9187]}");
    holds("only: {from: 203.0.112.0/20, to: payments/ledger, ports: [metrics]}");
    fails("only: {from: outside, to: payments/ledger, ports: [9187]}", &["reporting/batch", "is not certain"]);
    fails(
        "only: {from: [203.0.113.0/26, outside], to: payments/ledger, ports: [9187]}",
        &["reporting/batch -> payments/ledger TCP 9187 over IPv4 is not certain"],
    );
}

#[test]
fn mistakes_in_a_file_are_shown_where_they_are() {
    for (text, words) in [
        (
            "tests:\n- name: a\n  denny: {from: a, to: b}\n",
            &["<stdin>:5:3", "no key `denny`", "did you mean `deny`?"][..],
        ),
        (
            "tests:\n- name: a\n  deny: {form: a, to: b}\n",
            &["no key `form`", "did you mean `from`?", "there is no `from`"],
        ),
        ("tests:\n- name: a\n", &["this test asserts nothing"]),
        ("tests:\n- deny: {from: a, to: b}\n", &["this test has no `name`"]),
        ("tests:\n- name: a\n  deny: {from: \"web:80\", to: b}\n", &["ports are not written here", "under `ports`"]),
        ("tests:\n- name: a\n  deny: {from: a, to: b, ports: [0]}\n", &["`0` is no port", "1 to 65535"]),
        ("tests:\n- name: a\n  deny: {from: a, to: b, ports: [90-80]}\n", &["write 80-90"]),
        ("tests:\n- name: a\n  deny: {from: a, to: b, ports: []}\n", &["`ports` is empty"]),
        ("tests:\n- name: a\n  deny: {from: a, to: b, ports: [1], exceptPorts: [2]}\n", &["do not go together"]),
        ("tests:\n- name: a\n  deny: {from: 10.0.0.1/8, to: b}\n", &["bits after its prefix", "write 10.0.0.0/8"]),
        (
            "tests:\n- name: a\n  deny: {from: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}, to: b}\n",
            &["not in 10.0.0.0/8"],
        ),
        ("tests:\n- name: a\n  deny: {from: {podSelecter: {}}, to: b}\n", &["did you mean `podSelector`?"]),
        ("tests:\n- name: a\n  deny: {from: {namespace: a, namespaceSelector: {}}, to: b}\n", &["do not go together"]),
        ("tests:\n- name: a\n  isolated: {}\n", &["`isolated` names no pods"]),
        ("tests:\n- name: a\n  deny: {from: [], to: b}\n", &["this list of ends is empty"]),
        ("tests: []\n", &["asserts nothing: it has no tests"]),
        ("kind: PolicyTest\ntests: []\n", &["no `apiVersion`", "write `apiVersion: palisade.dev/v1alpha1`"]),
        (
            "apiVersion: palisade.dev/v1\nkind: NetworkPolicy\n",
            &["write `palisade.dev/v1alpha1`", "write `PolicyTest`"],
        ),
        ("tests:\n- name: a\n  name: b\n", &["the key `name` is written twice", "first here"]),
        ("tests: [\n", &["never closed"]),
        (
            "tests:\n- name: a\n  deny: {from: {podSelector: {matchExpressions: [{key: a, operator: in}]}}, to: b}\n",
            &["operator `in` is not one of In, NotIn"],
        ),
    ] {
        let (code, out, err) = fed(text, &["-f", FOLDER]);
        let said = one_line(&err);
        assert_eq!((code, out.as_str()), (2, ""), "{text}\n{err}");
        for word in words {
            assert!(said.contains(word), "{text} does not say {word:?}\n{err}");
        }
        assert!(err.lines().all(|line| line.chars().count() <= 80), "{err}");
    }
    let (code, _, err) = fed("tests: []", &["-f", "-"]);
    assert!(code == 2 && err.contains("only once"), "{err}");
    let output = palisade().args(["test", "nowhere.yaml", "-f", FOLDER]).output().unwrap();
    assert!(output.status.code() == Some(2), "{}", said(&output));
    assert!(said(&output).contains("cannot read nowhere.yaml: there is no such file\n"), "{}", said(&output));
    // Manifests in place of tests: one mistake for each object, whatever else a test would have.
    let object = "apiVersion: v1\nkind: Pod\nspec: {}\n";
    let (code, _, err) = fed(&format!("{object}---\n{object}"), &["-f", FOLDER]);
    assert!(code == 2 && err.contains("kind `Pod` is not PolicyTest"), "{err}");
    assert_eq!(err.matches("error[TEST]").count(), 2, "{err}");
    let (code, _, err) = fed("tests:\n- name: a\n  deny: {from: a, to: b}\n", &["-f", FOLDER, "--filter", "x"]);
    assert!(code == 2 && err.contains("no test has `x` in its name"), "{err}");
}

/// Two that hold and several that do not, in every form.
const MIXED: &str = "tests:
- name: payments reads the ledger
  allow: {from: payments/api, to: payments/ledger, ports: [5432]}
- name: nothing outside payments reaches ledger on 5432
  only: {from: ns/payments, to: payments/ledger, ports: [5432]}
- name: the exporter reads the figures, \"too\" & <more> # as ordered
  allow:
  - {from: reporting/exporter, to: payments/ledger, ports: [pg]}
  - {from: reporting/exporter, to: payments/ledger, ports: [metrics]}
- name: no report leaves for somebody who is not there
  deny: {from: ns/reporting, to: payments/archive}
- name: viewers send nothing
  deny: {from: ns/reporting, to: ns/payments}
  isolated: {ingress: ns/payments, egress: reporting/viewer-a}
";

fn screen(arguments: &[&str]) -> String {
    let (code, out, _) = fed(&MIXED.replace(" # as ordered", ""), &[&["-f", FOLDER], arguments].concat());
    assert_eq!(code, 1, "{out}");
    out
}

#[test]
fn the_answer_in_words() {
    let out = screen(&[]);
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    insta::assert_snapshot!(out);
}

#[test]
fn the_answer_as_tap() {
    insta::assert_snapshot!(screen(&["-o", "tap"]));
}

#[test]
fn the_answer_as_json() {
    let answer: Value = serde_json::from_str(&screen(&["-o", "json"])).unwrap();
    assert_eq!(answer["failed"], 4);
    assert_eq!(answer["tests"].as_array().unwrap().len(), 5);
    let found = &answer["tests"][1]["assertions"][0]["failures"][0];
    assert_eq!((found["kind"].as_str(), found["from"][0].as_str()), (Some("allowed"), Some("reporting/exporter")));
    assert_eq!(found["traffic"]["tcp"][0], "5432");
    assert_eq!(found["reasons"][0]["policy"], "payments/ledger-policy");
    assert_eq!(
        (found["reasons"][0]["rule"].as_str(), found["reasons"][0]["line"].as_u64()),
        (Some("ingress[1]"), Some(11))
    );
    assert_eq!(answer["tests"][3]["assertions"][0]["failures"][0]["kind"], "selects-nobody");
    assert_eq!(answer["tests"][0]["line"], 4);
}

#[test]
fn the_answer_as_junit() {
    let text = screen(&["-o", "junit"]);
    insta::assert_snapshot!(text);
    let elements = xml(&text);
    let of = |name: &str| elements.iter().filter(|element| element.0 == name).collect::<Vec<_>>();
    assert_eq!((of("testsuites").len(), of("testsuite").len(), of("testcase").len()), (1, 1, 5));
    assert_eq!(of("failure").len(), 4);
    let get = |element: &Element, key: &str| element.1.iter().find(|(k, _)| k == key).unwrap().1.clone();
    assert_eq!(get(of("testsuite")[0], "failures"), "4");
    let third = of("testcase")[2];
    assert_eq!(get(third, "name"), "the exporter reads the figures, \"too\" & <more>");
    assert_eq!((get(third, "classname").as_str(), get(third, "line").as_str()), ("<stdin>", "8"));
}

/// An element: its name and attributes.
type Element = (String, Vec<(String, String)>);

/// A small strict reader: panics where the text is no well-formed XML.
fn xml(text: &str) -> Vec<Element> {
    let plain = |text: &str| {
        assert!(!text.contains(['<', '>']), "{text}");
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            rest = &rest[at..];
            assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest.starts_with(entity)), "{rest}");
            rest = &rest[1..];
        }
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    };
    let (mut open, mut found, mut rest) = (Vec::new(), Vec::new(), text.split_once("?>").unwrap().1);
    while let Some((before, after)) = rest.split_once('<') {
        plain(before);
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, alone) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut pairs = Vec::new();
        while let Some((key, after)) = attributes.trim_start().split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap();
            pairs.push((key.to_owned(), plain(value)));
            attributes = after;
        }
        assert!(attributes.trim().is_empty(), "{attributes}");
        found.push((name.to_owned(), pairs));
        if !alone {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
    found
}

#[test]
fn only_what_is_asked_for() {
    let (code, out, _) = fed(&MIXED.replace(" # as ordered", ""), &["-f", FOLDER, "--filter", "payments reads"]);
    assert_eq!((code, out.as_str()), (0, "ok    payments reads the ledger\n1 assertion, none failed.\n"));
}

#[test]
fn the_examples_tests_hold() {
    for name in ["three-tier", "e-commerce"] {
        let folder = format!("examples/{name}");
        let output =
            palisade().args(["test", &format!("{folder}/policies.test.yaml"), "-f", &folder]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}

#[test]
fn a_starter() {
    let output = palisade().args(["test", "--init", "-f", FOLDER]).output().unwrap();
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}
