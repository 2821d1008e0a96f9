//! Pods: plain ones, twins, host-network ones and ended ones.

use palisade_engine::model::{ContainerPort, Labels, Name, ObjectRef, Phase, Pod, PodAddresses};

use super::{
    addresses::{PodPlan, Stack},
    cluster::World,
    labels::{POD_KEYS, labels},
    ports::container_ports,
    random::Rng,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    /// Same namespace and labels as another pod, on another node and so in another prefix.
    Twin,
    /// 1.3: its node, with other words.
    HostNetwork,
    /// 1.2: Succeeded or Failed; somebody else may have its address by now.
    Ended,
}

/// Adds `count` pods to the world.
pub(crate) fn fill(rng: &mut Rng, world: &mut World, count: usize) {
    let mut plan = PodPlan::default();
    for index in 0..count {
        let kind = rng.weighted([(68, Kind::Plain), (14, Kind::Twin), (10, Kind::HostNetwork), (8, Kind::Ended)]);
        if let Some(pod) = pod(rng, world, &mut plan, kind, index) {
            world.pods.push(pod);
        }
    }
}

fn pod(rng: &mut Rng, world: &World, plan: &mut PodPlan, kind: Kind, index: usize) -> Option<Pod> {
    let node = rng.below(world.nodes.len());
    let namespace = rng.pick(&world.namespaces)?.name.clone();
    let plain = |rng: &mut Rng, plan: &mut PodPlan| {
        let mut pod = blank(namespace.clone(), index, labels(rng, &POD_KEYS), container_ports(rng));
        if rng.chance(5) {
            // Not scheduled yet: no node, no address.
            pod.phase = Phase::Pending;
            return pod;
        }
        place(rng, world, plan, &mut pod, node);
        pod
    };
    Some(match kind {
        Kind::Plain => plain(rng, plan),
        Kind::Twin => match twin(rng, world) {
            Some((model, node)) => {
                // Now and then with other ports: then the named ports tell the twins apart.
                let ports = if rng.chance(70) { model.ports.clone() } else { container_ports(rng) };
                let mut pod = blank(model.id.namespace.clone(), index, model.labels.clone(), ports);
                place(rng, world, plan, &mut pod, node);
                pod
            }
            None => plain(rng, plan),
        },
        Kind::HostNetwork => {
            let mut pod = blank(namespace, index, labels(rng, &POD_KEYS), container_ports(rng));
            pod.host_network = true;
            pod.phase = Phase::Running;
            pod.node = world.nodes.get(node).map(|node| node.name.clone());
            pod.host_addresses = node_addresses(world, node);
            if rng.chance(85) {
                pod.addresses = pod.host_addresses;
            }
            pod
        }
        Kind::Ended => {
            let mut pod = plain(rng, plan);
            pod.phase = rng.one_of([Phase::Succeeded, Phase::Failed]);
            if rng.chance(70)
                && let Some(heir) = rng.pick(&with_address(world))
            {
                pod.addresses = heir.addresses;
            }
            pod
        }
    })
}

fn blank(namespace: Name, index: usize, labels: Labels, ports: Vec<ContainerPort>) -> Pod {
    Pod { labels, phase: Phase::NotGiven, ports, ..Pod::running(ObjectRef::new(namespace, format!("pod-{index}"))) }
}

/// Puts the pod on a node and gives it addresses.
fn place(rng: &mut Rng, world: &World, plan: &mut PodPlan, pod: &mut Pod, node: usize) {
    pod.node = world.nodes.get(node).map(|node| node.name.clone());
    pod.host_addresses = node_addresses(world, node);
    let stack = world.stack.of_pod(rng);
    pod.addresses = if stack == Stack::NONE { PodAddresses::default() } else { plan.take(rng, node, stack) };
    pod.phase = match rng.below(100) {
        _ if pod.addresses == PodAddresses::default() => Phase::Pending,
        0..=84 => Phase::Running,
        85..=90 => Phase::Pending,
        91..=95 => Phase::NotGiven,
        _ => Phase::Unknown,
    };
}

/// A pod to be like, and another node than its own.
fn twin<'a>(rng: &mut Rng, world: &'a World) -> Option<(&'a Pod, usize)> {
    let model = *rng.pick(&with_address(world))?;
    let elsewhere: Vec<usize> = (world.nodes.iter().enumerate())
        .filter(|(_, node)| Some(&node.name) != model.node.as_ref())
        .map(|(index, _)| index)
        .collect();
    Some((model, *rng.pick(&elsewhere)?))
}

/// The live pods with a network and an address of their own.
pub(crate) fn with_address(world: &World) -> Vec<&Pod> {
    let own = |pod: &&Pod| pod.is_live() && !pod.host_network && pod.addresses.iter().next().is_some();
    world.pods.iter().filter(own).collect()
}

fn node_addresses(world: &World, node: usize) -> PodAddresses {
    let mut addresses = PodAddresses::default();
    for address in world.nodes.get(node).into_iter().flat_map(|node| &node.addresses) {
        match address {
            std::net::IpAddr::V4(v4) => addresses.v4 = Some(*v4),
            std::net::IpAddr::V6(v6) => addresses.v6 = Some(*v6),
        }
    }
    addresses
}
