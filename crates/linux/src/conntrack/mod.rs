//! The connections that the kernel follows, read and marked over ctnetlink.
//!
//! ```text
//! Conntrack::open ──► list(…)          every Flow, or those with some bits in their mark
//!                 └─► change_marks(…)  some bits of the marks of some of them
//! ```
//!
//! A mark is all that is ever changed: entries stay, and so do their timeouts,
//! which every packet sets anew anyway. What is changed is asked for by the
//! original tuple; an entry that is gone by then is counted and no error.

mod flow;
mod message;

pub use flow::{Flow, PortProtocol, Transport, Tuple, Zone};

use std::io;
use std::time::{Duration, Instant};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::netlink::{NLMSG_DONE, NLMSG_ERROR, messages, outcome, word};

/// `MSG_DONTWAIT | MSG_TRUNC` of recv(2): without waiting, and with the length that a datagram really has.
const RECEIVE: i32 = (rustix::net::RecvFlags::DONTWAIT.bits() | rustix::net::RecvFlags::TRUNC.bits()).cast_signed();
/// NLM_F_DUMP_INTR: what is listed changed meanwhile in a way that may have hidden some of it.
const INTERRUPTED: u16 = 0x10;
/// Requests in one send; their answers fit into any receive buffer.
const BATCH: usize = 64;
/// How often a list is read again that was interrupted.
const ATTEMPTS: usize = 4;
/// How long the kernel may say nothing.
const REPLY_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of receive buffer to ask for: larger ones make lists cheaper.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Bits to change in the mark of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkChange {
    /// The connection, by its original tuple.
    pub original: Tuple,
    /// The zone that it is looked up in.
    pub zone: Zone,
    /// The bits to change; the others stay as they are.
    pub bits: u32,
    /// What they are to be.
    pub value: u32,
}

/// What became of some changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Connections whose mark is now as asked.
    pub done: usize,
    /// Connections that had ended.
    pub gone: usize,
}

/// Why connections could not be read or marked.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// The socket failed.
    #[error("conntrack: {step}: {source}")]
    Socket {
        /// What was being done.
        step: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// The kernel refused.
    #[error(
        "conntrack: cannot {step}: {errno} (EPERM: CAP_NET_ADMIN is needed in this network namespace; \
         EINVAL or EOPNOTSUPP: the kernel has no ctnetlink, try `modprobe nf_conntrack_netlink`)"
    )]
    Refused {
        /// What was asked.
        step: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
}

