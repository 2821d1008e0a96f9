//! A cluster as Kubernetes manifests: what a failing seed is turned into.
//!
//! A plain emitter of the fields that the model has, readable by `kubectl` and by the crate
//! `manifest`; the spelling varies a little with the place (`protocol: TCP` is written every second
//! time, a namespace that is only mentioned is not written at all), so that the defaults are read too.
//! Not written: Services, EndpointSlices, and what the cluster itself adds (stand-ins, the implied
//! node of a host-network pod that has none yet, the name label of namespaces).

mod cluster_policies;
mod policies;

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use palisade_engine::model::{
    Cluster, ContainerPort, Labels, Mode, Name, Node, ObjectRef, Phase, Pod, PodTemplate, Protocol, Workload,
    WorkloadKind,
};

/// The label that every namespace has without being written.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// The manifests of a cluster's namespaces, nodes, pods, workloads and policies, in one text.
pub fn to_yaml(cluster: &Cluster) -> String {
    let mut out = Emitter::default();
    for namespace in cluster.namespaces() {
        // 1.5: one that has nothing but its name exists as soon as it is mentioned.
        let bare = namespace.mode.is_none() && namespace.labels.iter().all(|(key, _)| key.as_str() == METADATA_NAME);
        let mentioned = (cluster.pods().map(|(_, pod)| &pod.id))
            .chain(cluster.policies().map(|(_, policy)| &policy.id))
            .any(|id| id.namespace == namespace.name);
        if !(bare && mentioned) {
            let written: Labels = namespace
                .labels
                .iter()
                .filter(|(key, _)| key.as_str() != METADATA_NAME)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            out.head("v1", "Namespace", None, &namespace.name, &written);
            out.mode(namespace.mode);
        }
    }
    for (_, node) in cluster.nodes().filter(|(_, node)| !is_implied(&node.name)) {
        out.node(node);
    }
    for (_, pod) in cluster.pods().filter(|(_, pod)| !pod.stand_in) {
        out.pod(pod);
    }
    for workload in cluster.workloads() {
        out.workload(workload);
    }
    for (_, policy) in cluster.policies() {
        out.policy(policy);
    }
    for (_, policy) in cluster.cluster_policies() {
        out.cluster_policy(policy);
    }
    for told in cluster.resolved() {
        out.line(0, format_args!("# {} resolves to {}", told.name, told.address));
    }
    out.text
}

/// The cluster's own name for the node of a host-network pod that runs nowhere yet; no Node is called so.
fn is_implied(node: &str) -> bool {
    node.starts_with('(')
}

/// A string as YAML reads it back, whatever it looks like.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Default)]
struct Emitter {
    text: String,
}

