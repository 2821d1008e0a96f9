//! A generated cluster as values of the model, without a text in between.
//!
//! What policies can see is what the text says; only the random ends of pods' names are others. Names that
//! repeat are shared, as whoever reads the text does.

use std::collections::HashMap;

use palisade_engine::model::{
    ContainerPort, IpBlock, LabelSelector, Labels, Name, Namespace, NamespaceScope, NetworkPolicy, Node, ObjectRef,
    Operator, OwnerRef, Peer, Phase, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange,
    Protocol, Requirement,
};

use crate::{
    Size,
    layout::{self, App, Cluster, Kind, Place},
    policies,
    policy_text::{self, PortItem, Rule, Term},
};

/// An object of a generated cluster that policies see.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Namespace.
    Namespace(Namespace),
    /// A Node.
    Node(Node),
    /// A Pod.
    Pod(Pod),
    /// A NetworkPolicy.
    Policy(NetworkPolicy),
}

impl Cluster {
    /// Shows every object that policies see: namespaces, nodes, pods, policies, in the order of the text.
    /// Each is made when its turn comes; none is kept.
    pub fn objects(&self, see: &mut dyn FnMut(Object)) {
        let mut names = Names::default();
        for namespace in &self.namespaces {
            see(Object::Namespace(names.namespace(namespace)));
        }
        for node in 0..self.nodes {
            see(Object::Node(names.node(self, node)));
        }
        for namespace in &self.namespaces {
            for app in &namespace.apps {
                for replica in 0..app.replicas {
                    see(Object::Pod(names.pod(self, namespace, app, replica)));
                }
            }
        }
        for (index, namespace) in self.namespaces.iter().enumerate() {
            for policy in policies::of_namespace(self, index, namespace) {
                see(Object::Policy(names.policy(&policy)));
            }
        }
    }

    /// What it was made from.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The name of the node at that place; pods are dealt out to the nodes in turn.
    pub fn node(&self, index: usize) -> Option<String> {
        (index < self.nodes).then(|| Self::node_name(index))
    }
}

/// The names that were used so far.
#[derive(Default)]
struct Names(HashMap<Box<str>, Name>);

impl Names {
    fn name(&mut self, text: &str) -> Name {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let name = Name::from(text);
        self.0.insert(text.into(), name.clone());
        name
    }

