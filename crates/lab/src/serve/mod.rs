//! Who answers in a lab that stays up: every port that a pod declares, and the resolver.
//!
//! ```text
//! Servers::open(namespace, ports)   sockets made in the pod's namespace …
//!      └──► one thread, one epoll   … and served from outside of it
//!              TCP   a short text over HTTP/1.0 that names the pod and who asked
//!              UDP   the same back
//!              53    of the resolver's pods: names (see `zone`)
//! ```
//!
//! They serve everybody: who may reach them is for the rulesets to say.

mod connection;
mod zone;

pub use zone::Zone;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use palisade_engine::model::Protocol;
use palisade_linux::netns::{NetNs, NetNsError};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use self::connection::Connection;

/// Connections at once; more wait in the kernel's queues.
const CONNECTIONS: usize = 4096;
/// Datagrams and connections that one listener may take before others get their turn.
const TURN: usize = 64;
/// How often connections are looked at that nobody speaks on any more.
const SWEEP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How long one may be open.
const LONGEST: Duration = Duration::from_secs(30);

/// What a port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Who it is.
    Text,
    /// Names.
    Resolver,
}

/// One port to answer at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// An address of the host.
    pub address: IpAddr,
    /// TCP or UDP; nothing answers SCTP.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
    /// What it answers.
    pub role: Role,
}

/// Why a port does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The namespace could not be entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
    /// No socket.
    #[error("{who} cannot listen on {protocol} {at}: {source}")]
    Listen {
        /// The host.
        who: String,
        /// The protocol.
        protocol: Protocol,
        /// Where.
        at: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// No epoll, or no thread.
    #[error("cannot wait for those who ask: {0}")]
    Wait(#[source] io::Error),
}

/// Everything that listens. Dropping it leaves the thread to the end of the process.
#[derive(Debug)]
pub struct Servers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    sockets: HashMap<u64, Socket>,
    zone: Arc<Zone>,
}

#[derive(Debug)]
enum Socket {
    Listener(Listener),
    Connection(Connection),
}

#[derive(Debug)]
struct Listener {
    who: Arc<str>,
    port: Port,
    socket: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Servers {
    /// Nothing listens yet.
    ///
    /// # Errors
    /// When the kernel gives no epoll or no thread.
    pub fn start() -> Result<Self, ServeError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|errno| ServeError::Wait(errno.into()))?;
        let shared = Arc::new(Shared { epoll, state: Mutex::default() });
        let served = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("servers".to_owned())
            .spawn(move || served.serve())
            .map_err(ServeError::Wait)?;
        Ok(Self { shared })
    }

    /// What the resolver knows from now on.
    pub fn set_zone(&self, zone: Zone) {
        self.shared.state().zone = Arc::new(zone);
    }

    /// Listens on `ports` of the host `who`, whose namespace this is, and stops listening on those of
    /// `open` that are not among them.
    ///
    /// # Errors
    /// When one cannot be had; the others listen.
    pub fn set(&self, who: &str, namespace: &NetNs, ports: &[Port]) -> Result<(), ServeError> {
        let name: Arc<str> = Arc::from(who);
        let mut missing: Vec<Port> = ports.to_vec();
        self.shared.state().sockets.retain(|_, socket| match socket {
            Socket::Listener(listener) if *listener.who == *who => {
                missing.retain(|port| *port != listener.port);
                ports.contains(&listener.port)
            }
            _ => true,
        });
        if missing.is_empty() {
            return Ok(());
        }
        let opened: Vec<_> = namespace.run(|| missing.into_iter().map(|port| (port, opened(port))).collect())?;
        let mut failed = None;
        for (port, socket) in opened {
            match socket {
                Ok(socket) => self.shared.watch(Listener { who: Arc::clone(&name), port, socket })?,
                Err(source) => {
                    let at = SocketAddr::new(port.address, port.number);
                    let error = ServeError::Listen { who: who.to_owned(), protocol: port.protocol, at, source };
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Stops all listening of a host.
    pub fn close(&self, who: &str) {
        self.shared.state().sockets.retain(|_, socket| match socket {
            Socket::Listener(listener) => *listener.who != *who,
            Socket::Connection(connection) => *connection.who != *who,
        });
    }
}

fn opened(port: Port) -> io::Result<Kind> {
    let at = SocketAddr::new(port.address, port.number);
    if port.protocol == Protocol::Udp {
        let socket = UdpSocket::bind(at)?;
        socket.set_nonblocking(true)?;
        return Ok(Kind::Udp(socket));
    }
    let socket = TcpListener::bind(at)?;
    socket.set_nonblocking(true)?;
    Ok(Kind::Tcp(socket))
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, listener: Listener) -> Result<(), ServeError> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let data = EventData::new_u64(number);
        let added = match &listener.socket {
            Kind::Tcp(socket) => epoll::add(&self.epoll, socket, data, EventFlags::IN),
            Kind::Udp(socket) => epoll::add(&self.epoll, socket, data, EventFlags::IN),
        };
        added.map_err(|errno| ServeError::Wait(errno.into()))?;
        state.sockets.insert(number, Socket::Listener(listener));
        Ok(())
    }

    fn serve(&self) {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        let mut swept = Instant::now();
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&SWEEP)) {
                Ok(_) | Err(Errno::INTR) => {}
                // The lab goes on without answers; that shows at once.
                Err(_) => return,
            }
            let mut state = self.state();
            for event in &events {
                state.serve(event.data.u64(), &self.epoll);
            }
            if swept.elapsed() > Duration::from_secs(1) {
                swept = Instant::now();
                state.sockets.retain(|_, socket| match socket {
                    Socket::Connection(connection) => connection.since.elapsed() < LONGEST,
                    Socket::Listener(_) => true,
                });
            }
        }
    }
}

