//! What `deploy/` would put into a cluster: read by our own reader, and held to what it promises.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{collections::BTreeSet, process::Command};

use palisade_watch::{Watched, fake};
use serde_json::{Value, json};
use support::{palisade, root, said};

const WAYS: [&str; 4] = ["deploy/base", "deploy/overlays/kind", "deploy/overlays/kubeadm", "deploy/overlays/k3s"];

/// The objects of one way to deploy, as kustomize makes them; only the base can be read without it.
fn built(folder: &str) -> Option<String> {
    let Err(why) = can_kustomize() else {
        let output = Command::new("kubectl").args(["kustomize", folder]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "kubectl kustomize {folder}: {}", said(&output));
        return Some(String::from_utf8(output.stdout).unwrap());
    };
    if folder != "deploy/base" {
        println!("skipped: {folder} was not read: {why}");
        return None;
    }
    println!("skipped: {folder} was not built: {why}; its files are read as they are");
    let file = |name: &str| std::fs::read_to_string(root().join(folder).join(name)).unwrap();
    Some(format!("{}\n---\n{}", file("rbac.yaml"), file("daemonset.yaml")))
}

/// Whether there is a kubectl whose kustomize knows components: 1.21 or newer.
fn can_kustomize() -> Result<(), String> {
    let output = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
    let output = output.map_err(|error| format!("kubectl: {error}"))?;
    let version: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("kubectl version: {error}"))?;
    let text = |field: &str| version["clientVersion"][field].as_str().unwrap_or_default().to_owned();
    let number = |text: String| text.trim_end_matches('+').parse::<u32>().unwrap_or_default();
    match (number(text("major")), number(text("minor"))) {
        (major, minor) if (major, minor) >= (1, 21) => Ok(()),
        (major, minor) => Err(format!("kubectl {major}.{minor} knows no components, 1.21 does")),
    }
}

fn all() -> Vec<(&'static str, String)> {
    WAYS.into_iter().filter_map(|folder| Some((folder, built(folder)?))).collect()
}

fn of_kind(text: &str, kind: &str) -> Vec<Value> {
    fake::objects(text).into_iter().filter(|object| object["kind"] == kind).collect()
}

fn daemon_set(text: &str) -> Value {
    let [daemon_set] = &of_kind(text, "DaemonSet")[..] else { panic!("one DaemonSet") };
    daemon_set["spec"]["template"]["spec"].clone()
}

fn containers(pod: &Value) -> Vec<Value> {
    let list = |field: &str| pod[field].as_array().cloned().unwrap_or_default();
    [list("initContainers"), list("containers")].concat()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn our_own_reader_finds_nothing_wrong() {
    for (folder, text) in all() {
        let home = support::Folder::with(&[("all.yaml", &text)]);
        let output = palisade().args(["check", "-f"]).arg(home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{folder}: {}", said(&output));
    }
}

#[test]
fn it_may_read_exactly_what_it_watches() {
    let resource = |watched: Watched| (watched.resource().group.to_string(), watched.resource().plural.to_string());
    let watched: BTreeSet<(String, String)> = Watched::ALL.into_iter().map(resource).collect();
    for (folder, text) in all() {
        let [role] = &of_kind(&text, "ClusterRole")[..] else { panic!("{folder}: one ClusterRole") };
        let (mut readable, mut others) = (BTreeSet::new(), Vec::new());
        for rule in role["rules"].as_array().unwrap() {
            let verbs = texts(&rule["verbs"]);
            for (group, plural) in texts(&rule["apiGroups"])
                .into_iter()
                .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |plural| (group, plural)))
            {
                match verbs.as_slice() {
                    ["get", "list", "watch"] => _ = readable.insert((group.to_owned(), plural.to_owned())),
                    verbs => others.push((group.to_owned(), plural.to_owned(), verbs.join(" "))),
                }
            }
        }
        assert_eq!(readable, watched, "{folder}");
        assert_eq!(others, [(String::new(), "nodes".to_owned(), "patch".to_owned())], "{folder}: the taint");
        // It is bound to whom the pods are.
        let [binding] = &of_kind(&text, "ClusterRoleBinding")[..] else { panic!("{folder}: one binding") };
        let account = &daemon_set(&text)["serviceAccountName"];
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"], "{folder}");
        assert_eq!(&binding["subjects"][0]["name"], account, "{folder}");
        assert_eq!(binding["subjects"][0]["namespace"], "kube-system", "{folder}");
        assert_eq!(&of_kind(&text, "ServiceAccount")[0]["metadata"]["name"], account, "{folder}");
    }
}

