//! `ports` of a rule: protocol, port, endPort.

use palisade_engine::model::{PolicyPort, PortMatch, PortRange};

use super::unknown;
use crate::{
    context::Context,
    field::Field,
    objects::value::{self, PortValue},
};

/// The ports of a rule. A null item is an empty one: every TCP port.
pub(super) fn read(cx: &mut Context<'_>, rule: &Field<'_>) -> Vec<PolicyPort> {
    let Some(list) = rule.get("ports") else { return Vec::new() };
    if !cx.expect_sequence(&list) {
        return Vec::new();
    }
    let mut ports = Vec::new();
    for item in list.items() {
        ports.extend(port(cx, &item));
    }
    ports
}

fn port(cx: &mut Context<'_>, item: &Field<'_>) -> Option<PolicyPort> {
    if item.node.text().is_some() && !item.node.is_null() {
        let written = item.node.text().unwrap_or_default();
        cx.wrong_type(item, "a mapping", Some(&format!("write `port: {written}`")));
        return None;
    }
    if !cx.expect_mapping(item) {
        return None;
    }
    unknown::report(cx, item, &["protocol", "port", "endPort"]);
    let protocol = value::protocol(cx, item.get("protocol"));
    let start = item.get("port");
    let first = start.as_ref().map(|field| value::port(cx, field));
    let last = item.get("endPort").map(|field| end_port(cx, &field, start.as_ref()));
    let port = match (first, last) {
        (None, None) => PortMatch::All,
        (Some(first), None) => match first? {
            PortValue::Number(number) => PortMatch::Range(PortRange::single(number)),
            PortValue::Name(name) => PortMatch::Named(name),
        },
        (Some(Some(PortValue::Number(first))), Some(Some(last))) => PortMatch::Range(PortRange::new(first, last)?),
        _ => return None,
    };
    Some(PolicyPort { protocol: protocol?, port, at: Some(cx.value_span(item)) })
}

/// `endPort`, checked against `port`.
fn end_port(cx: &mut Context<'_>, field: &Field<'_>, port: Option<&Field<'_>>) -> Option<u16> {
    use crate::yaml::Value;

    let last = cx.integer(field)?;
    let mut good = true;
    let mut fail = |cx: &mut Context<'_>, message: String, label: &str| {
        let finding = cx.error(field, message).label(label);
        cx.report(finding);
        good = false;
    };
    match port.map(|port| (port.node.value(), port.node.text().unwrap_or_default())) {
        None => fail(cx, "`endPort` without `port`".to_owned(), "write the first port of the range as `port`"),
        Some((Some(Value::String(text)), _)) => {
            fail(cx, format!("`endPort` needs a number as `port`, not the name `{text}`"), "leave `endPort` out");
        }
        Some((Some(Value::Integer(first)), written)) if i64::from(last) < first => {
            fail(cx, format!("endPort {last} is below port {written}"), "must not be below `port`");
        }
        Some((Some(Value::Float(first)), written)) if f64::from(last) < first => {
            fail(cx, format!("endPort {last} is below port {written}"), "must not be below `port`");
        }
        Some(_) => {}
    }
    let number = u16::try_from(last).ok().filter(|number| *number > 0);
    if number.is_none() {
        fail(cx, format!("endPort {last} is not between 1 and 65535"), "not a port");
    }
    number.filter(|_| good)
}
