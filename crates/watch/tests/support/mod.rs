//! A folder for a kubeconfig, and the repository.
#![allow(dead_code, reason = "each test binary uses a part of this")]

pub(crate) mod follow;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A folder that is gone when this is.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// With one file.
    pub(crate) fn with(name: &str, text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = format!("palisade-watch-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&folder.0).unwrap();
        std::fs::write(folder.file(name), text).unwrap();
        folder
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
