//! Network namespaces, held by a file descriptor and by nothing else.
//!
//! ```text
//! NetNs::create("node-1")      a short-lived thread makes it and hands out the descriptor
//! ns.run(|| …)                 a closure inside it, on a thread of its own
//! on_hopping_thread(|hopper|   a thread that goes through many: hopper.enter(&ns)?
//! ```
//!
//! The calling thread never changes its namespace: `setns(2)` is only ever
//! called on threads that this module starts, and a [`Hopper`] cannot leave
//! its thread. Sockets keep the namespace they were made in, so one thread can
//! serve the sockets of all namespaces.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::unshare;

/// The namespace of the calling thread, as an openable link (namespaces(7)).
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace. It ends when its last descriptor, thread and socket
/// are gone; dropping this closes the descriptor.
#[derive(Debug)]
pub struct NetNs {
    name: String,
    fd: OwnedFd,
    /// The inode of the namespace: equal exactly for the same namespace.
    inode: u64,
}

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetNsError {
    /// `unshare(CLONE_NEWNET)` failed.
    #[error(
        "cannot make the network namespace {name}: {errno} (EPERM: enter a Sandbox first; ENOSPC: user.max_net_namespaces is reached; \
         ENOMEM: out of memory)"
    )]
    Create {
        /// What the namespace was to be called.
        name: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The descriptor could not be had.
    #[error("cannot open the network namespace {name} at {OWN}: {source} (too many open files: raise `ulimit -n`)")]
    Open {
        /// The namespace.
        name: String,
        /// What went wrong.
        source: io::Error,
    },
    /// `setns(2)` failed.
    #[error("cannot enter the network namespace {name}: {errno} (it belongs to another user namespace?)")]
    Enter {
        /// The namespace.
        name: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// No thread could be started.
    #[error("cannot start a thread to work in network namespaces: {source}")]
    Thread {
        /// What went wrong.
        source: io::Error,
    },
}

impl NetNs {
    /// Makes an empty namespace (its loopback is down). `name` is for errors only.
    pub fn create(name: &str) -> Result<Self, NetNsError> {
        on_own_thread(|| Self::unshared(name.to_owned()))?
    }

    /// Makes one namespace for each name, in order; cheaper than one by one.
    pub fn create_all(names: Vec<String>) -> Result<Vec<Self>, NetNsError> {
        on_own_thread(|| names.into_iter().map(Self::unshared).collect())?
    }

    /// The namespace of the calling thread.
    pub fn current(name: &str) -> Result<Self, NetNsError> {
        let name = name.to_owned();
        let (fd, inode) = match File::open(OWN).and_then(|file| Ok((rustix::fs::fstat(&file)?.st_ino, file))) {
            Ok((inode, file)) => (OwnedFd::from(file), inode),
            Err(source) => return Err(NetNsError::Open { name, source }),
        };
        Ok(Self { name, fd, inode })
    }

    /// What it is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode number of the namespace, as `readlink /proc/PID/ns/net` shows it.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The same namespace, held once more: for a thread that outlives this.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> Result<Self, NetNsError> {
        match self.fd.try_clone() {
            Ok(fd) => Ok(Self { name: self.name.clone(), fd, inode: self.inode }),
            Err(source) => Err(NetNsError::Open { name: self.name.clone(), source }),
        }
    }

    /// Runs `work` inside the namespace, on a thread of its own, and waits for
    /// it. A panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetNsError> {
        on_hopping_thread(|hopper| {
            hopper.enter(self)?;
            Ok(work())
        })?
    }

    /// Changes the calling thread: only for threads that end soon.
    fn unshared(name: String) -> Result<Self, NetNsError> {
        match unshare::network() {
            Ok(()) => Self::current(&name),
            Err(errno) => Err(NetNsError::Create { name, errno }),
        }
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The right of one thread to go from namespace to namespace. Only
/// [`on_hopping_thread`] gives it out, and it is not `Send`.
#[derive(Debug)]
pub struct Hopper {
    inode: Option<u64>,
    place: String,
    /// A raw pointer is neither `Send` nor `Sync`.
    bound_to_thread: PhantomData<*const ()>,
}

impl Hopper {
    /// Moves this thread into `ns`; nothing happens when it is there already.
    pub fn enter(&mut self, ns: &NetNs) -> Result<(), NetNsError> {
        if self.inode == Some(ns.inode) {
            return Ok(());
        }
        move_into_link_name_space(ns.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NetNsError::Enter { name: ns.name.clone(), errno })?;
        self.inode = Some(ns.inode);
        self.place.clone_from(&ns.name);
        Ok(())
    }

    /// The name of the namespace that the thread is in.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Runs `work` on a thread that may go from namespace to namespace, and waits
/// for it. It starts in the caller's namespace. A panic of `work` goes on in
/// the caller.
pub fn on_hopping_thread<T: Send>(work: impl FnOnce(&mut Hopper) -> T + Send) -> Result<T, NetNsError> {
    on_own_thread(|| {
        let mut hopper =
            Hopper { inode: None, place: "of the calling thread".to_owned(), bound_to_thread: PhantomData };
        work(&mut hopper)
    })
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetNsError> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|source| NetNsError::Thread { source })?;
        match handle.join() {
            Ok(value) => Ok(value),
            Err(payload) => resume_unwind(payload),
        }
    })
}
