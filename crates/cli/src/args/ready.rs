//! The arguments of `palisade ready`.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Input, ModeArgument};

#[derive(Debug, Args)]
#[command(after_help = "\
FLOWS are flow logs of agents (`--log denied,accepted`), or Hubble's or Calico's, of all nodes and of
long enough: of what was not seen nothing is known. A connection breaks when it was made, or logged as
would-deny, the policies that are asked about deny it, and those that are enforced do not.

Exit codes: 0 nothing that was seen would break, 1 something would, 2 it could not be told, or not of all.

Examples:
  palisade ready flows.jsonl -f manifests/
  palisade ready node-*.jsonl -f manifests/ --policy prod/default-deny
  palisade ready flows.jsonl                                 the live cluster's audited policies
  palisade ready flows.jsonl --mode=audit                    all of them, where agents audit all
  palisade ready flows.jsonl --policy prod/default-deny      beside the policies of the live cluster
  hubble observe -o jsonl --last 10000 | palisade ready - -f manifests/")]
pub(crate) struct Ready {
    /// Flow logs, or `-` for standard input
    #[arg(required = true)]
    pub(crate) flows: Vec<PathBuf>,

    /// A policy that is not enforced yet, as [NAMESPACE/]NAME, or KIND/NAME of a cluster-wide one; repeatable
    /// [default: those that are audited; if none is, all NetworkPolicies of the input]
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Vec<String>,

    /// The mode of the agents: `audit` where they are `palisade agent --mode=audit`, so that no policy is enforced yet
    #[arg(long, default_value = "enforce")]
    pub(crate) mode: ModeArgument,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}
