//! `palisade reach`: whom an end can reach, directly and through those whom it reaches.

mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use anyhow::{Result, bail};
use palisade_engine::{
    Connections, PolicyProgram,
    connections::{By, End, EndSet, Groups},
    model::Cluster,
};
use serde::Serialize;

use self::search::{Search, Step};
use crate::{
    args::{Format, Reach},
    connections::{Namer, columns},
    endpoint::{Resolver, Selection},
    input,
    screen::{self, FAINT, hanging, styled},
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Reach) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let (asked, backwards) = match (&arguments.from, &arguments.to) {
        (Some(from), None) => (from, false),
        (None, Some(to)) => (to, true),
        (None, None) => {
            bail!("whom? `palisade reach FROM` for what it can reach, `palisade reach --to TO` for who reaches it")
        }
        (Some(_), Some(_)) => bail!("either FROM or --to; for one connection ask `palisade explain FROM TO`"),
    };
    let read = input::cluster_with_pods(&arguments.input)?;
    let cluster = &read.cluster;
    let selection = Selection::parse(&Resolver { cluster, namespace: &read.namespace }, asked)?;
    let program = PolicyProgram::compile(cluster);
    let connections = Connections::cut(cluster, &program, std::iter::once(&selection.outside));
    let begin = selection.ends(&connections, &program);
    let search = Search::new(&connections, backwards);
    let steps = search.from(&begin, arguments.hops);
    let groups = Groups::new(cluster, &program, By::Workload);
    let teller = Teller { cluster, connections: &connections, namer: Namer::new(cluster, &groups), backwards };
    let found = teller.found(&begin, &steps);
    match arguments.output {
        Format::Json => screen::out_json(&found)?,
        Format::Text => screen::out(&teller.text(asked, &found, arguments.hops, screen::width()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One who is reached (or reaches), and how.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Found {
    hops: u32,
    end: String,
    /// The traffic of the last connection of the path.
    traffic: String,
    /// Those in between, from FROM on.
    path: Vec<Hop>,
}

/// One connection of a path.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Hop {
    from: String,
    to: String,
    traffic: String,
}

struct Teller<'a> {
    cluster: &'a Cluster,
    connections: &'a Connections,
    namer: Namer<'a>,
    backwards: bool,
}

impl Teller<'_> {
    /// Each group of ends by the fewest hops; outside addresses together where they are come to alike.
    fn found(&self, begin: &EndSet, steps: &[Option<Step>]) -> Vec<Found> {
        let outside = self.connections.ends().outside();
        let mut together: BTreeMap<Step, EndSet> = BTreeMap::new();
        let mut found: Vec<Found> = Vec::new();
        for (index, step) in (0u32..).zip(steps) {
            let Some(step) = step.filter(|_| !begin.contains(index)) else { continue };
            if outside.contains(index) {
                together.entry(step).or_default().insert(index);
            } else {
                found.extend(self.names(index).into_iter().map(|end| self.one(end, index, step, steps)));
            }
        }
        for (step, set) in together {
            let names = self.namer.texts(&self.namer.groups.name(self.connections, &set));
            found.push(self.one(names.join(", "), set.min().unwrap_or(0), step, steps));
        }
        found.sort();
        // A workload may be several ends; what each of them is reached by is told.
        found.dedup_by(|a, b| a.end == b.end && a.traffic == b.traffic);
        found
    }

    fn one(&self, end: String, index: u32, step: Step, steps: &[Option<Step>]) -> Found {
        let traffic = self.connections.traffic(step.traffic).to_string();
        Found { hops: step.hops, end, traffic, path: self.path(index, steps) }
    }

    fn path(&self, index: u32, steps: &[Option<Step>]) -> Vec<Hop> {
        let mut hops = Vec::new();
        let mut at = index;
        while let Some(step) = steps.get(at as usize).copied().flatten() {
            let name = |index| self.names(index).into_iter().next().unwrap_or_default();
            let (from, to) = if self.backwards { (at, step.before) } else { (step.before, at) };
            hops.push(Hop {
                from: name(from),
                to: name(to),
                traffic: self.connections.traffic(step.traffic).to_string(),
            });
            at = step.before;
        }
        if !self.backwards {
            hops.reverse();
        }
        hops
    }

    fn names(&self, index: u32) -> Vec<String> {
        let set: EndSet = std::iter::once(index).collect();
        let found = self.connections.ends().members(&set).next();
        match found {
            Some((_, End::Node { node, .. })) => vec![format!("node/{}", self.cluster.node(*node).name)],
            _ => self.namer.singles(&self.namer.groups.name(self.connections, &set)),
        }
    }

    fn text(&self, asked: &str, found: &[Found], hops: u32, width: usize) -> String {
        let verb = if self.backwards { "is reached by" } else { "reaches" };
        if found.is_empty() {
            let nobody = if self.backwards { "nobody" } else { "nobody but itself and its own node" };
            return format!("{asked} {verb} {nobody}.\n");
        }
        let mut text = String::new();
        for hop in 1..=hops {
            let of_hop: Vec<&Found> = found.iter().filter(|found| found.hops == hop).collect();
            if of_hop.is_empty() {
                break;
            }
            if hop > 1 {
                text.push('\n');
            }
            let title = if hop == 1 { format!("{asked} {verb}, directly:") } else { format!("by {hop} connections:") };
            text.push_str(&format!("{}\n", hanging("", &title, 2, width)));
            let rows: Vec<[String; 3]> = of_hop.iter().map(|found| self.line(found)).collect();
            for line in columns(&rows, width.saturating_sub(2)).lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text.push_str(&format!("\n{}\n", styled(FAINT, &self.summary(found, hops))));
        text
    }

    fn summary(&self, found: &[Found], hops: u32) -> String {
        let ends: BTreeSet<&str> = found.iter().map(|found| found.end.as_str()).collect();
        let all = self.namer.groups.units().iter().enumerate();
        let workloads = all.filter(|(index, _)| ends.contains(self.namer.unit(*index).as_str())).count();
        let of = self.namer.groups.units().len();
        let by = if hops == 1 { "directly".to_owned() } else { format!("by at most {hops} connections") };
        format!("{workloads} of {of} workloads, {by}.")
    }

    /// Who, by what, and on which way.
    fn line(&self, found: &Found) -> [String; 3] {
        let between = found.path.iter().map(|hop| if self.backwards { &hop.to } else { &hop.from });
        let mut between: Vec<&str> = between.map(String::as_str).collect();
        if self.backwards {
            between.pop();
        } else if !between.is_empty() {
            between.remove(0);
        }
        let way = if between.is_empty() { String::new() } else { format!("via {}", between.join(", ")) };
        [found.end.clone(), found.traffic.clone(), way]
    }
}
