//! A local socket that tells the flow log to whoever connects: what was last, a mark, and then what comes.
//!
//! Each reader has a thread and a bounded queue of its own; one that is slow misses lines and is told how
//! many, one that is gone is forgotten, and none of them holds the agent's loop. Only the owner may connect
//! (mode 0600): the log tells who talks to whom.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, Permissions},
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    output::{Queue, Sent, queue},
    record::Line,
};

/// Where the socket is, where nobody says otherwise.
pub const SOCKET: &str = "/run/palisade/flows.sock";

/// How many lines a new reader is told of before.
pub const HISTORY: usize = 256;
/// How many lines may wait for a reader.
const WAITING: usize = 1_024;
/// How many readers there may be.
const READERS: usize = 16;
/// How often it is looked whether a reader is still there.
const LOOK: Duration = Duration::from_secs(1);
/// The wait after a connection could not be taken, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The socket; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Hub {
    path: PathBuf,
    readers: Arc<Mutex<Readers>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Readers {
    history: VecDeque<Arc<str>>,
    list: Vec<Reader>,
    next: u64,
}

#[derive(Debug)]
struct Reader {
    number: u64,
    queue: Queue,
    stream: UnixStream,
}

impl Hub {
    /// Listens at `path`. A socket that an earlier run left there is replaced.
    ///
    /// # Errors
    /// When somebody listens there already, something else has that path, or nobody may listen there.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        make_way(path)?;
        let listener = bind(path)?;
        let readers = Arc::<Mutex<Readers>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (all, stopped) = (Arc::clone(&readers), Arc::clone(&stop));
        let accept = move || accept(&listener, &all, &stopped);
        let thread = thread::Builder::new().name("flow socket".to_owned()).spawn(accept)?;
        Ok(Self { path: path.to_owned(), readers, stop, thread: Some(thread) })
    }

    /// Tells a line to every reader, without waiting; returns how many miss it.
    pub(super) fn send(&self, line: &Arc<str>) -> u64 {
        let mut readers = locked(&self.readers);
        if readers.history.len() == HISTORY {
            readers.history.pop_front();
        }
        readers.history.push_back(Arc::clone(line));
        let mut dropped = 0;
        readers.list.retain_mut(|reader| match reader.queue.send(line) {
            Sent::Waits => true,
            Sent::Dropped => {
                dropped += 1;
                true
            }
            Sent::Closed => false,
        });
        dropped
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for connections: give it one.
        let woken = UnixStream::connect(&self.path);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            _ = thread.join();
        }
        for reader in locked(&self.readers).list.drain(..) {
            _ = reader.stream.shutdown(Shutdown::Both);
        }
        _ = fs::remove_file(&self.path);
    }
}

fn locked(readers: &Mutex<Readers>) -> MutexGuard<'_, Readers> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what a run before left at `path`.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something else, which is no socket"));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there"));
    }
    fs::remove_file(path)
}

/// Binds a socket that nobody but the owner could ever connect to: it is made in a folder of its own, and
/// moved to its place with its mode.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.exists() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    // Short: a socket's path has at most 108 bytes.
    let folder = parent.join(format!(".f{}", std::process::id()));
    _ = fs::remove_dir_all(&folder);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let made = folder.join("s");
    let bound = UnixListener::bind(&made).and_then(|listener| {
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        Ok(listener)
    });
    _ = fs::remove_dir_all(&folder);
    bound
}

fn accept(listener: &UnixListener, readers: &Arc<Mutex<Readers>>, stop: &AtomicBool) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match accepted.and_then(|(stream, _)| welcome(stream, readers)) {
            Ok(()) => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Takes a reader in; one too many is shut out at once.
fn welcome(stream: UnixStream, readers: &Arc<Mutex<Readers>>) -> io::Result<()> {
    let handle = stream.try_clone()?;
    let (queue, lines) = queue(WAITING);
    let (number, history) = {
        let mut readers = locked(readers);
        if readers.list.len() >= READERS {
            return Ok(());
        }
        let number = readers.next;
        readers.next += 1;
        readers.list.push(Reader { number, queue, stream: handle });
        (number, readers.history.iter().cloned().collect::<Vec<_>>())
    };
    let mine = Arc::clone(readers);
    let tell = move || {
        // Whatever goes wrong with a connection is its reader's loss.
        _ = tell(stream, &history, &lines);
        locked(&mine).list.retain(|reader| reader.number != number);
    };
    let started = thread::Builder::new().name("flow reader".to_owned()).spawn(tell);
    if started.is_err() {
        locked(readers).list.retain(|reader| reader.number != number);
    }
    started.map(|_| ())
}

fn tell(mut stream: UnixStream, history: &[Arc<str>], lines: &Receiver<Arc<str>>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    let put = |stream: &mut UnixStream, line: &str| stream.write_all(format!("{line}\n").as_bytes());
    for line in history {
        put(&mut stream, line)?;
    }
    put(&mut stream, &Line::CaughtUp.to_json())?;
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => put(&mut stream, &line)?,
            Err(RecvTimeoutError::Timeout) if is_gone(&mut stream) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Whether the reader has hung up. It says nothing; what it says all the same is passed over.
fn is_gone(stream: &mut UnixStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
    }
}
