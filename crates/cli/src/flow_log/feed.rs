//! Where lines come from, one by one: the agent's socket, a file that may be rotated away, standard input.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Seek as _, SeekFrom},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use palisade_agent::flow_log::record::Line;

use crate::args::Flows;

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The longest line that is one.
const LONGEST: usize = 1 << 20;

/// The next thing that a feed brings.
pub(super) enum Step {
    /// A line, and where it stands.
    Line(String, String),
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
    /// Opens what the arguments name.
    ///
    /// # Errors
    /// When it cannot be read, or nobody listens there.
    pub(super) fn open(arguments: &Flows) -> Result<Self> {
        let (from, name) = match &arguments.file {
            None => {
                (Origin::Socket(BufReader::new(connect(&arguments.socket)?)), arguments.socket.display().to_string())
            }
            Some(path) if path == Path::new("-") => {
                (Origin::Stdin(BufReader::new(std::io::stdin())), "<stdin>".to_owned())
            }
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => anyhow!("cannot read {name}: there is no such file"),
                    _ => anyhow!(error).context(format!("cannot read {name}")),
                })?;
                (Origin::File { path: path.clone(), reader: BufReader::new(file) }, name)
            }
        };
        Ok(Self { from, name, number: 0, part: Vec::new(), caught_up: false, follows: arguments.follow })
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
                Some(text) if matches!(Line::parse(&text), Ok(Line::CaughtUp)) => {
                    self.caught_up = true;
                    return Ok(Step::CaughtUp);
                }
                Some(text) => {
                    self.number += 1;
                    return Ok(Step::Line(format!("{}:{}", self.name, self.number), text));
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
