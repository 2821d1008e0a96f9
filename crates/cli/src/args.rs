//! What can be typed: from here come parsing, help, completions and man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_engine::{connections::By, model::Family};
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
    Agent(AgentArguments),
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
Levels, and what is checked without -f, come from palisade.toml (paths, exclude, baseline, [lints]); where
it names no paths, the cluster of the current context is checked. One object opts out with the annotation
palisade.dev/ignore: 'NP103: reason'.

Exit codes: 0 nothing at or above --fail-on, 1 something, 2 could not be read.

Examples:
  palisade check -f manifests/
  palisade check -f manifests/ -o sarif > palisade.sarif
  palisade check -f manifests/ --diff; palisade check -f manifests/ --fix
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

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,

    /// What a rule finds, why it is bad, and what to write instead
    #[arg(long, value_name = "CODE", exclusive = true)]
    pub(crate) explain: Option<String>,

    /// The least that makes the exit code 1
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    pub(crate) fail_on: FailOn,

    /// The API server whose rules count: 1.35 stands for it and all before
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub(crate) server_version: ServerVersionArgument,

    /// Mend in place what can be mended without changing what is allowed; `-f -` prints the mended text
    #[arg(long, group = "mend")]
    pub(crate) fix: bool,

    /// Show what --fix would change, and change nothing; exit code 1 when that is anything
    #[arg(long, group = "mend", conflicts_with = "output")]
    pub(crate) diff: bool,

    /// With --fix or --diff: mend also by changing what is allowed (DNS that is missing) or by guessing
    #[arg(long, requires = "mend")]
    pub(crate) unsafe_fixes: bool,

    /// Tell only what this earlier answer of `-o json` does not have
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// What is checked, and the levels of rules [default: palisade.toml, if it is there]
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
  palisade diff main/ branch/ --flows observed.tsv    which of these connections would break")]
pub(crate) struct DiffArguments {
    /// The two states
    #[arg(value_names = ["OLD", "NEW"], num_args = 0..=2)]
    pub(crate) states: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input: Input,

    /// Tell only what becomes of these connections, as for `verdicts`
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Option<PathBuf>,

    /// Whose pods are one end
    #[arg(long, default_value = "workload")]
    pub(crate) by: GroupBy,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: DiffFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
An end is one as for `connections`. With --hops 3 it is taken that whoever is reached can be made to
open connections of its own: the blast radius of a pod that somebody else controls.

Exit codes: 0 answered, 2 no answer.

Examples:
  palisade reach prod/deploy/web -f manifests/
  palisade reach prod/deploy/web --hops 3 -f manifests/
  palisade reach --to prod/database -f manifests/
  palisade reach outside --hops 5 -f manifests/")]
pub(crate) struct Reach {
    /// From whom
    #[arg(value_name = "FROM")]
    pub(crate) from: Option<String>,

    /// To whom, in place of from whom
    #[arg(long, value_name = "TO")]
    pub(crate) to: Option<String>,

    /// By how many connections, one after the other, at most
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) hops: u32,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each workload counts once for ingress and once for egress; one that is isolated for some of its pods
counts for that share. Pods on the host network are told and not counted: no NetworkPolicy reaches them.

Exit codes: 0 answered, 1 under --fail-under or open in a way that --baseline does not have, 2 no answer.

Examples:
  palisade coverage -f manifests/
  palisade coverage --fail-under 80 -f manifests/
  palisade coverage -o json -f manifests/ > known.json; palisade coverage --baseline known.json -f manifests/")]
pub(crate) struct Coverage {
    #[command(flatten)]
    pub(crate) input: Input,

    /// Fail when less than this is isolated
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) fail_under: Option<u8>,

    /// Fail when something is open that this earlier answer of `-o json` does not have as open
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

/// The forms of what `test` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For CI servers: JUnit XML
    Junit,
    /// The Test Anything Protocol, version 14
    Tap,
}

#[derive(Debug, Args)]
#[command(after_help = "\
FILE is YAML: `apiVersion: palisade.dev/v1alpha1`, `kind: PolicyTest`, and `tests`, each with a `name` and
one or more of allow, deny, only, onlyTo (from, to, ports) and isolated (ingress, egress). --init writes
one that says what is true today.

Exit codes: 0 all hold, 1 some fail, 2 no answer.

Examples:
  palisade test policies.test.yaml -f manifests/
  palisade test policies.test.yaml -f manifests/ -o junit > report.xml
  palisade test --init -f manifests/ > policies.test.yaml")]
pub(crate) struct TestArguments {
    /// The assertions, or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "init")]
    pub(crate) files: Vec<PathBuf>,

    /// Write assertions that hold today, to start from
    #[arg(long, conflicts_with_all = ["files", "output", "filter"])]
    pub(crate) init: bool,

    /// Only tests with this in their name
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) filter: Option<String>,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: TestFormat,
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

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
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
