//! The cluster: what an [`super::Inventory`] becomes, consistent and indexed.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use rustc_hash::FxHashMap;

use super::{
    ClusterPolicy, Conflict, Endpoint, EndpointSlice, Family, Name, Namespace, NetworkPolicy, Node, ObjectRef, Pod,
    Resolved, Service, Side, Sources, Workload,
    inventory::{nodes_with_implied, owner_text},
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            pub(crate) fn at(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }

            /// The place in the cluster's list of this kind, from 0.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A pod of one [`Cluster`].
    PodId
);
id!(
    /// A node of one [`Cluster`].
    NodeId
);
id!(
    /// A NetworkPolicy of one [`Cluster`].
    PolicyId
);
id!(
    /// A cluster-wide policy of one [`Cluster`].
    ClusterPolicyId
);

/// Namespaces, nodes, pods, workloads, services and policies that agree with each other.
///
/// INVARIANT: ids come from this cluster and its lists never shrink, so every id has its object; all
/// namespaces and nodes that an object names exist; an address has one owner.
#[derive(Debug)]
pub struct Cluster {
    pub(super) parts: Parts,
    pub(super) pod_index: FxHashMap<ObjectRef, PodId>,
    /// Hashed with care: the addresses of a node share their first half, which a weaker hash makes collide.
    pub(super) addresses: HashMap<IpAddr, Endpoint>,
    /// How many live pods have an address of each family.
    pub(super) families: [usize; 2],
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) namespaces: BTreeMap<Name, Namespace>,
    pub(super) nodes: Vec<Node>,
    pub(super) node_index: FxHashMap<Name, NodeId>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) workloads: Vec<Workload>,
    pub(super) services: Vec<Service>,
    pub(super) endpoint_slices: Vec<EndpointSlice>,
    pub(super) policies: Vec<Arc<NetworkPolicy>>,
    pub(super) cluster_policies: Vec<ClusterPolicy>,
    pub(super) resolved: Vec<Resolved>,
    pub(super) sources: Sources,
}

impl Cluster {
    /// Every namespace, by name.
    pub fn namespaces(&self) -> impl ExactSizeIterator<Item = &Namespace> {
        self.parts.namespaces.values()
    }

