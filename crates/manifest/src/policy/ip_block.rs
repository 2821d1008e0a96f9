//! `ipBlock`: a network and what is taken away from it.

use ipnet::IpNet;
use palisade_engine::model::{IpBlock, Span};

use super::unknown;
use crate::{
    check::cidr,
    context::Context,
    field::Field,
    objects::labels,
    read::{OddNetwork, ServerVersion},
};

/// Reads `ipBlock`; `at` is where its peer was written.
pub(super) fn read(cx: &mut Context<'_>, field: &Field<'_>, at: Option<Span>) -> Option<IpBlock> {
    if !cx.expect_mapping(field) {
        return None;
    }
    let others = unknown::report(cx, field, &["cidr", "except"]);
    let given = field.get("cidr");
    let cidr = match &given {
        Some(cidr) => network(cx, cidr, true),
        None => {
            if !others {
                let finding = cx.missing(field, "cidr", "this `ipBlock` has no `cidr`");
                cx.report(finding.label("which network?"));
            }
            None
        }
    };
    let mut except = Vec::new();
    let mut except_at = Vec::new();
    if let Some(list) = field.get("except")
        && cx.expect_sequence(&list)
    {
        for item in list.items() {
            let Some(taken) = network(cx, &item, false) else { continue };
            if let Some(cidr) = cidr
                && !is_inside(taken, cidr)
            {
                let message = format!("`except` can only take away a part of {cidr}, and {taken} is not inside of it");
                let message = if taken == cidr { format!("{taken} takes away all of `cidr`") } else { message };
                let finding = cx.error(&item, message).label("not a smaller network of `cidr`");
                let finding = match &given {
                    Some(given) => finding.also(cx.value_span(given), "the network"),
                    None => finding,
                };
                cx.report(finding);
                continue;
            }
            except.push(taken);
            except_at.push(cx.value_span(&item));
        }
    }
    let cidr_at = given.as_ref().map(|field| cx.value_span(field));
    Some(IpBlock { cidr: cidr?, except, at, cidr_at, except_at })
}

fn is_inside(inner: IpNet, outer: IpNet) -> bool {
    // Networks of different families never contain each other.
    inner.prefix_len() > outer.prefix_len() && outer.contains(&inner)
}

fn network(cx: &mut Context<'_>, field: &Field<'_>, required: bool) -> Option<IpNet> {
    let text = cx.text(field)?;
    if text.is_empty() && required {
        let finding = cx.error(field, "this `ipBlock` has no `cidr`");
        cx.report(finding.label("which network?"));
        return None;
    }
    match cidr::parse(text) {
        Ok(network) => {
            // Servers warn of what is not in the form of RFC 5952; only IPv6 can be otherwise.
            if text.contains(':') && text != network.to_string() {
                odd(cx, field, text, network, None);
            }
            Some(network)
        }
        Err(error) => {
            if let (Some(network), ServerVersion::V1_35) = (error.once, cx.server) {
                odd(cx, field, text, network, Some(error.wrong));
                return Some(network);
            }
            let finding = cx.error(field, format!("network `{text}` {}", error.wrong));
            // A network that older servers took for something can only mean that.
            let safe = error.once.is_some() || text.trim() != text || error.is_mask;
            let fix = error.write.and_then(|network| cx.write(field.node, network.to_string(), safe));
            let finding = match error.fix {
                Some(fix) => finding.label(fix),
                None => finding,
            };
            cx.report(labels::template(text, finding.fix(fix)));
            None
        }
    }
}

/// A network as the CRDs of cluster-wide policies have it: they take host bits, which mean nothing.
pub(super) fn network_as_cel(cx: &mut Context<'_>, field: &Field<'_>) -> Option<IpNet> {
    let text = cx.text(field)?;
    // Unlike a network, an address is parsed without leading zeros.
    let address = text.split_once('/').and_then(|(address, _)| address.parse::<std::net::IpAddr>().ok());
    let plain = address.and_then(|_| text.parse::<IpNet>().ok()).map(|network| network.trunc());
    let is_mapped = |network: &IpNet| matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
    let has_zeros = text.split_once('/').is_some_and(|(_, length)| length.len() > 1 && length.starts_with('0'));
    match (cidr::parse(text), plain.filter(|network| !is_mapped(network))) {
        (Err(error), Some(network)) if error.once == Some(network) && !has_zeros => {
            odd(cx, field, text, network, Some(error.wrong));
            Some(network)
        }
        _ => network(cx, field, true),
    }
}

/// Keeps a network that means what it is not written as, for a lint to tell.
fn odd(cx: &mut Context<'_>, field: &Field<'_>, text: &str, network: IpNet, refused: Option<String>) {
    let odd = OddNetwork {
        object: cx.object.clone().unwrap_or_default(),
        field: field.to_string(),
        at: cx.value_span(field),
        text: text.to_owned(),
        network,
        refused,
    };
    cx.networks.push(odd);
}
