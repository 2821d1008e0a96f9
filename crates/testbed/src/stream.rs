//! Traffic between two pods that goes on while something else happens, and whether any of it is lost.
//!
//! ```text
//! udp, tcp    one long-lived connection
//! udp_anew    a new connection for each message
//! udp_never   the same, of what must not arrive, not once
//! ```
//!
//! Each message is answered before the next one is sent: no buffer can run over however busy the machine
//! is, so what does not come back was dropped on the way.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use palisade_linux::netns::NetNs;

use crate::{Result, Testbed};

/// How long an answer may take: that of a packet that a machine is busy with, not of one that is lost.
const ANSWER: Duration = Duration::from_secs(10);
/// From one message to the next.
const PACE: Duration = Duration::from_micros(500);
/// How often whoever waits looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// A connection under way.
pub struct Stream {
    shared: Arc<Shared>,
    client: JoinHandle<Result<()>>,
    server: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicU64,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl Testbed {
    /// Begins a UDP stream from one pod to a port of another.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn udp(&self, from: &str, to: &str, port: u16, is_ipv4: bool) -> Result<Stream> {
        let ((near, source), (far, destination)) = (self.end(from, is_ipv4)?, self.end(to, is_ipv4)?);
        let server = far.run(|| UdpSocket::bind((destination, port)))??;
        let client = near.run(|| UdpSocket::bind((source, 0)))??;
        client.connect((destination, port))?;
        server.set_read_timeout(Some(LOOK))?;
        client.set_read_timeout(Some(ANSWER))?;
        Stream::begin(move |shared| udp_client(&client, shared), move |shared| udp_server(&server, shared))
    }

    /// Sends datagrams from one pod to a port of another, each of a connection of its own.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn udp_anew(&self, from: &str, to: &str, port: u16, is_ipv4: bool) -> Result<Stream> {
        let ((near, source), (far, destination)) = (self.end(from, is_ipv4)?, self.end(to, is_ipv4)?);
        let server = far.run(|| UdpSocket::bind((destination, port)))??;
        server.set_read_timeout(Some(LOOK))?;
        let (near, to) = (near.try_clone()?, SocketAddr::new(destination, port));
        let client = move |shared: &Shared| udp_client_anew(&near, source, to, shared);
        Stream::begin(client, move |shared| udp_server(&server, shared))
    }

    /// Sends datagrams that must not arrive, each of a connection of its own.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn udp_never(&self, from: &str, to: &str, port: u16, is_ipv4: bool) -> Result<Stream> {
        let ((near, source), (far, destination)) = (self.end(from, is_ipv4)?, self.end(to, is_ipv4)?);
        let server = far.run(|| UdpSocket::bind((destination, port)))??;
        server.set_read_timeout(Some(LOOK))?;
        let (near, to) = (near.try_clone()?, SocketAddr::new(destination, port));
        let client = move |shared: &Shared| udp_sender(&near, source, to, shared);
        Stream::begin(client, move |shared| nothing_arrives(&server, shared))
    }

    /// Begins a TCP stream from one pod to a port of another.
    ///
    /// # Errors
    /// When the connection does not come about.
    pub fn tcp(&self, from: &str, to: &str, port: u16, is_ipv4: bool) -> Result<Stream> {
        let ((near, _), (far, destination)) = (self.end(from, is_ipv4)?, self.end(to, is_ipv4)?);
        let listener = far.run(|| TcpListener::bind((destination, port)))??;
        let at = SocketAddr::new(destination, port);
        let client = near.run(|| TcpStream::connect_timeout(&at, ANSWER))??;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        client.set_read_timeout(Some(ANSWER))?;
        server.set_read_timeout(Some(LOOK))?;
        Stream::begin(move |shared| tcp_client(client, shared), move |shared| tcp_server(server, shared))
    }

    /// The namespace of a name (`namespace/pod`, a node, an address), and its address of a family.
    ///
    /// # Errors
    /// When it has none.
    pub fn end(&self, name: &str, is_ipv4: bool) -> Result<(&NetNs, IpAddr)> {
        let found = self.stage.find(name, is_ipv4);
        let (host, address) = found.ok_or_else(|| format!("{name} has no place, or no address of that family"))?;
        Ok((self.network.host(host).ok_or("no such host")?, address))
    }
}

