//! Differences with known answers, told in as few words as they allow.
#![allow(dead_code, clippy::unwrap_used, clippy::unreachable, reason = "test code: a wrong fixture shall fail")]

mod support;

use palisade_engine::{
    connections::End,
    diff::{Difference, State},
    model::{Family, NetworkPolicy},
};
use support::{Case, With as _, block, case, ingress, pod, pods, rule};

fn dual_stack(policies: Vec<NetworkPolicy>) -> Case {
    let all = [
        pod("shop/web", "app=web").ip("10.0.0.1").ip("2001:db8::1"),
        pod("shop/db", "app=db").ip("10.0.0.2").ip("2001:db8::2"),
        pod("shop/old", "app=old").ip("10.0.0.3"),
    ];
    let mut policies = policies.into_iter();
    match (policies.next(), policies.next()) {
        (Some(a), Some(b)) => case(all, [a, b]),
        (Some(a), None) => case(all, [a]),
        _ => case(all, []),
    }
}

/// Each change as `from -> to family +gained -lost`, pods by name and the outside as one word.
fn told(old: &Case, new: &Case) -> Vec<String> {
    let difference = Difference::new(state(old), state(new));
    let names = |set| {
        let mut names: Vec<String> = Vec::new();
        for end in difference.ends.members(set) {
            let name = match difference.new.ends().get(end.new.unwrap()) {
                End::Pods(identity) => {
                    let pod = *new.program.identity(*identity).pods.first().unwrap();
                    new.cluster.pod(pod).id.name.to_string()
                }
                End::Node { .. } => "node".to_owned(),
                End::Outside { first, .. } => format!("outside {}", Family::of(*first)),
            };
            names.push(name);
        }
        names.sort();
        names.dedup();
        names.join("+")
    };
    let mut lines: Vec<String> = difference
        .changes
        .iter()
        .map(|change| {
            let family = change.family.map_or_else(|| "any".to_owned(), |family| family.to_string());
            let (from, to) = (names(&change.from), names(&change.to));
            format!("{from} -> {to} {family} +{} -{}", change.gained, change.lost)
        })
        .collect();
    lines.sort();
    lines
}

/// What holds over both families, or over the only one that the ends have, is told once.
#[test]
fn a_change_of_both_families_is_one() {
    let before = dual_stack(vec![ingress("shop/db", "app=db", [rule([pods("app=web")], ["TCP 5432"])])]);
    let after =
        dual_stack(vec![ingress("shop/db", "app=db", [rule([pods("app in web|old")], ["TCP 5432", "TCP 80"])])]);
    let told = told(&before, &after);
    assert_eq!(told, ["old -> db any +TCP 80, 5432 -nothing", "web -> db any +TCP 80 -nothing"]);
}

/// A block is of one family: between pods that have both it is told for that one; from outside of that
/// family there is no other to tell it from.
#[test]
fn a_change_of_one_family_says_which() {
    let before = dual_stack(vec![ingress("shop/db", "app=db", [])]);
    let after = dual_stack(vec![ingress("shop/db", "app=db", [rule([block("0.0.0.0/0", [])], ["TCP 5432"])])]);
    let told = told(&before, &after);
    assert_eq!(told, ["old+outside IPv4 -> db any +TCP 5432 -nothing", "web -> db IPv4 +TCP 5432 -nothing"]);
}

/// Where only an address would tell that nobody knows yet, "no difference" is not said for certain.
#[test]
fn what_an_unknown_address_would_tell_is_not_passed_over() {
    let of = |block_of: &str| {
        let policy = ingress("shop/db", "app=db", [rule([block(block_of, [])], ["TCP 5432"])]);
        case([pod("shop/web", "app=web"), pod("shop/db", "app=db")], [policy])
    };
    let closed = case([pod("shop/web", "app=web"), pod("shop/db", "app=db")], [ingress("shop/db", "app=db", [])]);
    let certain = |old: &Case, new: &Case| Difference::new(state(old), state(new)).is_certain;
    assert!(!certain(&closed, &of("10.0.0.0/8")), "web may come to be in it");
    assert!(certain(&closed, &closed) && certain(&of("10.0.0.0/8"), &of("10.0.0.0/8")));
}

fn state(case: &Case) -> State<'_> {
    State { cluster: &case.cluster, program: &case.program }
}

/// A policy more isolates: whoever could, cannot, and who never could has lost nothing.
#[test]
fn isolation_takes_away() {
    let before = dual_stack(Vec::new());
    let after = dual_stack(vec![ingress("shop/db", "app=db", [rule([pods("app=web")], [])])]);
    let told = told(&before, &after);
    assert_eq!(told, ["old+outside IPv4+outside IPv6 -> db any +nothing -everything"]);
    assert!(self::told(&after, &after).is_empty());
}
