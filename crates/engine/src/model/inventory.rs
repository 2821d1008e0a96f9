//! Objects as they were read, and the one way from there to a [`Cluster`].

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    Cluster, ClusterPolicy, ClusterPolicyKind, Endpoint, EndpointSlice, Name, Namespace, NetworkPolicy, Node, NodeId,
    ObjectRef, Pod, Resolved, Service, Sources, Span, Workload, WorkloadKind, cluster::Parts, stand_in,
};

/// The label that every namespace carries: its own name.
pub(crate) const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Objects in the order they were read; nothing checked yet between them.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Namespaces.
    pub namespaces: Vec<Namespace>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Deployments and the other kinds that create pods.
    pub workloads: Vec<Workload>,
    /// Services.
    pub services: Vec<Service>,
    /// EndpointSlices.
    pub endpoint_slices: Vec<EndpointSlice>,
    /// NetworkPolicies.
    pub policies: Vec<NetworkPolicy>,
    /// ClusterNetworkPolicies and their older kinds.
    pub cluster_policies: Vec<ClusterPolicy>,
    /// What domain names resolve to: not read, but told beside the objects.
    pub resolved: Vec<Resolved>,
    /// The inputs that the spans point into.
    pub sources: Sources,
}

/// The kinds of an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Namespace.
    Namespace,
    /// Node.
    Node,
    /// Pod.
    Pod,
    /// A kind that creates pods.
    Workload(WorkloadKind),
    /// Service.
    Service,
    /// EndpointSlice.
    EndpointSlice,
    /// NetworkPolicy.
    NetworkPolicy,
    /// A cluster-wide policy.
    ClusterPolicy(ClusterPolicyKind),
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Workload(kind) => kind.kind(),
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ClusterPolicy(kind) => kind.kind(),
        })
    }
}

/// Two objects that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// One kind, namespace and name, twice.
    #[error("{kind} {name} is given twice")]
    Duplicate {
        /// The kind.
        kind: ObjectKind,
        /// `namespace/name`, or the name alone.
        name: String,
        /// Where it was first written.
        first: Option<Span>,
        /// Where again.
        second: Option<Span>,
    },
    /// An address that two have: a packet's endpoint would be anyone's guess.
    #[error("{address} is the address of {first} and of {second}")]
    SharedAddress {
        /// The address.
        address: IpAddr,
        /// Its first owner, such as `pod prod/web`.
        first: String,
        /// Its second owner.
        second: String,
        /// Where the first owner was written.
        first_at: Option<Span>,
        /// Where the second owner was written.
        second_at: Option<Span>,
    },
}

impl Inventory {
    /// Makes the cluster: names every namespace and node that is only mentioned, gives each
    /// namespace its name label, lets workloads without pods stand for theirs, and indexes.
    ///
    /// # Errors
    /// Every [`Conflict`] there is; no cluster is made then.
    pub fn into_cluster(self) -> Result<Cluster, Vec<Conflict>> {
        let mut conflicts = self.duplicates();
        let Self {
            namespaces,
            nodes,
            mut pods,
            workloads,
            services,
            endpoint_slices,
            policies,
            cluster_policies,
            resolved,
            sources,
        } = self;

        stand_in::add(&mut pods, &workloads, nodes.len());
        let mentioned = (pods.iter().map(|o| &o.id))
            .chain(workloads.iter().map(|o| &o.id))
            .chain(services.iter().map(|o| &o.id))
            .chain(endpoint_slices.iter().map(|o| &o.id))
            .chain(policies.iter().map(|o| &o.id));
        let namespaces = with_implied(namespaces, mentioned);
        let mut pods: Vec<Arc<Pod>> = pods.into_iter().map(Arc::new).collect();
        let policies = policies.into_iter().map(Arc::new).collect();
        let (nodes, node_index) = nodes_with_implied(nodes, &mut pods);
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
        let (cluster, shared) = Cluster::index(parts);
        conflicts.extend(shared);
        if conflicts.is_empty() { Ok(cluster) } else { Err(conflicts) }
    }

    fn duplicates(&self) -> Vec<Conflict> {
        let mut seen: FxHashMap<(ObjectKind, Option<&Name>, &Name), Option<Span>> = FxHashMap::default();
        let mut conflicts = Vec::new();
        for (kind, namespace, name, at) in self.names() {
            if let Some(first) = seen.insert((kind, namespace, name), at) {
                let name = namespace.map_or_else(|| name.to_string(), |ns| format!("{ns}/{name}"));
                conflicts.push(Conflict::Duplicate { kind, name, first, second: at });
            }
        }
        conflicts
    }

