//! The arguments of `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_manifest::ServerVersion;

use super::ClusterArguments;

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

    /// What a rule finds, why it is bad, and what to write instead; `list` names all rules
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
