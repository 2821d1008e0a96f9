//! May this packet pass? The answer and its reason.

use std::net::IpAddr;

use crate::{
    compile::{
        Action, Counting, Otherwise, Peers, PolicyProgram, Ports, RuleId, RulePeer, RulePort, RulePorts, Tier,
        TierRules,
    },
    model::{Cluster, Direction, Endpoint, Family, Flow, PodId, PolicyId, PortRange, Protocol, Side, Traffic},
    sets::{PrefixSet, TrafficSet},
};

/// What becomes of a flow, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed, whatever the policies say.
    Exempt(Exemption),
    /// Each half was judged; both must allow.
    Judged {
        /// At the source: may it open this connection?
        egress: Half,
        /// At the destination: may it receive this connection?
        ingress: Half,
    },
}

/// The answer without the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The connection is made.
    Allow,
    /// Its packets are dropped.
    Deny,
    /// Only an address that is not known could decide, or what a domain name resolves to.
    Undetermined,
}

/// Why no policy applies to a flow as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// A pod always reaches itself.
    Itself,
    /// A pod and the node it runs on always reach each other.
    OwnNode,
    /// Neither end is a pod: nobody's policy speaks of it.
    NoPod,
}

/// What one end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Half {
    /// This end is no pod (or a pod that is its node): no policy selects it.
    NotASubject,
    /// No policy affects the pod in this direction.
    NotIsolated,
    /// A rule allows it.
    Allowed(Matched),
    /// A rule denies it.
    DeniedBy(Matched),
    /// The pod is isolated, and no rule allows it.
    Denied {
        /// The tier that isolates it.
        tier: Tier,
        /// The policies that do.
        policies: Vec<PolicyId>,
    },
    /// Cluster-wide policies select the pod, none of their rules decides, and no NetworkPolicy isolates it:
    /// allowed, since nothing says otherwise.
    AllowedByDefault,
    /// This rule would decide if the other end's address (or what a domain name resolves to) were known.
    Undetermined(Matched),
}

/// How a rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matched {
    /// The rule.
    pub rule: RuleId,
    /// Which of its peers, by index; `None` when it takes anyone.
    pub peer: Option<usize>,
    /// Which of its ports, by index; `None` when it takes all traffic.
    pub port: Option<usize>,
}

/// What may pass between two ends, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficVerdict {
    /// What is allowed.
    pub allowed: TrafficSet,
    /// What only an unknown address could decide.
    pub undetermined: TrafficSet,
}

impl Verdict {
    /// The answer.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Exempt(_) => Outcome::Allow,
            Self::Judged { egress, ingress } => match (egress.outcome(), ingress.outcome()) {
                (Outcome::Deny, _) | (_, Outcome::Deny) => Outcome::Deny,
                (Outcome::Undetermined, _) | (_, Outcome::Undetermined) => Outcome::Undetermined,
                (Outcome::Allow, Outcome::Allow) => Outcome::Allow,
            },
        }
    }
}

impl Half {
    /// The answer of this end.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotASubject | Self::NotIsolated | Self::Allowed(_) | Self::AllowedByDefault => Outcome::Allow,
            Self::DeniedBy(_) | Self::Denied { .. } => Outcome::Deny,
            Self::Undetermined(_) => Outcome::Undetermined,
        }
    }
}

/// Whether something is so, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    Yes,
    No,
    Unknown,
}

impl PolicyProgram {
    /// Judges one flow of the cluster that this program was compiled from.
    pub fn verdict(&self, cluster: &Cluster, flow: &Flow) -> Verdict {
        if let Some(exemption) = exemption(cluster, flow) {
            return Verdict::Exempt(exemption);
        }
        let half = |direction| self.half(flow, direction, self.counting());
        Verdict::Judged { egress: half(Direction::Egress), ingress: half(Direction::Ingress) }
    }

