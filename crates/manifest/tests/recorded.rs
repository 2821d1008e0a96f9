//! Inputs that were recorded elsewhere: other suites' clusters and policies, and what an API server
//! answered to `get`. All of them are good, so nothing may be found, and the cluster must be consistent.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a recorded input that cannot be read fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use palisade_manifest::{ReadOptions, read_paths, read_text};

fn folder(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded inputs at {}", folder.display());
    None
}

fn folders_with(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    if folder.join(name).is_file() {
        found.push(folder.to_path_buf());
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            folders_with(&path, name, found);
        }
    }
}

#[test]
fn other_suites_clusters_are_read_without_a_finding() {
    let Some(root) = folder("conformance") else { return };
    let mut cases = Vec::new();
    folders_with(&root, "cluster.yaml", &mut cases);
    assert!(cases.len() > 100);
    for case in &cases {
        // The folder has other JSON files too, which are no manifests.
        let files = [case.join("cluster.yaml"), case.join("policies.yaml")];
        let reading = read_paths(&files, &ReadOptions::default());
        for finding in reading.diagnostics.iter().filter(|finding| finding.is_error()) {
            // Some of these policies have names, or lack selectors, as a server refuses; they are understood all the same.
            assert!(!finding.leaves_out(), "{}: {finding:?}", case.display());
        }
        assert!(!reading.inventory.pods.is_empty(), "{}", case.display());
        // What is of no kind that is read is of the group of cluster-wide policies.
        for (version, kind) in reading.passed_over.keys() {
            assert!(version.starts_with("policy.networking.k8s.io/"), "{version} {kind}");
        }
        reading.inventory.into_cluster().unwrap_or_else(|conflicts| panic!("{}: {conflicts:?}", case.display()));
    }
    eprintln!("{} cases read", cases.len());
}

#[test]
fn a_servers_raw_lists_are_read() {
    let Some(root) = folder("api-traces") else { return };
    let read = |name: &str| {
        let text = fs::read_to_string(root.join(name)).unwrap();
        read_text(name, &text, &ReadOptions::default())
    };
    let namespaces = read("list-namespaces.body");
    assert_eq!(namespaces.diagnostics, []);
    assert!(namespaces.inventory.namespaces.len() > 3);
    assert!(namespaces.inventory.namespaces.iter().all(|ns| ns.labels.get("kubernetes.io/metadata.name").is_some()));

    let policies = read("list-networkpolicies.body");
    assert_eq!(policies.diagnostics, []);
    assert_eq!(policies.inventory.policies.len(), 1);
    let empty = read("list-networkpolicies-empty.body");
    assert_eq!(empty.diagnostics, []);

    // The first page says that more follow.
    let pods = read("list-pods-page-1.body");
    let codes: Vec<&str> = pods.diagnostics.iter().map(|d| &*d.code).collect();
    assert_eq!(codes, ["PARTIAL-LIST"]);
    assert!(!pods.has_errors());
    assert!(pods.inventory.pods.len() >= 2);
    let rest = read("list-pods-page-2.body");
    assert_eq!(rest.diagnostics, []);
}
