//! The table, and what of it is more than was promised.

use std::fmt::Write as _;

use palisade_engine::model::Family;

use crate::{
    path::Measure,
    place::{Kind, State},
    statistic::Best,
};

/// The most that a packet of an established connection, and the first one of a connection, may take, and the
/// least of whole connections a second: each beside connection tracking alone.
const ESTABLISHED: f64 = 1.03;
const NEW: f64 = 1.25;
const RATE: f64 = 0.95;
/// What ten thousand policies, or a thousand on one pod, may take beside a hundred.
const FLAT: f64 = 1.10;

/// One place, measured.
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) rules: &'static str,
    pub(crate) policies: usize,
    pub(crate) pods: usize,
    pub(crate) best: Best,
}

/// The table as TSV, and the lines that are too much. Without `judge` no limit is held against anything.
pub(crate) fn table(rows: &[Row], judge: bool) -> (String, Vec<String>) {
    let mut table = Table { text: String::new(), excess: Vec::new(), judge };
    table.line(["rules", "policies", "pods", "family", "what", "measured", "alone", "unit", "ratio", "limit", "ok"]);
    for row in rows {
        for family in Family::ALL {
            Measure::ALL.into_iter().for_each(|measure| table.measured(row, family, measure));
        }
    }
    let mut ours = rows.iter().filter(|row| row.kind == Kind::Palisade);
    if let Some(first) = ours.next() {
        for row in ours {
            for family in Family::ALL {
                Measure::ALL.into_iter().for_each(|measure| table.flat(first, row, family, measure));
            }
        }
    }
    (table.text, table.excess)
}

/// How far connection tracking is from itself, at most: what no limit that is nearer to 1 can be held against.
pub(crate) fn error(rows: &[Row]) -> f64 {
    let again = rows.iter().filter(|row| row.kind == Kind::Again);
    let ratios = again.flat_map(|row| {
        let all = Family::ALL.into_iter().flat_map(|family| Measure::ALL.map(|measure| (family, measure)));
        all.filter_map(|(family, measure)| row.best.ratio(family, measure))
    });
    ratios.map(|ratio| (ratio - 1.0).abs()).fold(0.0, f64::max)
}

struct Table {
    text: String,
    excess: Vec<String>,
    judge: bool,
}

/// What may not be exceeded, or not be fallen short of.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Table {
    fn line(&mut self, cells: [&str; 11]) {
        // Writing to a String does not fail.
        _ = writeln!(self.text, "{}", cells.join("\t"));
    }

    fn measured(&mut self, row: &Row, family: Family, measure: Measure) {
        let of = |state| row.best.get(family, measure, state);
        let (Some(with), Some(alone)) = (of(State::With), of(State::Alone)) else { return };
        // What is seen of whole connections is how many there are.
        let (what, unit, with, alone, limit) = match measure {
            Measure::Tcp => ("established packet, TCP", "ns", with, alone, Limit::AtMost(ESTABLISHED)),
            Measure::Udp => ("established packet, UDP", "ns", with, alone, Limit::AtMost(ESTABLISHED)),
            Measure::New => ("new connection", "ns", with, alone, Limit::AtMost(NEW)),
            Measure::Connection => ("connections", "1/s", 1e9 / with, 1e9 / alone, Limit::AtLeast(RATE)),
        };
        let limit = (row.kind == Kind::Palisade).then_some(limit);
        self.row(
            row,
            family,
            what,
            &[format!("{with:.0}"), format!("{alone:.0}"), unit.to_owned()],
            with / alone,
            limit,
        );
    }

    /// The rules of this row beside those of the first, each as a ratio to its own connection tracking alone.
    fn flat(&mut self, first: &Row, row: &Row, family: Family, measure: Measure) {
        let ratio = |row: &Row| row.best.ratio(family, measure);
        let (Some(here), Some(there)) = (ratio(row), ratio(first)) else { return };
        let what = match measure {
            Measure::Tcp => "flat: established packet, TCP",
            Measure::Udp => "flat: established packet, UDP",
            Measure::New => "flat: new connection",
            Measure::Connection => "flat: a connection",
        };
        let cells = [format!("{here:.3}"), format!("{there:.3}"), "ratio".to_owned()];
        self.row(row, family, what, &cells, here / there, Some(Limit::AtMost(FLAT)));
    }

    fn row(&mut self, row: &Row, family: Family, what: &str, cells: &[String; 3], ratio: f64, limit: Option<Limit>) {
        let limit = limit.filter(|_| self.judge);
        let ok = limit.is_none_or(|limit| limit.holds(ratio));
        let family = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let size = |number: usize| if number == 0 { "-".to_owned() } else { number.to_string() };
        let (policies, pods, shown) = (size(row.policies), size(row.pods), format!("{ratio:.3}"));
        let limit = limit.map_or_else(|| "-".to_owned(), Limit::shown);
        let judged = match (limit.as_str(), ok) {
            ("-", _) => "-",
            (_, true) => "yes",
            (_, false) => "no",
        };
        let [measured, alone, unit] = cells.each_ref().map(String::as_str);
        self.line([row.rules, &policies, &pods, family, what, measured, alone, unit, &shown, &limit, judged]);
        if !ok {
            self.excess.push(format!("{} of {policies} policies, {family}, {what}: {shown}, limit {limit}", row.rules));
        }
    }
}

impl Limit {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtMost(most) => format!("<={most:.2}"),
            Self::AtLeast(least) => format!(">={least:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistic::Samples;

    fn row(kind: Kind, alone: f64, with: f64) -> Row {
        let mut best = Best::default();
        let mut samples = Samples::default();
        for family in Family::ALL {
            for measure in Measure::ALL {
                samples.of(family, measure, State::Alone).push(alone);
                samples.of(family, measure, State::With).push(with);
            }
        }
        best.take(samples);
        Row { kind, rules: "palisade", policies: 100, pods: 1000, best }
    }

    #[test]
    fn what_is_promised_is_held_and_what_is_more_is_said() {
        let fair = [row(Kind::Palisade, 1000.0, 1030.0), row(Kind::Palisade, 1000.0, 1029.0)];
        assert_eq!(table(&fair, true).1, Vec::<String>::new());
        // Slower everywhere: each measure of each family, and none as flat as it was.
        let slow = [row(Kind::Palisade, 1000.0, 1000.0), row(Kind::Palisade, 1000.0, 1300.0)];
        let (text, excess) = table(&slow, true);
        assert_eq!(excess.len(), 16, "{excess:?}");
        assert!(text.contains("palisade\t100\t1000\tIPv4\tconnections\t769231\t1000000\t1/s\t0.769\t>=0.95\tno\n"));
        assert_eq!(table(&slow, false).1.len(), 0);
        assert!((error(&[row(Kind::Again, 1000.0, 980.0), row(Kind::Linear, 1000.0, 9000.0)]) - 0.02).abs() < 1e-9);
        assert_eq!(table(&[row(Kind::Linear, 1000.0, 9000.0)], true).1.len(), 0);
    }
}
