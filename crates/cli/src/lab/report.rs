//! What the lab saw, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram, Verdict,
    model::{Cluster, Direction, Family, PolicyRef, Protocol, Resolved, Traffic},
    verdict::{Half, Outcome as Predicted},
};
use palisade_lab::{
    enforcement::{Audit, FlowResult, Observed, Report},
    sandbox::Means,
};

use super::{
    matrix::{self, Cell},
    trials::{Trial, Trials},
};
use crate::{
    args::LabRun,
    flows::Expected,
    input,
    screen::{self, BAD, FAINT, GOOD, MIXED, hanging, shortened, styled},
    verdicts::word,
};

/// How many differences are listed.
const DIFFERENCES_SHOWN: usize = 20;

/// Everything there is to say of a run.
pub(crate) struct Outcome<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
    trials: &'a Trials,
    report: &'a Report,
    means: Means,
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        program: &'a PolicyProgram,
        trials: &'a Trials,
        report: &'a Report,
        means: Means,
    ) -> Self {
        Self { cluster, program, trials, report, means }
    }

    /// Whether everything was as predicted and as expected.
    pub(crate) fn holds(&self) -> bool {
        self.pairs().all(|(trial, result)| is_right(trial, result))
    }

    /// The screen: sizes and times, the matrix, the differences.
    pub(crate) fn text(&self, arguments: &LabRun, width: usize) -> String {
        let mut text = self.head(width);
        text.push('\n');
        let cells = self.cells();
        let (drawn, compact) = matrix::draw(&self.trials.rows, &self.trials.columns, &cells, width);
        text.push_str(&coloured(&drawn));
        text.push('\n');
        let wrong = if self.is_checked() { "not as predicted or expected" } else { "not as predicted" };
        text.push_str(&matrix::legend(&cells, wrong, width, compact));
        text.push('\n');
        text.push_str(&self.differences(width));
        text.push_str(&self.conclusion(arguments, width));
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let probes: Vec<serde_json::Value> =
            self.pairs().map(|(trial, result)| self.probe_json(trial, result)).collect();
        let (rules, times) = (self.report.rules, self.report.times);
        serde_json::json!({
            "holds": self.holds(),
            "cluster": { "pods": self.live_pods(), "nodes": self.cluster.nodes().len() },
            "rules": {
                "profiles": rules.profiles, "chains": rules.chains, "sets": rules.sets, "elements": rules.elements,
            },
            "seconds": {
                "up": times.up.as_secs_f64(), "rules": times.rules.as_secs_f64(), "probes": times.probes.as_secs_f64(),
            },
            "probes": probes,
        })
    }

    fn pairs(&self) -> impl DoubleEndedIterator<Item = (&'a Trial, &'a FlowResult)> {
        self.trials.trials.iter().zip(self.report.results.iter())
    }

    fn head(&self, width: usize) -> String {
        let namespaces: BTreeSet<&str> =
            self.cluster.pods().filter(|(_, pod)| pod.is_live()).map(|(_, pod)| &*pod.id.namespace).collect();
        let root = match self.means {
            Means::UserNamespace => "no root",
            Means::Privileged => "as root",
        };
        let (rules, times) = (self.report.rules, self.report.times);
        let sizes = format!(
            "{}, {}, {}",
            counted(namespaces.len(), "namespace"),
            counted(self.live_pods(), "pod"),
            counted(self.cluster.nodes().len(), "node")
        );
        let ruleset = format!(
            "{}, {}, {}",
            counted(rules.profiles, "profile"),
            counted(rules.sets, "set"),
            counted(rules.elements, "element")
        );
        let probes = format!("{}, each first without rules, then with", self.trials.trials.len());
        let lines = [
            ("cluster", sizes, format!("up in {:.1} s, {root}", times.up.as_secs_f64())),
            ("ruleset", ruleset, format!("in the kernel in {:.0} ms", times.rules.as_secs_f64() * 1e3)),
            ("probes", probes, format!("in {:.1} s", times.probes.as_secs_f64())),
        ];
        let middle = lines.iter().map(|(_, text, _)| text.len()).max().unwrap_or(0);
        lines.iter().fold(String::new(), |text, (name, what, took)| {
            let line = format!("{name:8}  {what:middle$}   {took}");
            let line = match line.len() > width {
                true => hanging(&format!("{name:8}  "), &format!("{what}, {took}"), 10, width),
                false => line,
            };
            text + &line + "\n"
        })
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        let mut cells = vec![vec![Cell::Empty; self.trials.columns.len()]; self.trials.rows.len()];
        let mut put = |row: usize, column: usize, cell: Cell| {
            if let Some(slot) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                *slot = merged(*slot, cell);
            }
        };
        for (row, column) in &self.trials.itself {
            put(*row, *column, Cell::Itself);
        }
        for (trial, result) in self.pairs() {
            let cell = match (is_right(trial, result), &result.observed, trial.family) {
                (false, ..) => Cell::Wrong,
                (true, Observed::Reached, Family::V4) => Cell::OnlyV4,
                (true, Observed::Reached, Family::V6) => Cell::OnlyV6,
                (true, ..) => Cell::Dropped,
            };
            put(trial.row, trial.column, cell);
        }
        // What one family alone had a say in simply reached or not.
        let mut families: BTreeMap<(usize, usize), BTreeSet<Family>> = BTreeMap::new();
        for trial in &self.trials.trials {
            families.entry((trial.row, trial.column)).or_default().insert(trial.family);
        }
        let single = |row: usize, column: usize| families.get(&(row, column)).is_some_and(|of| of.len() == 1);
        for (row, cells) in cells.iter_mut().enumerate() {
            for (column, cell) in cells.iter_mut().enumerate() {
                if matches!(cell, Cell::OnlyV4 | Cell::OnlyV6) && single(row, column) {
                    *cell = Cell::Reached;
                }
            }
        }
        cells
    }

    fn differences(&self, width: usize) -> String {
        // Both families of one connection are one line where the same is to be said of them.
        let mut lines: Vec<(String, BTreeSet<Family>, String)> = Vec::new();
        for (trial, result) in self.pairs().filter(|(trial, result)| !is_right(trial, result)) {
            let (connection, said) = (self.trials.connection(trial), self.difference(trial, result));
            match lines.iter_mut().find(|line| line.0 == connection && line.2 == said) {
                Some(line) => _ = line.1.insert(trial.family),
                None => lines.push((connection, BTreeSet::from([trial.family]), said)),
            }
        }
        if lines.is_empty() {
            return String::new();
        }
        let mut text = String::from("\n");
        for (connection, families, said) in lines.iter().take(DIFFERENCES_SHOWN) {
            let families: Vec<String> = families.iter().map(ToString::to_string).collect();
            let line = format!("{connection} ({}): {said}", families.join(" and "));
            text.push_str(&hanging("!! ", &line, 3, width));
            text.push('\n');
        }
        if lines.len() > DIFFERENCES_SHOWN {
            text.push_str(&format!("and {} more (-o json has them all)\n", lines.len() - DIFFERENCES_SHOWN));
        }
        text
    }

    /// What came out, and what should have.
    fn difference(&self, trial: &Trial, result: &FlowResult) -> String {
        let predicted = word(result.predicted);
        let expected = match (trial.expected, &trial.at) {
            (Some(expected), Some(at)) if !as_expected(trial, result) => format!(", {at} expects {}", expected.word()),
            _ => String::new(),
        };
        let observed = match &result.observed {
            Observed::Reached => "it was reached".to_owned(),
            Observed::Dropped { node, chain } => match self.isolating(trial).as_slice() {
                [] => format!("{node} dropped it in {chain}"),
                policies => format!("{node} dropped it, isolated by {}", shortened(policies, ", ", 3)),
            },
            Observed::Lost => "nothing came back, and no ruleset reports a drop".to_owned(),
            Observed::Refused(why) => format!("it was answered: {why}"),
        };
        let ends = |found: &BTreeSet<Direction>| match found.iter().map(ToString::to_string).collect::<Vec<_>>() {
            none if none.is_empty() => "neither end".to_owned(),
            ends => ends.join(" and "),
        };
        let Audit { predicted: foretold, observed: logged } = &result.audit;
        let audited = if foretold == logged {
            String::new()
        } else {
            format!("; audited policies would deny it at {}, and {} logged it", ends(foretold), ends(logged))
        };
        format!("predicted {predicted}{expected}; {observed}{audited}")
    }

    /// The policies that isolate an end for which no rule allows it.
    fn isolating(&self, trial: &Trial) -> Vec<String> {
        let Verdict::Judged { egress, ingress } = self.program.verdict(self.cluster, &trial.flow) else {
            return Vec::new();
        };
        let policies = [egress, ingress].into_iter().filter_map(|half| match half {
            Half::Denied { policies, .. } => Some(policies.into_iter().map(PolicyRef::from).collect()),
            Half::DeniedBy(matched) => Some(vec![self.program.rule(matched.rule).origin.policy]),
            Half::NotASubject
            | Half::NotIsolated
            | Half::Allowed(_)
            | Half::AllowedByDefault
            | Half::Undetermined(_) => None,
        });
        let mut names: Vec<String> =
            policies.flat_map(|list: Vec<PolicyRef>| list).map(|policy| self.cluster.policy_name(policy)).collect();
        names.dedup();
        names
    }

    fn conclusion(&self, arguments: &LabRun, width: usize) -> String {
        let all = self.trials.trials.len();
        let wrong = self.pairs().filter(|(trial, result)| !is_right(trial, result)).count();
        let said = match (wrong, self.is_checked()) {
            (0, false) => styled(GOOD, &format!("{all} probes, all as predicted.")),
            (0, true) => styled(GOOD, &format!("{all} probes, all as predicted and as expected.")),
            (wrong, _) => styled(BAD, &format!("{all} probes, {wrong} not as they should be.")),
        };
        let mut text = format!("\n{said}\n");
        if self.program.has_open_names() && self.pairs().any(|(_, result)| result.predicted == Predicted::Undetermined)
        {
            let note = "Here a domain name of a policy resolves to nothing that --resolve NAME=ADDRESS does not tell.";
            text.push_str(&format!("{}\n", hanging("", note, 0, width)));
        }
        if let Some(trial) = self.telling_denial() {
            let row = self.trials.rows.get(trial.row).map_or("", String::as_str);
            let column = self.trials.columns.get(trial.column).map_or("", |column| column.name.as_str());
            let target = target(column, trial.flow.traffic());
            // A shell takes a pattern for one of its own.
            let mark = |one: &Resolved| if one.name.as_str().contains('*') { "'" } else { "" };
            let told = |one: &Resolved| format!(" --resolve {0}{1}={2}{0}", mark(one), one.name, one.address);
            let resolve: String = arguments.resolve.iter().map(told).collect();
            let command = format!("palisade explain {row} {target} {}{resolve}", input::typed(&arguments.input));
            text.push_str(&screen::command("Why is one dropped?  ", &command, width));
            text.push('\n');
        }
        text
    }

    /// A dropped connection from which there is most to learn: one that should not be, else between pods, and denied at both ends.
    fn telling_denial(&self) -> Option<&'a Trial> {
        let is_dropped = |result: &FlowResult| matches!(result.observed, Observed::Dropped { .. });
        let mut wrong = self.pairs().filter(|(trial, result)| is_dropped(result) && !is_right(trial, result));
        if let Some((trial, _)) = wrong.next() {
            return Some(trial);
        }
        let dropped = self.pairs().filter(|(_, result)| is_dropped(result));
        let both = |trial: &Trial| match self.program.verdict(self.cluster, &trial.flow) {
            Verdict::Judged { egress, ingress } => {
                [egress, ingress].iter().filter(|half| half.outcome() == Predicted::Deny).count()
            }
            Verdict::Exempt(_) => 0,
        };
        // The first of those that are best.
        dropped.map(|(trial, _)| trial).rev().max_by_key(|trial| both(trial))
    }

    fn probe_json(&self, trial: &Trial, result: &FlowResult) -> serde_json::Value {
        let (protocol, port) = match trial.flow.traffic() {
            Traffic::Port(protocol, port) => (protocol.name(), Some(port)),
            Traffic::Portless => ("ICMP", None),
        };
        let (observed, by) = match &result.observed {
            Observed::Reached => ("reached", None),
            Observed::Dropped { node, chain } => ("dropped", Some(serde_json::json!({ "node": node, "chain": chain }))),
            Observed::Lost => ("lost", None),
            Observed::Refused(_) => ("refused", None),
        };
        serde_json::json!({
            "from": self.trials.rows.get(trial.row),
            "to": self.trials.columns.get(trial.column).map(|column| &column.name),
            "protocol": protocol,
            "port": port,
            "family": trial.family.to_string(),
            "predicted": word(result.predicted),
            "observed": observed,
            "by": by,
            "wouldDeny": result.audit.observed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "expected": trial.expected.map(Expected::word),
            "asPredicted": result.as_predicted(),
            "asExpected": trial.expected.map(|_| as_expected(trial, result)),
            "at": trial.at,
        })
    }

    /// Whether the table says what should come out.
    fn is_checked(&self) -> bool {
        self.trials.trials.iter().any(|trial| trial.expected.is_some())
    }

    fn live_pods(&self) -> usize {
        self.cluster.pods().filter(|(_, pod)| pod.is_live()).count()
    }
}

