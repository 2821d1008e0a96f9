//! May this packet pass? The answer and its reason.

use crate::{
    compile::{Action, Counting, Otherwise, PolicyProgram, RuleId, Tier, TierRules},
    matching::Certainty,
    model::{Cluster, Direction, Endpoint, Flow, PodId, PolicyId},
    sets::TrafficSet,
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
