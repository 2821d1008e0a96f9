//! Other people's cases (`../shared/conformance`, or the folder that `PALISADE_CONFORMANCE` names), through
//! agents: two nodes, an agent process on each, real packets, with pods on veth pairs and on bridges.
//!
//! ```text
//! k8s-e2e                   Kubernetes' own NetworkPolicy tests: a testbed for each case
//! npa-cnp, npa-anp-banp     those of the cluster-wide policies, on one cluster: testbeds that stand, and take
//!                           case after case, agents running on
//! ```
//!
//! A case of several steps is what its test does: the first step's objects, and then each change to the
//! next, with the agents running on.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod case;
mod standing;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use palisade_testbed::{Brand, Result, Setup, Test, Testbed, Wiring, run_all, wirings};

use case::Case;
use standing::Pool;
use support::root;

/// Cases at a time: they mostly wait for what does not come. A real API server for each is more than that.
const SIDE_BY_SIDE: usize = 16;
const SIDE_BY_SIDE_FOR_REAL: usize = 4;
/// The suites whose cases have a cluster each, or share one.
const ALONE: &str = "k8s-e2e";
const TOGETHER: [&str; 2] = ["npa-cnp", "npa-anp-banp"];

fn main() -> ExitCode {
    let given = std::env::var_os("PALISADE_CONFORMANCE").map(PathBuf::from);
    let base = given.unwrap_or_else(|| root().join("../shared/conformance"));
    let brand = Brand::of_environment();
    brand.say();
    let definitions = standing::definitions();
    let for_wide = if definitions.is_dir() { brand } else { Brand::Fake };
    if for_wide != brand {
        let suites = TOGETHER.join(", ");
        eprintln!("{suites}: from the fake one, there are no definitions at {}", definitions.display());
    }
    let (alone, wide) = (cases(&base, &[ALONE]), cases(&base, &TOGETHER));
    let mut tests: Vec<Test> = Vec::new();
    // One wiring after the other, so that fewer testbeds stand at a time.
    for wiring in wirings() {
        tests.extend(alone.iter().map(|case| -> Test {
            let case = Arc::clone(case);
            (format!("{}::{}", on(wiring), case.name), Box::new(move || judge(&case, wiring)))
        }));
        tests.extend(together(&wide, for_wide, wiring));
    }
    run_all(if brand == Brand::Real { SIDE_BY_SIDE_FOR_REAL } else { SIDE_BY_SIDE }, tests)
}

/// The cases of some suites; that there are none is said.
fn cases(base: &Path, suites: &[&str]) -> Vec<Arc<Case>> {
    let mut all = Vec::new();
    for suite in suites.iter().map(|suite| base.join(suite)) {
        let cases = Case::all(&suite);
        if cases.is_empty() {
            let at = suite.display();
            eprintln!("skipped: there are no cases at {at} (PALISADE_CONFORMANCE names their folder)");
        }
        all.extend(cases.into_iter().map(Arc::new));
    }
    all
}

/// Every case on every wiring and in every of its families, on testbeds that all of them share.
fn together(cases: &[Arc<Case>], brand: Brand, wiring: Wiring) -> Vec<Test> {
    let pool = Arc::new(Pool::of(brand, wiring, cases));
    let mut tests: Vec<Test> = Vec::new();
    for case in cases {
        for is_ipv4 in case.families.iter().copied() {
            let (pool, case) = (Arc::clone(&pool), Arc::clone(case));
            let name = format!("{}::{}::{}", on(wiring), case.name, family(is_ipv4));
            tests.push((name, Box::new(move || pool.with(|standing| standing.play(&case, is_ipv4)))));
        }
    }
    tests
}

fn on(wiring: Wiring) -> &'static str {
    match wiring {
        Wiring::Routed => "routed",
        Wiring::Bridged => "bridged",
    }
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "IPv4" } else { "IPv6" }
}

/// One case on a testbed of its own, in all its families.
fn judge(case: &Case, wiring: Wiring) -> Result {
    let texts: Vec<String> = case.steps.iter().map(|step| step.objects.join("\n---\n")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let setup = Setup { wiring, ..Setup::of(env!("CARGO_BIN_EXE_palisade")) };
    let mut bed = Testbed::up(setup, &texts, &case::outside(case.rows()))?;
    if bed.nodes() != 2 {
        return Err(format!("the case has {} nodes, not two", bed.nodes()).into());
    }
    let mut before: &[String] = &[];
    let mut tried = 0;
    for (number, step) in case.steps.iter().enumerate() {
        case::change(&bed, before, &step.objects)?;
        before = &step.objects;
        if number == 0 {
            for is_ipv4 in &case.families {
                bed.all_arrive(&step.rows, *is_ipv4)?;
            }
            bed.start_agents()?;
        }
        bed.settle()?;
        for is_ipv4 in &case.families {
            tried += bed
                .expect(&step.rows, *is_ipv4)
                .map_err(|error| format!("step {}, {}: {error}", number + 1, family(*is_ipv4)))?;
        }
    }
    if tried == 0 { Err("no row was tried".into()) } else { Ok(()) }
}