impl State {
    fn serve(&mut self, number: u64, epoll: &OwnedFd) {
        let zone = Arc::clone(&self.zone);
        let accepted = match self.sockets.get_mut(&number) {
            None => return,
            Some(Socket::Connection(connection)) => {
                if connection.advance(&zone) {
                    self.sockets.remove(&number);
                }
                return;
            }
            Some(Socket::Listener(Listener { socket: Kind::Udp(socket), port, .. })) => {
                answer_datagrams(socket, port.role, &zone);
                return;
            }
            Some(Socket::Listener(Listener { socket: Kind::Tcp(socket), port, who })) => accept(socket, *port, who),
        };
        for connection in accepted {
            if self.sockets.len() > CONNECTIONS {
                break;
            }
            let number = self.next;
            self.next += 1;
            if epoll::add(epoll, connection.stream.as_fd(), EventData::new_u64(number), EventFlags::IN).is_ok() {
                self.sockets.insert(number, Socket::Connection(connection));
            }
        }
    }
}

fn accept(socket: &TcpListener, port: Port, who: &Arc<str>) -> Vec<Connection> {
    let mut accepted = Vec::new();
    while accepted.len() < TURN {
        // Errors of a connection that is gone again (accept(2)) are nobody's business.
        let Ok((stream, peer)) = socket.accept() else { break };
        if stream.set_nonblocking(true).is_ok() {
            accepted.push(Connection::new(Arc::clone(who), port, stream, peer));
        }
    }
    accepted
}

fn answer_datagrams(socket: &UdpSocket, role: Role, zone: &Zone) {
    let mut buffer = [0_u8; 2048];
    for _ in 0..TURN {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { break };
        let asked = buffer.get(..length).unwrap_or_default();
        let answer = match role {
            Role::Text => Some(asked.to_vec()),
            Role::Resolver => zone.answer(asked, zone::DATAGRAM),
        };
        if let Some(answer) = answer {
            // A lost answer is asked for again.
            _ = socket.send_to(&answer, peer);
        }
    }
}