/// A socket to the conntrack of one network namespace.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Conntrack {
    /// A socket into the namespace of the calling thread, and of it for good.
    ///
    /// # Errors
    /// When there can be none; what the kernel lacks shows at the first list.
    pub fn open() -> Result<Self, ConntrackError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // The answer to a refusal need not have the whole request in it.
            socket.set_cap_ack(true)?;
            if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
                sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(|source| ConntrackError::Socket { step: "opening the socket", source })?;
        Ok(Self { socket, sequence: 1, buffer: vec![0; 64 * 1024] })
    }

    /// Every connection of TCP, UDP, SCTP and of ICMP queries, of both families; with `marked`, those
    /// whose mark has all of these bits (the kernel picks them). Those that come and go meanwhile may be
    /// in it or not. One may be in it twice: a list that was interrupted is read again, and what it
    /// brought before still counts.
    ///
    /// # Errors
    /// When the kernel refuses, or says nothing for ten seconds.
    pub fn list(&mut self, marked: Option<u32>) -> Result<Vec<Flow>, ConntrackError> {
        let mut flows = Vec::new();
        for _ in 0..ATTEMPTS {
            if self.list_once(marked, &mut flows)? {
                break;
            }
        }
        Ok(flows)
    }

    /// Whether the list was whole.
    fn list_once(&mut self, marked: Option<u32>, flows: &mut Vec<Flow>) -> Result<bool, ConntrackError> {
        const STEP: &str = "list the connections";
        // Of an attempt that was given up there may be a rest: it has another number.
        let sequence = self.next_sequence();
        self.send(STEP, &message::list(sequence, marked))?;
        let mut whole = true;
        loop {
            let Some(length) = self.receive(STEP)? else {
                whole = false;
                continue;
            };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & INTERRUPTED == 0;
                match message.kind {
                    message::NEW => flows.extend(message::flow(message.body)),
                    // struct nlmsghdr, then how it ended: 0, or an errno below it.
                    NLMSG_DONE | NLMSG_ERROR => {
                        let ended = word(message.body, 0).is_none_or(|code| code == 0);
                        return match (ended, outcome(&message)) {
                            (false, Some(Err(errno))) => Err(ConntrackError::Refused { step: STEP, errno }),
                            _ => Ok(whole),
                        };
                    }
                    _ => {}
                }
            }
        }
    }

    /// Makes these changes, each by itself.
    ///
    /// # Errors
    /// The first refusal other than that a connection is gone, when all others were tried.
    pub fn change_marks(&mut self, changes: &[MarkChange]) -> Result<Changed, ConntrackError> {
        let mut changed = Changed::default();
        let mut refusal = None;
        for batch in changes.chunks(BATCH) {
            self.change_batch(batch, &mut changed, &mut refusal)?;
        }
        refusal.map_or(Ok(changed), Err)
    }

    fn change_batch(
        &mut self,
        batch: &[MarkChange],
        changed: &mut Changed,
        refusal: &mut Option<ConntrackError>,
    ) -> Result<(), ConntrackError> {
        const STEP: &str = "mark a connection";
        let mut bytes = Vec::with_capacity(batch.len() * 128);
        let mut missing: Vec<u32> = Vec::with_capacity(batch.len());
        for change in batch {
            let sequence = self.next_sequence();
            missing.push(sequence);
            bytes.extend_from_slice(&message::change_mark(sequence, change));
        }
        self.send(STEP, &bytes)?;
        while !missing.is_empty() {
            // A lost answer never comes: the next look at the connection shows what became of it.
            let Some(length) = self.receive(STEP)? else { return Ok(()) };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                let Some(place) = missing.iter().position(|sequence| *sequence == message.sequence) else { continue };
                let Some(outcome) = outcome(&message).filter(|_| message.kind == NLMSG_ERROR) else { continue };
                missing.swap_remove(place);
                match outcome {
                    Ok(()) => changed.done += 1,
                    Err(Errno::NOENT) => changed.gone += 1,
                    Err(errno) => {
                        refusal.get_or_insert(ConntrackError::Refused { step: STEP, errno });
                    }
                }
            }
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self, step: &'static str, bytes: &[u8]) -> Result<(), ConntrackError> {
        self.socket.send(bytes, 0).map(|_| ()).map_err(|source| ConntrackError::Socket { step, source })
    }

    /// Waits for a datagram and returns its length; `None` when one was lost (ENOBUFS), or longer than
    /// the buffer, which then grows.
    fn receive(&mut self, step: &'static str) -> Result<Option<usize>, ConntrackError> {
        let deadline = Instant::now() + REPLY_WITHIN;
        let broken = |source| ConntrackError::Socket { step, source };
        loop {
            match self.socket.recv(&mut &mut self.buffer[..], RECEIVE) {
                Ok(length) if length > self.buffer.len() => {
                    self.buffer.resize(length.next_power_of_two(), 0);
                    return Ok(None);
                }
                Ok(length) => return Ok(Some(length)),
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::AGAIN) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            return Err(broken(io::ErrorKind::TimedOut.into()));
                        }
                        let timeout = Timespec::try_from(left).map_err(|error| broken(io::Error::other(error)))?;
                        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                            Ok(_) | Err(Errno::INTR) => {}
                            Err(errno) => return Err(broken(errno.into())),
                        }
                    }
                    Some(Errno::INTR) => {}
                    Some(Errno::NOBUFS) => return Ok(None),
                    _ => return Err(broken(error)),
                },
            }
        }
    }
}
