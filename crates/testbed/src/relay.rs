//! The API server, as a node sees it: at its own loopback, and only as long as the relay lets it.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use palisade_linux::netns::NetNs;

use crate::Result;

/// None of those that the kernel gives out by itself: who connects to one of them while nobody listens may be
/// given that very one, and so connect with himself.
const PORT: u16 = 6443;

/// A socket in a namespace, joined with a server in another one. TLS passes through.
///
/// Sockets stay in the namespace in which they were made, so nothing is wired for this: the rulesets of the
/// nodes see no packet of it.
pub struct Relay {
    server: SocketAddr,
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Nothing: who connects is refused.
    listener: Option<TcpListener>,
    /// Both ends of every connection, to end them.
    open: Vec<TcpStream>,
}

impl Relay {
    /// Opens it in a namespace whose loopback is up.
    ///
    /// # Errors
    /// When somebody has the port.
    pub fn open(namespace: &NetNs, server: SocketAddr) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let relay = Self { server, address, shared: Arc::default() };
        relay.listen(namespace)?;
        Ok(relay)
    }

    /// Where it is, in its namespace.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection. New ones are taken.
    pub fn cut(&self) {
        for end in lock(&self.shared).open.drain(..) {
            // It may be over by itself.
            _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and refuses new ones.
    pub fn close(&self) {
        if let Some(listener) = lock(&self.shared).listener.take() {
            // Wakes the thread that waits for connections.
            _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        }
        self.cut();
    }

    /// Takes connections again, at the same address.
    ///
    /// # Errors
    /// When somebody else has taken the port.
    pub fn reopen(&self, namespace: &NetNs) -> Result {
        if lock(&self.shared).listener.is_none() {
            self.listen(namespace)?;
        }
        Ok(())
    }

    fn listen(&self, namespace: &NetNs) -> Result {
        let listener = namespace.run(|| TcpListener::bind(self.address))??;
        lock(&self.shared).listener = Some(listener.try_clone()?);
        let (shared, server) = (Arc::clone(&self.shared), self.server);
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                join(&shared, &client, server);
            }
        })?;
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}

/// Carries bytes both ways until one side has no more. A server that is not there ends the connection.
fn join(shared: &Arc<Mutex<Shared>>, client: &TcpStream, server: SocketAddr) {
    let Ok(upstream) = TcpStream::connect(server) else { return };
    {
        let mut shared = lock(shared);
        if shared.listener.is_none() {
            return;
        }
        shared.open.extend([client, &upstream].into_iter().filter_map(|end| end.try_clone().ok()));
    }
    for (from, to) in [(client, &upstream), (&upstream, client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        thread::spawn(move || carry(from, to));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // An event that waits for the acknowledgement of another would come late.
    _ = to.set_nodelay(true);
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if buffer.get(..length).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            break;
        }
    }
    for end in [from, to] {
        _ = end.shutdown(Shutdown::Both);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
