//! A connection in which one side sends all the time.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use palisade_linux::{conntrack::PortProtocol, netns::NetNs};

use super::{Fallible, PATIENCE, sctp};

/// How long a sender pauses, and a receiver waits before it looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(2);
const WAIT: Duration = Duration::from_millis(50);

/// Sends something with a number, and says whether something arrived within a while.
type Sender = Box<dyn FnMut(u32) + Send>;
type Receiver = Box<dyn FnMut() -> bool + Send>;

/// Which side sends, once the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    Client,
    Server,
}

/// An end of a connection in its namespace. The server's address may be another one than the client goes to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a NetNs,
    pub(crate) address: SocketAddr,
}

/// A connection in which one side sends until this is dropped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    last: Arc<Mutex<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Opens a connection from `client` to `to`, which is where `server` is, or what is translated to it.
    pub(crate) fn open(
        protocol: PortProtocol,
        sends: Sends,
        client: Place<'_>,
        to: SocketAddr,
        server: Place<'_>,
    ) -> Fallible<Self> {
        let (sender, receiver): (Sender, Receiver) = match protocol {
            PortProtocol::Tcp => {
                let listener = server.namespace.run(|| TcpListener::bind(server.address))??;
                let from_client = client.namespace.run(|| TcpStream::connect_timeout(&to, PATIENCE))??;
                let (mut ends, _) = (vec![from_client, listener.accept()?.0], listener);
                if sends == Sends::Server {
                    ends.reverse();
                }
                let (mut receiver, mut sender) = (ends.remove(1), ends.remove(0));
                sender.set_nodelay(true)?;
                sender.set_nonblocking(true)?;
                receiver.set_read_timeout(Some(WAIT))?;
                let mut buffer = vec![0; 65_536];
                (
                    Box::new(move |_| _ = sender.write(b"palisade")),
                    Box::new(move || matches!(receiver.read(&mut buffer), Ok(1..))),
                )
            }
            PortProtocol::Udp => {
                let server = server.namespace.run(|| UdpSocket::bind(server.address))??;
                let client = client.namespace.run(|| {
                    let socket = UdpSocket::bind(client.address)?;
                    socket.connect(to)?;
                    Ok::<_, std::io::Error>(socket)
                })??;
                server.set_read_timeout(Some(PATIENCE))?;
                client.send(b"hello")?;
                let mut buffer = [0; 64];
                let (_, peer) = server.recv_from(&mut buffer)?;
                server.connect(peer)?;
                let mut ends = vec![client, server];
                if sends == Sends::Server {
                    ends.reverse();
                }
                let (receiver, sender) = (ends.remove(1), ends.remove(0));
                receiver.set_read_timeout(Some(WAIT))?;
                (Box::new(move |_| _ = sender.send(b"palisade")), Box::new(move || receiver.recv(&mut buffer).is_ok()))
            }
            PortProtocol::Sctp => {
                let (client, server) =
                    sctp::associate((client.namespace, client.address), (server.namespace, server.address))?;
                let mut ends = vec![client, server];
                if sends == Sends::Server {
                    ends.reverse();
                }
                let (receiver, sender) = (ends.remove(1), ends.remove(0));
                (
                    Box::new(move |number| _ = sender.send_data(number)),
                    Box::new(move || receiver.receive_data().unwrap_or(false)),
                )
            }
        };
        Ok(Self::start(sender, receiver))
    }

    fn start(mut send: Sender, mut receive: Receiver) -> Self {
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let last = Arc::new(Mutex::new(Instant::now()));
        let stopped = Arc::clone(&stop);
        let sending = thread::spawn(move || {
            for number in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                send(number);
                thread::sleep(PAUSE);
            }
        });
        let (stopped, count, at) = (Arc::clone(&stop), Arc::clone(&arrived), Arc::clone(&last));
        let receiving = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if receive() {
                    count.fetch_add(1, Ordering::Relaxed);
                    *at.lock().unwrap() = Instant::now();
                }
            }
        });
        Self { stop, arrived, last, threads: vec![sending, receiving] }
    }

    /// How often something arrived, and when it did last.
    pub(crate) fn arrived(&self) -> (u64, Instant) {
        let last = *self.last.lock().unwrap();
        (self.arrived.load(Ordering::Relaxed), last)
    }

    /// Waits until more arrives.
    pub(crate) fn flows(&self) -> Fallible<()> {
        let (before, start) = (self.arrived().0, Instant::now());
        while self.arrived().0 < before + 5 {
            if start.elapsed() > PATIENCE {
                return Err("nothing arrives".into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// How often something arrives in a while.
    pub(crate) fn within(&self, while_: Duration) -> u64 {
        let before = self.arrived().0;
        thread::sleep(while_);
        self.arrived().0 - before
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}

/// A question and its answer, one after the other, over UDP: what is lost is missed.
pub(crate) struct PingPong {
    ends: [UdpSocket; 2],
    number: u32,
}

impl PingPong {
    pub(crate) fn open(client: Place<'_>, server: Place<'_>) -> Fallible<Self> {
        let ends = [(client, server.address), (server, client.address)].map(|(place, peer)| {
            place.namespace.run(|| {
                let socket = UdpSocket::bind(place.address)?;
                socket.connect(peer)?;
                socket.set_read_timeout(Some(Duration::from_secs(5)))?;
                Ok::<_, std::io::Error>(socket)
            })
        });
        let [client, server] = ends;
        Ok(Self { ends: [client??, server??], number: 0 })
    }

    /// One round; an error when a packet is lost.
    pub(crate) fn round(&mut self) -> Fallible<()> {
        self.number += 1;
        let [client, server] = &self.ends;
        for (from, to) in [(client, server), (server, client)] {
            from.send(&self.number.to_be_bytes())?;
            let mut buffer = [0; 4];
            match to.recv(&mut buffer) {
                Ok(_) if buffer == self.number.to_be_bytes() => {}
                Ok(_) => return Err("another packet came".into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(format!("packet {} was lost", self.number).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
