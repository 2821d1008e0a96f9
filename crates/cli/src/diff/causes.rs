//! Why a connection is gained or lost: the halves of the verdict that differ between the two states.

use std::collections::{BTreeMap, HashMap};

use palisade_engine::{
    PolicyProgram,
    compile::{Peers, Ports, RuleId, RulePeer, RulePorts},
    connections::{Connections, End, EndId, EndSet},
    diff::{Change, Difference, JointEnd, State},
    model::{Cluster, Direction, Endpoint, Family, Flow, PodId, PolicyId, PolicyRef, Protocol, Side, Span, Traffic},
    sets::TrafficSet,
    verdict::{Half, Matched, Outcome, Verdict},
};

/// Up to how many pairs of ends each is asked for its own causes; of more, some.
const PAIRS: u64 = 400;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause {
    /// Which state it is found in.
    pub(crate) side: Which,
    /// `redis-policy ingress[0]`, `default-deny`, or an end.
    pub(crate) subject: String,
    /// Where that is written.
    pub(crate) at: Option<Span>,
    /// What is the matter with it.
    pub(crate) what: What,
}

/// The old state or the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Old,
    New,
}

/// What made the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A rule that is new allows it.
    RuleAdded,
    /// A rule that was there matches it now.
    MatchesNow,
    /// The rule that allowed it is gone.
    RuleRemoved,
    /// The rule is still there and does not match it any more.
    MatchesNoMore,
    /// The policy is new, and isolates.
    PolicyAdded,
    /// The policy was there, and isolates now.
    IsolatesNow,
    /// The policy that isolated is gone.
    PolicyRemoved,
    /// It is still there and does not isolate any more.
    IsolatesNoMore,
    /// An end is in the new state only.
    EndAdded,
    /// An end is in the old state only.
    EndRemoved,
    /// Something that is no policy: a pod that has moved to or from the node it speaks with.
    Other,
}

impl What {
    /// In words, behind the subject; empty where the `+` or `-` says it all.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::RuleAdded => "",
            Self::MatchesNow => "matches now",
            Self::RuleRemoved | Self::PolicyRemoved => "removed",
            Self::MatchesNoMore => "matches no more",
            Self::PolicyAdded => "added, isolates",
            Self::IsolatesNow => "isolates now",
            Self::IsolatesNoMore => "isolates no more",
            Self::EndAdded => "is new",
            Self::EndRemoved => "is gone",
            Self::Other => "",
        }
    }
}

impl What {
    /// For programs.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::RuleAdded => "rule-added",
            Self::MatchesNow => "rule-matches-now",
            Self::RuleRemoved => "rule-removed",
            Self::MatchesNoMore => "rule-matches-no-more",
            Self::PolicyAdded => "policy-added",
            Self::IsolatesNow => "policy-isolates-now",
            Self::PolicyRemoved => "policy-removed",
            Self::IsolatesNoMore => "policy-isolates-no-more",
            Self::EndAdded => "end-added",
            Self::EndRemoved => "end-removed",
            Self::Other => "other",
        }
    }
}

/// Finds causes.
pub(crate) struct Causes<'a> {
    difference: &'a Difference,
    old: View<'a>,
    new: View<'a>,
}

struct View<'a> {
    state: State<'a>,
    connections: &'a Connections,
    /// Pods by the number of the joint end that they are part of.
    pods: HashMap<u32, Vec<PodId>>,
}

impl<'a> Causes<'a> {
    pub(crate) fn new(difference: &'a Difference, old: State<'a>, new: State<'a>) -> Self {
        let view = |state, connections, pods: &mut dyn Iterator<Item = (u32, PodId)>| {
            let mut by_number: HashMap<u32, Vec<PodId>> = HashMap::new();
            pods.for_each(|(number, pod)| by_number.entry(number).or_default().push(pod));
            View { state, connections, pods: by_number }
        };
        Self {
            difference,
            old: view(old, &difference.old, &mut difference.ends.old_pods()),
            new: view(new, &difference.new, &mut difference.ends.new_pods()),
        }
    }

    /// A change in parts that have the same causes each. Of a very large one some pairs speak for all.
    pub(crate) fn of(&self, change: &Change, gained: bool) -> Vec<(EndSet, EndSet, Vec<Cause>)> {
        if change.from.len() * change.to.len() > PAIRS {
            let most = PAIRS as usize / 2;
            let (from, to) = (change.from.min().unwrap_or(0), change.to.min().unwrap_or(0));
            let pairs = change.from.iter().take(most).map(|from| (from, to));
            let pairs = pairs.chain(change.to.iter().take(most).map(|to| (from, to)));
            let mut causes: Vec<Cause> = pairs.flat_map(|pair| self.of_pair(pair, change, gained)).collect();
            causes.sort_unstable();
            causes.dedup();
            return vec![(change.from.clone(), change.to.clone(), causes)];
        }
        let mut parts: Vec<(EndSet, EndSet, Vec<Cause>)> = Vec::new();
        for to in &change.to {
            let mut sources: BTreeMap<Vec<Cause>, EndSet> = BTreeMap::new();
            for from in &change.from {
                sources.entry(self.of_pair((from, to), change, gained)).or_default().insert(from);
            }
            for (causes, from) in sources {
                match parts.iter_mut().find(|part| part.0 == from && part.2 == causes) {
                    Some(part) => _ = part.1.insert(to),
                    None => parts.push((from, std::iter::once(to).collect(), causes)),
                }
            }
        }
        parts
    }

