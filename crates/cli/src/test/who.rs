//! Who in the cluster is meant by the ends of an assertion.

use std::collections::BTreeMap;

use palisade_engine::{
    Connections, PolicyProgram,
    connections::{End, EndId, EndSet},
    model::{
        Cluster, Endpoint, Family, LabelSelector, Labels, NodeId, Operator, Pod, PodId, PortRange, Protocol, Service,
        Span, Traffic,
    },
    sets::{PrefixSet, TrafficSet},
};

use super::file::{EndSpec, Item, Meant, Namespaces, PortSpec, Ports, everywhere};
use crate::endpoint::{EndName, Kind, PortName, Resolver, Selection, Target};

/// Some ends, pod by pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    /// Pods with a network of their own, ascending.
    pub(super) pods: Vec<PodId>,
    /// Nodes, each at all of its addresses, ascending.
    pub(super) nodes: Vec<NodeId>,
    /// Those of the nodes that were asked for by name, alone or as the network of a pod.
    pub(super) named_nodes: Vec<NodeId>,
    /// Addresses that neither a pod nor a node has.
    pub(super) outside: PrefixSet,
    /// The networks that were asked for: whoever comes to have an address in one is meant too.
    pub(super) networks: PrefixSet,
}

/// Destinations and what is asked about all of them.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    pub(super) who: Who,
    pub(super) traffic: TrafficSet,
}

/// Why there is nobody, or no such port.
#[derive(Debug)]
pub(super) enum Missing {
    /// An end means nobody of the input.
    Nobody { text: String, why: String },
    /// It can be read in two ways: the file must say which.
    Ambiguous { at: Span, why: String },
}

impl Who {
    /// Everyone who is not in it.
    pub(super) fn complement(&self, cluster: &Cluster) -> Self {
        let pods = cluster.pods().filter(|(_, pod)| has_network(pod)).map(|(id, _)| id);
        let nodes = cluster.nodes().map(|(id, _)| id);
        Self {
            pods: pods.filter(|pod| self.pods.binary_search(pod).is_err()).collect(),
            nodes: nodes.filter(|node| self.nodes.binary_search(node).is_err()).collect(),
            named_nodes: Vec::new(),
            outside: everywhere().difference(&self.outside),
            networks: PrefixSet::empty(),
        }
    }

    /// The ends of some connections that it is, or that it is a part of; these must have been cut by
    /// its addresses.
    pub(super) fn ends(&self, connections: &Connections, program: &PolicyProgram) -> EndSet {
        let ends = connections.ends();
        let mut set = ends.of_prefixes(&self.outside);
        let identities = self.pods.iter().filter_map(|pod| program.identity_of(*pod));
        set.extend(identities.map(|identity| ends.of_identity(identity).number()));
        if !self.nodes.is_empty() {
            let is_meant = |end: &End| matches!(end, End::Node { node, .. } if self.nodes.binary_search(node).is_ok());
            set.extend(ends.iter().filter(|(_, end)| is_meant(end)).map(|(id, _)| id.number()));
        }
        set
    }

    /// Which of its pods are at an end.
    pub(super) fn pods_at<'a>(
        &'a self,
        connections: &Connections,
        program: &'a PolicyProgram,
        end: EndId,
    ) -> impl Iterator<Item = PodId> + 'a {
        let pods = match connections.ends().get(end) {
            End::Pods(identity) => program.identity(*identity).pods.as_slice(),
            End::Node { .. } | End::Outside { .. } => &[],
        };
        pods.iter().copied().filter(|pod| self.pods.binary_search(pod).is_ok())
    }

    fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.nodes.is_empty() && self.outside.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.pods.extend(other.pods);
        self.nodes.extend(other.nodes);
        self.named_nodes.extend(other.named_nodes);
        self.outside = self.outside.union(&other.outside);
        self.networks = self.networks.union(&other.networks);
        self.pods.sort_unstable();
        self.pods.dedup();
        for nodes in [&mut self.nodes, &mut self.named_nodes] {
            nodes.sort_unstable();
            nodes.dedup();
        }
    }
}

