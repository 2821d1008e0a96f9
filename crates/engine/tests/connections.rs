//! Property: all connections, found by set algebra, are exactly those that the oracle allows one by one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::unreachable, reason = "tests")]

mod dice;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{Cell, End, EndId, Query, Rectangle, Relation, TrafficId},
    model::{Cluster, Endpoint, Family, Flow, PodId, Protocol, Side, Traffic},
    sets::TrafficSet,
};
use palisade_oracle::{
    Answer, Count, answer_counting,
    generate::{Generator, flow_text},
};

use dice::Dice;

/// How many clusters: 1,500, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_500)
}

/// NetworkPolicies alone, and with cluster-wide policies before and behind them.
fn generators(seed: u64) -> [Generator; 2] {
    [Generator::new(seed), Generator::new(seed).with_cluster_policies()]
}

/// One who is at an end, in a family; the second pod of an identity where it is to be another than `not`.
fn side(
    (cluster, program): (&Cluster, &PolicyProgram),
    end: &End,
    family: Family,
    not: Option<PodId>,
    dice: &mut Dice,
) -> Option<Side> {
    match end {
        End::Pods(identity) => {
            let pods: Vec<PodId> =
                program.identity(*identity).pods.iter().copied().filter(|pod| Some(*pod) != not).collect();
            (!pods.is_empty()).then(|| cluster.side_of_pod(*dice.one(&pods), family).unwrap())
        }
        End::Node { node, addresses } => {
            Some(Side { endpoint: Endpoint::Node(*node), address: addresses[family as usize] })
        }
        End::Outside { first, last } => {
            let mut addresses = vec![*first, *last];
            addresses.extend((0..6).map(|_| between(*first, *last, dice.below(usize::MAX) as u128)));
            let mut sides = addresses.into_iter().map(|address| cluster.side_of_address(address));
            sides.find(|side| side.endpoint == Endpoint::Outside)
        }
    }
}

fn between(first: IpAddr, last: IpAddr, number: u128) -> IpAddr {
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let (a, b) = (u64::from(a.to_bits()), u64::from(b.to_bits()));
            Ipv4Addr::from_bits((a + (number as u64) % (b - a + 1)) as u32).into()
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let (a, b) = (a.to_bits(), b.to_bits());
            Ipv6Addr::from_bits(a + number % (b - a).max(1)).into()
        }
        _ => unreachable!("a segment is of one family"),
    }
}

/// Every kind of traffic at which one of the sets begins or ends, and one port inside each range.
fn kinds(sets: &[&TrafficSet], dice: &mut Dice) -> Vec<Traffic> {
    let mut kinds = vec![Traffic::Portless];
    for protocol in Protocol::ALL {
        kinds.extend([0, 1, 80, 443, 65_535].map(|port| Traffic::Port(protocol, port)));
        for (first, last) in sets.iter().flat_map(|set| set.of(protocol).ranges()) {
            let inside = first + (dice.below(usize::from(last - first) + 1) as u16);
            let ports = [first.saturating_sub(1), first, inside, last, last.saturating_add(1)];
            kinds.extend(ports.map(|port| Traffic::Port(protocol, port)));
        }
    }
    kinds
}

struct Pair<'a> {
    connections: &'a Connections,
    from: EndId,
    to: EndId,
    family: Family,
}

impl Pair<'_> {
    fn set(&self, relation: &Relation) -> &TrafficSet {
        let cell: Cell = relation.between(self.from, self.to);
        self.connections.traffic(cell.of(self.family).unwrap_or(TrafficId::NOTHING))
    }

    fn allowed(&self) -> &TrafficSet {
        self.set(self.connections.allowed())
    }

    fn possible(&self) -> &TrafficSet {
        self.connections.possible().map_or_else(|| self.allowed(), |possible| self.set(possible))
    }

    fn is_right(&self, traffic: Traffic, answer: Answer, family_is_known: bool) -> bool {
        match (self.allowed().contains(traffic), self.possible().contains(traffic), answer) {
            (true, true, Answer::Allow) | (false, false, Answer::Deny) | (false, true, Answer::Undetermined) => true,
            // Without any address the oracle does not know the family, and we do.
            (_, _, Answer::Undetermined) => !family_is_known,
            _ => false,
        }
    }
}

