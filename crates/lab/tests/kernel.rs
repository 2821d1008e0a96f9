//! Property: on random clusters, in both families, the kernel does with real packets what the engine says.
//!
//! `PALISADE_LAB_CLUSTERS` says how many (default 200); a failure prints the seed and the cluster's manifests.

#![allow(clippy::unwrap_used, reason = "a test: a poisoned lock is a failure")]

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_engine::{
    PolicyProgram,
    compile::Counting,
    model::{Direction, Flow},
    verdict::Outcome,
};
use palisade_lab::{
    enforcement::{self, Observed},
    probe::Timing,
    sandbox::Sandbox,
};
use palisade_oracle::generate::{Generator, flow_text};

/// Flows of each cluster.
const FLOWS: usize = 40;
/// Labs at a time: they mostly wait for what does not come.
const SIDE_BY_SIDE: usize = 8;

fn main() {
    // Before libtest-mimic starts a thread: a process with threads gets no user namespace.
    let sandbox = Sandbox::enter();
    let arguments = Arguments::from_args();
    if let Err(why) = &sandbox {
        eprintln!("skipped: {why}");
    }
    let trial = Trial::test("kernel_equals_engine", kernel_equals_engine).with_ignored_flag(sandbox.is_err());
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn kernel_equals_engine() -> Result<(), Failed> {
    let clusters: u64 = std::env::var("PALISADE_LAB_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::<String>::new()));
    let (reached, dropped, audited) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= clusters || failures.lock().unwrap().len() > 3 {
                        break;
                    }
                    let wide = Generator::new(seed).with_cluster_policies();
                    // Every second cluster with audited policies, too.
                    let kinds = [Generator::new(seed), wide.clone(), wide.with_modes()];
                    let kinds = kinds.iter().take(if seed.is_multiple_of(2) { 3 } else { 2 });
                    match kinds.map(one).collect::<Result<Vec<Counts>, String>>() {
                        Ok(counts) => counts.iter().for_each(|counts| {
                            reached.fetch_add(counts.reached, Ordering::Relaxed);
                            dropped.fetch_add(counts.dropped, Ordering::Relaxed);
                            audited.fetch_add(counts.audited, Ordering::Relaxed);
                        }),
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if !failures.is_empty() {
        return Err(failures.join("\n\n").into());
    }
    let (reached, dropped, audited) = (reached.into_inner(), dropped.into_inner(), audited.into_inner());
    println!(
        "{clusters} clusters: {reached} flows reached, {dropped} dropped, {audited} logged as would-deny, each as the engine says"
    );
    if clusters >= 100 && (reached < 1_000 || dropped < 1_000 || audited < 100) {
        return Err("the flows say too little".into());
    }
    Ok(())
}

/// Flows by what became of them.
struct Counts {
    reached: u64,
    dropped: u64,
    /// Those that audited policies would deny at one end at least.
    audited: u64,
}

fn one(generator: &Generator) -> Result<Counts, String> {
    let seed = generator.seed();
    let mut scenario = generator.probeable_scenario(FLOWS);
    let program = PolicyProgram::compile(&scenario.cluster);
    // What only a domain name could decide is decided when the name is known.
    let decided = |program: &PolicyProgram, flow: &Flow| {
        program.verdict(&scenario.cluster, flow).outcome() != Outcome::Undetermined
    };
    // Of audited policies each half is looked at, and both answers.
    let halves = |flow: &Flow| {
        let counting = [Counting::Enforced, Counting::WithAudited];
        let asked = Direction::ALL.into_iter().flat_map(|direction| counting.map(|counting| (direction, counting)));
        let mut outcomes =
            asked.map(|(direction, counting)| program.outcome(&scenario.cluster, flow, direction, counting));
        outcomes.all(|outcome| outcome != Outcome::Undetermined)
    };
    let is_audited = scenario.cluster.has_audited();
    let decided = |flow: &Flow| decided(&program, flow) && (!is_audited || halves(flow));
    let flows = scenario.flows.iter().copied().filter(decided).collect();
    scenario.flows = flows;
    let report = enforcement::run(&scenario.cluster, &program, &scenario.flows, Timing::default(), &mut |_| {})
        .map_err(|error| format!("seed {seed}: {error}\n{scenario}"))?;
    let wrong: Vec<String> = scenario
        .flows
        .iter()
        .zip(&report.results)
        .filter(|(_, result)| !result.as_predicted())
        .map(|(flow, result)| format!("{}: {result:?}", flow_text(&scenario.cluster, flow)))
        .collect();
    if !wrong.is_empty() {
        return Err(format!("seed {seed}:\n{}\n{scenario}", wrong.join("\n")));
    }
    let reached = report.results.iter().filter(|result| result.observed == Observed::Reached).count() as u64;
    let audited = report.results.iter().filter(|result| !result.audit.observed.is_empty()).count() as u64;
    Ok(Counts { reached, dropped: report.results.len() as u64 - reached, audited })
}
