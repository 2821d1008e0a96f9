//! The arguments of questions about all connections.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_engine::connections::By;

use super::{Audited, Input};

/// What ends are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupBy {
    /// Each pod by itself
    Pod,
    /// A workload's pods together
    Workload,
    /// A namespace's pods together
    Namespace,
}

impl From<GroupBy> for By {
    fn from(argument: GroupBy) -> Self {
        match argument {
            GroupBy::Pod => Self::Pod,
            GroupBy::Workload => Self::Workload,
            GroupBy::Namespace => Self::Namespace,
        }
    }
}

/// The forms of what `connections` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectionsFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// A line for each pair
    Csv,
    /// A Markdown table
    Md,
    /// A graph for Graphviz
    Dot,
    /// A graph for Markdown that draws it
    Mermaid,
    /// A picture
    Svg,
    /// One page with search, a matrix, and why each cell is as it is
    Html,
}

#[derive(Debug, Args)]
#[command(after_help = "\
An end is [NAMESPACE/][KIND/]NAME with kubectl's kinds, ns/NAME for all pods of a namespace, an IP
address, a network, or `outside`. A port is 8080, 53/udp or icmp.

What holds for many is told once: `everyone`, `all pods but …`, `namespace …`. The text leaves out what
is open only because nobody is isolated at either end, and names who that is below the table; with
--from, --to, --port or --denied, and in every other form, nothing is left out.

Exit codes: 0 answered, 2 no answer.

Examples:
  palisade connections -f manifests/
  palisade connections --to prod/database -f manifests/
  palisade connections --from ns/dev --port 5432 -f manifests/
  palisade connections --denied --from prod/deploy/web -f manifests/
  palisade connections -o html -f manifests/ > connections.html")]
pub(crate) struct ConnectionsArguments {
    /// Only from this end
    #[arg(long, value_name = "END")]
    pub(crate) from: Option<String>,

    /// Only to this end
    #[arg(long, value_name = "END")]
    pub(crate) to: Option<String>,

    /// Only these ports, as 8080, 53/udp or icmp; repeatable
    #[arg(long, value_name = "PORT[/PROTO]")]
    pub(crate) port: Vec<String>,

    /// What is denied, in place of what is allowed
    #[arg(long)]
    pub(crate) denied: bool,

    /// What the internet, other namespaces, and pods that do not exist yet could reach
    #[arg(long, conflicts_with_all = ["from", "denied"])]
    pub(crate) exposed: bool,

    /// Whose pods are one end
    #[arg(long, default_value = "workload")]
    pub(crate) by: GroupBy,

    #[command(flatten)]
    pub(crate) input: Input,

    #[command(flatten)]
    pub(crate) audited: Audited,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: ConnectionsFormat,
}

/// The forms of what `diff` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For people
    Text,
    /// For a comment on a pull request
    Md,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
OLD and NEW are each a file or folder with a whole state: policies, namespaces, workloads or pods. With
-f NEW alone the old state is the cluster that is there, and the new one the same with NEW applied.

Exit codes: 0 nothing differs, 1 something does, 2 no answer.

Examples:
  palisade diff main/ branch/
  palisade diff main/ branch/ -o md > comment.md
  palisade diff -f manifests/
  palisade diff main/ branch/ --flows observed.tsv    which of these connections would break
  palisade diff -f manifests/ --flows flows.jsonl     which of those that agents (or Hubble, Calico) saw")]
pub(crate) struct DiffArguments {
    /// The two states
    #[arg(value_names = ["OLD", "NEW"], num_args = 0..=2)]
    pub(crate) states: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input: Input,

    #[command(flatten)]
    pub(crate) audited: Audited,

    /// Tell only what becomes of these connections: a table as for `verdicts`, or a flow log
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Option<PathBuf>,

    /// Whose pods are one end
    #[arg(long, default_value = "workload")]
    pub(crate) by: GroupBy,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: DiffFormat,
}
