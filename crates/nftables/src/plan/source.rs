//! Source addresses that a pod's interface may send from: those that are reached through it.
//!
//! ```text
//! packet from a pod ─► ip saddr . iif != @sources4 ─► chain source: the routing table ─► chain forged: count, drop
//!                                                                  └─► add to @sources4, for ten seconds
//! ```
//!
//! The routing table knows, and asking it is what a new connection would pay most for, in IPv6. So the rules remember
//! what it said: the source with the interface, hashed. Only what it has just confirmed is remembered, and using it
//! does not prolong it: whatever happens to routes, after [`REMEMBERED`] they are asked again.
//! docs/decisions/0013 says what can happen in between.

use palisade_engine::model::Family;

use super::{digit, neighbour_discovery};
use crate::{
    draft::Draft,
    ruleset::{Chain, Elements, Expression, Name, Passing, Rule, Set, SetKind, Verdict},
};

/// The chain that asks the routing table.
const SOURCE: &str = "source";
/// The chain that drops forged source addresses.
const FORGED: &str = "forged";
/// For how long a source is known to be right, in seconds.
const REMEMBERED: u32 = 10;
/// How many are: more than a node has pods, but a pod may have many addresses. Beyond that each is asked for.
const AT_MOST: u32 = 65_536;

/// Puts there what [`ask`] refers to.
pub(super) fn skeleton(draft: &mut Draft) {
    for family in Family::ALL {
        let passing = Passing { seconds: REMEMBERED, at_most: AT_MOST, by_rules: true };
        let (kind, elements) = (SetKind::Sources(family), Elements::default());
        draft.put_set(&known(family), Set { kind, is_map: false, comment: None, passing: Some(passing), elements });
    }
    draft.put_chain(&SOURCE.to_owned(), source());
    draft.put_chain(&FORGED.to_owned(), forged());
}

/// The rule of the `forward` chain for the interfaces whose names begin so.
pub(super) fn ask(family: Family, prefix: &str) -> Rule {
    Rule::new([
        Expression::Family(family),
        Expression::InterfacePrefix(prefix.to_owned()),
        Expression::SourceNotIn(family, known(family)),
        Expression::Verdict(Verdict::Jump(SOURCE.to_owned())),
    ])
}

fn source() -> Chain {
    let forged = [Expression::SourceNotBehindInterface, Expression::Verdict(Verdict::Goto(FORGED.to_owned()))];
    let remember = Family::ALL.map(|family| Rule::new([Expression::AddSource(family, known(family))]));
    Chain { is_base: false, rules: [Rule::new(forged)].into_iter().chain(remember).collect() }
}

/// Drops what came by a pod's interface with a source that is not reached through it. The solicitation that
/// looks for a duplicate address, which comes from `::`, goes on.
fn forged() -> Chain {
    let drop = Rule::new([Expression::Counter, Expression::Verdict(Verdict::Drop)]);
    Chain { is_base: false, rules: vec![neighbour_discovery(), drop.comment("forged source address")] }
}

fn known(family: Family) -> Name {
    format!("sources{}", digit(family))
}
