//! Into the namespaces of another process of the same user, with files of one's own in a few places.
//!
//! ```text
//! the process that holds a lab          this process
//!   user namespace   ──descriptor──►    enter: user, network, then a new mount namespace
//!   network of a pod ──descriptor──►    cover: its own /etc/resolv.conf, seen by nobody else
//!                                       tied:  a child that ends with this process
//! ```
//!
//! Only a process with one thread can enter a user namespace (user_namespaces(7)), so this comes before
//! any thread is started. Descriptors and not /proc/PID/ns: an ended process's number may be another's.
#![expect(unsafe_code, reason = "pre_exec and signal are unsafe functions: see each place")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::unshare;

/// Why this process is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// `setns(2)` or `unshare(2)` was refused.
    #[error("cannot enter the {what} of the lab: {errno} (EPERM: only the user who brought it up may)")]
    Enter {
        /// Which namespace.
        what: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// A file could not be covered.
    #[error("cannot put the lab's own {} in its place: {source}", path.display())]
    Cover {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Moves this process into a user namespace (none when it is the same) and a network namespace of the
/// lab, and into a mount namespace of its own: what it mounts from here on nobody else sees.
///
/// # Errors
/// When the kernel refuses; the process may be in some of them then, and should end.
pub fn enter(user: Option<BorrowedFd<'_>>, network: BorrowedFd<'_>) -> Result<(), JoinError> {
    let failed = |what| move |errno| JoinError::Enter { what, errno };
    if let Some(user) = user {
        move_into_link_name_space(user, Some(LinkNameSpaceType::User)).map_err(failed("user namespace"))?;
    }
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).map_err(failed("network namespace"))?;
    unshare::mount().map_err(failed("mount namespace"))?;
    // Mounts that are made outside may still come in, none of ours goes out.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(failed("mount namespace"))
}

/// Lets this process, and what it starts, read `text` where the file `path` is. After [`enter`] only.
///
/// # Errors
/// When there is no such file, or the kernel refuses.
pub fn cover(path: &Path, text: &str) -> Result<(), JoinError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let covered = || -> io::Result<()> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!(".palisade-{}-{number}", std::process::id()));
        // create_new: never into a file or link that somebody else has put there.
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file)?.write_all(text.as_bytes())?;
        let bound = mount_bind(&file, path);
        // The mount keeps the file; its name is not needed any more.
        let removed = fs::remove_file(&file);
        bound?;
        removed
    };
    covered().map_err(|source| JoinError::Cover { path: path.to_owned(), source })
}

/// Lets this process, and what it starts, see an empty folder where `path` is. After [`enter`] only.
///
/// # Errors
/// When there is no such folder, or the kernel refuses.
pub fn empty(path: &Path) -> Result<(), JoinError> {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None)
        .map_err(|errno| JoinError::Cover { path: path.to_owned(), source: errno.into() })
}

/// Makes what `command` starts end when the calling thread does, however that ends.
pub fn tied(command: &mut Command) -> &mut Command {
    let tie = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: between fork and exec the closure makes one system call (prctl) and allocates nothing.
    unsafe { command.pre_exec(tie) }
}

/// Leaves Ctrl-C and Ctrl-\ to the child on the same terminal: this process goes on and tells how the
/// child ended. A handler and not "ignore", which the child would inherit.
pub fn leave_interrupts_to_the_child() {
    extern "C" fn nothing(_: libc::c_int) {}
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: the handler does nothing, so it is safe at any moment, and it stays for good.
        unsafe { libc::signal(signal, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}
