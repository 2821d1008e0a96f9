//! The arguments of `palisade generate`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "\
Each starter is a policy to begin with, and says above it what it does. Several add up, and no policy takes
away what another one allows. Without a starter it is asked for, when there is a terminal. LABELS are
KEY=VALUE, several with commas between them. Nothing is applied.

Exit codes: 0 generated, 2 not.

Examples:
  palisade generate default-deny dns -n shop > shop.yaml
  palisade generate same-namespace from-ingress-controller -n shop --select app=web --ingress-port 8080
  palisade generate from-monitoring -n shop --monitoring observability --monitoring-port metrics
  palisade generate three-tier -n shop --frontend app=web:80 --database app=postgres:5432
  palisade generate                                        asks")]
pub(crate) struct Generate {
    /// What to begin with
    #[arg(value_name = "STARTER", value_enum)]
    pub(crate) starters: Vec<Starter>,

    /// The namespace [default: default]
    #[arg(short, long, value_parser = namespace)]
    pub(crate) namespace: Option<String>,

    /// The pods that from-ingress-controller and from-monitoring are about [default: all of the namespace]
    #[arg(long, value_name = "LABELS")]
    pub(crate) select: Option<String>,

    /// The namespace of the ingress controller
    #[arg(long, value_name = "NAMESPACE", default_value = "ingress-nginx", value_parser = namespace)]
    pub(crate) ingress_controller: String,

    /// The port that the ingress controller may reach, as 8080, 53/udp or http [default: all]; repeatable
    #[arg(long, value_name = "PORT")]
    pub(crate) ingress_port: Vec<String>,

    /// The namespace of the monitoring
    #[arg(long, value_name = "NAMESPACE", default_value = "monitoring", value_parser = namespace)]
    pub(crate) monitoring: String,

    /// The port that the monitoring may reach [default: all]; repeatable
    #[arg(long, value_name = "PORT")]
    pub(crate) monitoring_port: Vec<String>,

    /// The front end of three-tier, and the port that it listens on
    #[arg(long, value_name = "LABELS:PORT", default_value = "app=frontend:8080")]
    pub(crate) frontend: String,

    /// Likewise the back end
    #[arg(long, value_name = "LABELS:PORT", default_value = "app=backend:8080")]
    pub(crate) backend: String,

    /// Likewise the database
    #[arg(long, value_name = "LABELS:PORT", default_value = "app=database:5432")]
    pub(crate) database: String,
}

/// What to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Starter {
    /// Nothing to or from any pod of the namespace
    DefaultDeny,
    /// Nothing to any pod
    DefaultDenyIngress,
    /// Nothing from any pod
    DefaultDenyEgress,
    /// Every pod may resolve names
    Dns,
    /// The pods of the namespace may reach each other
    SameNamespace,
    /// The ingress controller may reach the pods
    FromIngressController,
    /// The monitoring may reach the pods
    FromMonitoring,
    /// Front end, back end, database, each reached by the one before it; with default-deny and dns
    ThreeTier,
}

/// The name of a namespace: a label of RFC 1123, as the API server asks for.
fn namespace(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (1..=63).contains(&text.len()) && text.chars().all(|c| is_word(c) || c == '-');
    match fits && text.starts_with(is_word) && text.ends_with(is_word) {
        true => Ok(text.to_owned()),
        false => Err("the name of a namespace has 1 to 63 of a-z, 0-9 and `-`, and no `-` at its ends".to_owned()),
    }
}