#[test]
fn connections_equal_the_oracle() {
    let mut judged = [0usize; 3];
    let generators = (0..clusters()).flat_map(|seed| {
        let [plain, wide] = generators(seed);
        // Where some are audited, one answer after the other.
        let count = if seed.is_multiple_of(2) { Count::Enforced } else { Count::WithAudited };
        [(plain, Count::Enforced), (wide.clone(), Count::Enforced), (wide.with_modes(), count)]
    });
    for (generator, count) in generators {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        let program = if count == Count::Enforced { program } else { program.with_audited() };
        let connections = Connections::new(&cluster, &program);
        let ends: Vec<(EndId, &End)> = connections.ends().iter().collect();
        let mut dice = Dice(seed);
        for _ in 0..60 {
            let ((from, source), (to, target)) = (*dice.one(&ends), *dice.one(&ends));
            let family = *dice.one(&Family::ALL);
            if ![from, to].iter().all(|end| connections.ends().is_present(*end, family)) {
                continue;
            }
            let here = (&cluster, &program);
            let Some(source) = side(here, source, family, None, &mut dice) else { continue };
            let not = match source.endpoint {
                Endpoint::Pod(pod) => Some(pod),
                Endpoint::Node(_) | Endpoint::Outside => None,
            };
            let Some(target) = side(here, target, family, not, &mut dice) else { continue };
            let own_node = match (source.endpoint, target.endpoint) {
                (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
                    cluster.node_of(pod) == Some(node)
                }
                (Endpoint::Pod(_), _) | (_, Endpoint::Pod(_)) => false,
                _ => true,
            };
            if own_node {
                continue;
            }
            let pair = Pair { connections: &connections, from, to, family };
            let undecided = connections.undecided().map(|relation| pair.set(relation).clone()).unwrap_or_default();
            assert_eq!(undecided, pair.possible().difference(pair.allowed()), "seed {seed}, {family}");
            for traffic in kinds(&[pair.allowed(), pair.possible()], &mut dice) {
                let flow = Flow::new(source, target, traffic).unwrap();
                let answer = answer_counting(&cluster, &flow, count);
                let family_is_known = source.address.or(target.address).is_some();
                assert!(
                    pair.is_right(traffic, answer, family_is_known),
                    "seed {seed}, {family}: {} is {answer:?}, allowed {}, possible {}",
                    flow_text(&cluster, &flow),
                    pair.allowed(),
                    pair.possible()
                );
                judged[answer as usize] += 1;
            }
        }
    }
    assert!(judged.iter().all(|count| *count > 100), "every answer was asked for: {judged:?}");
}

/// Every end is the destination of one row, and no source is in two sets of a row.
#[test]
fn rows_cover_every_pair_once() {
    for generator in (0..clusters().min(300)).flat_map(generators) {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let connections = Connections::new(&cluster, &PolicyProgram::compile(&cluster));
        let rows = connections.allowed().rows();
        let destinations: u64 = rows.iter().map(|row| row.destinations.len()).sum();
        assert_eq!(destinations, connections.ends().len() as u64, "seed {seed}");
        for row in rows {
            let sources: u64 = row.sources.iter().map(|(set, _)| set.len()).sum();
            let union = row.sources.iter().fold(Default::default(), |all: roaring::RoaringBitmap, (set, _)| all | set);
            assert_eq!(sources, union.len(), "seed {seed}");
        }
    }
}

/// What is printed is the whole truth: rectangles put together again are the relation, and what is
/// denied is all that is not allowed.
#[test]
fn rectangles_are_the_relation() {
    for generator in (0..clusters().min(300)).flat_map(generators) {
        let seed = generator.seed();
        let cluster = generator.cluster();
        let connections = Connections::new(&cluster, &PolicyProgram::compile(&cluster));
        let relation = connections.allowed();
        let allowed = connections.rectangles(relation, &Query::default());
        let denied = connections.rectangles(relation, &Query { denied: true, ..Query::default() });
        let ends: Vec<(EndId, &End)> = connections.ends().iter().collect();
        let mut dice = Dice(seed);
        for _ in 0..200 {
            let ((from, source), (to, target)) = (*dice.one(&ends), *dice.one(&ends));
            let judged = [source, target].iter().any(|end| matches!(end, End::Pods(_)));
            for family in Family::ALL {
                if !judged || ![from, to].iter().all(|end| connections.ends().is_present(*end, family)) {
                    continue;
                }
                let of = |rectangles: &[Rectangle]| {
                    let mut found = rectangles.iter().filter(|r| {
                        r.family.is_none_or(|of| of == family)
                            && r.from.contains(from.number())
                            && r.to.contains(to.number())
                    });
                    let set = found.next().map(|rectangle| rectangle.traffic.clone()).unwrap_or_default();
                    assert!(found.next().is_none(), "seed {seed}: a pair is in two rectangles");
                    set
                };
                let cell = relation.between(from, to).of(family).unwrap_or(TrafficId::NOTHING);
                let (allowed, denied) = (of(&allowed), of(&denied));
                assert_eq!(allowed, *connections.traffic(cell), "seed {seed}");
                assert_eq!(denied, TrafficSet::all().difference(&allowed), "seed {seed}");
            }
        }
    }
}
