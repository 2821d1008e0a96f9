//! Pods, as heavy as `kubectl get pods -o yaml` prints them (which leaves `managedFields` out).

use std::io::{self, Write};

use crate::{
    layout::{App, Cluster, Kind, Namespace, Place},
    objects::{CREATED, POD_STREAM, labels, owner, ports},
    random::Random,
};

/// The pods.
pub(crate) fn pods<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    for (index, namespace) in (0u64..).zip(&cluster.namespaces) {
        let mut random = Random::new(cluster.size.seed, POD_STREAM + index);
        for app in &namespace.apps {
            let owner_uid = random.uid();
            for replica in 0..app.replicas {
                let pod = Pod { cluster, namespace, app, replica, place: cluster.place(app, replica) };
                pod.metadata(out, &owner_uid, &mut random)?;
                pod.spec(out, &mut random)?;
                pod.status(out, &mut random)?;
            }
        }
    }
    Ok(())
}

struct Pod<'c> {
    cluster: &'c Cluster,
    namespace: &'c Namespace,
    app: &'c App,
    replica: usize,
    place: Place,
}

impl Pod<'_> {
    fn metadata<W: Write>(&self, out: &mut W, owner_uid: &str, random: &mut Random) -> io::Result<()> {
        let App { name, kind, hash, .. } = self.app;
        let (owner_kind, owner_name) = match kind {
            Kind::Deployment => ("ReplicaSet", format!("{name}-{hash}")),
            Kind::StatefulSet => ("StatefulSet", name.clone()),
            Kind::HostDaemon => ("DaemonSet", name.clone()),
        };
        let pod = match kind {
            Kind::Deployment | Kind::HostDaemon => format!("{owner_name}-{}", self.ending(random)),
            Kind::StatefulSet => format!("{name}-{}", self.replica),
        };
        write!(
            out,
            "---
apiVersion: v1
kind: Pod
metadata:
  annotations:
    checksum/config: {:016x}{:016x}
    prometheus.io/scrape: \"true\"
  creationTimestamp: {CREATED}
  generateName: {owner_name}-
  labels:
",
            random.bits(),
            random.bits(),
        )?;
        match kind {
            Kind::Deployment => labels(out, 4, self.app, hash)?,
            Kind::StatefulSet | Kind::HostDaemon => {
                labels(out, 4, self.app, "")?;
                writeln!(out, "    controller-revision-hash: {name}-{hash}")?;
            }
        }
        if *kind == Kind::StatefulSet {
            write!(
                out,
                "    apps.kubernetes.io/pod-index: \"{}\"\n    statefulset.kubernetes.io/pod-name: {pod}\n",
                self.replica
            )?;
        }
        write!(out, "  name: {pod}\n  namespace: {}\n", self.namespace.name)?;
        owner(out, owner_kind, &owner_name, owner_uid)?;
        write!(out, "  resourceVersion: \"{}\"\n  uid: {}\n", 1_000_000 + random.below(90_000_000), random.uid())
    }

    /// Five characters as Kubernetes appends them; different for every replica, which chance alone
    /// would not promise.
    fn ending(&self, random: &mut Random) -> String {
        const DIGITS: &[u8; 16] = b"bcdfghjklmnpqrst";
        let own = [8, 4, 0].map(|shift| DIGITS.get(self.replica >> shift & 15).copied().map_or('b', char::from));
        random.suffix(2) + &String::from_iter(own)
    }

    fn spec<W: Write>(&self, out: &mut W, random: &mut Random) -> io::Result<()> {
        let (name, token) = (&self.app.name, random.suffix(5));
        write!(
            out,
            "spec:
  containers:
  - args:
    - --config=/etc/{name}/config.yaml
    - --log-format=json
    env:
    - name: LOG_LEVEL
      value: info
    - name: POD_NAME
      valueFrom:
        fieldRef:
          apiVersion: v1
          fieldPath: metadata.name
    image: registry.example.org/team/{name}:1.2.3
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 3
      httpGet:
        path: /healthz
        port: metrics
        scheme: HTTP
      periodSeconds: 10
      successThreshold: 1
      timeoutSeconds: 1
    name: {name}
"
        )?;
        ports(out, 4, self.app)?;
        write!(
            out,
            "    resources:
      limits:
        memory: 256Mi
      requests:
        cpu: 100m
        memory: 128Mi
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    volumeMounts:
    - mountPath: /etc/{name}
      name: config
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-{token}
      readOnly: true
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
"
        )?;
        if self.app.kind == Kind::HostDaemon {
            writeln!(out, "  hostNetwork: true")?;
        }
        write!(
            out,
            "  nodeName: {node}
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext:
    runAsNonRoot: true
  serviceAccount: {name}
  serviceAccountName: {name}
  terminationGracePeriodSeconds: 30
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
  - effect: NoExecute
    key: node.kubernetes.io/unreachable
    operator: Exists
    tolerationSeconds: 300
  volumes:
  - configMap:
      defaultMode: 420
      name: {name}
    name: config
  - name: kube-api-access-{token}
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken:
          expirationSeconds: 3607
          path: token
      - configMap:
          items:
          - key: ca.crt
            path: ca.crt
          name: kube-root-ca.crt
      - downwardAPI:
          items:
          - fieldRef:
              apiVersion: v1
              fieldPath: metadata.namespace
            path: namespace
",
            node = Cluster::node_name(self.place.node),
        )
    }

    fn status<W: Write>(&self, out: &mut W, random: &mut Random) -> io::Result<()> {
        writeln!(out, "status:\n  conditions:")?;
        for condition in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
            write!(
                out,
                "  - lastProbeTime: null
    lastTransitionTime: {CREATED}
    status: \"True\"
    type: {condition}
"
            )?;
        }
        let name = &self.app.name;
        let image = format!("{:016x}{:016x}{:016x}{:016x}", random.bits(), random.bits(), random.bits(), random.bits());
        write!(
            out,
            "  containerStatuses:
  - containerID: containerd://{image}
    image: registry.example.org/team/{name}:1.2.3
    imageID: registry.example.org/team/{name}@sha256:{image}
    lastState: {{}}
    name: {name}
    ready: true
    restartCount: 0
    started: true
    state:
      running:
        startedAt: {CREATED}
"
        )?;
        let (host_v4, host_v6) = self.cluster.node_addresses(self.place.node);
        let Place { v4, v6, .. } = self.place;
        write!(out, "  hostIP: {host_v4}\n  hostIPs:\n  - ip: {host_v4}\n")?;
        if self.cluster.size.dual_stack {
            writeln!(out, "  - ip: {host_v6}")?;
        }
        write!(out, "  phase: Running\n  podIP: {v4}\n  podIPs:\n  - ip: {v4}\n")?;
        if self.cluster.size.dual_stack {
            writeln!(out, "  - ip: {v6}")?;
        }
        write!(out, "  qosClass: Burstable\n  startTime: {CREATED}\n")
    }
}
