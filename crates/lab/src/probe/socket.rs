//! Sockets in the namespace that the thread is in, ready for one use each.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use palisade_linux::netns::Hopper;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, bind, ipproto, listen, recv, socket_with, sockopt,
};

use super::{Kind, ProbeError};

/// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// What the shared sockets ask for; the kernel gives at most net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A step that failed, for [`ProbeError::Socket`].
pub(super) type Step<T> = Result<T, (&'static str, Errno)>;

/// Says where and for what a step failed.
pub(super) fn explain<T>(step: Step<T>, hopper: &Hopper, what: impl FnOnce() -> String) -> Result<T, ProbeError> {
    step.map_err(|(step, errno)| ProbeError::Socket { namespace: hopper.place().to_owned(), step, what: what(), errno })
}

/// A socket that accepts connections at `address`.
pub(super) fn stream_listener(address: SocketAddr, protocol: Option<Protocol>) -> Step<OwnedFd> {
    let socket = open(address.ip(), SocketType::STREAM, protocol)?;
    // A connection of the run before may still be closing.
    sockopt::set_socket_reuseaddr(&socket, true).map_err(|errno| ("set SO_REUSEADDR", errno))?;
    bind(&socket, &address).map_err(|errno| ("bind a listener", errno))?;
    listen(&socket, BACKLOG).map_err(|errno| ("listen", errno))?;
    Ok(socket)
}

/// A socket that receives datagrams at `address`, and answers from it.
pub(super) fn datagram_listener(address: SocketAddr) -> Step<OwnedFd> {
    let socket = open(address.ip(), SocketType::DGRAM, None)?;
    enlarge(&socket);
    bind(&socket, &address).map_err(|errno| ("bind a listener", errno))?;
    Ok(socket)
}

/// A raw socket for what `address` receives and sends of a kind.
pub(super) fn raw(address: IpAddr, kind: Kind) -> Step<OwnedFd> {
    let protocol = match (kind, address) {
        (Kind::Icmp, IpAddr::V4(_)) => ipproto::ICMP,
        (Kind::Icmp, IpAddr::V6(_)) => ipproto::ICMPV6,
        (Kind::Tcp | Kind::Udp | Kind::Sctp, _) => ipproto::SCTP,
    };
    let socket = open(address, SocketType::RAW, Some(protocol))?;
    enlarge(&socket);
    // Bound, it gets only what is for this address and sends from it.
    bind(&socket, &SocketAddr::new(address, 0)).map_err(|errno| ("bind a raw socket", errno))?;
    Ok(socket)
}

/// A TCP or UDP socket bound to `source`; EADDRINUSE if something else is.
pub(super) fn client(source: SocketAddr, kind: Kind) -> Step<OwnedFd> {
    let socket_type = if kind == Kind::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = open(source.ip(), socket_type, None)?;
    if kind == Kind::Tcp {
        // Closing resets the connection: nothing waits in TIME_WAIT or
        // FIN_WAIT at either end, and holds the namespace after us.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).map_err(|errno| ("set SO_LINGER", errno))?;
    }
    bind(&socket, &source).map_err(|errno| ("bind", errno))?;
    Ok(socket)
}

fn open(address: IpAddr, socket_type: SocketType, protocol: Option<Protocol>) -> Step<OwnedFd> {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    socket_with(family, socket_type, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, protocol)
        .map_err(|errno| ("open a socket", errno))
}

/// More room for a burst of probes. What the kernel grants is enough at the
/// pace of `drive`, so a refusal is no error.
fn enlarge(socket: &OwnedFd) {
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER);
    }
}

/// The beginning of a TCP stream, as far as it has come.
#[derive(Debug)]
pub(super) struct Inbox<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

/// What is in an [`Inbox`].
pub(super) enum Filled<'a> {
    /// Not all yet; more may come.
    Partly,
    /// All of it.
    Whole(&'a [u8]),
    /// The other side closed before.
    Closed,
}

impl<const N: usize> Inbox<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N], filled: 0 }
    }

    /// Reads what there is, without waiting.
    pub(super) fn fill(&mut self, socket: &OwnedFd) -> Result<Filled<'_>, Errno> {
        while let Some(rest) = self.bytes.get_mut(self.filled..)
            && !rest.is_empty()
        {
            match recv(socket, rest, RecvFlags::empty()) {
                Ok((0, _)) => return Ok(Filled::Closed),
                Ok((length, _)) => self.filled += length,
                Err(Errno::AGAIN) => return Ok(Filled::Partly),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Filled::Whole(&self.bytes))
    }
}