impl Stream {
    fn begin(
        client: impl FnOnce(&Shared) -> Result + Send + 'static,
        server: impl FnOnce(&Shared) -> Result + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (near, far) = (Arc::clone(&shared), Arc::clone(&shared));
        let server = thread::Builder::new().spawn(move || server(&far))?;
        let client = thread::Builder::new().spawn(move || client(&near))?;
        Ok(Self { shared, client, server })
    }

    /// How many messages were answered so far, or sent where none may arrive.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself: [`Self::finish`] says why.
    pub fn is_over(&self) -> bool {
        self.client.is_finished() || self.server.is_finished()
    }

    /// Ends it; how many messages were answered, or sent where none may arrive.
    ///
    /// # Errors
    /// The first message with which it went otherwise.
    pub fn finish(self) -> Result<u64> {
        self.shared.over.store(true, Ordering::Relaxed);
        let server = self.server.join().map_err(|_| "the server of a stream panicked")?;
        self.client.join().map_err(|_| "the client of a stream panicked")??;
        server?;
        Ok(self.shared.answered.load(Ordering::Relaxed))
    }
}

fn udp_client(socket: &UdpSocket, shared: &Shared) -> Result {
    let mut number = 0_u64;
    while !shared.is_over() {
        number += 1;
        exchange(socket, number)?;
        shared.answered.store(number, Ordering::Relaxed);
        thread::sleep(PACE);
    }
    Ok(())
}

fn exchange(socket: &UdpSocket, number: u64) -> Result {
    socket.send(&number.to_be_bytes())?;
    let mut answer = [0; 8];
    let length = socket.recv(&mut answer).map_err(|error| format!("datagram {number} was lost: {error}"))?;
    if answer.get(..length) != Some(&number.to_be_bytes()) {
        return Err(format!("the answer to datagram {number} is {answer:?}").into());
    }
    Ok(())
}

fn udp_client_anew(near: &NetNs, source: IpAddr, to: SocketAddr, shared: &Shared) -> Result {
    each_anew(near, source, to, shared, |socket, number| {
        socket.set_read_timeout(Some(ANSWER))?;
        exchange(socket, number)
    })
}

fn udp_sender(near: &NetNs, source: IpAddr, to: SocketAddr, shared: &Shared) -> Result {
    each_anew(near, source, to, shared, |socket, number| {
        socket.send(&number.to_be_bytes())?;
        Ok(())
    })
}

/// Does something with one socket after the other, each of another port.
fn each_anew(
    near: &NetNs,
    source: IpAddr,
    to: SocketAddr,
    shared: &Shared,
    with: impl Fn(&UdpSocket, u64) -> Result + Sync,
) -> Result {
    // In the namespace for good: a thread for each datagram would be slow.
    near.run(|| {
        let mut number = 0_u64;
        while !shared.is_over() {
            number += 1;
            let socket = UdpSocket::bind((source, 0))?;
            socket.connect(to)?;
            with(&socket, number)?;
            shared.answered.store(number, Ordering::Relaxed);
            thread::sleep(PACE);
        }
        Ok(())
    })?
}

fn nothing_arrives(socket: &UdpSocket, shared: &Shared) -> Result {
    while !shared.is_over() {
        match socket.recv_from(&mut [0; 8]) {
            Ok((_, from)) => return Err(format!("a datagram of {from} arrived that is not allowed").into()),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn udp_server(socket: &UdpSocket, shared: &Shared) -> Result {
    let mut datagram = [0; 8];
    while !shared.is_over() {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) => _ = socket.send_to(datagram.get(..length).unwrap_or_default(), from)?,
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn tcp_client(mut stream: TcpStream, shared: &Shared) -> Result {
    let mut number = 0_u64;
    while !shared.is_over() {
        number += 1;
        stream.write_all(&number.to_be_bytes())?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).map_err(|error| format!("message {number} was not answered: {error}"))?;
        if answer != number.to_be_bytes() {
            return Err(format!("the answer to message {number} is {answer:?}").into());
        }
        shared.answered.store(number, Ordering::Relaxed);
        thread::sleep(PACE);
    }
    Ok(())
}

fn tcp_server(mut stream: TcpStream, shared: &Shared) -> Result {
    let mut bytes = [0; 64];
    while !shared.is_over() {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => stream.write_all(bytes.get(..length).unwrap_or_default())?,
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
