//! Source ports and echo identifiers, each given out once.
//!
//! Chosen here and not by the kernel, because a tuple must not come again
//! while conntrack remembers it: a probe that hits the entry of an earlier one
//! would pass as `established`, whatever the rules now say. The kernel draws
//! ports at random, and among 10,000 probes repeated once some pair always
//! meets.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Kind;

/// Where source ports begin: above what services usually listen on.
const FIRST_PORT: u16 = 20_000;

/// The numbers that the addresses of one network have used.
#[derive(Debug, Default)]
pub(crate) struct SourceNumbers {
    last: HashMap<(IpAddr, Kind), u16>,
}

impl SourceNumbers {
    /// A source port (an identifier for [`Kind::Icmp`]) that `source` has not
    /// used for this kind, or used longest ago: they begin anew after 45,536
    /// (65,535).
    pub(super) fn next(&mut self, source: IpAddr, kind: Kind) -> u16 {
        let first = match kind {
            Kind::Icmp => 1,
            Kind::Tcp | Kind::Udp | Kind::Sctp => FIRST_PORT,
        };
        let next = match self.last.get(&(source, kind)) {
            Some(last) => last.checked_add(1).unwrap_or(first),
            None => first,
        };
        self.last.insert((source, kind), next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_given_out_before_one_comes_again() {
        let mut numbers = SourceNumbers::default();
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let given: std::collections::HashSet<u16> = (0..45_536).map(|_| numbers.next(one, Kind::Tcp)).collect();
        assert_eq!(given.len(), 45_536);
        assert_eq!(numbers.next(one, Kind::Tcp), FIRST_PORT);
        assert_eq!(numbers.next(two, Kind::Tcp), FIRST_PORT);
        assert_eq!(numbers.next(one, Kind::Icmp), 1);
    }
}
