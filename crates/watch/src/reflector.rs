//! One resource, followed: listed, then watched from there, and listed again when too much was missed.
//!
//! ```text
//!        ┌──── 410, or an answer that makes no sense ────┐
//!        ▼                                               │
//!      list, page by page ──► what is gone, Synced ──► watch ──┐ cut, timed out:
//!                                                        ▲     │ from the last resourceVersion
//!                                                        └─────┘
//! ```
//!
//! Only the names and versions of the objects are kept: to say what a list no longer has, and not to
//! say again what did not change.

use std::{
    collections::HashMap,
    sync::mpsc::{SyncSender, TrySendError},
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use kube::{
    Client,
    api::{ListParams, WatchParams},
    client::Body,
    core::Request,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    backoff::Backoff,
    change::{Change, Key, Received, Trouble, Watched},
    health::HealthBoard,
    lines::{Cut, Lines, innermost},
    list::{LONGEST_PAUSE, PAGE, Page, message},
    typed::{Head, Typist},
    watch::Pace,
};

/// How long to wait for room in the channel before looking again.
const FULL: Duration = Duration::from_millis(1);

/// One line of a watch.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The object of an ERROR event.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: u16,
}

/// What is asked of the server.
enum Ask<'a> {
    List(&'a ListParams),
    /// From this resourceVersion on.
    Watch(&'a WatchParams, &'a str),
}

/// Why a list or a watch ended before it should.
pub(crate) enum Failure {
    /// What was asked for is too old (410): the list must be made again.
    Expired(String),
    /// The same, but because an answer could not be trusted.
    Confused(String),
    /// For the moment; the server may have said for how long.
    Refused(String, Option<Duration>),
    /// The server does not serve this resource.
    NotServed(String),
    /// Nobody listens any more.
    Over,
}

/// What is kept of an object.
struct Known {
    /// Its resourceVersion; 0 when that is no number.
    version: u64,
    /// The list that had it last.
    list: u64,
    is_poison: bool,
}

/// Where changes go.
pub(crate) struct Sink<T>(pub(crate) SyncSender<T>);

impl<T: From<Received>> Sink<T> {
    /// Waits for room: who cannot follow makes the server wait, and nothing is lost.
    pub(crate) async fn send(&self, at: Instant, change: Change) -> Result<(), Failure> {
        let mut item = T::from(Received { at, change });
        loop {
            match self.0.try_send(item) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Failure::Over),
                Err(TrySendError::Full(back)) => item = back,
            }
            tokio::time::sleep(FULL).await;
        }
    }
}

/// Follows one resource.
pub(crate) struct Reflector<'a, T> {
    of: Watched,
    path: String,
    client: Client,
    pace: &'a Pace,
    typist: Typist<'a>,
    sink: Sink<T>,
    health: HealthBoard,
    backoff: Backoff,
    known: HashMap<Key, Known>,
    /// How many of them could not be understood.
    poison: usize,
    /// The number of the list that is being made, or was made last.
    list: u64,
    /// Where the watch goes on; `None` before the first list, and when another is due.
    version: Option<String>,
}

impl<'a, T: From<Received>> Reflector<'a, T> {
    pub(crate) fn new(
        of: Watched,
        client: Client,
        pace: &'a Pace,
        typist: Typist<'a>,
        sink: Sink<T>,
        health: HealthBoard,
    ) -> Self {
        let backoff = pace.backoff(of);
        let path = of.resource().path();
        let known = HashMap::new();
        Self { of, path, client, pace, typist, sink, health, backoff, known, poison: 0, list: 0, version: None }
    }

    /// Until nobody listens.
    pub(crate) async fn run(mut self) {
        loop {
            let result = match self.version.clone() {
                None => self.list().await,
                Some(version) => self.watch(&version).await,
            };
            self.health.note(self.of, |health| health.watching = false);
            let Err(failure) = result else { continue };
            let (why, asked) = match failure {
                Failure::Over => return,
                Failure::NotServed(_) if self.of.is_optional() => {
                    if self.none().await.is_err() {
                        return;
                    }
                    continue;
                }
                Failure::NotServed(why) => (why, None),
                Failure::Refused(why, asked) => (why, asked),
                Failure::Expired(why) | Failure::Confused(why) => {
                    self.version = None;
                    (why, None)
                }
            };
            if self.rest(why, asked).await.is_err() {
                return;
            }
        }
    }

