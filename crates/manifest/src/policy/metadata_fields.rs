//! The rest of a policy's `metadata`, which decides nothing, but which the API server validates.

use palisade_engine::model::Labels;

use crate::{check::names, context::Context, field::Field, objects::labels, yaml::View};

/// The fields of `metadata` (`ObjectMeta`).
const FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// The fields of an item of `ownerReferences` (`OwnerReference`).
const OWNER_FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 262_144;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Checks what [`crate::objects::metadata`] does not read, and returns the annotations.
pub(super) fn check(cx: &mut Context<'_>, root: &Field<'_>) -> Labels {
    let mut found = Labels::default();
    let Some(metadata) = root.get("metadata") else { return found };
    super::unknown::report(cx, &metadata, &FIELDS);
    for name in ["uid", "resourceVersion", "selfLink", "creationTimestamp", "deletionTimestamp"] {
        if let Some(field) = metadata.get(name)
            && (!is_scalar(&field) || name.ends_with('d') || name.ends_with('k'))
        {
            cx.text(&field);
        }
    }
    if let Some(field) = metadata.get("annotations") {
        found = annotations(cx, &field);
    }
    if let Some(field) = metadata.get("finalizers")
        && cx.expect_sequence(&field)
    {
        for item in field.items() {
            finalizer(cx, &item);
        }
    }
    if let Some(field) = metadata.get("ownerReferences")
        && cx.expect_sequence(&field)
    {
        for item in field.items() {
            owner(cx, &field, &item);
        }
    }
    found
}

fn is_scalar(field: &Field<'_>) -> bool {
    matches!(field.node.view(), View::Scalar(_))
}

fn annotations(cx: &mut Context<'_>, field: &Field<'_>) -> Labels {
    let mut found = Labels::default();
    if !cx.expect_mapping(field) {
        return found;
    }
    let mut size = 0;
    for (key, value) in field.entries() {
        let key_text = labels::key_as_written(cx, field, key);
        // The server is lenient about the case of an annotation's key.
        if let Some(wrong) = key_text.and_then(|text| names::label_key(&text.to_lowercase())) {
            let text = key_text.unwrap_or_default();
            let finding = cx.error(field, format!("the annotation key `{text}` {wrong}"));
            cx.report(finding.at(cx.span((key.start(), key.end())), "not an annotation key"));
        }
        let text = cx.named(field, |cx| cx.text(&value));
        size += key_text.unwrap_or_default().len() + text.unwrap_or_default().len();
        if let (Some(key), Some(text)) = (key_text, text) {
            found.set(key, text);
        }
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("the annotations have {size} bytes together, more than {ANNOTATIONS_LIMIT}");
        let finding = cx.error(field, message);
        let key = field.key().map_or(field.place(), |key| (key.start(), key.end()));
        cx.report(finding.at(cx.span(key), "too large"));
    }
    found
}

fn finalizer(cx: &mut Context<'_>, item: &Field<'_>) {
    let Some(text) = cx.text(item) else { return };
    let message = match names::label_key(text) {
        Some(wrong) => format!("the finalizer `{text}` {wrong}"),
        None if text.contains('/') || STANDARD_FINALIZERS.contains(&text) => return,
        None => format!("the finalizer `{text}` has no domain, as in `example.com/{text}`"),
    };
    let finding = cx.error(item, message);
    cx.report(finding.label("not a finalizer"));
}

/// The server names the list, not the item: `metadata.ownerReferences.uid`.
fn owner(cx: &mut Context<'_>, list: &Field<'_>, item: &Field<'_>) {
    if !cx.expect_mapping(item) {
        return;
    }
    super::unknown::report(cx, item, &OWNER_FIELDS);
    let texts = ["apiVersion", "kind", "name", "uid"].map(|name| {
        let text = match item.get(name) {
            Some(field) => cx.text(&field),
            None => Some(""),
        };
        if text == Some("") {
            let mut finding = cx.error(item, format!("this owner has no `{name}`"));
            finding.field = Some(format!("{list}.{name}"));
            cx.report(finding.label(format!("`{name}` is missing")));
        }
        text
    });
    if let [Some("v1"), Some("Event"), ..] = texts {
        let mut finding = cx.error(item, "an Event cannot own anything");
        finding.field = Some(list.to_string());
        cx.report(finding.label("not an owner"));
    }
    if let Some(field) = item.get("blockOwnerDeletion") {
        cx.boolean(&field);
    }
}