    /// Everything that may pass from one end to the other; the flow's own traffic does not matter.
    pub fn traffic(&self, cluster: &Cluster, flow: &Flow) -> TrafficVerdict {
        if exemption(cluster, flow).is_some() {
            return TrafficVerdict { allowed: TrafficSet::all(), undetermined: TrafficSet::empty() };
        }
        let (egress, ingress) =
            (self.half_traffic(flow, Direction::Egress), self.half_traffic(flow, Direction::Ingress));
        let allowed = egress.allowed.intersection(&ingress.allowed);
        let possible = egress.allowed.union(&egress.undetermined);
        let possible = possible.intersection(&ingress.allowed.union(&ingress.undetermined));
        TrafficVerdict { undetermined: possible.difference(&allowed), allowed }
    }

    /// What one end says when these policies count.
    pub(crate) fn half(&self, flow: &Flow, direction: Direction, counting: Counting) -> Half {
        self.judge(flow, direction, counting, None)
    }

    /// What one end says, as if one of its rules were not there.
    pub(crate) fn half_without(&self, flow: &Flow, direction: Direction, counting: Counting, without: RuleId) -> Half {
        self.judge(flow, direction, counting, Some(without))
    }

    fn judge(&self, flow: &Flow, direction: Direction, counting: Counting, without: Option<RuleId>) -> Half {
        let Some(tiers) = self.tiers_counting(flow, direction, counting) else { return Half::NotASubject };
        if tiers.is_empty() {
            return Half::NotIsolated;
        }
        // What it may come to, each with its last and so its certain reason. Where a rule may match or not,
        // both ways lead on; all of those that leave a tier enter the next one at its beginning.
        let (mut allowed, mut denied) = (None, None);
        let mut unknown: Vec<Matched> = Vec::new();
        let mut goes_on = true;
        for tier in judging(tiers, flow) {
            let (mut passed, mut open) = (false, true);
            for rule in tier.rules.iter().filter(|rule| Some(**rule) != without) {
                let (certainty, matched) = self.matches(*rule, flow);
                if certainty == Certainty::No {
                    continue;
                }
                match self.rule(*rule).action {
                    Action::Accept => allowed = Some(Half::Allowed(matched)),
                    Action::Deny => denied = Some(Half::DeniedBy(matched)),
                    Action::Pass => passed = true,
                }
                if certainty == Certainty::Yes {
                    open = false;
                    break;
                }
                unknown.push(matched);
            }
            match tier.otherwise {
                Otherwise::NextTier => passed |= open,
                Otherwise::Deny if open => {
                    let policies = tier.policies.iter().filter_map(|policy| policy.network()).collect();
                    denied = Some(Half::Denied { tier: tier.tier, policies });
                }
                Otherwise::Deny => {}
            }
            if !passed {
                goes_on = false;
                break;
            }
        }
        if goes_on {
            allowed = Some(Half::AllowedByDefault);
        }
        match (allowed, denied, unknown.first()) {
            (Some(_), Some(_), Some(unknown)) => Half::Undetermined(*unknown),
            // Two reasons need something unknown; without it there is exactly one.
            (_, Some(denied), _) => denied,
            (Some(allowed), None, _) => allowed,
            (None, None, _) => Half::AllowedByDefault,
        }
    }

    /// The tiers that judge the pod of a direction; `None` where that end is no pod.
    pub(crate) fn tiers_of(&self, flow: &Flow, direction: Direction) -> Option<&[TierRules]> {
        self.tiers_counting(flow, direction, self.counting())
    }

    /// The same when these policies count.
    pub(crate) fn tiers_counting(&self, flow: &Flow, direction: Direction, counting: Counting) -> Option<&[TierRules]> {
        let identity = subject_pod(flow, direction).and_then(|pod| self.identity_of(pod))?;
        Some(&self.profile(self.profile_counting(identity, direction, counting)).tiers)
    }

    /// As [`Self::half_without`] for all traffic at once. Of an unknown match both ways are followed, so what is
    /// allowed one way and denied another is undetermined.
    pub fn half_traffic(&self, flow: &Flow, direction: Direction) -> TrafficVerdict {
        self.traffic_counting(flow, direction, self.counting())
    }

