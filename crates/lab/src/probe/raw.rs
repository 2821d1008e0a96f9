//! The raw sockets of SCTP and ICMP: one for each address and kind, shared by
//! all probes from it and, for SCTP, by the listeners at it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use palisade_linux::netns::Hopper;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use super::drive::Source;
use super::listen::{Listeners, Place};
use super::socket;
use super::wire::{Echo, Nonce, Sctp, behind_ipv4_header};
use super::{Kind, ProbeError};

/// Packets that one socket may take before others get their turn.
const TURN: usize = 256;

struct Raw {
    address: IpAddr,
    kind: Kind,
    socket: OwnedFd,
    /// Source port or identifier to the index of the probe that waits.
    waiting: HashMap<u16, u32>,
}

/// An answer to a probe that waits, not yet compared with what it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawAnswer {
    /// The index of the probe, by its source port or identifier.
    pub(super) probe: u32,
    /// Who answered.
    pub(super) from: IpAddr,
    /// What the answer brings.
    pub(super) content: RawContent,
}

/// What an answer brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawContent {
    /// An INIT ACK.
    InitAck {
        /// The port it came from.
        port: u16,
        /// The tag that it bears.
        tag: u32,
        /// The listener's number, if it was one of ours.
        listener: Option<u32>,
    },
    /// An echo reply.
    Echo(Nonce),
}

/// All raw sockets.
#[derive(Default)]
pub(super) struct RawSockets {
    list: Vec<Raw>,
    by_address: HashMap<(IpAddr, Kind), usize>,
}

impl RawSockets {
    /// Opens the socket of `address` for `kind`, once, in the namespace that `hopper` is in.
    pub(super) fn open(
        &mut self,
        address: IpAddr,
        kind: Kind,
        hopper: &Hopper,
        epoll: &OwnedFd,
    ) -> Result<(), ProbeError> {
        if self.by_address.contains_key(&(address, kind)) {
            return Ok(());
        }
        let what = || format!("{kind:?} of {address}");
        let socket = socket::explain(socket::raw(address, kind), hopper, what)?;
        let index = self.list.len();
        let token = Source::Raw(u32::try_from(index).unwrap_or(u32::MAX));
        epoll::add(epoll, &socket, token.data(), EventFlags::IN).map_err(ProbeError::Wait)?;
        self.list.push(Raw { address, kind, socket, waiting: HashMap::new() });
        self.by_address.insert((address, kind), index);
        Ok(())
    }

    /// Has answers for `number` at `address` go to `probe`.
    pub(super) fn wait_for(&mut self, address: IpAddr, kind: Kind, number: u16, probe: u32) {
        if let Some(raw) = self.get_mut(address, kind) {
            raw.waiting.insert(number, probe);
        }
    }

    /// No more answers for `number` at `address`.
    pub(super) fn forget(&mut self, address: IpAddr, kind: Kind, number: u16) {
        if let Some(raw) = self.get_mut(address, kind) {
            raw.waiting.remove(&number);
        }
    }

    /// Sends `bytes` from `address` to `destination`.
    pub(super) fn send(&self, address: IpAddr, kind: Kind, bytes: &[u8], destination: IpAddr) -> Result<(), Errno> {
        let raw = self.by_address.get(&(address, kind)).and_then(|index| self.list.get(*index));
        let raw = raw.ok_or(Errno::BADF)?;
        sendto(&raw.socket, bytes, SendFlags::empty(), &SocketAddr::new(destination, 0)).map(|_| ())
    }

    /// Reads what has arrived at a socket: answers INITs for the listeners at
    /// its address, and collects the answers to probes. Whether it is empty now.
    pub(super) fn serve(&mut self, index: u32, listeners: &Listeners, answers: &mut Vec<RawAnswer>) -> bool {
        let Some(raw) = usize::try_from(index).ok().and_then(|index| self.list.get(index)) else { return true };
        let mut buffer = [0_u8; 512];
        for _ in 0..TURN {
            let (length, from) = match recvfrom(&raw.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _, Some(from))) => (length, from),
                Ok((_, _, None)) | Err(Errno::INTR) => continue,
                Err(_) => return true,
            };
            let (Ok(from), Some(packet)) = (SocketAddr::try_from(from), buffer.get(..length)) else { continue };
            let payload = if raw.address.is_ipv4() { behind_ipv4_header(packet) } else { Some(packet) };
            if let Some(payload) = payload {
                answers.extend(raw.take(payload, from.ip(), listeners));
            }
        }
        false
    }

    fn get_mut(&mut self, address: IpAddr, kind: Kind) -> Option<&mut Raw> {
        let index = *self.by_address.get(&(address, kind))?;
        self.list.get_mut(index)
    }
}

impl Raw {
    fn take(&self, payload: &[u8], from: IpAddr, listeners: &Listeners) -> Option<RawAnswer> {
        if self.kind == Kind::Icmp {
            let echo = Echo::read_reply(payload, self.address.is_ipv6())?;
            let probe = *self.waiting.get(&echo.id)?;
            return Some(RawAnswer { probe, from, content: RawContent::Echo(echo.nonce) });
        }
        match Sctp::read(payload)? {
            Sctp::Init { source, destination, tag } => {
                let place = Place { kind: Kind::Sctp, address: self.address, port: destination };
                let listener = listeners.answered_by_hand(place)?;
                let ack = Sctp::InitAck { source: destination, destination: source, tag, listener: Some(listener) };
                // A refusal is like a lost answer: the probe is repeated.
                let _ = sendto(&self.socket, &ack.bytes(), SendFlags::empty(), &SocketAddr::new(from, 0));
                None
            }
            Sctp::InitAck { source, destination, tag, listener } => {
                let probe = *self.waiting.get(&destination)?;
                Some(RawAnswer { probe, from, content: RawContent::InitAck { port: source, tag, listener } })
            }
        }
    }
}
