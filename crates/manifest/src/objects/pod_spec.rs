//! The `spec` of a pod, also as a workload's template has it.

use palisade_engine::model::{ContainerPort, Name};

use super::value;
use crate::{context::Context, field::Field};

/// What of a pod's `spec` matters.
#[derive(Default)]
pub(crate) struct PodSpec {
    pub(crate) node: Option<Name>,
    pub(crate) host_network: bool,
    pub(crate) ports: Vec<ContainerPort>,
}

/// Reads `spec`.
pub(crate) fn read(cx: &mut Context<'_>, spec: Option<Field<'_>>) -> PodSpec {
    let Some(spec) = spec else { return PodSpec::default() };
    if !cx.expect_mapping(&spec) {
        return PodSpec::default();
    }
    let node = cx.text_of(spec.get("nodeName"));
    let host_network = spec.get("hostNetwork").and_then(|field| cx.boolean(&field)).unwrap_or_default();
    let mut ports = Vec::new();
    if let Some(containers) = spec.get("containers")
        && cx.expect_sequence(&containers)
    {
        for container in containers.items() {
            container_ports(cx, &container, &mut ports);
        }
    }
    // Of the init containers only those that keep running (sidecars) have ports that count.
    if let Some(containers) = spec.get("initContainers")
        && cx.expect_sequence(&containers)
    {
        for container in containers.items() {
            let restarts = container.get("restartPolicy").and_then(|field| field.node.text());
            if restarts == Some("Always") {
                container_ports(cx, &container, &mut ports);
            }
        }
    }
    PodSpec { node, host_network, ports }
}

fn container_ports(cx: &mut Context<'_>, container: &Field<'_>, ports: &mut Vec<ContainerPort>) {
    let Some(list) = container.get("ports") else { return };
    if !cx.expect_sequence(&list) {
        return;
    }
    for item in list.items() {
        if !cx.expect_mapping(&item) {
            continue;
        }
        let name = value::port_name(cx, item.get("name"));
        let protocol = value::protocol(cx, item.get("protocol"));
        let port = match item.get("containerPort") {
            Some(field) => value::port_number(cx, &field),
            None => {
                let finding = cx.missing(&item, "containerPort", "this port has no `containerPort`");
                cx.report(finding.label("which port is it?"));
                None
            }
        };
        if let (Some(protocol), Some(port)) = (protocol, port) {
            ports.push(ContainerPort { name, port, protocol });
        }
    }
}
