//! Services without a control plane: who is behind each, and what a node translates.
//!
//! ```text
//! Inventory ──► dns      a resolver, when there is none, as every cluster has one
//! Cluster   ──► give     addresses and node ports for the Services that have none
//!        └───► translation of a node ──► (crate nftables) table inet palisade-lab
//! ```

mod dns;
mod give;

use std::net::SocketAddr;

use palisade_engine::model::{
    Cluster, Family, LabelSelector, Labels, Node, Operator, Pod, PodId, Service, ServicePort, ServiceType, TargetPort,
};
use palisade_nftables::translation::{Door, DoorAddress, Translation};

pub use dns::{add_resolver, resolver};
pub use give::{Given, give};

/// The live pods that a Service's selector finds.
pub fn pods_of(cluster: &Cluster, service: &Service) -> Vec<PodId> {
    let Some(selector) = &service.selector else { return Vec::new() };
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && pod.id.namespace == service.id.namespace);
    pods.filter(|(_, pod)| selects(selector, &pod.labels)).map(|(id, _)| id).collect()
}

/// Who is behind a port of a Service: its pods, else the ready endpoints of its EndpointSlices.
pub fn behind(cluster: &Cluster, service: &Service, port: &ServicePort, family: Family) -> Vec<SocketAddr> {
    let pods = pods_of(cluster, service).into_iter().filter_map(|id| {
        let number = target(cluster.pod(id), port)?;
        Some(SocketAddr::new(cluster.side_of_pod(id, family)?.address?, number))
    });
    let pods: Vec<SocketAddr> = pods.collect();
    if pods.is_empty() { in_slices(cluster, service, port, family) } else { pods }
}

/// What a node translates.
pub fn translation(cluster: &Cluster, node: &Node) -> Translation {
    let mut doors = Vec::new();
    for service in cluster.services() {
        for port in &service.ports {
            let mut door = |at: DoorAddress, number: u16| {
                let behind = behind(cluster, service, port, at.family());
                doors.push(Door { at, protocol: port.protocol, port: number, behind, comment: service.id.to_string() });
            };
            service.addresses.iter().for_each(|address| door(DoorAddress::Service(*address), port.port));
            if let (ServiceType::NodePort, Some(number)) = (service.kind, port.node_port) {
                Family::ALL.into_iter().for_each(|family| door(DoorAddress::Node(family), number));
            }
        }
    }
    let own = |family| node.addresses.iter().copied().find(|address| Family::of(*address) == family);
    Translation { doors, own: Family::ALL.into_iter().filter_map(own).collect() }
}

fn target(pod: &Pod, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Named(name) => {
            let named = |own: &&palisade_engine::model::ContainerPort| {
                own.name.as_ref() == Some(name) && own.protocol == port.protocol
            };
            pod.ports.iter().find(named).map(|own| own.port)
        }
    }
}

fn in_slices(cluster: &Cluster, service: &Service, port: &ServicePort, family: Family) -> Vec<SocketAddr> {
    let own = cluster
        .endpoint_slices()
        .iter()
        .filter(|slice| slice.id.namespace == service.id.namespace && slice.service.as_ref() == Some(&service.id.name));
    let mut found = Vec::new();
    for slice in own {
        let numbers = slice.ports.iter().filter(|offered| {
            offered.protocol == port.protocol && (offered.name == port.name || service.ports.len() == 1)
        });
        for number in numbers.filter_map(|offered| offered.port) {
            let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready).flat_map(|one| &one.addresses);
            let of_family = ready.filter(|address| Family::of(**address) == family);
            found.extend(of_family.map(|address| SocketAddr::new(*address, number)));
        }
    }
    found
}

/// A Service's selector has only equalities.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| match &requirement.operator {
        Operator::In(values) => labels.get(&requirement.key).is_some_and(|value| values.contains(value)),
        Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => false,
    })
}