fn is_right(trial: &Trial, result: &FlowResult) -> bool {
    result.as_predicted() && as_expected(trial, result)
}

fn as_expected(trial: &Trial, result: &FlowResult) -> bool {
    match (trial.expected, &result.observed) {
        (None, _) => true,
        (Some(Expected::Allow), observed) => *observed == Observed::Reached,
        (Some(Expected::Deny), observed) => matches!(observed, Observed::Dropped { .. }),
    }
}

fn merged(before: Cell, cell: Cell) -> Cell {
    match (before, cell) {
        (Cell::Empty, cell) => cell,
        (Cell::Wrong, _) | (_, Cell::Wrong) => Cell::Wrong,
        (Cell::OnlyV4, Cell::OnlyV6) | (Cell::OnlyV6, Cell::OnlyV4) => Cell::Reached,
        (Cell::Dropped, cell) => cell,
        (before, _) => before,
    }
}

/// `prod/database:5432`, as `explain` takes it.
fn target(name: &str, traffic: Traffic) -> String {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    match traffic {
        Traffic::Port(Protocol::Tcp, port) => format!("{name}:{port}"),
        Traffic::Port(protocol, port) => format!("{name}:{port}/{}", protocol.name().to_lowercase()),
        Traffic::Portless => format!("{name}:icmp"),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The marks in colours: they are words of their own, which names in a matrix never are.
fn coloured(matrix: &str) -> String {
    let mark = |word: &str| match word {
        "ok" => styled(GOOD, word),
        "-" | "=" => styled(FAINT, word),
        "v4" | "v6" => styled(MIXED, word),
        "!!" => styled(BAD, word),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(mark).collect::<Vec<_>>().join(" ");
    matrix.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_make_one_cell() {
        assert_eq!(merged(Cell::OnlyV4, Cell::OnlyV6), Cell::Reached);
        assert_eq!(merged(Cell::OnlyV4, Cell::Dropped), Cell::OnlyV4);
        assert_eq!(merged(Cell::Dropped, Cell::OnlyV6), Cell::OnlyV6);
        assert_eq!(merged(Cell::Dropped, Cell::Dropped), Cell::Dropped);
        assert_eq!(merged(Cell::Reached, Cell::Wrong), Cell::Wrong);
    }

    #[test]
    fn an_undetermined_prediction_never_agrees() {
        let result =
            FlowResult { predicted: Predicted::Undetermined, observed: Observed::Reached, audit: Audit::default() };
        assert!(!result.as_predicted());
    }
}
