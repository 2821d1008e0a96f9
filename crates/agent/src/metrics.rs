//! The status in the text format of Prometheus (exposition format 0.0.4).

use std::fmt::Write as _;

use crate::{change::Kind, status::Status};

/// The content type that goes with [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric of a status. Labels are names of ours, and those of the policies that have denied or may deny on
/// this node.
pub fn text(status: &Status) -> String {
    let mut out = Text(String::new());
    let counters = status.counters;
    let established = &status.established;
    out.gauge("ready", "1 when this node enforces what the agent was told.", u64::from(status.ready));
    for (name, help, value) in [
        ("changes_total", "Changes received from the API server.", status.changes),
        ("windows_total", "Times that rules were planned.", status.windows),
        ("compiles_total", "Times that everything was compiled anew, not only what changed.", status.compiles),
        ("transactions_total", "Transactions that the kernel took.", counters.transactions),
        ("errors_total", "Attempts and audits that failed.", counters.errors),
        ("retries_total", "Attempts after a failure.", counters.retries),
        ("rebuilds_total", "Attempts after a failure that read the table back first.", counters.rebuilds),
        ("replacements_total", "Times the whole table was replaced.", counters.replacements),
        ("audits_total", "Times the table was read back to compare it.", counters.audits),
        ("drift_total", "Audits that found the table changed by somebody else, and repaired it.", counters.repairs),
        (
            "connections_cut_total",
            "Established connections that the rules came to deny, and that were cut.",
            established.cut,
        ),
        ("connections_restored_total", "Connections that were cut, and then allowed again.", established.restored),
        ("connections_looks_total", "Times that all connections were looked at.", established.looks),
        ("connections_errors_total", "Times that connections could not be read or marked.", established.errors),
    ] {
        out.family(name, help, "counter");
        out.sample(name, "", value);
    }
    let flows = status.flows;
    for (name, help, value) in [
        ("flow_records_total", "Lines of the flow log.", flows.records),
        (
            "flow_suppressed_total",
            "Packets, denied or to be denied, that the rate limit kept from the flow log.",
            flows.suppressed,
        ),
        ("flow_dropped_total", "Lines that a reader or the file did not take as fast as they came.", flows.dropped),
        ("flow_unreadable_total", "Logged packets that could not be read.", flows.unreadable),
        ("flow_overruns_total", "Times that the kernel's buffer of logged packets was full.", flows.overruns),
    ] {
        out.family(name, help, "counter");
        out.sample(name, "", value);
    }
    let broken = u64::from(status.flow_trouble.is_some());
    out.gauge("flow_log_broken", "1 while flows cannot be logged, or denied packets not be counted.", broken);
    let name = "denied_packets_total";
    let help = "Packets dropped on this node, by policy that isolates; one that several isolate counts for each.";
    out.family(name, help, "counter");
    for ((policy, direction), packets) in &status.denied {
        out.sample(name, &format!("{{policy=\"{}\",direction=\"{direction}\"}}", escaped(policy)), packets);
    }
    let name = "would_deny_packets_total";
    let help = "Packets that passed on this node and that audited policies would drop, by policy, likewise.";
    out.family(name, help, "counter");
    for ((policy, direction), packets) in &status.would_deny {
        out.sample(name, &format!("{{policy=\"{}\",direction=\"{direction}\"}}", escaped(policy)), packets);
    }
    let name = "would_deny_connections";
    let help = "Connections that stood when they were last looked at and that audited policies would deny, likewise.";
    out.family(name, help, "gauge");
    for ((policy, direction), connections) in &status.would_deny_standing {
        out.sample(name, &format!("{{policy=\"{}\",direction=\"{direction}\"}}", escaped(policy)), connections);
    }
    let names = &status.names;
    for (name, help, value) in [
        ("names_answers_total", "Answers of name servers that were held.", names.answers),
        ("names_learned_total", "Addresses of domain names that the kernel was told.", names.learned),
        (
            "names_refused_total",
            "Addresses of the cluster's own under names from outside, not believed.",
            names.refused,
        ),
        ("names_strangers_total", "Answers of name servers that are not believed.", names.strangers),
        ("names_errors_total", "Addresses not told, and answers not sent on.", names.errors),
    ] {
        out.family(name, help, "counter");
        out.sample(name, "", value);
    }
    out.gauge("names_broken", "1 while nothing is learned, though some rule asks.", u64::from(names.trouble.is_some()));
    let sizes = status.sizes;
    for (name, help, value) in [
        ("policies", "NetworkPolicies of the cluster.", sizes.policies),
        ("pods", "Pods of the cluster.", sizes.pods),
        ("profiles", "Profiles that isolate a pod of this node.", sizes.profiles),
        ("sets", "Sets and maps in the table.", sizes.sets),
        ("elements", "Elements of all sets and maps.", sizes.elements),
        ("chains", "Chains in the table.", sizes.chains),
        ("poison_objects", "Objects that cannot be understood.", status.poison.len()),
        ("names_pods", "Pods of this node whose answers are held.", status.names.pods),
        ("names_addresses", "Addresses of domain names that are remembered.", status.names.known),
        ("connections_judged", "Connections that the last look had to judge.", established.judged),
        ("disputed_addresses", "Addresses that somebody claims who does not have them.", status.disputes.len()),
    ] {
        out.gauge(name, help, u64::try_from(value).unwrap_or(u64::MAX));
    }
    let watch = |kind| status.watches.get(&kind).cloned().unwrap_or_default();
    out.family("watch_synced", "1 when everything of this resource was told once.", "gauge");
    for kind in Kind::ALL {
        out.sample("watch_synced", &format!("{{resource=\"{kind}\"}}"), u64::from(watch(kind).synced));
    }
    out.family("watch_broken", "1 while the watch of this resource is broken.", "gauge");
    for kind in Kind::ALL {
        out.sample("watch_broken", &format!("{{resource=\"{kind}\"}}"), u64::from(watch(kind).trouble.is_some()));
    }
    out.family("watch_breaks_total", "Times that the watch of this resource broke.", "counter");
    for kind in Kind::ALL {
        out.sample("watch_breaks_total", &format!("{{resource=\"{kind}\"}}"), watch(kind).troubles);
    }
    let name = "programming_duration_seconds";
    let help = "From a change received to the kernel's acknowledgement, for changes that led to a transaction.";
    out.family(name, help, "histogram");
    let programming = &status.programming;
    for (bound, count) in programming.cumulative() {
        out.sample("programming_duration_seconds_bucket", &format!("{{le=\"{bound}\"}}"), count);
    }
    out.sample("programming_duration_seconds_bucket", "{le=\"+Inf\"}", programming.count());
    out.sample("programming_duration_seconds_sum", "", programming.sum());
    out.sample("programming_duration_seconds_count", "", programming.count());
    out.0
}

