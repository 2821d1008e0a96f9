//! Labels: `metadata.labels`, a selector's `matchLabels`, a Service's `selector`.

use palisade_engine::model::{Labels, Name, Span};

use crate::{
    check::names,
    context::Context,
    diagnostic::code,
    field::Field,
    yaml::{Node, Value},
};

/// One key with its value.
pub(crate) struct Label {
    pub(crate) key: Name,
    pub(crate) value: Name,
    /// From the key to the end of the value.
    pub(crate) at: Span,
}

/// The labels of an object.
pub(crate) fn read(cx: &mut Context<'_>, field: Option<Field<'_>>) -> Labels {
    let Some(field) = field else { return Labels::default() };
    let mut labels = Labels::default();
    for label in entries(cx, &field) {
        labels.set(label.key, label.value);
    }
    labels
}

/// Each label of a mapping, checked. Findings carry the path of the mapping, as the server's do.
pub(crate) fn entries(cx: &mut Context<'_>, field: &Field<'_>) -> Vec<Label> {
    if !cx.expect_mapping(field) {
        return Vec::new();
    }
    let mut labels = Vec::new();
    for (key, value) in field.entries() {
        let key_text = key_text(cx, field, key);
        let value_text = value_text(cx, field, &value);
        if let (Some(key), Some(text)) = (key_text, value_text) {
            let at = cx.span(value.entry_place());
            labels.push(Label { key: cx.name(key), value: cx.name(text), at });
        }
    }
    labels
}

/// The text of a label's key, checked.
fn key_text<'a>(cx: &mut Context<'_>, field: &Field<'_>, key: Node<'a>) -> Option<&'a str> {
    let text = key_as_written(cx, field, key)?;
    match names::label_key(text) {
        None => Some(text),
        Some(wrong) => {
            let finding = cx.value_error(field, format!("the label key `{text}` {wrong}"));
            let finding = finding.at(cx.span((key.start(), key.end())), "not a label key");
            cx.report(template(text, finding));
            None
        }
    }
}

/// The text of a key that kubectl leaves as it is.
pub(crate) fn key_as_written<'a>(cx: &mut Context<'_>, field: &Field<'_>, key: Node<'a>) -> Option<&'a str> {
    let text = key.text()?;
    let becomes = match key.value()? {
        Value::String(text) if key.is_bool_letter() => matches!(text, "y" | "Y").to_string(),
        Value::String(_) => return Some(text),
        // Reported where duplicate keys are.
        Value::Null => return None,
        Value::Integer(number) if number.to_string() == text => return Some(text),
        Value::Integer(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Unusable => "something else".to_owned(),
    };
    let mut finding = cx.error(field, format!("kubectl makes `{becomes}` of the key `{text}`, since it has no quotes"));
    finding.code = code::YAML_KEY.into();
    let finding = finding.at(cx.span((key.start(), key.end())), format!("write \"{text}\", in quotes"));
    cx.report(finding.fix(cx.quote(key)));
    None
}

fn value_text<'a>(cx: &mut Context<'_>, field: &Field<'_>, value: &Field<'a>) -> Option<&'a str> {
    let text = cx.named(field, |cx| cx.text(value))?;
    match names::label_value(text) {
        None => Some(text),
        Some(wrong) => {
            let finding = cx.value_error(value, format!("the label value `{text}` {wrong}")).label("not a label value");
            let mut finding = template(text, finding);
            finding.field = Some(field.to_string());
            cx.report(finding);
            None
        }
    }
}

/// Adds what to do about `{{ }}`.
pub(crate) fn template(text: &str, finding: crate::Diagnostic) -> crate::Diagnostic {
    if text.contains("{{") {
        return finding.help(crate::read::TEMPLATE_HELP);
    }
    finding
}
