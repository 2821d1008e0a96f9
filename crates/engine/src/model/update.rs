//! A cluster that changes: objects come, become others, and go, each at the cost of itself.
//!
//! INVARIANT of [`Cluster`]: its lists never shrink. What goes leaves an empty object at its place, which
//! nobody finds by name or address: a pod that has ended, a node without addresses, a policy of a namespace
//! without pods. The next object that comes may take the place.

use std::{net::IpAddr, sync::Arc};

use super::{
    Cluster, ClusterPolicy, Conflict, Endpoint, LabelSelector, Labels, Name, Namespace, NetworkPolicy, Node, NodeId,
    ObjectRef, Phase, Pod, PodAddresses, PodId, PolicyId, Sources,
    cluster::Parts,
    inventory::{METADATA_NAME, nodes_with_implied, with_implied},
};

impl Cluster {
    /// A cluster of objects that their owner keeps, too. Pods keep the workload that they have.
    ///
    /// # Errors
    /// Every address that two have.
    pub fn of_shared(
        namespaces: Vec<Namespace>,
        nodes: Vec<Node>,
        mut pods: Vec<Arc<Pod>>,
        policies: Vec<Arc<NetworkPolicy>>,
        cluster_policies: Vec<ClusterPolicy>,
    ) -> Result<Self, Vec<Conflict>> {
        let mentioned = pods.iter().map(|o| &o.id).chain(policies.iter().map(|o| &o.id));
        let namespaces = with_implied(namespaces, mentioned);
        let (nodes, node_index) = nodes_with_implied(nodes, &mut pods);
        let (workloads, services, endpoint_slices) = (Vec::new(), Vec::new(), Vec::new());
        let (resolved, sources) = (Vec::new(), Sources::default());
        let parts = Parts {
            namespaces,
            nodes,
            node_index,
            pods,
            workloads,
            services,
            endpoint_slices,
            policies,
            cluster_policies,
            resolved,
            sources,
        };
        let (cluster, conflicts) = Self::index(parts);
        if conflicts.is_empty() { Ok(cluster) } else { Err(conflicts) }
    }

    /// Puts a pod at its place, or at `free`, or at a new one. The address that another has stays the other's.
    pub(crate) fn put_pod(&mut self, pod: Arc<Pod>, free: &mut Vec<PodId>) -> PodId {
        self.mention_node(&pod);
        let (name, addresses, owns) = (pod.id.clone(), pod.addresses, pod.is_live() && !pod.host_network);
        Self::count_families(&mut self.families, &pod, |count| *count += 1);
        let id = match self.pod_index.get(&name).copied().or_else(|| free.pop()) {
            Some(id) => {
                if let Some(place) = self.parts.pods.get_mut(id.index()) {
                    let before = std::mem::replace(place, pod);
                    Self::count_families(&mut self.families, &before, |count| *count -= 1);
                    self.disown(before.addresses.iter(), Endpoint::Pod(id));
                }
                id
            }
            None => {
                self.parts.pods.push(pod);
                PodId::at(self.parts.pods.len() - 1)
            }
        };
        self.pod_index.insert(name, id);
        if owns {
            self.own(addresses.iter(), Endpoint::Pod(id));
        }
        id
    }

    /// Takes a pod away.
    pub(crate) fn remove_pod(&mut self, name: &ObjectRef) -> Option<(PodId, PodAddresses)> {
        let id = self.pod_index.remove(name)?;
        let before = std::mem::replace(self.parts.pods.get_mut(id.index())?, Arc::new(no_pod()));
        Self::count_families(&mut self.families, &before, |count| *count -= 1);
        self.disown(before.addresses.iter(), Endpoint::Pod(id));
        Some((id, before.addresses))
    }

    /// Puts a namespace in place of the one of its name, known or not.
    pub(crate) fn put_namespace(&mut self, mut namespace: Namespace) {
        namespace.labels.set(METADATA_NAME, namespace.name.clone());
        self.parts.namespaces.insert(namespace.name.clone(), namespace);
    }

    /// Puts a node in place of the one of its name, known or not. The address that another has stays the other's.
    pub(crate) fn put_node(&mut self, node: Node) {
        let (name, addresses) = (node.name.clone(), node.addresses.clone());
        let id = match self.parts.node_index.get(&name).copied() {
            Some(id) => {
                if let Some(place) = self.parts.nodes.get_mut(id.index()) {
                    let before = std::mem::replace(place, node);
                    self.disown(before.addresses.into_iter(), Endpoint::Node(id));
                }
                id
            }
            None => {
                self.parts.nodes.push(node);
                NodeId::at(self.parts.nodes.len() - 1)
            }
        };
        self.parts.node_index.insert(name, id);
        self.own(addresses.into_iter(), Endpoint::Node(id));
    }

    /// Takes a node away.
    pub(crate) fn remove_node(&mut self, name: &Name) {
        let Some(id) = self.parts.node_index.remove(name) else { return };
        let Some(place) = self.parts.nodes.get_mut(id.index()) else { return };
        let nobody = Node {
            name: Name::from(""),
            labels: Labels::default(),
            addresses: Vec::new(),
            pod_prefixes: Vec::new(),
            at: None,
        };
        let before = std::mem::replace(place, nobody);
        self.disown(before.addresses.into_iter(), Endpoint::Node(id));
    }

    /// Puts a policy at this place, or at a new one.
    pub(crate) fn put_policy(&mut self, policy: Arc<NetworkPolicy>, place: Option<PolicyId>) -> PolicyId {
        match place.and_then(|id| Some((id, self.parts.policies.get_mut(id.index())?))) {
            Some((id, place)) => {
                *place = policy;
                id
            }
            None => {
                self.parts.policies.push(policy);
                PolicyId::at(self.parts.policies.len() - 1)
            }
        }
    }

    /// Takes a policy away.
    pub(crate) fn remove_policy(&mut self, id: PolicyId) {
        if let Some(place) = self.parts.policies.get_mut(id.index()) {
            *place = Arc::new(no_policy());
        }
    }

    /// The node that a pod runs on exists, at the addresses that the pod knows of it when nobody else says any.
    fn mention_node(&mut self, pod: &Pod) {
        let Some(name) = pod.node.as_ref().filter(|_| pod.is_live()) else { return };
        if !self.parts.node_index.contains_key(name) {
            let addresses = pod.host_addresses.iter().collect();
            self.put_node(Node {
                name: name.clone(),
                labels: Labels::default(),
                addresses,
                pod_prefixes: Vec::new(),
                at: None,
            });
        }
    }

    fn own(&mut self, addresses: impl Iterator<Item = IpAddr>, owner: Endpoint) {
        for address in addresses {
            self.addresses.entry(address.to_canonical()).or_insert(owner);
        }
    }

    fn disown(&mut self, addresses: impl Iterator<Item = IpAddr>, owner: Endpoint) {
        for address in addresses {
            let address = address.to_canonical();
            if self.addresses.get(&address) == Some(&owner) {
                self.addresses.remove(&address);
            }
        }
    }
}

fn no_pod() -> Pod {
    Pod { phase: Phase::Failed, ..Pod::running(ObjectRef::new("", "")) }
}

fn no_policy() -> NetworkPolicy {
    NetworkPolicy {
        id: ObjectRef::new("", ""),
        annotations: Labels::default(),
        mode: None,
        subject: LabelSelector::everything(),
        policy_types: None,
        ingress: Vec::new(),
        egress: Vec::new(),
        at: None,
    }
}
