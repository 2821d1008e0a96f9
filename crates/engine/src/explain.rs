//! Why a verdict is what it is: which policies isolate, which rule allows, which came nearest and what it missed.
//!
//! An explanation asks the compiled program the same questions as the verdict, only all of them: it
//! never reads a policy's rules anew.

use std::cmp::Reverse;

use crate::{
    compile::{
        Action, Counting, Otherwise, Peers, PolicyProgram, Ports, Rule, RuleId, RulePeer, RulePort, RulePorts, Tier,
        TierRules,
    },
    matching::{Certainty, family, other_end},
    model::{Cluster, Direction, Endpoint, Flow, IpBlock, Name, Peer, PodId, PolicyId, PolicyRef, Traffic},
    sets::TrafficSet,
    verdict::{Half, Matched, Verdict, exemption, judging, subject_pod},
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
    /// The NetworkPolicies that isolate the pod in this direction, in the order read.
    pub isolated_by: Vec<PolicyId>,
    /// The tiers that have something to say of the pod, in the order asked; only where one of them is of
    /// cluster-wide policies.
    pub tiers: Vec<TierStep>,
    /// What would be said if the rule that decided were not there; only where it is of a cluster-wide policy.
    pub next: Option<Half>,
    /// Every rule that would allow and does not match, the nearest first.
    pub misses: Vec<RuleMiss>,
}

/// What a tier did with the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierStep {
    /// The tier.
    pub tier: Tier,
    /// Its policies that select the pod in this direction, in the order asked.
    pub policies: Vec<PolicyRef>,
    /// What came of it.
    pub came: Came,
}

