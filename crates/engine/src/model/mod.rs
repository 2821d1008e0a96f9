//! What is: the cluster as typed values.
//!
//! ```text
//! Inventory   objects in the order they were read: namespaces, nodes, pods, workloads, services, policies
//!    │ into_cluster(): names the implied namespaces and nodes, lets workloads stand for their pods,
//!    ▼                 refuses what contradicts itself
//! Cluster     the same, indexed: by name, by address
//!    │
//!    ▼
//! Flow        two ends found in the cluster, and a kind of traffic: what a verdict is asked about
//! ```
//!
//! Nothing here is a raw string that means something else: whoever makes these values has parsed
//! and validated (crate `manifest` for files, crate `watch` for the API server).

mod address;
mod cluster;
mod cluster_policy;
mod domain;
mod flow;
mod inventory;
mod labels;
mod mode;
mod names;
mod objects;
mod policy;
mod policy_ref;
mod ports;
mod source;
mod stand_in;
mod update;

pub use address::{Family, PodAddresses};
pub use cluster::{Cluster, ClusterPolicyId, NodeId, PodId, PolicyId};
pub use cluster_policy::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject,
    ClusterTier,
};
pub use domain::{DomainName, NotADomainName, Resolution, Resolved, resolution};
pub use flow::{Endpoint, Flow, NoCommonFamily, Side, Traffic};
pub(crate) use inventory::METADATA_NAME;
pub use inventory::{Conflict, Inventory, ObjectKind};
pub use labels::{LabelSelector, Labels, Operator, Requirement};
pub use mode::Mode;
pub use names::{Name, ObjectRef};
pub use objects::{
    EndpointSlice, Namespace, Node, OwnerRef, Phase, Pod, PodTemplate, Service, ServicePort, ServiceType,
    SliceEndpoint, SlicePort, TargetPort, Workload, WorkloadKind,
};
pub use policy::{
    Direction, IpBlock, NamespaceScope, NetworkPolicy, Peer, PolicyPort, PolicyRule, PolicyTypes, PortMatch,
};
pub use policy_ref::PolicyRef;
pub use ports::{ContainerPort, PortRange, Protocol};
pub use source::{FileId, Position, Sources, Span};
