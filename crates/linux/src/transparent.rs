//! Datagrams on their way to somebody else: received here, and sent on as if nothing had been.
//!
//! ```text
//! packet ─► nftables `tproxy`, mark ─► route local ─► Diverted::receive   with both its ends
//!                                                     Senders::send       from its source, to its destination
//! ```
//!
//! A socket that may do so is transparent (IP_TRANSPARENT, ip(7)): it takes what is diverted to it, and sends from
//! addresses that are not this host's. It needs CAP_NET_ADMIN in the network namespace.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike,
    SockaddrStorage, bind, recvmsg, setsockopt, socket, sockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// From how many sources sockets are kept to send from.
const KEPT: usize = 64;
/// What a receive buffer holds while answers wait, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Sockets that datagrams of both families are diverted to, at the loopback's addresses.
#[derive(Debug)]
pub struct Diverted {
    port: u16,
    sockets: Vec<UdpSocket>,
}

/// The ends of a datagram that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it was for.
    pub destination: SocketAddr,
    /// Its length in bytes.
    pub length: usize,
}

impl Diverted {
    /// Sockets of the calling thread's network namespace, at a port that is free for both families; of IPv6 only
    /// where the host has it.
    ///
    /// # Errors
    /// When a socket cannot be made, or not be transparent.
    pub fn open() -> io::Result<Self> {
        let v4 = listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))?;
        let port = v4.local_addr()?.port();
        let mut sockets = vec![v4];
        match listen(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)) {
            Ok(v6) => sockets.push(v6),
            Err(error) if is_without_ipv6(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { port, sockets })
    }

    /// The port to divert to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until there is a datagram, for so long at most. Says whether there is.
    ///
    /// # Errors
    /// When the sockets cannot be waited for.
    pub fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
        let mut fds: Vec<PollFd<'_>> = self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next datagram that is there, into `buffer`; `None`: there is none. What is longer than the buffer, or
    /// does not say whom it was for, is passed over.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Ends>> {
        for socket in &self.sockets {
            loop {
                match receive(socket, buffer) {
                    Ok(Some(ends)) => return Ok(Some(ends)),
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }
}

/// Sockets that send from addresses of others; those used last are kept.
#[derive(Debug)]
pub struct Senders {
    mark: u32,
    sockets: VecDeque<(SocketAddr, UdpSocket)>,
}

impl Senders {
    /// None yet; what they send will have this mark.
    pub fn new(mark: u32) -> Self {
        Self { mark, sockets: VecDeque::new() }
    }

    /// Sends a datagram with these ends.
    ///
    /// # Errors
    /// When there can be no such socket (EADDRINUSE: somebody here listens at the source's port at every address),
    /// or it cannot be sent.
    pub fn send(&mut self, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let known = self.sockets.iter().position(|(from, _)| *from == source);
        let socket = match known.and_then(|at| self.sockets.remove(at)) {
            Some((_, socket)) => socket,
            None => from(source, self.mark)?,
        };
        // What was sent to it is for nobody.
        let sent = socket.send_to(bytes, destination);
        self.sockets.push_front((source, socket));
        self.sockets.truncate(KEPT);
        sent.map(|_| ())
    }
}

fn listen(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = transparent(at)?;
    match at {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?,
    }
    // Beyond the system's limit only with CAP_NET_ADMIN in the first user namespace.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    bind_to(socket, at)
}

fn from(at: SocketAddr, mark: u32) -> io::Result<UdpSocket> {
    let socket = transparent(at)?;
    setsockopt(&socket, sockopt::Mark, &mark)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind_to(socket, at)
}

fn transparent(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    if at.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    // A socket of IPv6 has the same bit.
    setsockopt(&socket, sockopt::IpTransparent, &true)?;
    Ok(socket)
}

fn bind_to(socket: OwnedFd, at: SocketAddr) -> io::Result<UdpSocket> {
    bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
    Ok(UdpSocket::from(socket))
}

/// `None`: a datagram of which nothing can be made.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<Ends>> {
    let mut control = nix::cmsg_space!(SockaddrIn6);
    let mut parts = [IoSliceMut::new(buffer)];
    let received =
        recvmsg::<SockaddrStorage>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    if received.flags.contains(MsgFlags::MSG_TRUNC) {
        return Ok(None);
    }
    let destination = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4OrigDstAddr(address) => {
            Some(SocketAddr::V4(SocketAddrV4::from(SockaddrIn::from(address))))
        }
        ControlMessageOwned::Ipv6OrigDstAddr(address) => {
            Some(SocketAddr::V6(SocketAddrV6::from(SockaddrIn6::from(address))))
        }
        _ => None,
    });
    let source = received.address.as_ref().and_then(plain);
    Ok(source.zip(destination).map(|(source, destination)| Ends { source, destination, length: received.bytes }))
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4))),
        AddressFamily::Inet6 => {
            // A link-local server has a scope, which has to be kept.
            address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
        }
        _ => None,
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_ipv6_is_no_failure() {
        let of = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(is_without_ipv6(&of(rustix::io::Errno::AFNOSUPPORT)));
        assert!(is_without_ipv6(&of(rustix::io::Errno::ADDRNOTAVAIL)));
        assert!(!is_without_ipv6(&of(rustix::io::Errno::PERM)));
    }
}
