//! The packets that a ruleset logs (`log group N`), read from the kernel over
//! nfnetlink_log.
//!
//! [`NfLog`] is one group of one namespace; [`Collector`] reads several on a
//! thread of its own until it is stopped. Nothing is lost silently: records
//! are numbered by the kernel, and [`Losses`] says how many are missing.

mod collector;
mod message;

pub use collector::{Collected, Collector};

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::netns::{Hopper, NetNs, NetNsError, on_hopping_thread};
use crate::packet::{self, Tuple};

/// `MSG_DONTWAIT` of recv(2), which netlink-sys takes as a number.
const DONTWAIT: i32 = rustix::net::RecvFlags::DONTWAIT.bits().cast_signed();

/// The kernel answers before `send` returns; this only bounds a surprise.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// How the kernel is to hand over the packets of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of each packet to copy, from the network header on. The default
    /// of 128 holds IPv6 with a few extension headers and the ports.
    pub copy: u32,
    /// Records that are gathered before the kernel hands them over. More in
    /// one message need less of the receive buffer.
    pub gather: u32,
    /// The longest that records are gathered; rounded up to 10 ms.
    pub flush: Duration,
    /// Bytes of receive buffer to ask for; without CAP_NET_ADMIN in the
    /// initial user namespace the kernel gives at most net.core.rmem_max (twice).
    pub receive_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { copy: 128, gather: 16, flush: Duration::from_millis(10), receive_buffer: 8 << 20 }
    }
}

/// One logged packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the log rule says (`log prefix`).
    pub prefix: String,
    /// The hook it was logged at, as enum nf_inet_hooks counts them
    /// (0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting).
    pub hook: u8,
    /// The index of the link it came in by, if any.
    pub link_in: Option<u32>,
    /// The index of the link it was to leave by, if any.
    pub link_out: Option<u32>,
    /// The packet's mark; 0 when it has none.
    pub mark: u32,
    /// The packet from the network header on, as far as it was copied.
    pub packet: Vec<u8>,
}

impl Record {
    /// The connection that the packet belongs to.
    pub fn tuple(&self) -> Option<Tuple> {
        packet::tuple(&self.packet)
    }
}

/// What was logged and never arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that are missing, by the kernel's numbers.
    pub records: u64,
    /// Times the receive buffer was full (ENOBUFS). One after the last record
    /// that arrived does not show in `records`.
    pub overruns: u64,
    /// Messages that could not be read.
    pub malformed: u64,
}

impl Losses {
    /// Whether nothing is missing.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NfLogError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] NetNsError),
    /// The socket failed.
    #[error("namespace {namespace}: NFLOG group {group}: {step}: {source}")]
    Socket {
        /// The namespace.
        namespace: String,
        /// The group.
        group: u16,
        /// What was being done.
        step: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// The kernel refused a setting.
    #[error(
        "namespace {namespace}: NFLOG group {group}: cannot {step}: {errno} (EBUSY or EPERM: another program reads this group; \
         EINVAL or EOPNOTSUPP: the kernel has no nfnetlink_log, try `modprobe nfnetlink_log`; EPERM, too: enter a Sandbox first)"
    )]
    Refused {
        /// The namespace.
        namespace: String,
        /// The group.
        group: u16,
        /// What was asked.
        step: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
}

/// The reader of one log group of one namespace. Its descriptor is readable
/// when there are records, and [`read`](Self::read) never waits.
#[derive(Debug)]
pub struct NfLog {
    namespace: String,
    group: u16,
    flush: Duration,
    socket: Socket,
    buffer: Vec<u8>,
    next_number: u32,
    losses: Losses,
}

impl NfLog {
    /// Binds `group` in `ns`; the calling thread stays where it is. What is
    /// logged from now on is kept until it is read.
    pub fn open(ns: &NetNs, group: u16, options: Options) -> Result<Self, NfLogError> {
        on_hopping_thread(|hopper| {
            hopper.enter(ns)?;
            Self::open_here(hopper, group, options)
        })?
    }

    /// Binds `group` in the namespace that `hopper` is in.
    pub fn open_here(hopper: &Hopper, group: u16, options: Options) -> Result<Self, NfLogError> {
        Self::open_as(hopper.place().to_owned(), group, options)
    }

    /// Binds `group` in the namespace of the calling thread, which takes CAP_NET_ADMIN there and nothing
    /// more: entering a namespace, also the own one, takes CAP_SYS_ADMIN.
    pub fn open_current(group: u16, options: Options) -> Result<Self, NfLogError> {
        Self::open_as("of this process".to_owned(), group, options)
    }

