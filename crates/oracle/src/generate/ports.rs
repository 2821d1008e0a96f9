//! The ports of containers and of rules, over so few numbers and names that they meet.

use palisade_engine::model::{ContainerPort, Name, PolicyPort, PortMatch, PortRange, Protocol};

use super::random::Rng;

/// The names of container ports.
const NAMES: [&str; 3] = ["http", "dns", "metrics"];

/// The numbers of container ports and of rules: both ends of what there is, and some between.
const NUMBERS: [u16; 8] = [80, 443, 53, 8080, 8081, 9090, 1, 65535];

/// Ranges of rules: some overlap, some touch, some are one port, one is everything.
const RANGES: [(u16, u16); 9] =
    [(80, 443), (443, 8080), (8080, 8090), (8081, 9090), (1, 1023), (1024, 65535), (1, 65535), (9090, 9090), (54, 79)];

/// TCP most of the time.
pub(crate) fn protocol(rng: &mut Rng) -> Protocol {
    rng.weighted([(66, Protocol::Tcp), (22, Protocol::Udp), (12, Protocol::Sctp)])
}

/// A number that a rule or a container may have.
pub(crate) fn number(rng: &mut Rng) -> u16 {
    rng.one_of(NUMBERS)
}

/// The ports of one pod's containers; no number twice in one protocol.
pub(crate) fn container_ports(rng: &mut Rng) -> Vec<ContainerPort> {
    let mut ports: Vec<ContainerPort> = Vec::new();
    let add = |ports: &mut Vec<ContainerPort>, name: Option<&str>, port: u16, protocol: Protocol| {
        if ports.iter().all(|other| (other.port, other.protocol) != (port, protocol)) {
            ports.push(ContainerPort { name: name.map(Name::from), port, protocol });
        }
    };
    for name in NAMES {
        // 4.5: a destination need not have the port that a rule names.
        if !rng.chance(55) {
            continue;
        }
        let usual = if name == "dns" { Protocol::Udp } else { Protocol::Tcp };
        let protocol = if rng.chance(85) { usual } else { protocol(rng) };
        // 4.5: two pods may give one name different numbers ...
        add(&mut ports, Some(name), number(rng), protocol);
        // ... one pod may give it several ...
        if rng.chance(15) {
            add(&mut ports, Some(name), number(rng), protocol);
        }
        // ... and the same name may stand for another protocol.
        if rng.chance(18) {
            let other = rng.one_of(Protocol::ALL);
            add(&mut ports, Some(name), number(rng), other);
        }
    }
    if rng.chance(25) {
        add(&mut ports, None, number(rng), protocol(rng));
    }
    ports
}

/// The `ports` of a rule; none means all.
pub(crate) fn rule_ports(rng: &mut Rng) -> Vec<PolicyPort> {
    let count = rng.weighted([(34, 0), (37, 1), (20, 2), (9, 3)]);
    (0..count).map(|_| rule_port(rng)).collect()
}

/// One item of a rule's `ports`.
pub(crate) fn rule_port(rng: &mut Rng) -> PolicyPort {
    let protocol = protocol(rng);
    match rng.below(100) {
        0..=15 => PolicyPort { protocol, port: PortMatch::All, at: None },
        16..=41 => PolicyPort { protocol, port: PortMatch::Range(PortRange::single(number(rng))), at: None },
        42..=71 => {
            let (first, last) = rng.one_of(RANGES);
            let range = PortRange::new(first, last).unwrap_or(PortRange::ALL);
            PolicyPort { protocol, port: PortMatch::Range(range), at: None }
        }
        _ => {
            let name = rng.one_of(NAMES);
            // Usually the protocol that most pods have the name in.
            let usual = if name == "dns" { Protocol::Udp } else { Protocol::Tcp };
            let protocol = if rng.chance(75) { usual } else { protocol };
            PolicyPort { protocol, port: PortMatch::Named(Name::from(name)), at: None }
        }
    }
}

/// A port worth asking about for an item of `ports`: right at, before or after its ends.
/// `None` for a name or for all ports.
pub(crate) fn at_an_edge(rng: &mut Rng, port: &PortMatch) -> Option<u16> {
    let PortMatch::Range(range) = port else { return None };
    let (first, last) = (range.first(), range.last());
    let middle = first + (last - first) / 2;
    let candidates = [first.checked_sub(1), Some(first), Some(middle), Some(last), last.checked_add(1)];
    // Port 0 cannot be sent to.
    rng.one_of(candidates).filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_one() {
        assert!(RANGES.iter().all(|(first, last)| PortRange::new(*first, *last).is_some()));
    }

    #[test]
    fn edges_are_never_port_0() {
        let mut rng = Rng::new(1, 1);
        for _ in 0..200 {
            let port = at_an_edge(&mut rng, &PortMatch::Range(PortRange::single(1)));
            assert!(matches!(port, None | Some(1 | 2)), "{port:?}");
            let port = at_an_edge(&mut rng, &PortMatch::Range(PortRange::single(65535)));
            assert!(matches!(port, None | Some(65534 | 65535)), "{port:?}");
        }
    }
}
