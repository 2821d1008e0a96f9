//! Ports as they are written in a test file, and back.

use palisade_engine::{
    model::{Name, PortRange, Protocol},
    sets::TrafficSet,
};

use super::file::{PortSpec, Ports};
use crate::endpoint::{PortName, parse_port};

/// What is accepted, for messages.
pub(super) const ACCEPTED: &str = "a number, a range, a name or icmp: 8080, 53/udp, 8080-8090, http, icmp";

/// Longest name of a port (IANA_SVC_NAME).
const LONGEST_NAME: usize = 15;

/// Reads one item of `ports`. `1-65535` is the whole protocol.
///
/// # Errors
/// What is wrong with it, and what is accepted.
pub(super) fn parse(text: &str) -> Result<PortSpec, String> {
    let (numbers, protocol) = text.split_once('/').map_or((text, None), |(port, protocol)| (port, Some(protocol)));
    if let Some((first, last)) = numbers.split_once('-')
        && [first, last].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let number = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("`{text}` is no port: a number from 1 to 65535"))
        };
        let (low, high) = (number(first)?, number(last)?);
        let range = if (low, high) == (1, u16::MAX) { Some(PortRange::ALL) } else { PortRange::new(low, high) };
        let range = range.ok_or_else(|| format!("`{numbers}` ends before it begins: write {high}-{low}"))?;
        let protocol = match protocol {
            None => Protocol::Tcp,
            Some(name) => Protocol::parse(&name.to_ascii_uppercase())
                .ok_or_else(|| format!("`{name}` is no protocol with ports: tcp, udp or sctp"))?,
        };
        return Ok(PortSpec::Range(range, protocol));
    }
    if text.is_empty() {
        return Err(format!("an empty port; write {ACCEPTED}"));
    }
    match parse_port(text).map_err(|error| error.to_string())? {
        PortName::Number(number, protocol) => Ok(PortSpec::Range(PortRange::single(number), protocol)),
        PortName::Icmp => Ok(PortSpec::Icmp),
        PortName::Named(name, protocol) => {
            let is_name = name.len() <= LONGEST_NAME
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            if is_name {
                Ok(PortSpec::Named(Name::from(name.as_str()), protocol))
            } else {
                Err(format!("`{text}` is no port; write {ACCEPTED}"))
            }
        }
    }
}

impl Ports {
    /// The items that are written.
    pub(super) fn items(&self) -> &[PortSpec] {
        match self {
            Self::All => &[],
            Self::These(items) | Self::AllBut(items) => items,
        }
    }

    /// The names among them.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Name, Option<Protocol>)> {
        self.items().iter().filter_map(|port| match port {
            PortSpec::Named(name, protocol) => Some((name, *protocol)),
            PortSpec::Range(..) | PortSpec::Icmp => None,
        })
    }

    /// The traffic that is meant at a destination where the names are these ports.
    pub(super) fn traffic(&self, named: &TrafficSet) -> TrafficSet {
        let ranges = self.items().iter().filter_map(|port| match port {
            PortSpec::Range(range, protocol) => Some((*protocol, *range)),
            PortSpec::Named(..) | PortSpec::Icmp => None,
        });
        let mut listed = ranges.collect::<TrafficSet>().union(named);
        if self.items().contains(&PortSpec::Icmp) {
            listed = listed.union(&icmp());
        }
        match self {
            Self::All => TrafficSet::all(),
            Self::These(_) => listed,
            // Port 0 is in no packet: where some of a protocol is taken away, it goes with it.
            Self::AllBut(_) => {
                let zero = Protocol::ALL.into_iter().filter(|protocol| !listed.of(*protocol).is_empty());
                let zero = zero.map(|protocol| (protocol, PortRange::single(0))).collect();
                TrafficSet::all().difference(&listed).difference(&zero)
            }
        }
    }
}

/// Traffic without ports.
pub(super) fn icmp() -> TrafficSet {
    let ports: TrafficSet = Protocol::ALL.into_iter().map(|protocol| (protocol, PortRange::ALL)).collect();
    TrafficSet::all().difference(&ports)
}

/// A set as items of `ports`, such as [`parse`] reads.
pub(super) fn written(set: &TrafficSet) -> Vec<String> {
    let mut items = Vec::new();
    for protocol in Protocol::ALL {
        let suffix = match protocol {
            Protocol::Tcp => String::new(),
            other => format!("/{}", other.name().to_ascii_lowercase()),
        };
        for (first, last) in set.of(protocol).ranges() {
            // No packet has port 0.
            let first = first.max(1);
            match last {
                0 => {}
                last if last == first => items.push(format!("{first}{suffix}")),
                last => items.push(format!("{first}-{last}{suffix}")),
            }
        }
    }
    if set.portless() {
        items.push("icmp".to_owned());
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16, protocol: Protocol) -> PortSpec {
        PortSpec::Range(PortRange::new(first, last).unwrap(), protocol)
    }

    #[test]
    fn every_form_of_a_port() {
        assert_eq!(parse("8080"), Ok(range(8080, 8080, Protocol::Tcp)));
        assert_eq!(parse("53/udp"), Ok(range(53, 53, Protocol::Udp)));
        assert_eq!(parse("8080-8090"), Ok(range(8080, 8090, Protocol::Tcp)));
        assert_eq!(parse("8080-8090/SCTP"), Ok(range(8080, 8090, Protocol::Sctp)));
        assert_eq!(parse("1-65535/udp"), Ok(PortSpec::Range(PortRange::ALL, Protocol::Udp)));
        assert_eq!(parse("http"), Ok(PortSpec::Named("http".into(), None)));
        assert_eq!(parse("dns-tcp/tcp"), Ok(PortSpec::Named("dns-tcp".into(), Some(Protocol::Tcp))));
        assert_eq!(parse("icmp"), Ok(PortSpec::Icmp));
        for bad in ["", "0", "65536", "0-80", "80-70000", "90-80", "80/http", "80-90/tpc", "5432.0", "Web", "a b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sets = [
            TrafficSet::empty(),
            TrafficSet::all(),
            icmp(),
            TrafficSet::all().difference(&icmp()),
            TrafficSet::ports(Protocol::Udp, PortRange::single(53)).union(&icmp()),
            TrafficSet::ports(Protocol::Tcp, PortRange::new(8000, 8100).unwrap()),
        ];
        for set in sets {
            let items = written(&set).iter().map(|item| parse(item).unwrap()).collect();
            assert_eq!(Ports::These(items).traffic(&TrafficSet::empty()), set);
        }
    }
}
