//! What can be typed: from here come parsing, help, completions and man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_engine::model::Family;
use palisade_manifest::ServerVersion;

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
    /// What policies say, with the defaults filled in and whom they are about
    Describe(Describe),
    /// A cluster as network namespaces on this machine, with real packets
    #[command(subcommand)]
    Lab(LabCommand),
    /// The nftables ruleset that a node would get
    Ruleset(Ruleset),
    /// A completion script for a shell
    Completion(Completion),
    /// A man page, of this command or of one below it
    Man(Man),
}

/// The cluster and its policies.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A file or folder of Kubernetes YAML or JSON, or `-` for standard input; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, help_heading = "Input")]
    pub(crate) paths: Vec<PathBuf>,

    /// Read folders within folders too
    #[arg(short = 'R', long, help_heading = "Input")]
    pub(crate) recursive: bool,

    /// The namespace of whatever names none, in the files and on the command line
    #[arg(short, long, default_value = "default", help_heading = "Input",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,

    /// Answer even if some of the input could not be read, and say what was left out
    #[arg(long, help_heading = "Input")]
    pub(crate) keep_going: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// For programs: an array of findings
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For GitHub workflows: annotations
    Github,
}

/// A version of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerVersionArgument {
    /// Takes networks with host bits, leading zeros or in IPv4-mapped form
    #[value(name = "1.35")]
    V1_35,
    /// Refuses them
    #[value(name = "1.36")]
    V1_36,
}

impl From<ServerVersionArgument> for ServerVersion {
    fn from(argument: ServerVersionArgument) -> Self {
        match argument {
            ServerVersionArgument::V1_35 => Self::V1_35,
            ServerVersionArgument::V1_36 => Self::V1_36,
        }
    }
}

/// What makes `check` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Errors
    Error,
    /// Warnings too
    Warning,
    /// Everything
    Note,
    /// Nothing
    Never,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Levels come from palisade.toml ([lints] NP106 = { level = \"off\", reason = \"…\" }); one policy opts out
with the annotation palisade.dev/ignore: 'NP103: reason'.

Exit codes: 0 nothing at or above --fail-on, 1 something, 2 could not be read.

Examples:
  palisade check -f manifests/
  palisade check -f manifests/ -o sarif > palisade.sarif
  palisade check -f manifests/ -o json > known.json; palisade check -f manifests/ --baseline known.json
  palisade check --explain NP103")]
pub(crate) struct Check {
    /// A file or folder of Kubernetes YAML or JSON, or `-` for standard input; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH", help_heading = "Input")]
    pub(crate) paths: Vec<PathBuf>,

    /// Read folders within folders too
    #[arg(short = 'R', long, help_heading = "Input")]
    pub(crate) recursive: bool,

    /// The namespace of whatever names none in the files
    #[arg(short, long, default_value = "default", help_heading = "Input",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,

    /// What a rule finds, why it is bad, and what to write instead
    #[arg(long, value_name = "CODE", exclusive = true)]
    pub(crate) explain: Option<String>,

    /// The least that makes the exit code 1
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    pub(crate) fail_on: FailOn,

    /// The API server whose rules count: 1.35 stands for it and all before
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub(crate) server_version: ServerVersionArgument,

    /// Tell only what this earlier answer of `-o json` does not have
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// The levels of rules [default: palisade.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: CheckFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
An end is [NAMESPACE/][KIND/]NAME, with kubectl's kinds (pod when none is given), or an IP address.
A port is :8080, :8080/udp, :http or :icmp; an IPv6 address with a port is [::1]:80.
Without a port the answer is all that is allowed.

Exit codes: 0 allowed, 1 denied (or not for all), 2 no answer.

Examples:
  palisade explain prod/frontend prod/database:5432 -f manifests/
  palisade why prod/deploy/web 203.0.113.9:443 -f manifests/
  palisade explain web/client prod/svc/api:80 -f manifests/
  kubectl get ns,no,po,svc,netpol -A -o yaml | palisade explain web/client prod/api:8080 -f -")]
pub(crate) struct Explain {
    /// Who opens the connection
    pub(crate) from: String,

    /// Who receives it: TO[:PORT[/PROTO]]
    pub(crate) to: String,

    #[command(flatten)]
    pub(crate) input: Input,

    /// Only this IP family
    #[arg(long)]
    pub(crate) family: Option<FamilyArgument>,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
FLOWS is a file of tab-separated columns with a header line: from, to, protocol, port and, if there is
something to check, expected (allow or deny). An end is namespace/pod or an IP address; ICMP has the
port `-`. The same comes out, with a last column: verdict (allow, deny, or unknown where only an
address that is not known could decide).

Exit codes: 0 all as expected, 1 some not, 2 no answer.

Examples:
  palisade verdicts --flows flows.tsv -f manifests/
  printf 'from\\tto\\tprotocol\\tport\\nweb/client\\tprod/api\\tTCP\\t8080\\n' | palisade verdicts --flows - -f manifests/")]
pub(crate) struct Verdicts {
    /// The connections, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: PathBuf,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The IP family of rows that name pods at both ends [default: 4 where both have it]
    #[arg(long)]
    pub(crate) family: Option<FamilyArgument>,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

/// The forms of what `describe` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DescribeFormat {
    /// In words
    Text,
    /// The objects with their defaults, as YAML
    Yaml,
    /// The same as JSON: one object, or a List
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What `and` joins must all hold; of what `or` joins, any one suffices.
Whom a policy is about today is said when the input has pods or workloads.

Exit codes: 0 described, 2 no answer.

Examples:
  palisade describe -f manifests/
  palisade describe prod/database web -n prod -f manifests/
  palisade describe prod/database -f manifests/ -o yaml
  kubectl get ns,po,netpol -A -o yaml | palisade describe -f -")]
pub(crate) struct Describe {
    /// Which policies, as [NAMESPACE/]NAME [default: all of the input]
    #[arg(value_name = "POLICY")]
    pub(crate) policies: Vec<String>,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: DescribeFormat,
}

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
