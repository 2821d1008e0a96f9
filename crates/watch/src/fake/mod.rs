//! An API server in memory, behind a real socket: for the tests of whoever reads a cluster.
//!
//! ```text
//! FakeServer   a socket on 127.0.0.1, HTTP/1.1, a thread for each connection
//!    │
//!    ▼
//! Store        the objects, each change with its resourceVersion; lists, page by page, of one moment
//!    ▲
//! Fault        what goes wrong on demand, instead of the answer
//! ```
//!
//! Its answers have the fields of recorded ones of a kube-apiserver 1.36. It validates nothing and fills
//! in no defaults: what is put in is what is served.

mod fault;
mod http;
mod store;
pub(crate) mod yaml;

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;

pub use fault::Fault;
use http::{Answer, Request};
use store::Store;

use crate::resources::Resource;

/// A running server; it ends when this is dropped.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the threads of a server share.
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    store: Store,
    faults: Vec<Fault>,
    /// Without it in the header `Authorization: Bearer`, every answer is 401.
    token: Option<String>,
    /// The request lines, in the order they came.
    requests: Vec<String>,
}

impl FakeServer {
    /// Starts on a free port of this machine, with the namespace `default` and nothing else.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), over: AtomicBool::new(false) });
        let server = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || http::serve(&connection, |request| shared.answer(request)));
            }
        });
        server.apply("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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
        self.state().store.put(object);
    }

    /// Takes an object away; `name` is `namespace/name` where it has a namespace.
    pub fn delete(&self, plural: &str, name: &str) {
        self.state().store.delete(plural, name);
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

    /// Every request so far: `GET /api/v1/pods?limit=500`.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics while it holds the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let page = request.query.get("continue").map(String::as_str).unwrap_or_default().to_owned();
        if let Some(fault) = state.faults.iter_mut().find(|fault| fault.is_about(&request.path, !page.is_empty())) {
            fault.used += 1;
            let kind = fault.kind.clone();
            if let Some(answer) = fault::answer(&kind, request, &mut state.store) {
                return answer;
            }
        }
        state.store.get(request)
    }
}
