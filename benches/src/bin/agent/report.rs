//! The table of all sizes, and what of it is more than was promised.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, anyhow};

/// The most that a change may take from its event to the kernel's acknowledgement, in ms, as a median.
const CHANGE_MS: f64 = 50.0;
/// The most CPU that a change may take at a larger size, beside the smallest: it must not grow with the size,
/// and what is measured is not exact.
const CHANGE_CPU: f64 = 3.0;
/// The most that ten thousand changes at once, and everything at the start, may take, in ms.
const BURST_MS: f64 = 5_000.0;
const SYNC_MS: f64 = 10_000.0;
/// The most memory of the process, in MiB.
const MEMORY_MIB: f64 = 150.0;

/// What was found of one thing at one size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ms: Option<f64>,
    /// CPU of the agent, in microseconds.
    pub(crate) cpu: Option<f64>,
    pub(crate) mib: Option<f64>,
}

/// A size, as policies and pods.
pub(crate) type Size = (usize, usize);

pub(crate) const HEAD: &str = "policies\tpods\twhat\tms\tCPU us\tMiB\tratio\tlimit\tok";

/// The rows of one size. `smallest` are the lines of the smallest one, `None` for itself. Returns the rows,
/// and what is too much.
pub(crate) fn rows(size: Size, lines: &[Line], smallest: Option<&[Line]>, judge: bool) -> (Vec<String>, Vec<String>) {
    let (mut rows, mut excess) = (Vec::new(), Vec::new());
    for line in lines {
        let same = smallest.unwrap_or(lines).iter().find(|other| other.what == line.what);
        let ratio = same.and_then(|other| {
            let of = |line: &Line| line.cpu.or(line.mib);
            Some(of(line)? / of(other)?)
        });
        let (limit, ok) = limit(line, ratio);
        let (policies, pods) = size;
        let judged = match (judge && !limit.is_empty(), ok) {
            (false, _) => "-",
            (true, true) => "yes",
            (true, false) => "no",
        };
        let limit = if judge && !limit.is_empty() { limit } else { "-".to_owned() };
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let shown = [number(line.ms, 1), number(line.cpu, 0), number(line.mib, 0), number(ratio, 2)].join("\t");
        rows.push(format!("{policies}\t{pods}\t{}\t{shown}\t{limit}\t{judged}", line.what));
        if judged == "no" {
            let found = shown.replace('\t', " / ");
            excess.push(format!("{policies} policies, {pods} pods, {}: {found}, limit {limit}", line.what));
        }
    }
    (rows, excess)
}

/// What is promised of it, in words (nothing is an empty text), and whether it holds.
fn limit(line: &Line, ratio: Option<f64>) -> (String, bool) {
    let (ms, mib) = (line.ms.unwrap_or(0.0), line.mib.unwrap_or(0.0));
    match line.what.as_str() {
        "first sync" => (format!("<={SYNC_MS} ms"), ms <= SYNC_MS),
        "burst" | "burst, undone" => (format!("<={BURST_MS} ms"), ms <= BURST_MS),
        "memory at most" | "memory of the command" => (format!("<={MEMORY_MIB} MiB"), mib <= MEMORY_MIB),
        "memory at the end" => (String::new(), true),
        _ => {
            let text = format!("<={CHANGE_MS} ms, CPU <={CHANGE_CPU} of the smallest");
            (text, ms <= CHANGE_MS && ratio.is_none_or(|ratio| ratio <= CHANGE_CPU))
        }
    }
}

impl fmt::Display for Line {
    /// As a child tells it to its parent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
        write!(f, "{}\t{}\t{}\t{}", self.what, number(self.ms), number(self.cpu), number(self.mib))
    }
}

impl FromStr for Line {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [what, ms, cpu, mib] = cells.as_slice() else { return Err(anyhow!("a child said {line:?}")) };
        let number = |text: &str| match text {
            "-" => Ok(None),
            text => text.parse().map(Some).with_context(|| format!("a child said {line:?}")),
        };
        Ok(Self { what: (*what).to_owned(), ms: number(ms)?, cpu: number(cpu)?, mib: number(mib)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: &str, ms: f64, cpu: f64) -> Line {
        Line { what: what.to_owned(), ms: Some(ms), cpu: Some(cpu), mib: None }
    }

    #[test]
    fn a_line_is_understood() -> Result<()> {
        let said = Line { mib: None, ..line("pod added", 7.5, 812.0) };
        assert_eq!(said.to_string().parse::<Line>()?, said);
        assert!("pod added\t7".parse::<Line>().is_err());
        Ok(())
    }

    #[test]
    fn what_is_more_than_promised_is_said() {
        let smallest = [line("pod added", 7.0, 100.0), line("burst", 400.0, 1.0), line("first sync", 9.0, 1.0)];
        let fair = [line("pod added", 50.0, 300.0), line("burst", 5_000.0, 90.0), line("first sync", 10_000.0, 9.0)];
        assert_eq!(rows((10, 20), &fair, Some(&smallest), true).1, Vec::<String>::new());
        let memory = Line { what: "memory at most".to_owned(), mib: Some(151.0), ..Line::default() };
        let slow =
            [line("pod added", 7.0, 301.0), line("burst", 5_001.0, 90.0), line("policy added", 51.0, 1.0), memory];
        let (rows, excess) = rows((10, 20), &slow, Some(&smallest), true);
        assert_eq!(excess.len(), 4, "{excess:?}");
        assert_eq!(
            rows.first().map(String::as_str),
            Some("10\t20\tpod added\t7.0\t301\t-\t3.01\t<=50 ms, CPU <=3 of the smallest\tno")
        );
        assert_eq!(super::rows((10, 20), &slow, Some(&smallest), false).1.len(), 0);
    }
}
