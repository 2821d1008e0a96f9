//! `palisade flows`: a file, standard input, a file that grows and is rotated away, a socket, and what is no line.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail as tests do")]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Output, Stdio},
};

use support::{Folder, palisade, root, said};

fn recorded() -> String {
    fs::read_to_string(root().join("docs/reference/flows.jsonl")).unwrap()
}

fn flows(arguments: &[&str]) -> Output {
    palisade().arg("flows").args(arguments).output().unwrap()
}

/// What was printed as JSON lines.
fn printed(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A command that goes on, and its lines.
struct Following(Child, BufReader<std::process::ChildStdout>);

impl Following {
    fn start(arguments: &[&str]) -> Self {
        let mut command = palisade();
        command.args(["flows", "-o", "jsonl", "-f"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Self(child, BufReader::new(stdout))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn filters_choose_lines_and_leave_them_as_they_were() {
    let all = recorded();
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let file = "docs/reference/flows.jsonl";
    for (arguments, wanted) in [
        (&[][..], &[0, 1, 2, 3][..]),
        (&["--denied"], &[0, 2, 3]),
        (&["--accepted"], &[1]),
        (&["--to", "prod/database-0", "--port", "5432"], &[0, 1, 2]),
        (&["--from", "ns/web", "--from", "outside"], &[2, 3]),
        (&["--from", "10.244.1.0/24", "--denied", "--to", "sts/database"], &[0, 2]),
        (&["--port", "53/udp"], &[3]),
        (&["-n", "2"], &[2, 3]),
        (&["-n", "1", "--denied", "--to", "database"], &[2]),
        (&["--port", "53/tcp"], &[]),
    ] {
        let output = flows(&[&[file, "-o", "jsonl"], arguments].concat());
        let text: String = wanted.iter().map(|index| lines[*index]).collect();
        assert_eq!(printed(&output), text, "{arguments:?}");
        assert_eq!(output.status.code(), Some(i32::from(wanted.is_empty())), "{arguments:?}");
    }
}

#[test]
fn standard_input_and_the_mark_of_what_is_missing() {
    let mut command = palisade();
    command.args(["flows", "-", "--denied"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let text = format!("{}\n{{\"v\":1,\"lost\":3}}\n", recorded());
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("3 lines are missing here") && output.status.success(), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("DENIED")).count(), 3);
}

#[test]
fn what_is_no_line_is_said_and_the_rest_shown() {
    let folder = Folder::with(&[("log", &format!("nonsense\n{}", recorded().replacen("\"v\":1", "\"v\":9", 1)))]);
    let file = folder.path().join("log").display().to_string();
    let output = flows(&[&file]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("log:1: this is no line of a flow log"), "{text}");
    assert!(text.contains("log:2: this line is of version 9"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("DENIED")).count(), 2);
    for (arguments, wanted) in [
        (&["no/such/file"][..], "there is no such file"),
        (&["--socket", "/no/such/socket"], "no agent has its socket"),
        (&["--to", "svc/db"], "a packet goes to a pod behind the Service"),
        (&["--port", "http"], "a line has numbers"),
    ] {
        let output = flows(arguments);
        let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(2) && text.contains(wanted), "{text}");
    }
}

#[test]
fn a_followed_file_is_read_on_when_it_grows_and_when_it_is_rotated_away() {
    let all = recorded();
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let folder = Folder::with(&[("log", lines[0])]);
    let path = folder.path().join("log");
    let append = |text: &str| {
        fs::OpenOptions::new().append(true).create(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let mut following = Following::start(&[path.to_str().unwrap()]);
    assert_eq!(following.line(), lines[0]);
    // A line in two pieces.
    let (head, tail) = lines[1].split_at(40);
    append(head);
    append(tail);
    assert_eq!(following.line(), lines[1]);
    fs::rename(&path, folder.path().join("log.1")).unwrap();
    append(lines[2]);
    assert_eq!(following.line(), lines[2]);
}

#[test]
fn a_socket_tells_what_was_last_and_then_what_comes() {
    let all = recorded();
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let folder = Folder::with(&[]);
    let path = folder.path().join("s");
    let socket = UnixListener::bind(&path).unwrap();
    let tell = |text: &str| {
        let (mut reader, _) = socket.accept().unwrap();
        reader.write_all(text.as_bytes()).unwrap();
        reader
    };
    let mark = "{\"v\":1,\"caughtUp\":true}\n";
    let arguments = ["--socket", Path::new(&path).to_str().unwrap(), "-n", "1"];
    let mut following = Following::start(&arguments);
    let mut agent = tell(&format!("{}{}{mark}", lines[0], lines[1]));
    assert_eq!(following.line(), lines[1]);
    agent.write_all(lines[2].as_bytes()).unwrap();
    assert_eq!(following.line(), lines[2]);
    // The agent's end is no answer.
    drop(agent);
    assert_eq!(following.line(), "");
    assert_eq!(following.0.wait().unwrap().code(), Some(2));
    // Without --follow it ends at the mark.
    let asking = std::thread::spawn(move || {
        let path = path.display().to_string();
        flows(&["-o", "jsonl", "--socket", &path])
    });
    let agent = tell(&format!("{}{mark}{}", lines[0], lines[1]));
    let output = asking.join().unwrap();
    assert_eq!((printed(&output).as_str(), output.status.code()), (lines[0], Some(0)));
    drop(agent);
}

const HUBBLE: &str = "docs/reference/flows.hubble.jsonl";
const CALICO: &str = "docs/reference/flows.calico.jsonl";

#[test]
fn several_files_come_in_the_order_of_their_times() {
    let all = recorded();
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let lost = "{\"v\":1,\"lost\":3}\n";
    // A line without a time belongs behind the one before it.
    let first = [lines[0], lines[3]].concat();
    let second = [lines[1], lost, lines[2]].concat();
    let folder = Folder::with(&[("a", &first), ("b", &second), ("empty", "")]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (a, b, empty) = (path("a"), path("b"), path("empty"));
    let merged = flows(&[&a, &empty, &b, "-o", "jsonl"]);
    assert_eq!(printed(&merged), [lines[0], lines[1], lost, lines[2], lines[3]].concat());
    let last = flows(&[&b, &a, "-o", "jsonl", "-n", "1"]);
    assert_eq!(printed(&last), lines[3]);
    for arguments in [&[a.as_str(), b.as_str(), "-f"][..], &["-", "-"], &[&a, "-o", "json"], &[&a, "--fold", "-f"]] {
        assert_eq!(flows(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn folded_is_one_line_a_connection_and_folds_again() {
    let folded = flows(&["docs/reference/flows.jsonl", HUBBLE, CALICO, "--fold", "-o", "jsonl"]);
    assert_eq!(folded.status.code(), Some(0), "{}", said(&folded));
    assert!(said(&folded).contains("replies (1)"), "{}", said(&folded));
    let text = String::from_utf8(folded.stdout).unwrap();
    let database = r#"{"v":1,"connection":{"src":{"namespace":"prod","workload":"deploy/frontend"},"dst":{"namespace":"prod","workload":"sts/database"},"protocol":"TCP","port":5432,"egress":1,"ingress":0,"deniedEgress":1,"deniedIngress":0,"wouldDeny":1,"first":"2026-03-01T12:00:00.25Z","last":"2026-03-02T09:00:02Z"}}"#;
    let dns = r#"{"v":1,"connection":{"src":{"namespace":"prod","workload":"deploy/backend"},"dst":{"namespace":"kube-system","workload":"deploy/coredns"},"protocol":"UDP","port":53,"egress":37,"ingress":0,"deniedEgress":0,"deniedIngress":0,"wouldDeny":0,"first":"2026-03-02T10:00:00Z","last":"2026-03-02T10:05:00Z"}}"#;
    for wanted in [database, dns] {
        assert!(text.lines().any(|line| line == wanted), "{text}");
    }
    let folder = Folder::with(&[("seen", &text)]);
    let seen = folder.path().join("seen").display().to_string();
    let again = flows(&[&seen, "--fold", "-o", "jsonl"]);
    assert_eq!(printed(&again), text);
    // The filters choose lines before they are folded.
    let denied = flows(&["docs/reference/flows.jsonl", HUBBLE, "--fold", "--denied", "-o", "tsv"]);
    let table = String::from_utf8(denied.stdout).unwrap();
    let row =
        "prod/deploy/frontend\tprod/sts/database\tTCP\t5432\t0\t1\t0\t2026-03-01T12:00:00.25Z\t2026-03-01T12:00:00.25Z";
    assert!(table.lines().any(|line| line == row) && table.lines().count() == 5, "{table}");
}

#[test]
fn what_a_fold_leaves_out_is_told() {
    let broken = recorded().replacen("10.244.2.9", "10.244.2", 1);
    let folder = Folder::with(&[("log", &broken)]);
    let log = folder.path().join("log").display().to_string();
    let output = flows(&[&log, "--fold", "-o", "json"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("log:1: this is no line of a flow log: `dst.ip`: invalid IP address syntax"), "{text}");
    assert!(text.contains("1 line could not be read: left out of this answer"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["connections"].as_array().unwrap().len(), 3);
    assert_eq!((&json["read"]["unreadable"], &json["read"]["flows"]), (&1.into(), &3.into()));
    let full = flows(&["docs/reference/flows.jsonl", "--fold", "--max-connections", "2"]);
    let text = said(&full);
    assert_eq!(full.status.code(), Some(2), "{text}");
    assert!(text.contains("2 lines are of connections that found no room"), "{text}");
    let none = flows(&["docs/reference/flows.jsonl", "--fold", "--port", "1"]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
}

/// A file that is no flow log at all does not fill the screen.
#[test]
fn of_many_lines_that_are_none_a_few_are_told() {
    let readme = root().join("README.md");
    let output = flows(&[readme.to_str().unwrap()]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("this is no line of a flow log").count(), 10, "{text}");
    assert!(text.contains("more lines could not be read"), "{text}");
}
