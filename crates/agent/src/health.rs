//! `/healthz`, `/readyz` and `/metrics` over HTTP/1.1, for the kubelet and Prometheus.
//!
//! Whoever reaches the port may be hostile. A connection is one request, has a deadline from its first
//! byte to its last, and a limit for what it may send; there is a limit for how many there are, and the
//! oldest goes when one more comes, so that those who only hold on keep nobody out.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{metrics, status::Shared};

/// How long a connection may take, whatever it does.
const DEADLINE: Duration = Duration::from_secs(3);
/// How many bytes the head of a request may have.
const LONGEST_HEAD: usize = 8 * 1024;
/// How many connections there may be.
const CONNECTIONS: usize = 32;
/// The wait after a connection could not be taken, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `address` (port 0: any free one) and answers from a thread of its own.
    ///
    /// # Errors
    /// When nobody can listen there, or no thread be started.
    pub fn start(address: SocketAddr, status: Shared) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = move || serve(&listener, &status, &stopped);
        let thread = thread::Builder::new().name("health".to_owned()).spawn(serve)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for connections: give it one.
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let woken = TcpStream::connect_timeout(&SocketAddr::new(ip, self.address.port()), DEADLINE);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            _ = thread.join();
        }
    }
}

/// The connections there are, oldest first.
type Connections = Arc<Mutex<VecDeque<(u64, TcpStream)>>>;

fn serve(listener: &TcpListener, status: &Shared, stop: &AtomicBool) {
    let connections = Connections::default();
    let list = || connections.lock().unwrap_or_else(PoisonError::into_inner);
    for number in 0.. {
        let accepted = listener.accept();
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Ok((stream, _)) = accepted else {
            thread::sleep(PAUSE);
            continue;
        };
        let Ok(handle) = stream.try_clone() else { continue };
        while list().len() >= CONNECTIONS {
            if let Some((_, oldest)) = list().pop_front() {
                _ = oldest.shutdown(Shutdown::Both);
            }
        }
        list().push_back((number, handle));
        let (status, mine) = (status.clone(), Arc::clone(&connections));
        let answer = move || {
            // Whatever goes wrong with a connection is its client's loss.
            _ = answer(stream, &status);
            mine.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != number);
        };
        if thread::Builder::new().name("health connection".to_owned()).spawn(answer).is_err() {
            list().retain(|(known, _)| *known != number);
            thread::sleep(PAUSE);
        }
    }
    for (_, stream) in list().drain(..) {
        _ = stream.shutdown(Shutdown::Both);
    }
}

/// One request and its answer.
fn answer(mut stream: TcpStream, status: &Shared) -> io::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let head = read_head(&mut stream, deadline)?;
    let (code, kind, body) = match &head {
        Head::TooLong => (431, PLAIN, format!("the head of a request has at most {LONGEST_HEAD} bytes\n")),
        Head::Whole(head) => response(head, status),
    };
    let reason = match code {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let allow = if code == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut message = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if !matches!(&head, Head::Whole(head) if head.starts_with("HEAD ")) {
        message.push_str(&body);
    }
    write_all(&mut stream, message.as_bytes(), deadline)?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with unread bytes would take the answer away from whoever is still sending.
    let mut rest = [0; 1024];
    let mut left = LONGEST_HEAD * 8;
    while left > 0 {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut rest)? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn response(head: &str, status: &Shared) -> (u16, &'static str, String) {
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return (400, PLAIN, "not a request of HTTP/1.1\n".to_owned());
    };
    if !version.starts_with("HTTP/1.") {
        return (400, PLAIN, "not a request of HTTP/1.1\n".to_owned());
    }
    if !matches!(method, "GET" | "HEAD") {
        return (405, PLAIN, "GET and HEAD are answered\n".to_owned());
    }
    match target.split('?').next().unwrap_or_default() {
        "/healthz" => match status.with(|status| status.is_alive(Instant::now())) {
            true => (200, PLAIN, "ok\n".to_owned()),
            false => (503, PLAIN, "the agent's loop hangs or has not begun\n".to_owned()),
        },
        "/readyz" => match status.with(|status| status.why_not_ready().ok_or_else(|| status.but_ready())) {
            Err(but) => (200, PLAIN, format!("ok\n{but}")),
            Ok(why) => (503, PLAIN, format!("{why}\n")),
        },
        // A copy: nobody waits for the text to be written.
        "/metrics" => (200, metrics::CONTENT_TYPE, metrics::text(&status.get())),
        _ => (404, PLAIN, "there are /healthz, /readyz and /metrics\n".to_owned()),
    }
}

enum Head {
    /// Up to the empty line.
    Whole(String),
    /// There was no end to it.
    TooLong,
}

fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<Head> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD {
            return Ok(Head::TooLong);
        }
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => head.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Head::Whole(String::from_utf8_lossy(&head).into_owned()))
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(remaining(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time until the deadline, never zero, which would mean for ever.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
