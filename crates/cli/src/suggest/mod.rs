//! `palisade suggest`: the least policies that allow what was observed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::ExitCode,
};

use anyhow::{Result, bail};
use palisade_engine::{
    Outcome, PolicyProgram,
    model::{Cluster, Direction, Endpoint, Flow, Mode, ObjectRef, PodId, Side, Traffic},
};
use palisade_lint::Subject;
use palisade_suggest::{Options, Suggestion, suggest};

use crate::{
    args::Suggest,
    breaks, input,
    observed::{self, Met, Observed},
    screen,
};

/// What `palisade check` finds of policies that allow what was seen and no more, and why that is meant.
const EXPECTED: [(&str, &str); 3] = [
    ("NP103", "no name was seen to be resolved"),
    ("NP104", "no name was seen to be resolved over TCP"),
    ("NP303", "the port was seen to be used"),
];

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
    let options = Options { max_prefixes: usize::from(arguments.max_prefixes), deny_unseen: arguments.deny_unseen };
    let mut suggestion = suggest(&before, &observed, &mentioned(&seen), options);
    let mut with = inventory;
    with.policies.extend(suggestion.policies.iter().map(|suggested| suggested.policy.clone()));
    let after = input::changed(with)?;
    // As they are when nothing is audited any more: what an audit lets pass is no proof.
    let program = PolicyProgram::compile(&after).with_audited();
    replay(&after, &program, &observed)?;
    expect(&after, &program, &mut suggestion);
    let audited = audited(&after, &mut suggestion);
    screen::out_bytes(suggestion.to_yaml().as_bytes())?;
    for wider in suggestion.wider.iter().chain(&beside(&after, &program, &suggestion)) {
        screen::note(&format!("allowed though never seen: {wider}"));
    }
    for (names, what) in [
        (&audited, "audited, since their namespace is, so they deny nothing yet"),
        (&suggestion.unseen, "nothing was seen of, and no policy is suggested for"),
        (&suggestion.closed, "nothing was seen of, and nothing is allowed to or from"),
    ] {
        if !names.is_empty() {
            screen::note(&format!("{what}: {}", names.join(", ")));
        }
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

/// Pods of which something was seen, be it only that it was denied.
fn mentioned(seen: &Observed) -> BTreeSet<PodId> {
    let sides = seen.connections.iter().flat_map(|met| [met.source, met.destination]);
    let pod = |side: Side| match side.endpoint {
        Endpoint::Pod(pod) => Some(pod),
        Endpoint::Node(_) | Endpoint::Outside => None,
    };
    sides.filter_map(pod).collect()
}

/// Every connection that was observed must pass for certain.
fn replay(cluster: &Cluster, program: &PolicyProgram, observed: &[palisade_suggest::Observed]) -> Result<()> {
    for seen in observed {
        let flow = Flow::new(seen.source, seen.destination, Traffic::Port(seen.protocol, seen.port))?;
        let why = match program.verdict(cluster, &flow).outcome() {
            Outcome::Allow => continue,
            Outcome::Deny => {
                "would still be denied: by a cluster-wide policy, which no NetworkPolicy overrides, or else by a fault of \
                 this program"
            }
            Outcome::Undetermined => {
                "may still be denied: a rule of a cluster-wide policy asks for an address or a name that is not known"
            }
        };
        let (from, to) = (breaks::name(cluster, seen.source), breaks::name(cluster, seen.destination));
        bail!("{from} -> {to} {} {} was observed and {why}", seen.protocol, seen.port);
    }
    Ok(())
}

/// What `palisade check` would find of the suggested policies since something was not seen becomes an annotation with
/// just that reason. The rules of `check` are asked, so that none is silenced that would not speak.
fn expect(cluster: &Cluster, program: &PolicyProgram, suggestion: &mut Suggestion) {
    let subject = Subject::new(cluster, program);
    for (code, reason) in EXPECTED {
        let Some(lint) = palisade_lint::find(code) else { continue };
        let found: BTreeSet<String> = lint.check(&subject).into_iter().map(|finding| finding.object).collect();
        for suggested in &mut suggestion.policies {
            if found.contains(&format!("NetworkPolicy {}", suggested.policy.id)) {
                suggested.remarks.ignored.push((code, reason));
            }
        }
    }
}

/// The suggested policies that are audited where they are applied, since their namespace is: they say so themselves.
fn audited(cluster: &Cluster, suggestion: &mut Suggestion) -> Vec<String> {
    let audited = cluster.policies().filter(|(id, _)| cluster.mode_of((*id).into()) == Mode::Audit);
    let audited: BTreeSet<&ObjectRef> = audited.map(|(_, policy)| &policy.id).collect();
    let mut names = Vec::new();
    for suggested in suggestion.policies.iter_mut().filter(|suggested| audited.contains(&suggested.policy.id)) {
        let namespace = &suggested.policy.id.namespace;
        let annotation = format!("{}: {}", Mode::ANNOTATION, Mode::Audit);
        suggested
            .remarks
            .above
            .push(format!("Audited, it denies nothing yet: the namespace {namespace} says `{annotation}`."));
        names.push(suggested.policy.id.to_string());
    }
    names
}

/// Policies of the input that select pods of the suggested ones: policies add up, so what they allow stays allowed.
fn beside(cluster: &Cluster, program: &PolicyProgram, suggestion: &Suggestion) -> Vec<String> {
    let own: BTreeSet<&ObjectRef> = suggestion.policies.iter().map(|suggested| &suggested.policy.id).collect();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (identity, known) in program.identities() {
        for direction in Direction::ALL {
            let profile = program.profile(program.profile_of(identity, direction));
            let policies: Vec<&ObjectRef> = profile.isolating().map(|policy| &cluster.policy(policy).id).collect();
            let others = policies.iter().filter(|policy| !own.contains(*policy)).map(ToString::to_string);
            if policies.iter().any(|policy| own.contains(policy)) {
                let others: BTreeSet<String> = others.collect();
                for pod in known.pods.iter().filter(|_| !others.is_empty()) {
                    let side = Side { endpoint: Endpoint::Pod(*pod), address: None };
                    told.entry(breaks::name(cluster, side)).or_default().extend(others.iter().cloned());
                }
            }
        }
    }
    let text = |(name, policies): (String, BTreeSet<String>)| {
        let policies: Vec<String> = policies.into_iter().collect();
        format!("what policies of the input allow {name}: {}", policies.join(", "))
    };
    told.into_iter().map(text).collect()
}
