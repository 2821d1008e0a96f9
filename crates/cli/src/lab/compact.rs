//! A matrix too large for names: one letter a cell, rows and columns with numbers.

use super::{
    matrix::{Cell, port_text},
    trials::Column,
};
use crate::screen::{clipped, hanging};

/// How many columns stand together.
const TOGETHER: usize = 10;

/// The matrix in lines of at most `width`, with a gap after every tenth column; what the columns'
/// numbers mean stands below.
pub(super) fn draw(rows: &[String], columns: &[Column], cells: &[Vec<Cell>], width: usize) -> String {
    let digits = rows.len().max(columns.len()).to_string().len();
    let names = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0).min(width / 3);
    let label = digits + 1 + names;
    let room = width.saturating_sub(label + 2);
    let tens = ((room + 1) / (TOGETHER + 1)).max(1);
    let mut text = String::new();
    let numbers: Vec<usize> = (0..columns.len()).collect();
    for block in numbers.chunks(tens * TOGETHER) {
        let heads: Vec<String> = block.chunks(TOGETHER).map(head).collect();
        text.push_str(format!("{:label$}  {}", "", heads.join(" ")).trim_end());
        text.push('\n');
        for (index, (row, cells)) in rows.iter().zip(cells).enumerate() {
            let letter = |column: &usize| cells.get(*column).map_or(' ', |cell| cell.letter());
            let groups: Vec<String> = block.chunks(TOGETHER).map(|ten| ten.iter().map(letter).collect()).collect();
            let letters = groups.join(" ");
            if letters.trim().is_empty() {
                continue;
            }
            let name = clipped(row, names);
            text.push_str(format!("{:digits$} {name:names$}  {letters}", index + 1).trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    text.push_str(&explained(rows, columns, width));
    text
}

/// The number of the first of ten columns, above it.
fn head(ten: &[usize]) -> String {
    let first = ten.first().map_or(0, |column| column + 1).to_string();
    format!("{first:width$}", width = ten.len())
}

/// What the columns' numbers mean: mostly the row of the same number.
fn explained(rows: &[String], columns: &[Column], width: usize) -> String {
    let first = columns.first().map(|column| column.traffic);
    let same =
        columns.iter().zip(rows).take_while(|(column, row)| column.name == **row && Some(column.traffic) == first);
    let same = same.count();
    let mut listed: Vec<String> = Vec::new();
    let named = match (same, first) {
        (3.., Some(traffic)) => {
            let port = port_text(traffic);
            listed.push(format!("1 to {same}: the row of that number, port {port}").replace(' ', "\u{a0}"));
            same
        }
        _ => 0,
    };
    let rest = columns.iter().enumerate().skip(named);
    listed.extend(
        rest.map(|(index, column)| format!("{}\u{a0}{}:{}", index + 1, column.name, port_text(column.traffic))),
    );
    hanging("columns  ", &listed.join("  "), 9, width).replace('\u{a0}', " ") + "\n"
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::{Protocol, Traffic};

    use super::*;

    #[test]
    fn columns_that_are_the_rows_are_not_listed() {
        let rows: Vec<String> = (0..14).map(|n| format!("ns/p{n}")).collect();
        let mut columns: Vec<Column> =
            rows.iter().map(|row| Column { name: row.clone(), traffic: Traffic::Port(Protocol::Tcp, 80) }).collect();
        columns.push(Column { name: "203.0.113.9".to_owned(), traffic: Traffic::Port(Protocol::Tcp, 443) });
        let cells = vec![vec![Cell::Reached; 15]; 14];
        let text = draw(&rows, &columns, &cells, 80);
        assert!(text.starts_with("           1          11\n 1 ns/p0   oooooooooo ooooo\n"), "{text}");
        assert!(text.ends_with("columns  1 to 14: the row of that number, port 80  15 203.0.113.9:443\n"), "{text}");
    }
}
