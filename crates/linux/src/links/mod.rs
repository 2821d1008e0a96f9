//! Links, addresses, routes and neighbours, over rtnetlink (rtnetlink(7)).
//!
//! [`Rtnetlink`] is a socket into one namespace. [`Rtnetlink::submit`] sends
//! many [`Request`]s together and checks the acknowledgement of each; the
//! kernel works inside `sendmsg(2)`, so there is nothing to wait for but the
//! replies.

mod message;
mod reply;
mod request;

pub use request::{Diversion, Gateway, LOOPBACK, Mac, Neighbour, Request, Route, VethEnd};

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::netns::{Hopper, NetNs, NetNsError};

/// Requests in one send. Their replies must fit into the default receive
/// buffer (212,992 bytes hold about 256 of them; the rest would be lost).
const BATCH: usize = 64;

/// The kernel answers before `send` returns; this only bounds a surprise.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// `MSG_DONTWAIT` of recv(2), which netlink-sys takes as a number.
const DONTWAIT: i32 = rustix::net::RecvFlags::DONTWAIT.bits().cast_signed();

/// Why links or routes are not as asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket could not be made.
    #[error("namespace {namespace}: cannot open an rtnetlink socket: {source}")]
    Open {
        /// The namespace.
        namespace: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] NetNsError),
    /// The kernel refused a request. Those around it may have been done.
    #[error("namespace {namespace}: cannot {request}: {errno}{}", if detail.is_empty() { String::new() } else { format!(" ({detail})") })]
    Refused {
        /// The namespace.
        namespace: String,
        /// What was asked, in words.
        request: String,
        /// What the kernel answered.
        errno: Errno,
        /// The kernel's own words, if it had any.
        detail: String,
    },
    /// Sending or receiving failed.
    #[error("namespace {namespace}: rtnetlink: {source} (after {request})")]
    Socket {
        /// The namespace.
        namespace: String,
        /// What had been asked last.
        request: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A link did not come up.
    #[error("namespace {namespace}: link {link} does not run after {within:?}: its other end is down or gone")]
    Idle {
        /// The namespace.
        namespace: String,
        /// The index of the link.
        link: u32,
        /// How long it was waited for.
        within: Duration,
    },
    /// A reply did not come.
    #[error("namespace {namespace}: no answer to `{request}` within {REPLY_WITHIN:?}")]
    Silent {
        /// The namespace.
        namespace: String,
        /// What had been asked.
        request: String,
    },
}

/// An rtnetlink socket into one namespace.
#[derive(Debug)]
pub struct Rtnetlink {
    namespace: String,
    socket: Socket,
    sequence: u32,
}

impl Rtnetlink {
    /// A socket into `ns`; the calling thread stays where it is.
    pub fn open(ns: &NetNs) -> Result<Self, LinkError> {
        crate::netns::on_hopping_thread(|hopper| {
            hopper.enter(ns)?;
            Self::open_here(hopper)
        })?
    }

