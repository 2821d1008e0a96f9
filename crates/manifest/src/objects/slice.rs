//! EndpointSlices.

use palisade_engine::model::{EndpointSlice, ObjectKind, SliceEndpoint, SlicePort};

use super::{metadata, value};
use crate::{context::Context, field::Field};

/// The label that names a slice's Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An EndpointSlice.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>) -> Option<EndpointSlice> {
    let metadata = metadata::read(cx, root, ObjectKind::EndpointSlice);
    // Host names instead of addresses: nothing to find an endpoint by.
    let names = root.get("addressType").and_then(|field| field.node.text()) == Some("FQDN");
    let mut endpoints = Vec::new();
    if let Some(list) = root.get("endpoints")
        && cx.expect_sequence(&list)
    {
        for item in list.items() {
            let conditions = item.get("conditions");
            let ready = conditions.as_ref().and_then(|conditions| conditions.get("ready"));
            let ready = ready.and_then(|field| cx.boolean(&field)).unwrap_or(true);
            let mut addresses = Vec::new();
            if let Some(list) = item.get("addresses").filter(|list| !names && cx.expect_sequence(list)) {
                for address in list.items() {
                    addresses.extend(value::address(cx, &address));
                }
            }
            endpoints.push(SliceEndpoint { addresses, ready });
        }
    }
    let mut ports = Vec::new();
    if let Some(list) = root.get("ports")
        && cx.expect_sequence(&list)
    {
        for item in list.items() {
            let name = cx.text_of(item.get("name"));
            let protocol = value::protocol(cx, item.get("protocol"));
            let port = item.get("port").and_then(|field| value::port_number(cx, &field));
            if let Some(protocol) = protocol {
                ports.push(SlicePort { name, protocol, port });
            }
        }
    }
    let metadata = metadata?;
    let service = metadata.labels.get(SERVICE_NAME).cloned();
    Some(EndpointSlice { id: metadata.id, service, endpoints, ports, at: Some(cx.value_span(root)) })
}
