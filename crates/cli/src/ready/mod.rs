//! `palisade ready`: which connections that were seen would break, if some policies were enforced.
//!
//! Two programs of one cluster are asked: the policies without those that are meant, and all of them. What was made
//! and the second denies breaks; what the first denies as well was made before those others came, and is not counted.

mod answer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::ExitCode,
};

use anyhow::{Result, bail};
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Direction, Endpoint, ObjectRef, PodId},
    verdict::Outcome,
};

use self::answer::Answer;
use crate::{
    args::{Format, Ready},
    breaks, describe, input,
    observed::{self, Observed},
    screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Ready) -> Result<ExitCode> {
    let inputs = arguments.flows.iter().chain(&arguments.input.paths);
    if inputs.filter(|path| path.as_path() == Path::new("-")).count() > 1 {
        bail!("standard input (`-`) can be read only once: give all but one of them as a file");
    }
    let understood = input::reading(&arguments.input)?;
    let namespace = understood.namespace;
    let inventory = understood.reading.inventory;
    let with = input::changed(inventory.clone())?;
    let meant = describe::named(&with, &arguments.policy, &namespace)?;
    if meant.is_empty() {
        bail!("the input has no NetworkPolicy, so there is none to be ready for");
    }
    let mut without = inventory;
    without.policies.retain(|policy| !meant.contains(&policy.id));
    // The same objects but for policies, so pods and nodes have the same ids in both.
    let without = input::changed(without)?;
    let (connections, tally) = observed::read(&arguments.flows)?;
    let seen = Observed::of(&with, &connections, tally);
    seen.told();
    let answer = judged(&with, &without, &meant, &seen);
    if answer.connections == 0 {
        bail!(
            "no connection was seen to be made between ends that the cluster has: record with `--log denied,accepted`"
        );
    }
    match arguments.output {
        Format::Text => screen::out(&answer.text(screen::width()))?,
        Format::Json => screen::out_json(&answer)?,
    }
    Ok(ExitCode::from(match (answer.breaks.is_empty(), answer.undetermined.is_empty() && seen.is_whole()) {
        (false, _) => 1,
        (true, false) => 2,
        (true, true) => 0,
    }))
}

fn judged(with: &Cluster, without: &Cluster, meant: &BTreeSet<ObjectRef>, seen: &Observed) -> Answer {
    let (new, old) = (PolicyProgram::compile(with), PolicyProgram::compile(without));
    let (mut denied, mut already, mut undetermined) = (Vec::new(), 0, BTreeSet::new());
    let made = || seen.connections.iter().filter(|met| met.seen.made() > 0);
    for met in made() {
        match breaks::outcome(with, &new, met) {
            Some(Outcome::Allow) | None => {}
            Some(Outcome::Undetermined) => {
                let (from, to) = (breaks::name(with, met.source), breaks::name(with, met.destination));
                undetermined.insert(format!("{from} -> {to}  {}", met.traffic));
            }
            Some(Outcome::Deny) if breaks::outcome(without, &old, met) == Some(Outcome::Deny) => already += 1,
            Some(Outcome::Deny) => denied.push(met),
        }
    }
    let nodes: BTreeSet<String> = with.nodes().map(|(_, node)| node.name.to_string()).collect();
    Answer {
        policies: meant.iter().map(ToString::to_string).collect(),
        connections: made().count(),
        breaking: denied.len(),
        breaks: breaks::grouped(with, &new, denied),
        denied_already: already,
        undetermined,
        span: seen.tally.span,
        nodes_not_seen: nodes.difference(&seen.tally.nodes).cloned().collect(),
        nodes: seen.tally.nodes.clone(),
        never_seen: never_seen(with, &new, meant, seen),
        left_out: seen.unknown.len(),
        unreadable: seen.tally.unreadable + seen.tally.beyond,
        lost: seen.tally.lost,
    }
}

/// Workloads that one of the policies isolates, and of which nothing was seen, by name.
fn never_seen(cluster: &Cluster, program: &PolicyProgram, meant: &BTreeSet<ObjectRef>, seen: &Observed) -> Vec<String> {
    let isolates = |pod: PodId| {
        program.identity_of(pod).is_some_and(|identity| {
            Direction::ALL.into_iter().any(|direction| {
                let profile = program.profile(program.profile_of(identity, direction));
                profile.isolating().any(|policy| meant.contains(&cluster.policy(policy).id))
            })
        })
    };
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network).map(|(id, _)| id);
    let name = |pod: PodId| {
        breaks::name(cluster, palisade_engine::model::Side { endpoint: Endpoint::Pod(pod), address: None })
    };
    // Whether something was seen of one of the workload's pods.
    let mut workloads: BTreeMap<String, bool> =
        pods.filter(|pod| isolates(*pod)).map(|pod| (name(pod), false)).collect();
    for met in &seen.connections {
        for side in [met.source, met.destination] {
            if let Some(was_seen) = workloads.get_mut(&breaks::name(cluster, side)) {
                *was_seen = true;
            }
        }
    }
    workloads.into_iter().filter(|(_, was_seen)| !was_seen).map(|(name, _)| name).collect()
}