impl Emitter {
    /// One line, `depth` steps in.
    fn line(&mut self, depth: usize, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:1$}{text}", "", depth * 2);
    }

    /// Everything up to the labels.
    fn head(&mut self, version: &str, kind: &str, namespace: Option<&Name>, name: &str, labels: &Labels) {
        self.line(0, format_args!("---"));
        self.line(0, format_args!("apiVersion: {version}"));
        self.line(0, format_args!("kind: {kind}"));
        self.line(0, format_args!("metadata:"));
        self.line(1, format_args!("name: {}", quoted(name)));
        if let Some(namespace) = namespace {
            self.line(1, format_args!("namespace: {}", quoted(namespace)));
        }
        self.labels(1, "labels", labels);
    }

    /// Whether a policy is enforced or audited, behind the head.
    fn mode(&mut self, mode: Option<Mode>) {
        if let Some(mode) = mode {
            self.line(1, format_args!("annotations: {{{}: {mode}}}", Mode::ANNOTATION));
        }
    }

    fn labels(&mut self, depth: usize, field: &str, labels: &Labels) {
        if labels.is_empty() {
            return;
        }
        self.line(depth, format_args!("{field}:"));
        for (key, value) in labels.iter() {
            self.line(depth + 1, format_args!("{}: {}", quoted(key), quoted(value)));
        }
    }

    fn node(&mut self, node: &Node) {
        self.head("v1", "Node", None, &node.name, &node.labels);
        if node.addresses.is_empty() {
            return;
        }
        self.line(0, format_args!("status:"));
        self.line(1, format_args!("addresses:"));
        for address in &node.addresses {
            self.line(1, format_args!("- type: InternalIP"));
            self.line(2, format_args!("address: {}", quoted(&address.to_string())));
        }
    }

    fn pod(&mut self, pod: &Pod) {
        let ObjectRef { namespace, name } = &pod.id;
        self.head("v1", "Pod", Some(namespace), name, &pod.labels);
        if let Some(owner) = &pod.owner {
            let version = match owner.kind.as_str() {
                "ReplicationController" => "v1",
                "Job" | "CronJob" => "batch/v1",
                _ => "apps/v1",
            };
            self.line(1, format_args!("ownerReferences:"));
            self.line(1, format_args!("- apiVersion: {version}"));
            self.line(2, format_args!("kind: {}", quoted(&owner.kind)));
            self.line(2, format_args!("name: {}", quoted(&owner.name)));
            self.line(2, format_args!("uid: {}", quoted(&format!("uid-of-{}", owner.name))));
            self.line(2, format_args!("controller: true"));
        }
        self.line(0, format_args!("spec:"));
        let node = pod.node.as_ref().filter(|node| !is_implied(node));
        self.pod_spec(1, node, pod.host_network, &pod.ports);
        self.status(pod);
    }

    fn status(&mut self, pod: &Pod) {
        let phase = match pod.phase {
            Phase::NotGiven => None,
            Phase::Pending => Some("Pending"),
            Phase::Running => Some("Running"),
            Phase::Unknown => Some("Unknown"),
            Phase::Succeeded => Some("Succeeded"),
            Phase::Failed => Some("Failed"),
        };
        let hosts: Vec<IpAddr> = pod.host_addresses.iter().collect();
        let own: Vec<IpAddr> = pod.addresses.iter().collect();
        if phase.is_none() && hosts.is_empty() && own.is_empty() {
            return;
        }
        self.line(0, format_args!("status:"));
        if let Some(phase) = phase {
            self.line(1, format_args!("phase: {phase}"));
        }
        for (one, list, addresses) in [("hostIP", "hostIPs", hosts), ("podIP", "podIPs", own)] {
            let Some(first) = addresses.first() else { continue };
            self.line(1, format_args!("{one}: {}", quoted(&first.to_string())));
            self.line(1, format_args!("{list}:"));
            for address in &addresses {
                self.line(1, format_args!("- ip: {}", quoted(&address.to_string())));
            }
        }
    }

    fn pod_spec(&mut self, depth: usize, node: Option<&Name>, host_network: bool, ports: &[ContainerPort]) {
        if let Some(node) = node {
            self.line(depth, format_args!("nodeName: {}", quoted(node)));
        }
        if host_network {
            self.line(depth, format_args!("hostNetwork: true"));
        }
        self.line(depth, format_args!("containers:"));
        for (index, ports) in per_container(ports).into_iter().enumerate() {
            self.line(depth, format_args!("- name: c{index}"));
            self.line(depth + 1, format_args!("image: registry.k8s.io/pause:3.10"));
            if !ports.is_empty() {
                self.line(depth + 1, format_args!("ports:"));
            }
            for (index, port) in ports.into_iter().enumerate() {
                self.line(depth + 1, format_args!("- containerPort: {}", port.port));
                if let Some(name) = &port.name {
                    self.line(depth + 2, format_args!("name: {}", quoted(name)));
                }
                self.protocol(depth + 2, index, port.protocol);
            }
        }
    }

    /// TCP is the default: written every second time.
    fn protocol(&mut self, depth: usize, index: usize, protocol: Protocol) {
        if protocol != Protocol::Tcp || index % 2 == 1 {
            self.line(depth, format_args!("protocol: {protocol}"));
        }
    }

    fn workload(&mut self, workload: &Workload) {
        let ObjectRef { namespace, name } = &workload.id;
        let kind = workload.kind;
        let version = match kind {
            WorkloadKind::ReplicationController => "v1",
            WorkloadKind::Job | WorkloadKind::CronJob => "batch/v1",
            _ => "apps/v1",
        };
        self.head(version, kind.kind(), Some(namespace), name, &Labels::default());
        if let Some(owner) = &workload.owner {
            self.line(1, format_args!("ownerReferences:"));
            self.line(1, format_args!("- apiVersion: apps/v1"));
            self.line(2, format_args!("kind: {}", quoted(&owner.kind)));
            self.line(2, format_args!("name: {}", quoted(&owner.name)));
            self.line(2, format_args!("uid: {}", quoted(&format!("uid-of-{}", owner.name))));
            self.line(2, format_args!("controller: true"));
        }
        self.line(0, format_args!("spec:"));
        let labels = &workload.template.labels;
        match kind {
            WorkloadKind::Job => self.template(1, &workload.template, Some("Never")),
            WorkloadKind::CronJob => {
                self.line(1, format_args!("schedule: \"0 * * * *\""));
                self.line(1, format_args!("jobTemplate:"));
                self.line(2, format_args!("spec:"));
                self.template(3, &workload.template, Some("Never"));
            }
            WorkloadKind::ReplicationController => {
                self.line(1, format_args!("replicas: {}", workload.replicas));
                self.labels(1, "selector", labels);
                self.template(1, &workload.template, None);
            }
            WorkloadKind::Deployment
            | WorkloadKind::StatefulSet
            | WorkloadKind::DaemonSet
            | WorkloadKind::ReplicaSet => {
                if kind == WorkloadKind::StatefulSet {
                    self.line(1, format_args!("serviceName: {}", quoted(name)));
                }
                if kind != WorkloadKind::DaemonSet {
                    self.line(1, format_args!("replicas: {}", workload.replicas));
                }
                self.line(1, format_args!("selector:"));
                self.labels(2, "matchLabels", labels);
                self.template(1, &workload.template, None);
            }
        }
        if kind == WorkloadKind::Job && workload.replicas == 0 {
            self.line(0, format_args!("status:"));
            self.line(1, format_args!("conditions:"));
            self.line(1, format_args!("- type: Complete"));
            self.line(2, format_args!("status: \"True\""));
        }
    }

    fn template(&mut self, depth: usize, template: &PodTemplate, restart: Option<&str>) {
        self.line(depth, format_args!("template:"));
        if !template.labels.is_empty() {
            self.line(depth + 1, format_args!("metadata:"));
            self.labels(depth + 2, "labels", &template.labels);
        }
        self.line(depth + 1, format_args!("spec:"));
        if let Some(restart) = restart {
            self.line(depth + 2, format_args!("restartPolicy: {restart}"));
        }
        self.pod_spec(depth + 2, template.node.as_ref(), template.host_network, &template.ports);
    }
}

/// The ports in as few containers as they fit in, in their order: a container has no name twice.
fn per_container(ports: &[ContainerPort]) -> Vec<Vec<&ContainerPort>> {
    let mut containers = vec![];
    let mut current: Vec<&ContainerPort> = vec![];
    for port in ports {
        if port.name.is_some() && current.iter().any(|other| other.name == port.name) {
            containers.push(std::mem::take(&mut current));
        }
        current.push(port);
    }
    containers.push(current);
    containers
}
