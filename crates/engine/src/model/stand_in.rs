//! Workloads and their pods: which workload a pod belongs to, and the pods that a workload without
//! any would create.
//!
//! Two stand-ins are made where a workload has more than one replica, so that what its pods may do
//! to each other has an answer too; one otherwise. A StatefulSet's are named as Kubernetes would.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Name, ObjectRef, OwnerRef, Phase, Pod, PodAddresses, Workload, WorkloadKind};

type Key = (WorkloadKind, ObjectRef);

impl Pod {
    /// Fills in the workload as far as the pod tells by itself: its controller, and the Deployment of a ReplicaSet
    /// that is named as Kubernetes does.
    pub fn infer_workload(&mut self) {
        self.workload = owners(self, &FxHashMap::default()).last().map(|(kind, id)| (*kind, id.name.clone()));
    }
}

/// Fills in every pod's workload, then adds the stand-ins of workloads that have no pod.
pub(super) fn add(pods: &mut Vec<Pod>, workloads: &[Workload], nodes: usize) {
    let known: FxHashMap<Key, &Workload> = workloads.iter().map(|w| ((w.kind, w.id.clone()), w)).collect();
    let mut with_pods: FxHashSet<Key> = FxHashSet::default();
    for pod in pods.iter_mut() {
        let chain = owners(pod, &known);
        pod.workload = chain.last().map(|(kind, id)| (*kind, id.name.clone()));
        // An ended pod of a Job has done its work; one of a Deployment is being replaced.
        let counts = |key: &Key| pod.is_live() || matches!(key.0, WorkloadKind::Job | WorkloadKind::CronJob);
        with_pods.extend(chain.into_iter().filter(counts));
    }

    let mut taken: FxHashSet<ObjectRef> = pods.iter().map(|pod| pod.id.clone()).collect();
    for workload in workloads {
        let key = (workload.kind, workload.id.clone());
        let owned = workload.owner.as_ref().and_then(|owner| parent(&workload.id.namespace, owner));
        if with_pods.contains(&key) || owned.is_some_and(|owner| known.contains_key(&owner)) {
            continue;
        }
        let count = match workload.kind {
            WorkloadKind::DaemonSet => nodes.clamp(1, 2),
            _ => workload.replicas.min(2) as usize,
        };
        for ordinal in 0..count {
            let pod = stand_in(workload, ordinal, count, &taken);
            taken.insert(pod.id.clone());
            pods.push(pod);
        }
    }
}

fn stand_in(workload: &Workload, ordinal: usize, count: usize, taken: &FxHashSet<ObjectRef>) -> Pod {
    let ObjectRef { namespace, name } = &workload.id;
    let numbered = count > 1 || workload.kind == WorkloadKind::StatefulSet;
    let plain = if numbered { format!("{name}-{ordinal}") } else { name.to_string() };
    let mut id = ObjectRef::new(namespace.clone(), plain);
    while taken.contains(&id) {
        id.name = Name::from(format!("{}.{}", workload.kind.short(), id.name));
    }
    let template = &workload.template;
    Pod {
        id,
        labels: template.labels.clone(),
        node: template.node.clone(),
        addresses: PodAddresses::default(),
        host_addresses: PodAddresses::default(),
        host_network: template.host_network,
        phase: Phase::NotGiven,
        ports: template.ports.clone(),
        owner: None,
        workload: Some((workload.kind, name.clone())),
        stand_in: true,
        at: workload.at,
    }
}

/// A pod's workloads from its controller upwards: ReplicaSet, then Deployment. A ReplicaSet that is
/// not in the input still tells its Deployment: its name is the Deployment's and the pod template hash.
fn owners(pod: &Pod, known: &FxHashMap<Key, &Workload>) -> Vec<Key> {
    let namespace = &pod.id.namespace;
    let mut chain = Vec::new();
    let mut next = pod.owner.as_ref().and_then(|owner| parent(namespace, owner));
    while let Some(key) = next.take() {
        if chain.contains(&key) {
            break;
        }
        next = match known.get(&key) {
            Some(workload) => workload.owner.as_ref().and_then(|owner| parent(namespace, owner)),
            None if key.0 == WorkloadKind::ReplicaSet => deployment_of(pod, &key.1.name),
            None => None,
        };
        chain.push(key);
    }
    chain
}

fn deployment_of(pod: &Pod, replica_set: &str) -> Option<Key> {
    let hash = pod.labels.get("pod-template-hash")?;
    let name = replica_set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    Some((WorkloadKind::Deployment, ObjectRef::new(pod.id.namespace.clone(), name)))
}

fn parent(namespace: &Name, owner: &OwnerRef) -> Option<Key> {
    let kind = WorkloadKind::ALL.into_iter().find(|kind| kind.kind() == &*owner.kind)?;
    Some((kind, ObjectRef::new(namespace.clone(), owner.name.clone())))
}
