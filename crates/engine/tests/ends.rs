//! Properties: ends are found by what they are, and sets of ends are named for what is in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod dice;

use std::{collections::BTreeSet, net::IpAddr};

use dice::Dice;
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use palisade_engine::{
    Connections, PolicyProgram,
    connections::{By, End, EndId, EndSet, Groups, OutsideMembers, Part, PodMembers, UnitId},
    model::{Cluster, Direction, Endpoint, Family, NodeId, PodId},
    sets::PrefixSet,
};
use palisade_oracle::generate::Generator;

const CLUSTERS: u64 = 200;

fn each(check: impl Fn(u64, &Cluster, &PolicyProgram, &Connections)) {
    for seed in 0..CLUSTERS {
        let cluster = Generator::new(seed).cluster();
        let program = PolicyProgram::compile(&cluster);
        check(seed, &cluster, &program, &Connections::new(&cluster, &program));
    }
}

fn addresses(first: IpAddr, last: IpAddr) -> PrefixSet {
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Ipv4Subnets::new(a, b, 0).map(IpNet::V4).collect(),
        (IpAddr::V6(a), IpAddr::V6(b)) => Ipv6Subnets::new(a, b, 0).map(IpNet::V6).collect(),
        _ => PrefixSet::empty(),
    }
}

#[test]
fn ends_are_found_by_what_they_are() {
    each(|seed, cluster, program, connections| {
        let ends = connections.ends();
        assert!(!ends.is_empty());
        let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
        for (id, end) in ends.iter() {
            assert_eq!(ends.get(id), end);
            match end {
                End::Pods(identity) => assert_eq!(ends.of_identity(*identity), id),
                End::Node { node, .. } => {
                    assert!(ends.of_node(*node).any(|found| found == id), "seed {seed}");
                    assert!(
                        ends.of_node(*node)
                            .all(|found| matches!(ends.get(found), End::Node { node: of, .. } if of == node))
                    );
                    nodes.insert(*node);
                }
                End::Outside { first, last } => {
                    assert_eq!((ends.of_outside(*first), ends.of_outside(*last)), (id, id), "seed {seed}");
                    let own: EndSet = std::iter::once(id.number()).collect();
                    assert_eq!(ends.of_prefixes(&addresses(*first, *last)) | &own, own, "seed {seed}");
                    let present = ends.is_present(id, Family::of(*first));
                    assert_eq!(!ends.of_prefixes(&addresses(*first, *last)).is_empty(), present, "seed {seed}");
                }
            }
        }
        assert_eq!(nodes.len(), cluster.nodes().len(), "every node has an end");
        assert_eq!(ends.len() as u64, ends.pods().len() + ends.nodes().len() + ends.outside().len());
        for direction in Direction::ALL {
            let open = connections.not_isolated(program, direction);
            for (id, end) in ends.iter() {
                let wanted = match end {
                    End::Pods(identity) => program.profile(program.profile_of(*identity, direction)).is_open(),
                    End::Node { .. } | End::Outside { .. } => true,
                };
                assert_eq!(open.contains(id.number()), wanted, "seed {seed}, {direction}");
            }
        }
    });
}

/// Whether an outside end has an address that is nobody's.
#[test]
fn the_outside_is_what_nobody_has() {
    each(|seed, cluster, _, connections| {
        for (id, end) in connections.ends().iter() {
            let End::Outside { first, last } = end else { continue };
            // Small ranges alone can be taken whole.
            let prefixes: Vec<IpNet> = addresses(*first, *last).prefixes().collect();
            let [only] = prefixes.as_slice() else { continue };
            if only.max_prefix_len() - only.prefix_len() > 4 {
                continue;
            }
            let hosts: Vec<IpAddr> = match only {
                IpNet::V4(net) => {
                    (net.network().to_bits()..=net.broadcast().to_bits()).map(|bits| IpAddr::V4(bits.into())).collect()
                }
                IpNet::V6(net) => {
                    (net.network().to_bits()..=net.broadcast().to_bits()).map(|bits| IpAddr::V6(bits.into())).collect()
                }
            };
            let free = hosts.iter().any(|host| cluster.endpoint_of(*host) == Endpoint::Outside);
            assert_eq!(connections.ends().is_present(id, Family::of(*first)), free, "seed {seed}: {only}");
        }
    });
}