    /// The server does not serve it, so there is none. Looks again after a while.
    async fn none(&mut self) -> Result<(), Failure> {
        let at = self.heard();
        for key in self.known.keys().cloned().collect::<Vec<_>>() {
            self.remove(at, &key).await?;
        }
        self.version = None;
        self.works();
        self.health.note(self.of, |health| health.synced = true);
        self.sink.send(at, Change::Synced(self.of)).await?;
        tokio::time::sleep(self.pace.look_again).await;
        Ok(())
    }

    /// Tells what does not work, and waits.
    async fn rest(&mut self, why: String, asked: Option<Duration>) -> Result<(), Failure> {
        let wait = self.backoff.wait();
        // What the server asks for counts, up to what we would wait at most ourselves.
        let retry_in = asked.map_or(wait, |asked| wait.max(asked.min(LONGEST_PAUSE)));
        self.health.note(self.of, |health| health.fails(&why));
        let trouble = Trouble { of: self.of, why, failures: self.backoff.failures(), retry_in };
        self.sink.send(Instant::now(), Change::Trouble(trouble)).await?;
        tokio::time::sleep(retry_in).await;
        Ok(())
    }

    /// Lists all objects, and says what is gone.
    async fn list(&mut self) -> Result<(), Failure> {
        self.list += 1;
        let mut parameters = ListParams::default().limit(PAGE);
        // Without a resourceVersion the server answers with the newest state: never an older one than
        // what was said before.
        let version = loop {
            let body = self.open(Ask::List(&parameters)).await?;
            let body = self.whole(body).await?;
            let page: Page = serde_json::from_slice(body.as_ref())
                .map_err(|error| Failure::Confused(format!("its list is none of an API server: {error}")))?;
            let at = self.heard();
            for item in page.items.unwrap_or_default() {
                self.put(at, &item).await?;
            }
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => break page.metadata.version,
            }
        };
        if version.is_empty() {
            return Err(Failure::Confused("its list has no resourceVersion".to_owned()));
        }
        let at = self.heard();
        let gone = self.known.iter().filter(|(_, known)| known.list != self.list).map(|(key, _)| key.clone());
        for key in gone.collect::<Vec<_>>() {
            self.remove(at, &key).await?;
        }
        self.version = Some(version);
        self.health.note(self.of, |health| {
            health.synced = true;
            health.lists += 1;
        });
        self.sink.send(at, Change::Synced(self.of)).await
    }

    /// Watches from a version on. That the server ends it is no failure, unless it does so at once.
    async fn watch(&mut self, version: &str) -> Result<(), Failure> {
        let seconds = self.pace.watch_for.mul_f64(0.8 + 0.2 * self.backoff.chance()).as_secs().clamp(1, 290);
        let timeout = u32::try_from(seconds).ok();
        let parameters = WatchParams { timeout, ..WatchParams::default() };
        let lines = Lines::new(self.open(Ask::Watch(&parameters, version)).await?);
        let opened = Instant::now();
        self.health.note(self.of, |health| {
            health.watching = true;
            health.watches += 1;
            health.failing_since = None;
        });
        let result = self.events(lines, opened).await;
        // It worked for a while. A list is no such sign: where no watch is taken, all would be listed over
        // and over.
        if opened.elapsed() >= self.pace.at_least {
            self.backoff.reset();
        }
        result
    }

    async fn events(&mut self, mut lines: Lines, opened: Instant) -> Result<(), Failure> {
        let mut silent = true;
        loop {
            match lines.next(self.pace.silence).await {
                Ok(Some(line)) => self.event(&line).await?,
                // The server's own end of it, or nobody there: both are usual where nothing happens.
                Ok(None) | Err(Cut::Silent) if !silent || opened.elapsed() >= self.pace.at_least => return Ok(()),
                Ok(None) | Err(Cut::Silent) => {
                    return Err(Failure::Refused("the server ends every watch at once".to_owned(), None));
                }
                Err(Cut::Broken(why)) => {
                    return Err(Failure::Refused(format!("the watch was cut: {why}"), None));
                }
                Err(Cut::TooLong) => return Err(Failure::Confused("an event has no end".to_owned())),
            }
            silent = false;
        }
    }

    async fn event(&mut self, line: &[u8]) -> Result<(), Failure> {
        let at = self.heard();
        let unreadable = |error| Failure::Confused(format!("an event is none of an API server: {error}"));
        let event: Event<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        let version = match event.kind.as_str() {
            "ADDED" | "MODIFIED" => self.put(at, event.object).await?,
            "DELETED" => {
                let head: Head = serde_json::from_str(event.object.get()).map_err(unreadable)?;
                self.remove(at, &head.metadata.key(self.of)).await?;
                head.metadata.version
            }
            "BOOKMARK" => {
                let head: Head = serde_json::from_str(event.object.get()).map_err(unreadable)?;
                self.works();
                self.version = Some(head.metadata.version).filter(|version| !version.is_empty());
                return Ok(());
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(event.object.get()).map_err(unreadable)?;
                let why = format!("{} ({})", status.message, status.code);
                return Err(if status.code == 410 { Failure::Expired(why) } else { Failure::Confused(why) });
            }
            other => return Err(Failure::Confused(format!("an event is of the unknown type `{other}`"))),
        };
        // Without a version the watch could not go on from here: then the list is made again.
        self.version = Some(version).filter(|version| !version.is_empty());
        self.works();
        self.health.note(self.of, |health| health.events += 1);
        Ok(())
    }

    /// An object that is there; says so unless it was said. Returns its version.
    async fn put(&mut self, at: Instant, raw: &RawValue) -> Result<String, Failure> {
        let unreadable = |error| Failure::Confused(format!("an object is none of an API server: {error}"));
        let head: Head = serde_json::from_str(raw.get()).map_err(unreadable)?;
        if head.metadata.name.is_empty() {
            return Err(Failure::Confused("an object has no name".to_owned()));
        }
        let key = head.metadata.key(self.of);
        let version = head.metadata.version.parse().unwrap_or(0);
        if let Some(known) = self.known.get_mut(&key).filter(|known| known.version == version && version != 0) {
            known.list = self.list;
            return Ok(head.metadata.version);
        }
        let change = self.typist.read(key.clone(), raw).map_err(unreadable)?;
        let is_poison = matches!(change, Change::Poison(_));
        // The object's own copies of its names, which its owner keeps anyway.
        let key = match &change {
            Change::Set(object) => object.key(),
            _ => key,
        };
        let before = self.known.insert(key, Known { version, list: self.list, is_poison });
        self.poison += usize::from(is_poison);
        self.poison -= usize::from(before.is_some_and(|before| before.is_poison));
        self.count();
        self.sink.send(at, change).await?;
        Ok(head.metadata.version)
    }

    /// An object that is there no more; says so unless it never was.
    async fn remove(&mut self, at: Instant, key: &Key) -> Result<(), Failure> {
        if let Some(known) = self.known.remove(key) {
            self.poison -= usize::from(known.is_poison);
            self.count();
            self.sink.send(at, Change::Gone(key.clone())).await?;
        }
        Ok(())
    }

    /// The answer, if it is a success.
    async fn open(&self, ask: Ask<'_>) -> Result<Body, Failure> {
        let request = Request::new(&self.path);
        let request = match ask {
            Ask::List(parameters) => request.list(parameters),
            Ask::Watch(parameters, version) => request.watch(parameters, version),
        };
        let request = request.map_err(|error| Failure::Confused(error.to_string()))?;
        let sent = tokio::time::timeout(self.pace.answer, self.client.send(request.map(Body::from))).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failure::Refused(innermost(&error), None)),
            Err(_) => return Err(Failure::Refused("the server does not answer".to_owned(), None)),
        };
        let code = response.status().as_u16();
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.into_body();
        if code == 200 {
            return Ok(body);
        }
        let why = format!("{} ({code})", message(&self.whole(body).await?));
        Err(match code {
            404 => Failure::NotServed(why),
            410 => Failure::Expired(why),
            // What it was asked for makes no sense to it: a version of another server, perhaps.
            400 => Failure::Confused(why),
            401 => Failure::Refused(format!("the credentials are not taken: {why}"), None),
            403 => Failure::Refused(format!("permission to list and watch {} is missing: {why}", self.of), None),
            _ => Failure::Refused(why, asked.map(Duration::from_secs)),
        })
    }

    async fn whole(&self, body: Body) -> Result<impl AsRef<[u8]> + use<T>, Failure> {
        match tokio::time::timeout(self.pace.answer, body.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(Failure::Refused(format!("an answer was cut: {}", innermost(&error)), None)),
            Err(_) => Err(Failure::Refused("an answer does not end".to_owned(), None)),
        }
    }

    fn heard(&self) -> Instant {
        let now = Instant::now();
        self.health.note(self.of, |health| health.last_heard = Some(now));
        now
    }

    fn works(&mut self) {
        self.backoff.reset();
        self.health.note(self.of, |health| health.failing_since = None);
    }

    fn count(&self) {
        let (objects, poison) = (self.known.len(), self.poison);
        self.health.note(self.of, |health| (health.objects, health.poison) = (objects, poison));
    }
}