/// Everyone that an end means.
///
/// # Errors
/// When one of its items means nobody, unless that is allowed.
pub(super) fn resolve(resolver: &Resolver<'_>, spec: &EndSpec, allow_empty: bool) -> Result<Who, Missing> {
    let mut who = Who::default();
    for item in &spec.items {
        match one(resolver, item) {
            Ok(found) if found.is_empty() && !allow_empty => return Err(nobody(resolver, item)),
            Ok(found) => who.add(found),
            Err(Missing::Nobody { .. }) if allow_empty => {}
            Err(missing) => return Err(missing),
        }
    }
    Ok(who)
}

/// Everyone that an end means as the receiver, with the traffic that is asked about: a Service is
/// translated, and a name means what each pod says it does.
///
/// # Errors
/// As [`resolve`], and where no pod has a port of a name.
pub(super) fn aims(
    resolver: &Resolver<'_>,
    spec: &EndSpec,
    ports: &Ports,
    allow_empty: bool,
) -> Result<Vec<Aim>, Missing> {
    let mut plain = Who::default();
    let mut aims: BTreeMap<TrafficSet, Who> = BTreeMap::new();
    for item in &spec.items {
        if let Some((service, end)) = service(resolver, item) {
            match behind(resolver, service, end, ports) {
                Ok(found) => found.into_iter().for_each(|(traffic, who)| aims.entry(traffic).or_default().add(who)),
                Err(_) if allow_empty => {}
                Err(why) => return Err(Missing::Nobody { text: item.text.clone(), why }),
            }
            continue;
        }
        match one(resolver, item) {
            Ok(found) if found.is_empty() && !allow_empty => return Err(nobody(resolver, item)),
            Ok(found) => plain.add(found),
            Err(Missing::Nobody { .. }) if allow_empty => {}
            Err(missing) => return Err(missing),
        }
    }
    for (name, protocol) in ports.names() {
        let known = plain.pods.iter().any(|pod| !named(resolver.cluster.pod(*pod), name, protocol).is_empty());
        if !known && !plain.is_empty() && !allow_empty {
            let text = spec.items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Missing::Nobody { text, why: format!("none of its pods has a port named `{name}`") });
        }
    }
    for aim in by_port(resolver.cluster, plain, ports) {
        aims.entry(aim.traffic).or_default().add(aim.who);
    }
    Ok(aims.into_iter().map(|(traffic, who)| Aim { who, traffic }).collect())
}

/// Destinations by what some ports mean there.
pub(super) fn by_port(cluster: &Cluster, who: Who, ports: &Ports) -> Vec<Aim> {
    let numeric = ports.traffic(&TrafficSet::empty());
    if ports.names().next().is_none() {
        return vec![Aim { who, traffic: numeric }];
    }
    let mut pods: BTreeMap<TrafficSet, Vec<PodId>> = BTreeMap::new();
    for pod in &who.pods {
        let ranges = ports.names().flat_map(|(name, protocol)| named(cluster.pod(*pod), name, protocol));
        pods.entry(ports.traffic(&ranges.collect())).or_default().push(*pod);
    }
    let rest = Aim { who: Who { pods: Vec::new(), ..who }, traffic: numeric };
    let pods = pods.into_iter().map(|(traffic, pods)| Aim { who: Who { pods, ..Who::default() }, traffic });
    pods.chain([rest]).filter(|aim| !aim.who.is_empty() && !aim.traffic.is_empty()).collect()
}

