//! Fields that the API does not have.

use crate::{check::near, context::Context, field::Field};

/// Reports every key of `field` that is not one of `known`; true when there is one.
pub(super) fn report(cx: &mut Context<'_>, field: &Field<'_>, known: &[&str]) -> bool {
    let mut found = false;
    // Two keys of one meaning, or one beside the field it means, are not for a program to choose between.
    let meanings = |wanted: &str| {
        let keys = field.entries().filter_map(|(key, _)| key.text());
        keys.filter(|name| *name == wanted || meant(name, known) == Some(wanted)).count()
    };
    for (key, value) in field.entries() {
        let Some(name) = key.text().filter(|name| !known.contains(name)) else { continue };
        found = true;
        let label = match (remedy(name, known), near::nearest(name, known)) {
            (Some(remedy), _) => remedy.to_owned(),
            (None, Some(meant)) => format!("did you mean `{meant}`?"),
            (None, None) => "not a field of this object".to_owned(),
        };
        let mut finding = cx.error(&value, format!("unknown field `{name}`"));
        finding = finding.at(cx.span((key.start(), key.end())), label);
        finding.fix =
            meant(name, known).filter(|field| meanings(field) == 1).and_then(|field| cx.write(key, field, true));
        if !known.is_empty() {
            finding = finding.help(format!("the fields here are {}", list(known)));
        }
        cx.report(finding);
    }
    found
}

/// The field that was meant beyond doubt.
fn meant<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    match remedy(name, known) {
        None => near::only(name, known),
        Some(remedy) => {
            let field = remedy.strip_prefix("did you mean `")?.strip_suffix("`?")?;
            known.iter().find(|known| **known == field).copied()
        }
    }
}

/// What people mean who write a field that is not there.
fn remedy(name: &str, known: &[&str]) -> Option<&'static str> {
    let here = |field| known.contains(&field);
    match name {
        "from" if here("to") => Some("an egress rule has `to`"),
        "to" if here("from") => Some("an ingress rule has `from`"),
        "podSelector" | "namespaceSelector" | "ipBlock" if here("from") => Some("this goes into an item of `from`"),
        "podSelector" | "namespaceSelector" | "ipBlock" if here("to") => Some("this goes into an item of `to`"),
        "port" | "protocol" | "endPort" if here("ports") => Some("this goes into an item of `ports`"),
        "ports" if here("ipBlock") => Some("this goes beside `from` or `to`, one level up"),
        "namespace" | "namespaces" if here("namespaceSelector") => {
            Some("write `namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}`")
        }
        "serviceSelector" | "service" | "services" if here("ipBlock") => Some("select the Service's pods"),
        "cidrs" if here("except") => Some("write `cidr`, with one network; more need more items"),
        "targetPort" if here("endPort") => Some("leave it out: `port` is the pod's port, not the Service's"),
        "name" if here("endPort") => Some("write the name as the value of `port`"),
        "labels" | "matchLabel" | "matchlabels" if here("matchLabels") => Some("did you mean `matchLabels`?"),
        "selector" | "podselector" if here("policyTypes") => Some("did you mean `podSelector`?"),
        "description" | "comment" if here("finalizers") => Some("write it as an annotation"),
        _ => None,
    }
}

fn list(fields: &[&str]) -> String {
    let mut text = String::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push_str(if index + 1 == fields.len() { " and " } else { ", " });
        }
        text.push('`');
        text.push_str(field);
        text.push('`');
    }
    text
}