    fn labels<'t>(&mut self, labels: impl IntoIterator<Item = (&'t str, &'t str)>) -> Labels {
        labels.into_iter().map(|(key, value)| (self.name(key), self.name(value))).collect()
    }

    fn namespace(&mut self, namespace: &layout::Namespace) -> Namespace {
        let mut labels = self.labels([("kubernetes.io/metadata.name", namespace.name.as_str())]);
        if let Some(environment) = namespace.environment() {
            labels.set(self.name("env"), self.name(environment));
        }
        if let Some(team) = namespace.team() {
            labels.set(self.name("team"), self.name(&team));
        }
        Namespace { name: self.name(&namespace.name), labels, mode: None, at: None }
    }

    fn node(&mut self, cluster: &Cluster, node: usize) -> Node {
        let name = Cluster::node_name(node);
        let zone = ["zone-a", "zone-b", "zone-c"].get(node % 3).copied().unwrap_or("zone-a");
        let labels = self.labels([
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("topology.kubernetes.io/zone", zone),
        ]);
        let (v4, v6) = cluster.node_addresses(node);
        let v6 = cluster.size.dual_stack.then_some(v6.into());
        let addresses = [v4.into()].into_iter().chain(v6).collect();
        Node { name: self.name(&name), labels, addresses, pod_prefixes: Vec::new(), at: None }
    }

    fn pod(&mut self, cluster: &Cluster, namespace: &layout::Namespace, app: &App, replica: usize) -> Pod {
        let Place { node, v4, v6 } = cluster.place(app, replica);
        let App { name, kind, hash, .. } = app;
        let (owner_kind, owner_name) = match kind {
            Kind::Deployment => ("ReplicaSet", format!("{name}-{hash}")),
            Kind::StatefulSet => ("StatefulSet", name.clone()),
            Kind::HostDaemon => ("DaemonSet", name.clone()),
        };
        let pod = match kind {
            Kind::Deployment | Kind::HostDaemon => format!("{owner_name}-{replica:05x}"),
            Kind::StatefulSet => format!("{name}-{replica}"),
        };
        let mut labels = self.labels(app.labels.iter().map(|(key, value)| (*key, value.as_str())));
        match kind {
            Kind::Deployment => labels.set(self.name("pod-template-hash"), self.name(hash)),
            Kind::StatefulSet | Kind::HostDaemon => {
                labels.set(self.name("controller-revision-hash"), self.name(&format!("{name}-{hash}")));
            }
        }
        if *kind == Kind::StatefulSet {
            labels.set(self.name("apps.kubernetes.io/pod-index"), self.name(&replica.to_string()));
            labels.set(self.name("statefulset.kubernetes.io/pod-name"), self.name(&pod));
        }
        let (host_v4, host_v6) = cluster.node_addresses(node);
        let is_dual = cluster.size.dual_stack;
        let ports = app.ports.iter().filter_map(|port| {
            let protocol = Protocol::parse(port.protocol)?;
            Some(ContainerPort { name: Some(self.name(port.name)), port: port.number, protocol })
        });
        Pod {
            ports: ports.collect(),
            id: ObjectRef::new(self.name(&namespace.name), pod),
            labels,
            node: Some(self.name(&Cluster::node_name(node))),
            addresses: PodAddresses { v4: Some(v4), v6: is_dual.then_some(v6) },
            host_addresses: PodAddresses { v4: Some(host_v4), v6: is_dual.then_some(host_v6) },
            host_network: *kind == Kind::HostDaemon,
            phase: Phase::Running,
            owner: Some(OwnerRef { kind: self.name(owner_kind), name: self.name(&owner_name) }),
            workload: None,
            stand_in: false,
            at: None,
        }
    }

    fn policy(&mut self, policy: &policy_text::Policy) -> NetworkPolicy {
        let types = PolicyTypes { ingress: policy.ingress.is_some(), egress: policy.egress.is_some() };
        NetworkPolicy {
            id: ObjectRef::new(self.name(&policy.namespace), policy.name.as_str()),
            annotations: Labels::default(),
            mode: None,
            subject: self.selector(&policy.subject),
            policy_types: Some(types),
            ingress: policy.ingress.iter().flatten().map(|rule| self.rule(rule)).collect(),
            egress: policy.egress.iter().flatten().map(|rule| self.rule(rule)).collect(),
            at: None,
        }
    }

    fn rule(&mut self, rule: &Rule) -> PolicyRule {
        PolicyRule {
            peers: rule.peers.iter().filter_map(|peer| self.peer(peer)).collect(),
            ports: rule.ports.iter().filter_map(|port| self.port(*port)).collect(),
            at: None,
        }
    }

    /// `None` for a block that is not one, which the generator does not write.
    fn peer(&mut self, peer: &policy_text::Peer) -> Option<Peer> {
        Some(match peer {
            policy_text::Peer::Pods { namespaces, pods } => Peer::Pods {
                namespaces: match namespaces {
                    None => NamespaceScope::Own,
                    Some(terms) => NamespaceScope::Matching(self.selector(terms)),
                },
                pods: pods.as_ref().map(|terms| self.selector(terms)).unwrap_or_default(),
                at: None,
            },
            policy_text::Peer::Block { cidr, except } => Peer::IpBlock(IpBlock {
                cidr: cidr.parse().ok()?,
                except: except.iter().filter_map(|cidr| cidr.parse().ok()).collect(),
                at: None,
                cidr_at: None,
                except_at: Vec::new(),
            }),
        })
    }

    /// `None` for a protocol that is not one, likewise.
    fn port(&mut self, port: PortItem) -> Option<PolicyPort> {
        let (protocol, port) = match port {
            PortItem::Number(protocol, number) => (protocol, PortMatch::Range(PortRange::single(number))),
            PortItem::Range(protocol, first, last) => (protocol, PortMatch::Range(PortRange::new(first, last)?)),
            PortItem::Named(protocol, name) => (protocol, PortMatch::Named(self.name(name))),
        };
        Some(PolicyPort { protocol: Protocol::parse(protocol)?, port, at: None })
    }

    /// First what is written as `matchLabels`, as a reader has it.
    fn selector(&mut self, terms: &[Term]) -> LabelSelector {
        let mut requirements = Vec::with_capacity(terms.len());
        for is_plain in [true, false] {
            for term in terms.iter().filter(|term| matches!(term, Term::Is(..)) == is_plain) {
                let (key, operator) = match term {
                    Term::Is(key, value) => (key, Operator::In(vec![self.name(value)])),
                    Term::In(key, values) => (key, Operator::In(self.all(values))),
                    Term::NotIn(key, values) => (key, Operator::NotIn(self.all(values))),
                    Term::Exists(key) => (key, Operator::Exists),
                };
                requirements.push(Requirement::new(self.name(key), operator));
            }
        }
        requirements.into_iter().collect()
    }

    fn all(&mut self, values: &[String]) -> Vec<Name> {
        values.iter().map(|value| self.name(value)).collect()
    }
}
