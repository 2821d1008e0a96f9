//! What is measured between the two pods: one thread sends, and receives at the other end.
//!
//! ```text
//! thread ── send ──► socket in the client's pod ── veth ── node: forward ── veth ── server's pod ──┐
//!        ◄─ receive ── socket there ◄──────────────────────────────────────────────────────────────┘
//! ```
//!
//! The kernel carries a packet through both links within `send`, on the same CPU. So there is nobody to wake
//! and nothing to wait for, and what is left is the work: a share of it weighs more here than where it is
//! seen between sleeping processes.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use palisade_engine::model::Family;
use palisade_lab::wiring::Network;
use palisade_linux::netns::Hopper;
use rustix::net::sockopt;

use crate::rules::{CLOSED, PairEnd, SERVED};

/// How many connections are begun, at most, before the kernel forgets them all.
const FRESH: usize = 128;
/// Round trips of an established connection that do not count.
const WARM: usize = 32;
/// Those that do, in one turn.
const ROUND_TRIPS: usize = 400;
/// Whole connections in one turn, and in one sample.
const CONNECTIONS: usize = 96;
const AT_ONCE: usize = 4;
/// A turn ends after this long with what it has, as long as that is a few samples.
const TURN: Duration = Duration::from_millis(15);
const FEW: usize = 6;
/// What did not arrive by then does not arrive: it takes microseconds.
const LOST: Duration = Duration::from_secs(2);
/// How long each of some first packets is waited for, and how many there are.
const SETTLING: Duration = Duration::from_millis(250);
const TRIES: u32 = 40;
/// Likewise, where it is meant not to arrive.
const DROPPED: Duration = Duration::from_millis(50);

/// What is measured, each in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// A packet of a TCP connection that is established: a byte, and the acknowledgement of the last one.
    Tcp,
    /// The same of UDP, the shortest way that there is.
    Udp,
    /// The first packet of a connection.
    New,
    /// A whole connection: opened, a byte sent each way, closed.
    Connection,
}

impl Measure {
    pub(crate) const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::New, Self::Connection];
}

/// The sockets of both pods, of one family.
pub(crate) struct Path {
    client: UdpSocket,
    server: UdpSocket,
    closed: UdpSocket,
    /// Each begins a connection with its first packet.
    fresh: Vec<UdpSocket>,
    listener: TcpListener,
    served: SocketAddr,
}

impl Path {
    /// Opens the sockets in the two pods of a network.
    pub(crate) fn open(network: &Network, family: Family, hopper: &mut Hopper) -> Result<Self> {
        let [client, server] = PairEnd::ALL.map(|end| end.address(family));
        hopper.enter(network.pod(1).context("no server")?)?;
        let served = SocketAddr::new(server, SERVED);
        let listener = TcpListener::bind(served).context("the server cannot listen")?;
        listener.set_nonblocking(true)?;
        let (server, closed) = (udp(served)?, udp(SocketAddr::new(server, CLOSED))?);
        hopper.enter(network.pod(0).context("no client")?)?;
        let connected = |from: IpAddr| {
            let socket = udp(SocketAddr::new(from, 0))?;
            socket.connect(served)?;
            anyhow::Ok(socket)
        };
        let fresh = (0..FRESH).map(|_| connected(client)).collect::<Result<_>>()?;
        let path = Self { client: connected(client)?, server, closed, fresh, listener, served };
        path.settle()?;
        Ok(path)
    }

    /// Sends until something arrives, for a while: the first packets over a new link wait for neighbours, and are lost
    /// where an address is not ready yet.
    fn settle(&self) -> Result<()> {
        let mut tries = 0;
        while let Err(error) = self.round_trip_within(SETTLING) {
            tries += 1;
            if tries == TRIES {
                return Err(error.context(format!("nothing arrives after {TRIES} tries")));
            }
        }
        // What was late is not to be taken for what comes next.
        for socket in [&self.server, &self.client] {
            while receive(socket, Duration::ZERO)?.is_some() {}
        }
        Ok(())
    }