/// A label's value: names of policies need no escapes, and nothing else may end the quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String does not fail, here and below.
        _ = writeln!(self.0, "# HELP palisade_{name} {help}\n# TYPE palisade_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        _ = writeln!(self.0, "palisade_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "gauge");
        self.sample(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use palisade_engine::model::Direction;

    use super::*;

    #[test]
    fn each_sample_has_a_family_and_a_number() {
        let mut status = Status { ready: true, ..Status::default() };
        status.programming.observe(Duration::from_millis(7));
        status.denied.insert(("prod/db".to_owned(), Direction::Ingress), 12);
        status.would_deny.insert(("prod/db".to_owned(), Direction::Egress), 5);
        status.would_deny_standing.insert(("prod/db".to_owned(), Direction::Egress), 2);
        status.denied.insert(("odd\"\\\n".to_owned(), Direction::Egress), 1);
        status.flows.suppressed = 3;
        let text = text(&status);
        let families: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(families.contains(family), "{line}");
        }
        assert_eq!(text.matches("# TYPE").count(), families.len());
        for line in [
            "palisade_ready 1",
            "palisade_programming_duration_seconds_bucket{le=\"0.005\"} 0",
            "palisade_programming_duration_seconds_bucket{le=\"0.01\"} 1",
            "palisade_programming_duration_seconds_bucket{le=\"+Inf\"} 1",
            "palisade_programming_duration_seconds_sum 0.007",
            "palisade_watch_synced{resource=\"networkpolicies\"} 0",
            "palisade_denied_packets_total{policy=\"prod/db\",direction=\"ingress\"} 12",
            "palisade_denied_packets_total{policy=\"odd\\\"\\\\\\n\",direction=\"egress\"} 1",
            "palisade_would_deny_packets_total{policy=\"prod/db\",direction=\"egress\"} 5",
            "palisade_would_deny_connections{policy=\"prod/db\",direction=\"egress\"} 2",
            "palisade_flow_suppressed_total 3",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
    }
}
