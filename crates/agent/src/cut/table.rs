//! Where connections are read and marked: the kernel's conntrack, or a table in memory.

use std::net::IpAddr;

use palisade_linux::{
    conntrack::{Changed, Conntrack, ConntrackError, Flow, MarkChange},
    links::{LinkError, Rtnetlink},
    netns::{NetNsError, on_hopping_thread},
};

/// The connections that a node follows.
pub trait Connections: Send {
    /// Every connection; with `marked`, those whose mark has these bits.
    ///
    /// # Errors
    /// Why they cannot be read, for people.
    fn list(&mut self, marked: Option<u32>) -> Result<Vec<Flow>, String>;

    /// The addresses that the node has itself.
    ///
    /// # Errors
    /// Why they cannot be read, for people.
    fn own_addresses(&mut self) -> Result<Vec<IpAddr>, String>;

    /// Changes marks; a connection that is gone is no error.
    ///
    /// # Errors
    /// Why some were not changed, for people.
    fn mark(&mut self, changes: &[MarkChange]) -> Result<Changed, String>;
}

/// The conntrack of a network namespace.
#[derive(Debug)]
pub struct KernelConnections {
    conntrack: Conntrack,
    links: Rtnetlink,
}

/// Why the kernel's connections are out of reach.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no socket to conntrack.
    #[error(transparent)]
    Conntrack(#[from] ConntrackError),
    /// There is no socket to the links.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// There is no thread to open it on.
    #[error(transparent)]
    Thread(#[from] NetNsError),
}

impl KernelConnections {
    /// Those of the network namespace of the calling thread.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub fn open() -> Result<Self, OpenError> {
        let links = on_hopping_thread(|hopper| Rtnetlink::open_here(hopper))??;
        Ok(Self { conntrack: Conntrack::open()?, links })
    }
}

impl Connections for KernelConnections {
    fn list(&mut self, marked: Option<u32>) -> Result<Vec<Flow>, String> {
        self.conntrack.list(marked).map_err(|error| error.to_string())
    }

    fn own_addresses(&mut self) -> Result<Vec<IpAddr>, String> {
        self.links.addresses().map_err(|error| error.to_string())
    }

    fn mark(&mut self, changes: &[MarkChange]) -> Result<Changed, String> {
        self.conntrack.change_marks(changes).map_err(|error| error.to_string())
    }
}
