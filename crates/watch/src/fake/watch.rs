//! Watches: an answer that goes on for as long as things happen.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Shutdown, TcpStream},
    sync::PoisonError,
    thread,
    time::{Duration, Instant},
};

use super::{Shared, State, http::Request, log};
use crate::resources::Resource;

/// Events that are written at once.
const MOST: usize = 1000;

/// Without anything to say, a watch looks around so often, in case its server is over.
const LOOK: Duration = Duration::from_secs(1);

/// The watches that are open, and what is to become of them.
pub(super) struct Watches {
    pub(super) open: BTreeMap<String, usize>,
    /// How often all watches were cut.
    pub(super) cuts: u64,
    /// How often bookmarks were asked for.
    pub(super) bookmarks: u64,
    /// How often bookmarks come by themselves.
    pub(super) every: Duration,
    /// How long each batch of events is held back.
    pub(super) delay: Duration,
    /// Lines for the watches of a resource that are open, and for no other.
    pub(super) shouts: Vec<(String, String)>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            cuts: 0,
            bookmarks: 0,
            // As a real one does.
            every: Duration::from_secs(60),
            delay: Duration::ZERO,
            shouts: Vec::new(),
        }
    }
}

/// A watch that was asked for, and how far it is.
pub(super) struct Asked {
    resource: Resource,
    namespace: String,
    /// What to say first, and whether that is all.
    first: Vec<String>,
    is_over: bool,
    after: u64,
    has_bookmarks: bool,
    until: Option<Instant>,
    cuts: u64,
    bookmarks: u64,
    last_bookmark: Instant,
    shouts: usize,
}

/// What a watch does next.
enum Next {
    Say(Vec<String>),
    End,
    /// Without an end, in the middle of an event every other time.
    Cut {
        in_between: bool,
    },
}

impl Asked {
    /// Understands a request for a watch; it begins where the request says.
    pub(super) fn new(state: &State, resource: Resource, namespace: String, request: &Request) -> Self {
        let is = |name: &str| request.query.get(name).is_some_and(|value| matches!(value.as_str(), "1" | "true"));
        let seconds = request.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let now = state.store.version();
        let from = request.query.get("resourceVersion").and_then(|version| version.parse::<u64>().ok()).unwrap_or(0);
        let (mut first, mut is_over, mut after) = (Vec::new(), false, from);
        if is("sendInitialEvents") || from == 0 {
            first = state.store.all(&resource, &namespace);
            first.iter_mut().for_each(|object| *object = format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"));
            if is("sendInitialEvents") {
                first.push(log::bookmark(&resource, now, true));
            }
            after = now;
        } else if let Some(expired) = state.store.is_forgotten(from) {
            first.push(log::error(410, "Expired", &expired));
            is_over = true;
        }
        Self {
            resource,
            namespace,
            first,
            is_over,
            after,
            has_bookmarks: is("allowWatchBookmarks"),
            until: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            cuts: state.watches.cuts,
            bookmarks: state.watches.bookmarks,
            last_bookmark: Instant::now(),
            shouts: state.watches.shouts.len(),
        }
    }

    fn next(&mut self, state: &State) -> Option<Next> {
        if self.cuts != state.watches.cuts {
            return Some(Next::Cut { in_between: state.watches.cuts % 2 == 1 });
        }
        let mut lines = std::mem::take(&mut self.first);
        if self.is_over && lines.is_empty() {
            return Some(Next::End);
        }
        if !self.is_over {
            let (events, last) = state.store.log.after(self.after, &self.resource, &self.namespace, MOST);
            self.after = last;
            let all = events.len() < MOST;
            lines.extend(events);
            let shouts = state.watches.shouts.iter().skip(self.shouts);
            lines.extend(shouts.filter(|(of, _)| *of == self.resource.plural).map(|(_, line)| line.clone()));
            self.shouts = state.watches.shouts.len();
            let asked = self.bookmarks != state.watches.bookmarks;
            if self.has_bookmarks && all && (asked || self.last_bookmark.elapsed() >= state.watches.every) {
                (self.bookmarks, self.last_bookmark) = (state.watches.bookmarks, Instant::now());
                // Everything up to now was said: also where only other resources changed.
                self.after = state.store.version();
                lines.push(log::bookmark(&self.resource, self.after, false));
            }
        }
        if !lines.is_empty() {
            return Some(Next::Say(lines));
        }
        self.until.is_some_and(|until| Instant::now() >= until).then_some(Next::End)
    }

    /// How long to sleep when nothing happens.
    fn patience(&self, state: &State) -> Duration {
        let bookmark = state.watches.every.saturating_sub(self.last_bookmark.elapsed());
        let end = self.until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
        LOOK.min(bookmark).min(end).max(Duration::from_millis(1))
    }
}

impl Shared {
    /// Says what happens until the watch is over. Whether the connection can be used for more requests.
    pub(super) fn stream(&self, connection: &TcpStream, mut asked: Asked) -> bool {
        let mut writer = connection;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        if writer.write_all(head.as_bytes()).is_err() {
            return false;
        }
        let plural = asked.resource.plural.to_string();
        *self.state().watches.open.entry(plural.clone()).or_default() += 1;
        let is_whole = self.say(writer, &mut asked);
        if let Some(open) = self.state().watches.open.get_mut(&plural) {
            *open -= 1;
        }
        is_whole
    }

    fn say(&self, mut connection: &TcpStream, asked: &mut Asked) -> bool {
        loop {
            let (next, delay) = self.next(asked);
            let lines = match next {
                Next::Say(lines) => lines,
                Next::End => return connection.write_all(b"0\r\n\r\n").is_ok(),
                Next::Cut { in_between } => {
                    if in_between {
                        _ = connection.write_all(&chunk("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Po"));
                    }
                    _ = connection.shutdown(Shutdown::Both);
                    return false;
                }
            };
            thread::sleep(delay);
            let bytes: Vec<u8> = lines.iter().flat_map(|line| chunk(line)).collect();
            if connection.write_all(&bytes).is_err() {
                return false;
            }
        }
    }

    fn next(&self, asked: &mut Asked) -> (Next, Duration) {
        let mut state = self.state();
        loop {
            if self.is_over() {
                return (Next::Cut { in_between: false }, Duration::ZERO);
            }
            if let Some(next) = asked.next(&state) {
                return (next, state.watches.delay);
            }
            let patience = asked.patience(&state);
            (state, _) = self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
