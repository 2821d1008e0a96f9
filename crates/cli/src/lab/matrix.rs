//! Rows of sources, columns of receivers, a mark in every cell.

use palisade_engine::model::{Protocol, Traffic};

use super::{compact, trials::Column};
use crate::screen::{clipped, hanging};

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Nothing was tried.
    Empty,
    /// The source is the receiver.
    Itself,
    /// Every packet arrived.
    Reached,
    /// Every packet was dropped.
    Dropped,
    /// Only IPv4 arrived.
    OnlyV4,
    /// Only IPv6 arrived.
    OnlyV6,
    /// Something was not as predicted.
    Wrong,
}

impl Cell {
    fn mark(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Itself => "=",
            Self::Reached => "ok",
            Self::Dropped => "-",
            Self::OnlyV4 => "v4",
            Self::OnlyV6 => "v6",
            Self::Wrong => "!!",
        }
    }

    pub(super) fn letter(self) -> char {
        match self {
            Self::Empty => ' ',
            Self::Itself => '=',
            Self::Reached => 'o',
            Self::Dropped => '-',
            Self::OnlyV4 => '4',
            Self::OnlyV6 => '6',
            Self::Wrong => '!',
        }
    }
}

/// What the marks mean, as far as they occur; `wrong` is what the mark of a difference means.
pub(crate) fn legend(cells: &[Vec<Cell>], wrong: &str, width: usize, compact: bool) -> String {
    let meanings = [
        (Cell::Reached, "reached"),
        (Cell::Dropped, "dropped"),
        (Cell::OnlyV4, "reached by IPv4 only"),
        (Cell::OnlyV6, "reached by IPv6 only"),
        (Cell::Itself, "itself"),
        (Cell::Wrong, wrong),
    ];
    let there = |cell: Cell| {
        matches!(cell, Cell::Reached | Cell::Dropped | Cell::Wrong) || cells.iter().flatten().any(|c| *c == cell)
    };
    let shown: Vec<String> = meanings
        .into_iter()
        .filter(|(cell, _)| there(*cell))
        .map(|(cell, meaning)| match compact {
            true => format!("{} {meaning}", cell.letter()),
            false => format!("{} {meaning}", cell.mark()),
        })
        .map(|meaning| meaning.replace(' ', "\u{a0}"))
        .collect();
    hanging("", &shown.join("   "), 0, width).replace('\u{a0}', " ")
}

/// The matrix in lines of at most `width`, in as many blocks of columns as that takes; true when it
/// was so large that columns have numbers instead of names.
pub(crate) fn draw(rows: &[String], columns: &[Column], cells: &[Vec<Cell>], width: usize) -> (String, bool) {
    let label = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0).min(width / 2);
    let room = width.saturating_sub(label + 2);
    let groups = groups(columns, room);
    let blocks = blocks(&groups, room);
    if blocks.len() > 3 && rows.len() > 12 {
        return (compact::draw(rows, columns, cells, width), true);
    }
    let mut text = String::new();
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        line(&mut text, "", label, block.iter().map(|group| (group.name.as_str(), group.width())));
        let ports = block.iter().flat_map(|group| group.padded());
        line(&mut text, "", label, ports.map(|(_, port, width)| (port, width)));
        for (row, cells) in rows.iter().zip(cells) {
            let tried = |column: usize| cells.get(column).is_some_and(|cell| *cell != Cell::Empty);
            if !block.iter().flat_map(|group| &group.ports).any(|(column, _)| tried(*column)) {
                continue;
            }
            let marks = block.iter().flat_map(|group| group.padded());
            let marks = marks.map(|(column, _, width)| (cells.get(column).map_or("", |cell| cell.mark()), width));
            line(&mut text, row, label, marks);
        }
    }
    (text, false)
}

fn line<'a>(text: &mut String, row: &str, label: usize, cells: impl Iterator<Item = (&'a str, usize)>) {
    let mut written = format!("{:label$}  ", clipped(row, label));
    for (cell, width) in cells {
        written.push_str(&format!("{cell:width$}"));
    }
    text.push_str(written.trim_end());
    text.push('\n');
}

/// The ports of one receiver.
struct Group {
    /// Whose they are.
    of: String,
    /// How the line above the ports calls it.
    name: String,
    /// The column and its port's text.
    ports: Vec<(usize, String)>,
}

