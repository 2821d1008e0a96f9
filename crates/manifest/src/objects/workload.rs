//! Deployments and the other kinds that create pods.

use palisade_engine::model::{ObjectKind, PodTemplate, Workload, WorkloadKind};

use super::{labels, metadata, pod_spec};
use crate::{context::Context, field::Field};

/// A workload of any kind.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>, kind: WorkloadKind) -> Option<Workload> {
    let metadata = metadata::read(cx, root, ObjectKind::Workload(kind));
    let spec = root.get("spec");
    if let Some(spec) = &spec
        && !cx.expect_mapping(spec)
    {
        return None;
    }
    let replicas = replicas(cx, root, spec.as_ref(), kind);
    let template = match (&spec, kind) {
        (None, _) => None,
        (Some(spec), WorkloadKind::CronJob) => {
            let job = spec.get("jobTemplate");
            let job_spec = job.as_ref().and_then(|job| job.get("spec"));
            job_spec.as_ref().and_then(|spec| spec.get("template")).map(|field| template(cx, &field))
        }
        (Some(spec), _) => spec.get("template").map(|field| template(cx, &field)),
    };
    let Some(template) = template else {
        let path = if kind == WorkloadKind::CronJob { "spec.jobTemplate.spec.template" } else { "spec.template" };
        let finding = cx.missing(root, path, format!("this {} has no pod template", kind.kind()));
        cx.report(finding.label(format!("`{path}` is missing")));
        return None;
    };
    let metadata = metadata?;
    let at = Some(cx.value_span(root));
    Some(Workload { kind, id: metadata.id, replicas: replicas?, template, owner: metadata.owner, at })
}

fn template(cx: &mut Context<'_>, field: &Field<'_>) -> PodTemplate {
    if !cx.expect_mapping(field) {
        return PodTemplate::default();
    }
    let metadata = field.get("metadata");
    let labels = labels::read(cx, metadata.as_ref().and_then(|metadata| metadata.get("labels")));
    let spec = pod_spec::read(cx, field.get("spec"));
    PodTemplate { labels, host_network: spec.host_network, node: spec.node, ports: spec.ports }
}

/// How many pods it keeps; 1 where that is not said, 0 for a Job that has ended.
fn replicas(cx: &mut Context<'_>, root: &Field<'_>, spec: Option<&Field<'_>>, kind: WorkloadKind) -> Option<u32> {
    let name = match kind {
        WorkloadKind::Job if is_over(root) => return Some(0),
        WorkloadKind::Job => "parallelism",
        WorkloadKind::DaemonSet | WorkloadKind::CronJob => return Some(1),
        WorkloadKind::Deployment
        | WorkloadKind::StatefulSet
        | WorkloadKind::ReplicaSet
        | WorkloadKind::ReplicationController => "replicas",
    };
    let Some(field) = spec.and_then(|spec| spec.get(name)) else { return Some(1) };
    let number = cx.integer(&field)?;
    let count = u32::try_from(number).ok();
    if count.is_none() {
        let finding = cx.error(&field, format!("{name} {number} is below 0"));
        cx.report(finding);
    }
    count
}

/// Whether a Job has ended: a condition says so, or `status.completionTime` is there.
fn is_over(root: &Field<'_>) -> bool {
    let Some(status) = root.get("status") else { return false };
    if status.get("completionTime").is_some() {
        return true;
    }
    let Some(conditions) = status.get("conditions") else { return false };
    conditions.items().any(|condition| {
        let text = |name| condition.node.get(name).and_then(|node| node.text());
        matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
    })
}
