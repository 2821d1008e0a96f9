//! One TCP connection that somebody opened: to a pod's text, or to the resolver.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use super::{Port, Role, Zone};

/// The longest request that is read before it is answered, in bytes.
const LONGEST_REQUEST: usize = 16 * 1024;

/// A connection, and what came over it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) who: Arc<str>,
    pub(super) stream: TcpStream,
    pub(super) since: Instant,
    port: Port,
    peer: SocketAddr,
    asked: Vec<u8>,
    /// What comes now is only read so that the answer arrives: closing with data unread resets.
    is_answered: bool,
}

impl Connection {
    pub(super) fn new(who: Arc<str>, port: Port, stream: TcpStream, peer: SocketAddr) -> Self {
        Self { who, stream, since: Instant::now(), port, peer, asked: Vec::new(), is_answered: false }
    }

    /// Reads on, and answers what is whole; whether it is over.
    pub(super) fn advance(&mut self, zone: &Zone) -> bool {
        let mut buffer = [0_u8; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) if self.is_answered => {}
                Ok(length) => {
                    self.asked.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    let over = match self.port.role {
                        Role::Text => self.answer_text(),
                        Role::Resolver => self.answer_names(zone),
                    };
                    if over || self.asked.len() > LONGEST_REQUEST {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// HTTP/1.0 to who asks by HTTP, the bare text to who sends a line.
    fn answer_text(&mut self) -> bool {
        let text = format!("{} answers {} on TCP {}\n", self.who, self.peer.ip(), self.port.number);
        let first = self.asked.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_http = first.windows(5).any(|five| five == b"HTTP/");
        let is_whole = match is_http {
            true => [&b"\r\n\r\n"[..], b"\n\n"].iter().any(|end| contains(&self.asked, end)),
            false => self.asked.contains(&b'\n'),
        };
        if !is_whole {
            return false;
        }
        let head = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            text.len()
        );
        let answer = if is_http { head + &text } else { text };
        self.is_answered = true;
        // Some hundred bytes fit into the empty buffer of a new connection; it fails when the peer is gone.
        self.stream.write_all(answer.as_bytes()).is_err() || self.stream.shutdown(Shutdown::Write).is_err()
    }

    /// Questions with their length in front (RFC 1035, 4.2.2), one after the other.
    fn answer_names(&mut self, zone: &Zone) -> bool {
        while let Some(length) = self.asked.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))) {
            let Some(question) = self.asked.get(2..2 + length) else { return false };
            let Some(answer) = zone.answer(question, usize::from(u16::MAX)) else { return true };
            self.asked.drain(..2 + length);
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
            if self.stream.write_all(&[&length[..], &answer].concat()).is_err() {
                return true;
            }
        }
        false
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