impl Group {
    fn width(&self) -> usize {
        let ports: usize = self.ports.iter().map(|(_, port)| port_width(port)).sum();
        ports.max(self.name.chars().count() + 3)
    }

    /// Each column with its port and its width; the last takes what the name needs more.
    fn padded(&self) -> impl Iterator<Item = (usize, &str, usize)> {
        let ports: usize = self.ports.iter().map(|(_, port)| port_width(port)).sum();
        let rest = self.width() - ports;
        let last = self.ports.len().saturating_sub(1);
        self.ports.iter().enumerate().map(move |(index, (column, port))| {
            (*column, port.as_str(), port_width(port) + if index == last { rest } else { 0 })
        })
    }
}

fn port_width(port: &str) -> usize {
    port.chars().count().max(2) + 3
}

/// The receivers, each with its ports; one that is too wide for a line of `room` becomes several.
fn groups(columns: &[Column], room: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let port = (index, port_text(column.traffic));
        let name = clipped(&short(&column.name, columns), room.max(8));
        let fits = |group: &&mut Group| {
            let ports: usize = group.ports.iter().map(|(_, port)| port_width(port)).sum();
            ports + port_width(&port.1) <= room + 3
        };
        match groups.iter_mut().rfind(|group| group.of == column.name).filter(fits) {
            Some(group) => group.ports.push(port),
            None => groups.push(Group { of: column.name.clone(), name, ports: vec![port] }),
        }
    }
    groups
}

/// A pod's name without its namespace where no other pod has it.
fn short(name: &str, columns: &[Column]) -> String {
    let bare = |name: &str| name.rsplit_once('/').map_or_else(|| name.to_owned(), |(_, bare)| bare.to_owned());
    let shared = columns.iter().any(|other| other.name != name && bare(&other.name) == bare(name));
    if shared { name.to_owned() } else { bare(name) }
}

pub(super) fn port_text(traffic: Traffic) -> String {
    match traffic {
        Traffic::Port(Protocol::Tcp, port) => port.to_string(),
        Traffic::Port(protocol, port) => format!("{port}/{}", protocol.name().to_lowercase()),
        Traffic::Portless => "icmp".to_owned(),
    }
}

fn blocks(groups: &[Group], width: usize) -> Vec<Vec<&Group>> {
    let mut blocks: Vec<Vec<&Group>> = Vec::new();
    let mut room = 0;
    for group in groups {
        // The space after the last column does not show.
        let needed = group.width();
        match blocks.last_mut() {
            Some(block) if needed <= room + 3 => {
                block.push(group);
                room = room.saturating_sub(needed);
            }
            _ => {
                blocks.push(vec![group]);
                room = width.saturating_sub(needed);
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(count: u16) -> Vec<Column> {
        (0..count).map(|n| Column { name: format!("ns/pod-{n}"), traffic: Traffic::Port(Protocol::Tcp, 80) }).collect()
    }

    #[test]
    fn never_wider_than_the_terminal() {
        for count in [1, 5, 12, 40, 100] {
            let columns = columns(count);
            let rows: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let cells = vec![vec![Cell::Reached; rows.len()]; rows.len()];
            for width in [40, 60, 80, 132] {
                let (text, _) = draw(&rows, &columns, &cells, width);
                assert!(text.lines().all(|line| line.chars().count() <= width), "{count} at {width}:\n{text}");
            }
        }
    }

    #[test]
    fn many_ports_and_a_long_name_fit_too() {
        let name = format!("ns/{}", "long-".repeat(20));
        let column = |port: u16| Column { name: name.clone(), traffic: Traffic::Port(Protocol::Sctp, 10_000 + port) };
        let columns: Vec<Column> = (0..20).map(column).collect();
        let cells = vec![vec![Cell::Dropped; 20]];
        for width in [40, 80] {
            let (text, _) = draw(std::slice::from_ref(&name), &columns, &cells, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.matches("/sctp").count(), 20, "{text}");
        }
    }

    #[test]
    fn a_row_without_anything_tried_is_left_out() {
        let rows = vec!["a".to_owned(), "b".to_owned()];
        let (text, _) = draw(&rows, &columns(1), &[vec![Cell::Reached], vec![Cell::Empty]], 80);
        assert_eq!(text, "   pod-0\n   80\na  ok\n");
    }
}
