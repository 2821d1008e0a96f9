//! `palisade ready`: which connections that were seen would break, if some policies were enforced.
//!
//! Those that are meant are audited, or taken for it; so there is one program, and its two answers are asked: that of
//! the policies that are enforced already, and that of all. What was made and the second denies breaks; what the first
//! denies as well was made before those others came, and is not counted.

mod answer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::ExitCode,
};

use anyhow::{Result, bail};
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Direction, Endpoint, Inventory, Mode, PodId, PolicyRef, Side},
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
    let asked = Asked::of(understood.reading.inventory, arguments, &understood.namespace)?;
    let (connections, tally) = observed::read(&arguments.flows)?;
    let seen = Observed::of(&asked.cluster, &connections, tally);
    seen.told();
    let answer = judged(&asked, &seen);
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

/// A cluster whose audited policies are those that are meant.
struct Asked {
    cluster: Cluster,
    meant: BTreeSet<PolicyRef>,
    /// Whether nobody named them: they are those that are audited.
    by_mode: bool,
}

impl Asked {
    /// The policies that were typed; else the audited ones, all of them where agents audit all; else, where there are
    /// none, all NetworkPolicies.
    ///
    /// # Errors
    /// When the input does not have them.
    fn of(inventory: Inventory, arguments: &Ready, namespace: &str) -> Result<Self> {
        let cluster = input::changed(inventory.clone())?.in_mode(arguments.mode.into());
        let named = describe::named(&cluster, &arguments.policy, namespace)?;
        if named.is_empty() && cluster.has_audited() {
            return Ok(Self { meant: audited(&cluster), cluster, by_mode: true });
        }
        let all = || cluster.policies().map(|(id, _)| id.into()).collect();
        let meant: BTreeSet<PolicyRef> = if named.is_empty() { all() } else { named };
        if meant.is_empty() {
            bail!(
                "the input has no NetworkPolicy and nothing that is audited, so there is nothing to be ready for \
                 (--policy names a cluster-wide policy)"
            );
        }
        let cluster = input::changed(audit_only(inventory, &cluster, &meant))?;
        Ok(Self { meant: audited(&cluster), cluster, by_mode: false })
    }
}

/// The policies of a cluster that are audited.
fn audited(cluster: &Cluster) -> BTreeSet<PolicyRef> {
    cluster.all_policies().filter(|policy| cluster.mode_of(*policy) == Mode::Audit).collect()
}

/// The objects of a cluster, these of its policies audited and the enforced ones beside them. Others that are audited
/// go on being so: they count for neither answer.
fn audit_only(mut inventory: Inventory, cluster: &Cluster, meant: &BTreeSet<PolicyRef>) -> Inventory {
    let mode = |policy: PolicyRef| {
        if meant.contains(&policy) {
            return Some(Mode::Audit);
        }
        Some(Mode::Enforce).filter(|enforced| cluster.mode_of(policy) == *enforced)
    };
    let network: BTreeMap<_, _> = cluster.policies().map(|(id, policy)| (&policy.id, mode(id.into()))).collect();
    inventory.policies.retain_mut(|policy| {
        policy.mode = network.get(&policy.id).copied().flatten();
        policy.mode.is_some()
    });
    let wide = cluster.cluster_policies().map(|(id, policy)| ((policy.kind, &policy.name), mode(id.into())));
    let wide: BTreeMap<_, _> = wide.collect();
    inventory.cluster_policies.retain_mut(|policy| {
        policy.mode = wide.get(&(policy.kind, &policy.name)).copied().flatten();
        policy.mode.is_some()
    });
    inventory
}

fn judged(asked: &Asked, seen: &Observed) -> Answer {
    let Asked { cluster, meant, by_mode } = asked;
    let made = || seen.connections.iter().filter(|met| met.seen.made() > 0);
    let program = PolicyProgram::compile(cluster);
    let now: Vec<_> = made().map(|met| breaks::outcome(cluster, &program, met)).collect();
    let program = program.with_audited();
    let (mut denied, mut already, mut mended, mut undetermined) = (Vec::new(), 0, 0, BTreeSet::new());
    for (met, now) in made().zip(now) {
        match breaks::outcome(cluster, &program, met) {
            // With some of the audited policies alone nobody knows what the others would say.
            Some(Outcome::Allow) => mended += usize::from(*by_mode && met.seen.would_deny > 0),
            None => {}
            Some(Outcome::Undetermined) => {
                let (from, to) = (breaks::name(cluster, met.source), breaks::name(cluster, met.destination));
                undetermined.insert(format!("{from} -> {to}  {}", met.traffic));
            }
            Some(Outcome::Deny) if now == Some(Outcome::Deny) => already += 1,
            Some(Outcome::Deny) => denied.push(met),
        }
    }
    let nodes: BTreeSet<String> = cluster.nodes().map(|(_, node)| node.name.to_string()).collect();
    Answer {
        policies: meant.iter().map(|policy| cluster.policy_name(*policy)).collect(),
        audited: *by_mode,
        connections: made().count(),
        breaking: denied.len(),
        breaks: breaks::grouped(cluster, &program, denied),
        denied_already: already,
        mended,
        undetermined,
        span: seen.tally.span,
        nodes_not_seen: nodes.difference(&seen.tally.nodes).cloned().collect(),
        nodes: seen.tally.nodes.clone(),
        never_seen: never_seen(cluster, &program, meant, seen),
        left_out: seen.unknown.len(),
        unreadable: seen.tally.unreadable + seen.tally.beyond,
        lost: seen.tally.lost,
    }
}

/// Workloads that one of the policies selects, and of which nothing was seen, by name.
fn never_seen(cluster: &Cluster, program: &PolicyProgram, meant: &BTreeSet<PolicyRef>, seen: &Observed) -> Vec<String> {
    let selects = |pod: PodId| {
        program.identity_of(pod).is_some_and(|identity| {
            Direction::ALL.into_iter().any(|direction| {
                let profile = program.profile(program.profile_of(identity, direction));
                profile.tiers.iter().flat_map(|tier| &tier.policies).any(|policy| meant.contains(policy))
            })
        })
    };
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network).map(|(id, _)| id);
    let name = |pod: PodId| breaks::name(cluster, Side { endpoint: Endpoint::Pod(pod), address: None });
    // Whether something was seen of one of the workload's pods.
    let mut workloads: BTreeMap<String, bool> =
        pods.filter(|pod| selects(*pod)).map(|pod| (name(pod), false)).collect();
    for met in &seen.connections {
        for side in [met.source, met.destination] {
            if let Some(was_seen) = workloads.get_mut(&breaks::name(cluster, side)) {
                *was_seen = true;
            }
        }
    }
    workloads.into_iter().filter(|(_, was_seen)| !was_seen).map(|(name, _)| name).collect()
}
