//! What random scenarios are like, over many seeds: everything turns up, and nothing is one-sided.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::model::{Endpoint, Family, Flow, Traffic};
use palisade_oracle::{
    Answer, answer,
    generate::{DEFAULT_FLOWS, Feature, Generator, Scenario, Size, features},
    yaml::to_yaml,
};

const SEEDS: u64 = 2000;

#[test]
fn every_feature_is_in_at_least_one_scenario_of_twenty() {
    let mut counts: BTreeMap<Feature, u64> = Feature::ALL.iter().map(|feature| (*feature, 0)).collect();
    for seed in 0..SEEDS {
        for feature in features(&Scenario::new(seed)) {
            *counts.entry(feature).or_default() += 1;
        }
    }
    let mut sorted: Vec<(u64, Feature)> = counts.into_iter().map(|(feature, count)| (count, feature)).collect();
    sorted.sort();
    for (count, feature) in &sorted {
        println!("{:5.1} % {feature:?}", *count as f64 * 100.0 / SEEDS as f64);
    }
    let rare: Vec<_> = sorted.iter().filter(|(count, _)| count * 20 < SEEDS).collect();
    assert!(rare.is_empty(), "too rare among {SEEDS} seeds: {rare:?}");
}

fn shares(flows_of: impl Fn(&Generator) -> Scenario) -> BTreeMap<&'static str, f64> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut total, mut mixed, mut with_policies) = (0_u32, 0_u32, 0_u32);
    for seed in 0..SEEDS {
        let scenario = flows_of(&Generator::new(seed));
        let mut own = BTreeSet::new();
        for flow in &scenario.flows {
            let name = match answer(&scenario.cluster, flow) {
                Answer::Allow => "allow",
                Answer::Deny => "deny",
                Answer::Undetermined => "undetermined",
            };
            own.insert(name);
            *counts.entry(name).or_default() += 1;
            total += 1;
        }
        if scenario.cluster.policies().len() > 0 {
            with_policies += 1;
            mixed += u32::from(own.contains("allow") && own.contains("deny"));
        }
    }
    let mut shares: BTreeMap<&str, f64> =
        counts.into_iter().map(|(name, count)| (name, f64::from(count) / f64::from(total))).collect();
    shares.insert(
        "clusters with policies where some is allowed and some denied",
        f64::from(mixed) / f64::from(with_policies),
    );
    println!("{shares:#?}");
    shares
}

#[test]
fn flows_are_both_allowed_and_denied() {
    let shares = shares(|generator| generator.scenario(DEFAULT_FLOWS));
    assert!((0.2..0.8).contains(&shares["deny"]) && shares["allow"] > 0.2, "{shares:?}");
    assert!((0.005..0.1).contains(&shares["undetermined"]), "{shares:?}");
}

#[test]
fn probeable_flows_are_both_allowed_and_denied() {
    let shares = shares(|generator| generator.probeable_scenario(DEFAULT_FLOWS));
    assert!((0.2..0.8).contains(&shares["deny"]) && shares["allow"] > 0.2, "{shares:?}");
    assert!(!shares.contains_key("undetermined"), "every address of a probe is known: {shares:?}");
}

#[test]
fn probeable_flows_can_be_sent() {
    for seed in 0..300 {
        let scenario = Generator::new(seed).probeable_scenario(DEFAULT_FLOWS);
        for flow in &scenario.flows {
            let (from, to) = (flow.from(), flow.to());
            let (Some(a), Some(b)) = (from.address, to.address) else { panic!("no address: {flow:?}") };
            assert_eq!(Family::of(a), Family::of(b));
            assert!([from, to].iter().any(|side| matches!(side.endpoint, Endpoint::Pod(_))), "{flow:?}");
            assert!(matches!(flow.traffic(), Traffic::Port(_, 1..)), "{flow:?}");
            for side in [from, to] {
                let address = side.address.unwrap();
                assert!(!address.is_loopback() && !address.is_multicast() && !address.is_unspecified(), "{address}");
                assert_eq!(scenario.cluster.endpoint_of(address), side.endpoint, "seed {seed}: who has {address}");
            }
        }
    }
}

#[test]
fn nearly_every_cluster_gets_the_flows_asked_for() {
    let short = |n: usize| n < DEFAULT_FLOWS;
    let flows = |seed| {
        let generator = Generator::new(seed);
        let cluster = generator.cluster();
        (generator.flows(&cluster, DEFAULT_FLOWS).len(), generator.probeable_flows(&cluster, DEFAULT_FLOWS).len())
    };
    let counts: Vec<(usize, usize)> = (0..500).map(flows).collect();
    let any = counts.iter().filter(|(any, _)| short(*any)).count();
    let probeable = counts.iter().filter(|(_, probeable)| short(*probeable)).count();
    assert!(any < 5 && probeable < 15, "of 500 clusters {any} and {probeable} are short of flows");
}

#[test]
fn a_seed_is_all_there_is() {
    for seed in 0..100 {
        assert_eq!(Scenario::new(seed).to_string(), Scenario::new(seed).to_string());
        let generator = Generator::new(seed);
        let cluster = generator.cluster();
        let (few, many): (Vec<Flow>, Vec<Flow>) = (generator.flows(&cluster, 10), generator.flows(&cluster, 40));
        assert_eq!(few, many.iter().copied().take(few.len()).collect::<Vec<_>>(), "more flows begin with the same");
    }
    assert_ne!(Scenario::new(1).to_string(), Scenario::new(2).to_string());
}

#[test]
fn other_sizes_work() {
    let large = Size::default().times(20);
    for seed in 0..5 {
        let generator = Generator::new(seed).sized(large.clone());
        let scenario = generator.scenario(100);
        assert!(scenario.cluster.pods().len() >= 60, "seed {seed}");
        assert_eq!(scenario.flows.len(), 100);
    }
    // More than the plan has addresses for, and nothing at all.
    let full = Size { nodes: 1..=1, namespaces: 1..=1, pods: 400..=400, policies: 0..=0 };
    assert!(Generator::new(1).sized(full).cluster().pods().len() >= 400);
    let nothing = Size { nodes: 0..=0, namespaces: 0..=0, pods: 0..=0, policies: 3..=3 };
    assert!(Generator::new(1).sized(nothing).scenario(10).flows.is_empty());
}

#[test]
fn the_text_has_every_object_and_every_flow() {
    for seed in 0..200 {
        let scenario = Scenario::new(seed);
        let text = scenario.to_string();
        assert_eq!(text.matches("\n# flow ").count(), scenario.flows.len());
        let yaml = to_yaml(&scenario.cluster);
        let count = |kind: &str| yaml.matches(&format!("\nkind: {kind}\n")).count();
        assert_eq!(count("Pod"), scenario.cluster.pods().filter(|(_, pod)| !pod.stand_in).count());
        assert_eq!(count("NetworkPolicy"), scenario.cluster.policies().len());
        assert!(!yaml.contains("kubernetes.io/metadata.name\": \"") || yaml.contains("matchLabels"));
    }
}
