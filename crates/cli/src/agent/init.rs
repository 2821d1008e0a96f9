//! `palisade agent init`: nothing of this node's pods gets through before the agent has synced.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use palisade_agent::{Table as _, enforce::Found};
use palisade_engine::sets::PrefixSet;
use palisade_nftables::{
    difference::Difference,
    netlink::Kernel,
    plan::{Options, closed},
    ruleset::Ruleset,
};
use palisade_watch::Access;

use crate::{args::InitArguments, screen};

/// Runs the step.
pub(super) fn run(arguments: &InitArguments, kernel: &mut Kernel) -> Result<ExitCode> {
    let found = kernel.found(&Ruleset::default()).map_err(|failure| anyhow!("cannot read the rules: {failure}"))?;
    // Also an empty one: somebody's rules are being changed this moment.
    if found != Found::Nothing {
        screen::note("table inet palisade is there already: the rules in force stay as they are");
        return Ok(ExitCode::SUCCESS);
    }
    let prefixes = prefixes(arguments)?;
    let ruleset = closed(&prefixes, Options::default().log);
    let closing = kernel.apply(&Difference::between(None, &ruleset));
    closing.map_err(|error| anyhow!("cannot close the addresses of pods: {error}"))?;
    let list: Vec<String> = prefixes.prefixes().map(|prefix| prefix.to_string()).collect();
    screen::note(&format!("closed until the agent has synced: {}", list.join(", ")));
    Ok(ExitCode::SUCCESS)
}

fn prefixes(arguments: &InitArguments) -> Result<PrefixSet> {
    let Some(name) = &arguments.node else { return Ok(arguments.pod_cidr.iter().copied().collect()) };
    let access = Access { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
    let node = access.find()?.node(name)?;
    if node.pod_prefixes.is_empty() {
        bail!(
            "node {name} has no podCIDR, or none yet: give the networks that its pods have addresses from with --pod-cidr"
        );
    }
    Ok(node.pod_prefixes.into_iter().collect())
}
