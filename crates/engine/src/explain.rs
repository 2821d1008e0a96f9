//! Why a verdict is what it is: which policies isolate, which rule allows, which came nearest and what it missed.
//!
//! An explanation asks the compiled program the same questions as the verdict, only all of them: it
//! never reads a policy's rules anew.

use std::cmp::Reverse;

use crate::{
    compile::{Peers, PolicyProgram, Ports, Rule, RuleId, RulePeer, RulePort, RulePorts},
    model::{Cluster, Direction, Endpoint, Flow, Name, Peer, PodId, PolicyId, Traffic},
    sets::TrafficSet,
    verdict::{Certainty, Half, Verdict, family, other_end, subject_pod},
};

/// A verdict with everything that led to it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// The egress half, at the source; `None` when no half was judged.
    pub egress: Option<HalfExplanation>,
    /// The ingress half, at the destination; likewise.
    pub ingress: Option<HalfExplanation>,
}

/// One half of an explanation.
#[derive(Clone, Debug)]
pub struct HalfExplanation {
    /// The direction.
    pub direction: Direction,
    /// The pod that is judged; `None` when that end is no pod.
    pub subject: Option<PodId>,
    /// What this end says.
    pub half: Half,
    /// The policies that isolate the pod in this direction, in the order read.
    pub isolated_by: Vec<PolicyId>,
    /// Every rule about the pod in this direction that does not match, the nearest first.
    pub misses: Vec<RuleMiss>,
}

/// Why a rule did not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMiss {
    /// The rule.
    pub rule: RuleId,
    /// What its peers said.
    pub peers: PeerAnswer,
    /// What its ports said.
    pub ports: PortAnswer,
}

/// What a rule's peers say of the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// It takes anyone.
    Anyone,
    /// The peer of that index matches.
    Matched(usize),
    /// The peer of that index would match or not by an address that is not known.
    AddressUnknown(usize),
    /// None matches; each says why, in the order written.
    Missed(Vec<PeerMiss>),
}

/// Why one peer does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMiss {
    /// It selects pods, and the other end is none: an outside address, or a node.
    NotAPod,
    /// It selects pods of the policy's own namespace, and the other end is in another one.
    OtherNamespace,
    /// The other end's namespace misses this requirement of `namespaceSelector`, by index.
    Namespace(usize),
    /// The other end misses this requirement of `podSelector`, by index.
    Pod(usize),
    /// The address is not in the ipBlock's `cidr`.
    OutsideBlock,
    /// The address is in the `except` of that index.
    Excepted(usize),
}

/// What a rule's ports say of the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortAnswer {
    /// It takes all traffic.
    All,
    /// The port of that index matches.
    Matched(usize),
    /// None matches; each says why, in the order written.
    Missed(Vec<PortMiss>),
}

/// Why one item of a rule's ports does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortMiss {
    /// The traffic has no ports.
    Portless,
    /// It is for another protocol.
    OtherProtocol,
    /// It is for another port.
    OtherPort,
    /// The destination has no port of that name (and protocol).
    NameNotDefined,
    /// The destination gives that name to other ports.
    NameIsOther(Vec<u16>),
}

impl PolicyProgram {
    /// Explains one flow of the cluster that this program was compiled from.
    pub fn explain(&self, cluster: &Cluster, flow: &Flow) -> Explanation {
        let verdict = self.verdict(cluster, flow);
        let (egress, ingress) = match &verdict {
            Verdict::Exempt(_) => (None, None),
            Verdict::Judged { egress, ingress } => (
                Some(self.explain_half(cluster, flow, Direction::Egress, egress)),
                Some(self.explain_half(cluster, flow, Direction::Ingress, ingress)),
            ),
        };
        Explanation { verdict, egress, ingress }
    }

    /// The rules of one half whose peers are the flow's other end, each with the traffic that it means
    /// towards the destination; what the flow itself carries does not matter.
    pub fn contributions(&self, flow: &Flow, direction: Direction) -> Vec<(RuleId, TrafficSet)> {
        let identity = subject_pod(flow, direction).and_then(|pod| self.identity_of(pod));
        let profile = identity.map(|id| self.profile(self.profile_of(id, direction)));
        let rules = profile.into_iter().flat_map(|profile| &profile.tiers).flat_map(|tier| &tier.rules);
        let matching = rules.filter(|rule| self.peers_match(**rule, flow).0 == Certainty::Yes);
        matching.map(|rule| (*rule, self.rule_traffic(*rule, flow.to()))).collect()
    }

    fn explain_half(&self, cluster: &Cluster, flow: &Flow, direction: Direction, half: &Half) -> HalfExplanation {
        let subject = subject_pod(flow, direction);
        let profile =
            subject.and_then(|pod| self.identity_of(pod)).map(|id| self.profile(self.profile_of(id, direction)));
        let tiers = profile.map_or(&[][..], |profile| &profile.tiers);
        let rules = tiers.iter().flat_map(|tier| &tier.rules);
        let mut misses: Vec<RuleMiss> = rules.filter_map(|rule| self.miss(cluster, *rule, flow)).collect();
        misses.sort_by_key(|miss| Reverse(nearness(miss)));
        HalfExplanation {
            direction,
            subject,
            half: half.clone(),
            isolated_by: tiers.iter().flat_map(|tier| tier.policies.iter().copied()).collect(),
            misses,
        }
    }

