//! Policies as a person would have written them.

use std::{collections::BTreeMap, fmt::Write as _};

use palisade_engine::model::{Direction, LabelSelector, NamespaceScope, NetworkPolicy, Peer, PolicyRule, PortMatch};

use crate::groups;

/// What stands beside a policy in its document.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    /// Lines of a comment above it.
    pub above: Vec<String>,
    /// Findings of `palisade check` that it does not want to hear of: code and reason.
    pub ignored: Vec<(&'static str, &'static str)>,
    /// A comment above each rule, by direction and in their order.
    pub rules: BTreeMap<Direction, Vec<String>>,
    /// A comment at a direction that the policy isolates and has no rule for; without one nothing is written of it.
    pub without_rules: Option<&'static str>,
}

/// One document, without `---`. Of a policy's requirements `key: value` alone is written, and of an ipBlock no `except`.
pub fn document(policy: &NetworkPolicy, remarks: &Remarks) -> String {
    let mut text = String::new();
    for comment in &remarks.above {
        line(&mut text, 0, &format!("# {comment}"));
    }
    text.push_str("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n");
    line(&mut text, 2, &format!("name: {}", scalar(&policy.id.name)));
    line(&mut text, 2, &format!("namespace: {}", scalar(&policy.id.namespace)));
    if !remarks.ignored.is_empty() {
        let ignored: Vec<String> = remarks.ignored.iter().map(|(code, why)| format!("{code}: {why}")).collect();
        line(&mut text, 2, "annotations:");
        line(&mut text, 4, &format!("palisade.dev/ignore: {}", scalar(&ignored.join("; "))));
    }
    line(&mut text, 0, "spec:");
    selector(&mut text, 2, "", "podSelector", &policy.subject);
    line(&mut text, 2, "policyTypes:");
    let isolates = |direction| {
        policy.policy_types.is_none_or(|types| match direction {
            Direction::Ingress => types.ingress,
            Direction::Egress => types.egress,
        })
    };
    let directions = || Direction::ALL.into_iter().filter(|direction| isolates(*direction));
    for direction in directions() {
        line(&mut text, 2, if direction == Direction::Ingress { "- Ingress" } else { "- Egress" });
    }
    for direction in directions() {
        let rules = policy.rules(direction);
        if rules.is_empty() {
            if let Some(why) = remarks.without_rules {
                line(&mut text, 2, &format!("{direction}: []  # {why}"));
            }
            continue;
        }
        line(&mut text, 2, &format!("{direction}:"));
        let comments = remarks.rules.get(&direction).map(Vec::as_slice).unwrap_or_default();
        for (index, item) in rules.iter().enumerate() {
            if let Some(comment) = comments.get(index) {
                line(&mut text, 2, &format!("# {comment}"));
            }
            rule(&mut text, direction, item);
        }
    }
    text
}

fn rule(text: &mut String, direction: Direction, rule: &PolicyRule) {
    let key = if direction == Direction::Ingress { "from" } else { "to" };
    line(text, 2, &format!("- {key}:"));
    for peer in &rule.peers {
        match peer {
            Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => selector(text, 4, "- ", "podSelector", pods),
            Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
                selector(text, 4, "- ", "namespaceSelector", namespaces);
                if !pods.is_everything() {
                    selector(text, 6, "", "podSelector", pods);
                }
            }
            Peer::IpBlock(block) => {
                line(text, 4, "- ipBlock:");
                line(text, 8, &format!("cidr: {}", scalar(&block.cidr.to_string())));
            }
        }
    }
    if rule.ports.is_empty() {
        return;
    }
    line(text, 4, "ports:");
    for port in &rule.ports {
        line(text, 4, &format!("- protocol: {}", port.protocol.name()));
        match &port.port {
            PortMatch::All => {}
            PortMatch::Named(name) => line(text, 6, &format!("port: {}", scalar(name))),
            PortMatch::Range(range) => {
                line(text, 6, &format!("port: {}", range.first()));
                if range.last() != range.first() {
                    line(text, 6, &format!("endPort: {}", range.last()));
                }
            }
        }
    }
}

fn selector(text: &mut String, indent: usize, dash: &str, key: &str, selector: &LabelSelector) {
    if selector.is_everything() {
        line(text, indent, &format!("{dash}{key}: {{}}"));
        return;
    }
    line(text, indent, &format!("{dash}{key}:"));
    let indent = indent + dash.len() + 2;
    line(text, indent, "matchLabels:");
    for (key, value) in selector.requirements.iter().filter_map(groups::label) {
        line(text, indent + 2, &format!("{}: {}", scalar(key), scalar(value)));
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    // Writing to a String does not fail.
    _ = writeln!(text, "{:indent$}{content}", "");
}

/// Plain where every reader of YAML takes it for a string, in double quotes otherwise. Names, labels and
/// prefixes have no character that would have to be escaped.
fn scalar(text: &str) -> String {
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_net = text.contains('/') && text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(':');
    if (starts && !is_word && !text.contains(':')) || is_net { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn what_might_be_taken_for_a_number_is_quoted() {
        let texts = ["web", "1", "1e3", "No", "", "10.0.0.0/8", "2001:db8::/32", "a.b/c"];
        let written = texts.map(scalar).join(" ");
        assert_eq!(written, r#"web "1" "1e3" "No" "" 10.0.0.0/8 "2001:db8::/32" a.b/c"#);
    }
}
