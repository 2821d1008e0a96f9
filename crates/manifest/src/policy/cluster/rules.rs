//! `spec.ingress` and `spec.egress` of a cluster-wide policy.

use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPort, ClusterRule, ClusterTier, Direction, Name,
};

use super::{Fields, at_most, has_items, peers, ports, required};
use crate::{
    check::near,
    context::Context,
    diagnostic::{Severity, code},
    field::Field,
    policy::unknown,
};

/// The rules of one direction, in order. One that was not understood is there, and fails closed.
pub(super) fn read(
    cx: &mut Context<'_>,
    spec: &Field<'_>,
    fields: Fields,
    direction: Direction,
    tier: Option<ClusterTier>,
) -> Vec<ClusterRule> {
    let (name, peers) = match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let Some(list) = spec.get(name) else { return Vec::new() };
    if !cx.expect_sequence(&list) {
        return Vec::new();
    }
    at_most(cx, &list, fields.most);
    list.items().map(|item| rule(cx, &item, fields, peers, tier)).collect()
}

fn rule(
    cx: &mut Context<'_>,
    item: &Field<'_>,
    fields: Fields,
    peers: &'static str,
    tier: Option<ClusterTier>,
) -> ClusterRule {
    let at = Some(cx.value_span(item));
    let (mut name, mut action) = (None, None);
    let matches = cx.part(|cx| {
        if !cx.expect_mapping(item) {
            return None;
        }
        unknown::report(cx, item, &["name", "action", peers, fields.ports]);
        name = rule_name(cx, item);
        action = read_action(cx, item, fields, tier);
        let peers = read_peers(cx, item, fields, peers, action);
        let ports = read_ports(cx, item, fields);
        if let (Some(peers), Some(Some(ports))) = (&peers, &ports) {
            named_ports_elsewhere(cx, item, peers, ports);
        }
        Some(ClusterMatch::Of { peers: peers?, ports: ports? })
    });
    let matches = matches.unwrap_or(ClusterMatch::NotUnderstood);
    ClusterRule { name, action: action.unwrap_or(Action::Deny), matches, at }
}

fn rule_name(cx: &mut Context<'_>, item: &Field<'_>) -> Option<Name> {
    let field = item.get("name")?;
    let text = cx.text(&field)?;
    if text.len() > 100 {
        let finding = cx.error(&field, format!("the name of this rule has {} bytes, more than 100", text.len()));
        cx.report(finding.label("too long"));
    }
    cx.text_of(Some(field))
}

fn read_action(cx: &mut Context<'_>, item: &Field<'_>, fields: Fields, tier: Option<ClusterTier>) -> Option<Action> {
    let mut spellings = vec![(fields.accept, Action::Accept), ("Deny", Action::Deny)];
    if fields.passes {
        spellings.push(("Pass", Action::Pass));
    }
    let names: Vec<&str> = spellings.iter().map(|(name, _)| *name).collect();
    let field = required(cx, item, "action", &names.join(", "))?;
    let text = cx.text(&field)?;
    let Some((_, action)) = spellings.iter().find(|(name, _)| *name == text) else {
        let meant = match text.to_ascii_lowercase().as_str() {
            "allow" | "accept" => Some(fields.accept),
            "drop" | "reject" | "block" => Some("Deny"),
            _ => near::nearest(text, &names),
        };
        let fix = meant.and_then(|meant| cx.write(field.node, meant, meant.eq_ignore_ascii_case(text)));
        let label = meant.map_or_else(|| "not an action".to_owned(), |meant| format!("write `{meant}`"));
        let finding = cx.error(&field, format!("action `{text}` is not one of {}", names.join(", ")));
        cx.report(finding.label(label).fix(fix));
        return None;
    };
    if (*action, tier) == (Action::Pass, Some(ClusterTier::Baseline)) {
        let mut finding = cx.error(&field, "`Pass` in the Baseline tier allows: there is no tier behind it");
        finding.severity = Severity::Warning;
        finding.code = code::CNP_PASS.into();
        cx.report(finding.label(format!("write `{}` if that is meant", fields.accept)));
    }
    Some(*action)
}

fn read_peers(
    cx: &mut Context<'_>,
    item: &Field<'_>,
    fields: Fields,
    name: &'static str,
    action: Option<Action>,
) -> Option<Vec<ClusterPeer>> {
    let list = required(cx, item, name, "who is meant; `- namespaces: {}` is every pod")?;
    if !cx.expect_sequence(&list) || !has_items(cx, &list, "`- namespaces: {}` is every pod") {
        return None;
    }
    at_most(cx, &list, fields.most);
    let of = |item: Field<'_>| peers::read(cx, &item, fields, name == "to", action);
    let found: Vec<Option<ClusterPeer>> = list.items().map(of).collect();
    found.into_iter().collect()
}

/// `Some(None)` for all traffic.
fn read_ports(cx: &mut Context<'_>, item: &Field<'_>, fields: Fields) -> Option<Option<Vec<ClusterPort>>> {
    let Some(list) = item.get(fields.ports) else { return Some(None) };
    if !cx.expect_sequence(&list) || !has_items(cx, &list, "leave it out to mean all traffic") {
        return None;
    }
    at_most(cx, &list, fields.most);
    let found: Vec<Option<ClusterPort>> = list.items().map(|port| ports::read(cx, &port, fields)).collect();
    found.into_iter().collect::<Option<Vec<ClusterPort>>>().map(Some)
}

/// A node, a network or a name has no named ports (a rule of the experimental channel's CRDs).
fn named_ports_elsewhere(cx: &mut Context<'_>, item: &Field<'_>, peers: &[ClusterPeer], ports: &[ClusterPort]) {
    let is_named = |port: &&ClusterPort| matches!(port, ClusterPort::Named { .. });
    let no_pod = |peer: &&ClusterPeer| match peer {
        ClusterPeer::Namespaces { .. } | ClusterPeer::Pods { .. } => false,
        ClusterPeer::Nodes { .. } | ClusterPeer::Networks { .. } | ClusterPeer::DomainNames { .. } => true,
    };
    if let (Some(port), Some(peer)) = (ports.iter().find(is_named), peers.iter().find(no_pod)) {
        let message = format!("`{}` have no named ports, and this rule has one", peer.field());
        let finding = cx.error(item, message);
        let finding = match port.at() {
            Some(at) => finding.at(at, "write numbers, or make two rules of it"),
            None => finding,
        };
        // The name is looked up on the destination, and a destination that is no pod has none.
        cx.report_harmless(match peer.at() {
            Some(at) => finding.also(at, "not pods"),
            None => finding,
        });
    }
}
