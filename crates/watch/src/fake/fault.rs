//! What can go wrong, on demand.

use std::time::Duration;

use super::{
    http::{self, Answer, Request},
    log,
    store::Store,
};

/// Something that goes wrong instead of an answer.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The resource (`pods`), or a whole path (`/apis`).
    of: String,
    pub(super) kind: Kind,
    /// Only the pages after the first.
    later_pages: bool,
    /// Only watches, or only what is none.
    watches: Option<bool>,
    /// How often at most.
    times: usize,
    pub(super) used: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Forbidden,
    Expired,
    Status(u16),
    Text(u16, &'static str),
    Closed,
    /// What is answered comes late.
    Slow(Duration),
    /// A watch that says so and ends.
    ErrorEvent(u16),
}

impl Fault {
    fn new(of: &str, kind: Kind) -> Self {
        Self { of: of.to_owned(), kind, later_pages: false, watches: None, times: usize::MAX, used: 0 }
    }

    /// The user may not do it: 403.
    pub fn forbidden(of: &str) -> Self {
        Self::new(of, Kind::Forbidden)
    }

    /// The continue token is too old: 410, on the pages after the first.
    pub fn expired(of: &str) -> Self {
        Self { later_pages: true, ..Self::new(of, Kind::Expired) }
    }

    /// A Status with this code, such as 429 or 503.
    pub fn status(of: &str, code: u16) -> Self {
        Self::new(of, Kind::Status(code))
    }

    /// Something that is no Status and no list, as of a proxy in between.
    pub fn text(of: &str, code: u16, text: &'static str) -> Self {
        Self::new(of, Kind::Text(code, text))
    }

    /// The connection is closed without an answer.
    pub fn closed(of: &str) -> Self {
        Self::new(of, Kind::Closed)
    }

    /// The right answer, and it takes its time.
    pub fn slow(of: &str, delay: Duration) -> Self {
        Self::new(of, Kind::Slow(delay))
    }

    /// A watch that opens and ends with one event of type ERROR, with this code.
    pub fn error_event(of: &str, code: u16) -> Self {
        Self::new(of, Kind::ErrorEvent(code)).on_watches()
    }

    /// The same, only for watches.
    #[must_use]
    pub fn on_watches(self) -> Self {
        Self { watches: Some(true), ..self }
    }

    /// The same, only for what is no watch.
    #[must_use]
    pub fn on_lists(self) -> Self {
        Self { watches: Some(false), ..self }
    }

    /// The same, only so often.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// The same, only on pages after the first.
    #[must_use]
    pub fn on_later_pages(self) -> Self {
        Self { later_pages: true, ..self }
    }

    pub(super) fn is_about(&self, request: &Request) -> bool {
        let same = request.path == self.of || request.path.rsplit('/').next() == Some(&self.of);
        let later_page = request.query.get("continue").is_some_and(|token| !token.is_empty());
        let as_asked = self.watches.is_none_or(|watches| watches == request.is_watch());
        same && as_asked && self.used < self.times && (later_page || !self.later_pages)
    }
}

/// What comes instead of the answer, if another one does.
pub(super) fn answer(kind: &Kind, request: &Request, store: &mut Store) -> Option<Answer> {
    Some(match kind {
        Kind::Forbidden => store.forbidden(request),
        Kind::Expired => store.expired(request),
        Kind::Status(code) => http::status(*code, "InternalError", "it does not work today"),
        Kind::Text(code, text) => http::text(*code, text),
        Kind::Closed => Answer::Close,
        Kind::ErrorEvent(code) => http::json(200, log::error(*code, "InternalError", "it does not work today")),
        Kind::Slow(_) => return None,
    })
}
