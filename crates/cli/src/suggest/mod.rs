//! `palisade suggest`: the least policies that allow what was observed.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};
use palisade_engine::{
    Outcome, PolicyProgram,
    model::{Cluster, Flow, Traffic},
};
use palisade_suggest::{Options, suggest};

use crate::{
    args::Suggest,
    input,
    observed::{self, Met, Observed},
    screen,
};

/// How many of a kind are told by name.
const MOST: usize = 20;

/// Runs the subcommand.
pub(crate) fn run(arguments: &Suggest) -> Result<ExitCode> {
    let inputs = arguments.flows.iter().chain(&arguments.input.paths);
    if inputs.filter(|path| path.as_path() == Path::new("-")).count() > 1 {
        bail!("standard input (`-`) can be read only once: give all but one of them as a file");
    }
    let inventory = input::reading(&arguments.input)?.reading.inventory;
    let before = input::changed(inventory.clone())?;
    let (connections, tally) = observed::read(&arguments.flows)?;
    let seen = Observed::of(&before, &connections, tally);
    seen.told();
    let observed = of_ports(&seen, arguments.with_denied);
    if observed.is_empty() {
        bail!(
            "no accepted connection was observed between ends that the cluster has: record with `--log denied,accepted`"
        );
    }
    let suggestion = suggest(&before, &observed, Options { max_prefixes: usize::from(arguments.max_prefixes) });
    let mut with = inventory;
    with.policies.extend(suggestion.policies.iter().map(|suggested| suggested.policy.clone()));
    replay(&input::changed(with)?, &observed)?;
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
    Ok(ExitCode::from(if seen.is_whole() { 0 } else { 2 }))
}

/// The connections that rules can name; says how many they cannot.
fn of_ports(seen: &Observed, with_denied: bool) -> Vec<palisade_suggest::Observed> {
    let mut portless = 0;
    let mut observed = Vec::new();
    for Met { source, destination, traffic, seen } in &seen.connections {
        let count = if with_denied { seen.made().max(seen.denied()) } else { seen.made() };
        match traffic {
            _ if count == 0 => {}
            Traffic::Portless => portless += 1,
            Traffic::Port(protocol, port) => observed.push(palisade_suggest::Observed {
                source: *source,
                destination: *destination,
                protocol: *protocol,
                port: *port,
                count,
                first: seen.first,
                last: seen.last,
            }),
        }
    }
    if portless > 0 {
        screen::note(&format!(
            "{portless} connections are of protocols without ports (ICMP), which rules cannot name: left out"
        ));
    }
    observed
}

/// Every connection that was observed must pass.
fn replay(cluster: &Cluster, observed: &[palisade_suggest::Observed]) -> Result<()> {
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
