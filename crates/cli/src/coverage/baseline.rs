//! An earlier answer: what was isolated then must not be open now.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result};
use palisade_engine::model::Direction;

use super::report::{Report, State};

/// What was open in an earlier answer.
pub(crate) struct Baseline {
    open: BTreeSet<(String, String, String, &'static str)>,
}

impl Baseline {
    /// Reads what `-o json` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let report: Report = serde_json::from_str(&text)
            .with_context(|| format!("{name} is not what `palisade coverage -o json` writes"))?;
        Ok(Self { open: open(&report).collect() })
    }

    /// The workloads and directions that are open (or partly so), and were not or were not there.
    pub(crate) fn newly_open(&self, report: &Report) -> Vec<(String, String)> {
        let new = open(report).filter(|key| !self.open.contains(key));
        new.map(|(namespace, kind, name, direction)| (format!("{namespace}/{kind}/{name}"), direction.to_owned()))
            .collect()
    }
}

fn open(report: &Report) -> impl Iterator<Item = (String, String, String, &'static str)> {
    report.workloads().flat_map(|(namespace, workload)| {
        let open = workload.directions().into_iter().filter(|(_, direction)| match direction.state {
            State::Open | State::Partly => true,
            State::Isolated | State::HostNetwork => false,
        });
        open.map(move |(direction, _)| {
            let direction = match direction {
                Direction::Ingress => "ingress",
                Direction::Egress => "egress",
            };
            (namespace.to_owned(), workload.kind.clone(), workload.name.clone(), direction)
        })
    })
}
