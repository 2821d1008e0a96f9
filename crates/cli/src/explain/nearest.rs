//! Of what missed: the field that did, and what would have to be added.

use palisade_engine::{
    explain::{HalfExplanation, PeerAnswer, PeerMiss, PortAnswer, PortMiss, RuleMiss},
    model::{Direction, NamespaceScope, Peer, Span, Traffic},
    verdict::Half,
};

use super::{report::Reporter, words::Words};

impl Reporter<'_> {
    /// The field that a rule missed by, when a person wrote it: a peer's condition, else a port.
    pub(super) fn culprit(&self, miss: &RuleMiss, words: &Words<'_>) -> Option<(Span, String)> {
        let origin = self.program.rule(miss.rule).origin;
        let rule = self.cluster.policy(origin.policy.network()?).rules(origin.direction).get(origin.index)?;
        if let PeerAnswer::Missed(misses) = &miss.peers {
            let (peer, why) = rule.peers.iter().zip(misses).max_by_key(|(_, why)| !matches!(why, PeerMiss::NotAPod))?;
            return Some((peer_field(peer, why)?, words.other_is(origin.direction, peer, why)));
        }
        if let PortAnswer::Missed(misses) = &miss.ports {
            let near = misses.iter().position(|why| !matches!(why, PortMiss::OtherProtocol | PortMiss::Portless));
            let port = rule.ports.get(near.unwrap_or(0))?;
            return Some((port.at?, format!("the connection is {}", words.case.flow.traffic())));
        }
        None
    }

    pub(super) fn remedy(&self, half: &HalfExplanation, words: &Words<'_>) -> String {
        if let Half::DeniedBy(matched) = &half.half {
            let origin = self.program.rule(matched.rule).origin;
            let name = self.cluster.policy_name(origin.policy);
            return format!("a rule that accepts it before {name} {}[{}]", origin.direction, origin.index);
        }
        let nearest = half.misses.iter().find_map(|miss| self.program.rule(miss.rule).origin.policy.network());
        let policy = nearest.or(half.isolated_by.first().copied()).map(|id| self.cluster.policy(id));
        let (word, other) = match half.direction {
            Direction::Egress => ("to", words.case.flow.to()),
            Direction::Ingress => ("from", words.case.flow.from()),
        };
        let keys = self.keys_asked(half);
        let peer = words.peer_text(other, &keys, policy.map(|policy| &*policy.id.namespace));
        let traffic = match words.case.flow.traffic() {
            Traffic::Portless => "all traffic".to_owned(),
            traffic => traffic.to_string(),
        };
        match policy {
            Some(policy) => format!("{} {traffic} {word} {peer} in {}", half.direction, policy.id.name),
            None => format!("{} {traffic} {word} {peer}", half.direction),
        }
    }

    /// The label keys by which the policies at hand select peers.
    fn keys_asked(&self, half: &HalfExplanation) -> Vec<String> {
        let rules = half.misses.iter().filter_map(|miss| {
            let origin = self.program.rule(miss.rule).origin;
            self.cluster.policy(origin.policy.network()?).rules(origin.direction).get(origin.index)
        });
        let selectors = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
            Peer::Pods { pods, .. } => Some(pods),
            Peer::IpBlock(_) => None,
        });
        selectors.flat_map(|selector| selector.requirements.iter().map(|r| r.key.to_string())).collect()
    }
}

fn peer_field(peer: &Peer, why: &PeerMiss) -> Option<Span> {
    match (peer, why) {
        (Peer::Pods { pods, .. }, PeerMiss::Pod(index)) => pods.requirements.get(*index)?.at,
        (Peer::Pods { namespaces: NamespaceScope::Matching(selector), .. }, PeerMiss::Namespace(index)) => {
            selector.requirements.get(*index)?.at
        }
        (Peer::IpBlock(block), PeerMiss::Excepted(index)) => block.except_at.get(*index).copied(),
        (Peer::IpBlock(block), _) => block.cidr_at.or(block.at),
        (Peer::Pods { pods, at, .. }, _) => pods.at.or(*at),
    }
}
