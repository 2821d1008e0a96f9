//! Property: on random clusters the engine says what the oracle says, of every flow tried.

use palisade_engine::{
    PolicyProgram,
    model::{Flow, Protocol, Traffic},
    verdict::Outcome,
};
use palisade_oracle::{
    Answer, answer,
    generate::{Generator, flow_text},
};

const FLOWS: usize = 40;

/// How many clusters: 10,000, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Allow => Outcome::Allow,
        Answer::Deny => Outcome::Deny,
        Answer::Undetermined => Outcome::Undetermined,
    }
}

/// NetworkPolicies alone, and with cluster-wide policies before and behind them.
fn generators(seed: u64) -> [Generator; 2] {
    [Generator::new(seed), Generator::new(seed).with_cluster_policies()]
}

#[test]
fn engine_equals_oracle() {
    for generator in (0..clusters()).flat_map(generators) {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        for flow in generator.flows(&cluster, FLOWS) {
            let (fast, slow) = (program.verdict(&cluster, &flow), outcome(answer(&cluster, &flow)));
            assert_eq!(fast.outcome(), slow, "seed {seed}: {}\n{fast:?}", flow_text(&cluster, &flow));
        }
    }
}

/// What may pass as a set has exactly the members that the verdict allows one by one.
#[test]
fn traffic_equals_verdicts() {
    for generator in (0..clusters().min(300)).flat_map(generators) {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        for flow in generator.flows(&cluster, 10) {
            let set = program.traffic(&cluster, &flow);
            for traffic in kinds() {
                let one: Flow = flow.with_traffic(traffic);
                let wanted = program.verdict(&cluster, &one).outcome();
                let found = match (set.allowed.contains(traffic), set.undetermined.contains(traffic)) {
                    (true, _) => Outcome::Allow,
                    (false, true) => Outcome::Undetermined,
                    (false, false) => Outcome::Deny,
                };
                assert_eq!(found, wanted, "seed {seed}: {}", flow_text(&cluster, &one));
            }
        }
    }
}

/// Every port up to 10,000 that generated policies may name, and some beyond.
fn kinds() -> impl Iterator<Item = Traffic> {
    let ports = (1..=200).chain((200..=10_000).step_by(7)).chain([8079, 8080, 8090, 8091, 65_534, 65_535]);
    let ports: Vec<u16> = ports.collect();
    let of = move |protocol| ports.clone().into_iter().map(move |port| Traffic::Port(protocol, port));
    Protocol::ALL.into_iter().flat_map(of).chain([Traffic::Portless])
}
