//! A case: its states of the cluster, one after the other, and what holds in each.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
};

use palisade_manifest::{ReadOptions, read_text};
use palisade_testbed::{Result, Row, Testbed, read_rows};
use palisade_watch::Watched;

use crate::support::folders;

/// One case of a suite.
pub(crate) struct Case {
    /// Its folder's name.
    pub(crate) name: String,
    /// What its test does, one after the other.
    pub(crate) steps: Vec<Step>,
    /// The families for which its rows hold: whether each is IPv4.
    pub(crate) families: Vec<bool>,
}

/// One state of the cluster, and what holds in it.
pub(crate) struct Step {
    /// What there is beside the policies.
    pub(crate) cluster: String,
    /// Each object's text, those of the cluster among them.
    pub(crate) objects: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Case {
    /// The cases of a suite, by name.
    pub(crate) fn all(suite: &Path) -> Vec<Self> {
        let mut cases: Vec<PathBuf> = folders(suite).into_iter().map(|folder| case_of(suite, &folder)).collect();
        cases.dedup();
        cases
            .iter()
            .map(|case| Self::read(case).map_err(|error| format!("{}: {error}", case.display())).unwrap())
            .collect()
    }

    fn read(case: &Path) -> Result<Self> {
        let mut steps = Vec::new();
        for folder in folders(case).into_iter().chain(case.join("cluster.yaml").exists().then(|| case.to_owned())) {
            let read = |name: &str| std::fs::read_to_string(folder.join(name));
            let cluster = read("cluster.yaml")?;
            let text = format!("{cluster}\n---\n{}", read("policies.yaml")?);
            let objects = text.split("\n---").map(|text| text.trim_start_matches("---").trim().to_owned());
            let objects = objects.filter(|text| !text.is_empty()).collect();
            let mut rows = read_rows(&read("expect.tsv")?)?;
            if folder.join("self.tsv").exists() {
                rows.extend(read_rows(&read("self.tsv")?)?);
            }
            steps.push(Step { cluster, objects, rows });
        }
        let families = std::fs::read_to_string(case.join("families"))?;
        let families = families.split_whitespace().map(|family| family == "4").collect();
        Ok(Self { name: case.file_name().unwrap().display().to_string(), steps, families })
    }

    /// The rows of all its steps.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.steps.iter().flat_map(|step| &step.rows)
    }
}

/// The case that a folder with a `cluster.yaml` is, or is a step of.
fn case_of(suite: &Path, folder: &Path) -> PathBuf {
    let relative = folder.strip_prefix(suite).unwrap();
    suite.join(relative.components().next().unwrap())
}

/// The ends that are addresses.
pub(crate) fn outside<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<IpAddr> {
    let found: BTreeSet<IpAddr> =
        rows.flat_map(|row| [&row.from, &row.to]).filter_map(|end| end.parse().ok()).collect();
    found.into_iter().collect()
}

/// Tells the API server what differs, and nothing else.
pub(crate) fn change(bed: &Testbed, before: &[String], now: &[String]) -> Result {
    let not_in = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|object| !other.contains(object)).cloned().collect()
    };
    let (old, new) = (not_in(before, now), not_in(now, before));
    for (of, name) in named(&old).difference(&named(&new)) {
        bed.api().delete(*of, name)?;
    }
    if !new.is_empty() {
        bed.api().apply(&new.join("\n---\n"))?;
    }
    Ok(())
}

/// The objects of these texts, by name.
fn named(objects: &[String]) -> BTreeSet<(Watched, String)> {
    let inventory = read_text("step", &objects.join("\n---\n"), &ReadOptions::default()).inventory;
    let nodes = inventory.nodes.iter().map(|one| (Watched::Nodes, one.name.to_string()));
    let namespaces = inventory.namespaces.iter().map(|one| (Watched::Namespaces, one.name.to_string()));
    let pods = inventory.pods.iter().map(|pod| (Watched::Pods, pod.id.to_string()));
    let policies = inventory.policies.iter().map(|policy| (Watched::NetworkPolicies, policy.id.to_string()));
    let wide = inventory.cluster_policies.iter().map(|one| (Watched::ClusterPolicies(one.kind), one.name.to_string()));
    nodes.chain(namespaces).chain(pods).chain(policies).chain(wide).collect()
}
