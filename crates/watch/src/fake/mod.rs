//! An API server in memory, behind a real socket: for the tests of whoever reads or follows a cluster.
//!
//! ```text
//! FakeServer   a socket on 127.0.0.1, HTTP/1.1, a thread for each connection
//!    │
//!    ▼
//! Store        the objects, each change with its resourceVersion; lists, page by page, of one moment
//! Log          every change, in order: what watches are answered from
//!    ▲
//! Fault        what goes wrong on demand, instead of the answer
//! ```
//!
//! Its answers have the fields of recorded ones of a kube-apiserver 1.36. It validates nothing and fills
//! in no defaults: what is put in is what is served, and a poison object is put like any other.

mod fault;
mod http;
mod log;
mod patch;
mod store;
mod watch;
pub(crate) mod yaml;

use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

pub use fault::Fault;
use fault::Kind;
use http::{Answer, Request};
use store::Store;
use watch::{Asked, Watches};
pub use yaml::objects;

use crate::resources::Resource;

/// A running server; it ends when this is dropped.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// What takes connections; nothing while it is away.
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads of a server share.
struct Shared {
    state: Mutex<State>,
    /// Something happened that a watch may have to say.
    changed: Condvar,
    /// It takes no connections, and those there are end.
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    store: Store,
    watches: Watches,
    faults: Vec<Fault>,
    /// Without it in the header `Authorization: Bearer`, every answer is 401.
    token: Option<String>,
    /// The request lines, in the order they came.
    requests: Vec<String>,
    /// The connections, by a number, to end them.
    connections: HashMap<u64, TcpStream>,
    connected: u64,
}

