//! Which probes run side by side, for descriptors are few. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

use super::drive::BURST;
use super::listen::Place;
use super::{Kind, Probe};
use crate::wiring::HostRef;

/// Probes that run together, and how many of them at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wave {
    /// Indices of the probes, those of one source host in a row.
    pub(super) probes: Vec<usize>,
    /// How many may be under way at once.
    pub(super) side_by_side: usize,
}

/// A descriptor that several probes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shared {
    Listener(Place),
    Raw(IpAddr, Kind),
}

/// What a probe needs besides its own sockets.
fn shared(probe: &Probe) -> impl Iterator<Item = Shared> {
    let kind = probe.kind();
    let (listener, raws) = match kind {
        Kind::Tcp | Kind::Udp => (true, false),
        // A listener's descriptor where the kernel has SCTP itself.
        Kind::Sctp => (true, true),
        Kind::Icmp => (false, true),
    };
    let place = Place { kind, address: probe.destination, port: probe.port() };
    let listener = listener.then_some(Shared::Listener(place));
    let raws = [probe.source, probe.destination].map(|address| raws.then_some(Shared::Raw(address, kind)));
    listener.into_iter().chain(raws.into_iter().flatten())
}

/// Descriptors kept for connections that listeners have accepted. They live
/// for a round or two, and [`BURST`] of them can begin in each.
const ACCEPTED: usize = 2 * BURST;

/// Divides the probes such that listeners never take more than half of
/// `descriptors`. Of the rest, up to a quarter but no more than [`ACCEPTED`] is
/// for accepted connections (without one left they wait in the queue of their
/// listener), and one is for each probe under way. None when that
/// is not enough.
pub(super) fn waves(probes: &[Probe], descriptors: usize) -> Option<Vec<Wave>> {
    let mut order: Vec<usize> = (0..probes.len()).collect();
    let all: HashSet<Shared> = probes.iter().flat_map(shared).collect();
    if all.len() > descriptors / 2 {
        // Those that share a listener belong together.
        order.sort_by_key(|index| probes.get(*index).map(|probe| (probe.to, probe.destination, probe.port())));
    }
    let mut waves = Vec::new();
    let (mut members, mut open) = (Vec::new(), HashSet::new());
    for index in order {
        let Some(probe) = probes.get(index) else { continue };
        let more = shared(probe).filter(|one| !open.contains(one)).count();
        if open.len() + more > descriptors / 2 && !members.is_empty() {
            waves.push(wave(probes, std::mem::take(&mut members), &open, descriptors)?);
            open.clear();
        }
        open.extend(shared(probe));
        members.push(index);
    }
    if !members.is_empty() {
        waves.push(wave(probes, members, &open, descriptors)?);
    }
    Some(waves)
}

fn wave(probes: &[Probe], mut members: Vec<usize>, open: &HashSet<Shared>, descriptors: usize) -> Option<Wave> {
    // Sources in a row: fewer moves from namespace to namespace.
    members.sort_by_key(|index| probes.get(*index).map_or((HostRef::Node(0), *index), |probe| (probe.from, *index)));
    let free = descriptors.checked_sub(open.len())?;
    let side_by_side = free - ACCEPTED.min(free / 4);
    (side_by_side > 0).then_some(Wave { probes: members, side_by_side })
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_engine::model::{Protocol, Traffic};

    fn probe(from: u8, to: u8, port: u16) -> Probe {
        Probe {
            from: HostRef::Pod(from.into()),
            source: IpAddr::from([10, 0, 0, from]),
            to: HostRef::Pod(to.into()),
            destination: IpAddr::from([10, 0, 0, to]),
            traffic: Traffic::Port(Protocol::Tcp, port),
        }
    }

    #[test]
    fn few_probes_are_one_wave_ordered_by_source() {
        let probes = [probe(2, 1, 80), probe(1, 2, 80), probe(2, 1, 81)];
        let waves = waves(&probes, 100).unwrap();
        assert_eq!(waves, [Wave { probes: vec![1, 0, 2], side_by_side: 73 }]);
    }

    #[test]
    fn every_probe_is_in_one_wave_and_no_wave_has_too_many_descriptors() {
        let probes: Vec<Probe> =
            (0..20).flat_map(|from| (0..20).map(move |to| probe(from, to, u16::from(to % 3)))).collect();
        let waves = waves(&probes, 12).unwrap();
        let mut all: Vec<usize> = waves.iter().flat_map(|wave| wave.probes.iter().copied()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..probes.len()).collect::<Vec<_>>());
        for wave in &waves {
            let open: HashSet<Shared> = wave.probes.iter().flat_map(|index| shared(&probes[*index])).collect();
            assert!(open.len() + wave.side_by_side < 12, "{} {}", open.len(), wave.side_by_side);
        }
        assert!(super::waves(&probes, 1).is_none());
    }
}
