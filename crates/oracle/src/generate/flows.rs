//! Flows: half of them aimed at a rule of the cluster and at its edges, the others anywhere.

mod wide;

use std::{collections::BTreeSet, net::IpAddr};

use palisade_engine::model::{
    Cluster, Direction, Endpoint, Family, Flow, IpBlock, NetworkPolicy, Peer, PodId, PolicyRule, PortMatch, Protocol,
    Side, Traffic,
};

use super::{
    addresses::{is_in_plan, is_outside_host, outside},
    edges::edges,
    ports::{at_an_edge, number, protocol},
    random::Rng,
};
use crate::{
    maybe::Maybe,
    peers::{contains, peers_match},
    selectors::is_subject,
};

/// Which flows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All that can be asked about.
    Any,
    /// Those that a lab can send.
    Probeable,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// What a rule is about, nearly.
    Rule,
    /// An outside host at the edge of a block.
    BlockEdge,
    Pods,
    Node,
    OwnNode,
    /// 1.6
    Itself,
    Outside,
    /// The address of a pod that has ended: another pod's, or nobody's by now.
    Ended,
    /// 1.9
    Neither,
}

/// Random flows; fewer than `n` when most attempts lead nowhere.
pub(crate) fn flows(rng: Rng, cluster: &Cluster, n: usize, mode: Mode) -> Vec<Flow> {
    let mut maker = Maker::new(rng, cluster, mode);
    let mut flows = Vec::new();
    for _ in 0..n.saturating_mul(30) {
        if flows.len() == n {
            break;
        }
        flows.extend(maker.attempt());
    }
    flows
}

struct Maker<'a> {
    rng: Rng,
    cluster: &'a Cluster,
    mode: Mode,
    /// Live pods, host-network ones too.
    pods: Vec<PodId>,
    families: Vec<Family>,
    blocks: Vec<&'a IpBlock>,
    /// Numbers that some container or rule has, and those next to the ends of ranges.
    numbers: Vec<u16>,
}

