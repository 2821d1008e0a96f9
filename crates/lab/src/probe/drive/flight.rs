//! One probe under way: how it starts, is repeated, and hears its answer.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use palisade_linux::netns::Hopper;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, recv, send, sockopt};

use super::{Drive, Flight, Source, enter};
use crate::probe::listen::Place;
use crate::probe::raw::{RawAnswer, RawContent};
use crate::probe::socket::{self, Filled, Inbox};
use crate::probe::wire::{ANSWER_LEN, Echo, Nonce, Sctp};
use crate::probe::{Kind, Outcome, Probe, ProbeError};

/// When a send buffer is full: how long to leave it, and how often.
const BUSY_FOR: Duration = Duration::from_millis(10);
const BUSY_TIMES: u32 = 200;
/// How many source ports are tried: some may be listened on.
const TRIED_PORTS: usize = 16_384;

impl Drive<'_> {
    pub(super) fn start(&mut self, index: usize, hopper: &mut Hopper) -> Result<(), ProbeError> {
        let Some(probe) = self.probes.get(index) else { return Ok(()) };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let kind = probe.kind();
        enter(self.network, probe.from, hopper)?;
        let (number, socket) = self.bound(probe, hopper)?;
        let flight = Flight {
            number,
            started: Instant::now(),
            attempts: 0,
            busy: 0,
            socket,
            nonce_sent: false,
            inbox: Inbox::new(),
        };
        let connected = match &flight.socket {
            Some(socket) => {
                let result = connect(socket, &SocketAddr::new(probe.destination, probe.port()));
                if matches!(result, Ok(()) | Err(Errno::INPROGRESS)) {
                    // Edge-triggered: a connected socket is always writable.
                    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                    epoll::add(&self.epoll, socket, Source::Probe(index).data(), flags).map_err(ProbeError::Wait)?;
                }
                result
            }
            None => {
                self.raws.wait_for(probe.source, kind, number, index);
                Ok(())
            }
        };
        let deadline = flight.started + self.timing.tcp;
        self.flights.insert(index, flight);
        match connected {
            Ok(()) | Err(Errno::INPROGRESS) if kind == Kind::Tcp => self.timers.push(Reverse((deadline, index))),
            Ok(()) => self.attempt(index),
            Err(Errno::CONNREFUSED) => self.land(index, Outcome::Refused(Errno::CONNREFUSED)),
            Err(errno) => self.land(index, Outcome::Failed(errno)),
        }
        Ok(())
    }

    /// A number for the probe, and the socket bound to it if it has its own.
    fn bound(&self, probe: &Probe, hopper: &Hopper) -> Result<(u16, Option<OwnedFd>), ProbeError> {
        let kind = probe.kind();
        let (mut refused, mut number) = (("bind", Errno::ADDRINUSE), 0);
        for _ in 0..TRIED_PORTS {
            number = match self.network.source_numbers.lock() {
                Ok(mut numbers) => numbers.next(probe.source, kind),
                // The counter is sound whatever its last user did.
                Err(poisoned) => poisoned.into_inner().next(probe.source, kind),
            };
            // A port that somebody is to be reached at is no source port.
            if self.listeners.number(Place { kind, address: probe.source, port: number }).is_some() {
                continue;
            }
            if matches!(kind, Kind::Sctp | Kind::Icmp) {
                return Ok((number, None));
            }
            match socket::client(SocketAddr::new(probe.source, number), kind) {
                Ok(socket) => return Ok((number, Some(socket))),
                // Somebody else has it.
                Err((_, Errno::ADDRINUSE)) => {}
                Err(other) => {
                    refused = other;
                    break;
                }
            }
        }
        socket::explain(Err(refused), hopper, || probe.tuple(number).to_string())
    }

    /// Sends a probe that is not TCP, once more.
    pub(super) fn attempt(&mut self, index: u32) {
        let (Some(probe), Some(flight)) = (self.probe(index), self.flights.get_mut(&index)) else { return };
        let nonce = Nonce { run: self.run, probe: index };
        let sent = match (probe.kind(), &flight.socket) {
            (Kind::Udp, Some(socket)) => send(socket, &nonce.payload(), SendFlags::NOSIGNAL).map(|_| ()),
            (Kind::Sctp, _) => {
                let init = Sctp::Init { source: flight.number, destination: probe.port(), tag: nonce.tag() };
                self.raws.send(probe.source, Kind::Sctp, &init.bytes(), probe.destination)
            }
            _ => {
                let echo = Echo { id: flight.number, nonce };
                let sequence = u16::try_from(flight.attempts).unwrap_or(u16::MAX);
                let bytes = echo.request(probe.source.is_ipv6(), sequence);
                self.raws.send(probe.source, Kind::Icmp, &bytes, probe.destination)
            }
        };
        let again = match sent {
            // EPERM: the ruleset dropped it in the output hook, so it was sent as far as this host is concerned.
            Ok(()) | Err(Errno::PERM) => {
                flight.attempts += 1;
                let last = flight.attempts >= self.timing.attempts.max(1);
                if last { self.timing.settle } else { self.timing.interval }
            }
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM | Errno::INTR) if flight.busy < BUSY_TIMES => {
                flight.busy += 1;
                BUSY_FOR
            }
            Err(errno) => {
                // After the first attempt it is an ICMP error about that one.
                let refused = flight.attempts > 0 || errno == Errno::CONNREFUSED;
                let outcome = if refused { Outcome::Refused(errno) } else { Outcome::Failed(errno) };
                return self.land(index, outcome);
            }
        };
        self.timers.push(Reverse((Instant::now() + again, index)));
    }

    /// Something happened at the socket of a TCP or UDP probe.
    pub(super) fn heard(&mut self, index: u32, flags: EventFlags) {
        let (Some(probe), Some(flight)) = (self.probe(index), self.flights.get_mut(&index)) else { return };
        let Some(socket) = &flight.socket else { return };
        let nonce = Nonce { run: self.run, probe: index };
        let Some(listener) = self.listeners.number(Self::place(probe)) else { return };
        let expected = nonce.answer(listener);
        let outcome = match probe.kind() {
            Kind::Tcp => {
                if !flight.nonce_sent && flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                    // Taking the error also tells whether the connection stands.
                    match sockopt::socket_error(socket).and_then(|error| error) {
                        Ok(()) => {
                            flight.nonce_sent = send(socket, &nonce.payload(), SendFlags::NOSIGNAL).is_ok();
                        }
                        Err(errno) => return self.land(index, refused(errno)),
                    }
                }
                match flight.inbox.fill(socket) {
                    Ok(Filled::Partly) => None,
                    // Before the connection stands there is nothing to read.
                    Err(Errno::NOTCONN) => None,
                    Ok(Filled::Whole(answer)) => (*answer == expected).then_some(Outcome::Reached),
                    Ok(Filled::Closed) => Some(Outcome::Refused(Errno::CONNRESET)),
                    Err(errno) => Some(refused(errno)),
                }
            }
            _ => {
                let mut buffer = [0_u8; ANSWER_LEN + 1];
                loop {
                    match recv(socket, &mut buffer[..], RecvFlags::empty()) {
                        Ok((length, _)) if buffer.get(..length) == Some(&expected[..]) => break Some(Outcome::Reached),
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => break None,
                        Err(errno) => break Some(refused(errno)),
                    }
                }
            }
        };
        if let Some(outcome) = outcome {
            self.land(index, outcome);
        }
    }

    pub(super) fn raw_answer(&mut self, answer: RawAnswer) {
        let Some(probe) = self.probe(answer.probe) else { return };
        let nonce = Nonce { run: self.run, probe: answer.probe };
        let own = match answer.content {
            RawContent::Echo(brought) => brought == nonce,
            // A kernel's INIT ACK has no number of ours.
            RawContent::InitAck { port, tag, listener } => {
                let expected = self.listeners.number(Self::place(probe));
                port == probe.port() && tag == nonce.tag() && (listener.is_none() || listener == expected)
            }
        };
        if own && answer.from == probe.destination {
            self.land(answer.probe, Outcome::Reached);
        }
    }
}

/// What an error of a socket says about its probe.
fn refused(errno: Errno) -> Outcome {
    // The kernel gave up repeating the SYN: silence, only longer.
    if errno == Errno::TIMEDOUT { Outcome::NoAnswer } else { Outcome::Refused(errno) }
}