    fn miss(&self, cluster: &Cluster, id: RuleId, flow: &Flow) -> Option<RuleMiss> {
        let rule = self.rule(id);
        let peers = match (&rule.peers, self.peers_match(id, flow)) {
            (Peers::Any, _) => PeerAnswer::Anyone,
            (Peers::Of(_), (Certainty::Yes, Some(peer))) => PeerAnswer::Matched(peer),
            (Peers::Of(_), (Certainty::Unknown, Some(peer))) => PeerAnswer::AddressUnknown(peer),
            (Peers::Of(peers), _) => {
                let policy = cluster.policy(rule.origin.policy);
                let written = policy.rules(rule.origin.direction).get(rule.origin.index);
                let written = written.map_or(&[][..], |rule| &rule.peers);
                let own = &policy.id.namespace;
                let misses = peers.iter().zip(written).filter_map(|pair| self.peer_miss(pair, own, rule, flow));
                PeerAnswer::Missed(misses.collect())
            }
        };
        let ports = match &rule.ports {
            Ports::All => PortAnswer::All,
            Ports::Of(ports) => match ports.iter().position(|port| self.port_matches(port, flow)) {
                Some(port) => PortAnswer::Matched(port),
                None => PortAnswer::Missed(ports.iter().map(|port| self.port_miss(port, flow)).collect()),
            },
        };
        let peers_missed = matches!(peers, PeerAnswer::Missed(_));
        let ports_missed = matches!(ports, PortAnswer::Missed(_));
        (peers_missed || ports_missed).then_some(RuleMiss { rule: id, peers, ports })
    }

    fn peer_miss(&self, peer: (&RulePeer, &Peer), own: &Name, rule: &Rule, flow: &Flow) -> Option<PeerMiss> {
        let other = other_end(flow, rule.origin.direction);
        if self.peer_matches(peer.0, other, family(flow)) != Certainty::No {
            return None;
        }
        match peer {
            (RulePeer::Pods { namespaces, pods, .. }, _) => {
                let Endpoint::Pod(pod) = other.endpoint else { return Some(PeerMiss::NotAPod) };
                let Some(identity) = self.identity_of(pod) else { return Some(PeerMiss::NotAPod) };
                let namespace = &self.identity(identity).namespace;
                match namespaces {
                    None if namespace != own => return Some(PeerMiss::OtherNamespace),
                    None => {}
                    Some(requirements) => {
                        if let Some(index) = requirements.iter().position(|id| !self.namespace_has(*id, namespace)) {
                            return Some(PeerMiss::Namespace(index));
                        }
                    }
                }
                pods.iter().position(|id| !self.pod_has(*id, identity)).map(PeerMiss::Pod)
            }
            (RulePeer::Block(_), Peer::IpBlock(block)) => {
                // Without an address the block misses for certain when it is of the other family.
                let excepted = other.address.and_then(|address| block.except.iter().position(|p| p.contains(&address)));
                Some(excepted.map_or(PeerMiss::OutsideBlock, PeerMiss::Excepted))
            }
            (RulePeer::Block(_), Peer::Pods { .. }) => None,
        }
    }

    fn port_miss(&self, port: &RulePort, flow: &Flow) -> PortMiss {
        let Traffic::Port(protocol, _) = flow.traffic() else { return PortMiss::Portless };
        if protocol != port.protocol {
            return PortMiss::OtherProtocol;
        }
        match &port.ports {
            RulePorts::Range(_) => PortMiss::OtherPort,
            RulePorts::Named(name) => match self.numbers_at(flow.to().endpoint, name, port) {
                [] => PortMiss::NameNotDefined,
                numbers => PortMiss::NameIsOther(numbers.to_vec()),
            },
        }
    }

    fn numbers_at(&self, to: Endpoint, name: &Name, port: &RulePort) -> &[u16] {
        let Endpoint::Pod(pod) = to else { return &[] };
        self.identity_of(pod).map_or(&[], |id| self.identity(id).port_numbers(name, port.protocol))
    }
}

/// How near a rule came: what of it matched, then how little is missing, then whether the peers matched
/// rather than the ports; so the order in which policies are read says little.
fn nearness(miss: &RuleMiss) -> (u8, u8, u8) {
    let peers = match &miss.peers {
        PeerAnswer::Anyone | PeerAnswer::Matched(_) | PeerAnswer::AddressUnknown(_) => 4,
        PeerAnswer::Missed(misses) => misses.iter().map(peer_nearness).max().unwrap_or(0),
    };
    let ports = match &miss.ports {
        PortAnswer::All | PortAnswer::Matched(_) => 4,
        PortAnswer::Missed(misses) => misses.iter().map(port_nearness).max().unwrap_or(0),
    };
    (u8::from(peers == 4) + u8::from(ports == 4), peers + ports, peers)
}

fn peer_nearness(miss: &PeerMiss) -> u8 {
    match miss {
        PeerMiss::NotAPod => 0,
        PeerMiss::OutsideBlock | PeerMiss::Namespace(_) => 1,
        PeerMiss::OtherNamespace | PeerMiss::Pod(_) | PeerMiss::Excepted(_) => 2,
    }
}

fn port_nearness(miss: &PortMiss) -> u8 {
    match miss {
        PortMiss::Portless | PortMiss::OtherProtocol => 0,
        PortMiss::OtherPort => 1,
        PortMiss::NameNotDefined | PortMiss::NameIsOther(_) => 2,
    }
}
