//! Tables of flows: tab-separated columns `from to protocol port [expected]` under a header line.

use std::{
    io::{ErrorKind, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_engine::model::{Protocol, Traffic};

use crate::endpoint::{EndName, Party, PortName, Target, parse_end};

/// The rows of one file, in order.
#[derive(Debug)]
pub(crate) struct FlowTable {
    pub(crate) rows: Vec<FlowRow>,
    /// Whether there is a column `expected`.
    pub(crate) has_expected: bool,
}

/// One row.
#[derive(Debug)]
pub(crate) struct FlowRow {
    /// Where it stands, as `flows.tsv:3`.
    pub(crate) at: String,
    /// Its columns as written: from, to, protocol, port.
    pub(crate) columns: [String; 4],
    pub(crate) from: EndName,
    pub(crate) to: EndName,
    pub(crate) traffic: Traffic,
    pub(crate) expected: Option<Expected>,
}

/// What a row says should come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Allow,
    Deny,
}

impl Expected {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl FlowRow {
    /// The receiving end, as if typed with its port.
    pub(crate) fn target(&self) -> Target {
        let port = match self.traffic {
            Traffic::Port(protocol, number) => PortName::Number(number, protocol),
            Traffic::Portless => PortName::Icmp,
        };
        Target { end: self.to.clone(), port: Some(port) }
    }
}

/// Reads a table from a file, or from standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<FlowTable> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        ("<stdin>".to_owned(), text)
    } else {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("cannot read {name}: there is no such file"),
            ErrorKind::IsADirectory => anyhow!("cannot read {name}: it is a folder; name the file with the flows"),
            ErrorKind::InvalidData => anyhow!("cannot read {name}: it is not UTF-8 text"),
            _ => anyhow!(error).context(format!("cannot read {name}")),
        })?;
        (name, text)
    };
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<FlowTable> {
    let mut lines = (1..).zip(text.trim_start_matches('\u{feff}').lines()).filter(|(_, line)| !line.trim().is_empty());
    let Some((_, header)) = lines.next() else {
        bail!(
            "{name} is empty: its first line must be `from<TAB>to<TAB>protocol<TAB>port`, with `expected` if there is something to check"
        );
    };
    let header: Vec<&str> = header.split('\t').map(str::trim).collect();
    let has_expected = match header.as_slice() {
        ["from", "to", "protocol", "port"] => false,
        ["from", "to", "protocol", "port", "expected"] => true,
        other => bail!(
            "{name}:1: the header is `{}`; it must be `from to protocol port`, with `expected` if there is something to \
             check, separated by tabs",
            other.join(" ")
        ),
    };
    let mut rows = Vec::new();
    for (number, line) in lines {
        rows.push(row(line, has_expected).with_context(|| format!("{name}:{number}"))?);
        if let Some(row) = rows.last_mut() {
            row.at = format!("{name}:{number}");
        }
    }
    Ok(FlowTable { rows, has_expected })
}

fn row(line: &str, has_expected: bool) -> Result<FlowRow> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let (fixed, expected) = match columns.as_slice() {
        [from, to, protocol, port] if !has_expected => ([*from, *to, *protocol, *port], None),
        [from, to, protocol, port, expected] if has_expected => ([*from, *to, *protocol, *port], Some(*expected)),
        other => bail!(
            "{} columns, and the header has {}; columns are separated by tabs",
            other.len(),
            4 + usize::from(has_expected)
        ),
    };
    let [from, to, protocol, port] = fixed;
    let expected = match expected {
        None | Some("") => None,
        Some("allow") => Some(Expected::Allow),
        Some("deny") => Some(Expected::Deny),
        Some(other) => bail!("expected is `{other}`; it is allow or deny"),
    };
    Ok(FlowRow {
        at: String::new(),
        columns: fixed.map(str::to_owned),
        from: parse_end(from)?,
        to: parse_end(to)?,
        traffic: traffic(protocol, port)?,
        expected,
    })
}

fn traffic(protocol: &str, port: &str) -> Result<Traffic> {
    if protocol == "ICMP" {
        return if port == "-" { Ok(Traffic::Portless) } else { bail!("ICMP has no port: write `-`, not `{port}`") };
    }
    let Some(protocol) = Protocol::parse(protocol) else {
        let upper = protocol.to_ascii_uppercase();
        let known = upper == "ICMP" || Protocol::parse(&upper).is_some();
        let mend = if known { format!("; write `{upper}`") } else { String::new() };
        bail!("protocol `{protocol}` is not one of TCP, UDP, SCTP, ICMP{mend}");
    };
    match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(Traffic::Port(protocol, number)),
        _ => bail!("port `{port}` is not a number from 1 to 65535"),
    }
}

/// The one that a name of a table means: a table has a row for each.
pub(crate) fn only(mut parties: Vec<Party>, name: &EndName) -> Result<Party> {
    match (parties.pop(), parties.is_empty()) {
        (Some(party), true) => Ok(party),
        _ => bail!("`{name}` is several pods: give each a row of its own"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_header() {
        let table =
            parse("t", "from\tto\tprotocol\tport\texpected\r\na/b\t::1\tTCP\t80\tdeny\r\n\na/b\tc/d\tICMP\t-\tallow\n")
                .unwrap();
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[1].traffic, Traffic::Portless);
        assert_eq!(table.rows[1].at, "t:4");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, wanted) in [
            ("", "t is empty"),
            ("from to protocol port", "t:1: the header"),
            ("from\tto\tprotocol\tport\na\tb\ttcp\t80", "t:2: protocol `tcp`"),
            ("from\tto\tprotocol\tport\na\tb\tTCP\t0", "t:2: port `0`"),
            ("from\tto\tprotocol\tport\na\tb\tTCP", "t:2: 3 columns"),
            ("from\tto\tprotocol\tport\texpected\na\tb\tTCP\t1\tmaybe", "t:2: expected is `maybe`"),
            ("from\tto\tprotocol\tport\na\tb\tICMP\t8", "t:2: ICMP has no port"),
        ] {
            let message = format!("{:#}", parse("t", text).unwrap_err());
            assert!(message.contains(wanted), "{message}");
        }
    }
}