    fn of_pair(&self, (from, to): (u32, u32), change: &Change, gained: bool) -> Vec<Cause> {
        let mut causes: Vec<Cause> = [from, to].into_iter().filter_map(|end| self.only_here(end)).collect();
        if causes.is_empty() {
            let traffic = if gained { &change.gained } else { &change.lost };
            let verdict = |view: &View<'_>, end: fn(&JointEnd) -> Option<EndId>| {
                let family = change.family.or_else(|| view.family((self.end(from), self.end(to)), end))?;
                let flow = view.flow((from, self.end(from)), (to, self.end(to)), end, family, sample(traffic)?)?;
                Some(view.state.program.verdict(view.state.cluster, &flow))
            };
            if let (Some(before), Some(after)) = (verdict(&self.old, |end| end.old), verdict(&self.new, |end| end.new))
            {
                causes = self.between(&before, &after);
            }
        }
        if causes.is_empty() {
            causes.push(Cause { side: Which::New, subject: String::new(), at: None, what: What::Other });
        }
        causes.sort_unstable();
        causes.dedup();
        causes
    }

    fn end(&self, number: u32) -> Option<JointEnd> {
        self.difference.ends.members(&std::iter::once(number).collect()).next()
    }

    /// An end that one state has not.
    fn only_here(&self, number: u32) -> Option<Cause> {
        let end = self.end(number)?;
        let (side, view, what) = match (end.old, end.new) {
            (None, Some(_)) => (Which::New, &self.new, What::EndAdded),
            (Some(_), None) => (Which::Old, &self.old, What::EndRemoved),
            _ => return None,
        };
        let pod = view.pods.get(&number).and_then(|pods| pods.first()).map(|pod| view.state.cluster.pod(*pod));
        let subject = pod.map_or_else(
            || "a node".to_owned(),
            |pod| match &pod.workload {
                Some((_, name)) => format!("{}/{name}", pod.id.namespace),
                None => pod.id.to_string(),
            },
        );
        Some(Cause { side, subject, at: pod.and_then(|pod| pod.at), what })
    }

    /// What of two verdicts differs.
    fn between(&self, before: &Verdict, after: &Verdict) -> Vec<Cause> {
        let (Verdict::Judged { egress: a, ingress: b }, Verdict::Judged { egress: c, ingress: d }) = (before, after)
        else {
            return Vec::new();
        };
        let halves = [(Direction::Egress, a, c), (Direction::Ingress, b, d)];
        let differing =
            halves.into_iter().filter(|(_, a, b)| (a.outcome() == Outcome::Allow) != (b.outcome() == Outcome::Allow));
        differing.flat_map(|(direction, before, after)| self.half(direction, before, after)).collect()
    }

    fn half(&self, direction: Direction, before: &Half, after: &Half) -> Vec<Cause> {
        match (before, after) {
            (_, Half::Allowed(Matched { rule, .. }) | Half::DeniedBy(Matched { rule, .. })) => {
                let known = has_rule(self.old.state, self.new.state, *rule);
                vec![self.rule(Which::New, *rule, if known { What::MatchesNow } else { What::RuleAdded })]
            }
            (Half::Denied { policies, .. }, _) => {
                let what = |known| if known { What::IsolatesNoMore } else { What::PolicyRemoved };
                self.policies(Which::Old, policies, direction, what)
            }
            (Half::Allowed(Matched { rule, .. }) | Half::DeniedBy(Matched { rule, .. }), _) => {
                let known = has_rule(self.new.state, self.old.state, *rule);
                vec![self.rule(Which::Old, *rule, if known { What::MatchesNoMore } else { What::RuleRemoved })]
            }
            (_, Half::Denied { policies, .. }) => {
                let what = |known| if known { What::IsolatesNow } else { What::PolicyAdded };
                self.policies(Which::New, policies, direction, what)
            }
            _ => Vec::new(),
        }
    }

    fn policies(
        &self,
        side: Which,
        policies: &[PolicyId],
        direction: Direction,
        what: impl Fn(bool) -> What,
    ) -> Vec<Cause> {
        let (here, other) = match side {
            Which::Old => (self.old.state, self.new.state),
            Which::New => (self.new.state, self.old.state),
        };
        let causes = policies.iter().map(|id| {
            let policy = here.cluster.policy(*id);
            let known = other.cluster.policies().any(|(_, other)| other.id == policy.id);
            Cause { side, subject: format!("{} ({direction})", policy.id.name), at: policy.at, what: what(known) }
        });
        causes.collect()
    }

    fn rule(&self, side: Which, id: RuleId, what: What) -> Cause {
        let state = match side {
            Which::Old => self.old.state,
            Which::New => self.new.state,
        };
        let origin = state.program.rule(id).origin;
        let at = state.cluster.rule_at(origin.policy, origin.direction, origin.index);
        let name = state.cluster.policy_name(origin.policy);
        let name = match origin.policy {
            PolicyRef::Network(_) => name.rsplit('/').next().unwrap_or_default(),
            PolicyRef::Cluster(_) => &name,
        };
        Cause { side, subject: format!("{name} {}[{}]", origin.direction, origin.index), at, what }
    }
}

