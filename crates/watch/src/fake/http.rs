//! As much of HTTP/1.1 as clients of the API use: requests with a short body, answers of a known length.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::json;

use super::watch::Asked;

/// A request, understood.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    /// The token of `Authorization: Bearer`.
    pub(super) bearer: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|value| matches!(value.as_str(), "1" | "true"))
    }

    pub(super) fn query_text(&self) -> String {
        self.query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }
}

/// What becomes of a request.
pub(super) enum Answer {
    Body {
        code: u16,
        content_type: &'static str,
        body: String,
    },
    /// The connection ends here.
    Close,
    /// An answer that goes on.
    Watch(Box<Asked>),
    /// The same, later.
    After(Duration, Box<Answer>),
}

/// An answer of the API: JSON.
pub(super) fn json(code: u16, body: String) -> Answer {
    Answer::Body { code, content_type: "application/json", body }
}

/// An answer that is no JSON.
pub(super) fn text(code: u16, text: &str) -> Answer {
    Answer::Body { code, content_type: "text/plain; charset=utf-8", body: text.to_owned() }
}

/// An answer that is no success.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    json(code, status.to_string())
}

/// Answers one request after the other until the client has no more. `stream` writes an answer that goes
/// on, and says whether the connection is still good after it.
pub(super) fn serve(
    connection: &TcpStream,
    answer: impl Fn(&Request) -> Answer,
    stream: impl Fn(&TcpStream, Asked) -> bool,
) {
    // An answer that waits for the acknowledgement of another would make every test slow.
    _ = connection.set_nodelay(true);
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let mut answer = answer(&request);
        while let Answer::After(delay, later) = answer {
            thread::sleep(delay);
            answer = *later;
        }
        let (code, content_type, body) = match answer {
            Answer::Body { code, content_type, body } => (code, content_type, body),
            Answer::Watch(asked) => {
                if stream(connection, *asked) {
                    continue;
                }
                return;
            }
            Answer::Close | Answer::After(..) => return,
        };
        let mut writer = connection;
        let text = format!(
            "HTTP/1.1 {code} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            reason(code),
            body.len()
        );
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// The next request; `None` when the connection is over, or what came is no request.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    });
    let mut request = Request { method, path: decoded(path), query: query.collect(), bearer: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let header = line(reader)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.bearer = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

/// Percent escapes resolved; `+` is a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Something Else",
    }
}