    /// The same when these policies count.
    pub(crate) fn traffic_counting(&self, flow: &Flow, direction: Direction, counting: Counting) -> TrafficVerdict {
        let tiers = self.tiers_counting(flow, direction, counting).unwrap_or_default();
        let (mut allowed, mut denied) = (TrafficSet::empty(), TrafficSet::empty());
        let mut open = TrafficSet::all();
        for tier in judging(tiers, flow) {
            let mut passed = TrafficSet::empty();
            for id in &tier.rules {
                let rule = self.rule(*id);
                let certainty = self.peers_match(*id, flow).0;
                if certainty == Certainty::No {
                    continue;
                }
                let matched = self.rule_traffic(*id, flow.to()).intersection(&open);
                match rule.action {
                    Action::Accept => allowed = allowed.union(&matched),
                    Action::Deny => denied = denied.union(&matched),
                    Action::Pass => passed = passed.union(&matched),
                }
                if certainty == Certainty::Yes {
                    open = open.difference(&matched);
                }
            }
            open = match tier.otherwise {
                Otherwise::NextTier => open.union(&passed),
                Otherwise::Deny => {
                    denied = denied.union(&open);
                    passed
                }
            };
        }
        allowed = allowed.union(&open);
        TrafficVerdict { undetermined: allowed.intersection(&denied), allowed: allowed.difference(&denied) }
    }

    pub(crate) fn matches(&self, id: RuleId, flow: &Flow) -> (Certainty, Matched) {
        let (certainty, peer) = self.peers_match(id, flow);
        let mut matched = Matched { rule: id, peer, port: None };
        match &self.rule(id).ports {
            Ports::All => (certainty, matched),
            Ports::Of(ports) => match ports.iter().position(|port| self.port_matches(port, flow)) {
                None => (Certainty::No, matched),
                found => {
                    matched.port = found;
                    (certainty, matched)
                }
            },
        }
    }

    /// Whether one of a rule's peers is the flow's other end, and which.
    pub(crate) fn peers_match(&self, id: RuleId, flow: &Flow) -> (Certainty, Option<usize>) {
        let rule = self.rule(id);
        let Peers::Of(peers) = &rule.peers else { return (Certainty::Yes, None) };
        let other = other_end(flow, rule.origin.direction);
        let family = family(flow);
        let mut unknown = (Certainty::No, None);
        for (index, peer) in peers.iter().enumerate() {
            match self.peer_matches(peer, other, family) {
                Certainty::Yes => return (Certainty::Yes, Some(index)),
                Certainty::Unknown if unknown.1.is_none() => unknown = (Certainty::Unknown, Some(index)),
                Certainty::Unknown | Certainty::No => {}
            }
        }
        unknown
    }

    pub(crate) fn peer_matches(&self, peer: &RulePeer, other: Side, family: Option<Family>) -> Certainty {
        let known = |is: bool| if is { Certainty::Yes } else { Certainty::No };
        match (peer, other.endpoint) {
            (RulePeer::Pods { members, .. }, Endpoint::Pod(pod)) => {
                known(self.identity_of(pod).is_some_and(|identity| self.selects(*members, identity)))
            }
            (RulePeer::Pods { .. }, Endpoint::Node(_) | Endpoint::Outside) => Certainty::No,
            (RulePeer::Block(block), _) => in_block(self.block(*block), other.address, family),
            (RulePeer::Nodes { members, .. }, Endpoint::Node(node)) => known(self.selects_node(*members, node)),
            (RulePeer::Nodes { .. }, Endpoint::Pod(_) | Endpoint::Outside) => Certainty::No,
            (RulePeer::Names { known, may_be_outside, may_be_inside, .. }, endpoint) => {
                let may_be = match endpoint {
                    Endpoint::Outside => *may_be_outside,
                    Endpoint::Pod(_) | Endpoint::Node(_) => *may_be_inside,
                };
                match in_block(self.block(*known), other.address, family) {
                    Certainty::No if may_be => Certainty::Unknown,
                    certainty => certainty,
                }
            }
        }
    }

