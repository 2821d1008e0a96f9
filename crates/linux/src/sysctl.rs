//! Settings below /proc/sys/net.
//!
//! The kernel shows and changes those of the network namespace of the calling
//! thread, so every function takes the [`Hopper`] of that thread, and works on
//! the namespace it is in. Rootless writing works because the files belong to
//! the root of the user namespace that owns the network namespace.

use std::fs;
use std::io;

use crate::netns::Hopper;

/// Why a setting could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// This kernel does not have the setting (IPv6 or conntrack absent, an older kernel).
    #[error("namespace {namespace}: this kernel has no setting net.{key}")]
    Missing {
        /// The namespace.
        namespace: String,
        /// The setting, without `net.`.
        key: String,
    },
    /// /proc/sys is mounted read-only, as containers do.
    #[error(
        "namespace {namespace}: cannot set net.{key}: /proc/sys is read-only here, as in an ordinary container; \
         run outside it, or with /proc/sys writable (docker: --privileged or --security-opt systempaths=unconfined)"
    )]
    ReadOnly {
        /// The namespace.
        namespace: String,
        /// The setting, without `net.`.
        key: String,
    },
    /// Anything else.
    #[error("namespace {namespace}: net.{key}{}: {source}", value.as_deref().map(|v| format!(" = {v}")).unwrap_or_default())]
    Failed {
        /// The namespace.
        namespace: String,
        /// The setting, without `net.`.
        key: String,
        /// The value that was being written; none when it was being read.
        value: Option<String>,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Sets `net.<key>` (dots or slashes) in the namespace that `hopper` is in.
pub fn write(hopper: &Hopper, key: &str, value: &str) -> Result<(), SysctlError> {
    fs::write(path(key), value).map_err(|source| error(hopper, key, Some(value), source))
}

/// The value of `net.<key>` in the namespace that `hopper` is in, trimmed.
pub fn read(hopper: &Hopper, key: &str) -> Result<String, SysctlError> {
    match fs::read_to_string(path(key)) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(error(hopper, key, None, source)),
    }
}

/// Whether this kernel has IPv6 at all (it may be compiled out, or turned off
/// with `ipv6.disable=1` on its command line; `disable_ipv6` is not asked).
pub fn ipv6_exists() -> bool {
    // Registered with the protocol itself; with ipv6.disable=1 the sysctl
    // directory exists, this socket family does not.
    rustix::net::socket_with(
        rustix::net::AddressFamily::INET6,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .is_ok()
}

fn path(key: &str) -> String {
    format!("/proc/sys/net/{}", key.replace('.', "/"))
}

fn error(hopper: &Hopper, key: &str, value: Option<&str>, source: io::Error) -> SysctlError {
    let (namespace, key) = (hopper.place().to_owned(), key.to_owned());
    match source.kind() {
        io::ErrorKind::NotFound => SysctlError::Missing { namespace, key },
        io::ErrorKind::ReadOnlyFilesystem => SysctlError::ReadOnly { namespace, key },
        _ => SysctlError::Failed { namespace, key, value: value.map(str::to_owned), source },
    }
}
