//! Other people's cases, where they are at hand: `PALISADE_CONFORMANCE` names their folder.
//!
//! Each case goes through `verdicts` in every family it names, and np-guard's also as sets; with `PALISADE_CONFORMANCE_LAB=1` those
//! of the suites with small clusters go through the lab too.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

#[path = "support/sets.rs"]
mod sets;
mod support;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use support::{can_namespace, folders, palisade, root, said};

/// The suites, and whether their cases go through the lab.
const SUITES: [(&str, bool); 6] = [
    ("k8s-e2e", true),
    ("recipes", true),
    ("cyclonus", false),
    ("np-guard", false),
    ("npa-cnp", true),
    ("npa-anp-banp", true),
];

fn main() {
    let arguments = Arguments::from_args();
    let given = std::env::var_os("PALISADE_CONFORMANCE").map(PathBuf::from);
    let base = given.unwrap_or_else(|| root().join("../shared/conformance"));
    if !base.is_dir() {
        eprintln!(
            "skipped: there are no conformance cases at {} (name their folder in PALISADE_CONFORMANCE)",
            base.display()
        );
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    let lab = std::env::var_os("PALISADE_CONFORMANCE_LAB").is_some_and(|value| value == "1");
    let lab = lab && can_namespace().inspect_err(|why| eprintln!("skipped: no lab here: {why}")).is_ok();
    let mut trials = Vec::new();
    for (suite, in_lab) in SUITES {
        for case in folders(&base.join(suite)) {
            let name = case.strip_prefix(&base).unwrap().display().to_string();
            for family in families(&case) {
                for table in ["expect.tsv", "self.tsv"] {
                    let flows = case.join(table);
                    if !flows.exists() {
                        continue;
                    }
                    if suite == "np-guard" {
                        let (case, flows, family) = (case.clone(), flows.clone(), family.clone());
                        let name = format!("sets::{name}::{table}::IPv{family}");
                        trials.push(Trial::test(name, move || sets::judge(&case, &flows, &family)));
                    }
                    let mut add = |command: &'static [&'static str]| {
                        let (case, flows, family) = (case.clone(), flows.clone(), family.clone());
                        let name = format!("{}::{name}::{table}::IPv{family}", command[0]);
                        trials.push(Trial::test(name, move || judge(command, &case, &flows, &family)));
                    };
                    add(&["verdicts"]);
                    if in_lab && lab {
                        add(&["lab", "run"]);
                    }
                }
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The families of a case: its own file, or that of the case whose step it is.
fn families(case: &Path) -> Vec<String> {
    let own = std::fs::read_to_string(case.join("families"));
    let text = own.or_else(|_| std::fs::read_to_string(case.join("../families"))).unwrap_or_else(|_| "4 6".to_owned());
    text.split_whitespace().map(str::to_owned).collect()
}

fn judge(command: &[&str], case: &Path, flows: &Path, family: &str) -> Result<(), Failed> {
    let mut run = palisade();
    run.args(command).args(["--family", family, "--flows"]).arg(flows);
    run.arg("-f").arg(case.join("cluster.yaml")).arg("-f").arg(case.join("policies.yaml"));
    let output = run.output()?;
    if output.status.code() == Some(0) { Ok(()) } else { Err(said(&output).into()) }
}
