//! Sets of traffic: ports by protocol, and whatever has no ports.

use std::fmt;

use super::RangeSet;
use crate::model::{PortRange, Protocol, Traffic};

/// A set of ports of one protocol.
pub type PortSet = RangeSet<u16>;

/// A set of kinds of traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficSet {
    tcp: PortSet,
    udp: PortSet,
    sctp: PortSet,
    portless: bool,
}

impl TrafficSet {
    /// Nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// All ports of all protocols, and traffic without ports.
    pub fn all() -> Self {
        Self { tcp: PortSet::all(), udp: PortSet::all(), sctp: PortSet::all(), portless: true }
    }

    /// Some ports of one protocol.
    pub fn ports(protocol: Protocol, range: PortRange) -> Self {
        Self::from_iter([(protocol, range)])
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        *self == Self::empty()
    }

    /// Whether it has every member.
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }

    /// Whether `traffic` is a member.
    pub fn contains(&self, traffic: Traffic) -> bool {
        match traffic {
            Traffic::Port(protocol, port) => self.of(protocol).contains(port),
            Traffic::Portless => self.portless,
        }
    }

    /// The ports of one protocol.
    pub fn of(&self, protocol: Protocol) -> &PortSet {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Sctp => &self.sctp,
        }
    }

    /// Whether traffic without ports is a member.
    pub fn portless(&self) -> bool {
        self.portless
    }

    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, PortSet::union, |a, b| a || b)
    }

    /// Members of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, PortSet::intersection, |a, b| a && b)
    }

    /// Members of this one that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, PortSet::difference, |a, b| a && !b)
    }

    fn combine(&self, other: &Self, ports: fn(&PortSet, &PortSet) -> PortSet, flag: fn(bool, bool) -> bool) -> Self {
        Self {
            tcp: ports(&self.tcp, &other.tcp),
            udp: ports(&self.udp, &other.udp),
            sctp: ports(&self.sctp, &other.sctp),
            portless: flag(self.portless, other.portless),
        }
    }

    fn slot(&mut self, protocol: Protocol) -> &mut PortSet {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Sctp => &mut self.sctp,
        }
    }
}

impl FromIterator<(Protocol, PortRange)> for TrafficSet {
    /// Ranges in any order; they may overlap.
    fn from_iter<I: IntoIterator<Item = (Protocol, PortRange)>>(iter: I) -> Self {
        let ranges: Vec<(Protocol, PortRange)> = iter.into_iter().collect();
        let mut set = Self::empty();
        for protocol in Protocol::ALL {
            let of_protocol = ranges.iter().filter(|(of, _)| *of == protocol);
            *set.slot(protocol) = of_protocol.map(|(_, range)| (range.first(), range.last())).collect();
        }
        set
    }
}

impl fmt::Display for TrafficSet {
    /// `everything`, `nothing`, or such as `TCP 80, 8000-8100, UDP, ICMP and other traffic without ports`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("everything");
        }
        let mut parts = Vec::new();
        for protocol in Protocol::ALL {
            let ports = self.of(protocol);
            if ports.is_all() {
                parts.push(protocol.to_string());
            } else if !ports.is_empty() {
                let list: Vec<String> =
                    ports.ranges().filter_map(|(a, b)| PortRange::new(a, b)).map(|range| range.to_string()).collect();
                parts.push(format!("{protocol} {}", list.join(", ")));
            }
        }
        if self.portless {
            parts.push("traffic without ports (ICMP)".to_owned());
        }
        if parts.is_empty() { f.write_str("nothing") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_reads_as_a_person_would_say_it() {
        let web = TrafficSet::ports(Protocol::Tcp, PortRange::single(80));
        let range = TrafficSet::ports(Protocol::Tcp, PortRange::new(8000, 8100).unwrap());
        let udp = TrafficSet::ports(Protocol::Udp, PortRange::ALL);
        assert_eq!(web.union(&range).union(&udp).to_string(), "TCP 80, 8000-8100, UDP");
        assert_eq!(TrafficSet::all().to_string(), "everything");
        assert_eq!(TrafficSet::empty().to_string(), "nothing");
        assert!(TrafficSet::all().difference(&web).contains(Traffic::Portless));
        assert!(!TrafficSet::all().difference(&web).contains(Traffic::Port(Protocol::Tcp, 80)));
    }

    #[test]
    fn traffic_without_ports_is_a_member_of_its_own() {
        let ports = Protocol::ALL.into_iter().map(|protocol| TrafficSet::ports(protocol, PortRange::ALL));
        let ports = ports.fold(TrafficSet::empty(), |all, set| all.union(&set));
        assert!(!ports.portless() && !ports.is_all() && !ports.is_empty());
        let rest = TrafficSet::all().difference(&ports);
        assert!(rest.portless() && !rest.is_empty());
        assert!(ports.intersection(&rest).is_empty());
        assert_eq!(ports.union(&rest), TrafficSet::all());
    }
}
