//! A file gets a new text as a whole, or keeps its old one.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// Gives the file `name` the text `after`, if it still has the text `before` (without a byte order mark,
/// which it keeps). A link stays one: the file that it leads to changes.
///
/// # Errors
/// When it is no file, changed meanwhile, or cannot be written.
pub(super) fn replace(name: &str, before: &str, after: &str) -> Result<()> {
    let path = fs::canonicalize(name).with_context(|| format!("{name} cannot be written"))?;
    let metadata = fs::metadata(&path).with_context(|| format!("{name} cannot be written"))?;
    if !metadata.is_file() {
        bail!("{name} cannot be written: it is no file");
    }
    if metadata.permissions().readonly() {
        bail!("{name} cannot be written: it is read-only");
    }
    let now = fs::read_to_string(&path).with_context(|| format!("{name} cannot be read"))?;
    let (mark, now) = now.strip_prefix('\u{feff}').map_or(("", now.as_str()), |rest| ("\u{feff}", rest));
    if now != before {
        bail!("{name} changed while it was checked: run it again");
    }
    let (beside, mut file) = new_beside(&path).with_context(|| format!("{name} cannot be written"))?;
    let written = file
        .write_all(format!("{mark}{after}").as_bytes())
        .and_then(|()| file.set_permissions(metadata.permissions()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What is left of the attempt is of no use to anyone.
        _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("{name} cannot be written"))
}

/// A new file in the same folder: only there a rename replaces the old one at once.
fn new_beside(path: &Path) -> std::io::Result<(PathBuf, File)> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.palisade-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    Ok((beside, file))
}
