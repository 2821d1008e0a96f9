//! Property: on random clusters the engine says what the oracle says, of every flow tried.

use palisade_engine::{
    PolicyProgram,
    audit::WouldDeny,
    model::{Direction, Flow, Mode, Protocol, Traffic},
    verdict::{Half, Outcome},
};
use palisade_oracle::{
    Answer, Count, HalfAnswer, answer, answer_counting,
    generate::{Generator, flow_text},
    half_counting,
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

/// Both answers of one program, where policies and namespaces say at random that they are audited; and what is told
/// of the difference.
#[test]
fn enforced_and_with_audited_equal_oracle() {
    let (mut audited, mut differ, mut passed_on) = (0, 0, 0);
    for generator in (0..clusters()).flat_map(generators).map(Generator::with_modes) {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        let all = PolicyProgram::compile(&cluster).with_audited();
        audited += u64::from(cluster.has_audited());
        for flow in generator.flows(&cluster, FLOWS) {
            let text = || format!("seed {seed}: {}", flow_text(&cluster, &flow));
            for (program, count) in [(&program, Count::Enforced), (&all, Count::WithAudited)] {
                let fast = program.verdict(&cluster, &flow);
                let slow = outcome(answer_counting(&cluster, &flow, count));
                assert_eq!(fast.outcome(), slow, "{}\n{count:?} {fast:?}", text());
            }
            for direction in Direction::ALL {
                let half = |count| half_counting(&cluster, &flow, direction, count);
                let (enforced, full) = (half(Count::Enforced), half(Count::WithAudited));
                let wanted = enforced != HalfAnswer::Denied && full == HalfAnswer::Denied;
                let found = program.would_deny(&cluster, &flow, direction);
                assert_eq!(found.is_some(), wanted, "{}, {direction}: {found:?}", text());
                let Some(WouldDeny { half, policies }) = found else { continue };
                differ += 1;
                assert_eq!(half.outcome(), Outcome::Deny);
                assert!(
                    !policies.is_empty() && policies.iter().all(|policy| program.is_audited(*policy)),
                    "{}",
                    text()
                );
                assert!(policies.iter().all(|policy| cluster.mode_of(*policy) == Mode::Audit), "{}", text());
                passed_on += u64::from(match half {
                    Half::DeniedBy(matched) => !program.is_audited(program.rule(matched.rule).origin.policy),
                    Half::Denied { policies, .. } => policies.iter().all(|policy| !program.is_audited(*policy)),
                    _ => false,
                });
            }
        }
    }
    let enough = [audited > clusters(), differ > clusters(), clusters() < 1_000 || passed_on > 0];
    assert_eq!(
        enough, [true; 3],
        "{audited} clusters with audited policies, {differ} halves differ, {passed_on} passed on"
    );
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
