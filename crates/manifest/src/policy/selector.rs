//! Label selectors (`metav1.LabelSelector`).

use palisade_engine::model::{LabelSelector, Name, Operator, Requirement};

use super::unknown;
use crate::{
    check::{names, near},
    context::Context,
    field::Field,
    objects::labels,
};

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Reads a selector. Null selects everything.
pub(super) fn read(cx: &mut Context<'_>, field: &Field<'_>) -> LabelSelector {
    let mut selector = LabelSelector::everything();
    if !cx.expect_mapping(field) {
        return selector;
    }
    selector.at = Some(cx.value_span(field));
    unknown::report(cx, field, &["matchLabels", "matchExpressions"]);
    if let Some(pairs) = field.get("matchLabels") {
        let equal = labels::entries(cx, &pairs).into_iter();
        selector.requirements.extend(
            equal.map(|label| Requirement { at: Some(label.at), ..Requirement::equals(label.key, label.value) }),
        );
    }
    if let Some(expressions) = field.get("matchExpressions")
        && cx.expect_sequence(&expressions)
    {
        for item in expressions.items() {
            selector.requirements.extend(requirement(cx, &item));
        }
    }
    selector
}

fn requirement(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Requirement> {
    if !cx.expect_mapping(item) {
        return None;
    }
    unknown::report(cx, item, &["key", "operator", "values"]);
    let key = key(cx, item);
    let operator = operator(cx, item);
    let at = Some(cx.value_span(item));
    Some(Requirement { key: key?, operator: operator?, at })
}

fn key(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Name> {
    let Some(field) = item.get("key") else {
        let finding = cx.missing(item, "key", "this expression has no `key`");
        cx.report(finding.label("the key of which label?"));
        return None;
    };
    let text = cx.text(&field)?;
    match names::label_key(text) {
        None => Some(cx.name(text)),
        Some(wrong) => {
            let finding = cx.value_error(&field, format!("the label key `{text}` {wrong}"));
            cx.report(labels::template(text, finding.label("not a label key")));
            None
        }
    }
}

fn operator(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Operator> {
    let values = values(cx, item);
    let field = item.get("operator");
    let text = match &field {
        Some(field) => cx.text(field)?,
        None => "",
    };
    let given = item.get("values").filter(|field| field.items().next().is_some());
    match text {
        "In" | "NotIn" if given.is_none() => {
            // A list of the wrong type was reported already.
            if item.get("values").is_none_or(|field| matches!(field.node.view(), crate::yaml::View::Sequence(_))) {
                let finding = match item.get("values") {
                    Some(field) => cx.value_error(&field, format!("`{text}` needs at least one value")),
                    None => {
                        let mut finding = cx.missing(item, "values", format!("`{text}` needs `values`"));
                        if let Some(code) = cx.beyond {
                            finding.code = code.into();
                        }
                        finding
                    }
                };
                cx.report(finding.label("which values?"));
            }
            None
        }
        "In" => Some(Operator::In(values?)),
        "NotIn" => Some(Operator::NotIn(values?)),
        "Exists" | "DoesNotExist" => {
            if let Some(field) = given {
                let finding = cx.value_error(&field, format!("`{text}` looks at the key alone and takes no values"));
                cx.report(finding.label("leave `values` out, or write `In` or `NotIn`"));
                return None;
            }
            Some(if text == "Exists" { Operator::Exists } else { Operator::DoesNotExist })
        }
        other => {
            let meant = match other {
                "" => None,
                "Equals" | "Equal" | "=" | "==" | "Eq" => Some("In"),
                "NotEquals" | "NotEqual" | "!=" => Some("NotIn"),
                "Has" => Some("Exists"),
                _ => near::nearest(other, &OPERATORS),
            };
            let label = meant.map(|meant| format!("write `{meant}`"));
            let fix = field
                .as_ref()
                .zip(meant)
                .and_then(|(field, meant)| cx.write(field.node, meant, meant.eq_ignore_ascii_case(other)));
            let expected = OPERATORS.join(", ");
            let finding = match &field {
                Some(field) => cx.value_error(field, format!("operator `{other}` is not one of {expected}")),
                None => cx.missing(item, "operator", format!("this expression has no `operator`: one of {expected}")),
            };
            cx.report(finding.label(label.unwrap_or_else(|| format!("one of {expected}"))).fix(fix));
            None
        }
    }
}

fn values(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Vec<Name>> {
    let Some(field) = item.get("values") else { return Some(Vec::new()) };
    if !cx.expect_sequence(&field) {
        return None;
    }
    let mut values = Vec::new();
    let mut good = true;
    for value in field.items() {
        let Some(text) = cx.text(&value) else {
            good = false;
            continue;
        };
        if let Some(wrong) = names::label_value(text) {
            let finding = cx.value_error(&value, format!("the label value `{text}` {wrong}"));
            cx.report(labels::template(text, finding.label("not a label value")));
            good = false;
            continue;
        }
        values.push(cx.name(text));
    }
    good.then_some(values)
}
