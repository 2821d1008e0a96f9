//! The port space of a profile's tier, cut into cells in which the same rules count.

use std::collections::BTreeMap;

use palisade_engine::model::{PortRange, Protocol};

use super::peers::Union;
use palisade_engine::compile::Action;

/// One rule, as far as the cells are concerned.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) action: Action,
    pub(super) peers: Union,
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
pub(super) type Decisions = Vec<(Action, Union)>;

/// The cells of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    /// Where the rules about ports make a difference; disjoint.
    pub(super) ports: BTreeMap<(Protocol, PortRange), Decisions>,
    /// Everywhere else.
    pub(super) rest: Decisions,
}

impl Cells {
    /// Cuts the port space by the entries, which are in order.
    pub(super) fn cut(entries: &[Entry]) -> Self {
        let all = entries.iter().filter(|entry| entry.traffic == Traffic::All);
        let mut cells = Self { rest: decisions(all), ports: BTreeMap::new() };
        for protocol in Protocol::ALL {
            let mut open: Option<(PortRange, Decisions)> = None;
            for range in elementary_ranges(entries, protocol) {
                let here = entries.iter().filter(|entry| match entry.traffic {
                    Traffic::All => true,
                    Traffic::Ports(of, ports) => of == protocol && ports.contains(range.first()),
                });
                let here = decisions(here);
                open = match open.take() {
                    Some((before, same)) if same == here => {
                        PortRange::new(before.first(), range.last()).map(|joined| (joined, same))
                    }
                    before => {
                        cells.keep(protocol, before);
                        Some((range, here))
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

/// Ranges that cover all ports, such that every entry covers each of them whole or not at all.
fn elementary_ranges(entries: &[Entry], protocol: Protocol) -> Vec<PortRange> {
    let mut starts: Vec<u16> = vec![0];
    for entry in entries {
        if let Traffic::Ports(of, range) = entry.traffic
            && of == protocol
        {
            starts.push(range.first());
            starts.extend(range.last().checked_add(1));
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([u16::MAX]);
    starts.iter().zip(ends).filter_map(|(first, last)| PortRange::new(*first, last)).collect()
}

/// Neighbours of the same action become one question.
fn decisions<'a>(entries: impl Iterator<Item = &'a Entry>) -> Decisions {
    let mut decisions: Decisions = Vec::new();
    for entry in entries {
        match decisions.last_mut() {
            Some((action, peers)) if *action == entry.action => peers.merge(&entry.peers),
            _ => decisions.push((entry.action, entry.peers.clone())),
        }
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::peers::{Peer, Who};

    fn entry(name: &str, traffic: Traffic) -> Entry {
        let peer = Peer { who: Who::Anyone, with_port: Some((name.into(), Protocol::Tcp, 1)) };
        Entry { action: Action::Accept, peers: Union::of([peer]), traffic }
    }

    fn tcp(first: u16, last: u16) -> Traffic {
        Traffic::Ports(Protocol::Tcp, PortRange::new(first, last).unwrap())
    }

    fn shown(cells: &Cells) -> Vec<(u16, u16, usize)> {
        let size = |decisions: &Decisions| match decisions.as_slice() {
            [(Action::Accept, Union::Of(peers))] => peers.len(),
            _ => 0,
        };
        cells.ports.iter().map(|((_, range), cell)| (range.first(), range.last(), size(cell))).collect()
    }

    #[test]
    fn overlapping_ranges_are_cut_apart() {
        let cells = Cells::cut(&[entry("a", tcp(80, 90)), entry("b", tcp(85, 100)), entry("c", tcp(443, 443))]);
        assert_eq!(shown(&cells), [(80, 84, 1), (85, 90, 2), (91, 100, 1), (443, 443, 1)]);
        assert!(cells.rest.is_empty());
    }

    #[test]
    fn a_rule_for_all_traffic_counts_everywhere() {
        let cells = Cells::cut(&[entry("a", tcp(0, 65_535)), entry("b", Traffic::All)]);
        assert_eq!(shown(&cells), [(0, 65_535, 2)]);
        assert_eq!(cells.rest.len(), 1);
    }

    #[test]
    fn neighbours_with_the_same_peers_become_one_cell() {
        let cells = Cells::cut(&[entry("a", tcp(1, 10)), entry("a", tcp(11, 20))]);
        assert_eq!(shown(&cells), [(1, 20, 1)]);
    }

    #[test]
    fn what_changes_nothing_is_no_cell() {
        assert!(Cells::cut(&[entry("a", Traffic::All), entry("a", tcp(80, 80))]).ports.is_empty());
    }
}
