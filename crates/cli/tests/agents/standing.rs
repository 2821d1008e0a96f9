//! Testbeds that stand: their agents run on from case to case, as those of a cluster do.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use palisade_engine::model::ClusterPolicyKind;
use palisade_testbed::{Brand, Result, Row, Setup, Testbed, Wiring};
use palisade_watch::Watched;

use crate::{
    case::{self, Case},
    support::root,
};

/// Testbeds of one wiring on which any of some cases can be played, each for one case at a time.
pub(crate) struct Pool {
    brand: Brand,
    wiring: Wiring,
    cases: Vec<Arc<Case>>,
    free: Mutex<Vec<Standing>>,
}

/// One of them, and the objects that its API server has.
pub(crate) struct Standing {
    bed: Testbed,
    objects: Vec<String>,
}

impl Pool {
    /// None stands yet.
    pub(crate) fn of(brand: Brand, wiring: Wiring, cases: &[Arc<Case>]) -> Self {
        Self { brand, wiring, cases: cases.to_vec(), free: Mutex::new(Vec::new()) }
    }

    /// Works with one that nobody has, or with a new one. After a failure it is not used again.
    pub(crate) fn with(&self, work: impl FnOnce(&mut Standing) -> Result) -> Result {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut standing = match free {
            Some(standing) => standing,
            None => Standing::up(self.brand, self.wiring, &self.cases)?,
        };
        work(&mut standing)?;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(standing);
        Ok(())
    }
}

impl Standing {
    /// With a place for whatever is in any of the cases. Before there is an agent, every row of every case must
    /// arrive: what is silent later is so because of a rule.
    fn up(brand: Brand, wiring: Wiring, cases: &[Arc<Case>]) -> Result<Self> {
        let steps = || cases.iter().flat_map(|case| &case.steps);
        let clusters: BTreeSet<&str> = steps().map(|step| step.cluster.as_str()).collect();
        let clusters: Vec<&str> = clusters.into_iter().collect();
        let rows = || cases.iter().flat_map(|case| case.rows());
        let setup = Setup { wiring, brand, ..Setup::of(env!("CARGO_BIN_EXE_palisade")) };
        let mut bed = Testbed::up(setup, &clusters, &case::outside(rows()))?;
        if bed.nodes() != 2 {
            return Err(format!("the cases have {} nodes, not two", bed.nodes()).into());
        }
        for kind in ClusterPolicyKind::ALL {
            bed.api().install(Watched::ClusterPolicies(kind), &definition(brand, kind)?)?;
        }
        let mut every: Vec<Row> = Vec::new();
        for row in rows().map(|row| Row { allowed: true, ..row.clone() }) {
            if !every.contains(&row) {
                every.push(row);
            }
        }
        for is_ipv4 in [true, false] {
            bed.all_arrive(&every, is_ipv4)?;
        }
        // Without its node an agent is not ready.
        let first = steps().next().ok_or("there is no case")?;
        case::change(&bed, &[], &first.objects)?;
        bed.start_agents()?;
        Ok(Self { bed, objects: first.objects.clone() })
    }

    /// The steps of a case, one after the other, in one family. What is there before is what the last case left.
    pub(crate) fn play(&mut self, case: &Case, is_ipv4: bool) -> Result {
        let mut tried = 0;
        for (number, step) in case.steps.iter().enumerate() {
            case::change(&self.bed, &self.objects, &step.objects)?;
            self.objects.clone_from(&step.objects);
            let outcome = self.bed.settle().and_then(|()| self.bed.expect(&step.rows, is_ipv4));
            tried += outcome.map_err(|error| format!("step {}: {error}", number + 1))?;
        }
        if tried == 0 { Err("no row was tried".into()) } else { Ok(()) }
    }
}

/// Where the definitions of the cluster-wide kinds are, for a real API server.
pub(crate) fn definitions() -> PathBuf {
    root().join("../shared/crd")
}

/// The text of a kind's definition; the fake server needs none.
fn definition(brand: Brand, kind: ClusterPolicyKind) -> Result<String> {
    if brand == Brand::Fake {
        return Ok(String::new());
    }
    let resource = Watched::ClusterPolicies(kind).resource();
    let file = definitions().join(format!("{}-{}-experimental.yaml", resource.plural, resource.version));
    std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()).into())
}
