//! Pods.

use palisade_engine::model::{ObjectKind, Phase, Pod, PodAddresses};

use super::{metadata, pod_spec, value};
use crate::{check::near, context::Context, field::Field};

/// A Pod.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Pod> {
    let metadata = metadata::read(cx, root, ObjectKind::Pod);
    let spec = pod_spec::read(cx, root.get("spec"));
    let mut phase = Phase::NotGiven;
    let mut addresses = PodAddresses::default();
    let mut host_addresses = PodAddresses::default();
    if let Some(status) = root.get("status")
        && cx.expect_mapping(&status)
    {
        phase = status.get("phase").map_or(Phase::NotGiven, |field| phase_of(cx, &field));
        addresses = value::addresses(cx, &status, "podIPs", "podIP");
        host_addresses = value::addresses(cx, &status, "hostIPs", "hostIP");
    }
    let metadata = metadata?;
    Some(Pod {
        id: metadata.id,
        labels: metadata.labels,
        node: spec.node,
        addresses,
        host_addresses,
        host_network: spec.host_network,
        phase,
        ports: spec.ports,
        owner: metadata.owner,
        workload: None,
        stand_in: false,
        at: Some(cx.value_span(root)),
    })
}

fn phase_of(cx: &mut Context<'_>, field: &Field<'_>) -> Phase {
    const PHASES: [&str; 5] = ["Pending", "Running", "Unknown", "Succeeded", "Failed"];
    match cx.text(field) {
        Some("") | None => Phase::NotGiven,
        Some("Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Unknown") => Phase::Unknown,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some(other) => {
            let mut finding = cx.error(field, format!("phase `{other}` is not one of {}", PHASES.join(", ")));
            if let Some(meant) = near::nearest(other, &PHASES) {
                finding = finding.label(format!("write `{meant}`"));
            }
            cx.report(finding);
            Phase::NotGiven
        }
    }
}
