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
use support::{can_namespace, folders, palisade, resolve, root, said};

fn main() {
    let arguments = Arguments::from_args();
    let examples = root().join("examples");
    let lab = can_namespace();
    if let Err(why) = &lab {
        eprintln!("skipped: no lab here, so no example runs with real packets: {why}");
    }
    let bridged = Path::new("/proc/sys/net/bridge").exists();
    if !bridged {
        eprintln!(
            "skipped: no bridge here shows its packets to rules (sudo modprobe br_netfilter), so nothing runs bridged"
        );
    }
    let mut trials = Vec::new();
    for folder in folders(&examples) {
        let name = folder.strip_prefix(&examples).unwrap().display().to_string();
        for family in ["4", "6"] {
            let folder = folder.clone();
            trials.push(Trial::test(format!("verdicts::{name}::IPv{family}"), move || verdicts(&folder, family)));
        }
        for wiring in ["routed", "bridged"] {
            let folder = folder.clone();
            let ignored = lab.is_err() || (wiring == "bridged" && !bridged);
            let trial = Trial::test(format!("lab::{name}::{wiring}"), move || in_lab(&folder, wiring));
            trials.push(trial.with_ignored_flag(ignored));
        }
    }
    assert!(trials.len() > 60, "the examples are gone");
    libtest_mimic::run(&arguments, trials).exit();
}

fn verdicts(folder: &Path, family: &str) -> Result<(), Failed> {
    let flows = folder.join("flows.tsv");
    let command = ["verdicts", "--family", family, "--flows"];
    let output = palisade().args(command).arg(flows).arg("-f").arg(folder).args(resolve(folder)).output()?;
    if output.status.code() == Some(0) { Ok(()) } else { Err(said(&output).into()) }
}

fn in_lab(folder: &Path, wiring: &str) -> Result<(), Failed> {
    let flows = folder.join("flows.tsv");
    let command = ["lab", "run", "--wiring", wiring, "--flows"];
    let output = palisade().args(command).arg(flows).arg("-f").arg(folder).args(resolve(folder)).output()?;
    if output.status.code() == Some(0) { Ok(()) } else { Err(said(&output).into()) }
}