fn one(resolver: &Resolver<'_>, item: &Item) -> Result<Who, Missing> {
    let cluster = resolver.cluster;
    match &item.meant {
        Meant::Anyone => Ok(Who::default().complement(cluster)),
        Meant::Outside => Ok(Who { outside: everywhere(), ..Who::default() }),
        Meant::Network(network) => {
            let pods = cluster
                .pods()
                .filter(|(_, pod)| has_network(pod) && pod.addresses.iter().any(|address| network.contains(address)));
            let nodes =
                cluster.nodes().filter(|(_, node)| node.addresses.iter().any(|address| network.contains(*address)));
            Ok(Who {
                pods: pods.map(|(id, _)| id).collect(),
                nodes: nodes.map(|(id, _)| id).collect(),
                outside: network.clone(),
                networks: network.clone(),
                ..Who::default()
            })
        }
        Meant::Pods { namespaces, pods } => {
            let is_meant = |pod: &Pod| {
                has_network(pod)
                    && holds(pods, &pod.labels)
                    && match namespaces {
                        Namespaces::Own => *pod.id.namespace == *resolver.namespace,
                        Namespaces::Named(name) => *pod.id.namespace == **name,
                        Namespaces::Matching(selector) => {
                            cluster.namespace(&pod.id.namespace).is_some_and(|ns| holds(selector, &ns.labels))
                        }
                    }
            };
            let pods = cluster.pods().filter(|(_, pod)| is_meant(pod)).map(|(id, _)| id).collect();
            Ok(Who { pods, ..Who::default() })
        }
        Meant::Named(end) => match Selection::parse(resolver, &item.text) {
            Ok(Selection { pods, nodes, outside }) => {
                let networks = if let EndName::Address(_) = end { outside.clone() } else { PrefixSet::empty() };
                let mut who = Who::default();
                who.add(Who { pods, named_nodes: nodes.clone(), nodes, outside, networks });
                Ok(who)
            }
            Err(error) if is_ambiguous(resolver, end) => {
                Err(Missing::Ambiguous { at: item.at, why: error.to_string() })
            }
            Err(error) => Err(Missing::Nobody { text: item.text.clone(), why: error.to_string() }),
        },
    }
}

/// Whether a name in two parts can be a pod of a namespace, and something of that kind as well.
fn is_ambiguous(resolver: &Resolver<'_>, end: &EndName) -> bool {
    let EndName::Two(first, name) = end else { return false };
    let Some(kind) = Kind::parse(first) else { return false };
    let exists =
        |namespace: &str, kind| resolver.source(&EndName::Three(namespace.to_owned(), kind, name.clone())).is_ok();
    exists(resolver.namespace, kind) && exists(first, Kind::Pod)
}

fn nobody(resolver: &Resolver<'_>, item: &Item) -> Missing {
    let why = match &item.meant {
        Meant::Pods { namespaces: Namespaces::Named(name), .. } if resolver.cluster.namespace(name).is_none() => {
            format!("there is no namespace {name} in the input")
        }
        Meant::Pods { namespaces: Namespaces::Own, .. } => {
            format!("no pod of namespace {} has such labels", resolver.namespace)
        }
        Meant::Pods { namespaces: Namespaces::Matching(selector), .. }
            if !resolver.cluster.namespaces().any(|ns| holds(selector, &ns.labels)) =>
        {
            format!("no namespace of the input has {selector}")
        }
        Meant::Pods { pods, .. } if !pods.is_everything() => "no pod there has such labels".to_owned(),
        Meant::Pods { .. } | Meant::Named(_) => "there are no pods".to_owned(),
        Meant::Anyone | Meant::Outside | Meant::Network(_) => "it holds no address".to_owned(),
    };
    Missing::Nobody { text: item.text.clone(), why }
}

/// The Service that an end names.
fn service<'r>(resolver: &Resolver<'r>, item: &'r Item) -> Option<(&'r Service, &'r EndName)> {
    let Meant::Named(end) = &item.meant else { return None };
    let of = |namespace: &str, name: &str| {
        let services = resolver.cluster.services().iter();
        services.into_iter().find(|service| *service.id.namespace == *namespace && *service.id.name == *name)
    };
    let found = match end {
        EndName::Address(address) => {
            resolver.cluster.services().iter().find(|service| service.addresses.contains(address))
        }
        EndName::Two(kind, name) if Kind::parse(kind) == Some(Kind::Service) && !is_ambiguous(resolver, end) => {
            of(resolver.namespace, name)
        }
        EndName::Three(namespace, Kind::Service, name) => of(namespace, name),
        _ => None,
    };
    Some((found?, end))
}

