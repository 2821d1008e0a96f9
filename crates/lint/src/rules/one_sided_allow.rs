//! An allow that the other side denies
//!
//! ## What it does
//! Finds rules that allow connections between pods which the policies at the other end deny, all of them.
//!
//! ## Why is this bad
//! A connection needs both ends: egress at the source and ingress at the destination. A rule at one end
//! alone allows nothing.
//!
//! ## Example
//! `frontend` may send to `db` on 5432, while the policy of `db` takes connections from `backend` only.
//!
//! ## Use instead
//! A rule at both ends, or none.
//!
//! ## Where it comes from
//! "The two sides of the connection" in the Kubernetes documentation.

use std::collections::BTreeSet;

use palisade_engine::{
    compile::{Action, IdentityId, Peers, ProfileId, Rule, RulePeer},
    model::{Direction, Name, PolicyId},
    sets::TrafficSet,
};

use crate::{Finding, Level, Lint, Subject, subject::rule_field};

pub(crate) const LINT: Lint = Lint {
    code: "NP107",
    name: "one-sided-allow",
    level: Some(Level::Warning),
    source: include_str!("one_sided_allow.rs"),
    check,
};

/// A rule whose peers are more different pods than this is about everyone: no single other side is meant.
const MOST_PEERS: u64 = 64;

/// More policies of the other end than this are not named.
const MOST_NAMED: usize = 3;

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (id, policy, object) in subject.policies() {
        for (direction, index, written) in subject.rules(id) {
            let Some(rule) = subject.compiled(id, direction, index) else { continue };
            let Some(blocking) = blocked(subject, id, subject.program.rule(rule)) else { continue };
            let (word, other) = match direction {
                Direction::Egress => ("to", "ingress"),
                Direction::Ingress => ("from", "egress"),
            };
            let first = blocking.iter().take(MOST_NAMED).map(|id| subject.cluster.policy(*id).id.to_string());
            let first: Vec<String> = first.collect();
            let message = format!("{} allows connections {word} pods whose {other} denies all of them", policy.id.name);
            let mut finding =
                Finding::new(&object, message).at(rule_field(direction, index), written.at, "allows nothing alone");
            for id in blocking.iter().take(MOST_NAMED) {
                finding = finding.also(subject.cluster.policy(*id).at, format!("isolates the other end for {other}"));
            }
            findings
                .push(finding.help(format!("add the {other} rule to {}, or take this one out", first.join(" or "))));
        }
    }
}

/// The policies that deny everything a rule allows, if they do, at each of its peers.
fn blocked(subject: &Subject<'_>, policy: PolicyId, rule: &Rule) -> Option<BTreeSet<PolicyId>> {
    let program = subject.program;
    let Peers::Of(peers) = &rule.peers else { return None };
    let mut others: BTreeSet<IdentityId> = BTreeSet::new();
    for peer in peers {
        match peer {
            RulePeer::Pods { members, .. } if program.members(*members).len() <= MOST_PEERS => {
                others.extend(program.selected(*members));
            }
            // Who else an address may be is not known.
            RulePeer::Pods { .. } | RulePeer::Block(_) | RulePeer::Nodes { .. } | RulePeer::Names { .. } => {
                return None;
            }
        }
    }
    let subjects: Vec<IdentityId> =
        program.selected(program.subjects_of(policy)?).take(MOST_PEERS as usize + 1).collect();
    if others.is_empty() || subjects.is_empty() || subjects.len() as u64 > MOST_PEERS {
        return None;
    }
    let away = match rule.origin.direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    };
    let mut blocking = BTreeSet::new();
    let mut seen: BTreeSet<(ProfileId, Vec<&Name>)> = BTreeSet::new();
    for other in &others {
        let profile = program.profile_of(*other, away);
        program.profile(profile).isolating().next()?;
        blocking.extend(program.profile(profile).isolating());
        // Pods under the same rules differ only by the ports that they give a name.
        if !seen.insert((profile, program.identity(*other).named_ports().map(|(name, ..)| name).collect())) {
            continue;
        }
        for near in &subjects {
            // A pod always reaches itself.
            let itself = near == other && program.identity(*near).pods.len() == 1;
            if itself || passes(subject, profile, *near, *other, rule) {
                return None;
            }
        }
    }
    Some(blocking)
}

/// Whether some rule of the other end's profile takes `near` for some of the traffic of `rule`.
fn passes(subject: &Subject<'_>, profile: ProfileId, near: IdentityId, other: IdentityId, rule: &Rule) -> bool {
    let program = subject.program;
    let destination = match rule.origin.direction {
        Direction::Egress => other,
        Direction::Ingress => near,
    };
    let traffic = |rule: &Rule| -> TrafficSet { program.traffic_towards(rule, destination) };
    let mine = traffic(rule);
    let rules = program.profile(profile).tiers.iter().flat_map(|tier| &tier.rules).map(|id| program.rule(*id));
    rules.into_iter().filter(|there| there.action == Action::Accept).any(|there| {
        let takes = match &there.peers {
            Peers::Any => true,
            Peers::Of(peers) => peers.iter().any(|peer| match peer {
                RulePeer::Pods { members, .. } => program.selects(*members, near),
                RulePeer::Nodes { .. } | RulePeer::Names { .. } => false,
                RulePeer::Block(block) => subject.pods(near).any(|pod| {
                    let mut addresses = pod.addresses.iter().peekable();
                    addresses.peek().is_none() || addresses.any(|address| program.block(*block).contains(address))
                }),
            }),
        };
        takes && !traffic(there).intersection(&mine).is_empty()
    })
}
