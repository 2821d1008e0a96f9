//! `ipBlock`: a network and what is taken away from it.

use ipnet::IpNet;
use palisade_engine::model::{IpBlock, Span};

use super::unknown;
use crate::{check::cidr, context::Context, diagnostic::Severity, field::Field, objects::labels, read::ServerVersion};

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
        Ok(network) => Some(network),
        Err(error) => {
            let mut finding = cx.error(field, format!("network `{text}` {}", error.wrong));
            if let (Some(network), ServerVersion::V1_35) = (error.once, cx.server) {
                finding.severity = Severity::Warning;
                let finding = finding.label(error.fix.unwrap_or_default());
                cx.report(finding.help("servers from 1.36 on refuse it"));
                return Some(network);
            }
            let finding = match error.fix {
                Some(fix) => finding.label(fix),
                None => finding,
            };
            cx.report(labels::template(text, finding));
            None
        }
    }
}
