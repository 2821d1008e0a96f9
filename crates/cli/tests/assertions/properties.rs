//! What --init writes holds and is tight, and single answers are the oracle's, on random clusters.

use palisade_engine::model::{Cluster, Endpoint, Family, Flow, Pod, PodId, Protocol, Side, Traffic};
use palisade_oracle::{
    Answer, answer,
    generate::{Generator, flow_text},
    yaml::to_yaml,
};
use serde_json::Value;

use super::{
    FOLDER, HEAD, fed,
    support::{Folder, folders, palisade, root, said},
};

/// Writes a starter for a folder and runs it; how many assertions it has.
fn round_trip(folder: &std::path::Path, what: &str) -> usize {
    let output = palisade().args(["test", "--init", "-f"]).arg(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{what}\n{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let input = folder.display().to_string();
    let (code, out, err) = fed(&text, &["-o", "json", "-f", &input]);
    if text.contains("tests: []") {
        assert!(code == 2 && err.contains("asserts nothing"), "{what}\n{err}");
        return 0;
    }
    assert_eq!(code, 0, "{what}\n{text}\n{out}{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    answer["tests"].as_array().unwrap().iter().map(|test| test["assertions"].as_array().unwrap().len()).sum()
}

#[test]
fn what_init_writes_holds() {
    for folder in folders(&root().join("examples")) {
        assert!(round_trip(&folder, &folder.display().to_string()) > 0 || folder.ends_with("none"), "{folder:?}");
    }
    assert!(round_trip(&root().join(FOLDER), FOLDER) > 4);
}

#[test]
fn what_init_writes_of_random_clusters_holds() {
    let mut assertions = 0;
    for seed in 0..150 {
        let folder = Folder::with(&[("all.yaml", &to_yaml(&Generator::new(seed).cluster()))]);
        assertions += round_trip(folder.path(), &format!("seed {seed}"));
    }
    assert!(assertions > 500, "{assertions}");
}

/// Whether two pods may have a connection, over every family that both have.
fn oracle(cluster: &Cluster, from: PodId, to: PodId, traffic: Traffic) -> Vec<Answer> {
    let has = |pod: PodId, family| {
        let addresses = cluster.pod(pod).addresses;
        addresses.of(family).is_some() || addresses.iter().next().is_none()
    };
    let side =
        |pod: PodId, family| Side { endpoint: Endpoint::Pod(pod), address: cluster.pod(pod).addresses.of(family) };
    let families = Family::ALL.into_iter().filter(|family| has(from, *family) && has(to, *family));
    let flows = families.map(|family| Flow::new(side(from, family), side(to, family), traffic).unwrap());
    flows.map(|flow| answer(cluster, &flow)).collect()
}

#[test]
fn allow_and_deny_are_what_the_oracle_says() {
    let mut seen = [0; 3];
    for seed in 1000..1060 {
        let cluster = Generator::new(seed).cluster();
        let is_end = |pod: &Pod| pod.is_live() && !pod.host_network && !pod.stand_in;
        let pods: Vec<PodId> = cluster.pods().filter(|(_, pod)| is_end(pod)).map(|(id, _)| id).collect();
        let traffic = [
            ("80", Traffic::Port(Protocol::Tcp, 80)),
            ("53/udp", Traffic::Port(Protocol::Udp, 53)),
            ("8080", Traffic::Port(Protocol::Tcp, 8080)),
            ("icmp", Traffic::Portless),
        ];
        let (mut text, mut expected) = (format!("{HEAD}tests:\n"), Vec::new());
        for from in &pods {
            // Of two whose family is not known, the oracle does not ask one after the other.
            let has_address = |pod: &PodId| cluster.pod(*pod).addresses.iter().next().is_some();
            for to in pods.iter().filter(|to| *to != from && (has_address(to) || has_address(from))) {
                for (port, traffic) in traffic {
                    let name = |pod: &PodId| {
                        let id = &cluster.pod(*pod).id;
                        format!("{}/pod/{}", id.namespace, id.name)
                    };
                    for form in ["allow", "deny"] {
                        text.push_str(&format!(
                            "- {{name: x, {form}: {{from: \"{}\", to: \"{}\", ports: [{port}]}}}}\n",
                            name(from),
                            name(to)
                        ));
                    }
                    let outcomes = oracle(&cluster, *from, *to, traffic);
                    outcomes.iter().for_each(|outcome| seen[*outcome as usize] += 1);
                    let all = |wanted| !outcomes.is_empty() && outcomes.iter().all(|outcome| *outcome == wanted);
                    expected.extend([all(Answer::Allow), all(Answer::Deny)]);
                }
            }
        }
        if expected.is_empty() {
            continue;
        }
        let folder = Folder::with(&[("all.yaml", &to_yaml(&cluster))]);
        let (_, out, err) = fed(&text, &["-o", "json", "-f", &folder.path().display().to_string()]);
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("seed {seed}\n{err}"));
        let passed: Vec<bool> =
            answer["tests"].as_array().unwrap().iter().map(|test| test["passed"].as_bool().unwrap()).collect();
        for ((passed, expected), line) in passed.into_iter().zip(expected).zip(text.lines().skip(3)) {
            assert_eq!(passed, expected, "seed {seed}: {line}");
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

/// A starter is tight: take any policy away, and where that gains connections, some test fails.
#[test]
fn what_init_writes_fails_once_more_is_allowed() {
    let mut gained = 0;
    for folder in folders(&root().join("examples")) {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let (cluster, policies) = (read("cluster.yaml"), read("policies.yaml"));
        let before = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", &policies)]);
        let starter = palisade().args(["test", "--init", "-f"]).arg(before.path()).output().unwrap();
        let starter = String::from_utf8(starter.stdout).unwrap();
        let documents: Vec<&str> = policies.split("\n---\n").collect();
        for index in 0..documents.len() {
            let mut left = documents.clone();
            let removed = left.remove(index);
            let after = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", &left.join("\n---\n"))]);
            let diff = palisade().args(["diff", "-o", "json"]).args([before.path(), after.path()]).output().unwrap();
            let diff: Value = serde_json::from_slice(&diff.stdout).unwrap_or_else(|_| panic!("{}", said(&diff)));
            let more = !diff["gained"].as_array().unwrap().is_empty();
            let (code, out, err) = fed(&starter, &["-f", &after.path().display().to_string()]);
            assert_eq!(code == 1, more, "{folder:?} without\n{removed}\n{starter}\n{out}{err}");
            gained += usize::from(more);
        }
    }
    assert!(gained > 15, "{gained}");
}

/// `only` and `onlyTo` fail where the oracle knows of anybody else: another pod, a node, an address outside.
#[test]
fn nobody_else_is_what_the_oracle_says() {
    let mut broken = 0;
    for seed in 2000..2080 {
        let generator = Generator::new(seed);
        let cluster = generator.cluster();
        let name = |pod: PodId| {
            let id = &cluster.pod(pod).id;
            format!("\"{}/pod/{}\"", id.namespace, id.name)
        };
        let is_end = |pod: &Pod| pod.is_live() && !pod.host_network && !pod.stand_in;
        let pods: Vec<PodId> = cluster.pods().filter(|(_, pod)| is_end(pod)).map(|(id, _)| id).collect();
        let mut text = format!("{HEAD}tests:\n");
        for flow in generator.flows(&cluster, 150) {
            let port = match flow.traffic() {
                Traffic::Port(_, 0) => continue,
                Traffic::Port(protocol, port) => format!("{port}/{protocol}"),
                Traffic::Portless => "icmp".to_owned(),
            };
            let is_exempt = match (flow.from().endpoint, flow.to().endpoint) {
                (Endpoint::Pod(a), Endpoint::Pod(b)) => a == b,
                (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
                    cluster.node_of(pod) == Some(node)
                }
                _ => false,
            };
            // Who has only an address of the other family has no such connection.
            let is_of_other_family = |side: Side| match side.endpoint {
                Endpoint::Pod(pod) => side.address.is_none() && cluster.pod(pod).addresses.iter().next().is_some(),
                Endpoint::Node(node) => side.address.is_none() && !cluster.node(node).addresses.is_empty(),
                Endpoint::Outside => side.address.is_none(),
            };
            if is_of_other_family(flow.from()) || is_of_other_family(flow.to()) {
                continue;
            }
            if is_exempt || answer(&cluster, &flow) != Answer::Allow {
                continue;
            }
            let (from_end, to_end) = (flow.from().endpoint, flow.to().endpoint);
            let flow = {
                let text = flow_text(&cluster, &flow);
                format!("\"{text}\"")
            };
            let other = |not: Endpoint| pods.iter().copied().find(|pod| Endpoint::Pod(*pod) != not);
            if let (Endpoint::Pod(to), Some(other)) = (to_end, other(from_end))
                && pods.contains(&to)
            {
                let (from, to) = (name(other), name(to));
                text.push_str(&format!("- {{name: {flow}, only: {{from: {from}, to: {to}, ports: [{port}]}}}}\n"));
            }
            if let (Endpoint::Pod(from), Some(other)) = (from_end, other(to_end))
                && pods.contains(&from)
            {
                let (from, to) = (name(from), name(other));
                text.push_str(&format!("- {{name: {flow}, onlyTo: {{from: {from}, to: {to}, ports: [{port}]}}}}\n"));
            }
        }
        if text.lines().count() == 3 {
            continue;
        }
        let folder = Folder::with(&[("all.yaml", &to_yaml(&cluster))]);
        let (_, out, err) = fed(&text, &["-o", "json", "-f", &folder.path().display().to_string()]);
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("seed {seed}\n{err}"));
        for (test, line) in answer["tests"].as_array().unwrap().iter().zip(text.lines().skip(3)) {
            let kind = &test["assertions"][0]["failures"][0]["kind"];
            assert!(kind == "allowed" || kind == "not-certain", "seed {seed}: {line}\n{test}");
            broken += 1;
        }
    }
    assert!(broken > 1000, "{broken}");
}
