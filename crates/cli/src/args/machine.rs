//! The arguments of what has to do with this machine: the node, the shell.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FlowArguments, Format, InitArguments, Input, JournalArguments, ModeArgument, NameArguments, PodArguments};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palisade ruleset --node node-1 -f manifests/
  palisade ruleset --node node-1 -f manifests/ | sudo nft -c -f -    check it without loading it")]
pub(crate) struct Ruleset {
    /// The node
    #[arg(long, value_name = "NAME")]
    pub(crate) node: String,

    #[command(flatten)]
    pub(crate) input: Input,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Remove the table of this node: nothing is enforced afterwards
    Cleanup,
    /// Close the addresses of this node's pods until the agent knows them: for the start of a node
    Init(InitArguments),
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The agent watches Namespaces, Nodes, Pods, NetworkPolicies and cluster-wide policies and keeps `table inet
palisade` true. Nothing is written before all of them were told once; stopping it, however, changes nothing: the rules stay until
`palisade agent cleanup`. It needs CAP_NET_ADMIN in the node's network namespace.

What policies that are audited (annotation `palisade.dev/mode: audit`) would deny passes and is logged as would-deny.

A connection that a change of policy, labels or namespaces now denies is cut, in both directions, and goes
on when the change is undone; --established=keep lets it live.

Examples:
  palisade agent --node worker-1
  palisade agent --node worker-1 --unknown-pods=deny --pod-interface veth
  palisade agent --node worker-1 --mode=audit
  palisade agent --node worker-1 --names-server 10.96.0.10
  palisade agent --node worker-1 --log=denied,accepted --sample 100 --flow-log /var/log/palisade/flows.jsonl
  curl localhost:9402/readyz localhost:9402/metrics
  palisade agent cleanup"
)]
pub(crate) struct AgentArguments {
    #[command(subcommand)]
    pub(crate) command: Option<AgentCommand>,

    /// The name of this node, as in `kubectl get nodes`
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) node: Option<String>,

    #[command(flatten)]
    pub(crate) pods: PodArguments,

    #[command(flatten)]
    pub(crate) names: NameArguments,

    /// Where /healthz, /readyz and /metrics are answered
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9402")]
    pub(crate) listen: std::net::SocketAddr,

    /// How often the table is read back and repaired, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) audit_every: u64,

    /// Whether policies are enforced as they say, or all of them audited: nothing is denied, what would be is logged
    #[arg(long, default_value = "enforce")]
    pub(crate) mode: ModeArgument,

    /// What happens to established connections that a change denies
    #[arg(long, default_value = "cut")]
    pub(crate) established: EstablishedArgument,

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) journal: JournalArguments,

    #[command(flatten)]
    pub(crate) flows: FlowArguments,
}

/// `--established`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum EstablishedArgument {
    /// They are cut, until they are allowed again
    Cut,
    /// They live on
    Keep,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed: a sample ruleset is loaded in a network namespace of its own, which is gone afterwards.

Exit codes: 0 nothing is in the way, 1 something is, 2 no answer.

Examples:
  sudo palisade doctor
  palisade doctor -o json")]
pub(crate) struct Doctor {
    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palisade completion bash > /etc/bash_completion.d/palisade
  source <(palisade completion zsh)")]
pub(crate) struct Completion {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palisade man | man -l -
  palisade man lab run > palisade-lab-run.1")]
pub(crate) struct Man {
    /// The command below `palisade`, such as `explain` or `lab run`
    pub(crate) command: Vec<String>,
}
