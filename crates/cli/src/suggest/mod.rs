//! `palisade suggest`: the least policies that allow what was observed.

mod observed;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use palisade_engine::{
    Outcome, PolicyProgram,
    model::{Cluster, Flow, Inventory, Traffic},
};
use palisade_suggest::{Observed, Options, suggest};

use crate::{args::Suggest, input, screen};

/// How many of a kind are told by name.
const MOST: usize = 20;

/// Runs the subcommand.
pub(crate) fn run(arguments: &Suggest) -> Result<ExitCode> {
    let inputs = arguments.flows.iter().chain(&arguments.input.paths);
    if inputs.filter(|path| path.as_path() == Path::new("-")).count() > 1 {
        bail!("standard input (`-`) can be read only once: give all but one of them as a file");
    }
    let inventory = input::reading(&arguments.input)?.reading.inventory;
    let before = cluster(inventory.clone())?;
    let read = observed::read(&before, &arguments.flows, arguments.with_denied)?;
    told(&read);
    if read.observed.is_empty() {
        bail!(
            "no accepted connection was observed between ends that the cluster has: record with `--log denied,accepted`"
        );
    }
    let suggestion = suggest(&before, &read.observed, Options { max_prefixes: usize::from(arguments.max_prefixes) });
    let mut with = inventory;
    with.policies.extend(suggestion.policies.iter().map(|suggested| suggested.policy.clone()));
    replay(&cluster(with)?, &read.observed)?;
    screen::out_bytes(suggestion.to_yaml().as_bytes())?;
    for wider in suggestion.wider.iter().take(MOST) {
        screen::note(&format!("allowed though never seen: {wider}"));
    }
    if suggestion.wider.len() > MOST {
        screen::note(&format!("{} more that are allowed though never seen", suggestion.wider.len() - MOST));
    }
    if !suggestion.unseen.is_empty() {
        let names = screen::shortened(&suggestion.unseen, ", ", MOST);
        screen::note(&format!("no connection was seen of, and no policy is suggested for: {names}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn cluster(inventory: Inventory) -> Result<Cluster> {
    inventory.into_cluster().map_err(|conflicts| {
        let first = conflicts.first().map(ToString::to_string).unwrap_or_default();
        anyhow!("no answer from an input that contradicts itself: {first}")
    })
}

/// Says what of the flow logs does not count.
fn told(read: &observed::Reading) {
    if read.lost > 0 {
        screen::note(&format!(
            "the flow logs have gaps: {} lines were lost, and what they told is not allowed",
            read.lost
        ));
    }
    if read.portless > 0 {
        let portless = read.portless;
        screen::note(&format!(
            "{portless} lines are of protocols without ports (ICMP), which rules cannot name: left out"
        ));
    }
    if !read.unknown.is_empty() {
        let pods: Vec<&String> = read.unknown.iter().collect();
        screen::note(&format!(
            "left out, since the cluster does not have them: {}",
            screen::shortened(&pods, ", ", MOST)
        ));
    }
}

/// Every connection that was observed must pass.
fn replay(cluster: &Cluster, observed: &[Observed]) -> Result<()> {
    let program = PolicyProgram::compile(cluster);
    for seen in observed {
        let flow = Flow::new(seen.source, seen.destination, Traffic::Port(seen.protocol, seen.port))?;
        if program.verdict(cluster, &flow).outcome() == Outcome::Deny {
            let end = |side: palisade_engine::model::Side| match side.endpoint {
                palisade_engine::model::Endpoint::Pod(pod) => cluster.pod(pod).id.to_string(),
                _ => side.address.map_or_else(|| "a node".to_owned(), |address| address.to_string()),
            };
            bail!(
                "{} -> {} {} {} was observed and would still be denied: by a cluster-wide policy, which no NetworkPolicy \
                 overrides, or else by a fault of this program",
                end(seen.source),
                end(seen.destination),
                seen.protocol,
                seen.port
            );
        }
    }
    Ok(())
}
