//! The lines of an answer, as they come.

use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;

/// No object is so long: etcd takes none over some megabytes.
const LONGEST: usize = 32 << 20;

/// Why there are no more lines, other than that the answer is complete.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The connection broke.
    Broken(String),
    /// Nothing came for so long that nobody may be there.
    Silent,
    /// A line without an end.
    TooLong,
}

/// The lines of a body. What comes last without a newline is half an event, and is none.
pub(crate) struct Lines {
    body: Body,
    /// What came and was not handed out.
    bytes: Vec<u8>,
    /// Where the next line begins.
    from: usize,
    /// From where on no newline was looked for.
    seen: usize,
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, bytes: Vec::new(), from: 0, seen: 0 }
    }

    /// The next line that is not empty; `None` when the answer is complete.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<Option<Vec<u8>>, Cut> {
        loop {
            while let Some(line) = self.line() {
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            self.bytes.drain(..self.from);
            self.seen -= self.from;
            self.from = 0;
            if self.bytes.len() > LONGEST {
                return Err(Cut::TooLong);
            }
            let frame = tokio::time::timeout(silence, self.body.frame()).await.map_err(|_| Cut::Silent)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Cut::Broken(innermost(&error))),
                Some(Ok(frame)) => self.bytes.extend(frame.data_ref().map(AsRef::as_ref).unwrap_or_default()),
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let Some(length) = self.bytes.get(self.seen..)?.iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return None;
        };
        let end = self.seen + length;
        let line = self.bytes.get(self.from..end)?.to_vec();
        (self.from, self.seen) = (end + 1, end + 1);
        Some(line)
    }
}

/// The last of the causes says most.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(Body::from(text.as_bytes().to_vec()));
            let mut all = Vec::new();
            while let Some(line) = lines.next(Duration::from_secs(5)).await.unwrap() {
                all.push(String::from_utf8(line).unwrap());
            }
            all
        })
    }

    #[test]
    fn half_a_line_is_none() {
        assert_eq!(lines("a\n\nbc\r\nd"), ["a", "bc\r"]);
        assert_eq!(lines(""), [""; 0]);
    }
}
