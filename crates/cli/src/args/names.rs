//! The arguments of the agent that are about domain names.

use clap::Args;
use ipnet::IpNet;

use super::node::prefix;

#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// A name server whose answers are believed, as pods reach it: an address or a network [default: every one that
    /// a pod's policies let it ask] (repeatable)
    #[arg(long = "names-server", value_name = "PREFIX", value_parser = server)]
    pub(crate) servers: Vec<IpNet>,

    /// A network that pods of the cluster have addresses from: no name from outside is believed to have one of these
    /// [default: the podCIDRs of all nodes] (repeatable)
    #[arg(long = "names-inside", value_name = "PREFIX", value_parser = prefix)]
    pub(crate) inside: Vec<IpNet>,

    /// How long the addresses of a name hold at least, in seconds, whatever the answer says
    #[arg(long = "names-min-ttl", value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) min_ttl: u64,

    /// How long they hold at most, in seconds
    #[arg(long = "names-max-ttl", value_name = "SECONDS", default_value = "86400", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) max_ttl: u64,
}

fn server(text: &str) -> Result<IpNet, String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(address.to_canonical().into()),
        Err(_) => prefix(text),
    }
}
