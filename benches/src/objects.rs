//! Everything but pods and policies: namespaces, nodes, workloads, Services.

use std::io::{self, Write};

use crate::{
    layout::{App, Cluster, Kind, Namespace},
    random::Random,
};

/// What the UIDs of a file come from; every file has a stream of its own.
pub(crate) const POD_STREAM: u64 = 1 << 40;
pub(crate) const POLICY_STREAM: u64 = 2 << 40;
const OBJECT_STREAM: u64 = 3 << 40;

/// When everything in the cluster began.
pub(crate) const CREATED: &str = "\"2026-01-15T09:30:00Z\"";

/// The namespaces.
pub(crate) fn namespaces<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    let mut random = Random::new(cluster.size.seed, OBJECT_STREAM);
    for namespace in &cluster.namespaces {
        let (name, uid) = (&namespace.name, random.uid());
        write!(
            out,
            "---
apiVersion: v1
kind: Namespace
metadata:
  creationTimestamp: {CREATED}
  labels:
"
        )?;
        if let Some(environment) = namespace.environment() {
            writeln!(out, "    env: {environment}")?;
        }
        writeln!(out, "    kubernetes.io/metadata.name: {name}")?;
        if let Some(team) = namespace.team() {
            writeln!(out, "    team: {team}")?;
        }
        write!(
            out,
            "  name: {name}
  uid: {uid}
spec:
  finalizers:
  - kubernetes
status:
  phase: Active
"
        )?;
    }
    Ok(())
}

/// The nodes.
pub(crate) fn nodes<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    for node in 0..cluster.nodes {
        let (v4, v6) = cluster.node_addresses(node);
        let (name, zone) = (Cluster::node_name(node), ["a", "b", "c"].get(node % 3).copied().unwrap_or("a"));
        write!(
            out,
            "---
apiVersion: v1
kind: Node
metadata:
  creationTimestamp: {CREATED}
  labels:
    kubernetes.io/arch: amd64
    kubernetes.io/hostname: {name}
    kubernetes.io/os: linux
    topology.kubernetes.io/zone: zone-{zone}
  name: {name}
spec:
  podCIDR: 10.{}.{}.0/24
status:
  addresses:
  - address: {v4}
    type: InternalIP
",
            node >> 8,
            node & 255
        )?;
        if cluster.size.dual_stack {
            write!(out, "  - address: {v6}\n    type: InternalIP\n")?;
        }
        write!(
            out,
            "  - address: {name}
    type: Hostname
  allocatable:
    cpu: \"31\"
    memory: 126976Mi
    pods: \"250\"
  conditions:
  - lastHeartbeatTime: {CREATED}
    lastTransitionTime: {CREATED}
    message: kubelet is posting ready status
    reason: KubeletReady
    status: \"True\"
    type: Ready
  nodeInfo:
    architecture: amd64
    containerRuntimeVersion: containerd://2.1.4
    kubeletVersion: v1.36.1
    operatingSystem: linux
"
        )?;
    }
    Ok(())
}

/// Deployments with their ReplicaSets, StatefulSets and DaemonSets.
pub(crate) fn workloads<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    let mut random = Random::new(cluster.size.seed, OBJECT_STREAM + 1);
    for namespace in &cluster.namespaces {
        for app in &namespace.apps {
            let uid = random.uid();
            let kind = match app.kind {
                Kind::Deployment => "Deployment",
                Kind::StatefulSet => "StatefulSet",
                Kind::HostDaemon => "DaemonSet",
            };
            head(out, kind, &app.name, namespace, app, "")?;
            writeln!(out, "  uid: {uid}")?;
            workload_spec(out, app, false)?;
            if app.kind == Kind::Deployment {
                head(out, "ReplicaSet", &format!("{}-{}", app.name, app.hash), namespace, app, &app.hash)?;
                owner(out, "Deployment", &app.name, &uid)?;
                writeln!(out, "  uid: {}", random.uid())?;
                workload_spec(out, app, true)?;
            }
        }
    }
    Ok(())
}

/// Everything of a workload up to its labels; with a hash it is a ReplicaSet.
fn head<W: Write>(out: &mut W, kind: &str, name: &str, namespace: &Namespace, app: &App, hash: &str) -> io::Result<()> {
    write!(
        out,
        "---
apiVersion: apps/v1
kind: {kind}
metadata:
  creationTimestamp: {CREATED}
  labels:
"
    )?;
    labels(out, 4, app, hash)?;
    write!(out, "  name: {name}\n  namespace: {}\n", namespace.name)
}

