//! Cluster-wide policies in words, in the look of the others.

use palisade_engine::{
    compile::Rule,
    model::{
        Action, ClusterPeer, ClusterPolicyId, ClusterPort, ClusterRule, ClusterSubject, ClusterTier, Direction,
        LabelSelector, Mode, NamespaceScope, Peer, PortRange,
    },
};

use super::{object::type_name, text::Printer, words};

impl Printer<'_> {
    /// One cluster-wide policy.
    pub(super) fn wide(&self, id: ClusterPolicyId) -> String {
        let policy = self.cluster.cluster_policy(id);
        let mut out = String::new();
        self.line(&mut out, "Name:", &policy.name);
        self.line(&mut out, "Kind:", policy.kind.kind());
        if let Some(place) = self.place(policy.at) {
            self.line(&mut out, "Written at:", &place);
        }
        if self.cluster.mode_of(id.into()) == Mode::Audit {
            self.line(&mut out, "Audited:", "it denies nothing yet, what it would deny is told");
        }
        let place = match policy.priority {
            Some(priority) => format!("{}, priority {priority}", policy.tier),
            None => format!("{}, behind all others", policy.tier),
        };
        self.line(&mut out, "Tier:", &place);
        let who = match &policy.subject {
            ClusterSubject::Namespaces(namespaces) => pods(namespaces, &LabelSelector::everything()),
            ClusterSubject::Pods { namespaces, pods: of } => pods(namespaces, of),
            ClusterSubject::NotUnderstood => "nobody: its subject was not understood".to_owned(),
        };
        let who = match self.program.subjects_of(id).filter(|_| self.has_pods()) {
            Some(subjects) => format!("{who} ({})", self.today(subjects)),
            None => who,
        };
        self.line(&mut out, "Selects:", &who);
        for direction in Direction::ALL {
            let rules = policy.rules(direction);
            let says = match rules.len() {
                0 => "does not affect it",
                1 => "what its rule is not about is left to others",
                _ => "the first rule that matches decides; what none is about is left to others",
            };
            self.line(&mut out, &format!("{}:", type_name(direction)), says);
            for (index, rule) in rules.iter().enumerate() {
                let name = rule.name.as_ref().map(|name| format!("\"{name}\""));
                let place: Vec<String> = self.place(rule.at).into_iter().chain(name).collect();
                self.line(&mut out, &format!("  {direction}[{index}]"), &place.join(", "));
                self.line(&mut out, "    Action:", action(rule, policy.tier));
                if rule.is_understood() {
                    let compiled = self.program.rule_of(id, direction, index).map(|rule| self.program.rule(rule));
                    self.wide_rule(&mut out, rule, direction, compiled);
                }
            }
        }
        out
    }

    fn wide_rule(&self, out: &mut String, rule: &ClusterRule, direction: Direction, compiled: Option<&Rule>) {
        let label = match direction {
            Direction::Ingress => "    From:",
            Direction::Egress => "    To:",
        };
        self.each_peer(out, label, rule.peers().iter().map(peer_words), compiled);
        let ports: Vec<String> = rule.ports().iter().map(port).collect();
        let ports = if ports.is_empty() { words::ALL_TRAFFIC.to_owned() } else { words::alternatives(&ports) };
        self.line(out, "    Ports:", &ports);
    }
}

/// What a rule does, with what a Pass leads to.
fn action(rule: &ClusterRule, tier: ClusterTier) -> &'static str {
    match (rule.action, tier, rule.is_understood()) {
        (Action::Accept, _, true) => "Accept",
        (Action::Deny, _, true) => "Deny",
        (Action::Pass, ClusterTier::Admin, true) => "Pass: NetworkPolicies decide, then the Baseline tier",
        (Action::Pass, ClusterTier::Baseline, true) => "Pass: allowed, as nothing comes behind this tier",
        (Action::Accept, _, false) => "Accept, not understood: it accepts nothing",
        (Action::Deny | Action::Pass, _, false) => "not understood: it denies everything",
    }
}

fn pods(namespaces: &LabelSelector, pods: &LabelSelector) -> String {
    let namespaces = NamespaceScope::Matching(namespaces.clone());
    words::peer(&Peer::Pods { namespaces, pods: pods.clone(), at: None }, "")
}

fn peer_words(peer: &ClusterPeer) -> String {
    match peer {
        ClusterPeer::Namespaces { namespaces, .. } => pods(namespaces, &LabelSelector::everything()),
        ClusterPeer::Pods { namespaces, pods: of, .. } => pods(namespaces, of),
        ClusterPeer::Nodes { nodes, .. } if nodes.is_everything() => "every node".to_owned(),
        ClusterPeer::Nodes { nodes, .. } => format!("nodes {}", words::conditions(nodes)),
        ClusterPeer::Networks { networks, .. } => {
            words::alternatives(&networks.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        ClusterPeer::DomainNames { names, .. } => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("whoever {} resolves to", words::alternatives(&names))
        }
    }
}

fn port(port: &ClusterPort) -> String {
    match port {
        ClusterPort::Numbers { protocol, ports, .. } if *ports == PortRange::ALL => format!("every {protocol} port"),
        ClusterPort::Numbers { protocol, ports, .. } => format!("{protocol} {ports}"),
        ClusterPort::Named { name, .. } => format!("those named {name}"),
    }
}
