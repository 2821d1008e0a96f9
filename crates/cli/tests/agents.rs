//! Kubernetes' own NetworkPolicy tests (`../shared/conformance/k8s-e2e`, or the folder that
//! `PALISADE_CONFORMANCE` names), through agents: two nodes, an agent process on each, real packets, with pods
//! on veth pairs and on bridges.
//!
//! A case of several steps is what its test does: the first step's objects, and then each change to the
//! next, with the agents running on.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

#[path = "support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use palisade_manifest::{ReadOptions, read_text};
use palisade_testbed::{Brand, Result, Row, Setup, Test, Testbed, Wiring, read_rows, run_all, wirings};
use palisade_watch::Watched;
use support::{folders, root};

/// Cases at a time: they mostly wait for what does not come.
const SIDE_BY_SIDE: usize = 4;

/// One state of the cluster, and what holds in it.
struct Step {
    /// Each object's text.
    objects: Vec<String>,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    let given = std::env::var_os("PALISADE_CONFORMANCE").map(PathBuf::from);
    let suite = given.unwrap_or_else(|| root().join("../shared/conformance")).join("k8s-e2e");
    if !suite.is_dir() {
        eprintln!("skipped: there are no cases at {} (PALISADE_CONFORMANCE names their folder)", suite.display());
        return run_all(1, Vec::new());
    }
    Brand::of_environment().say();
    let mut cases: Vec<PathBuf> = folders(&suite).into_iter().map(|folder| case_of(&suite, &folder)).collect();
    cases.dedup();
    let test = |wiring: Wiring, case: &PathBuf| -> Test {
        let on = match wiring {
            Wiring::Routed => "routed",
            Wiring::Bridged => "bridged",
        };
        let name = format!("{on}::{}", case.file_name().unwrap().display());
        let case = case.clone();
        (name, Box::new(move || judge(&case, wiring)))
    };
    let tests = wirings().into_iter().flat_map(|wiring| cases.iter().map(move |case| test(wiring, case)));
    run_all(SIDE_BY_SIDE, tests.collect())
}

/// The case that a folder with a `cluster.yaml` is, or is a step of.
fn case_of(suite: &Path, folder: &Path) -> PathBuf {
    let relative = folder.strip_prefix(suite).unwrap();
    suite.join(relative.components().next().unwrap())
}

fn steps(case: &Path) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for folder in folders(case).into_iter().chain(case.join("cluster.yaml").exists().then(|| case.to_owned())) {
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let text = format!("{}\n---\n{}", read("cluster.yaml")?, read("policies.yaml")?);
        let objects = text.split("\n---").map(|text| text.trim_start_matches("---").trim().to_owned());
        let objects = objects.filter(|text| !text.is_empty()).collect();
        let mut rows = read_rows(&read("expect.tsv")?)?;
        if folder.join("self.tsv").exists() {
            rows.extend(read_rows(&read("self.tsv")?)?);
        }
        steps.push(Step { objects, rows });
    }
    Ok(steps)
}

fn judge(case: &Path, wiring: Wiring) -> Result {
    let steps = steps(case)?;
    let families = std::fs::read_to_string(case.join("families"))?;
    let families: Vec<bool> = families.split_whitespace().map(|family| family == "4").collect();
    let texts: Vec<String> = steps.iter().map(|step| step.objects.join("\n---\n")).collect();
    let ends = steps.iter().flat_map(|step| &step.rows).flat_map(|row| [&row.from, &row.to]);
    let outside: BTreeSet<IpAddr> = ends.filter_map(|end| end.parse().ok()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let outside: Vec<IpAddr> = outside.into_iter().collect();
    let mut bed = Testbed::up(Setup { wiring, ..Setup::of(env!("CARGO_BIN_EXE_palisade")) }, &texts, &outside)?;
    if bed.nodes() != 2 {
        return Err(format!("the case has {} nodes, not two", bed.nodes()).into());
    }
    let mut before: &[String] = &[];
    let mut tried = 0;
    for (number, step) in steps.iter().enumerate() {
        change(&bed, before, &step.objects)?;
        before = &step.objects;
        if number == 0 {
            for is_ipv4 in &families {
                bed.all_arrive(&step.rows, *is_ipv4)?;
            }
            bed.start_agents()?;
        }
        bed.settle()?;
        for is_ipv4 in &families {
            let family = if *is_ipv4 { "IPv4" } else { "IPv6" };
            tried +=
                bed.expect(&step.rows, *is_ipv4).map_err(|error| format!("step {}, {family}: {error}", number + 1))?;
        }
    }
    if tried == 0 { Err("no row was tried".into()) } else { Ok(()) }
}

/// Tells the API server what differs, and nothing else.
fn change(bed: &Testbed, before: &[String], now: &[String]) -> Result {
    let named = |objects: &[String]| -> BTreeSet<(Watched, String)> {
        let inventory = read_text("step", &objects.join("\n---\n"), &ReadOptions::default()).inventory;
        let pods = inventory.pods.iter().map(|pod| (Watched::Pods, pod.id.to_string()));
        let policies = inventory.policies.iter().map(|policy| (Watched::NetworkPolicies, policy.id.to_string()));
        let namespaces = inventory.namespaces.iter().map(|one| (Watched::Namespaces, one.name.to_string()));
        pods.chain(policies).chain(namespaces).collect()
    };
    let remaining = named(now);
    for (of, name) in named(before).difference(&remaining) {
        bed.api().delete(*of, name)?;
    }
    let new: Vec<&str> = now.iter().filter(|object| !before.contains(object)).map(String::as_str).collect();
    if !new.is_empty() {
        bed.api().apply(&new.join("\n---\n"))?;
    }
    Ok(())
}
