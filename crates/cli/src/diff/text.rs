//! The answer as a person reads it, in a terminal or in a pull request.

use palisade_engine::model::Family;

use super::{
    causes::{Cause, Which},
    rows::{Row, Rows},
};
use crate::{
    input::Read,
    screen::{BAD, FAINT, GOOD, hanging, styled},
};

/// How many causes of one row are told.
const CAUSES: usize = 4;

/// What is said where more may differ.
const UNCERTAIN: &str = "More may differ: a rule with an ipBlock may be about pods whose addresses are not known yet, and \
                         what only these would tell is not compared.";

/// How many names of one end are told.
const NAMES: usize = 8;

/// Draws differences.
pub(crate) struct Printer<'a> {
    pub(crate) old: &'a Read,
    pub(crate) new: &'a Read,
    pub(crate) width: usize,
}

impl Printer<'_> {
    /// `+` and `-` lines, and what they come to.
    pub(crate) fn text(&self, rows: &Rows) -> String {
        let mut text = String::new();
        for (mark, style, list) in [("+", GOOD, &rows.gained), ("-", BAD, &rows.lost)] {
            let ends: Vec<(String, String)> = list.iter().map(|row| (names(&row.from), names(&row.to))).collect();
            let widest = |of: fn(&(String, String)) -> &String| ends.iter().map(|pair| of(pair).chars().count()).max();
            let (from_width, to_width) = (widest(|pair| &pair.0).unwrap_or(0), widest(|pair| &pair.1).unwrap_or(0));
            for (row, (from, to)) in list.iter().zip(&ends) {
                let what = traffic(row);
                let head = format!("{from:from_width$} -> {to:to_width$}  {what}");
                let causes: Vec<String> = self.causes(row);
                let line = format!("{head}  {}", causes.join(", "));
                if line.chars().count() + 2 <= self.width {
                    text.push_str(&format!("{} {line}\n", styled(style, mark)));
                    continue;
                }
                let head = hanging("  ", &format!("{from} -> {to}  {what}"), 4, self.width);
                text.push_str(&format!("{}{}\n", styled(style, mark), head.get(1..).unwrap_or_default()));
                for cause in causes {
                    text.push_str(&styled(FAINT, &hanging("    ", &cause, 6, self.width)));
                    text.push('\n');
                }
            }
        }
        text.push_str(&summary(rows));
        text.push('\n');
        if !rows.is_certain {
            text.push_str(&format!("{}\n", hanging("", UNCERTAIN, 0, self.width)));
        }
        text
    }

    /// For a comment on a pull request.
    pub(crate) fn markdown(&self, rows: &Rows) -> String {
        if rows.is_same() {
            return "**No connection is gained or lost.**\n".to_owned();
        }
        let escaped = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let mut text =
            format!("**{}**\n\n| | From | To | Ports | Because of |\n| --- | --- | --- | --- | --- |\n", summary(rows));
        for (mark, list) in [("➕ gained", &rows.gained), ("➖ lost", &rows.lost)] {
            for row in list {
                let causes = self.causes(row).join("<br>");
                let (from, to) = (escaped(&names(&row.from)), escaped(&names(&row.to)));
                text.push_str(&format!("| {mark} | {from} | {to} | {} | {causes} |\n", traffic(row)));
            }
        }
        if !rows.is_certain {
            text.push_str(&format!("\n{UNCERTAIN}\n"));
        }
        text
    }

    fn causes(&self, row: &Row) -> Vec<String> {
        let mut causes: Vec<String> = row.causes.iter().take(CAUSES).map(|cause| self.cause(cause)).collect();
        if row.causes.len() > CAUSES {
            causes.push(format!("and {} more", row.causes.len() - CAUSES));
        }
        causes
    }

    /// `redis-policy ingress[0]  branch/policies.yaml:140`
    fn cause(&self, cause: &Cause) -> String {
        let words = cause.what.words();
        let place = self.place(cause).map(|(file, line)| format!("  {file}:{line}")).unwrap_or_default();
        let subject = &cause.subject;
        if words.is_empty() { format!("{subject}{place}") } else { format!("{subject}{place} {words}") }
    }

    fn place(&self, cause: &Cause) -> Option<(String, u32)> {
        place(cause, self.old, self.new)
    }
}

/// Where a cause is written: file and line.
pub(crate) fn place(cause: &Cause, old: &Read, new: &Read) -> Option<(String, u32)> {
    let read = match cause.side {
        Which::Old => old,
        Which::New => new,
    };
    let at = cause.at?;
    Some((read.cluster.sources().name(at.file).to_owned(), at.start.line))
}

/// `TCP 80`, with the family where it is only one.
pub(crate) fn traffic(row: &Row) -> String {
    let family = |family: Family| format!(" over {family}");
    format!("{}{}", row.traffic, row.family.map(family).unwrap_or_default())
}

fn names(names: &[String]) -> String {
    crate::screen::shortened(names, ", ", NAMES)
}

fn summary(rows: &Rows) -> String {
    if rows.is_same() {
        return "No connection is gained or lost.".to_owned();
    }
    let rest = if rows.is_certain { "; the rest is unchanged" } else { "" };
    format!("{} gained, {} lost{rest}.", rows.gained.len(), rows.lost.len())
}
