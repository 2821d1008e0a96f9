//! Whether conntrack lost anything while the probes ran: a full table drops
//! packets as silently as a policy, and its limit is the whole machine's.

use std::fs;

use palisade_linux::netns::Hopper;
use palisade_linux::sysctl;

use super::ProbeError;
use crate::wiring::Network;

/// What each node's conntrack has dropped so far; none where the kernel does not tell.
pub(super) fn losses(network: &Network, hopper: &mut Hopper) -> Result<Vec<Option<u64>>, ProbeError> {
    let mut losses = Vec::with_capacity(network.nodes().len());
    for node in network.nodes() {
        hopper.enter(node)?;
        losses.push(fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack").ok().and_then(|text| dropped(&text)));
    }
    Ok(losses)
}

/// An error when a node has dropped more than before.
pub(super) fn compare(network: &Network, hopper: &mut Hopper, before: &[Option<u64>]) -> Result<(), ProbeError> {
    let after = losses(network, hopper)?;
    for ((node, before), after) in network.nodes().iter().zip(before).zip(after) {
        let dropped = after.unwrap_or(0).saturating_sub(before.unwrap_or(0));
        if dropped > 0 {
            hopper.enter(node)?;
            let max = sysctl::read(hopper, "netfilter.nf_conntrack_max").unwrap_or_else(|_| "unknown".to_owned());
            return Err(ProbeError::ConntrackFull { namespace: node.name().to_owned(), dropped, max });
        }
    }
    Ok(())
}

/// The sum of the columns `drop` and `early_drop` over all processors: a
/// header line, then one line of hexadecimal numbers for each.
fn dropped(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let columns: Vec<usize> = lines
        .next()?
        .split_whitespace()
        .enumerate()
        .filter(|(_, name)| matches!(*name, "drop" | "early_drop"))
        .map(|(column, _)| column)
        .collect();
    let values = lines.flat_map(|line| {
        let values: Vec<&str> = line.split_whitespace().collect();
        columns.iter().filter_map(|column| u64::from_str_radix(values.get(*column)?, 16).ok()).collect::<Vec<_>>()
    });
    Some(values.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_of_all_processors_are_added() {
        let text = "entries  clashres found insert_failed drop early_drop icmp_error\n\
                    00000010 00000001 00000002 00000003 0000000a 00000001 00000009\n\
                    00000010 00000001 00000002 00000003 00000000 00000005 00000009\n";
        assert_eq!(dropped(text), Some(16));
        assert_eq!(dropped(""), None);
    }
}
