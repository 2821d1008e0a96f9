//! Where lines go: a file that may be rotated away, or standard output.
//!
//! The agent's loop hands lines over and never waits: each output has a thread and a bounded queue. What
//! does not fit is counted, and a line says so where it is missing.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::record::Line;
use crate::status::Shared;

/// How many lines may wait for a file.
const WAITING: usize = 4_096;

/// Lines on their way to somebody who may be slow.
#[derive(Debug)]
pub(super) struct Queue {
    lines: SyncSender<Arc<str>>,
    /// How many lines are missing behind those that wait.
    gap: u64,
}

/// A queue for so many lines, and its other end.
pub(super) fn queue(most: usize) -> (Queue, Receiver<Arc<str>>) {
    let (lines, taken) = sync_channel(most);
    (Queue { lines, gap: 0 }, taken)
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It waits for its reader.
    Waits,
    /// There was no room: its reader will be told of a gap, in its place.
    Dropped,
    /// Nobody takes lines here any more.
    Closed,
}

impl Queue {
    /// Hands a line over, without waiting.
    pub(super) fn send(&mut self, line: &Arc<str>) -> Sent {
        if self.gap > 0 && self.lines.try_send(lost(self.gap)).is_ok() {
            self.gap = 0;
        }
        match self.lines.try_send(Arc::clone(line)) {
            Ok(()) => Sent::Waits,
            Err(TrySendError::Full(_)) => {
                self.gap += 1;
                Sent::Dropped
            }
            Err(TrySendError::Disconnected(_)) => Sent::Closed,
        }
    }
}

/// The line that tells of lines that are missing.
fn lost(lines: u64) -> Arc<str> {
    Line::Lost(lines).to_json().into()
}

/// Where a flow log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file: appended to, and made anew when it is rotated away.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// A thread that writes lines; it ends, with everything written, when this is dropped.
#[derive(Debug)]
pub(super) struct Output {
    queue: Option<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Begins to write.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread be started.
    pub(super) fn start(target: &Target, status: Shared) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match target {
            Target::File(path) => Box::new(LogFile::open(path)?),
            Target::Stdout => Box::new(io::stdout()),
        };
        let (queue, lines) = queue(WAITING);
        let write = move || write(sink, &lines, &status);
        let thread = thread::Builder::new().name("flow log".to_owned()).spawn(write)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Hands a line over, without waiting.
    pub(super) fn send(&mut self, line: &Arc<str>) -> Sent {
        self.queue.as_mut().map_or(Sent::Closed, |queue| queue.send(line))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Something that takes whole lines.
trait Sink: Send {
    /// Writes the bytes of some lines.
    fn put(&mut self, lines: &[u8]) -> io::Result<()>;
}

impl Sink for io::Stdout {
    fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut stdout = self.lock();
        stdout.write_all(lines)?;
        stdout.flush()
    }
}

fn write(mut sink: Box<dyn Sink>, lines: &Receiver<Arc<str>>, status: &Shared) {
    // How many lines did not get through to the sink.
    let mut missing = 0;
    while let Ok(line) = lines.recv() {
        let gap = (missing > 0).then(|| lost(missing));
        let mut bytes = Vec::new();
        for line in gap.iter().chain([&line]) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        match sink.put(&bytes) {
            Ok(()) if missing == 0 => {}
            Ok(()) => {
                tracing::info!(missing, "flow log written again");
                missing = 0;
            }
            Err(error) => {
                if missing == 0 {
                    tracing::warn!(%error, "flow log not written");
                }
                missing += match Line::parse(&line) {
                    Ok(Line::Lost(lost)) => lost,
                    _ => {
                        status.with(|status| status.flows.dropped += 1);
                        1
                    }
                };
            }
        }
    }
}

/// A file that others may move away.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    /// Which file it is: device and inode.
    id: (u64, u64),
    /// Whether the last write may have ended within a line.
    torn: bool,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Who talks to whom is nobody's business.
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let id = id(&file.metadata()?);
        Ok(Self { path: path.to_owned(), file, id, torn: false })
    }

    fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| id(&found) == self.id)
    }
}

impl Sink for LogFile {
    fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.is_there() {
            *self = Self::open(&self.path)?;
        }
        let mut bytes = Vec::with_capacity(lines.len() + 1);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(lines);
        let written = self.file.write_all(&bytes);
        self.torn = written.is_err();
        written
    }
}

fn id(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
