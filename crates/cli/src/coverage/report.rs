//! What each workload is isolated by, counted.

use std::collections::HashMap;

use palisade_engine::{
    PolicyProgram,
    compile::{IdentityId, Tier},
    connections::{By, Groups, UnitKind},
    model::{Cluster, Direction, PodId, PolicyRef},
    strangers::{Whom, families},
};
use serde::{Deserialize, Serialize};

/// Every workload, and what share of their directions is isolated.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Of each workload's two directions, those that are isolated, in percent; one decimal.
    pub(crate) percent: f64,
    pub(crate) namespaces: Vec<NamespaceReport>,
}

/// One namespace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceReport {
    pub(crate) namespace: String,
    pub(crate) percent: f64,
    pub(crate) workloads: Vec<WorkloadReport>,
}

/// One workload, or a pod that has none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkloadReport {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) pods: usize,
    pub(crate) ingress: DirectionReport,
    pub(crate) egress: DirectionReport,
}

/// One direction of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectionReport {
    pub(crate) state: State,
    /// How many of the pods are isolated.
    pub(crate) isolated: usize,
    /// The policies that isolate any of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) policies: Vec<String>,
}

/// How far a workload is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// All of its pods.
    Isolated,
    /// Some of its pods.
    Partly,
    /// None.
    Open,
    /// Its pods are their nodes: no policy selects them.
    HostNetwork,
}

impl Report {
    /// The report of a cluster.
    pub(crate) fn new(cluster: &Cluster, program: &PolicyProgram) -> Self {
        let groups = Groups::new(cluster, program, By::Workload);
        let mut namespaces: Vec<NamespaceReport> = Vec::new();
        let mut add = |namespace: &str, workload: WorkloadReport| match namespaces
            .iter_mut()
            .find(|report| report.namespace == namespace)
        {
            Some(report) => report.workloads.push(workload),
            None => namespaces.push(NamespaceReport {
                namespace: namespace.to_owned(),
                percent: 0.0,
                workloads: vec![workload],
            }),
        };
        for unit in groups.units() {
            let (kind, name) = match &unit.kind {
                UnitKind::Workload(kind, name) => (kind.short(), name.to_string()),
                UnitKind::Pod(name) => ("pod", name.to_string()),
                UnitKind::Namespace => continue,
            };
            let direction = |direction| of_pods(cluster, program, &unit.pods, direction);
            let workload = WorkloadReport {
                kind: kind.to_owned(),
                name,
                pods: unit.pods.len(),
                ingress: direction(Direction::Ingress),
                egress: direction(Direction::Egress),
            };
            add(&unit.namespace, workload);
        }
        for workload in on_the_host(cluster) {
            add(&workload.0, workload.1);
        }
        namespaces.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        for namespace in &mut namespaces {
            namespace.percent = percent(namespace.workloads.iter());
        }
        Self { percent: percent(namespaces.iter().flat_map(|namespace| &namespace.workloads)), namespaces }
    }

    /// Every workload with its namespace.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = (&str, &WorkloadReport)> {
        self.namespaces.iter().flat_map(|ns| ns.workloads.iter().map(|workload| (ns.namespace.as_str(), workload)))
    }
}

impl WorkloadReport {
    /// Both directions, ingress first.
    pub(crate) fn directions(&self) -> [(Direction, &DirectionReport); 2] {
        [(Direction::Ingress, &self.ingress), (Direction::Egress, &self.egress)]
    }
}

fn of_pods(cluster: &Cluster, program: &PolicyProgram, pods: &[PodId], direction: Direction) -> DirectionReport {
    let mut policies: Vec<PolicyRef> = Vec::new();
    let mut known: HashMap<IdentityId, Vec<PolicyRef>> = HashMap::new();
    let mut isolated = 0;
    for pod in pods {
        let Some(identity) = program.identity_of(*pod) else { continue };
        let closing = known.entry(identity).or_insert_with(|| closing(cluster, program, identity, direction));
        isolated += usize::from(!closing.is_empty());
        policies.extend_from_slice(closing);
    }
    policies.sort_unstable();
    policies.dedup();
    let state = match isolated {
        0 => State::Open,
        all if all == pods.len() => State::Isolated,
        _ => State::Partly,
    };
    let name = |policy| match policy {
        PolicyRef::Network(id) => cluster.policy(id).id.name.to_string(),
        PolicyRef::Cluster(_) => cluster.policy_name(policy),
    };
    DirectionReport { state, isolated, policies: policies.into_iter().map(name).collect() }
}

/// The policies by which nothing is allowed that no rule accepts: the NetworkPolicies that isolate, and the
/// cluster-wide ones that leave nothing to the default. Their rules for ingress can only be about pods; for egress
/// they must be about addresses, too.
fn closing(cluster: &Cluster, program: &PolicyProgram, identity: IdentityId, direction: Direction) -> Vec<PolicyRef> {
    let id = program.profile_of(identity, direction);
    let profile = program.profile(id);
    let mut policies: Vec<PolicyRef> = profile.isolating().map(PolicyRef::Network).collect();
    if !profile.tiers.iter().any(|tier| tier.tier != Tier::NetworkPolicy) {
        return policies;
    }
    let of = program.identity(identity);
    let families = families(cluster, of);
    let destination = (direction == Direction::Ingress).then_some(identity);
    let is_isolated = !policies.is_empty();
    let stance = |whom: Whom| {
        let rules = program.concerning(id, &families, whom).without(Tier::NetworkPolicy);
        // What isolates leaves nothing to the tier behind it.
        let rules = if is_isolated { rules.without(Tier::Baseline) } else { rules };
        program.stance(&rules, destination)
    };
    let mut stances = vec![stance(Whom::Pod)];
    if direction == Direction::Egress {
        stances.push(stance(Whom::Outside));
    }
    if stances.iter().all(|stance| stance.by_default.is_empty()) {
        policies.extend(stances.into_iter().flat_map(|stance| stance.denied_by));
    }
    policies
}

/// The workloads whose pods are their nodes.
fn on_the_host(cluster: &Cluster) -> Vec<(String, WorkloadReport)> {
    let mut found: Vec<(String, WorkloadReport)> = Vec::new();
    for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_live() && pod.host_network) {
        let (kind, name) = match &pod.workload {
            Some((kind, name)) => (kind.short(), name.to_string()),
            None => ("pod", pod.id.name.to_string()),
        };
        let namespace = pod.id.namespace.to_string();
        let same = |other: &&mut (String, WorkloadReport)| {
            other.0 == namespace && other.1.kind == kind && other.1.name == name
        };
        if let Some((_, workload)) = found.iter_mut().find(same) {
            workload.pods += 1;
            continue;
        }
        let direction = || DirectionReport { state: State::HostNetwork, isolated: 0, policies: Vec::new() };
        let workload =
            WorkloadReport { kind: kind.to_owned(), name, pods: 1, ingress: direction(), egress: direction() };
        found.push((namespace, workload));
    }
    found
}

/// Host-network pods are left out: no NetworkPolicy could cover them.
fn percent<'a>(workloads: impl Iterator<Item = &'a WorkloadReport>) -> f64 {
    let (mut isolated, mut all) = (0.0, 0.0);
    for workload in workloads {
        let judged = workload.directions().into_iter().filter(|(_, report)| report.state != State::HostNetwork);
        for (_, report) in judged {
            all += 1.0;
            isolated += report.isolated as f64 / workload.pods.max(1) as f64;
        }
    }
    if all == 0.0 { 100.0 } else { (isolated / all * 1_000.0).round() / 10.0 }
}
