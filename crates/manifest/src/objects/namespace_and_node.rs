//! Namespaces and Nodes.

use ipnet::IpNet;
use palisade_engine::model::{Namespace, Node, ObjectKind};

use super::{metadata, mode, value};
use crate::{check::cidr, context::Context, field::Field};

/// A Namespace: its labels, and whether its policies are audited.
pub(crate) fn namespace(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Namespace> {
    let metadata = metadata::read(cx, root, ObjectKind::Namespace)?;
    let mode = mode::read(cx, root);
    Some(Namespace { name: metadata.id.name, labels: metadata.labels, mode, at: Some(cx.value_span(root)) })
}

/// A Node: its labels, the IP addresses among `status.addresses`, and `spec.podCIDRs`.
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
    let pod_prefixes = root.get("spec").map(|spec| pod_prefixes(cx, &spec)).unwrap_or_default();
    Some(Node {
        name: metadata.id.name,
        labels: metadata.labels,
        addresses,
        pod_prefixes,
        at: Some(cx.value_span(root)),
    })
}

/// `podCIDRs`, or `podCIDR` where there are none. No policy sees them: one that cannot be read is
/// reported, and the node stays.
fn pod_prefixes(cx: &mut Context<'_>, spec: &Field<'_>) -> Vec<IpNet> {
    let list = spec.get("podCIDRs").filter(|list| cx.harmless(|cx| cx.expect_sequence(list)));
    let mut fields: Vec<Field<'_>> = list.iter().flat_map(Field::items).collect();
    if fields.is_empty() {
        fields.extend(spec.get("podCIDR"));
    }
    let mut prefixes = Vec::new();
    for field in &fields {
        let Some(text) = cx.harmless(|cx| cx.text(field)).filter(|text| !text.is_empty()) else { continue };
        match cidr::parse(text).or_else(|error| error.once.ok_or(error)) {
            Ok(prefix) if prefixes.contains(&prefix) => {}
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => {
                let finding = cx.error(field, format!("`{text}` {}", error.wrong));
                cx.report_harmless(finding.label(error.fix.unwrap_or_else(|| "not a network".to_owned())));
            }
        }
    }
    prefixes
}
