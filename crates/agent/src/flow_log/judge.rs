//! From a logged packet to a record: who is at the ends, and what the compiled program says of it.
//!
//! The verdict is the kernel's. Which policies isolate follows from the chain that dropped the packet, whose
//! name comes from them, so it is right also for a packet that waited while the policies changed. Everything
//! else is the program's explanation of the same flow, and left out where the program no longer says the same.

use palisade_engine::{
    PolicyProgram,
    audit::WouldDeny,
    explain::{HalfExplanation, PeerAnswer, PortAnswer, RuleMiss},
    model::{Cluster, Direction, Endpoint, Flow, Pod, PolicyRef, Protocol, Traffic},
    verdict::{Half, Matched, Outcome},
};
use palisade_linux::packet::{self, Tuple, protocol};

use super::{
    LoggedPacket,
    record::{
        FlowDirection, FlowEnd, FlowProtocol, FlowRecord, FlowVerdict, Missed, Nearest, PodEnd, RuleName, RulePlace,
        Who,
    },
    tally::DenyChain,
};

/// What a packet is judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a PolicyProgram,
    /// The name of the node that logged it.
    pub(super) node: &'a str,
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

impl Judge<'_> {
    /// The record of a packet that `chain` dropped.
    pub(super) fn denied(&self, logged: &LoggedPacket, tuple: &Tuple, chain: &DenyChain) -> FlowRecord {
        let explanation = self.flow(tuple).map(|flow| self.program.explain(self.cluster, &flow));
        let half = explanation.and_then(|explanation| match chain.direction {
            Direction::Ingress => explanation.ingress,
            Direction::Egress => explanation.egress,
        });
        let half = half.filter(|half| half.half.outcome() == Outcome::Deny);
        let decided_by = match half.as_ref().map(|half| &half.half) {
            Some(Half::DeniedBy(matched)) => vec![self.rule(*matched)],
            _ => Vec::new(),
        };
        FlowRecord {
            direction: chain.direction.into(),
            // The chain of a cluster-wide policy may deny for pods that others isolate.
            isolated_by: match half.as_ref().filter(|_| chain.isolating.len() != chain.policies.len()) {
                Some(half) => sorted(self.policies(half)),
                None => chain.isolating.clone(),
            },
            decided_by,
            nearest: half.as_ref().and_then(|half| half.misses.first()).map(|miss| self.nearest(miss)),
            ..self.record(logged, tuple, FlowVerdict::Denied)
        }
    }

    /// The record of a packet that `chain` let pass, though audited policies would deny it.
    pub(super) fn would_deny(&self, logged: &LoggedPacket, tuple: &Tuple, chain: &DenyChain) -> FlowRecord {
        let would = self.flow(tuple).and_then(|flow| {
            let would = self.program.would_deny(self.cluster, &flow, chain.direction)?;
            Some((would, self.program.explain_with_audited(self.cluster, &flow, chain.direction)?))
        });
        let record =
            FlowRecord { direction: chain.direction.into(), ..self.record(logged, tuple, FlowVerdict::WouldDeny) };
        let Some((WouldDeny { half, policies }, explanation)) = would else {
            return FlowRecord { isolated_by: chain.isolating.clone(), audited: chain.policies.clone(), ..record };
        };
        let names = |policies: &mut dyn Iterator<Item = &PolicyRef>| {
            sorted(policies.map(|policy| self.cluster.policy_name(*policy)).collect())
        };
        FlowRecord {
            // Those that isolate besides have nothing to do with it.
            isolated_by: match half {
                Half::Denied { .. } => names(&mut policies.iter().filter(|policy| policy.network().is_some())),
                _ => Vec::new(),
            },
            decided_by: match half {
                Half::DeniedBy(matched) => vec![self.rule(matched)],
                _ => Vec::new(),
            },
            audited: names(&mut policies.iter()),
            nearest: explanation.misses.first().map(|miss| self.nearest(miss)),
            ..record
        }
    }

    /// The record of a packet that passed; `None` when it is no business of this node's pods.
    pub(super) fn accepted(&self, logged: &LoggedPacket, tuple: &Tuple) -> Option<FlowRecord> {
        let judged = |address| match self.cluster.endpoint_of(address) {
            Endpoint::Pod(pod) => self.cluster.pod(pod).node.as_deref() == Some(self.node),
            Endpoint::Node(_) | Endpoint::Outside => false,
        };
        let (egress, ingress) = (judged(tuple.source), judged(tuple.destination));
        let direction = match (egress, ingress) {
            (true, true) => FlowDirection::Both,
            (true, false) => FlowDirection::Egress,
            (false, true) => FlowDirection::Ingress,
            (false, false) => return None,
        };
        let explanation = self.flow(tuple).map(|flow| self.program.explain(self.cluster, &flow));
        let halves: Vec<HalfExplanation> = explanation.map_or_else(Vec::new, |explanation| {
            let egress = explanation.egress.filter(|_| egress);
            egress.into_iter().chain(explanation.ingress.filter(|_| ingress)).collect()
        });
        let mut isolated_by: Vec<String> = halves.iter().flat_map(|half| self.policies(half)).collect();
        isolated_by.sort();
        isolated_by.dedup();
        let decided_by = halves.iter().filter_map(|half| match half.half {
            Half::Allowed(matched) => Some(self.rule(matched)),
            _ => None,
        });
        Some(FlowRecord {
            direction,
            isolated_by,
            decided_by: decided_by.collect(),
            ..self.record(logged, tuple, FlowVerdict::Accepted)
        })
    }

    fn record(&self, logged: &LoggedPacket, tuple: &Tuple, verdict: FlowVerdict) -> FlowRecord {
        let (source, destination) = match tuple.flow {
            packet::Flow::Ports { source, destination } => (Some(source), Some(destination)),
            packet::Flow::Echo { .. } | packet::Flow::Unknown => (None, None),
        };
        let end = |ip, port| FlowEnd { who: self.who(self.cluster.endpoint_of(ip)), ip, port };
        FlowRecord {
            time: logged.at,
            verdict,
            direction: FlowDirection::Ingress,
            protocol: protocol_of(tuple),
            src: end(tuple.source, source),
            dst: end(tuple.destination, destination),
            node: self.node.to_owned(),
            isolated_by: Vec::new(),
            decided_by: Vec::new(),
            audited: Vec::new(),
            standing: false,
            nearest: None,
            suppressed: logged.suppressed,
        }
    }

    fn who(&self, endpoint: Endpoint) -> Who {
        match endpoint {
            Endpoint::Pod(id) => {
                let pod = self.cluster.pod(id);
                Who::Pod(PodEnd {
                    namespace: pod.id.namespace.to_string(),
                    pod: pod.id.name.to_string(),
                    workload: workload(pod),
                    node: pod.node.as_ref().map(ToString::to_string),
                })
            }
            Endpoint::Node(id) => Who::Node { node: self.cluster.node(id).name.to_string() },
            Endpoint::Outside => Who::Outside {},
        }
    }

    /// The flow that a packet begins; `None` when it does not show what would have to be known.
    fn flow(&self, tuple: &Tuple) -> Option<Flow> {
        let traffic = match (protocol_of(tuple), tuple.flow) {
            (FlowProtocol::WithPorts(protocol), packet::Flow::Ports { destination, .. }) => {
                Traffic::Port(protocol, destination)
            }
            (FlowProtocol::WithPorts(_), _) => return None,
            (FlowProtocol::Icmp | FlowProtocol::Icmpv6 | FlowProtocol::Other(_), _) => Traffic::Portless,
        };
        let (from, to) = (self.cluster.side_of_address(tuple.source), self.cluster.side_of_address(tuple.destination));
        Flow::new(from, to, traffic).ok()
    }

    fn policies(&self, half: &HalfExplanation) -> Vec<String> {
        half.isolated_by.iter().map(|policy| self.cluster.policy(*policy).id.to_string()).collect()
    }

    fn rule(&self, matched: Matched) -> RuleName {
        let origin = self.program.rule(matched.rule).origin;
        let rule = RulePlace { direction: origin.direction, index: origin.index };
        RuleName { policy: self.cluster.policy_name(origin.policy), rule }
    }

    fn nearest(&self, miss: &RuleMiss) -> Nearest {
        let origin = self.program.rule(miss.rule).origin;
        let missed = match (&miss.peers, &miss.ports) {
            (PeerAnswer::Missed(_), PortAnswer::Missed(_)) => Missed::Both,
            (PeerAnswer::Missed(_), _) => Missed::Peer,
            // A miss misses something.
            _ => Missed::Port,
        };
        let rule = RulePlace { direction: origin.direction, index: origin.index };
        Nearest { policy: self.cluster.policy_name(origin.policy), rule, missed }
    }
}

fn protocol_of(tuple: &Tuple) -> FlowProtocol {
    match tuple.protocol {
        protocol::TCP => FlowProtocol::WithPorts(Protocol::Tcp),
        protocol::UDP => FlowProtocol::WithPorts(Protocol::Udp),
        protocol::SCTP => FlowProtocol::WithPorts(Protocol::Sctp),
        protocol::ICMP => FlowProtocol::Icmp,
        protocol::ICMPV6 => FlowProtocol::Icmpv6,
        other => FlowProtocol::Other(other),
    }
}

/// What made a pod: the workload that the engine found. The agent watches neither ReplicaSets nor Jobs, so a
/// Deployment is known by the convention of names (the ReplicaSet is called by it and the pod-template-hash),
/// and a CronJob's pods are told by their Job. Of another kind of owner it is the owner as it is.
fn workload(pod: &Pod) -> Option<String> {
    if let Some((kind, name)) = &pod.workload {
        return Some(format!("{kind}/{name}"));
    }
    // A static pod's owner is its node, which made nothing else.
    let owner = pod.owner.as_ref().filter(|owner| &*owner.kind != "Node")?;
    Some(format!("{}/{}", owner.kind.to_lowercase(), owner.name))
}