impl<'a> Maker<'a> {
    fn new(rng: Rng, cluster: &'a Cluster, mode: Mode) -> Self {
        let pods: Vec<PodId> = cluster.pods().filter(|(_, pod)| pod.is_live()).map(|(id, _)| id).collect();
        let has = |family: &Family| pods.iter().any(|id| cluster.pod(*id).addresses.of(*family).is_some());
        let mut families: Vec<Family> = Family::ALL.into_iter().filter(has).collect();
        if families.is_empty() {
            families = Family::ALL.to_vec();
        }
        let rules: Vec<&PolicyRule> =
            cluster.policies().flat_map(|(_, policy)| policy.ingress.iter().chain(&policy.egress)).collect();
        let blocks = rules.iter().flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
            Peer::IpBlock(block) => Some(block),
            Peer::Pods { .. } => None,
        });
        let mut numbers = BTreeSet::from([1, u16::MAX]);
        numbers.extend(cluster.pods().flat_map(|(_, pod)| &pod.ports).map(|port| port.port));
        for item in rules.iter().flat_map(|rule| &rule.ports) {
            if let PortMatch::Range(range) = &item.port {
                let (first, last) = (range.first(), range.last());
                numbers
                    .extend([first.checked_sub(1), Some(first), Some(last), last.checked_add(1)].into_iter().flatten());
            }
        }
        // Port 0 cannot be sent to.
        numbers.remove(&0);
        let (blocks, numbers) = (blocks.collect(), numbers.into_iter().collect());
        Self { rng, cluster, mode, pods, families, blocks, numbers }
    }

    fn attempt(&mut self) -> Option<Flow> {
        // Clusters without such policies have the flows that they always had.
        if self.cluster.cluster_policies().len() > 0 && self.rng.chance(45) {
            return wide::attempt(self).filter(|flow| self.wanted(flow));
        }
        let kind = self.rng.weighted([
            (48, Kind::Rule),
            (9, Kind::BlockEdge),
            (18, Kind::Pods),
            (7, Kind::Node),
            (3, Kind::OwnNode),
            (3, Kind::Itself),
            (8, Kind::Outside),
            (2, Kind::Ended),
            (2, Kind::Neither),
        ]);
        let (from, to, traffic) = match kind {
            Kind::Rule => self.at_a_rule()?,
            Kind::BlockEdge => {
                let block = *self.rng.pick(&self.blocks)?;
                let other = self.edge(block)?;
                let pod = self.pod_for(other)?;
                self.between(pod, other)
            }
            Kind::Pods => {
                let family = self.family()?;
                let (from, to) = (self.pod(family)?, self.pod(family)?);
                self.between(from, to)
            }
            Kind::Node => {
                let family = self.family()?;
                let (pod, node) = (self.pod(family)?, self.node(family)?);
                self.between(pod, node)
            }
            Kind::OwnNode => {
                let family = self.family()?;
                let id = *self.rng.pick(&self.pods)?;
                let node = self.cluster.side_of_node(self.cluster.node_of(id)?, family);
                let pod = self.cluster.side_of_pod(id, family)?;
                self.between(pod, node)
            }
            Kind::Itself => {
                let family = self.family()?;
                let pod = self.pod(family)?;
                self.between(pod, pod)
            }
            Kind::Outside => {
                let family = self.family()?;
                let (pod, other) = (self.pod(family)?, self.outside(family));
                self.between(pod, other)
            }
            Kind::Ended => {
                let family = self.family()?;
                let ended: Vec<IpAddr> = (self.cluster.pods())
                    .filter(|(_, pod)| !pod.is_live())
                    .filter_map(|(_, pod)| pod.addresses.of(family))
                    .collect();
                let other = self.cluster.side_of_address(*self.rng.pick(&ended)?);
                let pod = self.pod(family)?;
                self.between(pod, other)
            }
            Kind::Neither => {
                let family = self.family()?;
                let (node, other) = (self.node(family)?, self.outside(family));
                self.between(node, other)
            }
        };
        let flow = Flow::new(from, to, traffic).ok()?;
        self.wanted(&flow).then_some(flow)
    }

    fn wanted(&self, flow: &Flow) -> bool {
        let sides = [flow.from(), flow.to()];
        let outside = |side: &Side, allowed: fn(IpAddr) -> bool| {
            side.endpoint != Endpoint::Outside || side.address.is_some_and(allowed)
        };
        match self.mode {
            Mode::Any => sides.iter().all(|side| outside(side, is_in_plan)),
            Mode::Probeable => {
                sides.iter().all(|side| side.address.is_some() && outside(side, is_outside_host))
                    && sides.iter().any(|side| matches!(side.endpoint, Endpoint::Pod(_)))
                    && matches!(flow.traffic(), Traffic::Port(_, 1..))
            }
        }
    }

    /// A flow at a rule: between a pod that its policy selects and one of its peers, or nearly.
    fn at_a_rule(&mut self) -> Option<(Side, Side, Traffic)> {
        let policies: Vec<&NetworkPolicy> = self.cluster.policies().map(|(_, policy)| policy).collect();
        let policy = *self.rng.pick(&policies)?;
        let direction = self.rng.one_of(Direction::ALL);
        let rule = self.rng.pick(policy.rules(direction))?;
        let subjects = self.pods.iter().copied().filter(|id| is_subject(policy, self.cluster.pod(*id)));
        let subjects: Vec<PodId> = subjects.collect();
        let subject = *self.rng.pick(&subjects)?;

        let peer = self.rng.pick(&rule.peers);
        let (subject, other) = match peer {
            Some(Peer::IpBlock(block)) => {
                let other = self.at_block(block)?;
                let family = Family::of(block.cidr.addr());
                (self.cluster.side_of_pod(subject, family)?, other)
            }
            Some(Peer::Pods { .. }) | None => {
                let family = self.family()?;
                let other = match peer {
                    Some(peer) if self.rng.chance(75) => self.pod_like(policy, peer, family)?,
                    _ => self.anybody(family)?,
                };
                (self.cluster.side_of_pod(subject, family)?, other)
            }
        };
        let (from, to) = match direction {
            Direction::Ingress => (other, subject),
            Direction::Egress => (subject, other),
        };
        let traffic = self.traffic_at(rule, to);
        Some((from, to, traffic))
    }

    /// Somebody whom the peer matches.
    fn pod_like(&mut self, policy: &NetworkPolicy, peer: &Peer, family: Family) -> Option<Side> {
        let peers = std::slice::from_ref(peer);
        let sides = self.pods.iter().filter_map(|id| self.cluster.side_of_pod(*id, family));
        let matching: Vec<Side> =
            sides.filter(|side| peers_match(self.cluster, policy, peers, *side, Some(family)) == Maybe::Yes).collect();
        self.rng.pick(&matching).copied()
    }

    /// Somebody in the block, in what is taken away from it, or at one of its edges.
    fn at_block(&mut self, block: &IpBlock) -> Option<Side> {
        if self.rng.chance(35) {
            return self.edge(block);
        }
        let family = Family::of(block.cidr.addr());
        if self.mode == Mode::Any && self.rng.chance(15) {
            // 1.2: somebody of whom nobody knows whether the block holds them.
            let sides = self.pods.iter().filter_map(|id| self.cluster.side_of_pod(*id, family));
            let unknown: Vec<Side> = sides.filter(|side| side.address.is_none()).collect();
            if let Some(side) = self.rng.pick(&unknown) {
                return Some(*side);
            }
        }
        let owners = (self.pods.iter().filter_map(|id| self.cluster.side_of_pod(*id, family)))
            .chain(self.cluster.nodes().map(|(id, _)| self.cluster.side_of_node(id, family)));
        let mut inside: Vec<Side> =
            owners.filter(|side| side.address.is_some_and(|address| contains(&block.cidr, address))).collect();
        // An outside host of the block, should one of a few be in it.
        let hosts = (0..8).map(|_| self.outside(family)).collect::<Vec<_>>();
        inside
            .extend(hosts.into_iter().find(|side| side.address.is_some_and(|address| contains(&block.cidr, address))));
        self.rng.pick(&inside).copied().or_else(|| self.edge(block))
    }

    /// The end at the first or last address of a block or of its exceptions, or right outside.
    fn edge(&mut self, block: &IpBlock) -> Option<Side> {
        let cidr = match self.rng.pick(&block.except) {
            Some(except) if self.rng.chance(40) => except,
            _ => &block.cidr,
        };
        let edges = edges(cidr);
        let address = self.rng.one_of([edges.before, edges.first, edges.last, edges.after])?;
        Some(self.cluster.side_of_address(address))
    }

    /// What the rule's ports say of the destination, or nearly.
    fn traffic_at(&mut self, rule: &PolicyRule, to: Side) -> Traffic {
        let Some(item) = self.rng.pick(&rule.ports).filter(|_| self.rng.below(10) > 0) else {
            return self.traffic(to);
        };
        let protocol = if self.rng.chance(88) { item.protocol } else { protocol(&mut self.rng) };
        let number = match &item.port {
            PortMatch::Named(name) => {
                let same_name = self.ports_of(to).into_iter().filter(|(n, _, _)| n.as_ref() == Some(name));
                let numbers: Vec<u16> = same_name.map(|(_, _, number)| number).collect();
                self.rng.pick(&numbers).copied()
            }
            PortMatch::Range(_) => at_an_edge(&mut self.rng, &item.port),
            PortMatch::All => None,
        };
        Traffic::Port(protocol, number.unwrap_or_else(|| self.number()))
    }

    /// Anything that may be sent there.
    fn traffic(&mut self, to: Side) -> Traffic {
        if self.mode == Mode::Any && self.rng.chance(8) {
            return Traffic::Portless;
        }
        let ports = self.ports_of(to);
        if let Some((_, protocol, number)) = self.rng.pick(&ports).filter(|_| self.rng.chance(50)) {
            return Traffic::Port(*protocol, *number);
        }
        let number = self.number();
        Traffic::Port(protocol(&mut self.rng), number)
    }

    fn ports_of(&self, to: Side) -> Vec<(Option<palisade_engine::model::Name>, Protocol, u16)> {
        let Endpoint::Pod(id) = to.endpoint else { return Vec::new() };
        self.cluster.pod(id).ports.iter().map(|port| (port.name.clone(), port.protocol, port.port)).collect()
    }

    fn number(&mut self) -> u16 {
        match self.rng.pick(&self.numbers) {
            Some(number) => *number,
            None => number(&mut self.rng),
        }
    }

    /// Two ends either way round, with anything between.
    fn between(&mut self, a: Side, b: Side) -> (Side, Side, Traffic) {
        let (from, to) = if self.rng.chance(50) { (a, b) } else { (b, a) };
        (from, to, self.traffic(to))
    }

    fn family(&mut self) -> Option<Family> {
        self.rng.pick(&self.families).copied()
    }

    fn pod(&mut self, family: Family) -> Option<Side> {
        let id = *self.rng.pick(&self.pods)?;
        self.cluster.side_of_pod(id, family)
    }

    /// A pod in the family of the other end.
    fn pod_for(&mut self, other: Side) -> Option<Side> {
        self.pod(Family::of(other.address?))
    }

    fn node(&mut self, family: Family) -> Option<Side> {
        let nodes: Vec<_> = self.cluster.nodes().map(|(id, _)| id).collect();
        self.rng.pick(&nodes).map(|id| self.cluster.side_of_node(*id, family))
    }

    fn outside(&mut self, family: Family) -> Side {
        self.cluster.side_of_address(outside(&mut self.rng, family))
    }

    fn anybody(&mut self, family: Family) -> Option<Side> {
        match self.rng.below(10) {
            0..=5 => self.pod(family),
            6..=7 => self.node(family),
            _ => Some(self.outside(family)),
        }
    }
}
