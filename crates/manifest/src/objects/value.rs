//! Values that several kinds share: addresses, ports, protocols.

use std::net::IpAddr;

use palisade_engine::model::{Name, PodAddresses, Protocol};

use crate::{
    check::{names, near},
    context::Context,
    field::Field,
    objects::labels,
    yaml::Value,
};

/// A port's number or name.
pub(crate) enum PortValue {
    Number(u16),
    Name(Name),
}

/// `protocol`; TCP when it is missing or null.
pub(crate) fn protocol(cx: &mut Context<'_>, field: Option<Field<'_>>) -> Option<Protocol> {
    let Some(field) = field else { return Some(Protocol::Tcp) };
    let iana = field.node.text().and_then(|text| text.parse::<u8>().ok());
    if let (Some(Value::Integer(_)), Some(number)) = (field.node.value(), iana) {
        let named = Protocol::ALL.into_iter().find(|protocol| protocol.number() == number);
        let finding = cx.value_error(&field, format!("protocol {number}: a protocol is written as its name"));
        let label = named.map_or_else(|| "not TCP, UDP or SCTP".to_owned(), |protocol| format!("write `{protocol}`"));
        let fix = named.and_then(|protocol| cx.write(field.node, protocol.name(), true));
        cx.report(finding.label(label).fix(fix));
        return None;
    }
    let text = cx.text(&field)?;
    let found = Protocol::parse(text);
    if found.is_none() {
        let spellings = Protocol::ALL.map(Protocol::name);
        let meant = near::nearest(text, &spellings);
        let fix = meant.and_then(|name| cx.write(field.node, name, name.eq_ignore_ascii_case(text)));
        let label = meant.map(|name| format!("write `{name}`"));
        let label = label.unwrap_or_else(|| match text.to_ascii_lowercase().as_str() {
            "any" | "all" | "*" | "-1" => "every protocol is meant by leaving `ports` out".to_owned(),
            "http" | "https" | "grpc" => "write `TCP`".to_owned(),
            _ => "not a protocol".to_owned(),
        });
        let finding = cx.value_error(&field, format!("protocol `{text}` is not one of {}", spellings.join(", ")));
        cx.report(labels::template(text, finding.label(label).fix(fix)));
    }
    found
}

/// A number from 1 to 65535.
pub(crate) fn port_number(cx: &mut Context<'_>, field: &Field<'_>) -> Option<u16> {
    let number = cx.integer(field)?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    if port.is_none() {
        let what = field.name().unwrap_or("port");
        let finding = cx.error(field, format!("{what} {number} is not between 1 and 65535"));
        cx.report(finding.label("not a port"));
    }
    port
}

/// A number from 1 to 65535, or the name of a port.
pub(crate) fn port(cx: &mut Context<'_>, field: &Field<'_>) -> Option<PortValue> {
    let Some(Value::String(text)) = field.node.value() else {
        return port_number(cx, field).map(PortValue::Number);
    };
    match names::port_name(text) {
        None => Some(PortValue::Name(cx.name(text))),
        Some(wrong) => {
            let number = text.parse::<u16>().ok().filter(|port| *port > 0);
            let finding = match (number, text.split_once('-')) {
                (Some(number), _) => cx
                    .error(field, format!("\"{text}\" in quotes is the name of a port, and such a name {wrong}"))
                    .label(format!("write {number}, without quotes"))
                    .fix(cx.write_number(field, text)),
                (None, Some((first, last))) if first.parse::<u16>().is_ok() && last.parse::<u16>().is_ok() => cx
                    .error(field, format!("`{text}` is read as the name of a port, and such a name {wrong}"))
                    .label(format!("write `port: {first}` and `endPort: {last}`")),
                _ => {
                    let lower = text.to_lowercase();
                    let fixed = lower != text && names::port_name(&lower).is_none();
                    let label = if fixed { format!("write `{lower}`") } else { "not the name of a port".to_owned() };
                    // No port has a name with capitals.
                    let fix = if fixed { cx.write(field.node, lower, true) } else { None };
                    cx.error(field, format!("the port name `{text}` {wrong}")).label(label).fix(fix)
                }
            };
            cx.report(labels::template(text, finding));
            None
        }
    }
}

/// The name of a port, where one may be left out.
pub(crate) fn port_name(cx: &mut Context<'_>, field: Option<Field<'_>>) -> Option<Name> {
    let field = field?;
    let text = cx.text(&field).filter(|text| !text.is_empty())?;
    match names::port_name(text) {
        None => Some(cx.name(text)),
        Some(wrong) => {
            let finding = cx.error(&field, format!("the port name `{text}` {wrong}"));
            cx.report(labels::template(text, finding.label("not the name of a port")));
            None
        }
    }
}

/// An IP address; an IPv4 address written as IPv6 is the IPv4 address that it stands for.
pub(crate) fn address(cx: &mut Context<'_>, field: &Field<'_>) -> Option<IpAddr> {
    let text = cx.text(field).filter(|text| !text.is_empty())?;
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => {
            let finding = cx.error(field, format!("`{text}` is not an IP address"));
            cx.report(labels::template(text, finding));
            None
        }
    }
}

/// A pod's addresses: `status.podIPs[].ip`, or `status.podIP` where there are none; `hostIPs` alike.
pub(crate) fn addresses(cx: &mut Context<'_>, status: &Field<'_>, list: &str, single: &str) -> PodAddresses {
    let mut addresses = PodAddresses::default();
    let items = status.get(list).filter(|items| cx.expect_sequence(items));
    if let Some(items) = items {
        for item in items.items() {
            if let Some(ip) = item.get("ip") {
                add_address(cx, &ip, &mut addresses);
            }
        }
    }
    if addresses == PodAddresses::default()
        && let Some(ip) = status.get(single)
    {
        add_address(cx, &ip, &mut addresses);
    }
    addresses
}

fn add_address(cx: &mut Context<'_>, field: &Field<'_>, addresses: &mut PodAddresses) {
    let before = match address(cx, field) {
        None => return,
        Some(IpAddr::V4(v4)) => addresses.v4.replace(v4).map(|before| (IpAddr::V4(before), IpAddr::V4(v4))),
        Some(IpAddr::V6(v6)) => addresses.v6.replace(v6).map(|before| (IpAddr::V6(before), IpAddr::V6(v6))),
    };
    if let Some((first, second)) = before.filter(|(first, second)| first != second) {
        let message = format!("{first} and {second}: at most one address of each IP family is possible");
        let finding = cx.error(field, message).label("the second of its family");
        cx.report(finding);
    }
}