fn pods_of(groups: &Groups, unit: UnitId) -> BTreeSet<PodId> {
    groups.unit(unit).pods.iter().copied().collect()
}

/// The pods that parts mean; of a group in part only how many there are is known.
fn meant(groups: &Groups, cluster: &Cluster, parts: &[Part], truth: &BTreeSet<PodId>) -> BTreeSet<PodId> {
    let mut found = BTreeSet::new();
    for part in parts {
        match part {
            Part::Namespace(name) => {
                let of = |unit: &&palisade_engine::connections::Unit| unit.namespace == *name;
                found.extend(groups.units().iter().filter(of).flat_map(|unit| unit.pods.iter().copied()));
                assert!(groups.units().iter().filter(of).count() > 1, "one group is called by its own name");
            }
            Part::Unit(unit) => found.extend(pods_of(groups, *unit)),
            Part::Some(unit, count) => {
                let all = pods_of(groups, *unit);
                let inside: Vec<PodId> = all.iter().copied().filter(|pod| truth.contains(pod)).collect();
                assert_eq!(inside.len(), *count as usize);
                assert!(inside.len() < all.len() && !inside.is_empty());
                found.extend(inside);
            }
        }
    }
    assert!(found.iter().all(|pod| cluster.pod(*pod).is_live()));
    found
}

#[test]
fn a_name_means_what_is_in_the_set() {
    let (mut but, mut parts_named) = (0, 0);
    for seed in 0..CLUSTERS * 3 {
        let cluster = Generator::new(seed).cluster();
        let program = PolicyProgram::compile(&cluster);
        let connections = Connections::new(&cluster, &program);
        let ends = connections.ends();
        let mut dice = Dice(seed);
        let by = *dice.one(&[By::Pod, By::Workload, By::Namespace]);
        let groups = Groups::new(&cluster, &program, by);
        let most = 1 + dice.below(4);
        let list: Vec<(EndId, &End)> = ends.iter().collect();
        let set: EndSet = list.iter().filter(|_| dice.below(5) < most).map(|(id, _)| id.number()).collect();

        let mut all: BTreeSet<PodId> = BTreeSet::new();
        let (mut pods, mut nodes, mut outside) = (BTreeSet::new(), BTreeSet::new(), PrefixSet::empty());
        for (id, end) in &list {
            let inside = set.contains(id.number());
            match end {
                End::Pods(identity) => {
                    all.extend(&program.identity(*identity).pods);
                    pods.extend(program.identity(*identity).pods.iter().filter(|_| inside));
                }
                End::Node { node, .. } if inside => _ = nodes.insert(*node),
                End::Outside { first, last } if inside => outside = outside.union(&addresses(*first, *last)),
                End::Node { .. } | End::Outside { .. } => {}
            }
        }
        let members = groups.name(&connections, &set);
        let named = match &members.pods {
            PodMembers::None => BTreeSet::new(),
            PodMembers::AllBut(parts) => {
                but += 1;
                let missing: BTreeSet<PodId> = all.difference(&pods).copied().collect();
                all.difference(&meant(&groups, &cluster, parts, &missing)).copied().collect()
            }
            PodMembers::Parts(parts) => {
                parts_named += parts.len();
                meant(&groups, &cluster, parts, &pods)
            }
        };
        assert_eq!(named, pods, "seed {seed}, {by:?}: {:?}", members.pods);
        match &members.nodes {
            None => assert!(!nodes.is_empty() && ends.nodes().is_subset(&set), "seed {seed}"),
            Some(named) => {
                assert_eq!(named.iter().copied().collect::<BTreeSet<NodeId>>(), nodes, "seed {seed}");
                assert!(nodes.is_empty() || !ends.nodes().is_subset(&set));
            }
        }
        match &members.outside {
            OutsideMembers::None => assert!(outside.is_empty(), "seed {seed}"),
            OutsideMembers::Prefixes(named) => assert_eq!(*named, outside, "seed {seed}"),
            OutsideMembers::All => {
                for family in Family::ALL.into_iter().filter(|family| !ends.present(*family).is_disjoint(ends.pods())) {
                    assert!((ends.present(family) & ends.outside()).is_subset(&set), "seed {seed}");
                }
            }
        }
    }
    assert!(but > 50 && parts_named > 200, "{but} and {parts_named}");
}