#[test]
fn no_container_can_do_more_than_it_needs() {
    for (folder, text) in all() {
        let pod = daemon_set(&text);
        assert_eq!(pod["hostNetwork"], true, "{folder}: the rules are the node's");
        for field in ["hostPID", "hostIPC"] {
            assert_ne!(pod[field], true, "{folder}: {field}");
        }
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{folder}");
        assert_eq!(pod["priorityClassName"], "system-node-critical", "{folder}");
        assert_eq!(pod["tolerations"], json!([{ "operator": "Exists" }]), "{folder}: every node");
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume.get("emptyDir").is_some(), "{folder}: nothing of the host: {volume}");
        }
        for container in containers(&pod) {
            let context = &container["securityContext"];
            let name = &container["name"];
            assert_eq!(context["capabilities"], json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }), "{folder} {name}");
            assert_eq!(context["privileged"], false, "{folder} {name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{folder} {name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{folder} {name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{folder} {name}");
        }
    }
}

#[test]
fn the_command_takes_every_argument() {
    for (folder, text) in all() {
        for container in containers(&daemon_set(&text)) {
            let arguments = texts(&container["args"]);
            let node = |argument: &str| argument.replace("$(NODE_NAME)", "worker-1");
            // Help is what is answered last: whatever cannot be parsed before it is told instead.
            let output = palisade().args(arguments.iter().map(|one| node(one))).arg("--help").output().unwrap();
            assert!(output.status.success(), "{folder} {arguments:?}: {}", said(&output));
            assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "spec.nodeName", "{folder}");
        }
    }
    // Those that components and overlays add, also where no kustomize puts them together.
    let files =
        ["components/closed-until-known", "components/metrics", "overlays/kind", "overlays/kubeadm", "overlays/k3s"];
    for folder in files {
        let text = std::fs::read_to_string(root().join("deploy").join(folder).join("kustomization.yaml")).unwrap();
        let mut added = text.lines().filter_map(|line| line.trim().strip_prefix("value: ")).peekable();
        assert!(added.peek().is_some(), "{folder} adds nothing");
        for argument in added {
            let output = palisade().args(["agent", argument, "--help"]).output().unwrap();
            assert!(output.status.success(), "{folder} {argument}: {}", said(&output));
        }
    }
    let output = palisade().args(["agent", "--no-such-argument", "--help"]).output().unwrap();
    assert!(!output.status.success(), "this test could not fail");
}

#[test]
fn where_nothing_runs_open_both_steps_hold() {
    for (folder, text) in all() {
        let pod = daemon_set(&text);
        let arguments = |list: &str| texts(&pod[list][0]["args"]).join(" ");
        if folder == "deploy/base" {
            assert_eq!(arguments("containers"), "agent --node=$(NODE_NAME)", "the base suits every cluster");
            continue;
        }
        assert_eq!(arguments("initContainers"), "agent init --node=$(NODE_NAME)", "{folder}");
        assert!(arguments("containers").contains("--unknown-pods=deny --pod-interface="), "{folder}");
        for container in containers(&pod) {
            assert_eq!(container["image"], pod["containers"][0]["image"], "{folder}: one image, one tag");
        }
    }
}

/// What is asked of the kubelet about probes is what the agent answers.
#[test]
fn probes_ask_where_the_agent_listens() {
    for (folder, text) in all() {
        let agent = daemon_set(&text)["containers"][0].clone();
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            let asked = &agent[probe]["httpGet"];
            // The default of --listen.
            assert_eq!(asked, &json!({ "host": "127.0.0.1", "path": path, "port": 9402 }), "{folder} {probe}");
        }
    }
}
