//! The far ends of TCP and UDP probes, and the numbers of all listeners.
//!
//! A listener answers what it is sent with the same and its own number. It
//! serves everybody: who may reach it is for the ruleset to say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use palisade_linux::netns::Hopper;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, ipproto, recvfrom, send, sendto};

use super::drive::Source;
use super::socket::{self, Filled, Inbox};
use super::wire::{NONCE_LEN, Nonce};
use super::{Kind, ProbeError};

/// Datagrams and connections that one listener may take before others get their turn.
const TURN: usize = 256;

/// Where probes of a kind arrive; port 0 for ICMP, which has no listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

struct Listener {
    kind: Kind,
    /// None for SCTP that is answered by hand, on the raw socket of its address.
    socket: Option<OwnedFd>,
}

struct Connection {
    listener: u32,
    socket: OwnedFd,
    inbox: Inbox<NONCE_LEN>,
}

/// All listeners, and the connections that they have accepted.
#[derive(Default)]
pub(super) struct Listeners {
    list: Vec<Listener>,
    numbers: HashMap<Place, u32>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Listeners {
    /// Opens a listener at `place`, once, in the namespace that `hopper` is in.
    pub(super) fn open(&mut self, place: Place, hopper: &Hopper, epoll: &OwnedFd) -> Result<(), ProbeError> {
        if place.kind == Kind::Icmp || self.numbers.contains_key(&place) {
            return Ok(());
        }
        let at = SocketAddr::new(place.address, place.port);
        let opened = match place.kind {
            Kind::Tcp => socket::stream_listener(at, None).map(Some),
            Kind::Udp => socket::datagram_listener(at).map(Some),
            // A kernel that has SCTP would answer INIT with ABORT beside us,
            // and conntrack would close the association: let it answer itself.
            Kind::Sctp if Path::new("/proc/thread-self/net/sctp").exists() => {
                socket::stream_listener(at, Some(ipproto::SCTP)).map(Some)
            }
            Kind::Sctp | Kind::Icmp => Ok(None),
        };
        let what = || format!("{:?} {at}", place.kind);
        let socket = socket::explain(opened, hopper, what)?;
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        if let Some(socket) = &socket
            && place.kind != Kind::Sctp
        {
            epoll::add(epoll, socket, Source::Listener(number).data(), EventFlags::IN).map_err(ProbeError::Wait)?;
        }
        self.list.push(Listener { kind: place.kind, socket });
        self.numbers.insert(place, number);
        Ok(())
    }

    /// The number of the listener at `place`.
    pub(super) fn number(&self, place: Place) -> Option<u32> {
        self.numbers.get(&place).copied()
    }

    /// Whether INITs for `place` are to be answered by hand, and as which listener.
    pub(super) fn answered_by_hand(&self, place: Place) -> Option<u32> {
        let number = self.number(place)?;
        let listener = self.list.get(usize::try_from(number).ok()?)?;
        listener.socket.is_none().then_some(number)
    }

    /// Serves a listener that is readable; whether it is empty now.
    pub(super) fn serve(&mut self, number: u32, epoll: &OwnedFd) -> Result<bool, ProbeError> {
        let Some(Listener { kind, socket: Some(socket) }) =
            usize::try_from(number).ok().and_then(|index| self.list.get(index))
        else {
            return Ok(true);
        };
        if *kind == Kind::Udp {
            return Ok(answer_datagrams(socket, number));
        }
        for _ in 0..TURN {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Errors of a connection that is gone again (accept(2)); no room
            // for another descriptor leaves it in the queue for a later turn.
            let Ok(accepted) = accept_with(socket, flags) else { return Ok(true) };
            let mut connection = Connection { listener: number, socket: accepted, inbox: Inbox::new() };
            if connection.advance() {
                continue;
            }
            let slot = self.free.pop().unwrap_or(self.connections.len());
            let token = Source::Connection(u32::try_from(slot).unwrap_or(u32::MAX));
            let data: EventData = token.data();
            epoll::add(epoll, connection.socket.as_fd(), data, EventFlags::IN).map_err(ProbeError::Wait)?;
            match self.connections.get_mut(slot) {
                Some(place) => *place = Some(connection),
                None => self.connections.push(Some(connection)),
            }
        }
        Ok(false)
    }

    /// Serves a connection that is readable.
    pub(super) fn serve_connection(&mut self, slot: u32) {
        let Ok(slot) = usize::try_from(slot) else { return };
        if let Some(place) = self.connections.get_mut(slot)
            && place.as_mut().is_some_and(Connection::advance)
        {
            *place = None;
            self.free.push(slot);
        }
    }
}

impl Connection {
    /// Reads on, and answers once the nonce is there; whether it is over.
    fn advance(&mut self) -> bool {
        match self.inbox.fill(&self.socket) {
            Ok(Filled::Partly) => false,
            Ok(Filled::Whole(payload)) => {
                if let Some(nonce) = Nonce::read(payload) {
                    // Twenty bytes fit into the empty buffer of a new
                    // connection; it fails only when the client has gone.
                    let _ = send(&self.socket, &nonce.answer(self.listener), SendFlags::NOSIGNAL);
                }
                true
            }
            Ok(Filled::Closed) | Err(_) => true,
        }
    }
}

/// Echoes what has arrived, from the address it came to (the socket is bound
/// to it); whether the socket is empty now.
fn answer_datagrams(socket: &OwnedFd, number: u32) -> bool {
    let mut buffer = [0_u8; 64];
    for _ in 0..TURN {
        match recvfrom(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _, Some(from))) => {
                if let Some(nonce) = buffer.get(..length).and_then(Nonce::read) {
                    // A refusal is like a lost answer: the probe is repeated.
                    let _ = sendto(socket, &nonce.answer(number), SendFlags::empty(), &from);
                }
            }
            Ok((_, _, None)) | Err(Errno::INTR) => {}
            // An ICMP error about an earlier answer: the next call goes on.
            Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) => {}
            Err(_) => return true,
        }
    }
    false
}
