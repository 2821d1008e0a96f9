//! How the process that has a lab is found and spoken to: a socket without a file.
//!
//! An abstract Unix address (unix(7)) is there exactly as long as the process is, kill -9 included, and can
//! be taken only once: no file, no lock, nothing stale. It belongs to the network namespace that the command
//! was typed in. Anybody may connect, so both ends ask the kernel who the other is, and go on only with the
//! same user.
//!
//! ```text
//! request   one line of JSON ──►
//!           ◄── one line of JSON, with descriptors when a namespace is to be entered
//! ```

use std::{
    io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Read, Write as _},
    mem::MaybeUninit,
    net::IpAddr,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg, sockopt::socket_peercred,
    },
    process::geteuid,
};
use serde::{Deserialize, Serialize};

/// What the addresses of labs begin with.
const PREFIX: &str = "palisade-lab";
/// Namespaces that an answer may bring: network and user.
const DESCRIPTORS: usize = 2;
/// The longest line, in bytes: the texts of an `apply`.
const LONGEST: u64 = 64 << 20;
/// How long somebody may take to say what they want.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked of a running lab.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Request {
    /// What there is.
    Status,
    /// The namespaces of somebody.
    Enter { who: String, namespace: String },
    /// New or other objects, as texts with their names, and what domain names resolve to from now on.
    Apply {
        texts: Vec<(String, String)>,
        namespace: Option<String>,
        #[serde(default)]
        resolved: Vec<(String, IpAddr)>,
    },
    /// Objects to take out.
    Delete { texts: Vec<(String, String)>, namespace: Option<String> },
    /// The end.
    Down,
}

/// What comes back.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Response {
    /// It could not be done: a sentence for people.
    Refused(String),
    Status(Status),
    /// The namespaces come beside it: network, and user when it is another.
    Enter(Place),
    /// What changed, in lines.
    Changed(Vec<String>),
    /// It goes down when the connection ends.
    Down,
}

/// A running lab in numbers.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Status {
    pub(super) pods: usize,
    pub(super) nodes: usize,
    pub(super) policies: usize,
}

/// Somebody's place.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Place {
    /// How they are called.
    pub(super) who: String,
    /// Their /etc/resolv.conf and /etc/hosts.
    pub(super) resolv: String,
    pub(super) hosts: String,
}

/// Takes the address of a lab.
///
/// # Errors
/// When there is one already.
pub(super) fn listen(name: &str) -> Result<UnixListener> {
    match UnixListener::bind_addr(&address(name)?) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "the lab `{name}` is up already: change it with `palisade lab apply`, take it down with `palisade lab down`, or give \
             this one another --name"
        ),
        Err(error) => Err(error).context("no socket for the lab"),
    }
}

/// The labs that are up, by name.
pub(super) fn names() -> Result<Vec<String>> {
    let path = "/proc/net/unix";
    let table = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let own = format!("@{PREFIX}/{}/", geteuid().as_raw());
    let found = table.lines().filter_map(|line| line.split_whitespace().last()?.strip_prefix(own.as_str()));
    let mut names: Vec<String> = found.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    // What has just ended may still be in the table.
    names.retain(|name| address(name).is_ok_and(|address| UnixStream::connect_addr(&address).is_ok()));
    Ok(names)
}

/// A connection to the lab of that name, else to the only one.
///
/// # Errors
/// When there is none, or when it is not clear which.
pub(super) fn connect(name: Option<&str>) -> Result<UnixStream> {
    let up = names()?;
    let name = match (name, up.as_slice()) {
        (_, []) => bail!("no lab is up: bring one up with `palisade lab up -f MANIFESTS`"),
        (Some(name), up) if up.iter().any(|other| other == name) => name,
        (Some(name), up) => bail!("no lab `{name}` is up; there is {}", up.join(", ")),
        (None, [only]) => only.as_str(),
        (None, several) => bail!("{} labs are up ({}): say which with --name", several.len(), several.join(", ")),
    };
    let stream =
        UnixStream::connect_addr(&address(name)?).with_context(|| format!("the lab `{name}` has just ended"))?;
    check_peer(&stream).with_context(|| format!("the lab `{name}`"))?;
    Ok(stream)
}

/// Refuses another user at the other end.
///
/// # Errors
/// When it is one, or when the kernel does not say.
pub(super) fn check_peer(stream: &UnixStream) -> Result<()> {
    let peer = socket_peercred(stream).context("who is at the other end?")?;
    if peer.uid != geteuid() {
        bail!("it belongs to another user ({})", peer.uid.as_raw());
    }
    Ok(())
}

/// Asks, and waits for the answer with its descriptors.
///
/// # Errors
/// When the lab says no, or ends.
pub(super) fn ask(stream: &mut UnixStream, request: &Request) -> Result<(Response, Vec<OwnedFd>)> {
    let line = serde_json::to_string(request)? + "\n";
    stream.write_all(line.as_bytes()).context("the lab has ended")?;
    let mut descriptors = Vec::new();
    // Descriptors come with the first byte.
    let mut first = [0_u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(&stream, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.context("the lab does not answer")?.bytes == 0 {
        bail!("the lab has ended");
    }
    let line = [&first[..], line_of(stream)?.as_bytes()].concat();
    match serde_json::from_slice(&line)
        .context("the lab speaks another version of palisade: take it down and up again")?
    {
        Response::Refused(why) => Err(anyhow!(why)),
        response => Ok((response, descriptors)),
    }
}

/// Reads what somebody wants.
///
/// # Errors
/// When it makes no sense or does not come.
pub(super) fn hear(stream: &UnixStream) -> Result<Request> {
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(serde_json::from_str(&line_of(stream)?)?)
}

/// Answers.
///
/// # Errors
/// When nobody hears it.
pub(super) fn answer(stream: &mut UnixStream, response: &Response, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let line = serde_json::to_string(response)? + "\n";
    let (first, rest) = line.as_bytes().split_at_checked(1).unwrap_or_default();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(stream.as_fd(), &[IoSlice::new(first)], &mut ancillary, SendFlags::NOSIGNAL)?;
    stream.write_all(rest)?;
    Ok(())
}

fn line_of(stream: &UnixStream) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    Ok(line)
}

fn address(name: &str) -> Result<SocketAddr> {
    let address = format!("{PREFIX}/{}/{name}", geteuid().as_raw());
    SocketAddr::from_abstract_name(address).context("no socket for the lab")
}