/// The labels of an app, and the hash of a ReplicaSet's if there is one.
pub(crate) fn labels<W: Write>(out: &mut W, indent: usize, app: &App, hash: &str) -> io::Result<()> {
    for (key, value) in &app.labels {
        writeln!(out, "{:indent$}{key}: {value}", "")?;
    }
    if !hash.is_empty() {
        writeln!(out, "{:indent$}pod-template-hash: {hash}", "")?;
    }
    Ok(())
}

/// Who made this object.
pub(crate) fn owner<W: Write>(out: &mut W, kind: &str, name: &str, uid: &str) -> io::Result<()> {
    write!(
        out,
        "  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    controller: true
    kind: {kind}
    name: {name}
    uid: {uid}
"
    )
}

fn workload_spec<W: Write>(out: &mut W, app: &App, is_replica_set: bool) -> io::Result<()> {
    let hash = if is_replica_set { app.hash.as_str() } else { "" };
    writeln!(out, "spec:")?;
    if app.kind != Kind::HostDaemon {
        writeln!(out, "  replicas: {}", app.replicas)?;
    }
    if app.kind == Kind::StatefulSet {
        writeln!(out, "  serviceName: {}", app.name)?;
    }
    write!(out, "  selector:\n    matchLabels:\n")?;
    labels(out, 6, app, hash)?;
    write!(out, "  template:\n    metadata:\n      labels:\n")?;
    labels(out, 8, app, hash)?;
    writeln!(out, "    spec:")?;
    if app.kind == Kind::HostDaemon {
        writeln!(out, "      hostNetwork: true")?;
    }
    write!(
        out,
        "      containers:
      - image: registry.example.org/team/{0}:1.2.3
        imagePullPolicy: IfNotPresent
        name: {0}
",
        app.name
    )?;
    ports(out, 8, app)?;
    write!(
        out,
        "        resources:
          requests:
            cpu: 100m
            memory: 128Mi
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
"
    )
}

/// A container's ports.
pub(crate) fn ports<W: Write>(out: &mut W, indent: usize, app: &App) -> io::Result<()> {
    writeln!(out, "{:indent$}ports:", "")?;
    for port in &app.ports {
        writeln!(out, "{:indent$}- containerPort: {}", "", port.number)?;
        if app.kind == Kind::HostDaemon {
            writeln!(out, "{:indent$}  hostPort: {}", "", port.number)?;
        }
        writeln!(out, "{:indent$}  name: {}", "", port.name)?;
        writeln!(out, "{:indent$}  protocol: {}", "", port.protocol)?;
    }
    Ok(())
}

/// One Service for every app that listens; a canary has its app's.
pub(crate) fn services<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    let mut number: u32 = 10;
    for namespace in &cluster.namespaces {
        for app in &namespace.apps {
            if app.kind == Kind::HostDaemon || app.name.ends_with("-canary") {
                continue;
            }
            number += 1;
            service(cluster, out, namespace, app, number)?;
        }
    }
    Ok(())
}

fn service<W: Write>(cluster: &Cluster, out: &mut W, namespace: &Namespace, app: &App, number: u32) -> io::Result<()> {
    let v4 = std::net::Ipv4Addr::from_bits(0x0a60_0000 + number);
    let v6 = std::net::Ipv6Addr::from_bits(0xfd00_0030_u128 << 96 | u128::from(number));
    write!(
        out,
        "---
apiVersion: v1
kind: Service
metadata:
  creationTimestamp: {CREATED}
  name: {}
  namespace: {}
spec:
  clusterIP: {v4}
  clusterIPs:
  - {v4}
",
        app.name, namespace.name
    )?;
    if cluster.size.dual_stack {
        write!(
            out,
            "  - {v6}
  ipFamilies:
  - IPv4
  - IPv6
  ipFamilyPolicy: PreferDualStack
"
        )?;
    }
    writeln!(out, "  ports:")?;
    for port in &app.ports {
        write!(
            out,
            "  - name: {0}
    port: {1}
    protocol: {2}
    targetPort: {0}
",
            port.name, port.number, port.protocol
        )?;
    }
    // All versions of an app are behind one Service.
    writeln!(out, "  selector:")?;
    for (key, value) in app.labels.iter().take(1) {
        writeln!(out, "    {key}: {value}")?;
    }
    writeln!(out, "  sessionAffinity: None\n  type: ClusterIP")
}
