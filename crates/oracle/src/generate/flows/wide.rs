//! Flows aimed at a rule of a cluster-wide policy.

use palisade_engine::model::{
    ClusterPeer, ClusterPolicy, ClusterPort, ClusterRule, Direction, Family, Flow, IpBlock, PodId, PortMatch, Protocol,
    Side, Traffic,
};

use super::{Maker, Mode};
use crate::{
    generate::ports::{at_an_edge, protocol},
    maybe::Maybe,
    tiers::{is_subject, peer_matches},
};

/// A flow between a pod that a policy selects and one of the peers of its rule, or nearly; now and then of
/// a pod to itself through a Service.
pub(super) fn attempt(maker: &mut Maker<'_>) -> Option<Flow> {
    let policies: Vec<&ClusterPolicy> = maker.cluster.cluster_policies().map(|(_, policy)| policy).collect();
    let policy = *maker.rng.pick(&policies)?;
    let direction = maker.rng.one_of(Direction::ALL);
    let cluster = maker.cluster;
    let subjects = maker.pods.iter().copied().filter(|id| is_subject(cluster, policy, cluster.pod(*id)));
    let subjects: Vec<PodId> = subjects.collect();
    let subject = *maker.rng.pick(&subjects)?;
    let rule = maker.rng.pick(policy.rules(direction))?;
    let family = maker.family()?;
    if maker.mode == Mode::Any && maker.rng.chance(8) {
        let pod = cluster.side_of_pod(subject, family)?;
        let traffic = traffic_at(maker, rule, pod);
        return Flow::new(pod, pod, traffic).ok().map(Flow::through_service);
    }
    let other = match maker.rng.pick(rule.peers()).filter(|_| maker.rng.chance(85)) {
        Some(peer) => somebody(maker, peer, family)?,
        None => maker.anybody(family)?,
    };
    let family = other.address.map_or(family, Family::of);
    let subject = cluster.side_of_pod(subject, family)?;
    let (from, to) = match direction {
        Direction::Ingress => (other, subject),
        Direction::Egress => (subject, other),
    };
    let traffic = traffic_at(maker, rule, to);
    Flow::new(from, to, traffic).ok()
}

/// Somebody whom the peer matches, or somebody at its edge.
fn somebody(maker: &mut Maker<'_>, peer: &ClusterPeer, family: Family) -> Option<Side> {
    let cluster = maker.cluster;
    match peer {
        ClusterPeer::Networks { networks, .. } => {
            let cidr = *maker.rng.pick(networks)?;
            maker.at_block(&IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
        }
        ClusterPeer::DomainNames { .. } => {
            let told: Vec<_> = cluster.resolved().iter().map(|told| told.address).collect();
            match maker.rng.pick(&told) {
                Some(address) => Some(cluster.side_of_address(*address)),
                None => Some(maker.outside(family)),
            }
        }
        ClusterPeer::Nodes { .. } => maker.node(family),
        ClusterPeer::Namespaces { .. } | ClusterPeer::Pods { .. } => {
            let sides = maker.pods.iter().filter_map(|id| cluster.side_of_pod(*id, family));
            let matching: Vec<Side> =
                sides.filter(|side| peer_matches(cluster, peer, *side, Some(family)) == Maybe::Yes).collect();
            maker.rng.pick(&matching).copied()
        }
    }
}

/// What the rule's ports say of the destination, or nearly.
fn traffic_at(maker: &mut Maker<'_>, rule: &ClusterRule, to: Side) -> Traffic {
    let Some(item) = maker.rng.pick(rule.ports()).filter(|_| maker.rng.below(10) > 0) else {
        return maker.traffic(to);
    };
    let found: Option<(Protocol, u16)> = match item {
        ClusterPort::Numbers { protocol, ports, .. } => {
            at_an_edge(&mut maker.rng, &PortMatch::Range(*ports)).map(|number| (*protocol, number))
        }
        ClusterPort::Named { name, .. } => {
            let ports = maker.ports_of(to).into_iter().filter(|(own, _, _)| own.as_ref() == Some(name));
            let ports: Vec<(Protocol, u16)> = ports.map(|(_, protocol, number)| (protocol, number)).collect();
            maker.rng.pick(&ports).copied()
        }
    };
    let Some((own, number)) = found else { return maker.traffic(to) };
    let protocol = if maker.rng.chance(90) { own } else { protocol(&mut maker.rng) };
    Traffic::Port(protocol, number)
}
