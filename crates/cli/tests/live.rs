//! The command without `-f`: the cluster of a kubeconfig, served by a fake API server on a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::process::{Command, Output};

use palisade_watch::{
    Resource,
    fake::{FakeServer, Fault},
};
use support::{Folder, palisade, root, said};

/// A server with the objects of an example, and a home folder with a kubeconfig of it.
struct Live {
    server: FakeServer,
    home: Folder,
}

impl Live {
    fn with(example: &str) -> Self {
        let server = FakeServer::start().unwrap();
        for name in ["cluster.yaml", "policies.yaml"] {
            server.apply(&std::fs::read_to_string(root().join("examples").join(example).join(name)).unwrap());
        }
        let home = Folder::with(&[("config", &server.kubeconfig("prod"))]);
        Self { server, home }
    }

    fn kubeconfig(&self) -> String {
        self.home.path().join("config").display().to_string()
    }

    fn command(&self) -> Command {
        let mut command = alone(palisade());
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Asks, and wants this exit code and all these words.
    #[track_caller]
    fn wants(&self, arguments: &[&str], code: i32, words: &[&str]) {
        wants(&self.ask(arguments), code, words);
    }
}

/// Without whatever this machine knows of clusters.
fn alone(mut command: Command) -> Command {
    for variable in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    command.env("HOME", "/nowhere");
    command
}

#[track_caller]
fn wants(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    // Where a line was broken does not matter.
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(flat.contains(word), "does not say {word:?}\n{said}");
    }
}

const THREE_TIER: &str = "examples/three-tier";

const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: x}}";

/// What is said of files and of the cluster, but for the places.
#[test]
fn answers_are_those_of_the_files() {
    let live = Live::with("three-tier");
    for question in [
        vec!["explain", "prod/frontend", "prod/database:5432", "-o", "json"],
        vec!["explain", "web/client", "prod/frontend:80"],
        vec!["verdicts", "--flows", "examples/three-tier/flows.tsv"],
        vec!["ruleset", "--node", "node-1"],
    ] {
        let from_files = palisade().args(&question).args(["-f", THREE_TIER]).output().unwrap();
        let from_cluster = live.ask(&question);
        assert_eq!(from_cluster.status.code(), from_files.status.code(), "{question:?}\n{}", said(&from_cluster));
        let verdict = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if question[0] == "explain" { text.lines().take(2).collect::<Vec<_>>().join("\n") } else { text }
        };
        assert_eq!(verdict(&from_cluster), verdict(&from_files), "{question:?}");
    }
}

#[test]
fn a_denial_points_at_the_line_of_an_object() {
    let live = Live::with("three-tier");
    live.wants(
        &["explain", "frontend", "database:5432"],
        1,
        &["DENIED prod/frontend -> prod/database TCP 5432", "networkpolicies/prod/database-policy:11"],
    );
    // The context's namespace stands for what names none; -n says otherwise.
    live.wants(&["explain", "client", "prod/frontend:80", "-n", "web"], 0, &["ALLOWED web/client"]);
    live.wants(&["explain", "frontend", "database:5432", "-A", "--context", "fake"], 1, &["DENIED"]);
}

#[test]
fn the_kubeconfig_can_be_given() {
    let live = Live::with("three-tier");
    let mut command = alone(palisade());
    let kubeconfig = live.kubeconfig();
    let output = command.args(["explain", "frontend", "database:5432", "--kubeconfig", &kubeconfig]).output().unwrap();
    wants(&output, 1, &["DENIED prod/frontend"]);
    live.wants(&["explain", "a", "b", "--context", "fake", "-f", THREE_TIER], 2, &["leave out one of the two"]);
    live.wants(&["explain", "a", "b", "--context", "other"], 2, &["there is no context `other` in", "it has fake"]);
}

#[test]
fn without_any_cluster_it_says_what_to_do() {
    let output = alone(palisade()).args(["explain", "a", "b:1"]).output().unwrap();
    wants(
        &output,
        2,
        &["error: no -f given and no cluster to read: KUBECONFIG is not set, /nowhere/.kube/config does not exist, \
             and this is no pod of a cluster (give files with -f, or a kubeconfig with --kubeconfig)"],
    );
    let output = alone(palisade()).env("KUBECONFIG", "/nowhere/a:/nowhere/b").args(["describe"]).output().unwrap();
    wants(&output, 2, &["KUBECONFIG names /nowhere/a, /nowhere/b, which does not exist"]);
    let output = alone(palisade()).args(["describe", "--kubeconfig", "/nowhere/c"]).output().unwrap();
    wants(&output, 2, &["--kubeconfig names /nowhere/c, which does not exist"]);
}

#[test]
fn missing_permissions_are_no_answer() {
    let live = Live::with("three-tier");
    live.server.fail(Fault::forbidden("pods"));
    live.server.fail(Fault::forbidden("networkpolicies"));
    for arguments in [&["describe"][..], &["describe", "--keep-going"]] {
        let output = live.ask(arguments);
        wants(
            &output,
            2,
            &["cannot list pods in all namespaces (403)", "cannot list networkpolicies.networking.k8s.io"],
        );
        let said = said(&output);
        assert!(output.stdout.is_empty(), "{said}");
        assert!(said.contains("\n         - apiGroups: [networking.k8s.io]\n"), "the rules can be copied:\n{said}");
    }
}

