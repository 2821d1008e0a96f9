//! The arguments of what has to do with this machine: the lab, the node, the shell.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FamilyArgument, Format, Input};

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Bring the cluster up, enforce its policies, try every connection, and compare with the prediction
    Run(LabRun),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Pods, nodes and outside hosts become network namespaces; nothing outside of them changes, no root is
needed, and all of it is gone when the command ends. Each connection is first tried without rules,
where it must succeed, and then with the ruleset that the nodes would get: a denial counts only when
the ruleset itself reports it.

Exit codes: 0 all as predicted and expected, 1 some not, 2 could not run.

Examples:
  palisade lab run -f examples/three-tier
  palisade lab run -f manifests/ --flows flows.tsv --family 6")]
pub(crate) struct LabRun {
    #[command(flatten)]
    pub(crate) input: Input,

    /// Try these connections, as for `verdicts`, instead of every pod to every listening port
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Option<PathBuf>,

    /// Only this IP family [default: every family that both ends have]
    #[arg(long)]
    pub(crate) family: Option<FamilyArgument>,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

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
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The agent watches Namespaces, Nodes, Pods and NetworkPolicies and keeps `table inet palisade` true. Nothing
is written before all of them were told once; stopping it, however, changes nothing: the rules stay until
`palisade agent cleanup`. It needs CAP_NET_ADMIN in the node's network namespace.

It is new. Not here yet: cutting established connections that a change forbids, closing addresses of pods
that are not known yet, the flow log, and compiling only what changed.

Examples:
  palisade agent --node worker-1
  palisade agent --node worker-1 --pod-interface cali
  curl localhost:9402/readyz localhost:9402/metrics
  palisade agent cleanup"
)]
pub(crate) struct AgentArguments {
    #[command(subcommand)]
    pub(crate) command: Option<AgentCommand>,

    /// The name of this node, as in `kubectl get nodes`
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) node: Option<String>,

    /// Where /healthz, /readyz and /metrics are answered
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9402")]
    pub(crate) listen: std::net::SocketAddr,

    /// How often the table is read back and repaired, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) audit_every: u64,

    /// How the names of the interfaces begin that lead to one pod each, such as cali or lxc: a new packet
    /// from there is dropped unless its source is reached through there (repeatable) [default: not checked]
    #[arg(long, value_name = "PREFIX", value_parser = interface_prefix)]
    pub(crate) pod_interface: Vec<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// The longest name of an interface (IFNAMSIZ, less the final zero).
const LONGEST_INTERFACE: usize = 15;

/// The beginning of an interface's name. A star at its end, as nft has it, means the same.
fn interface_prefix(text: &str) -> Result<String, String> {
    let prefix = text.strip_suffix('*').unwrap_or(text);
    let accepted = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '*' | '"');
    if prefix.is_empty() {
        Err("an empty prefix would be every interface; name what the pods' interfaces begin with, as `ip link` shows them".to_owned())
    } else if prefix.len() > LONGEST_INTERFACE || !prefix.chars().all(accepted) {
        Err(format!(
            "no interface can be called so: up to {LONGEST_INTERFACE} printable characters without / : * and quotes"
        ))
    } else {
        Ok(prefix.to_owned())
    }
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
