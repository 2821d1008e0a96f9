//! Where lines come from, one by one: the agent's socket, a file that may be rotated away, standard input; or several
//! files, whose lines come in the order of their times.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Seek as _, SeekFrom},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use palisade_flows::{Entry, read};

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The longest line that is one.
const LONGEST: usize = 1 << 20;

/// The next thing that a feed brings.
pub(super) enum Step {
    /// A line.
    Line(String),
    /// What was there has been read; what comes now is new.
    CaughtUp,
    /// Nothing comes any more.
    End,
}

/// Lines from somewhere.
pub(super) struct Feed {
    from: Origin,
    /// What messages call it.
    name: String,
    number: usize,
    /// A line whose end has not come yet.
    part: Vec<u8>,
    caught_up: bool,
    follows: bool,
}

enum Origin {
    Socket(BufReader<UnixStream>),
    File { path: PathBuf, reader: BufReader<File> },
    Stdin(BufReader<std::io::Stdin>),
}

impl Feed {
    /// Connects to an agent.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) fn socket(path: &Path, follows: bool) -> Result<Self> {
        let reader = BufReader::new(connect(path)?);
        Ok(Self::of(Origin::Socket(reader), path.display().to_string(), follows))
    }

    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn file(path: &Path, follows: bool) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::of(Origin::Stdin(BufReader::new(std::io::stdin())), "<stdin>".to_owned(), follows));
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("cannot read {name}: there is no such file"),
            _ => anyhow!(error).context(format!("cannot read {name}")),
        })?;
        // Some hundred lines at once.
        let reader = BufReader::with_capacity(1 << 17, file);
        Ok(Self::of(Origin::File { path: path.to_owned(), reader }, name, follows))
    }

    fn of(from: Origin, name: String, follows: bool) -> Self {
        Self { from, name, number: 0, part: Vec::new(), caught_up: false, follows }
    }

    /// Where the last line stands, as `flows.jsonl:12`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.name, self.number)
    }

    /// Whether what was there has been read.
    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Waits for the next thing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn next(&mut self) -> Result<Step> {
        loop {
            match self.line().with_context(|| format!("cannot read {}", self.name))? {
                Some(text) if text.trim().is_empty() => self.number += 1,
                // Only a socket has this line.
                Some(text) if text.contains("\"caughtUp\"") && matches!(read(&text), Ok(Entry::CaughtUp)) => {
                    self.caught_up = true;
                    return Ok(Step::CaughtUp);
                }
                Some(text) => {
                    self.number += 1;
                    return Ok(Step::Line(text));
                }
                None if matches!(self.from, Origin::Socket(_)) && (self.follows || !self.caught_up) => {
                    return Err(anyhow!("the agent has ended, or takes no more readers (it takes 16)"));
                }
                None if !self.caught_up => {
                    self.caught_up = true;
                    return Ok(Step::CaughtUp);
                }
                None => match &mut self.from {
                    Origin::File { path, reader } if self.follows => {
                        thread::sleep(LOOK);
                        if again(path, reader)? {
                            self.part.clear();
                            self.number = 0;
                        }
                    }
                    _ => return Ok(Step::End),
                },
            }
        }
    }

    /// A line without its end; `None`: there is none now.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        let follows = self.follows;
        let part = &mut self.part;
        let reader: &mut dyn BufRead = match &mut self.from {
            Origin::Socket(reader) => reader,
            Origin::Stdin(reader) => reader,
            Origin::File { reader, .. } => reader,
        };
        let room = LONGEST.saturating_sub(part.len());
        std::io::Read::take(reader, u64::try_from(room).unwrap_or(u64::MAX)).read_until(b'\n', part)?;
        let whole = part.last() == Some(&b'\n');
        if part.is_empty() || (!whole && follows && part.len() < LONGEST) {
            // The rest of a followed file's last line comes later.
            return Ok(None);
        }
        let text = String::from_utf8_lossy(part).trim_end_matches(['\n', '\r']).to_owned();
        part.clear();
        Ok(Some(text))
    }
}

/// Several files. Each is in the order of its times, and so are all together.
pub(super) struct Merge {
    feeds: Vec<Feed>,
    /// The next line of each feed, with its time where it tells one; `None` when nothing comes any more.
    heads: Vec<Option<Head>>,
}

struct Head {
    /// A line without a time comes at once: it belongs behind the one before it.
    time: Option<Timestamp>,
    place: String,
    text: String,
}

impl Merge {
    /// Opens all of them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut feeds = paths.iter().map(|path| Feed::file(path, false)).collect::<Result<Vec<_>>>()?;
        let heads = feeds.iter_mut().map(head).collect::<Result<_>>()?;
        Ok(Self { feeds, heads })
    }

    /// The line of the earliest time, and where it stands; `None`: there are no more.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<(String, String)>> {
        let first = self.heads.iter().enumerate().filter_map(|(at, head)| Some((head.as_ref()?.time, at))).min();
        let Some((_, at)) = first else { return Ok(None) };
        let (Some(place), Some(feed)) = (self.heads.get_mut(at), self.feeds.get_mut(at)) else { return Ok(None) };
        let taken = std::mem::replace(place, head(feed)?);
        Ok(taken.map(|head| (head.place, head.text)))
    }
}

fn head(feed: &mut Feed) -> Result<Option<Head>> {
    loop {
        match feed.next()? {
            Step::Line(text) => {
                let time = match read(&text) {
                    Ok(Entry::Record(record)) => Some(record.time),
                    Ok(Entry::Flow(flow)) => Some(flow.first),
                    Ok(Entry::Connection(connection)) => Some(connection.seen.first),
                    Ok(Entry::Lost(_) | Entry::CaughtUp | Entry::PassedOver(_)) | Err(_) => None,
                };
                return Ok(Some(Head { time, place: feed.place(), text }));
            }
            Step::CaughtUp => {}
            Step::End => return Ok(None),
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream> {
    UnixStream::connect(socket).map_err(|error| {
        let at = socket.display();
        match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "no agent has its socket at {at}: is one running on this node? (`palisade agent --flow-socket PATH` \
                 says where; a file with a flow log can be read, too)"
            ),
            ErrorKind::ConnectionRefused => anyhow!("nobody listens at {at}: the agent that made it has ended"),
            ErrorKind::PermissionDenied => anyhow!("only the user of the agent may read {at}: try sudo"),
            _ => anyhow!(error).context(format!("cannot connect to {at}")),
        }
    })
}

/// Looks whether the file at `path` is another one by now, or shorter, and begins it anew.
fn again(path: &Path, reader: &mut BufReader<File>) -> Result<bool> {
    let Ok(there) = std::fs::metadata(path) else { return Ok(false) };
    let here = reader.get_ref().metadata()?;
    if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
        let Ok(file) = File::open(path) else { return Ok(false) };
        *reader = BufReader::new(file);
        return Ok(true);
    }
    if here.len() < reader.stream_position()? {
        reader.seek(SeekFrom::Start(0))?;
        return Ok(true);
    }
    Ok(false)
}
