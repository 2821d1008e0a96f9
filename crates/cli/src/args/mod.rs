//! What can be typed: from here come parsing, help, completions and man pages.

mod audited;
mod check;
mod connections;
mod flows;
mod generate;
mod lab;
mod machine;
mod names;
mod node;
mod questions;
mod ready;
mod suggest;
mod texts;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_engine::model::Family;

pub(crate) use self::{
    audited::{Audited, ModeArgument},
    check::{Check, CheckFormat, FailOn},
    connections::{ConnectionsArguments, ConnectionsFormat, DiffArguments, DiffFormat},
    flows::{FlowArguments, Flows, FlowsFormat, JournalArguments, JournalFormat, JournalLevel, Logged},
    generate::{Generate, Starter},
    lab::{LabApply, LabChange, LabCommand, LabDown, LabExec, LabList, LabRun, LabUp},
    machine::{AgentArguments, AgentCommand, Completion, Doctor, EstablishedArgument, Man, Ruleset},
    names::NameArguments,
    node::{InitArguments, PodArguments, UnknownPodsArgument},
    questions::{Coverage, Describe, DescribeFormat, Explain, Reach, TestArguments, TestFormat, Verdicts},
    ready::Ready,
    suggest::Suggest,
    texts::{command, with_texts},
};

/// Kubernetes network policies: decided, explained and proven with real packets.
#[derive(Debug, Parser)]
#[command(
    name = "palisade",
    version,
    propagate_version = true,
    after_help = "\
Exit codes: 0 yes, clean, the same; 1 no, findings, different; 2 could not be answered.

Examples:
  palisade check -f manifests/
  palisade explain prod/frontend prod/database:5432 -f manifests/
  palisade connections -f manifests/
  palisade diff main/ branch/
  palisade lab run -f manifests/"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Mistakes in manifests: what the API server would refuse, and what it would take though it is wrong
    Check(Check),
    /// One connection: allowed or denied, and which lines say so
    #[command(visible_alias = "why")]
    Explain(Explain),
    /// Many connections: each allowed or denied
    Verdicts(Verdicts),
    /// All that is allowed, exactly
    Connections(ConnectionsArguments),
    /// What a change gains and loses, and the lines that cause it
    Diff(DiffArguments),
    /// Assertions about what is allowed, for CI
    Test(TestArguments),
    /// Whom an end can reach, directly and through others; or who can reach it
    Reach(Reach),
    /// Which workloads are isolated, and by what
    Coverage(Coverage),
    /// What policies say, with the defaults filled in and whom they are about
    Describe(Describe),
    /// A cluster as network namespaces on this machine, with real packets
    #[command(subcommand)]
    Lab(LabCommand),
    /// The nftables ruleset that a node would get
    Ruleset(Ruleset),
    /// Enforce the cluster's policies on this node
    Agent(Box<AgentArguments>),
    /// What an agent logged: connections that were denied or accepted, and why
    Flows(Flows),
    /// The least policies that allow the connections that were observed
    Suggest(Suggest),
    /// Whether policies may be enforced: which observed connections they would break
    Ready(Ready),
    /// Policies to begin with: default denies, DNS, the ingress controller, three tiers
    Generate(Generate),
    /// Whether this machine can enforce policies, and what to do if not
    Doctor(Doctor),
    /// A completion script for a shell
    Completion(Completion),
    /// A man page, of this command or of one below it
    Man(Man),
}

/// The cluster and its policies.
#[derive(Clone, Debug, Args)]
pub(crate) struct Input {
    /// A file or folder of Kubernetes YAML or JSON, or `-` for standard input; repeatable [default: the
    /// cluster of the current context]
    #[arg(short = 'f', long = "filename", value_name = "PATH", help_heading = "Input")]
    pub(crate) paths: Vec<PathBuf>,

    /// Read folders within folders too
    #[arg(short = 'R', long, help_heading = "Input")]
    pub(crate) recursive: bool,

    /// The namespace of whatever names none, in the files and on the command line [default: `default`, or
    /// the context's]
    #[arg(short, long, help_heading = "Input", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,

    /// Answer even if some of the input could not be read, and say what was left out
    #[arg(long, help_heading = "Input")]
    pub(crate) keep_going: bool,

    /// Whether the command has that option.
    #[arg(skip = true)]
    pub(crate) may_keep_going: bool,
}

/// Which cluster is read when no files are given.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterArguments {
    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = "Input",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// All namespaces, as always: what crosses their borders counts. There for kubectl's users
    #[arg(short = 'A', long, hide = true, help_heading = "Input")]
    pub(crate) all_namespaces: bool,
}

impl ClusterArguments {
    /// Whether a cluster was named.
    pub(crate) fn is_given(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArgument {
    /// IPv4
    #[value(name = "4")]
    V4,
    /// IPv6
    #[value(name = "6")]
    V6,
}

impl From<FamilyArgument> for Family {
    fn from(argument: FamilyArgument) -> Self {
        match argument {
            FamilyArgument::V4 => Self::V4,
            FamilyArgument::V6 => Self::V6,
        }
    }
}
