//! Workloads, and the fewest stable labels that select exactly one of them.

use std::collections::BTreeMap;

use palisade_engine::model::{Cluster, LabelSelector, Name, Operator, PodId, Requirement};

/// Labels that a controller makes for each revision, pod or run.
const UNSTABLE: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "controller-uid",
];

/// Labels that people select by, the best first; those not named here come after them.
const PREFERRED: [&str; 8] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app",
    "k8s-app",
    "name",
    "component",
    "tier",
];

/// Versions change with every roll-out: only when nothing else tells two workloads apart.
const LAST: [&str; 4] = ["job-name", "version", "app.kubernetes.io/version", "helm.sh/chart"];

/// The pods of one workload, or bare pods of the same labels.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) namespace: Name,
    /// What people call it.
    pub(crate) name: String,
    pub(crate) pods: Vec<PodId>,
    /// What selects it; empty: the whole namespace.
    pub(crate) labels: Vec<(Name, Name)>,
    /// Whether the labels select nobody else.
    pub(crate) is_exact: bool,
}

impl Group {
    pub(crate) fn selector(&self) -> LabelSelector {
        let mut selector = LabelSelector::everything();
        selector.requirements =
            self.labels.iter().map(|(key, value)| Requirement::equals(key.clone(), value.clone())).collect();
        selector
    }
}

/// All groups of live pods with a network of their own, and of which each such pod is.
pub(crate) fn groups(cluster: &Cluster) -> (Vec<Group>, BTreeMap<PodId, usize>) {
    let mut found: BTreeMap<(Name, String), Vec<PodId>> = BTreeMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network) {
        let key = match &pod.workload {
            Some((kind, name)) => format!("{}/{name}", kind.short()),
            None => {
                let labels = stable(cluster, id);
                let text = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
                if text.is_empty() { format!("pod {}", pod.id.name) } else { text }
            }
        };
        found.entry((pod.id.namespace.clone(), key)).or_default().push(id);
    }
    let (mut groups, mut of) = (Vec::new(), BTreeMap::new());
    for ((namespace, _), pods) in found {
        of.extend(pods.iter().map(|pod| (*pod, groups.len())));
        let name = pods.first().map(|first| {
            let pod = cluster.pod(*first);
            pod.workload.as_ref().map_or(&pod.id.name, |(_, name)| name).to_string()
        });
        let (labels, is_exact) = labels_of(cluster, &namespace, &pods);
        groups.push(Group { namespace, name: name.unwrap_or_default(), pods, labels, is_exact });
    }
    (groups, of)
}

fn stable(cluster: &Cluster, pod: PodId) -> Vec<(Name, Name)> {
    let labels = cluster.pod(pod).labels.iter();
    labels.filter(|(key, _)| !UNSTABLE.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The fewest labels that select these pods and no others of the namespace; all that they share when none do.
fn labels_of(cluster: &Cluster, namespace: &Name, pods: &[PodId]) -> (Vec<(Name, Name)>, bool) {
    let Some(first) = pods.first() else { return (Vec::new(), false) };
    let has = |pod: PodId, (key, value): &(Name, Name)| cluster.pod(pod).labels.get(key) == Some(value);
    let mut shared = stable(cluster, *first);
    shared.retain(|label| pods.iter().all(|pod| has(*pod, label)));
    shared.sort_by_key(|(key, _)| {
        let late = LAST.iter().position(|known| *known == key.as_str()).map_or(0, |at| at + 1);
        (late, PREFERRED.iter().position(|known| *known == key.as_str()).unwrap_or(PREFERRED.len()))
    });
    let others: Vec<PodId> = cluster
        .pods()
        .filter(|(id, pod)| pod.is_live() && !pod.host_network && pod.id.namespace == *namespace && !pods.contains(id))
        .map(|(id, _)| id)
        .collect();
    let exact = |labels: &[&(Name, Name)]| !others.iter().any(|pod| labels.iter().all(|label| has(*pod, label)));
    for one in &shared {
        if exact(&[one]) {
            return (vec![one.clone()], true);
        }
    }
    for (at, one) in shared.iter().enumerate() {
        for two in shared.iter().skip(at + 1) {
            if exact(&[one, two]) {
                return (vec![one.clone(), two.clone()], true);
            }
        }
    }
    let is_exact = exact(&shared.iter().collect::<Vec<_>>());
    (shared, is_exact)
}

/// The selector of one namespace by its name.
pub(crate) fn namespace_selector(name: &Name) -> LabelSelector {
    let mut selector = LabelSelector::everything();
    selector.requirements = vec![Requirement::equals("kubernetes.io/metadata.name", name.clone())];
    selector
}

/// The label of a requirement that a draft made.
pub(crate) fn label(requirement: &Requirement) -> Option<(&Name, &Name)> {
    match &requirement.operator {
        Operator::In(values) => Some((&requirement.key, values.first()?)),
        _ => None,
    }
}
