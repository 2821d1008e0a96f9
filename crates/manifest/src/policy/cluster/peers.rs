//! One item of `from` or `to` of a cluster-wide policy.

use std::collections::HashSet;

use ipnet::IpNet;
use palisade_engine::model::{Action, ClusterPeer, ClusterPolicyKind, DomainName, LabelSelector, Span};

use super::{
    Fields, at_most, has_items, only,
    subject::{pods, selected},
};
use crate::{context::Context, diagnostic::code, field::Field, policy::ip_block};

/// How many networks or names a peer may have.
const MOST: usize = 25;

/// The longest way of writing a network, in bytes.
const LONGEST_NETWORK: usize = 43;

/// Reads a peer; ingress rules know pods alone.
pub(super) fn read(
    cx: &mut Context<'_>,
    item: &Field<'_>,
    fields: Fields,
    egress: bool,
    action: Option<Action>,
) -> Option<ClusterPeer> {
    if !cx.expect_mapping(item) {
        return None;
    }
    let known: &[&str] = match (egress, fields.names) {
        (false, _) => &["namespaces", "pods"],
        (true, false) => &["namespaces", "pods", "nodes", "networks"],
        (true, true) => &["namespaces", "pods", "nodes", "networks", "domainNames"],
    };
    let field = item.get(only(cx, item, known)?)?;
    let at = Some(cx.value_span(item));
    match field.name()? {
        "namespaces" => Some(ClusterPeer::Namespaces { namespaces: selected(cx, &field), at }),
        "pods" => {
            let (namespaces, pods): (LabelSelector, LabelSelector) = pods(cx, &field, fields)?;
            Some(ClusterPeer::Pods { namespaces, pods, at })
        }
        "nodes" => Some(ClusterPeer::Nodes { nodes: selected(cx, &field), at }),
        "networks" => {
            let (networks, networks_at) = networks(cx, &field)?;
            Some(ClusterPeer::Networks { networks, at, networks_at })
        }
        _ => Some(ClusterPeer::DomainNames { names: names(cx, &field, fields, action)?, at }),
    }
}

fn networks(cx: &mut Context<'_>, field: &Field<'_>) -> Option<(Vec<IpNet>, Vec<Span>)> {
    let texts = set(cx, field, "which networks?")?;
    let (mut networks, mut places) = (Vec::new(), Vec::new());
    let mut good = true;
    for (item, text) in texts {
        if text.len() > LONGEST_NETWORK {
            let finding =
                cx.error(&item, format!("this network has {} bytes, more than {LONGEST_NETWORK}", text.len()));
            cx.report(finding.label("not a network in CIDR notation"));
            good = false;
        } else if let Some(network) = ip_block::network_as_cel(cx, &item) {
            networks.push(network);
            places.push(cx.value_span(&item));
        } else {
            good = false;
        }
    }
    good.then_some((networks, places))
}

fn names(cx: &mut Context<'_>, field: &Field<'_>, fields: Fields, action: Option<Action>) -> Option<Vec<DomainName>> {
    if let Some(action) = action.filter(|action| *action != Action::Accept) {
        let message = format!("`domainNames` can only accept, and this rule's action is `{action}`");
        let finding = cx.beyond(code::CNP_DOMAIN, |cx| cx.value_error(field, message));
        let advice = match fields.kind {
            ClusterPolicyKind::Cluster => "accept the names that are wanted, and deny the rest by `networks`",
            ClusterPolicyKind::Admin | ClusterPolicyKind::BaselineAdmin => "allow the names that are wanted instead",
        };
        cx.report(finding.label(advice).help("who resolves a name decides what it means: a Deny could be evaded"));
        return None;
    }
    let texts = set(cx, field, "which names?")?;
    let mut names = Vec::new();
    let mut good = true;
    for (item, text) in texts {
        match DomainName::parse(text) {
            Ok(name) => names.push(name),
            Err(error) => {
                let message = format!("the domain name `{text}` {error}");
                // The pattern of the CRD lets other characters through (`A-z`), and labels of any length.
                let finding = if is_let_through(text) {
                    cx.beyond(code::CNP_DOMAIN, |cx| cx.value_error(&item, message))
                } else {
                    cx.error(&item, message)
                };
                cx.report(finding.label("write for example `www.example.com` or `*.example.com`"));
                good = false;
            }
        }
    }
    good.then_some(names)
}

/// Whether the CRD's pattern takes a text: it has a mistake, a range of characters from `A` to `z`.
fn is_let_through(text: &str) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    let first = |c: char| ('A'..='z').contains(&c) || c.is_ascii_digit();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| {
        let mut chars = label.chars();
        let rest = |rest: &str| {
            rest.is_empty() || (rest.chars().all(inner) && rest.ends_with(|c: char| c.is_ascii_alphanumeric()))
        };
        chars.next().is_some_and(first) && rest(chars.as_str())
    };
    text.contains('.') && text.split('.').all(label)
}

/// The texts of a list that has no item twice.
fn set<'f>(cx: &mut Context<'_>, field: &'f Field<'_>, advice: &str) -> Option<Vec<(Field<'f>, &'f str)>> {
    if !cx.expect_sequence(field) || !has_items(cx, field, advice) {
        return None;
    }
    at_most(cx, field, MOST);
    let mut seen = HashSet::new();
    let (mut found, mut good) = (Vec::new(), true);
    for item in field.items() {
        let Some(text) = cx.text(&item) else {
            good = false;
            continue;
        };
        if seen.insert(text) {
            found.push((item, text));
        } else {
            let finding = cx.error(&item, format!("`{text}` is in this list twice"));
            cx.report(finding.label("leave it out here"));
        }
    }
    good.then_some(found)
}
