//! Where connections are read, marked and dropped by their mark: the kernel, or a table in memory.

use std::net::IpAddr;

use palisade_linux::{
    conntrack::{Changed, Conntrack, ConntrackError, Flow, MarkChange},
    links::{LinkError, Rtnetlink},
    netns::{NetNsError, on_hopping_thread},
};
use palisade_nftables::netlink::{self, Kernel};

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

    /// Sees to it that what has [the mark](palisade_nftables::cut::MARK) is dropped, or that nothing is.
    ///
    /// # Errors
    /// Why it is not so, for people; then it is as before.
    fn drop_marked(&mut self, wanted: bool) -> Result<(), String>;
}

/// The conntrack of a network namespace, and its [`palisade_nftables::cut`].
#[derive(Debug)]
pub struct KernelConnections {
    conntrack: Conntrack,
    links: Rtnetlink,
    nftables: Kernel,
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
    /// There is no socket to nftables.
    #[error(transparent)]
    Nftables(#[from] netlink::OpenError),
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
        Ok(Self { conntrack: Conntrack::open()?, links, nftables: Kernel::open()? })
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

    fn drop_marked(&mut self, wanted: bool) -> Result<(), String> {
        match self.nftables.drops_cut() {
            Ok(is_so) if is_so == wanted => Ok(()),
            Ok(_) => self.nftables.drop_cut(wanted).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}