    /// The namespace of that name.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.parts.namespaces.get(name)
    }

    /// Every pod, ended ones and stand-ins too.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = (PodId, &Pod)> {
        self.parts.pods.iter().enumerate().map(|(i, pod)| (PodId::at(i), pod.as_ref()))
    }

    /// One pod.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Cluster: every id has its object")]
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.parts.pods[id.index()]
    }

    /// The pod of that name.
    pub fn find_pod(&self, id: &ObjectRef) -> Option<PodId> {
        self.pod_index.get(id).copied()
    }

    /// Every node, also those only mentioned.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        self.parts.nodes.iter().enumerate().map(|(i, node)| (NodeId::at(i), node))
    }

    /// One node.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Cluster: every id has its object")]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.parts.nodes[id.index()]
    }

    /// The node of that name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.parts.node_index.get(name).copied()
    }

    /// How many live pods have an address of a family.
    pub fn pods_with(&self, family: Family) -> usize {
        self.families.get(family as usize).copied().unwrap_or_default()
    }

    /// Counts a pod among those that have addresses, or no more.
    pub(super) fn count_families(families: &mut [usize; 2], pod: &Pod, change: impl Fn(&mut usize)) {
        let has = |family: &Family| pod.is_live() && pod.addresses.of(*family).is_some();
        for family in Family::ALL.into_iter().filter(has) {
            families.get_mut(family as usize).into_iter().for_each(&change);
        }
    }

    /// The node that a pod runs on, once it is known.
    pub fn node_of(&self, pod: PodId) -> Option<NodeId> {
        self.find_node(self.pod(pod).node.as_deref()?)
    }

    /// Every NetworkPolicy, in the order read.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = (PolicyId, &NetworkPolicy)> {
        self.parts.policies.iter().enumerate().map(|(i, policy)| (PolicyId::at(i), policy.as_ref()))
    }

    /// One NetworkPolicy.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Cluster: every id has its object")]
    pub fn policy(&self, id: PolicyId) -> &NetworkPolicy {
        &self.parts.policies[id.index()]
    }

    /// Every cluster-wide policy, in the order read.
    pub fn cluster_policies(&self) -> impl ExactSizeIterator<Item = (ClusterPolicyId, &ClusterPolicy)> {
        self.parts.cluster_policies.iter().enumerate().map(|(i, policy)| (ClusterPolicyId::at(i), policy))
    }

    /// One cluster-wide policy.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Cluster: every id has its object")]
    pub fn cluster_policy(&self, id: ClusterPolicyId) -> &ClusterPolicy {
        &self.parts.cluster_policies[id.index()]
    }

    /// What domain names resolve to, as far as it was told.
    pub fn resolved(&self) -> &[Resolved] {
        &self.parts.resolved
    }

    /// Every workload of the input.
    pub fn workloads(&self) -> &[Workload] {
        &self.parts.workloads
    }

    /// Every Service.
    pub fn services(&self) -> &[Service] {
        &self.parts.services
    }

    /// Every EndpointSlice.
    pub fn endpoint_slices(&self) -> &[EndpointSlice] {
        &self.parts.endpoint_slices
    }

    /// The inputs that spans point into.
    pub fn sources(&self) -> &Sources {
        &self.parts.sources
    }

    /// Who has an address now: a live pod, a node, or nobody here. An IPv4 address written as IPv6
    /// (`::ffff:10.0.0.1`) is that IPv4 address.
    pub fn endpoint_of(&self, address: IpAddr) -> Endpoint {
        self.addresses.get(&address.to_canonical()).copied().unwrap_or(Endpoint::Outside)
    }

    /// The end of a flow at an address.
    pub fn side_of_address(&self, address: IpAddr) -> Side {
        Side { endpoint: self.endpoint_of(address), address: Some(address.to_canonical()) }
    }

    /// The end of a flow at a live pod: the pod, or the node of a host-network pod, with its address
    /// of that family. `None` for a pod that has ended: it owns no address.
    pub fn side_of_pod(&self, id: PodId, family: Family) -> Option<Side> {
        let pod = self.pod(id);
        if !pod.is_live() {
            return None;
        }
        if !pod.host_network {
            return Some(Side { endpoint: Endpoint::Pod(id), address: pod.addresses.of(family) });
        }
        let mut side = self.side_of_node(self.node_of(id)?, family);
        side.address = pod.addresses.of(family).or(side.address);
        Some(side)
    }

    /// The end of a flow at a node, with its first address of that family.
    pub fn side_of_node(&self, id: NodeId, family: Family) -> Side {
        let address = self.node(id).addresses.iter().copied().find(|address| Family::of(*address) == family);
        Side { endpoint: Endpoint::Node(id), address }
    }

    /// The same cluster after `edit` has given its nodes and pods what they lack, such as addresses.
    ///
    /// # Errors
    /// Every [`Conflict`] that this brings.
    pub fn with_hosts(self, edit: impl FnOnce(&mut Vec<Node>, &mut Vec<Pod>)) -> Result<Self, Vec<Conflict>> {
        let mut parts = self.parts;
        let mut pods = parts.pods.into_iter().map(Arc::unwrap_or_clone).collect();
        edit(&mut parts.nodes, &mut pods);
        parts.pods = pods.into_iter().map(Arc::new).collect();
        (parts.nodes, parts.node_index) = nodes_with_implied(parts.nodes, &mut parts.pods);
        let (cluster, conflicts) = Self::index(parts);
        if conflicts.is_empty() { Ok(cluster) } else { Err(conflicts) }
    }

    /// The same cluster after `edit` has given its Services what they lack, such as addresses.
    #[must_use]
    pub fn with_services(mut self, edit: impl FnOnce(&mut Vec<Service>)) -> Self {
        edit(&mut self.parts.services);
        self
    }

    pub(super) fn index(parts: Parts) -> (Self, Vec<Conflict>) {
        let pod_index = parts.pods.iter().enumerate().map(|(i, pod)| (pod.id.clone(), PodId::at(i))).collect();
        let mut families = [0; 2];
        parts.pods.iter().for_each(|pod| Self::count_families(&mut families, pod, |count| *count += 1));
        let mut cluster = Self { parts, pod_index, addresses: HashMap::new(), families };
        let mut owners: Vec<(IpAddr, Endpoint)> = Vec::new();
        for (id, node) in cluster.nodes() {
            owners.extend(node.addresses.iter().map(|address| (*address, Endpoint::Node(id))));
        }
        for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network) {
            owners.extend(pod.addresses.iter().map(|address| (address, Endpoint::Pod(id))));
        }
        let mut conflicts = Vec::new();
        for (address, owner) in owners {
            match cluster.addresses.insert(address.to_canonical(), owner) {
                Some(before) if before != owner => {
                    let ((first, first_at), (second, second_at)) =
                        (owner_text(&cluster, before), owner_text(&cluster, owner));
                    conflicts.push(Conflict::SharedAddress { address, first, second, first_at, second_at });
                }
                _ => {}
            }
        }
        (cluster, conflicts)
    }
}
