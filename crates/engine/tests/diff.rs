//! Properties: a difference is exactly what the connections of two states differ in, and there is none
//! where policies are only written in another way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod dice;

use dice::Dice;
use palisade_engine::{
    Connections, PolicyProgram,
    connections::{End, EndId, TrafficId},
    diff::{Difference, JointEnd, State},
    model::{
        Cluster, Family, Inventory, NetworkPolicy, ObjectRef, Peer, PodId, PolicyPort, PolicyRule, PortMatch, PortRange,
    },
    sets::TrafficSet,
};
use palisade_oracle::generate::Generator;

/// How many pairs of states: 600, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

fn compared<T>(old: Inventory, new: Inventory, check: impl FnOnce(Difference) -> T) -> T {
    let (old, new) = (old.into_cluster().unwrap(), new.into_cluster().unwrap());
    let programs = [&old, &new].map(PolicyProgram::compile);
    let state = |cluster, program| State { cluster, program };
    check(Difference::new(state(&old, &programs[0]), state(&new, &programs[1])))
}

/// One to three changes such as people make.
fn changed(mut inventory: Inventory, other: &Inventory, dice: &mut Dice) -> Inventory {
    for round in 0..=dice.below(3) {
        let policies = inventory.policies.len();
        match dice.below(7) {
            0 if policies > 0 => _ = inventory.policies.remove(dice.below(policies)),
            1 if policies > 0 => {
                let policy = &mut inventory.policies[dice.below(policies)];
                policy.ingress.pop();
                policy.egress.pop();
            }
            2 if policies > 0 => inventory.policies[dice.below(policies)].subject = Default::default(),
            3 if inventory.pods.len() > 2 => _ = inventory.pods.remove(dice.below(inventory.pods.len())),
            4 if inventory.pods.len() > 1 => {
                let labels = dice.one(&inventory.pods).labels.clone();
                let at = dice.below(inventory.pods.len());
                inventory.pods[at].labels = labels;
            }
            5 if policies > 0 => inventory.policies[dice.below(policies)].policy_types = None,
            _ if !other.policies.is_empty() => {
                let mut policy = dice.one(&other.policies).clone();
                let name = format!("added-{round}");
                policy.id = ObjectRef::new(policy.id.namespace.clone(), name.as_str());
                inventory.policies.push(policy);
            }
            _ => {}
        }
    }
    inventory
}

fn set(connections: &Connections, from: Option<EndId>, to: Option<EndId>, family: Family) -> Option<TrafficSet> {
    let (from, to) = (from?, to?);
    let ends = connections.ends();
    if !ends.is_present(from, family) || !ends.is_present(to, family) {
        return None;
    }
    let cell = connections.allowed().between(from, to);
    Some(connections.traffic(cell.of(family).unwrap_or(TrafficId::NOTHING)).clone())
}

/// A family counts where both states have it, or where an end is only in the state that has it.
fn is_comparable(difference: &Difference, end: JointEnd, family: Family) -> bool {
    let present =
        |connections: &Connections, end: Option<EndId>| end.map(|end| connections.ends().is_present(end, family));
    match (present(&difference.old, end.old), present(&difference.new, end.new)) {
        (Some(old), Some(new)) => old && new,
        (only, other) => only.or(other).unwrap_or(false),
    }
}

/// NetworkPolicies alone, and with cluster-wide policies before and behind them.
const GENERATORS: [fn(u64) -> Generator; 2] = [Generator::new, |seed| Generator::new(seed).with_cluster_policies()];