    fn open_as(namespace: String, group: u16, options: Options) -> Result<Self, NfLogError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // The forced size passes rmem_max, and is refused to the rootless.
            if sockopt::set_socket_recv_buffer_size_force(&socket, options.receive_buffer).is_err() {
                sockopt::set_socket_recv_buffer_size(&socket, options.receive_buffer)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(|source| NfLogError::Socket {
            namespace: namespace.clone(),
            group,
            step: "opening the socket",
            source,
        })?;
        let log = Self {
            namespace,
            group,
            flush: options.flush,
            socket,
            buffer: vec![0; 128 * 1024],
            next_number: 0,
            losses: Losses::default(),
        };
        for (step, bytes) in message::configuration(group, &options) {
            log.configure(step, &bytes)?;
        }
        Ok(log)
    }

    /// The namespace's name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The longest that a record stays in the kernel before it can be read.
    pub fn flush(&self) -> Duration {
        self.flush
    }

    /// What is missing so far.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Waits until there is something to read, at most that long; says whether there is.
    pub fn wait(&self, at_most: Duration) -> Result<bool, NfLogError> {
        let failed = |source| self.socket_error("waiting", source);
        let timeout = Timespec::try_from(at_most).map_err(|error| failed(io::Error::other(error)))?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Appends what has arrived to `records`, without waiting.
    pub fn read(&mut self, records: &mut Vec<Record>) -> Result<(), NfLogError> {
        loop {
            match self.socket.recv(&mut &mut self.buffer[..], DONTWAIT) {
                Ok(length) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    for packet in message::packets(datagram) {
                        let Some(packet) = packet else {
                            self.losses.malformed += 1;
                            continue;
                        };
                        if let Some(number) = packet.number {
                            self.losses.records += u64::from(number.wrapping_sub(self.next_number));
                            self.next_number = number.wrapping_add(1);
                        }
                        records.push(packet.record);
                    }
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::AGAIN) => return Ok(()),
                    Some(Errno::INTR) => {}
                    // Tells of a loss once; what is in the buffer can still be read.
                    Some(Errno::NOBUFS) => self.losses.overruns += 1,
                    _ => return Err(self.socket_error("reading", error)),
                },
            }
        }
    }

    fn configure(&self, step: &'static str, bytes: &[u8]) -> Result<(), NfLogError> {
        self.socket.send(bytes, 0).map_err(|source| self.socket_error(step, source))?;
        let deadline = Instant::now() + REPLY_WITHIN;
        let mut buffer = [0_u8; 1024];
        loop {
            match self.socket.recv(&mut &mut buffer[..], DONTWAIT) {
                // The group is bound by the first message, so a packet may
                // stand before the answer to the second: message::answer
                // passes it over, and its number tells of the loss.
                Ok(length) => match message::answer(buffer.get(..length).unwrap_or_default()) {
                    Some(None) => return Ok(()),
                    Some(Some(errno)) => {
                        let (namespace, group) = (self.namespace.clone(), self.group);
                        return Err(NfLogError::Refused { namespace, group, step, errno });
                    }
                    None => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(self.socket_error(step, io::ErrorKind::TimedOut.into()));
                    }
                    let timeout = Timespec::try_from(left).map_err(|e| self.socket_error(step, io::Error::other(e)))?;
                    match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => return Err(self.socket_error(step, errno.into())),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.socket_error(step, error)),
            }
        }
    }

    fn socket_error(&self, step: &'static str, source: io::Error) -> NfLogError {
        NfLogError::Socket { namespace: self.namespace.clone(), group: self.group, step, source }
    }
}

impl NfLogError {
    /// Whether another program reads the group, which has one reader at a time; asked in its namespace. The
    /// kernel says EPERM then, as it does to who lacks CAP_NET_ADMIN: it is looked whether there is a reader.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Refused { errno: Errno::BUSY, .. } => true,
            Self::Refused { errno: Errno::PERM, group, .. } => reader_of(*group).is_some(),
            Self::Refused { .. } | Self::Socket { .. } | Self::Enter(_) => false,
        }
    }
}

/// Who reads a group in the namespace of the calling thread, for people: `the process coroner (pid 17)`, or
/// the number of its netlink port, which most programs take from their pid. `None`: nobody.
pub fn reader_of(group: u16) -> Option<String> {
    // Each line: group, port of the reader, and what does not matter here.
    let table = std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").ok()?;
    let port = port_of(&table, group)?;
    match std::fs::read_to_string(format!("/proc/{port}/comm")) {
        Ok(name) => Some(format!("the process {} (pid {port})", name.trim_end())),
        Err(_) => Some(format!("a program with the netlink port {port}")),
    }
}

fn port_of(table: &str, group: u16) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_it = words.next()?.parse() == Ok(group);
        let port = words.next()?.parse().ok()?;
        is_it.then_some(port)
    })
}

impl AsFd for NfLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_of_a_group_is_found() {
        let table = "    1   4711     3 2   128   1  1\n   17     12     0 2   128   1  1\n";
        assert_eq!((port_of(table, 1), port_of(table, 17), port_of(table, 7)), (Some(4711), Some(12), None));
        assert_eq!(port_of("strange\n1\n\n", 1), None);
    }
}
