//! The arguments of the agent that are about the pods of its node, and of the step before it.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use ipnet::IpNet;

#[derive(Debug, Args)]
pub(crate) struct PodArguments {
    /// What becomes of the packets of this node's pods before the API server tells of them: `deny` drops them
    #[arg(long, value_name = "WHAT", default_value = "allow")]
    pub(crate) unknown_pods: UnknownPodsArgument,

    /// A network that this node's pods have addresses from, for --unknown-pods=deny [default: the node's
    /// podCIDRs] (repeatable)
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) pod_cidr: Vec<IpNet>,

    /// How the interfaces begin that lead to pods, such as `veth`, `cali` or `cni`: a packet from there must have a
    /// source that is reached through there [default: not checked] (repeatable)
    #[arg(long = "pod-interface", value_name = "BEGINNING", value_parser = interface)]
    pub(crate) pod_interfaces: Vec<String>,

    /// The start-up taint that is taken from this node once its policies are enforced; '' to leave all
    #[arg(long, value_name = "KEY", default_value = "palisade.dev/agent-not-ready")]
    pub(crate) remove_taint: String,
}

/// `--unknown-pods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownPodsArgument {
    /// They pass, as if no policy isolated the pod
    Allow,
    /// They are dropped until the pod is known
    Deny,
}

#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("where").required(true).multiple(false).args(["pod_cidr", "node"])),
    after_help = "\
Does something only when there is no `table inet palisade`, as after a start of the node: then nothing gets
to or from an address of these networks until the agent has synced. When there is one, an earlier agent's
rules are in force, and nothing is changed. Before the kubelet starts, no API server is needed with --pod-cidr.

Exit codes: 0 closed, or there was a table; 2 could not.

Examples:
  palisade agent init --pod-cidr 10.244.1.0/24 --pod-cidr fd00:1::/64
  palisade agent init --node worker-1                ask the API server for its podCIDRs"
)]
pub(crate) struct InitArguments {
    /// A network that this node's pods have addresses from (repeatable)
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) pod_cidr: Vec<IpNet>,

    /// The name of this node: its podCIDRs are taken
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) node: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let wrong = || "a network is written as 10.244.1.0/24 or fd00:1::/64".to_owned();
    let prefix: IpNet = text.parse().map_err(|_| wrong())?;
    match prefix.trunc() {
        network if network == prefix => Ok(prefix),
        network => Err(format!("it has bits set after its prefix: write {network}")),
    }
}

/// The kernel's names have at most 15 bytes (IFNAMSIZ), and nft takes `*` and quotes for its own.
fn interface(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match (1..=15).contains(&text.len()) && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("the beginning of an interface's name has 1 to 15 letters, digits, `_`, `-` or `.`".to_owned()),
    }
}
