//! The command, run on folders of this repository.
#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `palisade`, in the repository's root, 80 columns wide.
pub(crate) fn palisade() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
    command.current_dir(root()).env("COLUMNS", "80").env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1");
    command
}

/// Everything it said.
pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("exit code {:?}\n{out}{err}", output.status.code())
}

/// Wants this exit code and all these words, wherever lines are broken.
#[track_caller]
pub(crate) fn wants(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(flat.contains(word), "it does not say {word:?}\n{said}");
    }
}

/// Whether this machine can have network namespaces of its own; says why not.
pub(crate) fn can_namespace() -> Result<(), String> {
    let found = Command::new("unshare").args(["--user", "--map-root-user", "--net", "true"]).output();
    let as_root = Command::new("unshare").args(["--net", "true"]).output();
    match (found, as_root) {
        (Ok(a), Ok(b)) if a.status.success() || b.status.success() => Ok(()),
        (Ok(a), _) => Err(String::from_utf8_lossy(&a.stderr).trim().to_owned()),
        (Err(error), _) => Err(format!("unshare: {error}")),
    }
}

/// The folders below `parent`, at any depth, that hold a `cluster.yaml`.
pub(crate) fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(parent) else { return found };
    for entry in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if entry.join("cluster.yaml").exists() {
            found.push(entry.clone());
        }
        found.extend(folders(&entry));
    }
    found.sort();
    found
}

/// What the names of an example resolve to: a line each in `resolve.txt`, where it is about names.
pub(crate) fn resolve(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("resolve.txt")).unwrap_or_default();
    text.lines().map(|line| format!("--resolve={line}")).collect()
}

/// A folder that is gone when this is.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// With these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("palisade-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        for (name, text) in files {
            std::fs::write(folder.0.join(name), text).unwrap();
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
