//! Properties of the compiled program that questions about rules and policies rest on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use palisade_engine::{
    PolicyProgram,
    model::{Direction, Flow, Inventory},
    verdict::Outcome,
};
use palisade_oracle::generate::Generator;

fn outcomes(inventory: Inventory, flows: &[Flow]) -> Vec<Outcome> {
    let cluster = inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    flows.iter().map(|flow| program.verdict(&cluster, flow).outcome()).collect()
}

/// A rule that another one covers can go, and no verdict changes.
#[test]
fn a_covered_rule_is_redundant() {
    let mut covered = 0;
    for seed in 0..600 {
        let generator = Generator::new(seed);
        let cluster = generator.cluster();
        let program = PolicyProgram::compile(&cluster);
        let flows = generator.flows(&cluster, 40);
        let before = outcomes(generator.inventory(), &flows);
        for (id, policy) in cluster.policies() {
            for direction in Direction::ALL {
                let rules = 0..policy.rules(direction).len();
                let Some((_, narrow)) =
                    rules.clone().flat_map(|a| rules.clone().map(move |b| (a, b))).find(|(a, b)| {
                        let pair = (program.rule_of(id, direction, *a), program.rule_of(id, direction, *b));
                        a != b && matches!(pair, (Some(a), Some(b)) if program.covers(a, b))
                    })
                else {
                    continue;
                };
                covered += 1;
                let mut inventory = generator.inventory();
                let written = &mut inventory.policies[id.index()];
                match direction {
                    Direction::Ingress => written.ingress.remove(narrow),
                    Direction::Egress => written.egress.remove(narrow),
                };
                assert_eq!(outcomes(inventory, &flows), before, "seed {seed}, {} {direction}[{narrow}]", policy.id);
            }
        }
    }
    assert!(covered > 100, "only {covered} covered rules: the property says too little");
}

/// What the program says of policies and rules agrees with its profiles.
#[test]
fn policies_rules_and_profiles_agree() {
    let (mut affecting, mut silent) = (0, 0);
    for seed in 0..300 {
        let cluster = Generator::new(seed).cluster();
        let program = PolicyProgram::compile(&cluster);
        for (id, policy) in cluster.policies() {
            for direction in Direction::ALL {
                let affects = program.affects(id, direction);
                if affects {
                    affecting += 1
                } else {
                    silent += 1
                }
                for index in 0..policy.rules(direction).len() {
                    let rule = program.rule_of(id, direction, index);
                    assert_eq!(rule.is_some(), affects, "seed {seed}: {}", policy.id);
                    let origin = rule.map(|rule| program.rule(rule).origin);
                    assert!(origin.is_none_or(|o| (o.policy, o.direction, o.index) == (id.into(), direction, index)));
                }
                assert_eq!(program.rule_of(id, direction, policy.rules(direction).len()), None);
                let subjects = program.subjects_of(id);
                for (identity, _) in program.identities() {
                    let profile = program.profile(program.profile_of(identity, direction));
                    let in_profile = profile.tiers.iter().any(|tier| tier.policies.contains(&id.into()));
                    let selected = subjects.is_some_and(|subjects| program.selects(subjects, identity));
                    assert_eq!(in_profile, affects && selected, "seed {seed}: {}", policy.id);
                }
            }
        }
        assert!(program.profiles().iter().all(|profile| profile.is_open() == profile.tiers.is_empty()));
        let open = program.profiles().iter().filter(|profile| profile.is_open()).count();
        assert!(open <= 2 && !program.profiles().is_empty(), "seed {seed}: one open profile a direction at most");
    }
    assert!(affecting > 300 && silent > 300, "{affecting} and {silent}");
}
