//! The arguments of `palisade lab`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use palisade_engine::model::Resolved;
use palisade_lab::wiring::Wiring;

use super::{FamilyArgument, Format, Input, questions::resolved};

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Bring the cluster up, enforce its policies, try every connection, and compare with the prediction
    Run(LabRun),
    /// Bring the cluster up and keep it up, to play with
    Up(LabUp),
    /// Run a command in a pod of a running lab
    Exec(LabExec),
    /// Change a running lab: objects are added or replaced, as by `kubectl apply`
    Apply(LabApply),
    /// Take the objects of files out of a running lab, as `kubectl delete -f` does
    Delete(LabChange),
    /// The labs that are up
    List(LabList),
    /// Take a running lab down
    Down(LabDown),
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

    /// What a domain name of a policy resolves to; once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    pub(crate) resolve: Vec<Resolved>,

    /// How the pods of a node are joined with it
    #[arg(long, default_value = "routed")]
    pub(crate) wiring: WiringArgument,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

/// How the pods of a node are joined with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WiringArgument {
    /// Each by a veth pair, the node routes, as Calico and others do
    Routed,
    /// All on one bridge, as kubenet, flannel and the bridge plugin do; needs br_netfilter
    Bridged,
}

impl From<WiringArgument> for Wiring {
    fn from(wiring: WiringArgument) -> Self {
        match wiring {
            WiringArgument::Routed => Self::Routed,
            WiringArgument::Bridged => Self::Bridged,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Every declared port answers: TCP with a short text (over HTTP too), UDP with the same back. Services have
addresses and node ports, and names resolve; where the manifests have no resolver, kube-system/kube-dns is
added. Without --detach the lab is there until Ctrl-C. No root is needed, and whatever ends the process,
kill -9 too, leaves nothing.

Examples:
  palisade lab up -f examples/three-tier --detach
  palisade lab exec prod/frontend -- curl -sS --max-time 2 http://backend:8080
  palisade lab down")]
pub(crate) struct LabUp {
    #[command(flatten)]
    pub(crate) input: Input,

    /// What a domain name of a policy resolves to; once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    pub(crate) resolve: Vec<Resolved>,

    /// What the lab is called
    #[arg(long, value_name = "NAME", default_value = "lab", value_parser = lab_name)]
    pub(crate) name: String,

    /// How the pods of a node are joined with it
    #[arg(long, default_value = "routed")]
    pub(crate) wiring: WiringArgument,

    /// Go on in the background once it is up
    #[arg(long, conflicts_with = "detached")]
    pub(crate) detach: bool,

    /// In the background: for `--detach`
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// Which running lab is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhichLab {
    /// The lab [default: the only one that is up]
    #[arg(long, value_name = "NAME", value_parser = lab_name)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The command is one of this machine's, and sees its files; the network, the names and /etc/hosts are the
pod's. It may also run at a node (node/NAME) or at a host outside (an IP address).

Exit codes: the command's own; 2 there is no such lab or pod, 126 and 127 the command cannot be run or
found, 128 and the signal's number when one ended it.

Examples:
  palisade lab exec prod/frontend -- curl -sS --max-time 2 http://backend:8080
  palisade lab exec -n prod frontend -- sh
  palisade lab exec 203.0.113.9 -- curl -sS --max-time 2 http://172.18.0.11:30080")]
pub(crate) struct LabExec {
    #[command(flatten)]
    pub(crate) lab: WhichLab,

    /// The namespace of a pod without one
    #[arg(short, long, default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,

    /// Nothing: there for kubectl's users, whose fingers write -it
    #[arg(short = 'i', long = "stdin", hide = true)]
    pub(crate) stdin: bool,

    /// Nothing, as -i
    #[arg(short = 't', long = "tty", hide = true)]
    pub(crate) tty: bool,

    /// In whose place: [NAMESPACE/][KIND/]NAME or an IP address
    #[arg(value_name = "WHO")]
    pub(crate) who: String,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What is to be known of `apply` and `delete`.
const OF_CHANGES: &str = "\
The new rules of a node take effect at once and together; pods that come have their rules before their
link. Nodes stay as they are: to change them, take the lab down and up again. Connections that are open
stay open.

Examples:
  palisade lab apply -f policies.yaml
  palisade lab apply -f policies.yaml --resolve api.example.com=198.51.100.7
  palisade lab delete -f policies.yaml";

#[derive(Debug, Args)]
#[command(after_help = OF_CHANGES)]
pub(crate) struct LabApply {
    #[command(flatten)]
    pub(crate) change: LabChange,

    /// What a domain name of a policy resolves to from now on; once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    pub(crate) resolve: Vec<Resolved>,
}

#[derive(Debug, Args)]
#[command(after_help = OF_CHANGES)]
pub(crate) struct LabChange {
    #[command(flatten)]
    pub(crate) lab: WhichLab,

    /// A file or folder of Kubernetes YAML or JSON, or `-` for standard input; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Read folders within folders too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// The namespace of objects that name none [default: the lab's]
    #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  palisade lab list")]
pub(crate) struct LabList {
    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Commands that still run in its pods end with it.

Example:
  palisade lab down")]
pub(crate) struct LabDown {
    #[command(flatten)]
    pub(crate) lab: WhichLab,
}

fn lab_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.len() {
        1..=40 if text.chars().all(fits) => Ok(text.to_owned()),
        _ => Err("a lab's name has 1 to 40 of a-z, 0-9 and -".to_owned()),
    }
}