/// Who is behind a Service, by the traffic that arrives there.
fn behind(
    resolver: &Resolver<'_>,
    service: &Service,
    end: &EndName,
    ports: &Ports,
) -> Result<BTreeMap<TrafficSet, Who>, String> {
    let mut by_traffic: BTreeMap<TrafficSet, Who> = BTreeMap::new();
    for port in offered(service, ports)? {
        let target = Target { end: end.clone(), port: Some(port) };
        let (parties, _) = resolver.destination(&target).map_err(|error| error.to_string())?;
        for party in parties {
            let Some(Traffic::Port(protocol, number)) = party.traffic else { continue };
            let mut who = Who::default();
            for side in Family::ALL.into_iter().filter_map(|family| resolver.side(&party, family)) {
                match (side.endpoint, side.address) {
                    (Endpoint::Pod(pod), _) => who.pods.push(pod),
                    (Endpoint::Node(node), _) => who.nodes.push(node),
                    (Endpoint::Outside, Some(address)) => {
                        let address: PrefixSet = std::iter::once(ipnet::IpNet::from(address)).collect();
                        who.outside = who.outside.union(&address);
                    }
                    (Endpoint::Outside, None) => {}
                }
            }
            who.named_nodes.clone_from(&who.nodes);
            by_traffic.entry(TrafficSet::ports(protocol, PortRange::single(number))).or_default().add(who);
        }
    }
    Ok(by_traffic)
}

/// Which ports of a Service are asked about.
fn offered(service: &Service, ports: &Ports) -> Result<Vec<PortName>, String> {
    let every = service.ports.iter().map(|port| (port.name.as_deref(), port.port, port.protocol));
    let number = |(_, number, protocol)| PortName::Number(number, protocol);
    let is_of = |offered: &(Option<&str>, u16, Protocol), asked: &PortSpec| match asked {
        PortSpec::Named(name, protocol) => {
            offered.0 == Some(name.as_str()) && protocol.is_none_or(|protocol| protocol == offered.2)
        }
        PortSpec::Range(range, protocol) => *protocol == offered.2 && range.contains(offered.1),
        PortSpec::Icmp => false,
    };
    let items = match ports {
        Ports::All => return Ok(every.map(number).collect()),
        Ports::AllBut(items) => {
            return Ok(every.filter(|port| !items.iter().any(|item| is_of(port, item))).map(number).collect());
        }
        Ports::These(items) => items,
    };
    let mut asked = Vec::new();
    for item in items {
        let found = every.clone().filter(|port| is_of(port, item)).map(number);
        let before = asked.len();
        asked.extend(found);
        if asked.len() > before {
            continue;
        }
        // The resolver says what there is instead.
        match item {
            PortSpec::Named(name, protocol) => asked.push(PortName::Named(name.to_string(), *protocol)),
            PortSpec::Icmp => return Err("a Service answers no ICMP: ask about the pods behind it".to_owned()),
            PortSpec::Range(range, protocol) => asked.push(PortName::Number(range.first(), *protocol)),
        }
    }
    Ok(asked)
}

/// The ports to which a pod gives a name.
fn named(pod: &Pod, name: &str, protocol: Option<Protocol>) -> Vec<(Protocol, PortRange)> {
    let ports = pod.ports.iter().filter(|port| port.name.as_deref() == Some(name));
    let ports = ports.filter(|port| protocol.is_none_or(|protocol| protocol == port.protocol));
    ports.map(|port| (port.protocol, PortRange::single(port.port))).collect()
}

/// Whether a pod can be an end by itself: it has not ended, and is not its node.
fn has_network(pod: &Pod) -> bool {
    pod.is_live() && !pod.host_network
}

/// Whether labels are such as a selector asks for.
fn holds(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| {
        let value = labels.get(&requirement.key);
        match &requirement.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    })
}
