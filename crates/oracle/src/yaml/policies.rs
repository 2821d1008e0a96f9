//! NetworkPolicies, with their selectors, peers and ports.

use palisade_engine::model::{
    LabelSelector, Labels, Name, NamespaceScope, NetworkPolicy, ObjectRef, Operator, Peer, PolicyPort, PolicyRule,
    PortMatch, Protocol, Requirement,
};

use super::{Emitter, quoted};

impl Emitter {
    pub(super) fn policy(&mut self, policy: &NetworkPolicy) {
        let ObjectRef { namespace, name } = &policy.id;
        self.head("networking.k8s.io/v1", "NetworkPolicy", Some(namespace), name, &Labels::default());
        self.mode(policy.mode);
        self.line(0, format_args!("spec:"));
        self.selector(1, "podSelector", &policy.subject);
        if let Some(types) = policy.policy_types {
            let listed = [(types.ingress, "Ingress"), (types.egress, "Egress")];
            let listed: Vec<&str> = listed.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
            self.line(1, format_args!("policyTypes: [{}]", listed.join(", ")));
        }
        self.rules("ingress", "from", &policy.ingress);
        self.rules("egress", "to", &policy.egress);
    }

    fn rules(&mut self, field: &str, peers_field: &str, rules: &[PolicyRule]) {
        if rules.is_empty() {
            return;
        }
        self.line(1, format_args!("{field}:"));
        for rule in rules {
            if rule.peers.is_empty() && rule.ports.is_empty() {
                self.line(1, format_args!("- {{}}"));
                continue;
            }
            // The item's dash stands alone, so that every field can be written the same way.
            self.line(1, format_args!("-"));
            if !rule.peers.is_empty() {
                self.line(2, format_args!("{peers_field}:"));
                rule.peers.iter().for_each(|peer| self.peer(peer));
            }
            if !rule.ports.is_empty() {
                self.line(2, format_args!("ports:"));
                rule.ports.iter().enumerate().for_each(|(index, port)| self.port(index, port));
            }
        }
    }

    fn peer(&mut self, peer: &Peer) {
        self.line(2, format_args!("-"));
        match peer {
            Peer::Pods { namespaces, pods, .. } => {
                if let NamespaceScope::Matching(selector) = namespaces {
                    self.selector(3, "namespaceSelector", selector);
                }
                if matches!(namespaces, NamespaceScope::Own) || !pods.is_everything() {
                    self.selector(3, "podSelector", pods);
                }
            }
            Peer::IpBlock(block) => {
                self.line(3, format_args!("ipBlock:"));
                self.line(4, format_args!("cidr: {}", quoted(&block.cidr.to_string())));
                if !block.except.is_empty() {
                    self.line(4, format_args!("except:"));
                }
                for except in &block.except {
                    self.line(4, format_args!("- {}", quoted(&except.to_string())));
                }
            }
        }
    }

    fn port(&mut self, index: usize, item: &PolicyPort) {
        let written = item.protocol != Protocol::Tcp || index % 2 == 1;
        if item.port == PortMatch::All && !written {
            self.line(2, format_args!("- {{}}"));
            return;
        }
        self.line(2, format_args!("-"));
        self.protocol(3, index, item.protocol);
        match &item.port {
            PortMatch::All => {}
            PortMatch::Named(name) => self.line(3, format_args!("port: {}", quoted(name))),
            PortMatch::Range(range) => {
                self.line(3, format_args!("port: {}", range.first()));
                if range.first() != range.last() {
                    self.line(3, format_args!("endPort: {}", range.last()));
                }
            }
        }
    }

    pub(super) fn selector(&mut self, depth: usize, field: &str, selector: &LabelSelector) {
        if selector.is_everything() {
            self.line(depth, format_args!("{field}: {{}}"));
            return;
        }
        self.line(depth, format_args!("{field}:"));
        let (labels, expressions) = split(selector);
        if !labels.is_empty() {
            self.line(depth + 1, format_args!("matchLabels:"));
        }
        for (key, value) in labels {
            self.line(depth + 2, format_args!("{}: {}", quoted(key), quoted(value)));
        }
        if !expressions.is_empty() {
            self.line(depth + 1, format_args!("matchExpressions:"));
        }
        for requirement in expressions {
            self.requirement(depth + 1, requirement);
        }
    }

    fn requirement(&mut self, depth: usize, requirement: &Requirement) {
        let (operator, values) = match &requirement.operator {
            Operator::In(values) => ("In", Some(values)),
            Operator::NotIn(values) => ("NotIn", Some(values)),
            Operator::Exists => ("Exists", None),
            Operator::DoesNotExist => ("DoesNotExist", None),
        };
        self.line(depth, format_args!("- key: {}", quoted(&requirement.key)));
        self.line(depth + 1, format_args!("operator: {operator}"));
        if let Some(values) = values {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            self.line(depth + 1, format_args!("values: [{}]", values.join(", ")));
        }
    }
}

/// What goes under `matchLabels`: the leading requirements of one value, no key twice. The rest are
/// expressions.
fn split(selector: &LabelSelector) -> (Vec<(&Name, &Name)>, Vec<&Requirement>) {
    let mut labels: Vec<(&Name, &Name)> = vec![];
    let mut expressions: Vec<&Requirement> = vec![];
    for requirement in &selector.requirements {
        match &requirement.operator {
            Operator::In(values)
                if expressions.is_empty() && labels.iter().all(|(key, _)| **key != requirement.key) =>
            {
                match values.as_slice() {
                    [value] => labels.push((&requirement.key, value)),
                    _ => expressions.push(requirement),
                }
            }
            _ => expressions.push(requirement),
        }
    }
    (labels, expressions)
}
