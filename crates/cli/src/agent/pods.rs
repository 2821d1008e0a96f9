//! What the arguments about a node's pods come to.

use anyhow::{Result, bail};
use palisade_nftables::plan::{LocalPrefixes, Options, UnknownPods};

use crate::args::{PodArguments, UnknownPodsArgument};

/// How rules are planned; `options` with what the arguments say.
///
/// # Errors
/// When an argument is given that another one leaves without meaning.
pub(super) fn options(arguments: &PodArguments, options: Options) -> Result<Options> {
    let unknown_pods = match (arguments.unknown_pods, arguments.pod_cidr.as_slice()) {
        (UnknownPodsArgument::Allow, []) => UnknownPods::Allow,
        (UnknownPodsArgument::Allow, _) => bail!("--pod-cidr says what is closed with --unknown-pods=deny: give both"),
        (UnknownPodsArgument::Deny, []) => UnknownPods::Deny(LocalPrefixes::OfNode),
        (UnknownPodsArgument::Deny, given) => UnknownPods::Deny(LocalPrefixes::Given(given.iter().copied().collect())),
    };
    Ok(Options { unknown_pods, pod_interfaces: arguments.pod_interfaces.clone(), ..options })
}
