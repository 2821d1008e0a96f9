//! Who is where in a lab that stays up, and what answers there.

use std::{collections::BTreeMap, net::IpAddr};

use palisade_engine::model::{Cluster, Conflict, Family, Name, NodeId, ObjectRef, PodAddresses, Protocol};

use crate::{
    placement,
    serve::{Port, Role},
    services,
    wiring::PodHost,
};

/// Somebody in whose place a command can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A pod.
    Pod(ObjectRef),
    /// A node.
    Node(NodeId),
    /// A host outside.
    Outside(IpAddr),
}

/// A pod with a network of its own, and its place in the wiring.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) index: usize,
    pub(super) host: PodHost,
}

/// Where everyone was placed before, so that a change moves nobody who need not move.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    pods: BTreeMap<ObjectRef, (Name, PodAddresses)>,
    nodes: BTreeMap<Name, Vec<IpAddr>>,
}

impl Before {
    /// Gives everyone what is missing, the same as before where that is still free.
    pub(super) fn place(&mut self, cluster: Cluster) -> Result<Cluster, Vec<Conflict>> {
        let cluster = cluster.with_hosts(|nodes, pods| {
            let mut taken: Vec<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.iter()).collect();
            taken.extend(nodes.iter().flat_map(|node| node.addresses.iter().copied()));
            taken.sort_unstable();
            let free = |address: &IpAddr| taken.binary_search(address).is_err();
            for node in nodes.iter_mut().filter(|node| node.addresses.is_empty()) {
                let known = self.nodes.get(&node.name).into_iter().flatten();
                node.addresses = known.copied().filter(free).collect();
            }
            for pod in pods.iter_mut().filter(|pod| pod.is_live() && !pod.host_network) {
                let Some((node, addresses)) = self.pods.get(&pod.id) else { continue };
                pod.node.get_or_insert_with(|| node.clone());
                if pod.addresses.iter().next().is_none() && addresses.iter().all(|address| free(&address)) {
                    pod.addresses = *addresses;
                }
            }
        })?;
        let cluster = placement::place(cluster)?;
        for (_, node) in cluster.nodes() {
            self.nodes.insert(node.name.clone(), node.addresses.clone());
        }
        for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_live()) {
            if let Some(node) = &pod.node {
                self.pods.insert(pod.id.clone(), (node.clone(), pod.addresses));
            }
        }
        Ok(cluster)
    }
}

/// The pods that get a network of their own.
pub(super) fn of(cluster: &Cluster) -> BTreeMap<ObjectRef, PodHost> {
    let own = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network);
    let host = own.filter_map(|(id, pod)| {
        let (v4, v6) = (pod.addresses.v4, pod.addresses.v6);
        let node = cluster.node_of(id)?.index();
        Some((pod.id.clone(), PodHost { name: pod.id.to_string(), node, v4, v6 }))
    });
    host.collect()
}

/// The ports that each live pod answers at: those it declares, at each of its addresses. Those of the
/// resolver's pods that its Service leads to answer with names.
pub(super) fn ports(cluster: &Cluster) -> BTreeMap<ObjectRef, Vec<Port>> {
    let mut resolvers = Vec::new();
    if let Some(service) = services::resolver(cluster) {
        for port in service.ports.iter().filter(|port| port.port == 53) {
            let at = |family| services::behind(cluster, service, port, family);
            resolvers.extend(Family::ALL.into_iter().flat_map(at).map(|at| (at.ip(), port.protocol, at.port())));
        }
    }
    let mut found: BTreeMap<ObjectRef, Vec<Port>> = BTreeMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_live()) {
        let sides = Family::ALL.into_iter().filter_map(|family| cluster.side_of_pod(id, family)?.address);
        let mut ports = Vec::new();
        for address in sides {
            let declared = pod.ports.iter().map(|port| (port.protocol, port.port));
            let asked =
                resolvers.iter().filter(|(at, ..)| *at == address).map(|(_, protocol, number)| (*protocol, *number));
            for (protocol, number) in declared.chain(asked).filter(|(protocol, _)| *protocol != Protocol::Sctp) {
                let role = if resolvers.contains(&(address, protocol, number)) { Role::Resolver } else { Role::Text };
                ports.push(Port { address, protocol, number, role });
            }
        }
        ports.sort_unstable();
        ports.dedup();
        found.insert(pod.id.clone(), ports);
    }
    found
}

/// What a host outside answers at: the web, and names, which it knows no more of than the cluster's.
pub(super) fn outside_ports(address: IpAddr) -> Vec<Port> {
    let port = |protocol, number, role| Port { address, protocol, number, role };
    vec![
        port(Protocol::Tcp, 53, Role::Resolver),
        port(Protocol::Tcp, 80, Role::Text),
        port(Protocol::Tcp, 443, Role::Text),
        port(Protocol::Udp, 53, Role::Resolver),
    ]
}