#[test]
fn a_difference_is_what_the_connections_differ_in() {
    let (mut gained, mut lost, mut exempt) = (0u64, 0u64, 0u64);
    for (seed, generator) in (0..clusters()).flat_map(|seed| GENERATORS.map(|generator| (seed, generator))) {
        let mut dice = Dice(seed);
        let (old, other) = (generator(seed).inventory(), generator(seed + 100_000).inventory());
        let mut new = changed(old.clone(), &other, &mut dice);
        if !other.cluster_policies.is_empty() && dice.below(2) == 0 {
            new.cluster_policies = other.cluster_policies;
        }
        let (old_cluster, new_cluster) = (old.clone().into_cluster().unwrap(), new.clone().into_cluster().unwrap());
        compared(old, new, |difference| {
            let ends: Vec<u32> = (0..difference.ends.len()).collect();
            for _ in 0..200 {
                let (from, to) = (*dice.one(&ends), *dice.one(&ends));
                let family = *dice.one(&Family::ALL);
                let end = |index: u32| difference.ends.members(&[index].into_iter().collect()).next().unwrap();
                let (source, target) = (end(from), end(to));
                let mut of = difference.changes.iter().filter(|change| {
                    change.family.is_none_or(|of| of == family) && change.from.contains(from) && change.to.contains(to)
                });
                let change = of.next();
                assert!(of.next().is_none(), "seed {seed}: a pair is in two changes");
                if is_exempt(&difference, (&old_cluster, &new_cluster), from, to) {
                    assert!(change.is_none(), "seed {seed}: what no policy is about has not changed");
                    exempt += 1;
                    continue;
                }
                if ![source, target].into_iter().all(|end| is_comparable(&difference, end, family)) {
                    // Over a family that is not compared nothing may be said but what holds for the other.
                    assert!(change.is_none_or(|change| change.family.is_none()), "seed {seed}");
                    continue;
                }
                let before = set(&difference.old, source.old, target.old, family).unwrap_or_default();
                let after = set(&difference.new, source.new, target.new, family).unwrap_or_default();
                let told = change.map(|change| (change.gained.clone(), change.lost.clone())).unwrap_or_default();
                assert_eq!(told, (after.difference(&before), before.difference(&after)), "seed {seed}, {family}");
                gained += u64::from(!told.0.is_empty());
                lost += u64::from(!told.1.is_empty());
            }
        });
    }
    let least = clusters() / 2;
    assert!(gained > least && lost > least && exempt > least, "gained {gained}, lost {lost}, exempt {exempt}");
}

/// Whether two ends are one pod, or pods and the node that all of them run on, in both states.
fn is_exempt(difference: &Difference, clusters: (&Cluster, &Cluster), from: u32, to: u32) -> bool {
    let (old, new) = clusters;
    let of = |end: u32| {
        let pods =
            |list: Vec<(u32, PodId)>| list.into_iter().filter(move |(number, _)| *number == end).map(|(_, pod)| pod);
        let before = pods(difference.ends.old_pods().collect()).map(|pod| (old, pod));
        before.chain(pods(difference.ends.new_pods().collect()).map(|pod| (new, pod))).collect::<Vec<_>>()
    };
    let node = |end: u32| {
        let end = difference.ends.members(&[end].into_iter().collect()).next().unwrap();
        let name = |connections: &Connections, cluster: &Cluster, end: EndId| match connections.ends().get(end) {
            End::Node { node, .. } => Some(cluster.node(*node).name.clone()),
            _ => None,
        };
        let before = end.old.and_then(|end| name(&difference.old, old, end));
        before.or_else(|| end.new.and_then(|end| name(&difference.new, new, end)))
    };
    let (mut a, mut b, mut ends) = (of(from), of(to), (from, to));
    if a.is_empty() {
        (a, b, ends) = (b, a, (to, from));
    }
    let names: std::collections::BTreeSet<_> = a.iter().map(|(cluster, pod)| &cluster.pod(*pod).id).collect();
    if ends.0 == ends.1 {
        return names.len() == 1;
    }
    let Some(node) = node(ends.1).filter(|_| b.is_empty() && !a.is_empty()) else { return false };
    a.iter().all(|(cluster, pod)| cluster.node_of(*pod).is_some_and(|on| cluster.node(on).name == node))
}

/// The same policies, written otherwise.
fn rewritten(mut inventory: Inventory, dice: &mut Dice) -> Inventory {
    for policy in &mut inventory.policies {
        for rules in [&mut policy.ingress, &mut policy.egress] {
            *rules = rules.iter().flat_map(split_rule).collect();
            dice.shuffle(rules);
        }
    }
    // Two policies where there was one: each half of the rules.
    let second: Vec<NetworkPolicy> = inventory.policies.iter().filter_map(halved).collect();
    for policy in &mut inventory.policies {
        if halved(policy).is_some() {
            policy.ingress.truncate(policy.ingress.len() / 2);
            policy.egress.truncate(policy.egress.len() / 2);
        }
    }
    inventory.policies.extend(second);
    dice.shuffle(&mut inventory.policies);
    dice.shuffle(&mut inventory.pods);
    inventory
}

