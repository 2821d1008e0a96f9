//! One item of `protocols` (v1alpha2) or `ports` (v1alpha1).

use palisade_engine::model::{ClusterPolicyKind, ClusterPort, Name, PortRange, Protocol};

use super::{Fields, only, required};
use crate::{
    check::names,
    context::Context,
    diagnostic::code,
    field::Field,
    objects::{labels, value},
    policy::unknown,
};

/// Reads an item.
pub(super) fn read(cx: &mut Context<'_>, item: &Field<'_>, fields: Fields) -> Option<ClusterPort> {
    if !cx.expect_mapping(item) {
        return None;
    }
    match fields.kind {
        ClusterPolicyKind::Cluster => protocol(cx, item),
        ClusterPolicyKind::Admin | ClusterPolicyKind::BaselineAdmin => port(cx, item),
    }
}

/// v1alpha2: one protocol with its ports, or a name.
fn protocol(cx: &mut Context<'_>, item: &Field<'_>) -> Option<ClusterPort> {
    let at = Some(cx.value_span(item));
    let field = item.get(only(cx, item, &["tcp", "udp", "sctp", "destinationNamedPort"])?)?;
    let protocol = match field.name()? {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Some(ClusterPort::Named { name: port_name(cx, &field)?, at }),
    };
    if !cx.expect_mapping(&field) {
        return None;
    }
    let destination = field.get(only(cx, &field, &["destinationPort"])?)?;
    if !cx.expect_mapping(&destination) {
        return None;
    }
    let ports = destination.get(only(cx, &destination, &["number", "range"])?)?;
    let ports = match ports.name()? {
        "number" => PortRange::single(value::port_number(cx, &ports)?),
        _ => {
            if !cx.expect_mapping(&ports) {
                return None;
            }
            unknown::report(cx, &ports, &["start", "end"]);
            let (start, end) = ends(cx, &ports)?;
            if start >= end {
                let finding = cx.error(&ports, format!("the range ends at {end}, which is not behind {start}"));
                let label = if start == end {
                    format!("write `number: {start}`")
                } else {
                    "write the smaller one as `start`".to_owned()
                };
                cx.report(finding.label(label));
            }
            PortRange::new(start, end)?
        }
    };
    Some(ClusterPort::Numbers { protocol, ports, at })
}

/// v1alpha1: a number or a range, each with its protocol, or a name.
fn port(cx: &mut Context<'_>, item: &Field<'_>) -> Option<ClusterPort> {
    let at = Some(cx.value_span(item));
    let field = item.get(only(cx, item, &["portNumber", "portRange", "namedPort"])?)?;
    if field.name()? == "namedPort" {
        return Some(ClusterPort::Named { name: port_name(cx, &field)?, at });
    }
    if !cx.expect_mapping(&field) {
        return None;
    }
    // The CRD looks at neither the protocol nor whether a range goes backwards.
    let protocol = cx.beyond(code::CNP_PORT, |cx| value::protocol(cx, field.get("protocol")));
    let ports = if field.name()? == "portNumber" {
        unknown::report(cx, &field, &["protocol", "port"]);
        let port = required(cx, &field, "port", "a number from 1 to 65535")?;
        PortRange::single(value::port_number(cx, &port)?)
    } else {
        unknown::report(cx, &field, &["protocol", "start", "end"]);
        let (start, end) = ends(cx, &field)?;
        let Some(range) = PortRange::new(start, end) else {
            let message = format!("the range ends at {end}, before it starts at {start}");
            let finding = cx.beyond(code::CNP_PORT, |cx| cx.value_error(&field, message));
            cx.report(finding.label("it holds no port: write the smaller one as `start`"));
            return None;
        };
        range
    };
    Some(ClusterPort::Numbers { protocol: protocol?, ports, at })
}

fn ends(cx: &mut Context<'_>, range: &Field<'_>) -> Option<(u16, u16)> {
    let mut end = |name| {
        let field = required(cx, range, name, "a number from 1 to 65535")?;
        value::port_number(cx, &field)
    };
    let (start, last) = (end("start"), end("end"));
    Some((start?, last?))
}

/// The name of a container port, which the CRD does not look at.
fn port_name(cx: &mut Context<'_>, field: &Field<'_>) -> Option<Name> {
    let text = cx.text(field)?;
    match names::port_name(text) {
        None => Some(cx.name(text)),
        Some(wrong) => {
            let message = format!("the port name `{text}` {wrong}");
            let finding = cx.beyond(code::CNP_PORT, |cx| cx.value_error(field, message));
            cx.report(labels::template(text, finding.label("no pod has a port of this name")));
            None
        }
    }
}
