//! Every example does what it says: as verdicts, and with real packets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{can_namespace, folders, palisade, root, said};

fn main() {
    let arguments = Arguments::from_args();
    let examples = root().join("examples");
    let lab = can_namespace();
    if let Err(why) = &lab {
        eprintln!("skipped: no lab here, so no example runs with real packets: {why}");
    }
    let mut trials = Vec::new();
    for folder in folders(&examples) {
        let name = folder.strip_prefix(&examples).unwrap().display().to_string();
        for family in ["4", "6"] {
            let folder = folder.clone();
            trials.push(Trial::test(format!("verdicts::{name}::IPv{family}"), move || verdicts(&folder, family)));
        }
        trials.push(Trial::test(format!("lab::{name}"), move || in_lab(&folder)).with_ignored_flag(lab.is_err()));
    }
    assert!(trials.len() > 60, "the examples are gone");
    libtest_mimic::run(&arguments, trials).exit();
}

fn verdicts(folder: &Path, family: &str) -> Result<(), Failed> {
    let flows = folder.join("flows.tsv");
    let output =
        palisade().args(["verdicts", "--family", family, "--flows"]).arg(flows).arg("-f").arg(folder).output()?;
    if output.status.code() == Some(0) { Ok(()) } else { Err(said(&output).into()) }
}

fn in_lab(folder: &Path) -> Result<(), Failed> {
    let flows = folder.join("flows.tsv");
    let output = palisade().args(["lab", "run", "--flows"]).arg(flows).arg("-f").arg(folder).output()?;
    if output.status.code() == Some(0) { Ok(()) } else { Err(said(&output).into()) }
}
