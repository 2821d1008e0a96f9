//! The arguments of `palisade suggest`.

use std::path::PathBuf;

use clap::Args;

use super::Input;

#[derive(Debug, Args)]
#[command(after_help = "\
FLOWS are flow logs of agents (`--log denied,accepted`), or Hubble's or Calico's, of all nodes and of
long enough: what was not seen is not allowed. Accepted connections count. The policies go to standard
output, what they allow beyond what was seen to standard error. Nothing is applied.

Exit codes: 0 suggested, 2 no suggestion, or not of all lines.

Examples:
  palisade suggest flows.jsonl -f manifests/ > suggested.yaml
  palisade suggest node-*.jsonl -f manifests/ --max-prefixes 4
  hubble observe -o jsonl --last 10000 | palisade suggest - -f manifests/
  palisade suggest flows.jsonl | kubectl apply --dry-run=server -f -")]
pub(crate) struct Suggest {
    /// Flow logs, or `-` for standard input
    #[arg(required = true)]
    pub(crate) flows: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input: Input,

    /// How many prefixes a rule has for the outside at most, of each IP family at least one
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_prefixes: u16,

    /// Give workloads of which nothing was seen a policy, too: one that allows nothing. In namespaces of which
    /// something was seen
    #[arg(long)]
    pub(crate) deny_unseen: bool,

    /// Allow connections that were denied, too
    #[arg(long)]
    pub(crate) with_denied: bool,
}
