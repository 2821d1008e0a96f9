//! A process that may make network namespaces, without root if need be.
//!
//! [`Sandbox::enter`] is called once, before any thread is started: the kernel
//! refuses `unshare(CLONE_NEWUSER)` to a process with several threads
//! (user_namespaces(7)). An ordinary user gets a new user, network and mount
//! namespace and is uid 0 in it; root only gets a new network namespace. When
//! it cannot be done, [`SandboxError`] names the setting that forbids it and
//! what to type.

mod diagnosis;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getegid, geteuid, getrlimit, setrlimit};

use crate::unshare;

/// How the process got its power over network namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// An unprivileged user, who is uid 0 inside a user namespace of his own.
    UserNamespace,
    /// Root (or CAP_SYS_ADMIN): only the network namespace is new.
    Privileged,
}

/// The proof that this process sits in network namespaces of its own: what it
/// makes or breaks cannot be seen outside, and ends with the process.
#[derive(Debug)]
pub struct Sandbox {
    means: Means,
    descriptors: u64,
}

/// Why the process cannot have namespaces of its own.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel moves only single-threaded processes into a user namespace.
    #[error(
        "cannot enter new namespaces: the process already has {threads} threads, and the kernel moves only a single-threaded process \
         (call Sandbox::enter first thing in main, before any thread is started)"
    )]
    Threads {
        /// Threads counted in /proc/self/task.
        threads: usize,
    },
    /// A setting of this machine forbids it.
    #[error(
        "cannot enter new namespaces ({errno}): {setting} is {value}, {meaning}; \
         run `sudo sysctl -w {setting}={wanted}`, or run this command as root (sudo)"
    )]
    Forbidden {
        /// The sysctl, as `sysctl` spells it.
        setting: &'static str,
        /// What it is set to.
        value: String,
        /// What this value means.
        meaning: &'static str,
        /// A value that allows it.
        wanted: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// ENOSPC or EUSERS, and no setting is zero: the allowance is used up.
    #[error(
        "cannot enter new namespaces ({errno}): this user has as many namespaces as user.max_user_namespaces, user.max_net_namespaces and \
         user.max_mnt_namespaces allow, or they are nested 32 deep; end other containers or raise the limits with sysctl"
    )]
    Exhausted {
        /// What the kernel answered.
        errno: Errno,
    },
    /// EPERM or EACCES, and no setting of the machine explains it.
    #[error(
        "cannot enter new namespaces: {step} was refused ({errno}), and no sysctl forbids it: most likely a container's seccomp or \
         security profile, or a chroot; run outside it, or give the container CAP_SYS_ADMIN and CAP_NET_ADMIN (docker: --privileged, \
         or --security-opt seccomp=unconfined for an unprivileged user)"
    )]
    Refused {
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The kernel was built without these namespaces.
    #[error(
        "cannot enter new namespaces ({errno}): this kernel was built without user or network namespaces (CONFIG_USER_NS, CONFIG_NET_NS)"
    )]
    Unsupported {
        /// What the kernel answered.
        errno: Errno,
    },
    /// procfs could not be read or written.
    #[error(
        "cannot enter new namespaces: {path}: {source} (procfs must be mounted on /proc, and this program's file be readable by its user)"
    )]
    Procfs {
        /// The file.
        path: &'static str,
        /// What went wrong with it.
        source: io::Error,
    },
}

impl Sandbox {
    /// Moves the process into new namespaces and raises its limit of open
    /// files to the hard limit (every namespace and socket costs one).
    ///
    /// Cannot be undone, and must happen while the process has one thread.
    pub fn enter() -> Result<Self, SandboxError> {
        let threads = threads()?;
        if threads != 1 {
            return Err(SandboxError::Threads { threads });
        }
        let descriptors = raise_descriptor_limit();
        if geteuid().is_root() {
            match unshare::network() {
                Ok(()) => {
                    return Ok(Self { means: Means::Privileged, descriptors });
                }
                // Root without CAP_SYS_ADMIN, as in a plain container: go on as
                // any other user.
                Err(Errno::PERM) => {}
                Err(errno) => {
                    return Err(diagnosis::diagnose("unshare(CLONE_NEWNET)", errno, &diagnosis::read_setting));
                }
            }
        }
        enter_user_namespace()?;
        Ok(Self { means: Means::UserNamespace, descriptors })
    }

    /// How the process got in.
    pub fn means(&self) -> Means {
        self.means
    }

    /// The user namespace, for another process to enter; none when it is everybody's.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn user_namespace(&self) -> Result<Option<OwnedFd>, SandboxError> {
        let path = "/proc/self/ns/user";
        match self.means {
            Means::Privileged => Ok(None),
            Means::UserNamespace => match fs::File::open(path) {
                Ok(file) => Ok(Some(file.into())),
                Err(source) => Err(SandboxError::Procfs { path, source }),
            },
        }
    }

    /// How many files the process may have open.
    pub fn descriptors(&self) -> u64 {
        self.descriptors
    }
}

/// The number of files that this process may have open (the soft limit of
/// RLIMIT_NOFILE, which [`Sandbox::enter`] raises).
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard limit; what is in force afterwards.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the old limit, and the limit in force is what is returned.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    descriptor_limit()
}

fn threads() -> Result<usize, SandboxError> {
    let path = "/proc/self/task";
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.count()),
        Err(source) => Err(SandboxError::Procfs { path, source }),
    }
}

fn enter_user_namespace() -> Result<(), SandboxError> {
    // Asked before the move: inside and unmapped, both are 65534.
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare::user_network_mount().map_err(|errno| {
        diagnosis::diagnose("unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)", errno, &diagnosis::read_setting)
    })?;
    // An unprivileged user may write gid_map only after giving up
    // setgroups(2) (user_namespaces(7)).
    write_map("/proc/self/setgroups", "deny")?;
    write_map("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write_map("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    // Under Ubuntu's AppArmor restriction all of the above succeeds, and the
    // capabilities are empty words: using one is the only proof.
    unshare::network()
        .map_err(|errno| diagnosis::diagnose("the first use of CAP_SYS_ADMIN", errno, &diagnosis::read_setting))
}

fn write_map(path: &'static str, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(|source| match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(errno @ Errno::PERM) => diagnosis::diagnose("mapping the user to uid 0", errno, &diagnosis::read_setting),
        _ => SandboxError::Procfs { path, source },
    })
}
