//! Whether audited policies count, and which are.

use clap::{Args, ValueEnum};
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Mode},
};

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

/// `--mode`: that of an agent.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeArgument {
    /// Each is what its annotation says, or its namespace's: enforced, or audited
    Enforce,
    /// All are audited, whatever they say
    Audit,
}

impl From<ModeArgument> for Mode {
    fn from(argument: ModeArgument) -> Self {
        match argument {
            ModeArgument::Enforce => Self::Enforce,
            ModeArgument::Audit => Self::Audit,
        }
    }
}