    /// A socket into the namespace that `hopper` is in.
    pub fn open_here(hopper: &Hopper) -> Result<Self, LinkError> {
        let namespace = hopper.place().to_owned();
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Errors carry the kernel's words, and acks not the whole request.
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Self { namespace, socket, sequence: 1 }),
            Err(source) => Err(LinkError::Open { namespace, source }),
        }
    }

    /// Sends `requests` in order and waits for every answer. The first refusal
    /// is the error; what follows it in the same batch of 64 was tried all the
    /// same, what is behind that batch was not sent.
    pub fn submit(&mut self, requests: &[Request<'_>]) -> Result<(), LinkError> {
        for batch in requests.chunks(BATCH) {
            self.send(batch)?;
        }
        Ok(())
    }

    /// Sends `requests` one by one. A refusal that says that it is so already is none, nor is one that says that this
    /// kernel does not have the family.
    ///
    /// # Errors
    /// The first other refusal; what comes after it was not sent.
    pub fn ensure(&mut self, requests: &[Request<'_>]) -> Result<(), LinkError> {
        for request in requests {
            match self.send(std::slice::from_ref(request)) {
                Ok(()) => {}
                Err(LinkError::Refused { errno, .. }) if is_so(errno) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send(&mut self, batch: &[Request<'_>]) -> Result<(), LinkError> {
        // The n-th request of the batch has the sequence number first + n.
        let first = self.sequence;
        let mut bytes = Vec::with_capacity(batch.len() * 128);
        for request in batch {
            bytes.extend_from_slice(&request.bytes(self.sequence));
            self.sequence = self.sequence.wrapping_add(1);
        }
        let last = || batch.last().map(Request::to_string).unwrap_or_default();
        self.socket.send(&bytes, 0).map_err(|source| self.broken(last(), source))?;

        let deadline = Instant::now() + REPLY_WITHIN;
        let mut missing = batch.len();
        let mut refusal = None;
        while missing > 0 {
            let datagram = self.receive(deadline, &last)?;
            for answer in reply::answers(&datagram) {
                let position = usize::try_from(answer.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some(request) = batch.get(position) else {
                    continue;
                };
                missing = missing.saturating_sub(1);
                if let Some(errno) = answer.errno {
                    refusal.get_or_insert_with(|| LinkError::Refused {
                        namespace: self.namespace.clone(),
                        request: request.to_string(),
                        errno,
                        detail: answer.detail,
                    });
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Waits until every link of `indices` can carry packets: both ends are
    /// up, and the kernel has switched its queue on, which it does in the
    /// background for the end that was up first. Before that it drops them.
    pub fn wait_until_running(&mut self, indices: &[u32], within: Duration) -> Result<(), LinkError> {
        let deadline = Instant::now() + within;
        loop {
            let running = self.running()?;
            let Some(idle) = indices.iter().find(|index| !running.contains(index)) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(LinkError::Idle { namespace: self.namespace.clone(), link: *idle, within });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The indices of the links that are running (IFF_RUNNING).
    fn running(&mut self) -> Result<Vec<u32>, LinkError> {
        let asked = || "list the links".to_owned();
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&message::list_links(sequence), 0).map_err(|source| self.broken(asked(), source))?;
        let deadline = Instant::now() + REPLY_WITHIN;
        let mut running = Vec::new();
        loop {
            let datagram = self.receive(deadline, &asked)?;
            if reply::running_links(&datagram, sequence, &mut running) {
                return Ok(running);
            }
        }
    }

    /// Every address that this namespace has itself, of both families.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn addresses(&mut self) -> Result<Vec<IpAddr>, LinkError> {
        let asked = || "list the addresses".to_owned();
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&message::list_addresses(sequence), 0).map_err(|source| self.broken(asked(), source))?;
        let deadline = Instant::now() + REPLY_WITHIN;
        let mut addresses = Vec::new();
        loop {
            let datagram = self.receive(deadline, &asked)?;
            if reply::addresses(&datagram, sequence, &mut addresses) {
                return Ok(addresses);
            }
        }
    }

    /// The next datagram; `last` says in words what it should answer.
    fn receive(&self, deadline: Instant, last: &dyn Fn() -> String) -> Result<Vec<u8>, LinkError> {
        let mut buffer = vec![0_u8; 32 * 1024];
        loop {
            match self.socket.recv(&mut &mut buffer[..], DONTWAIT) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(buffer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.readable_before(deadline).map_err(|source| self.broken(last(), source))? {
                        return Err(LinkError::Silent { namespace: self.namespace.clone(), request: last() });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(last(), error)),
            }
        }
    }

    fn broken(&self, request: String, source: io::Error) -> LinkError {
        LinkError::Socket { namespace: self.namespace.clone(), request, source }
    }

    fn readable_before(&self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(!left.is_zero()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn is_so(errno: Errno) -> bool {
    matches!(errno, Errno::EXIST | Errno::NOENT | Errno::SRCH | Errno::AFNOSUPPORT | Errno::OPNOTSUPP)
}

impl AsFd for Rtnetlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
