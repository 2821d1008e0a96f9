//! The shortest ways from some ends to all others, over everything that is allowed.

use palisade_engine::{
    Connections,
    connections::{Cell, EndSet, Row, TrafficId},
};

/// How an end was come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    /// How many connections it takes.
    pub(super) hops: u32,
    /// The end before it.
    pub(super) before: u32,
    /// What passes between the two.
    pub(super) traffic: TrafficId,
}

/// Searches breadth first, a whole set of ends at once.
pub(super) struct Search<'a> {
    connections: &'a Connections,
    backwards: bool,
}

impl<'a> Search<'a> {
    /// `backwards`: from those who are reached to those who reach them.
    pub(super) fn new(connections: &'a Connections, backwards: bool) -> Self {
        Self { connections, backwards }
    }

    /// Every end that can be come to, by number. Only pods go on: what is outside or a node is not taken
    /// over with them.
    pub(super) fn from(&self, begin: &EndSet, hops: u32) -> Vec<Option<Step>> {
        let ends = self.connections.ends();
        let mut steps = vec![None; ends.len()];
        let mut known = begin.clone();
        let mut frontier = begin.clone();
        for hop in 1..=hops {
            let mut next = EndSet::new();
            for row in self.connections.allowed().rows() {
                for (sources, cell) in &row.sources {
                    let Some(traffic) = widest(*cell) else { continue };
                    let (here, there) = self.sides(row, sources);
                    let Some(before) = (here & &frontier).min() else { continue };
                    for end in &(there - &known) {
                        if let Some(slot) = steps.get_mut(end as usize) {
                            *slot = Some(Step { hops: hop, before, traffic });
                        }
                        next.insert(end);
                    }
                    known |= there;
                }
            }
            frontier = next & ends.pods();
            if frontier.is_empty() {
                break;
            }
        }
        steps
    }

    fn sides<'r>(&self, row: &'r Row, sources: &'r EndSet) -> (&'r EndSet, &'r EndSet) {
        if self.backwards { (&row.destinations, sources) } else { (sources, &row.destinations) }
    }
}

/// What passes over either family; the wider where they differ.
fn widest(cell: Cell) -> Option<TrafficId> {
    let some = |id: Option<TrafficId>| id.filter(|id| *id != TrafficId::NOTHING);
    some(cell.v4).or(some(cell.v6))
}

#[cfg(test)]
mod tests {
    use palisade_engine::{PolicyProgram, connections::End};
    use palisade_oracle::generate::Generator;

    use super::*;

    /// Hops found one pair at a time.
    fn slow(connections: &Connections, begin: &EndSet, hops: u32, backwards: bool) -> Vec<Option<u32>> {
        let ends: Vec<_> = connections.ends().iter().collect();
        let mut found: Vec<Option<u32>> = (0u32..).zip(&ends).map(|(n, _)| begin.contains(n).then_some(0)).collect();
        for hop in 1..=hops {
            let before = found.clone();
            for (there, slot) in ends.iter().zip(&mut found).filter(|(_, slot)| slot.is_none()) {
                let passes = |here: &(palisade_engine::connections::EndId, &End)| {
                    let (from, to) = if backwards { (there.0, here.0) } else { (here.0, there.0) };
                    let cell = connections.allowed().between(from, to);
                    [cell.v4, cell.v6].into_iter().flatten().any(|id| id != TrafficId::NOTHING)
                };
                let goes_on = |here: &(palisade_engine::connections::EndId, &End)| {
                    let at = before[here.0.number() as usize];
                    at == Some(hop - 1) && (hop == 1 || matches!(here.1, End::Pods(_)))
                };
                if ends.iter().any(|here| goes_on(here) && passes(here)) {
                    *slot = Some(hop);
                }
            }
        }
        found
    }

    #[test]
    fn the_search_finds_what_pairs_say() {
        let mut far = 0;
        for seed in 0..300 {
            let cluster = Generator::new(seed).cluster();
            let program = PolicyProgram::compile(&cluster);
            let connections = Connections::new(&cluster, &program);
            let begin: EndSet = std::iter::once((seed % connections.ends().len() as u64) as u32).collect();
            for backwards in [false, true] {
                let search = Search::new(&connections, backwards);
                let steps = search.from(&begin, 4);
                let wanted = slow(&connections, &begin, 4, backwards);
                for (index, (step, wanted)) in (0u32..).zip(steps.iter().zip(wanted)) {
                    if !begin.contains(index) {
                        assert_eq!(step.map(|step| step.hops), wanted, "seed {seed}, end {index}, {backwards}");
                        far += usize::from(wanted > Some(1));
                    }
                }
            }
        }
        assert!(far > 100, "{far} ends were further than one hop");
    }
}
