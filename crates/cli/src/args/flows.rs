//! The arguments of the flow log: what an agent logs, and how it is read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_agent::flow_log::SOCKET;

/// What an agent logs of connections, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flow log")]
pub(crate) struct FlowArguments {
    /// Which connections are logged: `none`, `denied`, or `denied,accepted`
    #[arg(
        long = "log",
        value_name = "WHAT",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true,
        default_value = "denied"
    )]
    pub(crate) what: Vec<Logged>,

    /// Of accepted connections, log one of N, by chance
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sample: u32,

    /// Packets a second that the kernel logs for each group of policies, twice as many at once; the rest is counted
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) log_rate: u32,

    /// The NFLOG group that the kernel logs to: a program of its own may read each
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) log_group: u16,

    /// Append the flow log to this file, or write it to standard output (`-`)
    #[arg(long, value_name = "PATH")]
    pub(crate) flow_log: Option<PathBuf>,

    /// Where `palisade flows` finds the flow log; `none`: nowhere
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub(crate) flow_socket: PathBuf,
}

/// Which connections are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Logged {
    /// None
    None,
    /// Those that policies deny, or would if they were not audited
    Denied,
    /// Those that they let pass
    Accepted,
}

/// How an agent's own log is written.
#[derive(Debug, Args)]
pub(crate) struct JournalArguments {
    /// The form of the agent's own log, on standard error: one line for each event
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) log_format: JournalFormat,

    /// How much of it is written
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info")]
    pub(crate) log_level: JournalLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JournalLevel {
    /// What nobody but a person can mend
    Error,
    /// And what went wrong and is tried again
    Warn,
    /// And what is so
    Info,
    /// And every detail
    Debug,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without a file the agent of this node is asked, by its socket: what it logged last, and with --follow what
comes. Files are flow logs of agents, exports of Hubble (`hubble observe -o jsonl`) or Calico's flow logs;
lines of several come in the order of their times. An end is [NAMESPACE/][KIND/]NAME, an address or a
network, `ns/NAME` for a namespace, or `outside`; without a namespace it is looked for in all of them.

Exit codes: 0 there were such lines, 1 there were none, 2 could not be told, or not of all lines.

Examples:
  palisade flows --denied --follow
  palisade flows --would-deny
  palisade flows --denied --to prod/db --port 5432
  palisade flows --from ns/dev -n 20 -o jsonl | jq .nearest
  kubectl -n kube-system exec ds/palisade-agent -- palisade flows -f
  palisade flows node-*.jsonl --from 10.244.0.0/16
  palisade flows node-*.jsonl --fold                      who spoke with whom, how often, since when
  hubble observe -o jsonl | palisade flows - --fold -o jsonl > seen.jsonl")]
pub(crate) struct Flows {
    /// Files with flow logs, or `-` for standard input [default: the agent of this node]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Go on with what comes
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Fold lines into connections between workloads: how often, first and last seen
    #[arg(long, conflicts_with_all = ["follow", "last"])]
    pub(crate) fold: bool,

    /// How many distinct connections are held at most when folding; what finds no room is told [default: 1000000]
    #[arg(long, value_name = "N", requires = "fold")]
    pub(crate) max_connections: Option<usize>,

    /// Of what there is, only the last N
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub(crate) last: Option<usize>,

    /// Only what was denied
    #[arg(long, conflicts_with = "accepted")]
    pub(crate) denied: bool,

    /// Only what was accepted
    #[arg(long)]
    pub(crate) accepted: bool,

    /// Only what passed and audited policies would deny
    #[arg(long, conflicts_with_all = ["denied", "accepted"])]
    pub(crate) would_deny: bool,

    /// Only from this end; repeatable
    #[arg(long, value_name = "END")]
    pub(crate) from: Vec<String>,

    /// Only to this end; repeatable
    #[arg(long, value_name = "END")]
    pub(crate) to: Vec<String>,

    /// Only to this port, as 5432, 53/udp or icmp; repeatable
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Vec<String>,

    /// The form of the lines, or of what is folded
    #[arg(short, long, default_value = "text")]
    pub(crate) output: FlowsFormat,

    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = SOCKET, conflicts_with = "files")]
    pub(crate) socket: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowsFormat {
    /// For people
    Text,
    /// For programs: the lines as they were logged, or a line for each connection
    Jsonl,
    /// One JSON object: the connections, and what was read (--fold)
    Json,
    /// A table with a header line (--fold)
    Tsv,
}
