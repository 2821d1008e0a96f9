//! `unshare(2)`, which rustix marks `unsafe`.
#![expect(
    unsafe_code,
    reason = "rustix marks unshare unsafe because CLONE_FILES can leave a thread with other descriptors"
)]

use rustix::io::Result;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves the calling thread into a new network namespace (needs CAP_SYS_ADMIN
/// in the current user namespace).
pub(crate) fn network() -> Result<()> {
    // SAFETY: NEWNET does not touch the descriptor table, and that table is
    // the only reason for which the call is unsafe.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Moves the process (the caller must be its only thread, else the kernel
/// says EINVAL) into a new user, network and mount namespace.
pub(crate) fn user_network_mount() -> Result<()> {
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    // SAFETY: as above, CLONE_FILES is not among the flags.
    unsafe { unshare_unsafe(flags) }
}

/// Moves the calling process (its only thread) into a new mount namespace (needs CAP_SYS_ADMIN in the
/// current user namespace).
pub(crate) fn mount() -> Result<()> {
    // SAFETY: as above, CLONE_FILES is not among the flags.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}
