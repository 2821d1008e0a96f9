//! Which cluster is meant, and what is wrong with a kubeconfig.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

mod support;

use palisade_watch::{Access, Cluster, ReadError};
use support::Folder;

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: first
  cluster: {server: 'https://127.0.0.1:6443'}
users:
- name: jane
  user: {token: t}
contexts:
- name: one
  context: {cluster: first, user: jane, namespace: prod}
- name: two
  context: {cluster: first, user: jane}
- name: nobody
  context: {cluster: first, user: joe}
- name: nowhere
  context: {cluster: second, user: jane}
";

fn find(text: &str, context: Option<&str>) -> Result<Cluster, ReadError> {
    let folder = Folder::with("config", text);
    Access { kubeconfig: Some(folder.file("config")), context: context.map(str::to_owned) }.find()
}

#[track_caller]
fn wrong(text: &str, context: Option<&str>, words: &[&str]) {
    let error = find(text, context).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "does not say {word:?}: {error}");
    }
}

#[test]
fn the_current_context_or_another() {
    let cluster = find(KUBECONFIG, None).unwrap();
    assert_eq!((cluster.title.as_str(), cluster.namespace.as_str()), ("context one", "prod"));
    assert_eq!(cluster.prefix(), "context one: ");
    assert_eq!(find(KUBECONFIG, Some("two")).unwrap().namespace, "default");
}

#[test]
fn what_is_not_there_is_named() {
    wrong(KUBECONFIG, Some("three"), &["there is no context `three` in ", "it has one, two, nobody, nowhere"]);
    wrong(KUBECONFIG, Some("nobody"), &["the context `nobody` uses the user `joe`, which is not in "]);
    wrong(KUBECONFIG, Some("nowhere"), &["the context `nowhere` of ", "second"]);
    for current in ["current-context: ''\n", "\n"] {
        let text = KUBECONFIG.replace("current-context: one\n", current);
        wrong(&text, None, &["has no current-context: choose one with --context (it has one, two, nobody, nowhere)"]);
    }
    wrong("apiVersion: v1\nkind: Config\n", Some("one"), &["there is no context `one`", "it has no contexts"]);
}

#[test]
fn what_is_no_kubeconfig_is_told() {
    wrong("contexts: [", None, &["config is no kubeconfig that can be read: "]);
    wrong(&KUBECONFIG.replace("https://127.0.0.1:6443", "a b"), None, &["the context `one` of ", "cannot be used"]);
    wrong(&KUBECONFIG.replace("https://", ""), None, &["the server of the context `one` of ", "is `127.0.0.1:6443`"]);
    let access = Access { kubeconfig: Some("/nowhere/config".into()), context: None };
    let error = access.find().unwrap_err().to_string();
    assert_eq!(error, "no cluster to read: --kubeconfig names /nowhere/config, which does not exist");
}
