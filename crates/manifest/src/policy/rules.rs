//! `spec.ingress` and `spec.egress`: rules, their peers and ports.

use palisade_engine::model::{Direction, LabelSelector, NamespaceScope, Peer, PolicyRule};

use super::{ip_block, ports, selector, unknown};
use crate::{context::Context, field::Field};

/// The rules of one direction. A null rule is an empty one: it allows everything.
pub(super) fn read(cx: &mut Context<'_>, spec: &Field<'_>, direction: Direction) -> Vec<PolicyRule> {
    let (name, peers) = match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let Some(list) = spec.get(name) else { return Vec::new() };
    if !cx.expect_sequence(&list) {
        return Vec::new();
    }
    let mut rules = Vec::new();
    for item in list.items() {
        if cx.expect_mapping(&item) {
            unknown::report(cx, &item, &[peers, "ports"]);
            let at = Some(cx.value_span(&item));
            let ports = ports::read(cx, &item);
            rules.push(PolicyRule { peers: read_peers(cx, &item, peers), ports, at });
        }
    }
    rules
}

fn read_peers(cx: &mut Context<'_>, rule: &Field<'_>, name: &str) -> Vec<Peer> {
    let Some(list) = rule.get(name) else { return Vec::new() };
    if !cx.expect_sequence(&list) {
        return Vec::new();
    }
    let mut peers = Vec::new();
    for item in list.items() {
        peers.extend(peer(cx, &item));
    }
    peers
}

fn peer(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Peer> {
    if !cx.expect_mapping(item) {
        return None;
    }
    let others = unknown::report(cx, item, &["podSelector", "namespaceSelector", "ipBlock"]);
    let pods = item.get("podSelector");
    let namespaces = item.get("namespaceSelector");
    let block = item.get("ipBlock");
    let at = Some(cx.value_span(item));
    if let Some(block) = &block {
        if let Some(selector) = pods.as_ref().or(namespaces.as_ref()) {
            let name = selector.name().unwrap_or_default();
            let message = format!("a peer cannot have both `ipBlock` and `{name}`");
            let place = cx.span(selector.key().map_or(selector.place(), |key| (key.start(), key.end())));
            let finding = cx.error(item, message).at(place, "make these two items, each with its own `- `");
            cx.report(finding);
        }
        return ip_block::read(cx, block, at).map(Peer::IpBlock);
    }
    if pods.is_none() && namespaces.is_none() {
        // The peer may well be the field that nobody knows.
        if !others {
            let finding = cx.error(item, "this peer selects nothing: it has no selector and no `ipBlock`");
            let finding = finding.label("write a selector, such as `podSelector: {}`");
            cx.report(
                finding.help("`podSelector: {}` is every pod of the namespace, `namespaceSelector: {}` every pod"),
            );
        }
        return None;
    }
    let selected = pods.map_or_else(LabelSelector::everything, |field| selector::read(cx, &field));
    let scope = namespaces.map_or(NamespaceScope::Own, |field| NamespaceScope::Matching(selector::read(cx, &field)));
    Some(Peer::Pods { namespaces: scope, pods: selected, at })
}