    fn names(&self) -> impl Iterator<Item = (ObjectKind, Option<&Name>, &Name, Option<Span>)> {
        let cluster_wide = (self.namespaces.iter().map(|o| (ObjectKind::Namespace, &o.name, o.at)))
            .chain(self.nodes.iter().map(|o| (ObjectKind::Node, &o.name, o.at)))
            .chain(self.cluster_policies.iter().map(|o| (ObjectKind::ClusterPolicy(o.kind), &o.name, o.at)))
            .map(|(kind, name, at)| (kind, None, name, at));
        let namespaced = (self.pods.iter().map(|o| (ObjectKind::Pod, &o.id, o.at)))
            .chain(self.workloads.iter().map(|o| (ObjectKind::Workload(o.kind), &o.id, o.at)))
            .chain(self.services.iter().map(|o| (ObjectKind::Service, &o.id, o.at)))
            .chain(self.endpoint_slices.iter().map(|o| (ObjectKind::EndpointSlice, &o.id, o.at)))
            .chain(self.policies.iter().map(|o| (ObjectKind::NetworkPolicy, &o.id, o.at)))
            .map(|(kind, id, at)| (kind, Some(&id.namespace), &id.name, at));
        cluster_wide.chain(namespaced)
    }
}

pub(super) fn with_implied<'a>(
    given: Vec<Namespace>,
    mentioned: impl Iterator<Item = &'a ObjectRef>,
) -> BTreeMap<Name, Namespace> {
    let mut namespaces = BTreeMap::new();
    for mut namespace in given {
        namespace.labels.set(METADATA_NAME, namespace.name.clone());
        namespaces.insert(namespace.name.clone(), namespace);
    }
    for ObjectRef { namespace, .. } in mentioned {
        if !namespaces.contains_key(namespace) {
            let labels = [(Name::from(METADATA_NAME), namespace.clone())].into_iter().collect();
            namespaces.insert(namespace.clone(), Namespace { name: namespace.clone(), labels, mode: None, at: None });
        }
    }
    namespaces
}

/// The nodes given, then those that pods run on though the input has no such Node: their addresses
/// are what the pods know of them. A host-network pod that no node runs yet gets a node of its own.
pub(super) fn nodes_with_implied(given: Vec<Node>, pods: &mut [Arc<Pod>]) -> (Vec<Node>, FxHashMap<Name, NodeId>) {
    let mut nodes = given;
    let known = nodes.len();
    let mut index: FxHashMap<Name, NodeId> =
        nodes.iter().enumerate().map(|(i, node)| (node.name.clone(), NodeId::at(i))).collect();
    for pod in pods.iter_mut().filter(|pod| pod.is_live()) {
        if pod.host_network && pod.node.is_none() {
            Arc::make_mut(pod).node = Some(Name::from(format!("(the node of {})", pod.id)));
        }
        let Some(name) = &pod.node else { continue };
        let id = *index.entry(name.clone()).or_insert_with(|| {
            nodes.push(Node {
                name: name.clone(),
                labels: Default::default(),
                addresses: Vec::new(),
                pod_prefixes: Vec::new(),
                at: None,
            });
            NodeId::at(nodes.len() - 1)
        });
        let learned = pod.host_network.then(|| pod.addresses.iter()).into_iter().flatten();
        let from_host = (id.index() >= known).then(|| pod.host_addresses.iter()).into_iter().flatten();
        if let Some(node) = nodes.get_mut(id.index()) {
            for address in learned.chain(from_host) {
                if !node.addresses.contains(&address) {
                    node.addresses.push(address);
                }
            }
        }
    }
    (nodes, index)
}

/// How messages call an endpoint.
pub(super) fn owner_text(cluster: &Cluster, endpoint: Endpoint) -> (String, Option<Span>) {
    match endpoint {
        Endpoint::Pod(id) => (format!("pod {}", cluster.pod(id).id), cluster.pod(id).at),
        Endpoint::Node(id) => (format!("node {}", cluster.node(id).name), cluster.node(id).at),
        Endpoint::Outside => ("an outside host".to_owned(), None),
    }
}
