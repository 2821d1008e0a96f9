//! Selectors, peers and ports in words.

use palisade_engine::model::{
    IpBlock, LabelSelector, NamespaceScope, Operator, Peer, PolicyPort, PortMatch, Requirement,
};

/// All of it, and what has no ports besides.
pub(super) const ALL_TRAFFIC: &str = "all traffic, also without ports";

/// Everyone that a rule without peers means.
pub(super) const ANYONE: &str = "anyone, inside or outside";

/// `app=web and tier in (a, b)`: every condition of a selector that has some.
pub(super) fn conditions(selector: &LabelSelector) -> String {
    let texts: Vec<String> = selector.requirements.iter().map(condition).collect();
    texts.join(" and ")
}

/// One peer: `and` stands between what must all hold. The `or` between peers is the caller's.
pub(super) fn peer(peer: &Peer, own: &str) -> String {
    match peer {
        Peer::IpBlock(block) => ip_block(block),
        Peer::Pods { namespaces: NamespaceScope::Own, pods, .. } => {
            format!("{} of this namespace ({own})", pods_with(pods))
        }
        Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, .. } => {
            let within = if namespaces.is_everything() {
                "of every namespace".to_owned()
            } else {
                format!("of namespaces {}", conditions(namespaces))
            };
            if pods.is_everything() || namespaces.is_everything() {
                format!("{} {within}", pods_with(pods))
            } else {
                format!("{} and {within}", pods_with(pods))
            }
        }
    }
}

/// `TCP 80`, `TCP 8000-8100`, `every UDP port`, `TCP named http`.
pub(super) fn port(port: &PolicyPort) -> String {
    match &port.port {
        PortMatch::All => format!("every {} port", port.protocol),
        PortMatch::Range(range) => format!("{} {range}", port.protocol),
        PortMatch::Named(name) => format!("{} named {name}", port.protocol),
    }
}

/// `a, b or c`.
pub(super) fn alternatives(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn pods_with(selector: &LabelSelector) -> String {
    if selector.is_everything() { "every pod".to_owned() } else { format!("pods {}", conditions(selector)) }
}

/// As kubectl writes selectors where that says it all: that an absent key satisfies `!=`, few people know.
fn condition(requirement: &Requirement) -> String {
    let key = &requirement.key;
    let list = |values: &[palisade_engine::model::Name]| {
        let values: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        values.join(", ")
    };
    match &requirement.operator {
        Operator::In(values) => match values.as_slice() {
            [value] if value.is_empty() => format!("{key}= (empty)"),
            [value] => format!("{key}={value}"),
            values => format!("{key} in ({})", list(values)),
        },
        Operator::NotIn(values) => match values.as_slice() {
            [value] if !value.is_empty() => format!("{key}!={value} (or no {key})"),
            values => format!("{key} not in ({}) (or no {key})", list(values)),
        },
        Operator::Exists => format!("{key} (any value)"),
        Operator::DoesNotExist => format!("without {key}"),
    }
}

fn ip_block(block: &IpBlock) -> String {
    if block.except.is_empty() {
        return block.cidr.to_string();
    }
    let except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
    format!("{} without {}", block.cidr, except.join(", "))
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::{PortRange, Protocol};

    use super::*;

    fn pods(namespaces: NamespaceScope, requirements: impl IntoIterator<Item = Requirement>) -> Peer {
        Peer::Pods { namespaces, pods: requirements.into_iter().collect(), at: None }
    }

    fn matching(requirements: impl IntoIterator<Item = Requirement>) -> NamespaceScope {
        NamespaceScope::Matching(requirements.into_iter().collect())
    }

    #[test]
    fn peers() {
        let a = || Requirement::equals("app", "a");
        let team = || Requirement::equals("team", "x");
        let said = |given: Peer| peer(&given, "prod");
        assert_eq!(said(pods(NamespaceScope::Own, [])), "every pod of this namespace (prod)");
        assert_eq!(said(pods(NamespaceScope::Own, [a()])), "pods app=a of this namespace (prod)");
        assert_eq!(said(pods(matching([]), [])), "every pod of every namespace");
        assert_eq!(said(pods(matching([]), [a()])), "pods app=a of every namespace");
        assert_eq!(said(pods(matching([team()]), [])), "every pod of namespaces team=x");
        assert_eq!(said(pods(matching([team()]), [a()])), "pods app=a and of namespaces team=x");
    }

    #[test]
    fn every_operator() {
        let values = || vec!["a".into(), "b".into()];
        let selector: LabelSelector = [
            Requirement::new("k", Operator::In(values())),
            Requirement::new("k", Operator::NotIn(values())),
            Requirement::new("k", Operator::NotIn(vec!["a".into()])),
            Requirement::new("k", Operator::Exists),
            Requirement::new("k", Operator::DoesNotExist),
            Requirement::equals("k", ""),
        ]
        .into_iter()
        .collect();
        let expected = "k in (a, b) and k not in (a, b) (or no k) and k!=a (or no k) and k (any value) and without k \
                        and k= (empty)";
        assert_eq!(conditions(&selector), expected);
    }

    #[test]
    fn ports() {
        let said = |protocol, given| port(&PolicyPort { protocol, port: given, at: None });
        assert_eq!(said(Protocol::Udp, PortMatch::All), "every UDP port");
        assert_eq!(said(Protocol::Tcp, PortMatch::Range(PortRange::single(80))), "TCP 80");
        assert_eq!(said(Protocol::Tcp, PortMatch::Named("http".into())), "TCP named http");
        assert_eq!(alternatives(&["a".into(), "b".into(), "c".into()]), "a, b or c");
    }
}
