//! Logs read side by side while something else runs.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::{Losses, NfLog, NfLogError, Record};

/// What one log brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The name of the log's namespace.
    pub namespace: String,
    /// The records, in the order of their arrival.
    pub records: Vec<Record>,
    /// What is missing.
    pub losses: Losses,
}

/// A thread that empties logs, so that the kernel's small buffers do not run
/// over while packets are sent. Ends with [`stop`](Self::stop), or when dropped.
#[derive(Debug)]
pub struct Collector {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<Result<Vec<Collected>, NfLogError>>>,
}

impl Collector {
    /// Starts reading `logs`.
    pub fn start(logs: Vec<NfLog>) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("nflog".to_owned()).spawn(move || collect(logs, &stopped))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Waits until the kernel has handed over what was logged before this
    /// call (the flush time), and returns what each log brought, in the order given.
    pub fn stop(mut self) -> Result<Vec<Collected>, NfLogError> {
        self.signal();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(payload)) => resume_unwind(payload),
            None => Ok(Vec::new()),
        }
    }

    fn signal(&self) {
        // An eventfd counter cannot be full after one write.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.signal();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn collect(mut logs: Vec<NfLog>, stop: &OwnedFd) -> Result<Vec<Collected>, NfLogError> {
    let mut collected: Vec<Collected> =
        logs.iter().map(|log| Collected { namespace: log.namespace().to_owned(), ..Collected::default() }).collect();
    loop {
        let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
        fds.extend(logs.iter().map(|log| PollFd::from_borrowed_fd(log.as_fd(), PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => {
                // ENOMEM or a limit: nothing that a log is to blame for, but it ends them all.
                return match logs.first() {
                    Some(log) => Err(log.socket_error("waiting", errno.into())),
                    None => Ok(collected),
                };
            }
        }
        let stopping = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if stopping {
            // Twice the flush time: its timer may have been started just now.
            let flush = logs.iter().map(NfLog::flush).max().unwrap_or_default() * 2;
            if let Ok(wait) = Timespec::try_from(flush) {
                let _ = poll(&mut [], Some(&wait));
            }
        }
        for (log, collected) in logs.iter_mut().zip(&mut collected) {
            log.read(&mut collected.records)?;
            collected.losses = log.losses();
        }
        if stopping {
            return Ok(collected);
        }
    }
}