impl View<'_> {
    /// A family that both ends have here.
    fn family(
        &self,
        ends: (Option<JointEnd>, Option<JointEnd>),
        end: fn(&JointEnd) -> Option<EndId>,
    ) -> Option<Family> {
        let (from, to) = (end(&ends.0?)?, end(&ends.1?)?);
        let ends = self.connections.ends();
        Family::ALL.into_iter().find(|family| ends.is_present(from, *family) && ends.is_present(to, *family))
    }

    fn flow(
        &self,
        from: (u32, Option<JointEnd>),
        to: (u32, Option<JointEnd>),
        end: fn(&JointEnd) -> Option<EndId>,
        family: Family,
        traffic: Traffic,
    ) -> Option<Flow> {
        let source = self.side(from.0, end(&from.1?)?, family, 0)?;
        let other = usize::from(from.0 == to.0);
        let target = self.side(to.0, end(&to.1?)?, family, other)?;
        Flow::new(source, target, traffic).ok()
    }

    fn side(&self, number: u32, end: EndId, family: Family, nth: usize) -> Option<Side> {
        match self.connections.ends().get(end) {
            End::Pods(_) => {
                let pods = self.pods.get(&number)?;
                self.state.cluster.side_of_pod(*pods.get(nth).or_else(|| pods.first())?, family)
            }
            End::Node { node, addresses } => {
                let address = addresses.get(family as usize).copied().flatten();
                Some(Side { endpoint: Endpoint::Node(*node), address })
            }
            End::Outside { first, .. } => Some(Side { endpoint: Endpoint::Outside, address: Some(*first) }),
        }
    }
}

/// Some member of a set.
fn sample(set: &TrafficSet) -> Option<Traffic> {
    let port = Protocol::ALL.into_iter().find_map(|protocol| {
        let (first, last) = set.of(protocol).ranges().next()?;
        // Port 0 is in every whole range and in no packet.
        Some(Traffic::Port(protocol, first.max(1).min(last)))
    });
    port.or_else(|| set.portless().then_some(Traffic::Portless))
}

/// What a policy is called in every state, whatever others there are.
fn key(cluster: &Cluster, policy: PolicyRef) -> (&'static str, String) {
    let name = match policy {
        PolicyRef::Network(id) => cluster.policy(id).id.to_string(),
        PolicyRef::Cluster(id) => cluster.cluster_policy(id).name.to_string(),
    };
    (cluster.policy_kind(policy), name)
}

/// Whether a state has a rule in the same policy that asks for the same as this one of another state.
fn has_rule(state: State<'_>, of: State<'_>, rule: RuleId) -> bool {
    let wanted = of.program.rule(rule);
    let policy = key(of.cluster, wanted.origin.policy);
    let asks = meaning(of.program, rule);
    state.program.rules().any(|(id, other)| {
        other.origin.direction == wanted.origin.direction
            && key(state.cluster, other.origin.policy) == policy
            && other.action == wanted.action
            && meaning(state.program, id) == asks
    })
}

/// What a rule asks for, as text that is the same in every state.
fn meaning(program: &PolicyProgram, id: RuleId) -> (Vec<String>, Vec<String>) {
    let rule = program.rule(id);
    let mut peers: Vec<String> = match &rule.peers {
        Peers::Any => vec!["anyone".to_owned()],
        Peers::Of(peers) => peers
            .iter()
            .map(|peer| match peer {
                RulePeer::Pods { members, .. } => program.selector_text(*members).to_owned(),
                RulePeer::Block(block) => program.block(*block).to_string(),
                RulePeer::Nodes { members, .. } => program.node_set_text(*members).to_owned(),
                RulePeer::Names { known, .. } => format!("names {}", program.block(*known)),
            })
            .collect(),
    };
    let mut ports: Vec<String> = match &rule.ports {
        Ports::All => vec!["all".to_owned()],
        Ports::Of(ports) => ports
            .iter()
            .map(|port| match &port.ports {
                RulePorts::Range(range) => format!("{} {range}", port.protocol),
                RulePorts::Named(name) => format!("{} {name}", port.protocol),
            })
            .collect(),
    };
    peers.sort();
    ports.sort();
    (peers, ports)
}
