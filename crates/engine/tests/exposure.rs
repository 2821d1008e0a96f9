//! Property: whoever is of an audience may do what is told of it, and nobody may do what is told of none of his.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: a wrong fixture shall fail")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_engine::{
    PolicyProgram,
    exposure::Audience,
    model::{Cluster, Direction, Endpoint, Family, Flow, Side, Traffic},
    sets::TrafficSet,
};
use palisade_oracle::generate::Generator;

/// How many clusters: 3,000, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000)
}

/// Everyone there is, and addresses at the boundaries of all blocks.
fn everyone(cluster: &Cluster, program: &PolicyProgram) -> Vec<Side> {
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live()).map(|(id, _)| id);
    let pods = pods.flat_map(|id| Family::ALL.into_iter().filter_map(move |family| cluster.side_of_pod(id, family)));
    let nodes = cluster.nodes().flat_map(|(_, node)| node.addresses.clone());
    let v4 = program.blocks().flat_map(|block| {
        block.v4().ranges().flat_map(|(first, last)| {
            [first.saturating_sub(1), first, last, last.saturating_add(1)]
                .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)))
        })
    });
    let v6 = program.blocks().flat_map(|block| {
        block.v6().ranges().flat_map(|(first, last)| {
            [first.saturating_sub(1), first, last, last.saturating_add(1)]
                .map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)))
        })
    });
    let strangers = ["198.18.77.2", "2001:db8:7777::2"].map(|address| address.parse().unwrap());
    let mut addresses: Vec<IpAddr> = nodes.chain(v4).chain(v6).chain(strangers).collect();
    addresses.sort_unstable();
    addresses.dedup();
    pods.chain(addresses.into_iter().map(|address| cluster.side_of_address(address))).collect()
}

/// The clusters that were asked about, by what makes the question hard.
#[derive(Debug, Default)]
struct Seen {
    audiences: usize,
    narrowed: usize,
    passed: usize,
    some: usize,
    none: usize,
    all: usize,
}

#[test]
fn an_audience_is_told_what_it_may_do_and_nothing_else() {
    let mut seen = Seen::default();
    for seed in 0..clusters() {
        let cluster = Generator::new(seed).with_cluster_policies().cluster();
        let program = PolicyProgram::compile(&cluster);
        let everyone = everyone(&cluster, &program);
        for (id, identity) in program.identities() {
            let Some(pod) = identity.pods.first().copied() else { continue };
            let exposure: Vec<(Audience<'_>, TrafficSet)> = program.exposure(&cluster, id);
            seen.audiences += exposure.len();
            seen.narrowed += exposure.iter().filter(|(audience, _)| !audience.but.is_empty()).count();
            seen.passed += exposure.iter().filter(|(audience, _)| audience.of.len() > 1).count();
            for from in everyone.iter().filter(|from| from.endpoint != Endpoint::Pod(pod)) {
                let Some(family) = from.address.map(Family::of) else { continue };
                let Some(to) = cluster.side_of_pod(pod, family).filter(|to| to.address.is_some()) else { continue };
                let flow = Flow::new(*from, to, Traffic::Portless).unwrap();
                let found = program.half_traffic(&flow, Direction::Ingress);
                assert!(found.undetermined.is_empty(), "seed {seed}: every address is known here");
                let of = exposure.iter().filter(|(audience, _)| audience.has(&program, *from));
                let told = of.fold(TrafficSet::empty(), |told, (_, traffic)| told.union(traffic));
                assert_eq!(told, found.allowed, "seed {seed}: {from:?} to {}: {exposure:#?}", cluster.pod(pod).id);
                match (told.is_all(), told.is_empty()) {
                    (true, _) => seen.all += 1,
                    (_, true) => seen.none += 1,
                    (false, false) => seen.some += 1,
                }
            }
        }
    }
    let Seen { audiences, narrowed, passed, some, none, all } = seen;
    let least = [audiences, narrowed, passed, some, none, all].into_iter().min().unwrap();
    assert!(least as u64 > clusters() / 10, "{seen:?}");
}

#[test]
fn it_does_not_depend_on_who_is_there() {
    let mut compared = 0;
    for seed in 0..clusters() / 10 {
        let generator = Generator::new(seed).with_cluster_policies();
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        let text = |program: &PolicyProgram, cluster: &Cluster, id| format!("{:?}", program.exposure(cluster, id));
        for (id, identity) in program.identities() {
            let Some(pod) = identity.pods.first().map(|pod| cluster.pod(*pod).id.clone()) else { continue };
            let mut inventory = generator.inventory();
            inventory.pods.retain(|one| one.id == pod);
            // Also those that are there for their pods alone: a namespace that is there has its labels.
            inventory.namespaces = cluster.namespaces().cloned().collect();
            let alone = inventory.into_cluster().unwrap();
            let its = PolicyProgram::compile(&alone);
            // Pods of workloads alone are made up by the cluster, and stay.
            let own = alone.find_pod(&pod).and_then(|pod| its.identity_of(pod)).unwrap();
            assert_eq!(text(&its, &alone, own), text(&program, &cluster, id), "seed {seed}: {pod}");
            compared += 1;
        }
    }
    assert!(compared > clusters() / 10, "{compared}");
}
