//! However a lab ends, nothing of it is left: no process, no named namespace, no link of the host's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use support::{Folder, can_namespace, palisade};

/// Pods to every port of every pod: enough to be in the middle of it for some seconds.
fn crowd() -> String {
    let mut text = String::from("apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n");
    for pod in 0..80 {
        let ports: Vec<String> = (1..=3).map(|port| format!("{{containerPort: {}}}", 80 * port)).collect();
        _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{pod}, labels: {{app: p}}}}\n\
             spec: {{nodeName: node-1, containers: [{{name: c, image: i, ports: [{}]}}]}}\n",
            ports.join(", ")
        );
    }
    text
}

/// What a lab could leave behind.
fn leftovers() -> (BTreeSet<String>, BTreeSet<String>) {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    (names("/run/netns"), names("/sys/class/net"))
}

/// The processes whose parent is `parent`.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.filter(|id| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()))
    })
    .collect()
}

/// The network namespaces of the processes that can be seen.
fn namespace_of(process: u32) -> Option<String> {
    Some(fs::read_link(format!("/proc/{process}/ns/net")).ok()?.display().to_string())
}

/// Whether `process` has entered a namespace and made pods in it.
fn is_in_the_middle(process: u32, own: &Option<String>) -> bool {
    let lab = namespace_of(process);
    lab.is_some() && lab != *own && fs::read_dir(format!("/proc/{process}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

fn ends_without_a_trace(signal: &str, wanted: i32) {
    if let Err(why) = can_namespace() {
        eprintln!("skipped: no lab here: {why}");
        return;
    }
    use std::os::unix::process::ExitStatusExt as _;
    let folder = Folder::with(&[("crowd.yaml", &crowd())]);
    let before = leftovers();
    let own = namespace_of(std::process::id());
    let mut lab = palisade()
        .args(["lab", "run", "-f"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_in_the_middle(lab.id(), &own) {
        assert!(lab.try_wait().unwrap().is_none(), "the lab ended before it was in the middle of anything");
        assert!(Instant::now() < patience, "the lab never began");
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(300));
    let children = children_of(lab.id());
    let sent = Command::new("kill").args([&format!("-{signal}"), &lab.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the lab was over before the signal: make the crowd larger");
    let status = lab.wait().unwrap();
    assert_eq!(status.signal(), Some(wanted), "{status:?}");

    let gone = |id: &u32| !Path::new(&format!("/proc/{id}")).exists();
    while !children.iter().all(gone) {
        assert!(Instant::now() < patience, "children are left: {children:?}");
        sleep(Duration::from_millis(10));
    }
    let after = leftovers();
    let new_names: Vec<&String> = after.0.difference(&before.0).collect();
    assert!(new_names.is_empty(), "named namespaces are left: {new_names:?}");
    let new_links: Vec<&String> = after.1.difference(&before.1).collect();
    assert!(new_links.is_empty(), "links are left: {new_links:?}");
}

#[test]
fn killed() {
    ends_without_a_trace("KILL", 9);
}

/// Whether this process was started with SIGINT ignored, as shells start what runs in the background:
/// what it starts ignores it too.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

#[test]
fn interrupted() {
    if ignores_interrupts() {
        eprintln!("skipped: SIGINT is ignored here, so nothing can be interrupted");
        return;
    }
    ends_without_a_trace("INT", 2);
}
