//! The objects of a cluster that policies speak of.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{ContainerPort, LabelSelector, Labels, Mode, Name, ObjectRef, PodAddresses, Protocol, Span};

/// A Namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.labels`; in a [`super::Cluster`] always with `kubernetes.io/metadata.name`.
    pub labels: Labels,
    /// What its annotation says of enforcing the NetworkPolicies in it that say nothing themselves.
    pub mode: Option<Mode>,
    /// Where the object was written; `None` for one that is only mentioned.
    pub at: Option<Span>,
}

/// A Node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `metadata.name`.
    pub name: Name,
    /// `metadata.labels`.
    pub labels: Labels,
    /// The IP addresses among `status.addresses`, in their order.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs` (or `podCIDR`): where its pods' addresses are from, with CNIs that go by that.
    pub pod_prefixes: Vec<IpNet>,
    /// Where the object was written; `None` for one that is only mentioned.
    pub at: Option<Span>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not given: a manifest that was never applied.
    #[default]
    NotGiven,
    /// `Pending`.
    Pending,
    /// `Running`.
    Running,
    /// `Unknown`: its node does not answer; the pod may well run, and keeps its address.
    Unknown,
    /// `Succeeded`.
    Succeeded,
    /// `Failed`.
    Failed,
}

impl Phase {
    /// Whether a pod in this phase has ended and owns no address any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The controller of a pod or workload (`metadata.ownerReferences[]` with `controller: true`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerRef {
    /// `kind`, as written: a custom kind may own pods too.
    pub kind: Name,
    /// `name`.
    pub name: Name,
}

/// A Pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `spec.nodeName`.
    pub node: Option<Name>,
    /// `status.podIPs` (or `podIP`).
    pub addresses: PodAddresses,
    /// `status.hostIPs` (or `hostIP`): the node's addresses when the node itself is not in the input.
    pub host_addresses: PodAddresses,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `status.phase`.
    pub phase: Phase,
    /// The ports of its containers and restartable init containers.
    pub ports: Vec<ContainerPort>,
    /// Its controller.
    pub owner: Option<OwnerRef>,
    /// The workload it belongs to; filled in by [`super::Inventory::into_cluster`].
    pub workload: Option<(WorkloadKind, Name)>,
    /// Whether it is only thought of: a pod that its workload would create.
    pub stand_in: bool,
    /// Where the object (or the workload it stands for) was written.
    pub at: Option<Span>,
}

impl Pod {
    /// A pod that runs, with nothing else: no labels, node, addresses or ports. To go on from.
    pub fn running(id: ObjectRef) -> Self {
        Self {
            id,
            labels: Labels::default(),
            node: None,
            addresses: PodAddresses::default(),
            host_addresses: PodAddresses::default(),
            host_network: false,
            phase: Phase::Running,
            ports: Vec::new(),
            owner: None,
            workload: None,
            stand_in: false,
            at: None,
        }
    }

    /// Whether it takes part: it has not ended.
    pub fn is_live(&self) -> bool {
        !self.phase.is_over()
    }
}

/// The kinds that create pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `apps/v1 Deployment`.
    Deployment,
    /// `apps/v1 StatefulSet`.
    StatefulSet,
    /// `apps/v1 DaemonSet`.
    DaemonSet,
    /// `apps/v1 ReplicaSet`.
    ReplicaSet,
    /// `v1 ReplicationController`.
    ReplicationController,
    /// `batch/v1 Job`.
    Job,
    /// `batch/v1 CronJob`.
    CronJob,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
        Self::CronJob,
    ];

    /// The API's kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// kubectl's short name.
    pub fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::ReplicaSet => "rs",
            Self::ReplicationController => "rc",
            Self::Job => "job",
            Self::CronJob => "cj",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

/// An object that creates pods.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace and name.
    pub id: ObjectRef,
    /// `spec.replicas` (1 when not given); 0 for a Job that is over; meaningless for a DaemonSet.
    pub replicas: u32,
    /// `spec.template`, or `spec.jobTemplate.spec.template`.
    pub template: PodTemplate,
    /// Its controller: a ReplicaSet's Deployment, a Job's CronJob.
    pub owner: Option<OwnerRef>,
    /// Where the object was written.
    pub at: Option<Span>,
}

/// What a workload's pods are made from.
#[derive(Clone, Debug, Default)]
pub struct PodTemplate {
    /// `metadata.labels`.
    pub labels: Labels,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.nodeName`.
    pub node: Option<Name>,
    /// The ports of the containers and restartable init containers.
    pub ports: Vec<ContainerPort>,
}

/// `spec.type` of a Service, as far as it has addresses; an alias has [`Service::external_name`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServiceType {
    /// `ClusterIP`: reached at its own addresses.
    #[default]
    ClusterIp,
    /// `clusterIP: None`: only a name for its pods.
    Headless,
    /// `NodePort`, or `LoadBalancer`, which has node ports too: reached at every node as well.
    NodePort,
}

/// A Service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// How it is reached.
    pub kind: ServiceType,
    /// `spec.selector`; `None` when there is none (its EndpointSlices are somebody else's work).
    pub selector: Option<LabelSelector>,
    /// `spec.clusterIPs` (or `clusterIP`); empty when headless, or when no cluster has given it any yet.
    pub addresses: Vec<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.externalName`, of a Service that is only a DNS alias.
    pub external_name: Option<Name>,
    /// Where the object was written.
    pub at: Option<Span>,
}

/// One item of a Service's `spec.ports`.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// `name`.
    pub name: Option<Name>,
    /// `protocol`, TCP when not given.
    pub protocol: Protocol,
    /// `port`.
    pub port: u16,
    /// `targetPort`; the same as `port` when not given.
    pub target: TargetPort,
    /// `nodePort`, once there is one.
    pub node_port: Option<u16>,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// The name of a container port, looked up on each pod.
    Named(Name),
}

/// An EndpointSlice (`discovery.k8s.io/v1`).
#[derive(Clone, Debug)]
pub struct EndpointSlice {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// The Service it belongs to: the label `kubernetes.io/service-name`.
    pub service: Option<Name>,
    /// `endpoints`.
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`.
    pub ports: Vec<SlicePort>,
    /// Where the object was written.
    pub at: Option<Span>,
}

/// One item of a slice's `endpoints`.
#[derive(Clone, Debug)]
pub struct SliceEndpoint {
    /// `addresses`.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`; true when not given.
    pub ready: bool,
}

/// One item of a slice's `ports`.
#[derive(Clone, Debug)]
pub struct SlicePort {
    /// `name`.
    pub name: Option<Name>,
    /// `protocol`, TCP when not given.
    pub protocol: Protocol,
    /// `port`; `None` means all.
    pub port: Option<u16>,
}
