//! May this packet pass? The answer and its reason.

use std::net::IpAddr;

use crate::{
    compile::{Action, Otherwise, Peers, PolicyProgram, Ports, RuleId, RulePeer, RulePort, RulePorts, Tier},
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
    /// Only an address that is not known could decide.
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
    /// This rule would decide if the other end's address were known.
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
            Self::NotASubject | Self::NotIsolated | Self::Allowed(_) => Outcome::Allow,
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
        if let Some(exemption) = exemption(cluster, flow.from().endpoint, flow.to().endpoint) {
            return Verdict::Exempt(exemption);
        }
        Verdict::Judged { egress: self.half(flow, Direction::Egress), ingress: self.half(flow, Direction::Ingress) }
    }

    /// Everything that may pass from one end to the other; the flow's own traffic does not matter.
    pub fn traffic(&self, cluster: &Cluster, flow: &Flow) -> TrafficVerdict {
        if exemption(cluster, flow.from().endpoint, flow.to().endpoint).is_some() {
            return TrafficVerdict { allowed: TrafficSet::all(), undetermined: TrafficSet::empty() };
        }
        let (egress, ingress) =
            (self.half_traffic(flow, Direction::Egress), self.half_traffic(flow, Direction::Ingress));
        let allowed = egress.allowed.intersection(&ingress.allowed);
        let possible = egress.allowed.union(&egress.undetermined);
        let possible = possible.intersection(&ingress.allowed.union(&ingress.undetermined));
        TrafficVerdict { undetermined: possible.difference(&allowed), allowed }
    }

    fn half(&self, flow: &Flow, direction: Direction) -> Half {
        let Endpoint::Pod(pod) = subject(flow, direction) else { return Half::NotASubject };
        let Some(identity) = self.identity_of(pod) else { return Half::NotASubject };
        let profile = self.profile(self.profile_of(identity, direction));
        let mut unknown: Vec<Matched> = Vec::new();
        let decided = |half: Half, unknown: &[Matched]| {
            // An unknown match that would have come to the same changes nothing.
            let other = unknown.iter().find(|matched| self.outcome_of(matched.rule) != half.outcome());
            other.map_or(half, |matched| Half::Undetermined(*matched))
        };
        for tier in &profile.tiers {
            let mut passed = false;
            for rule in &tier.rules {
                let (certainty, matched) = self.matches(*rule, flow);
                match (certainty, self.rule(*rule).action) {
                    (Certainty::No, _) => {}
                    (Certainty::Unknown, _) => unknown.push(matched),
                    (Certainty::Yes, Action::Accept) => return decided(Half::Allowed(matched), &unknown),
                    (Certainty::Yes, Action::Deny) => return decided(Half::DeniedBy(matched), &unknown),
                    (Certainty::Yes, Action::Pass) => {
                        passed = true;
                        break;
                    }
                }
            }
            if !passed && tier.otherwise == Otherwise::Deny {
                return decided(Half::Denied { tier: tier.tier, policies: tier.policies.clone() }, &unknown);
            }
        }
        decided(Half::NotIsolated, &unknown)
    }

    fn half_traffic(&self, flow: &Flow, direction: Direction) -> TrafficVerdict {
        let everything = || TrafficVerdict { allowed: TrafficSet::all(), undetermined: TrafficSet::empty() };
        let Endpoint::Pod(pod) = subject(flow, direction) else { return everything() };
        let Some(identity) = self.identity_of(pod) else { return everything() };
        let (mut allowed, mut undetermined) = (TrafficSet::empty(), TrafficSet::empty());
        let mut open = TrafficSet::all();
        for tier in &self.profile(self.profile_of(identity, direction)).tiers {
            let mut passed = TrafficSet::empty();
            for id in &tier.rules {
                let rule = self.rule(*id);
                let matched = self.rule_traffic(*id, flow.to()).intersection(&open);
                match (self.peers_match(*id, flow).0, rule.action) {
                    (Certainty::No, _) => continue,
                    (Certainty::Unknown, _) => {
                        undetermined = undetermined.union(&matched);
                        continue;
                    }
                    (Certainty::Yes, Action::Accept) => allowed = allowed.union(&matched),
                    (Certainty::Yes, Action::Deny) => {}
                    (Certainty::Yes, Action::Pass) => passed = passed.union(&matched),
                }
                open = open.difference(&matched);
            }
            open = match tier.otherwise {
                Otherwise::NextTier => open.union(&passed),
                Otherwise::Deny => passed,
            };
        }
        allowed = allowed.union(&open);
        // Where the unknown rule would come to the same as what follows, nothing is open: only Accept
        // rules can be meant while NetworkPolicy is the only tier, so what is allowed anyway is certain.
        TrafficVerdict { undetermined: undetermined.difference(&allowed), allowed }
    }

    fn outcome_of(&self, rule: RuleId) -> Outcome {
        match self.rule(rule).action {
            Action::Accept => Outcome::Allow,
            Action::Deny => Outcome::Deny,
            Action::Pass => Outcome::Undetermined,
        }
    }

    fn matches(&self, id: RuleId, flow: &Flow) -> (Certainty, Matched) {
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
        match (peer, other.endpoint) {
            (RulePeer::Pods { members, .. }, Endpoint::Pod(pod)) => {
                let selected = self.identity_of(pod).is_some_and(|identity| self.selects(*members, identity));
                if selected { Certainty::Yes } else { Certainty::No }
            }
            (RulePeer::Pods { .. }, Endpoint::Node(_) | Endpoint::Outside) => Certainty::No,
            (RulePeer::Block(block), _) => in_block(self.block(*block), other.address, family),
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

/// Why no policy applies between two ends, if so.
fn exemption(cluster: &Cluster, from: Endpoint, to: Endpoint) -> Option<Exemption> {
    match (from, to) {
        (Endpoint::Pod(a), Endpoint::Pod(b)) => (a == b).then_some(Exemption::Itself),
        (Endpoint::Pod(pod), Endpoint::Node(node)) | (Endpoint::Node(node), Endpoint::Pod(pod)) => {
            (cluster.node_of(pod) == Some(node)).then_some(Exemption::OwnNode)
        }
        (Endpoint::Pod(_), Endpoint::Outside) | (Endpoint::Outside, Endpoint::Pod(_)) => None,
        (Endpoint::Node(_) | Endpoint::Outside, Endpoint::Node(_) | Endpoint::Outside) => Some(Exemption::NoPod),
    }
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
