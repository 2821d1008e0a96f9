//! Whether audited policies count.

use clap::Args;
use palisade_engine::{PolicyProgram, model::Cluster};

/// Which policies count for an answer.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Audited {
    /// Answer as if the audited policies were enforced
    #[arg(long)]
    pub(crate) with_audited: bool,
}

impl Audited {
    /// The program of a cluster that answers so.
    pub(crate) fn compile(self, cluster: &Cluster) -> PolicyProgram {
        let program = PolicyProgram::compile(cluster);
        if self.with_audited { program.with_audited() } else { program }
    }
}