    /// Whether one item of a rule's ports matches the flow; a name is looked up on the destination.
    pub(crate) fn port_matches(&self, port: &RulePort, flow: &Flow) -> bool {
        let Traffic::Port(protocol, number) = flow.traffic() else { return false };
        protocol == port.protocol
            && match &port.ports {
                RulePorts::Range(range) => range.contains(number),
                RulePorts::Named(name) => match flow.to().endpoint {
                    Endpoint::Pod(pod) => self
                        .identity_of(pod)
                        .is_some_and(|id| self.identity(id).port_numbers(name, protocol).contains(&number)),
                    Endpoint::Node(_) | Endpoint::Outside => false,
                },
            }
    }

    /// The traffic that a rule's ports mean towards a destination.
    pub(crate) fn rule_traffic(&self, id: RuleId, to: Side) -> TrafficSet {
        let Ports::Of(ports) = &self.rule(id).ports else { return TrafficSet::all() };
        let mut ranges: Vec<(Protocol, PortRange)> = Vec::new();
        for port in ports {
            match (&port.ports, to.endpoint) {
                (RulePorts::Range(range), _) => ranges.push((port.protocol, *range)),
                (RulePorts::Named(name), Endpoint::Pod(pod)) => {
                    let numbers = self.identity_of(pod).map(|id| self.identity(id).port_numbers(name, port.protocol));
                    let numbers = numbers.unwrap_or_default().iter();
                    ranges.extend(numbers.map(|number| (port.protocol, PortRange::single(*number))));
                }
                (RulePorts::Named(_), Endpoint::Node(_) | Endpoint::Outside) => {}
            }
        }
        ranges.into_iter().collect()
    }
}

/// Why no policy applies to a flow, if so.
pub(crate) fn exemption(cluster: &Cluster, flow: &Flow) -> Option<Exemption> {
    match (flow.from().endpoint, flow.to().endpoint) {
        (Endpoint::Pod(a), Endpoint::Pod(b)) => (a == b && !flow.is_through_service()).then_some(Exemption::Itself),
        (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
            (cluster.node_of(pod) == Some(node)).then_some(Exemption::OwnNode)
        }
        (Endpoint::Pod(_), Endpoint::Outside) | (Endpoint::Outside, Endpoint::Pod(_)) => None,
        (Endpoint::Node(_) | Endpoint::Outside, Endpoint::Node(_) | Endpoint::Outside) => Some(Exemption::NoPod),
    }
}

/// The tiers that count for a flow: NetworkPolicy never judges what a pod sends to itself, also where a
/// Service brought it back.
pub(crate) fn judging<'t>(tiers: &'t [TierRules], flow: &Flow) -> impl Iterator<Item = &'t TierRules> + use<'t> {
    let to_itself = flow.from().endpoint == flow.to().endpoint;
    tiers.iter().filter(move |tier| !to_itself || tier.tier != Tier::NetworkPolicy)
}

/// The end that is judged in a direction.
pub(crate) fn subject(flow: &Flow, direction: Direction) -> Endpoint {
    match direction {
        Direction::Egress => flow.from().endpoint,
        Direction::Ingress => flow.to().endpoint,
    }
}

/// The pod that is judged in a direction, if that end is one.
pub fn subject_pod(flow: &Flow, direction: Direction) -> Option<PodId> {
    match subject(flow, direction) {
        Endpoint::Pod(pod) => Some(pod),
        Endpoint::Node(_) | Endpoint::Outside => None,
    }
}

/// The end that a rule's peers are compared with.
pub(crate) fn other_end(flow: &Flow, direction: Direction) -> Side {
    match direction {
        Direction::Egress => flow.to(),
        Direction::Ingress => flow.from(),
    }
}

/// The family of a flow, as far as one of its ends tells.
pub(crate) fn family(flow: &Flow) -> Option<Family> {
    flow.from().address.or(flow.to().address).map(Family::of)
}

fn in_block(block: &PrefixSet, address: Option<IpAddr>, family: Option<Family>) -> Certainty {
    match (address, family) {
        (Some(address), _) if block.contains(address) => Certainty::Yes,
        (Some(_), _) => Certainty::No,
        (None, Some(family)) if block.is_empty_in(family) => Certainty::No,
        (None, Some(family)) if block.is_all_in(family) => Certainty::Yes,
        (None, None) if block.is_empty() => Certainty::No,
        (None, _) => Certainty::Unknown,
    }
}