impl FakeServer {
    /// Starts on a free port of this machine, with the namespace `default` and nothing else.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), over: AtomicBool::new(false) });
        let accepting = Mutex::new(Some(accept(listener, Arc::clone(&shared))));
        let server = Self { address, shared, accepting };
        server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text of a kubeconfig whose context `fake` is this server, with this namespace.
    pub fn kubeconfig(&self, namespace: &str) -> String {
        let token = self.state().token.clone().unwrap_or_else(|| "none".to_owned());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
             clusters:\n- name: fake\n  cluster:\n    server: {}\n\
             users:\n- name: fake\n  user:\n    token: {token}\n\
             contexts:\n- name: fake\n  context:\n    cluster: fake\n    user: fake\n    namespace: {namespace}\n",
            self.url(),
        )
    }

    /// Puts every object of a YAML or JSON text, in place of those of the same name.
    ///
    /// # Panics
    /// When the text cannot be read, or has a kind that is not served.
    pub fn apply(&self, text: &str) {
        for object in yaml::objects(text) {
            self.put(object);
        }
    }

    /// Puts one object.
    ///
    /// # Panics
    /// When its kind is not served.
    pub fn put(&self, object: Value) {
        self.change(|state| state.store.put(object));
    }

    /// Takes an object away; `name` is `namespace/name` where it has a namespace.
    pub fn delete(&self, plural: &str, name: &str) {
        self.change(|state| state.store.delete(plural, name));
    }

    /// Every object of a resource at this moment, with its `apiVersion` and `kind`.
    pub fn objects(&self, resource: &Resource) -> Vec<Value> {
        let texts = self.state().store.all(resource, "");
        texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }

    /// Forgets what was: watches from before now are told 410, and lists that are not at their end too.
    /// Watches that are open go on.
    pub fn compact(&self) {
        self.change(|state| state.store.compact());
    }

    /// Cuts every watch, every other time in the middle of an event.
    pub fn cut_watches(&self) {
        self.change(|state| state.watches.cuts += 1);
    }

    /// Sends a bookmark on every watch now.
    pub fn bookmark(&self) {
        self.change(|state| state.watches.bookmarks += 1);
    }

    /// How often bookmarks come by themselves: each minute, if nothing is said.
    pub fn bookmark_every(&self, every: Duration) {
        self.change(|state| state.watches.every = every);
    }

    /// From now on events come so late.
    pub fn delay_events(&self, delay: Duration) {
        self.change(|state| state.watches.delay = delay);
    }

    /// Sends an ERROR event with this code on the open watches of a resource. They stay open.
    pub fn send_error(&self, plural: &str, code: u16) {
        let reason = if code == 410 { "Expired" } else { "InternalError" };
        self.send_line(plural, &log::error(code, reason, "it does not work today"));
    }

    /// Sends any text as a line on the open watches of a resource.
    pub fn send_line(&self, plural: &str, line: &str) {
        let line = format!("{}\n", line.trim_end());
        self.change(|state| state.watches.shouts.push((plural.to_owned(), line)));
    }

    /// How many watches of a resource are open.
    pub fn watches(&self, plural: &str) -> usize {
        self.state().watches.open.get(plural).copied().unwrap_or_default()
    }

    /// Ends all connections and takes no more: connecting is refused. What is put meanwhile is kept.
    pub fn go_away(&self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Wakes the thread that waits for a connection.
        _ = TcpStream::connect(self.address);
        if let Some(accepting) = accepting {
            _ = accepting.join();
        }
        self.change(|state| {
            // Also for a watch that looks only after the server is back.
            state.watches.cuts += 1;
            for connection in state.connections.values() {
                _ = connection.shutdown(Shutdown::Both);
            }
        });
    }

    /// Is there again, under its address.
    ///
    /// # Errors
    /// When somebody else has taken the port.
    pub fn come_back(&self) -> io::Result<()> {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_none() {
            let listener = TcpListener::bind(self.address)?;
            self.shared.over.store(false, Ordering::SeqCst);
            *accepting = Some(accept(listener, Arc::clone(&self.shared)));
        }
        Ok(())
    }

    /// Serves one more resource, as a CRD would.
    pub fn install(&self, resource: Resource) {
        self.state().store.serve(resource);
    }

    /// Serves a resource no more.
    pub fn uninstall(&self, plural: &str) {
        self.state().store.forget(plural);
    }

    /// From now on only who brings this token is answered.
    pub fn require_token(&self, token: &str) {
        self.state().token = Some(token.to_owned());
    }

    /// Lets something go wrong; faults are looked at in the order given.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn forgive(&self) {
        self.state().faults.clear();
    }

    /// Every request so far: `GET /api/v1/pods?limit=500`.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Changes something, and lets every watch know.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.changed.notify_all();
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// Takes connections until the server is over, and then refuses them.
fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            if shared.is_over() {
                return;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.serve(&connection));
        }
    })
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics while it holds the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn serve(&self, connection: &TcpStream) {
        let number = {
            let mut state = self.state();
            // The server may have gone since this connection was taken; then nobody would end it.
            let (Ok(copy), false) = (connection.try_clone(), self.is_over()) else { return };
            state.connected += 1;
            let number = state.connected;
            state.connections.insert(number, copy);
            number
        };
        http::serve(connection, |request| self.answer(request), |connection, asked| self.stream(connection, asked));
        self.state().connections.remove(&number);
        // The copy in the list may have kept it open.
        _ = connection.shutdown(Shutdown::Both);
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state();
        let mut line = format!("{} {}", request.method, request.path);
        if !request.query.is_empty() {
            // Writing to a String does not fail.
            _ = write!(line, "?{}", request.query_text());
        }
        state.requests.push(line);
        if state.token.as_ref().is_some_and(|token| request.bearer.as_ref() != Some(token)) {
            return http::status(401, "Unauthorized", "Unauthorized");
        }
        let mut delay = None;
        if let Some(fault) = state.faults.iter_mut().find(|fault| fault.is_about(request)) {
            fault.used += 1;
            let kind = fault.kind.clone();
            if let Some(answer) = fault::answer(&kind, request, &mut state.store) {
                return answer;
            }
            if let Kind::Slow(wait) = kind {
                delay = Some(wait);
            }
        }
        let answer = match state.store.find(&request.path) {
            Some((resource, namespace)) if request.is_watch() => {
                Answer::Watch(Box::new(Asked::new(&state, resource, namespace, request)))
            }
            _ if request.method == "PATCH" => {
                let answer = patch::answer(&mut state.store, request);
                self.changed.notify_all();
                answer
            }
            _ => state.store.get(request),
        };
        match delay {
            Some(delay) => Answer::After(delay, Box::new(answer)),
            None => answer,
        }
    }
}
