//! From a name to who is meant in the cluster.

use std::net::IpAddr;

use anyhow::{Result, bail};
use palisade_engine::model::{
    Cluster, Endpoint, Family, LabelSelector, Labels, NodeId, ObjectRef, Operator, Pod, PodId, Service, ServicePort,
    Side, TargetPort, Traffic, WorkloadKind,
};

use super::{EndName, Kind, PortName, Target, unknown::unknown};

/// One who is meant, and what of it.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    /// How answers call it.
    pub(crate) label: String,
    /// Its address, when that is how it was named.
    pub(crate) typed: Option<IpAddr>,
    /// Where it is.
    place: Place,
    /// The traffic asked about, when this is the receiving end and a port was given.
    pub(crate) traffic: Option<Traffic>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Pod(PodId),
    Node(NodeId),
    Address(IpAddr),
}

impl Party {
    /// The end of a flow, called so; `None` when it is nobody's and has no address.
    pub(crate) fn at(side: Side, label: String, traffic: Option<Traffic>) -> Option<Self> {
        let place = match side.endpoint {
            Endpoint::Pod(pod) => Place::Pod(pod),
            Endpoint::Node(node) => Place::Node(node),
            Endpoint::Outside => Place::Address(side.address?),
        };
        Some(Self { label, typed: None, place, traffic })
    }
}

/// A Service between the name and the pods.
#[derive(Clone, Debug)]
pub(crate) struct ServiceHop {
    /// `prod/svc/api`.
    pub(crate) service: String,
    /// What was asked of it.
    pub(crate) traffic: Traffic,
}

/// The cluster, and the namespace of names that have none.
pub(crate) struct Resolver<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) namespace: &'a str,
}

enum Found {
    Parties(Vec<Party>),
    Service(usize),
}

