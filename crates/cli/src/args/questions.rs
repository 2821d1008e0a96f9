//! The arguments of questions about single connections, workloads and policies, and of assertions.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_engine::model::{DomainName, Resolved};

use super::{Audited, FamilyArgument, Format, Input, ModeArgument};

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
  palisade explain web/client prod/api:8080 --mode=audit -f manifests/      where nothing is enforced yet
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

    /// What a domain name of a policy resolves to; once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    pub(crate) resolve: Vec<Resolved>,

    #[command(flatten)]
    pub(crate) audited: Audited,

    /// As an agent of this mode answers: one that audits denies nothing, and says what would be denied
    #[arg(long, default_value = "enforce")]
    pub(crate) mode: ModeArgument,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
}

/// Parses `NAME=ADDRESS`.
pub(super) fn resolved(text: &str) -> Result<Resolved, String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS, as in www.example.com=203.0.113.9")?;
    let name = DomainName::parse(name).map_err(|error| format!("the name `{name}` {error}"))?;
    let address = address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
    Ok(Resolved { name, address })
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

    /// What a domain name of a policy resolves to; once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    pub(crate) resolve: Vec<Resolved>,

    #[command(flatten)]
    pub(crate) audited: Audited,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Format,
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
  palisade describe cnp/default -f manifests/
  kubectl get ns,po,netpol -A -o yaml | palisade describe -f -")]
pub(crate) struct Describe {
    /// Which policies, as [NAMESPACE/]NAME, or as KIND/NAME of cluster-wide ones (cnp, anp, banp) [default: all of the input]
    #[arg(value_name = "POLICY")]
    pub(crate) policies: Vec<String>,

    #[command(flatten)]
    pub(crate) input: Input,

    /// The form of the answer
    #[arg(short, long, default_value = "text")]
    pub(crate) output: DescribeFormat,
}
