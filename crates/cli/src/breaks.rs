//! Connections that were seen and that policies deny: those of the same ends for the same reasons together.

use std::collections::{HashMap, hash_map::Entry};

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Endpoint, Flow, Side, Traffic},
    verdict::Outcome,
};
use palisade_flows::Seen;
use serde::Serialize;

use crate::{
    endpoint::{Case, Party},
    explain::{HalfReport, Reporter, RuleReport, State},
    flow_log::{plain, span, times},
    observed::Met,
    screen::{FAINT, hanging, shortened, styled},
};

/// How many policies and how many names of one kind a line tells.
const SHOWN: usize = 4;

/// Connections of two workloads that break for the same reasons.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Break {
    pub(crate) from: String,
    pub(crate) to: String,
    /// What they carry.
    #[serde(serialize_with = "as_texts")]
    pub(crate) traffic: Vec<Traffic>,
    /// How often they were made.
    pub(crate) made: u64,
    /// How often it was logged that audited policies would deny them.
    pub(crate) would_deny: u64,
    pub(crate) first: jiff::Timestamp,
    pub(crate) last: jiff::Timestamp,
    /// The ends that deny them, with the rules that came nearest.
    pub(crate) denied: Vec<HalfReport>,
    pub(crate) to_allow: Vec<String>,
}

/// What answers call an end: its workload, the pod that has none, the node, or the address.
pub(crate) fn name(cluster: &Cluster, side: Side) -> String {
    match side.endpoint {
        Endpoint::Pod(id) => {
            let pod = cluster.pod(id);
            match &pod.workload {
                Some((kind, name)) => format!("{}/{kind}/{name}", pod.id.namespace),
                None => pod.id.to_string(),
            }
        }
        Endpoint::Node(id) => format!("node/{}", cluster.node(id).name),
        Endpoint::Outside => side.address.map_or_else(|| "outside".to_owned(), |address| address.to_string()),
    }
}

/// What a cluster's policies say of a connection that was seen; `None` where its ends have no family in common.
pub(crate) fn outcome(cluster: &Cluster, program: &PolicyProgram, met: &Met) -> Option<Outcome> {
    let flow = Flow::new(met.source, met.destination, met.traffic).ok()?;
    Some(program.verdict(cluster, &flow).outcome())
}

/// Groups connections that the program denies.
pub(crate) fn grouped<'m>(
    cluster: &Cluster,
    program: &PolicyProgram,
    denied: impl IntoIterator<Item = &'m Met>,
) -> Vec<Break> {
    let reporter = Reporter { cluster, program };
    let mut breaks: Vec<Break> = Vec::new();
    let mut places: HashMap<(String, String, Vec<String>), usize> = HashMap::new();
    for met in denied {
        let Some(found) = explained(&reporter, met) else { continue };
        let reasons = found.denied.iter().flat_map(why).collect();
        match places.entry((found.from.clone(), found.to.clone(), reasons)) {
            Entry::Vacant(place) => {
                place.insert(breaks.len());
                breaks.push(found);
            }
            Entry::Occupied(place) => {
                let Some(other) = breaks.get_mut(*place.get()) else { continue };
                other.traffic.extend(found.traffic);
                other.traffic.sort_unstable();
                other.traffic.dedup();
                other.made = other.made.saturating_add(found.made);
                other.would_deny = other.would_deny.saturating_add(found.would_deny);
                other.first = other.first.min(found.first);
                other.last = other.last.max(found.last);
            }
        }
    }
    breaks
}

fn explained(reporter: &Reporter<'_>, met: &Met) -> Option<Break> {
    let Met { source, destination, traffic, seen } = met;
    let (from, to) = (name(reporter.cluster, *source), name(reporter.cluster, *destination));
    let case = Case {
        from: Party::at(*source, from.clone(), None)?,
        to: Party::at(*destination, to.clone(), Some(*traffic))?,
        family: None,
        assumed: false,
        flow: Flow::new(*source, *destination, *traffic).ok()?,
    };
    let report = reporter.report(&case, None);
    let denied = report.halves.into_iter().filter(|half| half.state == State::Denied).collect();
    let (made, Seen { would_deny, first, last, .. }) = (seen.made(), *seen);
    Some(Break { from, to, traffic: vec![*traffic], made, would_deny, first, last, denied, to_allow: report.to_allow })
}

/// `TCP 80, TCP 443`
pub(crate) fn traffics(traffic: &[Traffic]) -> String {
    shortened(&traffic.iter().map(ToString::to_string).collect::<Vec<_>>(), ", ", SHOWN)
}

impl Break {
    /// What stands below the line that names it: how often, and why; each line `indent` columns in.
    pub(crate) fn below(&self, indent: usize, width: usize) -> String {
        let lead = " ".repeat(indent);
        let logged = match self.would_deny {
            0 => String::new(),
            many => format!(", logged as would-deny {}", times(many)),
        };
        let mut lines = vec![format!("made {}{logged}; {}", times(self.made), span(self.first, self.last))];
        lines.extend(self.denied.iter().flat_map(why));
        if !self.to_allow.is_empty() {
            lines.push(format!("to allow it: {}", self.to_allow.join(", and ")));
        }
        let lines = lines.iter().map(|line| styled(FAINT, &hanging(&lead, &plain(line), indent + 2, width)) + "\n");
        lines.collect()
    }
}

/// Why an end denies: what isolates it or denies it, and the rule that came nearest.
fn why(half: &HalfReport) -> Vec<String> {
    let policies: Vec<String> =
        half.isolated_by.iter().map(|place| format!("{}/{}", place.namespace, place.policy)).collect();
    let rule = |rule: &RuleReport| {
        let place = rule.place.as_ref().map(|place| format!("  {}:{}", place.file, place.line)).unwrap_or_default();
        let namespace = if rule.namespace.is_empty() { String::new() } else { format!("{}/", rule.namespace) };
        format!("{namespace}{} {}{place}: {}", rule.policy, rule.rule, rule.says)
    };
    let lead = format!("{} of {}:", half.direction, half.subject);
    if half.rules.first().is_some_and(|rule| rule.missed.is_none()) {
        // A rule of a cluster-wide policy.
        return half.rules.first().map(|denies| format!("{lead} {}", rule(denies))).into_iter().collect();
    }
    let isolated = match policies.as_slice() {
        [] => format!("{lead} no rule allows it"),
        policies => format!("{lead} isolated by {}, no rule allows it", shortened(policies, ", ", SHOWN)),
    };
    let nearest = half.rules.first().map(|nearest| format!("nearest: {}", rule(nearest)));
    std::iter::once(isolated).chain(nearest).collect()
}

fn as_texts<S: serde::Serializer>(traffic: &[Traffic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(traffic.iter().map(ToString::to_string))
}
