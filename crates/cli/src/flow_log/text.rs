//! Lines of a flow log in words: the verdict first, then who and what, and below it why.

use palisade_agent::flow_log::record::{FlowDirection, FlowEnd, FlowRecord, FlowVerdict, Line, Missed, Who};

use crate::screen::{self, BAD, FAINT, GOOD, MIXED};

/// Where what stands below a line begins: behind the verdict.
const INDENT: usize = 10;
/// `DENIED    12:00:00.250  `
const LEAD: usize = 24;

/// A page that lines are added to.
#[derive(Debug)]
pub(super) struct Page {
    width: usize,
    /// The day of the last line.
    day: String,
}

impl Page {
    /// An empty page of so many columns.
    pub(super) fn new(width: usize) -> Self {
        Self { width, day: String::new() }
    }

    /// A line in words, with its end of line.
    pub(super) fn entry(&mut self, line: &Line) -> String {
        match line {
            Line::Flow(record) => self.flow(record),
            Line::Lost(lines) => {
                let lines = counted(*lines, "line is", "lines are");
                let text = format!("{lines} missing here: somebody did not take them as fast as they came");
                format!("{}\n", screen::hanging("--        ", &text, INDENT, self.width))
            }
            Line::CaughtUp => String::new(),
        }
    }

    fn flow(&mut self, record: &FlowRecord) -> String {
        let mut text = String::new();
        let day = record.time.strftime("%Y-%m-%d").to_string();
        if day != self.day {
            text.push_str(&screen::styled(FAINT, &format!("{day}, UTC")));
            text.push('\n');
            self.day = day;
        }
        let (style, verdict) = match record.verdict {
            FlowVerdict::Denied => (BAD, "DENIED"),
            FlowVerdict::Accepted => (GOOD, "ALLOWED"),
            FlowVerdict::WouldDeny => (MIXED, "WOULD DENY"),
        };
        let padding = " ".repeat(INDENT.saturating_sub(verdict.len()).max(1));
        let time = record.time.strftime("%H:%M:%S.%3f");
        text.push_str(&format!("{}{padding}{time}  {}\n", screen::styled(style, verdict), self.ends(record)));
        for reason in reasons(record) {
            text.push_str(&screen::hanging(&" ".repeat(INDENT), &reason, INDENT + 2, self.width));
            text.push('\n');
        }
        text
    }

    /// `from -> to  TCP 80`, the names clipped where they do not fit.
    fn ends(&self, record: &FlowRecord) -> String {
        let traffic = match record.dst.port {
            Some(port) => format!("{} {port}", record.protocol),
            None => record.protocol.to_string(),
        };
        let (from, to) = (name(&record.src), name(&record.dst));
        let room = self.width.saturating_sub(LEAD + " ->   ".len() + traffic.len());
        let (long, short) = (from.chars().count(), to.chars().count());
        let (from_room, to_room) = match room / 2 {
            _ if long + short <= room => (long, short),
            half if long <= half => (long, room - long),
            half if short <= half => (room - short, short),
            half => (half, room - half),
        };
        format!("{} -> {}  {traffic}", screen::clipped(&from, from_room), screen::clipped(&to, to_room))
    }
}

/// Why, one line each.
fn reasons(record: &FlowRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    let judged = match record.direction {
        FlowDirection::Ingress => format!("ingress of {}", name(&record.dst)),
        FlowDirection::Egress => format!("egress of {}", name(&record.src)),
        FlowDirection::Both => "egress and ingress".to_owned(),
    };
    let isolated = match record.isolated_by.as_slice() {
        [] => "no policy isolates it".to_owned(),
        policies => format!("isolated by {}", plain(&screen::shortened(policies, ", ", 4))),
    };
    let decided: Vec<String> =
        record.decided_by.iter().map(|rule| plain(&format!("{} {}", rule.policy, rule.rule))).collect();
    let decided = match (record.verdict, decided.as_slice()) {
        (FlowVerdict::Denied | FlowVerdict::WouldDeny, []) => ", no rule allows it".to_owned(),
        (FlowVerdict::Accepted, []) => String::new(),
        (FlowVerdict::Denied | FlowVerdict::WouldDeny, rules) => format!(", denied by {}", rules.join(" and ")),
        (FlowVerdict::Accepted, rules) => format!(", allowed by {}", rules.join(" and ")),
    };
    reasons.push(match record.audited.as_slice() {
        [] => format!("{judged}: {isolated}{decided}"),
        audited => format!("{judged}: audited {} would deny it", plain(&screen::shortened(audited, ", ", 4))),
    });
    if let Some(nearest) = &record.nearest {
        let missed = match nearest.missed {
            Missed::Peer => "of another peer",
            Missed::Port => "of another port",
            Missed::Both => "of another peer and port",
        };
        reasons.push(plain(&format!("nearest: {} {}, which is {missed}", nearest.policy, nearest.rule)));
    }
    if record.suppressed > 0 {
        let packets = counted(record.suppressed, "more packet was", "more packets were");
        let what =
            if record.verdict == FlowVerdict::WouldDeny { "of the same kind" } else { "dropped by the same policies" };
        reasons.push(format!("{packets} {what}, and not logged"));
    }
    reasons
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn name(end: &FlowEnd) -> String {
    match &end.who {
        Who::Pod(pod) => plain(&format!("{}/{}", pod.namespace, pod.pod)),
        Who::Node { node } => plain(&format!("node/{node}")),
        Who::Outside {} => end.ip.to_string(),
    }
}

/// Without what a terminal would obey: a file may come from anywhere.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}
