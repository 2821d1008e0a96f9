//! Changes that come close together are taken together. Pure: time is given.

use std::time::{Duration, Instant};

/// How long changes are gathered.
///
/// A window opens with its first change. It closes when none came for `idle`, at the latest `most`
/// after it opened: a stream that never pauses is not waited for.
#[derive(Clone, Debug)]
pub struct Window {
    idle: Duration,
    most: Duration,
    open: Option<(Instant, Instant)>,
}

impl Default for Window {
    /// 5 ms of silence, 50 ms at most.
    fn default() -> Self {
        Self::new(Duration::from_millis(5), Duration::from_millis(50))
    }
}

impl Window {
    /// A closed one.
    pub fn new(idle: Duration, most: Duration) -> Self {
        Self { idle, most, open: None }
    }

    /// A change came at this time. Times may come out of order: several watches have stamped them.
    pub fn note(&mut self, at: Instant) {
        let (first, last) = self.open.unwrap_or((at, at));
        self.open = Some((first.min(at), last.max(at)));
    }

    /// When it closes; `None`: nothing is in it.
    pub fn due(&self) -> Option<Instant> {
        self.open.map(|(first, last)| (last + self.idle).min(first + self.most))
    }

    /// Closes it, and says whether something was in it.
    pub fn close(&mut self) -> bool {
        self.open.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn silence_closes_it() {
        let start = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.due(), None);
        assert!(!window.close());
        window.note(start);
        assert_eq!(window.due(), Some(start + ms(5)));
        window.note(start + ms(4));
        assert_eq!(window.due(), Some(start + ms(9)));
        assert!(window.close());
        assert_eq!(window.due(), None);
    }

    #[test]
    fn a_stream_without_a_pause_does_not_keep_it_open() {
        let start = Instant::now();
        let mut window = Window::default();
        for n in 0..100 {
            window.note(start + ms(n));
        }
        assert_eq!(window.due(), Some(start + ms(50)));
    }

    #[test]
    fn an_earlier_stamp_that_comes_late_counts() {
        let start = Instant::now();
        let mut window = Window::default();
        window.note(start + ms(48));
        window.note(start);
        assert_eq!(window.due(), Some(start + ms(50)));
    }
}
