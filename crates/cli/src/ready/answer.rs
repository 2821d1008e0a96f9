//! What is said: what would break and why, and what is not known.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    breaks::{Break, traffics},
    flow_log::{plain, span},
    screen::{BAD, hanging, shortened, styled},
};

/// How many names of a kind are told.
const SHOWN: usize = 12;
/// Where what stands below a line begins: behind the verdict.
const INDENT: usize = 10;

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// The policies that were asked about.
    pub(super) policies: Vec<String>,
    /// Whether they are asked about since they are audited.
    pub(super) audited: bool,
    /// How many different connections were seen to be made.
    pub(super) connections: usize,
    /// How many of them would break.
    pub(super) breaking: usize,
    pub(super) breaks: Vec<Break>,
    /// How many of them other policies deny by now.
    pub(super) denied_already: usize,
    /// How many were logged as `would-deny`, and no policy, audited or not, denies them now; 0 where policies were named.
    pub(super) mended: usize,
    /// Those of which only an address or a name could tell that is not known.
    pub(super) undetermined: BTreeSet<String>,
    /// From when to when something was seen.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// The nodes that told something.
    pub(super) nodes: BTreeSet<String>,
    /// The cluster's nodes that told nothing.
    pub(super) nodes_not_seen: Vec<String>,
    /// Workloads that the policies select, and of which nothing was seen.
    pub(super) never_seen: Vec<String>,
    /// How many ends of the log the cluster does not have.
    pub(super) left_out: usize,
    /// How many lines do not count.
    pub(super) unreadable: u64,
    /// How many lines were lost before they were written.
    pub(super) lost: u64,
}

impl Answer {
    /// For people.
    pub(super) fn text(&self, width: usize) -> String {
        let mut text = String::new();
        for found in &self.breaks {
            let rest = plain(&format!("{} -> {}  {}", found.from, found.to, traffics(&found.traffic)));
            let line = hanging(&" ".repeat(INDENT), &rest, INDENT + 2, width);
            let rest = line.get("BREAKS".len()..).unwrap_or_default();
            text.push_str(&format!("{}{rest}\n{}", styled(BAD, "BREAKS"), found.below(INDENT, width)));
        }
        if !self.breaks.is_empty() {
            text.push('\n');
        }
        let paragraphs = std::iter::once(self.verdict()).chain(self.known());
        for paragraph in paragraphs {
            text.push_str(&hanging("", &plain(&paragraph), 2, width));
            text.push('\n');
        }
        text
    }

    fn verdict(&self) -> String {
        let during = self.span.map(|(first, last)| format!(" in {}", length(first, last))).unwrap_or_default();
        let counted =
            if self.connections == 1 { "1 connection".to_owned() } else { format!("{} connections", self.connections) };
        match (self.breaking, self.undetermined.len()) {
            (0, 0) => format!("Nothing seen{during} would break: {counted}."),
            (0, open) => {
                format!("Nothing seen{during} would break for certain: {counted}, {open} of which could not be told.")
            }
            (breaking, _) => format!("{breaking} of the {counted} seen{during} would break."),
        }
    }

    /// What the answer is about, and what is not known.
    fn known(&self) -> Vec<String> {
        let mut known = Vec::new();
        let names = |names: &[String]| shortened(names, ", ", SHOWN);
        let owned = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        if self.audited {
            let one = if self.policies.len() == 1 { "The audited policy" } else { "The audited policies" };
            known.push(format!("{one}: {}.", names(&self.policies)));
        }
        if let Some((first, last)) = self.span {
            let by = if self.nodes.is_empty() { String::new() } else { format!(", by {}", names(&owned(&self.nodes))) };
            let not = match self.nodes_not_seen.as_slice() {
                [] => String::new(),
                nodes => format!("; nothing was told by {}", names(nodes)),
            };
            known.push(format!("Seen: {}{by}{not}.", span(first, last)));
        }
        if !self.never_seen.is_empty() {
            known.push(format!("Never seen, so nothing is known of them: {}.", names(&self.never_seen)));
        }
        if !self.undetermined.is_empty() {
            let open = names(&owned(&self.undetermined));
            known.push(format!("Not told, since it hangs on an address or a name that is not known: {open}."));
        }
        if self.denied_already > 0 {
            known.push(format!(
                "Not counted: {} seen and that other policies deny by now.",
                that_were(self.denied_already)
            ));
        }
        if self.mended > 0 {
            known.push(format!(
                "Mended: {} logged as would-deny, and that no policy denies by now.",
                that_were(self.mended)
            ));
        }
        known
    }
}

fn that_were(connections: usize) -> String {
    if connections == 1 { "1 connection that was".to_owned() } else { format!("{connections} connections that were") }
}

/// `7 days`: the largest unit of which there are two.
fn length(first: Timestamp, last: Timestamp) -> String {
    let seconds = last.as_second().saturating_sub(first.as_second());
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    match units.into_iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None if seconds == 1 => "1 second".to_owned(),
        None => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let length = |seconds| length(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        let texts = [0, 1, 119, 120, 7_199, 7_200, 172_799, 172_800, 604_800].map(length).join(", ");
        assert_eq!(
            texts,
            "0 seconds, 1 second, 119 seconds, 2 minutes, 119 minutes, 2 hours, 47 hours, 2 days, 7 days"
        );
    }
}
