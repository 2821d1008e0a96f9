//! Whose packets a ruleset judges: everybody else's first packets pass, and need not be asked about.

use std::{collections::HashSet, net::IpAddr};

use crate::ruleset::{Expression, FORWARD, Key, Rule, Ruleset, Verdict};

/// The addresses of which one must be the packet's source or destination, or the `forward` chain lets the
/// first packet of a connection pass, if it came from where its source is reached. `None`: a rule is
/// there of which that cannot be said.
pub fn judged(ruleset: &Ruleset) -> Option<HashSet<IpAddr>> {
    let mut addresses = HashSet::new();
    for rule in &ruleset.chains.get(FORWARD)?.rules {
        if passes_over(rule) {
            continue;
        }
        let [Expression::AddressMap(_, _, map)] = rule.expressions.as_slice() else { return None };
        let keys = ruleset.sets.get(map)?.elements.keys();
        addresses.extend(keys.filter_map(|key| match key {
            Key::Address(address) => Some(*address),
            _ => None,
        }));
    }
    Some(addresses)
}

/// Whether a rule never drops such a packet.
fn passes_over(rule: &Rule) -> bool {
    let never_matches = |expression: &Expression| {
        matches!(
            expression,
            Expression::ConnectionMark(_) | Expression::EstablishedOrRelated | Expression::SourceNotBehindInterface
        )
    };
    let ends_with = rule.expressions.last();
    rule.expressions.iter().any(never_matches)
        || matches!(ends_with, Some(Expression::Verdict(Verdict::Accept) | Expression::Log { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Chain, End, Set, SetKind};
    use palisade_engine::model::Family;

    fn ruleset(rules: Vec<Rule>) -> Ruleset {
        let address = Key::Address(IpAddr::from([10, 0, 0, 1]));
        let kind = SetKind::Addresses(Family::V4);
        let elements = [(address, Some(Verdict::Drop))].into();
        let map = Set { kind, is_map: true, comment: None, passing: None, elements };
        let chains = [(FORWARD.to_owned(), Chain { is_base: true, rules })].into();
        Ruleset { sets: [("egress4".to_owned(), map)].into(), chains }
    }

    #[test]
    fn what_is_not_understood_may_be_about_anybody() {
        let map = Rule::new([Expression::AddressMap(End::Source, Family::V4, "egress4".to_owned())]);
        let cut = Rule::new([Expression::ConnectionMark(1), Expression::Verdict(Verdict::Drop)]);
        let known = HashSet::from([IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(judged(&ruleset(vec![cut.clone(), map.clone()])), Some(known));
        assert_eq!(judged(&ruleset(vec![cut])), Some(HashSet::new()));
        let dropping = Rule::new([Expression::Family(Family::V4), Expression::Verdict(Verdict::Drop)]);
        assert_eq!(judged(&ruleset(vec![map, dropping])), None);
        assert_eq!(judged(&Ruleset::default()), None);
    }
}