/// The second half of a policy's rules, where its types do not depend on them.
fn halved(policy: &NetworkPolicy) -> Option<NetworkPolicy> {
    policy.policy_types.filter(|types| types.ingress || types.egress)?;
    let mut half = policy.clone();
    half.id = ObjectRef::new(half.id.namespace.clone(), format!("{}-second-half", half.id.name).as_str());
    half.ingress.drain(..half.ingress.len() / 2);
    half.egress.drain(..half.egress.len() / 2);
    Some(half)
}

/// A rule for each peer and each half of each range of ports.
fn split_rule(rule: &PolicyRule) -> Vec<PolicyRule> {
    let peers: Vec<Vec<Peer>> = match rule.peers.as_slice() {
        [] => vec![Vec::new()],
        peers => peers.iter().flat_map(split_peer).map(|peer| vec![peer]).collect(),
    };
    let ports: Vec<Vec<PolicyPort>> = match rule.ports.as_slice() {
        [] => vec![Vec::new()],
        ports => ports.iter().flat_map(split_port).map(|port| vec![port]).collect(),
    };
    let pairs = peers.iter().flat_map(|peers| ports.iter().map(move |ports| (peers.clone(), ports.clone())));
    pairs.map(|(peers, ports)| PolicyRule { peers, ports, ..rule.clone() }).collect()
}

fn split_peer(peer: &Peer) -> Vec<Peer> {
    let Peer::IpBlock(block) = peer else { return vec![peer.clone()] };
    // An address that is not known is in the whole family for certain, but in neither half.
    if block.cidr.prefix_len() == 0 && block.except.is_empty() {
        return vec![peer.clone()];
    }
    let Ok(halves) = block.cidr.subnets(block.cidr.prefix_len() + 1) else { return vec![peer.clone()] };
    let halves = halves.map(|cidr| {
        let except = block.except.iter().copied();
        // What is taken away from both halves is in both; a whole half may be.
        let except = except.filter(|net| cidr.contains(net) || net.contains(&cidr));
        let except = except.map(|net| if net.contains(&cidr) { cidr } else { net }).collect();
        Peer::IpBlock(palisade_engine::model::IpBlock { cidr, except, ..block.clone() })
    });
    halves.collect()
}

fn split_port(port: &PolicyPort) -> Vec<PolicyPort> {
    let PortMatch::Range(range) = &port.port else { return vec![port.clone()] };
    let middle = range.first() + (range.last() - range.first()) / 2;
    let halves =
        [PortRange::new(range.first(), middle), middle.checked_add(1).and_then(|m| PortRange::new(m, range.last()))];
    halves.into_iter().flatten().map(|half| PolicyPort { port: PortMatch::Range(half), ..port.clone() }).collect()
}

#[test]
fn what_is_only_written_otherwise_is_no_difference() {
    let mut rules = 0;
    for seed in 0..clusters() {
        let old = Generator::new(seed).inventory();
        let new = rewritten(old.clone(), &mut Dice(seed));
        rules += new.policies.iter().map(|policy| policy.ingress.len() + policy.egress.len()).sum::<usize>();
        compared(old, new, |difference| {
            assert!(difference.changes.is_empty(), "seed {seed}: {:?}", difference.changes);
        });
    }
    assert!(rules as u64 > clusters(), "{rules}");
}

#[test]
fn pods_with_new_names_are_their_workload() {
    let pod = |name: &str| {
        let mut inventory = Generator::new(3).inventory();
        inventory.pods.retain(|pod| pod.owner.is_none());
        let mut pod = inventory.pods[0].clone();
        pod.id = ObjectRef::new("prod", name);
        pod.owner = Some(palisade_engine::model::OwnerRef { kind: "StatefulSet".into(), name: "db".into() });
        Inventory { pods: vec![pod], ..Inventory::default() }
    };
    compared(pod("db-0"), pod("db-7"), |difference| assert!(difference.changes.is_empty()));
    let without = Inventory::default();
    compared(pod("db-0"), without, |difference| {
        assert!(difference.changes.iter().all(|change| change.gained.is_empty()) && !difference.changes.is_empty());
    });
}
