//! The report as a person reads it.

use super::report::{DirectionReport, Report, State, WorkloadReport};
use crate::{
    connections::columns,
    screen::{BAD, GOOD, MIXED, hanging, shortened, styled},
};

/// How many policies of one direction are named.
const POLICIES: usize = 3;

/// Stands in the table for a line that is as wide as the page, so that no column is made as wide as that. No
/// workload's row begins with it: they are indented.
const HEADING: &str = "=";

/// A table by namespace, then what it comes to.
pub(crate) fn print(report: &Report, newly_open: &[(String, String)], with_baseline: bool, width: usize) -> String {
    let mut headings = Vec::new();
    let mut rows: Vec<[String; 3]> = vec![["WORKLOAD".into(), "INGRESS".into(), "EGRESS".into()]];
    for namespace in &report.namespaces {
        let of = namespace.workloads.len();
        let count = if of == 1 { "1 workload".to_owned() } else { format!("{of} workloads") };
        let heading = format!("{}  {:.0} %, {count}", namespace.namespace, namespace.percent);
        headings.push(hanging("", &heading, 2, width));
        rows.push([HEADING.to_owned(), String::new(), String::new()]);
        for workload in &namespace.workloads {
            rows.push([
                format!("  {}", name(workload)),
                direction(workload, &workload.ingress),
                direction(workload, &workload.egress),
            ]);
        }
    }
    let mut headings = headings.into_iter();
    let mut text = String::new();
    for line in columns(&rows, width).lines() {
        let heading = if line == HEADING { headings.next() } else { None };
        text.push_str(heading.as_deref().unwrap_or(line));
        text.push('\n');
    }
    let style = match report.percent {
        all if all >= 100.0 => GOOD,
        none if none <= 0.0 => BAD,
        _ => MIXED,
    };
    text.push_str(&format!("\n{}", styled(style, &format!("{:.1} %", report.percent))));
    text.push_str(&format!(" of what policies can isolate is isolated; {}.\n", totals(report)));
    if with_baseline {
        for (workload, direction) in newly_open {
            text.push_str(&format!("{} {workload} is open for {direction}, and was not\n", styled(BAD, "-")));
        }
        if newly_open.is_empty() {
            text.push_str("Nothing is open that was not open before.\n");
        }
    }
    text
}

/// `web`, or `web (3 pods)`, with its kind where that is no pod.
fn name(workload: &WorkloadReport) -> String {
    match workload.kind.as_str() {
        "pod" => workload.name.clone(),
        kind => format!("{kind}/{}", workload.name),
    }
}

fn direction(workload: &WorkloadReport, report: &DirectionReport) -> String {
    match report.state {
        State::Isolated => shortened(&report.policies, ", ", POLICIES),
        State::Partly => {
            format!("{} of {} pods: {}", report.isolated, workload.pods, shortened(&report.policies, ", ", POLICIES))
        }
        State::Open => "open".to_owned(),
        State::HostNetwork => "host network".to_owned(),
    }
}

fn totals(report: &Report) -> String {
    let count = |state: State, of: fn(&WorkloadReport) -> &DirectionReport| {
        report.workloads().filter(|(_, workload)| of(workload).state == state).count()
    };
    let mut parts = vec![
        format!("{} open for ingress", count(State::Open, |workload| &workload.ingress)),
        format!("{} for egress", count(State::Open, |workload| &workload.egress)),
    ];
    let host = count(State::HostNetwork, |workload| &workload.ingress);
    if host > 0 {
        parts.push(format!("{host} on the host network, which no policy reaches"));
    }
    parts.join(", ")
}
