//! The port space of a profile's tier, or of the front of all, cut into cells in which the same rules count.

use std::collections::BTreeMap;

use palisade_engine::{
    compile::{Action, Tier},
    model::{PortRange, Protocol},
};

use super::unions::{UnionId, Unions};

/// One rule, as far as the cells are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tier: Tier,
    /// Whether its policy is audited, so that it does not count in what is enforced.
    pub(super) is_audited: bool,
    pub(super) action: Action,
    pub(super) peers: UnionId,
    pub(super) traffic: Traffic,
}

/// The traffic that an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Everything, with ports or without.
    All,
    /// Some ports of a protocol.
    Ports(Protocol, PortRange),
}

/// What is asked in one cell, in order: the first whose peers have the other end acts.
pub(super) type Decisions = Vec<(Action, UnionId)>;

/// The cells of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    /// Where the rules about ports make a difference; disjoint.
    pub(super) ports: BTreeMap<(Protocol, PortRange), Decisions>,
    /// Everywhere else.
    pub(super) rest: Decisions,
}

impl Cells {
    /// Cuts the port space by the entries, which are in order; `decide` says what those that count in a cell come to.
    pub(super) fn cut(entries: &[Entry], mut decide: impl FnMut(&[Entry]) -> Decisions) -> Self {
        let mut decide = |here: &BTreeMap<usize, &Entry>| {
            let here: Vec<Entry> = here.values().map(|entry| **entry).collect();
            decide(&here)
        };
        let everywhere: BTreeMap<usize, &Entry> =
            entries.iter().enumerate().filter(|(_, entry)| entry.traffic == Traffic::All).collect();
        let mut cells = Self { rest: decide(&everywhere), ports: BTreeMap::new() };
        for protocol in Protocol::ALL {
            let edges = edges(entries, protocol);
            let ends = edges.keys().skip(1).map(|next| next - 1).chain([u16::MAX]);
            // The entries that count from the edge on, in their order.
            let mut here = everywhere.clone();
            let mut open: Option<(PortRange, Decisions)> = None;
            for ((first, edge), last) in edges.iter().zip(ends) {
                here.extend(edge.begin.iter().copied());
                for place in &edge.end {
                    here.remove(place);
                }
                let decisions = decide(&here);
                let Some(range) = PortRange::new(*first, last) else { continue };
                open = match open.take() {
                    Some((before, same)) if same == decisions => {
                        PortRange::new(before.first(), last).map(|joined| (joined, same))
                    }
                    before => {
                        cells.keep(protocol, before);
                        Some((range, decisions))
                    }
                };
            }
            cells.keep(protocol, open);
        }
        cells
    }

    fn keep(&mut self, protocol: Protocol, cell: Option<(PortRange, Decisions)>) {
        if let Some((range, decisions)) = cell.filter(|(_, decisions)| *decisions != self.rest) {
            self.ports.insert((protocol, range), decisions);
        }
    }
}

/// The entries that begin or no longer count at a port, by their place.
#[derive(Default)]
struct Edge<'a> {
    begin: Vec<(usize, &'a Entry)>,
    end: Vec<usize>,
}

/// The ports at which something changes, port 0 among them: between two of them every entry covers
/// all or nothing.
fn edges(entries: &[Entry], protocol: Protocol) -> BTreeMap<u16, Edge<'_>> {
    let mut edges = BTreeMap::from([(0, Edge::default())]);
    for (place, entry) in entries.iter().enumerate() {
        if let Traffic::Ports(of, range) = entry.traffic
            && of == protocol
        {
            edges.entry(range.first()).or_default().begin.push((place, entry));
            if let Some(after) = range.last().checked_add(1) {
                edges.entry(after).or_default().end.push(place);
            }
        }
    }
    edges
}

/// What the entries of one tier come to: neighbours of the same action become one question.
pub(super) fn in_order(entries: &[Entry], unions: &mut Unions) -> Decisions {
    let mut runs: Vec<(Action, Vec<UnionId>)> = Vec::new();
    for entry in entries {
        match runs.last_mut() {
            Some((action, peers)) if *action == entry.action => peers.push(entry.peers),
            _ => runs.push((entry.action, vec![entry.peers])),
        }
    }
    runs.into_iter().map(|(action, peers)| (action, unions.merge(peers))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::unions::{Peer, Who};

    /// The cells of one rule a name, as ranges of ports with how many peers may use them.
    fn cut(rules: &[(&str, Traffic)]) -> (Vec<(u16, u16, usize)>, Decisions) {
        let mut unions = Unions::default();
        let mut entry = |(name, traffic): &(&str, Traffic)| {
            let peer = Peer { who: Who::Anyone, with_port: Some(((*name).into(), Protocol::Tcp, 1)) };
            Entry {
                tier: Tier::NetworkPolicy,
                is_audited: false,
                action: Action::Accept,
                peers: unions.of([peer]),
                traffic: *traffic,
            }
        };
        let entries: Vec<Entry> = rules.iter().map(&mut entry).collect();
        let cells = Cells::cut(&entries, |here| in_order(here, &mut unions));
        let size = |decisions: &Decisions| decisions.iter().map(|(_, union)| unions.peers(*union).count()).sum();
        let shown = cells.ports.iter().map(|((_, range), cell)| (range.first(), range.last(), size(cell)));
        (shown.collect(), cells.rest)
    }

    fn tcp(first: u16, last: u16) -> Traffic {
        Traffic::Ports(Protocol::Tcp, PortRange::new(first, last).unwrap())
    }

    #[test]
    fn overlapping_ranges_are_cut_apart() {
        let (cells, rest) = cut(&[("a", tcp(80, 90)), ("b", tcp(85, 100)), ("c", tcp(443, 443))]);
        assert_eq!(cells, [(80, 84, 1), (85, 90, 2), (91, 100, 1), (443, 443, 1)]);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_rule_for_all_traffic_counts_everywhere() {
        let (cells, rest) = cut(&[("a", tcp(0, 65_535)), ("b", Traffic::All)]);
        assert_eq!(cells, [(0, 65_535, 2)]);
        assert_eq!(rest.len(), 1);
    }

    #[test]
    fn the_ends_of_the_port_space_are_cells_too() {
        let (cells, _) = cut(&[("a", tcp(0, 0)), ("b", tcp(65_535, 65_535))]);
        assert_eq!(cells, [(0, 0, 1), (65_535, 65_535, 1)]);
    }

    #[test]
    fn neighbours_with_the_same_peers_become_one_cell() {
        assert_eq!(cut(&[("a", tcp(1, 10)), ("a", tcp(11, 20))]).0, [(1, 20, 1)]);
        assert_eq!(cut(&[("a", tcp(1, 10)), ("a", tcp(5, 20))]).0, [(1, 20, 1)]);
    }

    #[test]
    fn what_changes_nothing_is_no_cell() {
        assert!(cut(&[("a", Traffic::All), ("a", tcp(80, 80))]).0.is_empty());
    }
}