#[test]
fn cluster_policies_are_not_passed_over_in_silence() {
    let live = Live::with("three-tier");
    live.server.install(Resource {
        group: "policy.networking.k8s.io".into(),
        version: "v1alpha9".into(),
        plural: "futurenetworkpolicies".into(),
        kind: "FutureNetworkPolicy".into(),
        namespaced: false,
    });
    live.wants(&["explain", "frontend", "database:5432"], 1, &["DENIED"]);
    live.server
        .apply("{apiVersion: policy.networking.k8s.io/v1alpha9, kind: FutureNetworkPolicy, metadata: {name: x}}");
    live.wants(&["explain", "frontend", "database:5432"], 2, &["no answer without 1 FutureNetworkPolicy"]);
}

#[test]
fn check_looks_at_the_cluster() {
    let live = Live::with("three-tier");
    let folder = Folder::with(&[]);
    let output = live.command().current_dir(folder.path()).args(["check", "--fail-on", "never"]).output().unwrap();
    wants(&output, 0, &[" in context fake"]);
    let output = live.command().current_dir(folder.path()).args(["check", "--fix"]).output().unwrap();
    wants(&output, 2, &["nothing to fix", "a live cluster is only checked"]);
    // Files that the configuration names come first, a cluster that was named before them.
    let folder = Folder::with(&[("palisade.toml", "paths = [\"x.yaml\"]\n"), ("x.yaml", NAMESPACE)]);
    let check = |arguments: &[&str]| {
        let mut command = live.command();
        command.current_dir(folder.path()).args(["check", "--fail-on", "never"]).args(arguments).output().unwrap()
    };
    wants(&check(&[]), 0, &[" in 1 file"]);
    wants(&check(&["--context", "fake"]), 0, &[" in context fake"]);
}

#[test]
fn an_object_that_is_not_understood_is_shown_and_no_answer_given() {
    let live = Live::with("three-tier");
    live.server.apply(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: new, namespace: prod},
          spec: {podSelector: {}, ingress: [{fromNowhere: [{}]}]}}",
    );
    live.wants(
        &["explain", "frontend", "database:5432"],
        2,
        &["context fake: networkpolicies/prod/new:11:5", "fromNowhere", "no answer from an input with one mistake"],
    );
}

#[test]
fn as_a_plugin_of_kubectl() {
    let folder = Folder::with(&[]);
    let plugin = folder.path().join("kubectl-palisade");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_palisade"), &plugin).unwrap();
    let live = Live::with("three-tier");
    let run = |arguments: &[&str]| {
        let mut command = alone(Command::new(&plugin));
        let command = command.env("KUBECONFIG", live.kubeconfig()).env("COLUMNS", "80").env("NO_COLOR", "1");
        command.args(arguments).output().unwrap()
    };
    wants(&run(&["explain", "frontend", "database:5432"]), 1, &["DENIED prod/frontend"]);
    let help = run(&["explain", "--help"]);
    wants(&help, 0, &["Usage: kubectl palisade explain", " kubectl palisade explain prod/frontend"]);
    assert!(!said(&help).contains("\n  palisade "), "{}", said(&help));
    wants(&run(&["--help"]), 0, &["Usage: kubectl palisade <COMMAND>"]);
}

/// `diff -f NEW` compares the cluster with what it would be, as `kubectl diff` does: whatever NEW does
/// not name stays.
#[test]
fn a_change_beside_the_cluster() {
    let live = Live::with("change/before");
    let policies = "examples/change/after/policies.yaml";
    live.wants(
        &["diff", "-f", policies],
        1,
        &[
            "+ ecommerce/web -> ecommerce/redis TCP 6379",
            "redis-policy ingress[0] examples/change/after/policies.yaml:155",
            "- monitoring/prometheus -> ecommerce/api TCP 9090",
            "networkpolicies/ecommerce/api-policy:",
            "1 gained, 1 lost",
        ],
    );
    live.wants(&["diff", "-f", "examples/change/before/policies.yaml"], 0, &["No connection is gained or lost."]);
    // One policy alone changes what it names, and takes nothing else away.
    let one = Folder::with(&[(
        "one.yaml",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: monitoring}, \
         spec: {podSelector: {}, policyTypes: [Ingress]}}",
    )]);
    let one = one.path().display().to_string();
    // Its own node, and the pod itself, lose nothing: no policy is about them.
    let lost = "- ingress-nginx/controller, kube-system/kube-dns, monitoring/prometheus, node/node-1, outside -> \
                monitoring/grafana everything";
    live.wants(&["diff", "-f", &one], 1, &["0 gained, 2 lost", lost, "deny (ingress)"]);
    live.wants(&["connections", "--to", "ecommerce/postgres"], 0, &["ecommerce/api ecommerce/postgres TCP 5432"]);
}
