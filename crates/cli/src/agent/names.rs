//! What the arguments about domain names come to.

use std::time::Duration;

use anyhow::{Result, bail};
use palisade_agent::{NameSettings, names::Limits};

use crate::args::NameArguments;

/// How names are learned.
///
/// # Errors
/// When the least time is more than the most.
pub(super) fn settings(arguments: &NameArguments) -> Result<NameSettings> {
    let NameArguments { servers, inside, min_ttl, max_ttl } = arguments;
    if min_ttl > max_ttl {
        bail!("--names-min-ttl {min_ttl} is more than --names-max-ttl {max_ttl}");
    }
    let limits = Limits { floor: Duration::from_secs(*min_ttl), ceiling: Duration::from_secs(*max_ttl) };
    Ok(NameSettings { limits, servers: servers.clone(), inside: inside.clone() })
}
