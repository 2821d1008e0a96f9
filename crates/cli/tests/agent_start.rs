//! The start of a node: closed by the init step, then by the agent until it knows the pods; the taint goes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use libtest_mimic::{Arguments, Failed, Trial};
use palisade_engine::PolicyProgram;
use palisade_linux::sandbox::Sandbox;
use palisade_manifest::{ReadOptions, read_text};
use palisade_nftables::{
    netlink::{Kernel, Snapshot},
    plan::{LocalPrefixes, Options, UnknownPods, closed, plan},
    ruleset::Ruleset,
};
use palisade_watch::{Watched, fake::FakeServer};
use support::{Folder, palisade, said};

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec:
  podCIDR: 10.244.1.0/24
  podCIDRs: [10.244.1.0/24, 'fd00:1::/64']
  taints:
  - {key: palisade.dev/agent-not-ready, effect: NoSchedule}
  - {key: example.com/other, effect: NoSchedule}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no start of a node was tried: {error}");
    }
    let run = |name: &str, test: fn()| {
        let trial = Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        });
        trial.with_ignored_flag(entered.is_err())
    };
    let trials =
        vec![run("a_node_starts_closed", a_node_starts_closed), run("what_does_not_fit_is_told", what_does_not_fit)];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn pod(name: &str, address: &str) -> String {
    format!(
        "\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{nodeName: n1, containers: [{{name: c}}]}}\nstatus: {{phase: Running, podIP: {address}}}\n"
    )
}

/// A server with the node and these objects, and a kubeconfig for it.
fn served(objects: &str) -> (FakeServer, Folder, String) {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success());
    let server = FakeServer::start().unwrap();
    server.apply(&format!("{NODE}{objects}"));
    let home = Folder::with(&[("config", &server.kubeconfig("default"))]);
    let kubeconfig = home.path().join("config").display().to_string();
    (server, home, kubeconfig)
}

fn command(arguments: &[&str], kubeconfig: &str) -> Command {
    let mut command = palisade();
    command.arg("agent").args(arguments).args(["--kubeconfig", kubeconfig]);
    for variable in ["HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    command
}

/// The agent of n1, killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str], kubeconfig: &str) -> Self {
        let mut command = command(&["--node", "n1", "--listen", "127.0.0.1:9403"], kubeconfig);
        Self(command.args(arguments).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn init(arguments: &[&str], kubeconfig: &str) -> Output {
    command(&[&["init"], arguments].concat(), kubeconfig).output().unwrap()
}

fn snapshot() -> Snapshot {
    Kernel::open().unwrap().snapshot().unwrap()
}

fn closed_at_first() -> Ruleset {
    let prefixes = ["10.244.1.0/24", "fd00:1::/64"].map(|prefix| prefix.parse::<IpNet>().unwrap());
    closed(&prefixes.into_iter().collect(), Options::default().log)
}

/// What n1 should have for these objects, with unknown pods denied.
fn wanted(objects: &str) -> Ruleset {
    let text = format!("{NODE}{objects}");
    let cluster = read_text("t", &text, &ReadOptions::default()).inventory.into_cluster().unwrap();
    let options = Options { unknown_pods: UnknownPods::Deny(LocalPrefixes::OfNode), ..Options::default() };
    plan(&cluster, &PolicyProgram::compile(&cluster), cluster.find_node("n1").unwrap(), &options).ruleset
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What /readyz answers; nothing while nobody listens.
fn readyz() -> String {
    let Ok(mut stream) = TcpStream::connect("127.0.0.1:9403") else { return String::new() };
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    _ = stream.read_to_string(&mut answer);
    answer
}

fn taints(server: &FakeServer) -> Vec<String> {
    let nodes = server.objects(&Watched::Nodes.resource());
    let taints = nodes[0]["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().map(|taint| taint["key"].as_str().unwrap().to_owned()).collect()
}

fn a_node_starts_closed() {
    let objects = pod("web", "10.244.1.2");
    let (server, _home, kubeconfig) = served(&objects);
    // Before anything is known: nothing gets through, and no agent was here.
    let output = init(&["--node", "n1"], &kubeconfig);
    assert!(output.status.success() && said(&output).contains("10.244.1.0/24, fd00:1::/64"), "{}", said(&output));
    assert_eq!(snapshot().differences(&closed_at_first()), Vec::<String>::new());
    let again = init(&["--pod-cidr", "10.9.0.0/16"], "/nowhere");
    assert!(again.status.success() && said(&again).contains("already"), "{}", said(&again));
    assert_eq!(snapshot().differences(&closed_at_first()), Vec::<String>::new());
    assert_eq!(taints(&server).len(), 2, "it is the agent that takes it away");

    // The agent goes on from there, and lets in who is known.
    let agent = Running::start(&["--unknown-pods=deny"], &kubeconfig);
    let is = |wanted: &Ruleset| snapshot().differences(wanted).is_empty();
    eventually("web is known", || is(&wanted(&objects)));
    eventually("the taint goes", || taints(&server) == ["example.com/other"]);
    assert!(readyz().contains("200 OK"));
    let objects = format!("{objects}{}", pod("db", "10.244.1.3"));
    server.apply(&pod("db", "10.244.1.3"));
    eventually("db is known", || is(&wanted(&objects)));

    // Its restart, with its init step, changes nothing.
    drop(agent);
    let output = init(&["--node", "n1"], &kubeconfig);
    assert!(output.status.success(), "{}", said(&output));
    assert!(is(&wanted(&objects)), "an agent's restart never drops what is allowed");
    let output = palisade().args(["agent", "cleanup"]).output().unwrap();
    assert!(output.status.success() && !snapshot().exists, "{}", said(&output));
}

fn what_does_not_fit() {
    let (server, _home, kubeconfig) = served(&pod("far", "10.9.0.1"));
    let agent = Running::start(&["--unknown-pods=deny"], &kubeconfig);
    let told = || {
        let answer = readyz();
        answer.contains("503") && answer.contains("Pod default/far of this node has the address 10.9.0.1")
    };
    eventually("it refuses to start", told);
    assert!(!snapshot().exists && taints(&server).len() == 2, "{}", readyz());
    drop(agent);
    for (arguments, why) in [
        (&["init", "--node", "nobody"][..], "has no node nobody"),
        (&["init", "--pod-cidr", "10.244.1.7/24"], "write 10.244.1.0/24"),
        (&["init", "--pod-cidr", "10.244.1.0"], "written as 10.244.1.0/24"),
        (&["init"], "--pod-cidr"),
        (&["--node", "n1", "--pod-cidr", "10.244.1.0/24"], "--unknown-pods=deny"),
        (&["--node", "n1", "--pod-interface", "veth*"], "1 to 15 letters"),
    ] {
        let output = command(arguments, &kubeconfig).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", said(&output));
        assert!(said(&output).contains(why), "{arguments:?} {}", said(&output));
    }
    server.apply("{apiVersion: v1, kind: Node, metadata: {name: n2}}");
    let output = init(&["--node", "n2"], &kubeconfig);
    assert!(output.status.code() == Some(2) && said(&output).contains("has no podCIDR"), "{}", said(&output));
    assert!(!snapshot().exists, "nothing was written");
}
