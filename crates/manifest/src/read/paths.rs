//! From a path on the command line to the files to read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Reader;
use crate::diagnostic::{Diagnostic, code};

/// What a manifest's name ends with.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What findings call standard input.
pub(super) const STDIN: &str = "<stdin>";

/// Folders inside each other that are followed.
const MAX_FOLDERS: usize = 64;

impl Reader<'_> {
    /// Reads a file, a folder, or `-`.
    pub(super) fn path(&mut self, path: &Path) {
        if path.as_os_str() == "-" {
            return self.stdin();
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(_) => self.file(path),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn folder(&mut self, path: &Path) {
        let mut found = Found::default();
        self.files_of(path, 0, &mut found);
        if found.files.is_empty() && found.whole {
            let message = format!("no file that ends in .yaml, .yml or .json in {}", path.display());
            let mut finding = Diagnostic::error(code::INPUT, message);
            if found.excluded {
                finding = finding.help("something in it is left out by `exclude` of the configuration");
            }
            if found.folders && !self.options.recursive {
                finding = finding.help("there are folders in it: -R reads those too");
            }
            self.keep(finding);
        }
        for file in found.files {
            self.file(&file);
        }
    }

    /// The manifest files of a folder by name, those of the folders in it after them.
    fn files_of(&mut self, path: &Path, depth: usize, found: &mut Found) {
        let mut names: Vec<PathBuf> = Vec::new();
        match fs::read_dir(path) {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => names.push(entry.path()),
                        Err(error) => {
                            found.whole = false;
                            self.unreadable(path, &error);
                        }
                    }
                }
            }
            Err(error) => {
                found.whole = false;
                return self.unreadable(path, &error);
            }
        }
        names.sort();
        let mut folders = Vec::new();
        for name in names {
            let is_manifest = name.extension().and_then(|end| end.to_str()).is_some_and(|end| ENDINGS.contains(&end));
            // A link to a folder is not followed: it may lead back up.
            let is_folder = fs::symlink_metadata(&name).is_ok_and(|metadata| metadata.is_dir());
            if self.is_excluded(&name) {
                found.excluded = true;
                continue;
            }
            if is_folder {
                folders.push(name);
            } else if is_manifest && !name.is_dir() {
                found.files.push(name);
            }
        }
        found.folders |= !folders.is_empty();
        if self.options.recursive && depth < MAX_FOLDERS {
            for folder in folders {
                self.files_of(&folder, depth + 1, found);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        // The same file under two paths holds the same objects: that is no conflict.
        if let Ok(real) = fs::canonicalize(path)
            && !self.seen.insert(real)
        {
            return;
        }
        let name = path.display().to_string();
        if let Some(text) = self.text_instead(&name) {
            return self.bytes(&name, text.into_bytes(), true);
        }
        match super::input::read_file(path) {
            Ok((bytes, again)) => self.bytes(&name, bytes, !again),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn stdin(&mut self) {
        if let Some(text) = self.text_instead(STDIN) {
            return self.bytes(STDIN, text.into_bytes(), true);
        }
        match super::input::read_limited(io::stdin().lock()) {
            Ok(bytes) => self.bytes(STDIN, bytes, true),
            Err(error) => self.unreadable(Path::new(STDIN), &error),
        }
    }

    fn text_instead(&self, name: &str) -> Option<String> {
        self.inputs.and_then(|inputs| inputs.texts.get(name)).cloned()
    }

    fn is_excluded(&self, path: &Path) -> bool {
        self.inputs.is_some_and(|inputs| inputs.exclude.iter().any(|pattern| pattern.matches(path)))
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        let finding = Diagnostic::error(code::INPUT, format!("{} cannot be read: {why}", path.display()));
        self.keep(finding);
    }
}

/// The files of a folder.
struct Found {
    files: Vec<PathBuf>,
    /// Whether it has folders in it.
    folders: bool,
    /// Whether something in it is left out.
    excluded: bool,
    /// Whether all of it could be listed.
    whole: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self { files: Vec::new(), folders: false, excluded: false, whole: true }
    }
}
