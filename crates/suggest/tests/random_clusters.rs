//! Property: on random clusters everything that was observed passes under what is suggested, by the engine and by the
//! oracle, whatever else the input's policies say; and what no policy had to allow is not allowed.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::BTreeSet;

use jiff::Timestamp;
use palisade_engine::{
    Outcome, PolicyProgram,
    model::{Cluster, Endpoint, Flow, Inventory, PodId, Traffic},
};
use palisade_oracle::{
    Answer, answer,
    generate::{Generator, flow_text},
};
use palisade_suggest::{Observed, Options, Suggestion, suggest};

/// How many clusters: 1,000, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

fn observed(flow: &Flow) -> Option<Observed> {
    let Traffic::Port(protocol, port) = flow.traffic() else { return None };
    let time = Timestamp::UNIX_EPOCH;
    let (source, destination) = (flow.from(), flow.to());
    Some(Observed { source, destination, protocol, port, count: 1, first: time, last: time })
}

fn with(mut inventory: Inventory, suggestion: &Suggestion) -> Cluster {
    inventory.policies.extend(suggestion.policies.iter().map(|suggested| suggested.policy.clone()));
    inventory.into_cluster().unwrap()
}

fn options(seed: u64) -> Options {
    Options { max_prefixes: 1 + usize::try_from(seed % 5).unwrap(), deny_unseen: seed.is_multiple_of(2) }
}

#[test]
fn what_was_observed_passes() {
    let mut tried = 0;
    for seed in 0..clusters() {
        let generator = Generator::new(seed);
        let before = generator.cluster();
        let flows: Vec<Flow> = generator.probeable_flows(&before, 20);
        let seen: Vec<Observed> = flows.iter().filter_map(observed).collect();
        let suggestion = suggest(&before, &seen, &BTreeSet::new(), options(seed));
        let after = with(generator.inventory(), &suggestion);
        let program = PolicyProgram::compile(&after);
        for flow in flows.iter().filter(|flow| observed(flow).is_some()) {
            let text = || format!("seed {seed}: {}\n{}", flow_text(&after, flow), suggestion.to_yaml());
            assert_eq!(program.verdict(&after, flow).outcome(), Outcome::Allow, "{}", text());
            assert_eq!(answer(&after, flow), Answer::Allow, "{}", text());
            tried += 1;
        }
    }
    assert!(tried > clusters(), "{tried} flows");
}

/// Nothing was observed, and something of every pod is known: then nothing passes but what always does.
#[test]
fn what_was_not_observed_does_not_pass() {
    let mut denied = 0;
    for seed in 0..clusters().min(300) {
        let generator = Generator::new(seed);
        let mut inventory = generator.inventory();
        inventory.policies.clear();
        let before = inventory.clone().into_cluster().unwrap();
        let pods: BTreeSet<PodId> = before.pods().map(|(id, _)| id).collect();
        let suggestion = suggest(&before, &[], &pods, options(seed));
        let after = with(inventory, &suggestion);
        let program = PolicyProgram::compile(&after);
        for flow in generator.flows(&before, 20) {
            let is_own_node = match (flow.from().endpoint, flow.to().endpoint) {
                (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
                    after.node_of(pod) == Some(node)
                }
                (Endpoint::Pod(one), Endpoint::Pod(other)) => one == other,
                (Endpoint::Node(_) | Endpoint::Outside, Endpoint::Node(_) | Endpoint::Outside) => true,
                _ => false,
            };
            let outcome = program.verdict(&after, &flow).outcome();
            let wanted = if is_own_node { Outcome::Allow } else { Outcome::Deny };
            assert_eq!(outcome, wanted, "seed {seed}: {}\n{}", flow_text(&after, &flow), suggestion.to_yaml());
            denied += u32::from(outcome == Outcome::Deny);
        }
    }
    assert!(denied > 1_000, "{denied}");
}