impl Resolver<'_> {
    /// Everyone that a name without a port means.
    pub(crate) fn source(&self, end: &EndName) -> Result<Vec<Party>> {
        match self.find(end)? {
            Found::Parties(parties) => Ok(parties),
            Found::Service(index) => {
                let service = self.service(index)?;
                let pods = self.backends(service);
                if pods.is_empty() {
                    bail!("the Service {} has no pods to open a connection", service.id);
                }
                Ok(pods.into_iter().map(|pod| self.pod(pod)).collect())
            }
        }
    }

    /// Everyone that a name means as the receiver, each with its traffic; a Service is translated.
    pub(crate) fn destination(&self, target: &Target) -> Result<(Vec<Party>, Option<ServiceHop>)> {
        match self.find(&target.end)? {
            Found::Service(index) => self.translate(self.service(index)?, target.port.as_ref()),
            Found::Parties(parties) => {
                let Some(port) = &target.port else { return Ok((parties, None)) };
                let mut with_port = Vec::new();
                for party in parties {
                    for traffic in self.traffic(&party, port)? {
                        with_port.push(Party { traffic: Some(traffic), ..party.clone() });
                    }
                }
                Ok((with_port, None))
            }
        }
    }

    /// The end of a flow at a party, by family; `None` where it has an address, but not of that family.
    pub(crate) fn side(&self, party: &Party, family: Family) -> Option<Side> {
        match party.place {
            Place::Pod(pod) => self.cluster.side_of_pod(pod, family),
            Place::Node(node) => Some(self.cluster.side_of_node(node, family)),
            Place::Address(address) => (Family::of(address) == family).then(|| self.cluster.side_of_address(address)),
        }
    }

    fn find(&self, end: &EndName) -> Result<Found> {
        match end {
            EndName::Address(address) => Ok(self.address(*address)),
            EndName::One(name) => self.object(self.namespace, Kind::Pod, name).ok_or_else(|| self.unknown(end)),
            EndName::Three(namespace, kind, name) => {
                self.object(namespace, *kind, name).ok_or_else(|| self.unknown(end))
            }
            EndName::Two(first, name) => {
                let as_kind = Kind::parse(first).and_then(|kind| self.object(self.namespace, kind, name));
                let as_namespace = self.object(first, Kind::Pod, name);
                match (as_kind, as_namespace) {
                    (Some(_), Some(_)) => bail!(
                        "`{end}` can be the pod {name} of namespace {first} and the {first} {name} of namespace {}: write all \
                         three parts, NAMESPACE/KIND/NAME",
                        self.namespace
                    ),
                    (Some(found), None) | (None, Some(found)) => Ok(found),
                    (None, None) => Err(self.unknown(end)),
                }
            }
        }
    }

    fn address(&self, address: IpAddr) -> Found {
        let service = self.cluster.services().iter().position(|service| service.addresses.contains(&address));
        match service {
            Some(index) => Found::Service(index),
            None => Found::Parties(vec![self.at_address(address)]),
        }
    }

    /// Whoever has an address, called by name when it is a pod or a node.
    fn at_address(&self, address: IpAddr) -> Party {
        let owner = match self.cluster.side_of_address(address).endpoint {
            Endpoint::Pod(pod) => Some(self.cluster.pod(pod).id.to_string()),
            Endpoint::Node(node) => Some(format!("node/{}", self.cluster.node(node).name)),
            Endpoint::Outside => None,
        };
        let typed = owner.is_some().then_some(address);
        let label = owner.unwrap_or_else(|| address.to_string());
        Party { label, typed, place: Place::Address(address), traffic: None }
    }

    fn object(&self, namespace: &str, kind: Kind, name: &str) -> Option<Found> {
        let id = ObjectRef::new(namespace, name);
        match kind {
            Kind::Pod => self.cluster.find_pod(&id).map(|pod| Found::Parties(vec![self.pod(pod)])),
            Kind::Node => {
                let node = self.cluster.find_node(name)?;
                let party =
                    Party { label: format!("node/{name}"), typed: None, place: Place::Node(node), traffic: None };
                Some(Found::Parties(vec![party]))
            }
            Kind::Service => {
                let index = self.cluster.services().iter().position(|service| service.id == id)?;
                Some(Found::Service(index))
            }
            Kind::Workload(kind) => {
                let pods: Vec<Party> = self
                    .cluster
                    .pods()
                    .filter(|(_, pod)| pod.is_live() && *pod.id.namespace == *namespace && belongs(pod, kind, name))
                    .map(|(pod, _)| self.pod(pod))
                    .collect();
                (!pods.is_empty()).then_some(Found::Parties(pods))
            }
        }
    }

    fn pod(&self, pod: PodId) -> Party {
        Party { label: self.cluster.pod(pod).id.to_string(), typed: None, place: Place::Pod(pod), traffic: None }
    }

    /// The pod that a party is, by its name or its address.
    fn pod_of(&self, party: &Party) -> Option<PodId> {
        match party.place {
            Place::Pod(pod) => Some(pod),
            Place::Node(_) => None,
            Place::Address(address) => match self.cluster.side_of_address(address).endpoint {
                Endpoint::Pod(pod) => Some(pod),
                Endpoint::Node(_) | Endpoint::Outside => None,
            },
        }
    }

    fn service(&self, index: usize) -> Result<&Service> {
        match self.cluster.services().get(index) {
            Some(service) => Ok(service),
            None => bail!("the Service is gone"),
        }
    }

    fn traffic(&self, party: &Party, port: &PortName) -> Result<Vec<Traffic>> {
        match port {
            PortName::Icmp => Ok(vec![Traffic::Portless]),
            PortName::Number(number, protocol) => Ok(vec![Traffic::Port(*protocol, *number)]),
            PortName::Named(name, protocol) => {
                let Some(pod) = self.pod_of(party) else {
                    bail!("{} is no pod, and only pods name their ports: give `{name}` as a number", party.label)
                };
                let ports = self.cluster.pod(pod).ports.iter();
                let mut found: Vec<Traffic> = ports
                    .filter(|port| port.name.as_deref() == Some(name.as_str()))
                    .filter(|port| protocol.is_none_or(|protocol| protocol == port.protocol))
                    .map(|port| Traffic::Port(port.protocol, port.port))
                    .collect();
                found.sort();
                found.dedup();
                if found.is_empty() {
                    bail!("{} has no port named `{port}`; {}", party.label, named_ports(self.cluster.pod(pod)));
                }
                Ok(found)
            }
        }
    }

    fn translate(&self, service: &Service, port: Option<&PortName>) -> Result<(Vec<Party>, Option<ServiceHop>)> {
        let name = format!("{}/svc/{}", service.id.namespace, service.id.name);
        if let Some(alias) = &service.external_name {
            bail!("{name} is only another name for {alias}: give the address that this resolves to");
        }
        let port = self.service_port(service, port, &name)?;
        let traffic = Traffic::Port(port.protocol, port.port);
        let mut parties = Vec::new();
        for pod in self.backends(service) {
            for number in self.target_numbers(self.cluster.pod(pod), port) {
                let mut party = self.pod(pod);
                party.traffic = Some(Traffic::Port(port.protocol, number));
                parties.push(party);
            }
        }
        if parties.is_empty() {
            parties = self.slice_parties(service, port);
        }
        if parties.is_empty() {
            bail!(
                "{name} has nobody behind it: no live pod (and no EndpointSlice) that its selector and target port find"
            );
        }
        Ok((parties, Some(ServiceHop { service: name, traffic })))
    }

    fn service_port<'s>(&self, service: &'s Service, port: Option<&PortName>, name: &str) -> Result<&'s ServicePort> {
        let offered = || {
            let ports = service.ports.iter().map(|port| match &port.name {
                Some(name) => format!("{} {} ({name})", port.protocol, port.port),
                None => format!("{} {}", port.protocol, port.port),
            });
            let ports = ports.collect::<Vec<_>>();
            if ports.is_empty() { "no ports".to_owned() } else { ports.join(", ") }
        };
        let found = service.ports.iter().find(|offered| match port {
            None => service.ports.len() == 1,
            Some(PortName::Number(number, protocol)) => offered.port == *number && offered.protocol == *protocol,
            Some(PortName::Named(name, protocol)) => {
                offered.name.as_deref() == Some(name.as_str()) && protocol.is_none_or(|p| p == offered.protocol)
            }
            Some(PortName::Icmp) => false,
        });
        match (found, port) {
            (Some(found), _) => Ok(found),
            (None, None) => bail!("which port of {name}? It has {}", offered()),
            (None, Some(PortName::Icmp)) => bail!("a Service answers no ICMP; ask about a pod behind {name}"),
            (None, Some(port)) => bail!("{name} has no port {port}; it has {}", offered()),
        }
    }

    fn backends(&self, service: &Service) -> Vec<PodId> {
        let Some(selector) = &service.selector else { return Vec::new() };
        let pods = self.cluster.pods().filter(|(_, pod)| pod.is_live() && pod.id.namespace == service.id.namespace);
        pods.filter(|(_, pod)| selects(selector, &pod.labels)).map(|(id, _)| id).collect()
    }

    fn target_numbers(&self, pod: &Pod, port: &ServicePort) -> Vec<u16> {
        match &port.target {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Named(name) => {
                let ports = pod.ports.iter().filter(|p| p.name.as_ref() == Some(name) && p.protocol == port.protocol);
                ports.map(|p| p.port).take(1).collect()
            }
        }
    }

    fn slice_parties(&self, service: &Service, port: &ServicePort) -> Vec<Party> {
        let slices = self.cluster.endpoint_slices().iter().filter(|slice| {
            slice.id.namespace == service.id.namespace && slice.service.as_ref() == Some(&service.id.name)
        });
        let mut parties = Vec::new();
        for slice in slices {
            let same = |offered: &&palisade_engine::model::SlicePort| {
                offered.protocol == port.protocol && (offered.name == port.name || service.ports.len() == 1)
            };
            let numbers = slice.ports.iter().filter(same).filter_map(|offered| offered.port);
            for number in numbers {
                for address in slice.endpoints.iter().filter(|e| e.ready).flat_map(|e| &e.addresses) {
                    let traffic = Some(Traffic::Port(port.protocol, number));
                    parties.push(Party { traffic, ..self.at_address(*address) });
                }
            }
        }
        parties
    }

    fn unknown(&self, end: &EndName) -> anyhow::Error {
        unknown(self.cluster, end, self.namespace)
    }
}

