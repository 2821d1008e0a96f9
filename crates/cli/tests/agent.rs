//! The agent, whole: `palisade agent` in a network namespace of its own, reading from a fake API server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_engine::PolicyProgram;
use palisade_linux::sandbox::Sandbox;
use palisade_manifest::{ReadOptions, read_text};
use palisade_nftables::{
    netlink::{Kernel, Snapshot},
    plan::{Options, plan},
    ruleset::Ruleset,
};
use palisade_watch::fake::FakeServer;
use support::{Folder, palisade, root};

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: the agent was not run: {error}");
    }
    let run = |name: &str, test: fn()| {
        let trial = Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        });
        trial.with_ignored_flag(entered.is_err())
    };
    let trials = vec![run("the_table_follows_the_cluster", the_table_follows_the_cluster)];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The agent of node-1, killed when this is dropped.
struct Running(Child);

impl Running {
    /// In a folder with a `config`; its log is `log` there, and its flow socket `flows.sock`.
    fn start(home: &Path) -> Self {
        let mut command = palisade();
        command.args(["agent", "--node", "node-1", "--listen", "127.0.0.1:9402", "--log-format", "json"]);
        command.arg("--kubeconfig").arg(home.join("config")).arg("--flow-socket").arg(home.join("flows.sock"));
        for variable in ["HTTP_PROXY", "http_proxy"] {
            command.env_remove(variable);
        }
        let log = File::options().append(true).create(true).open(home.join("log")).unwrap();
        Self(command.stderr(log).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join("examples/change").join(file)).unwrap()
}

/// What node-1 should have for these manifests.
fn wanted(manifests: &str) -> Ruleset {
    let cluster = read_text("t", manifests, &ReadOptions::default()).inventory.into_cluster().unwrap();
    let node = cluster.find_node("node-1").unwrap();
    plan(&cluster, &PolicyProgram::compile(&cluster), node, &Options::default()).ruleset
}

fn snapshot() -> Snapshot {
    Kernel::open().unwrap().snapshot().unwrap()
}

/// Waits until the kernel has just that.
#[track_caller]
fn becomes(ruleset: &Ruleset) {
    let begin = Instant::now();
    loop {
        let snapshot = snapshot();
        let differences = if snapshot.exists { snapshot.differences(ruleset) } else { vec!["no table".to_owned()] };
        if differences.is_empty() {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{differences:#?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The status line that /readyz answers with.
fn readyz() -> String {
    let begin = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect("127.0.0.1:9402") {
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = String::new();
            _ = stream.read_to_string(&mut answer);
            return answer.lines().next().unwrap_or_default().to_owned();
        }
        assert!(begin.elapsed() < PATIENCE, "nobody answers");
        thread::sleep(Duration::from_millis(20));
    }
}

fn the_table_follows_the_cluster() {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success());
    let cluster = text("before/cluster.yaml");
    let (before, after) = (text("before/policies.yaml"), text("after/policies.yaml"));
    let with = |policies: &str| wanted(&format!("{cluster}\n---\n{policies}"));
    let server = FakeServer::start().unwrap();
    server.apply(&cluster);
    server.apply(&before);
    let home = Folder::with(&[("config", &server.kubeconfig("default"))]);
    let agent = Running::start(home.path());
    becomes(&with(&before));
    let begin = Instant::now();
    while !readyz().contains("200") {
        assert!(begin.elapsed() < PATIENCE, "{}", readyz());
        thread::sleep(Duration::from_millis(20));
    }
    // Nothing was denied yet, and its flow log says so.
    let asked = palisade().args(["flows", "--socket"]).arg(home.path().join("flows.sock")).output().unwrap();
    assert_eq!((asked.status.code(), asked.stdout.is_empty()), (Some(1), true), "{}", support::said(&asked));
    // A change, with the watches cut in the middle of it.
    server.cut_watches();
    server.apply(&after);
    becomes(&with(&after));
    // Killed, it changes nothing; back, it takes up what changed meanwhile.
    agent.kill();
    assert_eq!(snapshot().differences(&with(&after)), Vec::<String>::new());
    server.apply(&before);
    let agent = Running::start(home.path());
    becomes(&with(&before));
    agent.kill();
    let log = std::fs::read_to_string(home.path().join("log")).unwrap();
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for message in ["started", "synced", "ready", "watch trouble"] {
        assert!(events.iter().any(|event| event["message"] == message), "{message}: {log}");
    }

    let output = palisade().args(["agent", "cleanup"]).output().unwrap();
    assert!(output.status.success(), "{}", support::said(&output));
    assert!(!snapshot().exists);
}
