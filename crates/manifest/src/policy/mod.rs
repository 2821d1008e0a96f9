//! `networking.k8s.io/v1 NetworkPolicy`, with the API server's validation.
//!
//! Where the server only says that a field is unknown or invalid, a reader of a file can be told
//! what to write instead. A field that the server does not know changes what the policy means when
//! it is dropped, so it is an error everywhere in a policy; in other kinds it is not our business.

use palisade_engine::model::{Direction, LabelSelector, NetworkPolicy, ObjectKind, PolicyTypes};

use crate::{
    check::near,
    context::Context,
    field::Field,
    objects::{metadata, mode},
    yaml::View,
};

pub(crate) mod cluster;
mod ip_block;
mod metadata_fields;
mod ports;
mod rules;
mod selector;
mod unknown;

/// Reads and validates a policy.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>) -> Option<NetworkPolicy> {
    unknown::report(cx, root, &["apiVersion", "kind", "metadata", "spec", "status"]);
    status(cx, root);
    let metadata = metadata::read(cx, root, ObjectKind::NetworkPolicy);
    let annotations = cx.harmless(|cx| metadata_fields::check(cx, root));
    let mode = mode::read(cx, root);

    let spec = root.get("spec").filter(|spec| cx.expect_mapping(spec));
    let (mut subject, mut policy_types) = (LabelSelector::everything(), None);
    let (mut ingress, mut egress) = (Vec::new(), Vec::new());
    if let Some(spec) = &spec {
        unknown::report(cx, spec, &["podSelector", "policyTypes", "ingress", "egress"]);
        if let Some(field) = spec.get("podSelector") {
            subject = selector::read(cx, &field);
        }
        policy_types = spec.get("policyTypes").and_then(|field| types(cx, &field));
        ingress = rules::read(cx, spec, Direction::Ingress);
        egress = rules::read(cx, spec, Direction::Egress);
    }
    let at = Some(cx.value_span(root));
    Some(NetworkPolicy { id: metadata?.id, annotations, mode, subject, policy_types, ingress, egress, at })
}

/// `spec.policyTypes`: `None` when it is null or empty.
fn types(cx: &mut Context<'_>, field: &Field<'_>) -> Option<PolicyTypes> {
    const TYPES: [&str; 2] = ["Ingress", "Egress"];
    if !cx.expect_sequence(field) {
        return None;
    }
    let count = field.items().count();
    if count > TYPES.len() {
        let finding = cx.error(field, format!("{count} policy types, and there are only Ingress and Egress"));
        cx.report(finding.label("list each once"));
    }
    let mut types = PolicyTypes::default();
    for item in field.items() {
        match cx.text(&item) {
            Some("Ingress") => types.ingress = true,
            Some("Egress") => types.egress = true,
            Some(other) => {
                let meant = near::nearest(other, &TYPES);
                let fix = meant.and_then(|meant| cx.write(item.node, meant, meant.eq_ignore_ascii_case(other)));
                let label = meant.map(|meant| format!("write `{meant}`"));
                let finding = cx.error(&item, format!("policy type `{other}` is not one of {}", TYPES.join(", ")));
                cx.report(finding.label(label.unwrap_or_else(|| "not a policy type".to_owned())).fix(fix));
            }
            None => {}
        }
    }
    (count > 0).then_some(types)
}

/// Servers from 1.24 to 1.27 printed `status: {}`: it is let through where a server has stored the policy (it has a
/// uid), since nobody wrote it.
fn status(cx: &mut Context<'_>, root: &Field<'_>) {
    let Some((_, status)) = root.entries().find(|(key, _)| key.text() == Some("status")) else { return };
    let is_empty = matches!(status.node.view(), View::Mapping(entries) if entries.count() == 0);
    if is_empty && root.get("metadata").is_some_and(|metadata| metadata.get("uid").is_some()) {
        return;
    }
    let finding = cx.error(&status, "unknown field `status`: a NetworkPolicy has none");
    let key = status.key().map_or(status.place(), |key| (key.start(), key.end()));
    cx.report_harmless(finding.at(cx.span(key), "leave it out").help("it was removed in Kubernetes 1.28"));
}
