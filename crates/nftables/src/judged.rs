//! Whose packets a ruleset judges: everybody else's first packets pass, and need not be asked about.

use std::{collections::HashSet, net::IpAddr};

use crate::ruleset::{Expression, FORWARD, Key, Rule, Ruleset, Verdict};

/// The addresses of which one must be the packet's source or destination, or the `forward` chain lets the
/// first packet of a connection pass, if it came from where its source is reached. `None`: a rule is
/// there of which that cannot be said.
pub fn judged(ruleset: &Ruleset) -> Option<HashSet<IpAddr>> {
    let mut addresses = HashSet::new();
    let mut rules = ruleset.chains.get(FORWARD)?.rules.as_slice();
    while let [rule, rest @ ..] = rules {
        rules = rest;
        if passes_over(ruleset, rule) {
            continue;
        }
        match rule.expressions.as_slice() {
            // Every first packet goes on there, and nowhere else.
            [Expression::NeitherEstablishedNorRelated, Expression::Verdict(Verdict::Goto(chain))] => {
                rules = &ruleset.chains.get(chain)?.rules;
            }
            [Expression::AddressMap(_, _, map)] => {
                let keys = ruleset.sets.get(map)?.elements.keys();
                addresses.extend(keys.filter_map(|key| match key {
                    Key::Address(address) => Some(*address),
                    _ => None,
                }));
            }
            _ => return None,
        }
    }
    Some(addresses)
}

/// Whether a rule never drops such a packet, nor does the chain that it jumps to.
fn passes_over(ruleset: &Ruleset, rule: &Rule) -> bool {
    match rule.expressions.last() {
        Some(Expression::Verdict(Verdict::Jump(chain))) => {
            ruleset.chains.get(chain).is_some_and(|chain| chain.rules.iter().all(drops_none))
        }
        _ => drops_none(rule),
    }
}

fn drops_none(rule: &Rule) -> bool {
    let never_matches = |expression: &Expression| {
        matches!(expression, Expression::EstablishedOrRelated | Expression::SourceNotBehindInterface)
    };
    let ends_with = rule.expressions.last();
    rule.expressions.iter().any(never_matches)
        || matches!(
            ends_with,
            Some(Expression::Verdict(Verdict::Accept) | Expression::Log { .. } | Expression::AddSource(..))
        )
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
        let standing = Rule::new([Expression::EstablishedOrRelated, Expression::Verdict(Verdict::Accept)]);
        let known = HashSet::from([IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(judged(&ruleset(vec![standing.clone(), map.clone()])), Some(known));
        assert_eq!(judged(&ruleset(vec![standing])), Some(HashSet::new()));
        let source = Rule::new([Expression::Verdict(Verdict::Jump("source".to_owned()))]);
        assert_eq!(judged(&ruleset(vec![source.clone()])), None);
        let forged = Rule::new([Expression::SourceNotBehindInterface, Expression::Verdict(Verdict::Drop)]);
        let mut with_source = ruleset(vec![source]);
        with_source.chains.insert("source".to_owned(), Chain { is_base: false, rules: vec![forged] });
        assert_eq!(judged(&with_source), Some(HashSet::new()));
        let goto = Expression::Verdict(Verdict::Goto("judge".to_owned()));
        let goto = Rule::new([Expression::NeitherEstablishedNorRelated, goto]);
        let mut sent_on = ruleset(vec![goto]);
        assert_eq!(judged(&sent_on), None, "that chain is not there");
        sent_on.chains.insert("judge".to_owned(), Chain { is_base: false, rules: vec![map.clone()] });
        assert_eq!(judged(&sent_on).map(|judged| judged.len()), Some(1));
        let dropping = Rule::new([Expression::Family(Family::V4), Expression::Verdict(Verdict::Drop)]);
        assert_eq!(judged(&ruleset(vec![map, dropping])), None);
        assert_eq!(judged(&Ruleset::default()), None);
    }
}
