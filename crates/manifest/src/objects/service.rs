//! Services.

use std::net::IpAddr;

use palisade_engine::model::{LabelSelector, ObjectKind, Requirement, Service, ServicePort, ServiceType, TargetPort};

use super::{
    labels, metadata,
    value::{self, PortValue},
};
use crate::{check::near, context::Context, field::Field, yaml::Value};

/// A Service.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Service> {
    let metadata = metadata::read(cx, root, ObjectKind::Service);
    let at = Some(cx.value_span(root));
    let spec = root.get("spec").filter(|spec| cx.expect_mapping(spec));
    let Some(spec) = spec else {
        let metadata = metadata?;
        return Some(Service {
            id: metadata.id,
            kind: ServiceType::ClusterIp,
            selector: None,
            addresses: Vec::new(),
            ports: Vec::new(),
            external_name: None,
            at,
        });
    };
    let kind = kind(cx, &spec);
    let is_alias = spec.get("type").and_then(|field| field.node.text()) == Some("ExternalName");
    let external_name = if is_alias { cx.text_of(spec.get("externalName")) } else { None };
    let selector = if is_alias { None } else { spec.get("selector").and_then(|field| selector(cx, &field)) };
    let addresses = if is_alias { Vec::new() } else { addresses(cx, &spec) };
    let mut ports = Vec::new();
    if let Some(list) = spec.get("ports")
        && cx.expect_sequence(&list)
    {
        for item in list.items() {
            ports.extend(port(cx, &item));
        }
    }
    let metadata = metadata?;
    Some(Service { id: metadata.id, kind: kind?, selector, addresses, ports, external_name, at })
}

/// `type`, and whether `clusterIP` says that it is headless. An unknown type is a mistake: it would be
/// reached otherwise than was thought.
fn kind(cx: &mut Context<'_>, spec: &Field<'_>) -> Option<ServiceType> {
    const TYPES: [&str; 4] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    let is_headless = spec.get("clusterIP").and_then(|field| field.node.text()) == Some("None");
    let Some(field) = spec.get("type") else {
        return Some(if is_headless { ServiceType::Headless } else { ServiceType::ClusterIp });
    };
    match cx.text(&field)? {
        "NodePort" | "LoadBalancer" => Some(ServiceType::NodePort),
        "ClusterIP" | "ExternalName" if !is_headless => Some(ServiceType::ClusterIp),
        "ClusterIP" | "ExternalName" => Some(ServiceType::Headless),
        text => {
            let meant = near::nearest(text, &TYPES);
            let fix = meant.and_then(|name| cx.write(field.node, name, name.eq_ignore_ascii_case(text)));
            let label = meant.map_or_else(|| "not a type of Service".to_owned(), |name| format!("write `{name}`"));
            let finding = cx.error(&field, format!("type `{text}` is not one of {}", TYPES.join(", ")));
            cx.report(finding.label(label).fix(fix));
            None
        }
    }
}

/// An empty selector is none: somebody else makes the Service's EndpointSlices then.
fn selector(cx: &mut Context<'_>, field: &Field<'_>) -> Option<LabelSelector> {
    let requirements: Vec<Requirement> = labels::entries(cx, field)
        .into_iter()
        .map(|label| Requirement { at: Some(label.at), ..Requirement::equals(label.key, label.value) })
        .collect();
    let at = Some(cx.value_span(field));
    (!requirements.is_empty()).then_some(LabelSelector { requirements, at })
}

/// `clusterIPs`, or `clusterIP`; none of a headless Service.
fn addresses(cx: &mut Context<'_>, spec: &Field<'_>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let listed = spec.get("clusterIPs").filter(|list| cx.expect_sequence(list));
    if let Some(list) = &listed {
        for item in list.items() {
            if item.node.text() != Some("None") {
                addresses.extend(value::address(cx, &item));
            }
        }
    }
    if addresses.is_empty()
        && let Some(field) = spec.get("clusterIP")
        && field.node.text() != Some("None")
    {
        addresses.extend(value::address(cx, &field));
    }
    addresses
}

fn port(cx: &mut Context<'_>, item: &Field<'_>) -> Option<ServicePort> {
    if !cx.expect_mapping(item) {
        return None;
    }
    // A Service's port name may be longer than a container's; nothing here depends on it.
    let name = cx.text_of(item.get("name"));
    let protocol = value::protocol(cx, item.get("protocol"));
    let Some(field) = item.get("port") else {
        let finding = cx.missing(item, "port", "this port has no `port`");
        cx.report(finding.label("which port is it?"));
        return None;
    };
    let port = value::port_number(cx, &field)?;
    let target = match item.get("targetPort") {
        None => TargetPort::Number(port),
        Some(field) => match field.node.value() {
            // The server's way to say "not given".
            Some(Value::Integer(0) | Value::String("")) => TargetPort::Number(port),
            _ => match value::port(cx, &field)? {
                PortValue::Number(number) => TargetPort::Number(number),
                PortValue::Name(name) => TargetPort::Named(name),
            },
        },
    };
    let node_port = match item.get("nodePort").filter(|field| !matches!(field.node.value(), Some(Value::Integer(0)))) {
        Some(field) => Some(value::port_number(cx, &field)?),
        None => None,
    };
    Some(ServicePort { name, protocol: protocol?, port, target, node_port })
}