/// What came of asking a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// This rule allows or denies.
    Decided(Matched),
    /// This rule leaves it to the next tier.
    Passed(Matched),
    /// This rule would act if an address were known, or what a domain name resolves to.
    Perhaps(Matched),
    /// No rule matches, and the tier denies what none of its rules allows.
    Denied,
    /// No rule matches: the next tier is asked.
    Nothing,
    /// An earlier tier decides.
    NotAsked,
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
    /// The address is in none of the peer's `networks`.
    OutsideNetworks,
    /// It selects nodes, and the other end is none.
    NotANode,
    /// The other end misses this requirement of `nodes`, by index.
    Node(usize),
    /// The address is none that the peer's domain names have.
    OtherName,
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
                Some(self.explain_half(cluster, flow, (Direction::Egress, self.counting()), egress)),
                Some(self.explain_half(cluster, flow, (Direction::Ingress, self.counting()), ingress)),
            ),
        };
        Explanation { verdict, egress, ingress }
    }

    /// Explains one half of a flow as if the audited policies were enforced; `None` where no half is judged.
    pub fn explain_with_audited(
        &self,
        cluster: &Cluster,
        flow: &Flow,
        direction: Direction,
    ) -> Option<HalfExplanation> {
        if exemption(cluster, flow).is_some() {
            return None;
        }
        let half = self.half(flow, direction, Counting::WithAudited);
        Some(self.explain_half(cluster, flow, (direction, Counting::WithAudited), &half))
    }

    /// The rules of one half that allow something between the flow's ends, each with the traffic that it means
    /// towards the destination; what the flow itself carries does not matter.
    pub fn contributions(&self, flow: &Flow, direction: Direction) -> Vec<(RuleId, TrafficSet)> {
        let mut found = self.decisions(flow, direction);
        found.retain(|(rule, _)| self.rule(*rule).action == Action::Accept);
        found
    }

    /// The rules of one half whose peers are the flow's other end, in the order asked, each with the traffic
    /// that it acts on: of cluster-wide policies what no earlier rule took.
    pub fn decisions(&self, flow: &Flow, direction: Direction) -> Vec<(RuleId, TrafficSet)> {
        let mut found = Vec::new();
        let mut open = TrafficSet::all();
        for tier in judging(self.tiers_of(flow, direction).unwrap_or_default(), flow) {
            let (mut passed, ordered) = (TrafficSet::empty(), tier.tier != Tier::NetworkPolicy);
            for id in tier.rules.iter().filter(|rule| self.peers_match(**rule, flow).0 == Certainty::Yes) {
                let matched = self.rule_traffic(*id, flow.to());
                let taken = matched.intersection(&open);
                if ordered {
                    open = open.difference(&taken);
                }
                if self.rule(*id).action == Action::Pass {
                    passed = passed.union(&taken);
                }
                // A rule that names a port which is not there is worth telling; one that comes too late is not.
                if !taken.is_empty() || matched.is_empty() {
                    found.push((*id, taken));
                }
            }
            open = match tier.otherwise {
                Otherwise::NextTier => open.union(&passed),
                Otherwise::Deny => passed,
            };
        }
        found
    }

    fn explain_half(
        &self,
        cluster: &Cluster,
        flow: &Flow,
        (direction, counting): (Direction, Counting),
        half: &Half,
    ) -> HalfExplanation {
        let subject = subject_pod(flow, direction);
        let identity = subject.and_then(|pod| self.identity_of(pod));
        let profile = identity.map(|id| self.profile(self.profile_counting(id, direction, counting)));
        let tiers = profile.map_or(&[][..], |profile| &profile.tiers);
        // What would have allowed it; a rule that denies is no miss where it does not match.
        let rules = tiers.iter().flat_map(|tier| &tier.rules).filter(|rule| self.rule(**rule).action == Action::Accept);
        let mut misses: Vec<RuleMiss> = rules.filter_map(|rule| self.miss(cluster, *rule, flow)).collect();
        misses.sort_by_key(|miss| Reverse(nearness(miss)));
        HalfExplanation {
            direction,
            subject,
            half: half.clone(),
            isolated_by: profile.map(|profile| profile.isolating().collect()).unwrap_or_default(),
            tiers: if tiers.iter().all(|tier| tier.tier == Tier::NetworkPolicy) {
                Vec::new()
            } else {
                self.steps(flow, tiers)
            },
            next: self.next(flow, (direction, counting), half),
            misses,
        }
    }

    fn steps(&self, flow: &Flow, tiers: &[TierRules]) -> Vec<TierStep> {
        let mut asked = true;
        let steps = judging(tiers, flow).map(|tier| {
            let mut matches = tier.rules.iter().map(|rule| self.matches(*rule, flow));
            let came = match matches.find(|(certainty, _)| *certainty != Certainty::No) {
                _ if !asked => Came::NotAsked,
                Some((Certainty::Unknown, matched)) => Came::Perhaps(matched),
                Some((_, matched)) if self.rule(matched.rule).action == Action::Pass => Came::Passed(matched),
                Some((_, matched)) => Came::Decided(matched),
                None if tier.otherwise == Otherwise::Deny => Came::Denied,
                None => Came::Nothing,
            };
            asked &= matches!(came, Came::Passed(_) | Came::Perhaps(_) | Came::Nothing);
            TierStep { tier: tier.tier, policies: tier.policies.clone(), came }
        });
        steps.collect()
    }

    fn next(&self, flow: &Flow, (direction, counting): (Direction, Counting), half: &Half) -> Option<Half> {
        let (Half::Allowed(matched) | Half::DeniedBy(matched)) = half else { return None };
        let is_cluster_wide = self.rule(matched.rule).origin.policy.cluster().is_some();
        is_cluster_wide.then(|| self.half_without(flow, direction, counting, matched.rule))
    }

    fn miss(&self, cluster: &Cluster, id: RuleId, flow: &Flow) -> Option<RuleMiss> {
        let rule = self.rule(id);
        let peers = match (&rule.peers, self.peers_match(id, flow)) {
            (Peers::Any, _) => PeerAnswer::Anyone,
            (Peers::Of(_), (Certainty::Yes, Some(peer))) => PeerAnswer::Matched(peer),
            (Peers::Of(_), (Certainty::Unknown, Some(peer))) => PeerAnswer::AddressUnknown(peer),
            (Peers::Of(peers), _) => {
                let misses = peers.iter().enumerate().filter_map(|(index, peer)| {
                    let (own, written) = written(cluster, rule, index);
                    self.peer_miss(peer, own, written, rule, flow)
                });
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

    fn peer_miss(
        &self,
        peer: &RulePeer,
        own: Option<&Name>,
        written: Option<&IpBlock>,
        rule: &Rule,
        flow: &Flow,
    ) -> Option<PeerMiss> {
        let other = other_end(flow, rule.origin.direction);
        if self.peer_matches(peer, other, family(flow)) != Certainty::No {
            return None;
        }
        match peer {
            RulePeer::Pods { namespaces, pods, .. } => {
                let Endpoint::Pod(pod) = other.endpoint else { return Some(PeerMiss::NotAPod) };
                let Some(identity) = self.identity_of(pod) else { return Some(PeerMiss::NotAPod) };
                let namespace = &self.identity(identity).namespace;
                match namespaces {
                    None if Some(namespace) != own => return Some(PeerMiss::OtherNamespace),
                    None => {}
                    Some(requirements) => {
                        if let Some(index) = requirements.iter().position(|id| !self.namespace_has(*id, namespace)) {
                            return Some(PeerMiss::Namespace(index));
                        }
                    }
                }
                pods.iter().position(|id| !self.pod_has(*id, identity)).map(PeerMiss::Pod)
            }
            RulePeer::Block(_) => {
                let Some(block) = written else { return Some(PeerMiss::OutsideNetworks) };
                // Without an address the block misses for certain when it is of the other family.
                let excepted = other.address.and_then(|address| block.except.iter().position(|p| p.contains(&address)));
                Some(excepted.map_or(PeerMiss::OutsideBlock, PeerMiss::Excepted))
            }
            RulePeer::Nodes { requirements, .. } => {
                let Endpoint::Node(node) = other.endpoint else { return Some(PeerMiss::NotANode) };
                requirements.iter().position(|id| !self.node_has(*id, node)).map(PeerMiss::Node)
            }
            RulePeer::Names { .. } => Some(PeerMiss::OtherName),
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

/// Of a NetworkPolicy's rule: the policy's own namespace, and the ipBlock that the peer of that index is.
fn written<'c>(cluster: &'c Cluster, rule: &Rule, peer: usize) -> (Option<&'c Name>, Option<&'c IpBlock>) {
    let PolicyRef::Network(id) = rule.origin.policy else { return (None, None) };
    let policy = cluster.policy(id);
    let peer = policy.rules(rule.origin.direction).get(rule.origin.index).and_then(|rule| rule.peers.get(peer));
    let block = match peer {
        Some(Peer::IpBlock(block)) => Some(block),
        Some(Peer::Pods { .. }) | None => None,
    };
    (Some(&policy.id.namespace), block)
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
        PeerMiss::NotAPod | PeerMiss::NotANode => 0,
        PeerMiss::OutsideBlock | PeerMiss::OutsideNetworks | PeerMiss::OtherName | PeerMiss::Namespace(_) => 1,
        PeerMiss::OtherNamespace | PeerMiss::Pod(_) | PeerMiss::Node(_) | PeerMiss::Excepted(_) => 2,
    }
}

fn port_nearness(miss: &PortMiss) -> u8 {
    match miss {
        PortMiss::Portless | PortMiss::OtherProtocol => 0,
        PortMiss::OtherPort => 1,
        PortMiss::NameNotDefined | PortMiss::NameIsOther(_) => 2,
    }
}
