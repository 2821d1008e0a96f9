//! Workloads: most have no pods, and stand for those that they would create (1.8).

use palisade_engine::model::{ObjectRef, OwnerRef, PodTemplate, Workload, WorkloadKind};

use super::{
    cluster::World,
    labels::{POD_KEYS, labels},
    ports::container_ports,
    random::Rng,
};

/// The workloads of a cluster. One in four owns a pod that is there, and then stands for none.
pub(crate) fn workloads(rng: &mut Rng, world: &mut World) -> Vec<Workload> {
    let count = rng.weighted([(80, 0), (14, 1), (6, 2)]);
    let mut workloads = Vec::new();
    for index in 0..count {
        let Some(namespace) = rng.pick(&world.namespaces).map(|namespace| namespace.name.clone()) else { break };
        let kind = rng.one_of(WorkloadKind::ALL);
        let mut labels = labels(rng, &POD_KEYS);
        if labels.is_empty() {
            // A workload must select its own pods, and cannot do so by no label.
            labels.set("app", "web");
        }
        // A template may name its node.
        let pinned = rng.chance(25);
        let node = rng.pick(&world.nodes).filter(|_| pinned).map(|node| node.name.clone());
        let id = ObjectRef::new(namespace, format!("work-{index}"));
        if rng.chance(25) {
            adopt(rng, world, kind, &id);
        }
        let counted = !matches!(kind, WorkloadKind::DaemonSet | WorkloadKind::Job | WorkloadKind::CronJob);
        let template = PodTemplate { labels, host_network: rng.chance(6), node, ports: container_ports(rng) };
        let replicas = if counted { rng.one_of([1, 2, 3]) } else { 1 };
        workloads.push(Workload { kind, id, replicas, template, owner: None, at: None });
    }
    workloads
}

/// Makes the workload the controller of one of the namespace's pods.
fn adopt(rng: &mut Rng, world: &mut World, kind: WorkloadKind, id: &ObjectRef) {
    let mut pods: Vec<_> = world.pods.iter_mut().filter(|pod| pod.id.namespace == id.namespace).collect();
    let chosen = rng.below(pods.len());
    if let Some(pod) = pods.get_mut(chosen) {
        pod.owner = Some(OwnerRef { kind: kind.kind().into(), name: id.name.clone() });
    }
}
