//! Lines of a flow log in words: the verdict first, then who and what, and below it why.

use jiff::Timestamp;
use palisade_flows::{
    Connection, End, Entry, Flow, Subject,
    record::{FlowDirection, FlowProtocol, FlowRecord, FlowVerdict, Missed},
};

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
    pub(super) fn entry(&mut self, entry: &Entry) -> String {
        match entry {
            Entry::Record(record) => {
                let flow = Flow::from((**record).clone());
                self.flow(&flow, &reasons(record, &flow))
            }
            Entry::Flow(flow) => self.flow(flow, &told(flow)),
            Entry::Connection(connection) => self.connection(connection),
            Entry::Lost(lines) => {
                let lines = counted(*lines, "line is", "lines are");
                let text = format!("{lines} missing here: somebody did not take them as fast as they came");
                format!("{}\n", screen::hanging("--        ", &text, INDENT, self.width))
            }
            Entry::CaughtUp | Entry::PassedOver(_) => String::new(),
        }
    }

    fn flow(&mut self, flow: &Flow, reasons: &[String]) -> String {
        let mut text = String::new();
        let day = flow.first.strftime("%Y-%m-%d").to_string();
        if day != self.day {
            text.push_str(&screen::styled(FAINT, &format!("{day}, UTC")));
            text.push('\n');
            self.day = day;
        }
        let (style, verdict) = match flow.verdict {
            FlowVerdict::Denied => (BAD, "DENIED"),
            FlowVerdict::Accepted => (GOOD, "ALLOWED"),
            FlowVerdict::WouldDeny => (MIXED, "WOULD DENY"),
        };
        let time = flow.first.strftime("%H:%M:%S.%3f");
        let ends = self.ends(&flow.source, &flow.destination, flow.protocol, flow.port, LEAD);
        text.push_str(&format!("{}{time}  {ends}\n", padded(style, verdict)));
        for reason in reasons {
            text.push_str(&screen::hanging(&" ".repeat(INDENT), reason, INDENT + 2, self.width));
            text.push('\n');
        }
        text
    }

    /// A connection that was seen once or many times.
    pub(super) fn connection(&self, connection: &Connection) -> String {
        let Connection { source, destination, protocol, port, seen } = connection;
        let made = seen.made();
        let (style, verdict) = match (made, seen.denied(), seen.would_deny) {
            (0, ..) => (BAD, "DENIED"),
            (_, 1.., _) => (MIXED, "MIXED"),
            (.., 1..) => (MIXED, "WOULD DENY"),
            _ => (GOOD, "ALLOWED"),
        };
        let mut counts = Vec::new();
        if made > 0 {
            counts.push(format!("made {}", times(made)));
        }
        if seen.would_deny > 0 {
            counts.push(format!("would be denied {} by audited policies", times(seen.would_deny)));
        }
        if seen.denied() > 0 {
            counts.push(format!("denied {}", times(seen.denied())));
        }
        let when = span(seen.first, seen.last);
        let ends = self.ends(source, destination, *protocol, *port, INDENT);
        let below =
            screen::hanging(&" ".repeat(INDENT), &format!("{}; {when}", counts.join(", ")), INDENT + 2, self.width);
        format!("{}{ends}\n{below}\n", padded(style, verdict))
    }

    /// `from -> to  TCP 80`, the names clipped where they do not fit.
    fn ends(&self, from: &End, to: &End, protocol: FlowProtocol, port: Option<u16>, lead: usize) -> String {
        let traffic = match port {
            Some(port) => format!("{protocol} {port}"),
            None => protocol.to_string(),
        };
        let (from, to) = (name(from), name(to));
        let room = self.width.saturating_sub(lead + " ->   ".len() + traffic.len());
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

/// The verdict, and space up to where everything else begins.
fn padded(style: anstyle::Style, verdict: &str) -> String {
    let padding = INDENT.saturating_sub(verdict.len()).max(1);
    format!("{}{:padding$}", screen::styled(style, verdict), "")
}

/// `once`, `12 times`
pub(crate) fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// `2026-03-01 12:00:00 UTC`, or from when to when.
pub(crate) fn span(first: Timestamp, last: Timestamp) -> String {
    let time = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let (first, last) = (time(first), time(last));
    if first == last { format!("{first} UTC") } else { format!("{first} to {last} UTC") }
}

/// What somebody else's line tells beside its ends.
fn told(flow: &Flow) -> Vec<String> {
    let judged = match flow.direction {
        FlowDirection::Ingress => format!("ingress of {}", name(&flow.destination)),
        FlowDirection::Egress => format!("egress of {}", name(&flow.source)),
        FlowDirection::Both => "egress and ingress".to_owned(),
    };
    let many = (flow.count > 1).then(|| format!("{}; {}", times(flow.count), span(flow.first, flow.last)));
    std::iter::once(judged).chain(many).collect()
}

/// Why, one line each.
fn reasons(record: &FlowRecord, flow: &Flow) -> Vec<String> {
    let mut reasons = Vec::new();
    let judged = match record.direction {
        FlowDirection::Ingress => format!("ingress of {}", name(&flow.destination)),
        FlowDirection::Egress => format!("egress of {}", name(&flow.source)),
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
    if record.standing {
        let more = match record.suppressed {
            0 => String::new(),
            more => format!("; {} likewise, and later lines tell", counted(more, "more stands", "more stand")),
        };
        reasons.push(format!("it is no new connection, but one that stands{more}"));
    } else if record.suppressed > 0 {
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

fn name(end: &End) -> String {
    match &end.subject {
        Subject::Pod { namespace, pod: Some(pod), .. } => plain(&format!("{namespace}/{pod}")),
        _ => plain(&end.to_string()),
    }
}

/// Without what a terminal would obey: a file may come from anywhere.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}