    /// Takes samples of one kind, in nanoseconds. Connections that were begun are in conntrack afterwards.
    ///
    /// The thread has to be in the client's pod.
    pub(crate) fn measure(&self, measure: Measure, samples: &mut Vec<f64>) -> Result<()> {
        let (began, before) = (Instant::now(), samples.len());
        let is_over = |samples: &Vec<f64>| began.elapsed() > TURN && samples.len() - before >= FEW;
        match measure {
            Measure::Tcp => {
                let (client, server) = self.connect()?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                // At first each byte is acknowledged by a packet of its own (quickack, tcp(7)).
                for _ in 0..WARM {
                    exchange(&client, &server)?;
                }
                for _ in 0..ROUND_TRIPS {
                    let start = Instant::now();
                    exchange(&client, &server)?;
                    samples.push(nanoseconds(start) / 2.0);
                    if is_over(samples) {
                        break;
                    }
                }
                reset(client)?;
            }
            Measure::Udp => {
                for _ in 0..WARM {
                    self.round_trip()?;
                }
                for _ in 0..ROUND_TRIPS {
                    let start = Instant::now();
                    self.round_trip()?;
                    samples.push(nanoseconds(start) / 2.0);
                    if is_over(samples) {
                        break;
                    }
                }
            }
            Measure::New => {
                for socket in &self.fresh {
                    let start = Instant::now();
                    socket.send(&[1])?;
                    receive(&self.server, LOST)?.context("a first packet is lost")?;
                    samples.push(nanoseconds(start));
                    if is_over(samples) {
                        break;
                    }
                }
            }
            Measure::Connection => {
                for _ in 0..CONNECTIONS / AT_ONCE {
                    let start = Instant::now();
                    for _ in 0..AT_ONCE {
                        self.connection()?;
                    }
                    samples.push(nanoseconds(start) / AT_ONCE as f64);
                    if is_over(samples) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// There and back again.
    pub(crate) fn round_trip(&self) -> Result<()> {
        self.round_trip_within(LOST)
    }

    fn round_trip_within(&self, lost: Duration) -> Result<()> {
        self.client.send(&[1])?;
        let client = receive(&self.server, lost)?.context("a packet is lost on its way there")?;
        self.server.send_to(&[2], client)?;
        receive(&self.client, lost)?.context("a packet is lost on its way back")?;
        Ok(())
    }

    /// Begins connections, none of them twice; how many.
    pub(crate) fn begin(&self, count: usize) -> Result<usize> {
        for socket in self.fresh.iter().take(count) {
            socket.send(&[1])?;
            receive(&self.server, LOST)?.context("a first packet is lost")?;
        }
        Ok(count.min(self.fresh.len()))
    }

    /// Whether the client's packet to the other port arrives, and one that the server begins.
    pub(crate) fn forbidden_arrive(&self, wait: bool) -> Result<[bool; 2]> {
        let within = if wait { LOST } else { DROPPED };
        let (client, closed) = (self.client.local_addr()?, self.closed.local_addr()?);
        self.fresh.first().context("no socket")?.connect(closed)?;
        self.fresh.first().context("no socket")?.send(&[3])?;
        let there = receive(&self.closed, within)?.is_some();
        self.fresh.first().context("no socket")?.connect(self.served)?;
        // The client takes packets of the served port alone, so another socket of it is spoken to.
        let open = self.fresh.last().context("no socket")?;
        let to = open.local_addr()?;
        ensure!(to.ip() == client.ip(), "the client has two addresses");
        // From the served port it would be an answer only if the client had begun.
        self.server.send_to(&[4], to)?;
        let back = receive(open, within)?.is_some();
        Ok([there, back])
    }

    fn connection(&self) -> Result<()> {
        let (client, server) = self.connect()?;
        exchange(&client, &server)?;
        reset(client)
    }

    fn connect(&self) -> Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(self.served).context("a connection is not opened")?;
        Ok((client, accept(&self.listener)?))
    }
}

/// A byte there and one back.
fn exchange(client: &TcpStream, server: &TcpStream) -> Result<()> {
    for (mut from, mut to) in [(client, server), (server, client)] {
        from.write_all(&[5])?;
        to.read_exact(&mut [0])?;
    }
    Ok(())
}

/// Ends a connection so that nothing of it stays behind at either end.
fn reset(client: TcpStream) -> Result<()> {
    sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    Ok(())
}

fn udp(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot bind to {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The sender of the next packet; `None` when none comes in time.
fn receive(socket: &UdpSocket, within: Duration) -> Result<Option<SocketAddr>> {
    let mut began = None;
    loop {
        match socket.recv_from(&mut [0; 8]) {
            Ok((_, from)) => return Ok(Some(from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if began.get_or_insert_with(Instant::now).elapsed() > within {
                    return Ok(None);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let began = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < LOST => {}
            Err(error) => bail!("the server does not see a connection: {error}"),
        }
    }
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}
