//! `metadata`: who an object is.

use palisade_engine::model::{ClusterPolicyKind, Labels, Name, ObjectKind, ObjectRef, OwnerRef};

use super::{kind, labels};
use crate::{check::names, context::Context, field::Field, yaml::Node};

/// What of `metadata` matters.
pub(crate) struct Metadata {
    pub(crate) id: ObjectRef,
    pub(crate) labels: Labels,
    pub(crate) owner: Option<OwnerRef>,
}

/// How messages call an object: `Pod prod/web`. Said before anything of it is checked.
pub(crate) fn title(root: Node<'_>, kind: &str, default_namespace: &str) -> String {
    let metadata = root.get("metadata");
    let text =
        |name| metadata.and_then(|metadata| metadata.get(name)).and_then(Node::text).filter(|text| !text.is_empty());
    let name = text("name").map(str::to_owned).or_else(|| text("generateName").map(|prefix| format!("{prefix}*")));
    let cluster_wide = matches!(kind, "Namespace" | "Node") || kind::is_list(kind) || is_cluster_policy(kind);
    match (name, cluster_wide) {
        (Some(name), true) => format!("{kind} {name}"),
        (Some(name), false) => format!("{kind} {}/{name}", text("namespace").unwrap_or(default_namespace)),
        (None, _) => kind.to_owned(),
    }
}

fn is_cluster_policy(kind: &str) -> bool {
    ClusterPolicyKind::ALL.iter().any(|known| known.kind() == kind)
}

/// Reads and checks `metadata` of an object.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>, kind: ObjectKind) -> Option<Metadata> {
    let metadata = root.get("metadata");
    if let Some(metadata) = &metadata
        && !cx.expect_mapping(metadata)
    {
        return None;
    }
    let name = name(cx, root, metadata.as_ref(), kind);
    let namespace = namespace(cx, metadata.as_ref(), kind);
    let metadata = metadata?;
    let labels = labels::read(cx, metadata.get("labels"));
    let owner = owner(cx, &metadata);
    Some(Metadata { id: ObjectRef { namespace: namespace?, name: name? }, labels, owner })
}

fn name(cx: &mut Context<'_>, root: &Field<'_>, metadata: Option<&Field<'_>>, kind: ObjectKind) -> Option<Name> {
    let given = metadata.and_then(|metadata| metadata.get("name"));
    let text = match &given {
        Some(field) => cx.text(field)?,
        None => "",
    };
    if let (Some(field), false) = (&given, text.is_empty()) {
        let wrong = if kind == ObjectKind::Namespace { names::dns_label(text) } else { names::subdomain(text) };
        if let Some(wrong) = wrong {
            let mut finding = cx.error(field, format!("the name `{text}` {wrong}"));
            let lower = text.to_lowercase();
            if lower != text && names::subdomain(&lower).is_none() {
                finding = finding.label(format!("write `{lower}`"));
            }
            cx.report_harmless(labels::template(text, finding));
        }
        // It decides nothing beside a name, but the server looks at it.
        cx.harmless(|cx| beginning(cx, metadata));
        return Some(cx.name(text));
    }
    let text = beginning(cx, metadata)?;
    if !text.is_empty() {
        // The server would choose the rest. Parentheses cannot be in a real name, so this one meets no other.
        *cx.generated += 1;
        return Some(cx.name(&format!("{text}(generated {})", cx.generated)));
    }
    let finding = match metadata {
        Some(metadata) => cx.missing(metadata, "name", format!("this {} has no name", kind::name(kind))),
        None => cx.missing(root, "metadata.name", format!("this {} has no name", kind::name(kind))),
    };
    cx.report(finding.label("`metadata.name` is missing"));
    None
}

/// What the name begins with that the server would make; empty where there is none.
fn beginning(cx: &mut Context<'_>, metadata: Option<&Field<'_>>) -> Option<String> {
    let Some(field) = metadata.and_then(|metadata| metadata.get("generateName")) else { return Some(String::new()) };
    let text = cx.text(&field)?;
    // Letters and digits come behind it, so it may end with a hyphen.
    if let (Some(wrong), false) = (names::subdomain(&format!("{text}x")), text.is_empty()) {
        let finding = cx.error(&field, format!("a name that begins with `{text}` {wrong}"));
        cx.report_harmless(labels::template(text, finding));
    }
    Some(text.to_owned())
}

fn namespace(cx: &mut Context<'_>, metadata: Option<&Field<'_>>, kind: ObjectKind) -> Option<Name> {
    let field = metadata.and_then(|metadata| metadata.get("namespace"));
    if matches!(kind, ObjectKind::Namespace | ObjectKind::Node | ObjectKind::ClusterPolicy(_)) {
        // The server takes any text there, and does not look at it.
        cx.harmless(|cx| field.and_then(|field| cx.text(&field)));
        return Some(cx.default_namespace.clone());
    }
    let Some(field) = field else { return Some(cx.default_namespace.clone()) };
    let text = cx.text(&field)?;
    if text.is_empty() {
        return Some(cx.default_namespace.clone());
    }
    if let Some(wrong) = names::dns_label(text) {
        let finding = cx.error(&field, format!("the namespace `{text}` {wrong}"));
        cx.report_harmless(labels::template(text, finding));
    }
    Some(cx.name(text))
}

fn owner(cx: &mut Context<'_>, metadata: &Field<'_>) -> Option<OwnerRef> {
    let references = metadata.get("ownerReferences")?;
    if !cx.expect_sequence(&references) {
        return None;
    }
    for reference in references.items() {
        let Some(controller) = reference.get("controller") else { continue };
        if cx.boolean(&controller) == Some(true) {
            let kind = cx.text_of(reference.get("kind"))?;
            let name = cx.text_of(reference.get("name"))?;
            return Some(OwnerRef { kind, name });
        }
    }
    None
}