fn belongs(pod: &Pod, kind: WorkloadKind, name: &str) -> bool {
    let top = pod.workload.as_ref().is_some_and(|(k, n)| *k == kind && **n == *name);
    let direct = pod.owner.as_ref().is_some_and(|owner| *owner.kind == *kind.kind() && *owner.name == *name);
    top || direct
}

/// `it names http (TCP 8080)`
fn named_ports(pod: &Pod) -> String {
    let named = pod
        .ports
        .iter()
        .filter_map(|port| port.name.as_ref().map(|name| format!("{name} ({} {})", port.protocol, port.port)));
    let named: Vec<String> = named.collect();
    if named.is_empty() { "it names none of its ports".to_owned() } else { format!("it names {}", named.join(", ")) }
}

/// A Service's selector has only equalities.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| match &requirement.operator {
        Operator::In(values) => labels.get(&requirement.key).is_some_and(|value| values.contains(value)),
        Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => false,
    })
}

impl Party {
    /// Whom the cluster has there: a pod or node, also when it was named by its address.
    pub(crate) fn endpoint(&self, cluster: &Cluster) -> (Endpoint, Option<IpAddr>) {
        match self.place {
            Place::Pod(pod) => (Endpoint::Pod(pod), None),
            Place::Node(node) => (Endpoint::Node(node), None),
            Place::Address(address) => (cluster.endpoint_of(address), Some(address)),
        }
    }

    /// The pod, when it is one.
    pub(crate) fn pod(&self) -> Option<PodId> {
        match self.place {
            Place::Pod(pod) => Some(pod),
            Place::Node(_) | Place::Address(_) => None,
        }
    }
}
