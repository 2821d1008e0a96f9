//! Cluster-wide policies. What was not understood is written as a field that nobody knows.

use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject,
    LabelSelector, Labels, Protocol,
};

use super::{Emitter, quoted};

impl Emitter {
    pub(super) fn cluster_policy(&mut self, policy: &ClusterPolicy) {
        let version = match policy.kind {
            ClusterPolicyKind::Cluster => "policy.networking.k8s.io/v1alpha2",
            ClusterPolicyKind::Admin | ClusterPolicyKind::BaselineAdmin => "policy.networking.k8s.io/v1alpha1",
        };
        self.head(version, policy.kind.kind(), None, &policy.name, &Labels::default());
        self.mode(policy.mode);
        self.line(0, format_args!("spec:"));
        if policy.kind == ClusterPolicyKind::Cluster {
            self.line(1, format_args!("tier: {}", policy.tier));
        }
        if let Some(priority) = policy.priority {
            self.line(1, format_args!("priority: {priority}"));
        }
        self.line(1, format_args!("subject:"));
        match &policy.subject {
            ClusterSubject::Namespaces(namespaces) => self.selector(2, "namespaces", namespaces),
            ClusterSubject::Pods { namespaces, pods } => self.wide_pods(2, namespaces, pods),
            ClusterSubject::NotUnderstood => self.line(2, format_args!("somebody: {{}}")),
        }
        self.wide_rules(policy.kind, "ingress", "from", &policy.ingress);
        self.wide_rules(policy.kind, "egress", "to", &policy.egress);
    }

    fn wide_pods(&mut self, depth: usize, namespaces: &LabelSelector, pods: &LabelSelector) {
        self.line(depth, format_args!("pods:"));
        self.selector(depth + 1, "namespaceSelector", namespaces);
        self.selector(depth + 1, "podSelector", pods);
    }

    fn wide_rules(&mut self, kind: ClusterPolicyKind, field: &str, peers_field: &str, rules: &[ClusterRule]) {
        if rules.is_empty() {
            return;
        }
        self.line(1, format_args!("{field}:"));
        for rule in rules {
            let action = match (kind, rule.action) {
                (ClusterPolicyKind::Cluster, action) => action.name(),
                (_, Action::Accept) => "Allow",
                (_, action) => action.name(),
            };
            self.line(1, format_args!("- action: {action}"));
            if let Some(name) = &rule.name {
                self.line(2, format_args!("name: {}", quoted(name)));
            }
            let ClusterMatch::Of { peers, ports } = &rule.matches else {
                self.line(2, format_args!("somehow: {{}}"));
                continue;
            };
            self.line(2, format_args!("{peers_field}:"));
            peers.iter().for_each(|peer| self.wide_peer(peer));
            if let Some(ports) = ports {
                let field = if kind == ClusterPolicyKind::Cluster { "protocols" } else { "ports" };
                self.line(2, format_args!("{field}:"));
                ports.iter().for_each(|port| self.wide_port(kind, port));
            }
        }
    }

    fn wide_peer(&mut self, peer: &ClusterPeer) {
        self.line(2, format_args!("-"));
        match peer {
            ClusterPeer::Namespaces { namespaces, .. } => self.selector(3, "namespaces", namespaces),
            ClusterPeer::Pods { namespaces, pods, .. } => self.wide_pods(3, namespaces, pods),
            ClusterPeer::Nodes { nodes, .. } => self.selector(3, "nodes", nodes),
            ClusterPeer::Networks { networks, .. } => {
                let texts: Vec<String> = networks.iter().map(|network| quoted(&network.to_string())).collect();
                self.line(3, format_args!("networks: [{}]", texts.join(", ")));
            }
            ClusterPeer::DomainNames { names, .. } => {
                let texts: Vec<String> = names.iter().map(|name| quoted(name.as_str())).collect();
                self.line(3, format_args!("domainNames: [{}]", texts.join(", ")));
            }
        }
    }

    fn wide_port(&mut self, kind: ClusterPolicyKind, port: &ClusterPort) {
        let is_new = kind == ClusterPolicyKind::Cluster;
        match port {
            ClusterPort::Named { name, .. } => {
                let field = if is_new { "destinationNamedPort" } else { "namedPort" };
                self.line(2, format_args!("- {field}: {}", quoted(name)));
            }
            ClusterPort::Numbers { protocol, ports, .. } => {
                let (first, last) = (ports.first().max(1), ports.last());
                let one = first == last;
                let text = match (is_new, one) {
                    (true, true) => format!("{}: {{destinationPort: {{number: {first}}}}}", lower(*protocol)),
                    (true, false) => {
                        format!("{}: {{destinationPort: {{range: {{start: {first}, end: {last}}}}}}}", lower(*protocol))
                    }
                    (false, true) => format!("portNumber: {{protocol: {protocol}, port: {first}}}"),
                    (false, false) => format!("portRange: {{protocol: {protocol}, start: {first}, end: {last}}}"),
                };
                self.line(2, format_args!("- {text}"));
            }
        }
    }
}

fn lower(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}
