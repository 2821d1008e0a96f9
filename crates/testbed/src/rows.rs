//! What is expected of connections, and whether real packets say so.

use palisade_engine::model::{Protocol, Traffic};
use palisade_lab::probe::{self, Observation, Outcome, Probe, Timing};

use crate::{Result, Testbed};

/// The first packet of a new connection, and what shall become of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Who sends it: `namespace/pod`, a node, or an address.
    pub from: String,
    /// Who it is for.
    pub to: String,
    /// The protocol and the port.
    pub traffic: Traffic,
    /// Whether it shall arrive.
    pub allowed: bool,
}

impl Row {
    /// A TCP connection.
    pub fn tcp(from: &str, to: &str, port: u16, allowed: bool) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), traffic: Traffic::Port(Protocol::Tcp, port), allowed }
    }
}

/// The rows of a table with the header `from to protocol port expected`, separated by tabs.
///
/// # Errors
/// The first line that is none.
pub fn read_rows(table: &str) -> Result<Vec<Row>> {
    let row = |line: &str| -> Option<Row> {
        let mut fields = line.split('\t');
        let (from, to) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        let protocol = match fields.next()? {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return None,
        };
        let port = fields.next()?.parse().ok()?;
        let allowed = match fields.next()? {
            "allow" => true,
            "deny" => false,
            _ => return None,
        };
        Some(Row { from, to, traffic: Traffic::Port(protocol, port), allowed })
    };
    let lines = table.lines().skip(1).filter(|line| !line.is_empty());
    lines.map(|line| row(line).ok_or_else(|| format!("no row: {line}").into())).collect()
}

impl Testbed {
    /// Tries every row whose ends have addresses of a family; how many those are. What shall not arrive must
    /// not, and must be among what the nodes' rules say they dropped: silence alone proves nothing.
    ///
    /// # Errors
    /// The rows that went otherwise.
    pub fn expect(&mut self, rows: &[Row], is_ipv4: bool) -> Result<usize> {
        let before = self.dropped()?;
        let (rows, seen) = self.try_rows(rows, is_ipv4)?;
        let wrong = rows
            .iter()
            .zip(&seen)
            .filter(|(row, seen)| seen.outcome != if row.allowed { Outcome::Reached } else { Outcome::NoAnswer });
        let wrong: Vec<String> = wrong.map(|(row, seen)| format!("{row:?}: {:?}", seen.outcome)).collect();
        if !wrong.is_empty() {
            return Err(format!("{} of {} rows went otherwise:\n{}", wrong.len(), rows.len(), wrong.join("\n")).into());
        }
        let denied = rows.iter().filter(|row| !row.allowed).count();
        let dropped = self.dropped()?.saturating_sub(before);
        if dropped < u64::try_from(denied)? {
            return Err(format!("{denied} rows were silent, and the rules dropped {dropped} packets").into());
        }
        Ok(rows.len())
    }

    /// Tries the rows where no rule is: all must arrive, or what follows proves nothing.
    ///
    /// # Errors
    /// The first that does not.
    pub fn all_arrive(&self, rows: &[Row], is_ipv4: bool) -> Result<usize> {
        let (rows, seen) = self.try_rows(rows, is_ipv4)?;
        match rows.iter().zip(&seen).find(|(_, seen)| seen.outcome != Outcome::Reached) {
            None => Ok(rows.len()),
            Some((row, seen)) => Err(format!("{row:?} fails without any rules: {:?}", seen.outcome).into()),
        }
    }

    fn try_rows(&self, rows: &[Row], is_ipv4: bool) -> Result<(Vec<Row>, Vec<Observation>)> {
        let probe = |row: &Row| {
            let (from, source) = self.stage.find(&row.from, is_ipv4)?;
            let (to, destination) = self.stage.find(&row.to, is_ipv4)?;
            Some((row.clone(), Probe { from, source, to, destination, traffic: row.traffic }))
        };
        let (rows, probes): (Vec<Row>, Vec<Probe>) = rows.iter().filter_map(probe).unzip();
        let seen = probe::run(&self.network, &probes, Timing::default(), &mut |_, _| {})?;
        Ok((rows, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_whole() {
        let table = "from\tto\tprotocol\tport\texpected\nx/a\ty/b\tTCP\t80\tallow\ny/b\t10.0.0.1\tSCTP\t81\tdeny\n";
        let rows = read_rows(table).unwrap();
        assert_eq!(rows.first(), Some(&Row::tcp("x/a", "y/b", 80, true)));
        assert_eq!(rows.get(1).unwrap().traffic, Traffic::Port(Protocol::Sctp, 81));
        assert!(read_rows("header\nx/a\ty/b\tTCP\t80\tperhaps\n").is_err());
    }
}
