//! `spec.subject`, and `namespaces` and `pods`, which peers have too.

use palisade_engine::model::{ClusterSubject, LabelSelector};

use super::{Fields, only, required};
use crate::{
    context::Context,
    diagnostic::code,
    field::Field,
    policy::{selector, unknown},
};

/// Whose traffic the policy judges; what cannot be read selects nobody.
pub(super) fn read(cx: &mut Context<'_>, spec: &Field<'_>, fields: Fields) -> ClusterSubject {
    let found = cx.part(|cx| {
        let subject = required(cx, spec, "subject", "`namespaces` or `pods`")?;
        if !cx.expect_mapping(&subject) {
            return None;
        }
        let field = subject.get(only(cx, &subject, &["namespaces", "pods"])?)?;
        Some(match field.name() {
            Some("namespaces") => ClusterSubject::Namespaces(selected(cx, &field)),
            _ => {
                let (namespaces, pods) = pods(cx, &field, fields)?;
                ClusterSubject::Pods { namespaces, pods }
            }
        })
    });
    found.unwrap_or(ClusterSubject::NotUnderstood)
}

/// A selector, which the CRD does not look at.
pub(super) fn selected(cx: &mut Context<'_>, field: &Field<'_>) -> LabelSelector {
    cx.beyond(code::CNP_SELECTOR, |cx| selector::read(cx, field))
}

/// `pods`: namespaces, and pods in them.
pub(super) fn pods(cx: &mut Context<'_>, field: &Field<'_>, fields: Fields) -> Option<(LabelSelector, LabelSelector)> {
    if !cx.expect_mapping(field) {
        return None;
    }
    unknown::report(cx, field, &["namespaceSelector", "podSelector"]);
    let namespaces = match field.get("namespaceSelector") {
        Some(selector) => selected(cx, &selector),
        None => {
            if fields.needs_namespaces {
                left_out(cx, field, "namespaceSelector", "`{}` is every namespace");
            }
            LabelSelector::everything()
        }
    };
    let pods = match field.get("podSelector") {
        Some(selector) => selected(cx, &selector),
        None => {
            left_out(cx, field, "podSelector", "`{}` is every pod");
            LabelSelector::everything()
        }
    };
    Some((namespaces, pods))
}

/// The server refuses a selector that is not there; what is meant is beyond doubt, for the types of the API
/// have an empty one in its place.
fn left_out(cx: &mut Context<'_>, field: &Field<'_>, name: &str, what: &str) {
    let finding = cx.missing(field, name, format!("`{name}` is missing"));
    cx.report_harmless(finding.label(format!("write `{name}: {{}}`: {what}")));
}
