//! Why a connection is allowed or denied: rules with their places, and the halves of a verdict.

use std::collections::BTreeMap;

use palisade_engine::{
    compile::RuleId,
    connections::{End, EndId, EndSet},
    model::{Cluster, Direction, Endpoint, Family, Flow, NodeId, PodId, Protocol, Side, Traffic},
    sets::TrafficSet,
    verdict::{Half, Verdict, subject_pod},
};
use serde::Serialize;

use super::{
    judge::{Found, Judge},
    who::Who,
};
use crate::{
    endpoint::{Case, EndName, Kind, Party, Resolver},
    explain::{Reporter, State},
};

/// Up to how many pairs of ends each is asked for its own reasons; of more, some.
const PAIRS: u64 = 400;

/// How many reasons are told of what has many.
const REASONS: usize = 12;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Reason {
    /// In words, without the place.
    pub(super) text: String,
    /// `ledger-policy`, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<String>,
    /// `ingress[1]`, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u32>,
}

/// Some connections that have the same reasons.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) from: EndSet,
    pub(super) to: EndSet,
    pub(super) reasons: Vec<Reason>,
}

/// What makes the reasons of two pairs the same: for each half what it came to, and by what.
type Key = [(u8, Vec<RuleId>, Vec<usize>); 2];

impl Judge<'_> {
    /// Connections in parts that have the same reasons each.
    pub(super) fn reasons(&self, found: &Found<'_>) -> Vec<Part> {
        let rectangle = &found.rectangle;
        let too_many = rectangle.from.len() * rectangle.to.len() > PAIRS;
        let mut parts: Vec<(EndSet, EndSet, Key, Flow)> = Vec::new();
        for to in rectangle.to.iter().take(if too_many { PAIRS as usize / 2 } else { usize::MAX }) {
            let mut sources: BTreeMap<Key, (EndSet, Flow)> = BTreeMap::new();
            for from in rectangle.from.iter().take(if too_many { 2 } else { usize::MAX }) {
                let Some(flow) = self.sample(found, from, to) else { continue };
                sources.entry(self.key(found, &flow)).or_insert_with(|| (EndSet::new(), flow)).0.insert(from);
            }
            for (key, (from, flow)) in sources {
                match parts.iter_mut().find(|part| part.0 == from && part.2 == key) {
                    Some(part) => _ = part.1.insert(to),
                    None => parts.push((from, std::iter::once(to).collect(), key, flow)),
                }
            }
        }
        if too_many || parts.is_empty() {
            let mut reasons: Vec<Reason> = Vec::new();
            for reason in parts.iter().flat_map(|part| self.told(found, &part.3)) {
                if reasons.len() < REASONS && !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            return vec![Part { from: rectangle.from.clone(), to: rectangle.to.clone(), reasons }];
        }
        let told = |(from, to, _, flow)| Part { from, to, reasons: self.told(found, &flow) };
        parts.into_iter().map(told).collect()
    }

    /// A connection between members of two ends.
    fn sample(&self, found: &Found<'_>, from: u32, to: u32) -> Option<Flow> {
        let ends = self.connections.ends();
        let (source, _) = ends.members(&std::iter::once(from).collect()).next()?;
        let (target, _) = ends.members(&std::iter::once(to).collect()).next()?;
        let has = |family: &Family| ends.is_present(source, *family) && ends.is_present(target, *family);
        let family = found.rectangle.family.or_else(|| Family::ALL.into_iter().find(has))?;
        let traffic = member(&found.rectangle.traffic)?;
        let (sources, targets) = (self.some(found.from, source), self.some(found.to, target));
        for a in &sources {
            for b in &targets {
                let judged = match (a, b) {
                    (Some(a), Some(b)) => a != b,
                    (Some(pod), None) => self.node_of_end(target).is_none_or(|node| self.is_elsewhere(*pod, node)),
                    (None, Some(pod)) => self.node_of_end(source).is_none_or(|node| self.is_elsewhere(*pod, node)),
                    (None, None) => false,
                };
                if judged && let (Some(a), Some(b)) = (self.side(source, *a, family), self.side(target, *b, family)) {
                    return Flow::new(a, b, traffic).ok();
                }
            }
        }
        None
    }

    /// A few of the pods at an end; `None` for an end that is none.
    fn some(&self, who: &Who, end: EndId) -> Vec<Option<PodId>> {
        match self.connections.ends().get(end) {
            End::Pods(_) => who.pods_at(self.connections, self.program, end).map(Some).take(64).collect(),
            End::Node { .. } | End::Outside { .. } => vec![None],
        }
    }

    fn is_elsewhere(&self, pod: PodId, node: NodeId) -> bool {
        self.cluster.node_of(pod) != Some(node)
    }

    fn node_of_end(&self, end: EndId) -> Option<NodeId> {
        match self.connections.ends().get(end) {
            End::Node { node, .. } => Some(*node),
            End::Pods(_) | End::Outside { .. } => None,
        }
    }

    fn side(&self, end: EndId, pod: Option<PodId>, family: Family) -> Option<Side> {
        match self.connections.ends().get(end) {
            End::Pods(_) => self.cluster.side_of_pod(pod?, family),
            End::Node { node, addresses } => {
                let address = addresses.get(family as usize).copied().flatten();
                Some(Side { endpoint: Endpoint::Node(*node), address })
            }
            End::Outside { first, .. } => Some(Side { endpoint: Endpoint::Outside, address: Some(*first) }),
        }
    }

    fn key(&self, found: &Found<'_>, flow: &Flow) -> Key {
        let Verdict::Judged { egress, ingress } = self.program.verdict(self.cluster, flow) else {
            return Key::default();
        };
        [(Direction::Egress, egress), (Direction::Ingress, ingress)].map(|(direction, half)| match half {
            Half::NotASubject => (0, Vec::new(), Vec::new()),
            Half::NotIsolated => (1, Vec::new(), Vec::new()),
            Half::AllowedByDefault => (6, Vec::new(), Vec::new()),
            Half::Allowed(_) => (2, self.rules(found, flow, direction), Vec::new()),
            Half::DeniedBy(matched) => (3, vec![matched.rule], Vec::new()),
            Half::Denied { policies, .. } => (4, Vec::new(), policies.iter().map(|id| id.index()).collect()),
            Half::Undetermined(matched) => (5, vec![matched.rule], Vec::new()),
        })
    }

    /// The rules that allow some of what was found.
    fn rules(&self, found: &Found<'_>, flow: &Flow, direction: Direction) -> Vec<RuleId> {
        let rules = self.program.contributions(flow, direction).into_iter();
        let matching = rules.filter(|(_, traffic)| !traffic.intersection(&found.rectangle.traffic).is_empty());
        matching.map(|(rule, _)| rule).collect()
    }

    fn told(&self, found: &Found<'_>, flow: &Flow) -> Vec<Reason> {
        if found.allowed && found.certain { self.why_allowed(found, flow) } else { self.halves(flow, found.certain) }
    }

    /// The rules that allow it, and the ends that nothing holds back.
    fn why_allowed(&self, found: &Found<'_>, flow: &Flow) -> Vec<Reason> {
        let Verdict::Judged { egress, ingress } = self.program.verdict(self.cluster, flow) else { return Vec::new() };
        let mut reasons = Vec::new();
        let has_rule = [&egress, &ingress].into_iter().any(|half| matches!(half, Half::Allowed(_)));
        for (direction, half) in [(Direction::Ingress, &ingress), (Direction::Egress, &egress)] {
            match half {
                Half::Allowed(_) => {
                    let rules = self.rules(found, flow, direction);
                    reasons.extend(rules.into_iter().map(|rule| self.rule(rule)));
                }
                // Whom nothing holds back is no reason to tell where a rule is, but for the receiver.
                Half::NotIsolated if direction == Direction::Ingress || !has_rule => {
                    let pod = subject_pod(flow, direction).map(|pod| self.cluster.pod(pod).id.to_string());
                    let text = format!("no policy isolates {} for {direction}", pod.unwrap_or_default());
                    reasons.push(Reason { text, policy: None, rule: None, file: None, line: None });
                }
                _ => {}
            }
        }
        reasons
    }

    fn rule(&self, id: RuleId) -> Reason {
        let origin = self.program.rule(id).origin;
        let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
        let name = self.cluster.policy_name(origin.policy);
        let rule = format!("{}[{}]", origin.direction, origin.index);
        Reason {
            text: format!("{} {rule}", name.rsplit('/').next().unwrap_or_default()),
            policy: Some(name),
            rule: Some(rule),
            file: at.map(|at| self.cluster.sources().name(at.file).to_owned()),
            line: at.map(|at| at.start.line),
        }
    }

    /// The halves that deny, or would be decided by an address, each with the rule that came nearest.
    fn halves(&self, flow: &Flow, certain: bool) -> Vec<Reason> {
        let resolver = Resolver { cluster: self.cluster, namespace: "" };
        let party = |side: Side| party(&resolver, side);
        let (Some(from), Some(to)) = (party(flow.from()), party(flow.to())) else { return Vec::new() };
        let family = flow.from().address.or(flow.to().address).map(Family::of);
        let case = Case { from, to, family, assumed: false, flow: *flow };
        let report = Reporter { cluster: self.cluster, program: self.program }.report(&case, None);
        let wanted = if certain { State::Denied } else { State::Undetermined };
        let halves = report.halves.into_iter().filter(|half| half.state == wanted);
        let reasons = halves.map(|half| {
            let policies: Vec<&str> = half.isolated_by.iter().map(|place| place.policy.as_str()).collect();
            let isolated = if policies.is_empty() {
                format!("{} of {}", half.direction, half.subject)
            } else {
                format!("{} of {}: isolated by {}", half.direction, half.subject, policies.join(", "))
            };
            match half.rules.into_iter().next() {
                None => {
                    let first = half.isolated_by.into_iter().next();
                    let policy = first.as_ref().map(|policy| format!("{}/{}", policy.namespace, policy.policy));
                    let place = first.and_then(|policy| policy.place);
                    Reason {
                        text: format!("{isolated}, which has no rule for it"),
                        policy,
                        rule: None,
                        file: place.as_ref().map(|place| place.file.clone()),
                        line: place.map(|place| place.line),
                    }
                }
                Some(rule) => {
                    let lead = if certain { "; nearest is" } else { ";" };
                    Reason {
                        text: format!("{isolated}{lead} {} {}: {}", rule.policy, rule.rule, rule.says),
                        policy: Some(format!("{}/{}", rule.namespace, rule.policy)),
                        rule: Some(rule.rule),
                        file: rule.place.as_ref().map(|place| place.file.clone()),
                        line: rule.place.map(|place| place.line),
                    }
                }
            }
        });
        reasons.collect()
    }
}

/// An end of a flow as `explain` calls it.
fn party(resolver: &Resolver<'_>, side: Side) -> Option<Party> {
    let cluster: &Cluster = resolver.cluster;
    let name = match (side.endpoint, side.address) {
        (Endpoint::Pod(pod), _) => {
            let id = &cluster.pod(pod).id;
            EndName::Three(id.namespace.to_string(), Kind::Pod, id.name.to_string())
        }
        (Endpoint::Node(node), _) => EndName::Three(String::new(), Kind::Node, cluster.node(node).name.to_string()),
        (Endpoint::Outside, Some(address)) => EndName::Address(address),
        (Endpoint::Outside, None) => return None,
    };
    resolver.source(&name).ok()?.into_iter().next()
}

/// Some member of a set.
fn member(set: &TrafficSet) -> Option<Traffic> {
    let port = Protocol::ALL.into_iter().find_map(|protocol| {
        let (first, last) = set.of(protocol).ranges().next()?;
        // Port 0 is in every whole range and in no packet.
        Some(Traffic::Port(protocol, first.max(1).min(last)))
    });
    port.or_else(|| set.portless().then_some(Traffic::Portless))
}
