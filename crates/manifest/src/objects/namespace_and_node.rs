//! Namespaces and Nodes.

use palisade_engine::model::{Namespace, Node, ObjectKind};

use super::{metadata, value};
use crate::{context::Context, field::Field};

/// A Namespace: its labels.
pub(crate) fn namespace(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Namespace> {
    let metadata = metadata::read(cx, root, ObjectKind::Namespace)?;
    Some(Namespace { name: metadata.id.name, labels: metadata.labels, at: Some(cx.value_span(root)) })
}

/// A Node: its labels and the IP addresses among `status.addresses`.
pub(crate) fn node(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Node> {
    let metadata = metadata::read(cx, root, ObjectKind::Node)?;
    let mut addresses = Vec::new();
    let status = root.get("status");
    if let Some(list) = status.as_ref().and_then(|status| status.get("addresses"))
        && cx.expect_sequence(&list)
    {
        for item in list.items() {
            // The other types are names.
            let of_ip = item.get("type").and_then(|field| field.node.text()).is_some_and(|text| text.ends_with("IP"));
            if let (true, Some(field)) = (of_ip, item.get("address"))
                && let Some(address) = value::address(cx, &field)
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
    }
    Some(Node { name: metadata.id.name, labels: metadata.labels, addresses, at: Some(cx.value_span(root)) })
}
