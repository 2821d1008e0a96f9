//! Whatever fails and whoever meddles, the table ends as it shall be.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails so; clippy does not see that helpers are of tests"
)]

mod support;

use palisade_agent::{
    Enforcer, Table,
    enforce::{Counters, Failure, Found, cleanup},
};
use palisade_nftables::{
    difference::{Change, Difference},
    ruleset::{Chain, Rule, Ruleset, SetKind},
};
use support::{Dice, OneKernel, ruleset};

/// Attempts until one does not fail.
fn settle<T: Table>(enforcer: &mut Enforcer<T>) -> usize {
    for failures in 0..20 {
        match enforcer.attempt() {
            Ok(_) => return failures,
            Err(_) => assert!(enforcer.wait().is_some() && !enforcer.is_enforced()),
        }
    }
    panic!("it does not settle");
}

fn enforced(kernel: &OneKernel, ruleset: &Ruleset) -> Enforcer<OneKernel> {
    let mut enforcer = Enforcer::new(kernel.clone());
    enforcer.draft().become_ruleset(ruleset.clone());
    enforcer.attempt().unwrap();
    assert!(enforcer.is_enforced());
    enforcer
}

#[test]
fn any_one_failure_is_overcome() {
    let mut failed = 0;
    for seed in 0..6 {
        let (before, after) = (ruleset(seed), ruleset(seed + 1_000));
        for start in [None, Some(&before)] {
            for n in 0.. {
                let kernel = OneKernel::default();
                let mut enforcer = start.map_or_else(|| Enforcer::new(kernel.clone()), |old| enforced(&kernel, old));
                kernel.with(|kernel| kernel.fail_at(kernel.transactions() + n));
                enforcer.draft().become_ruleset(after.clone());
                let failures = settle(&mut enforcer);
                assert_eq!(kernel.ruleset().as_ref(), Some(&after), "seed {seed}, transaction {n}");
                let counters = enforcer.counters();
                assert_eq!((counters.errors, counters.retries), (failures as u64, failures as u64));
                // Whatever is left half done is read, not guessed at.
                assert!(failures <= 1, "seed {seed}, transaction {n}: {failures}");
                failed += failures;
                if failures == 0 {
                    break;
                }
            }
        }
    }
    println!("{failed} failures overcome");
    assert!(failed > 100);
}

/// Refuses the next so many differences, and to be read so often.
struct Stubborn {
    kernel: OneKernel,
    refuses: usize,
    unreadable: usize,
    /// Says that what is there is not what is wanted, and cannot say in what.
    muddled: bool,
}

impl Stubborn {
    fn new(kernel: &OneKernel) -> Self {
        Self { kernel: kernel.clone(), refuses: 0, unreadable: 0, muddled: false }
    }
}

impl Table for Stubborn {
    fn apply(&mut self, difference: &Difference) -> Result<usize, Failure> {
        if self.refuses > 0 {
            self.refuses -= 1;
            return Err(Failure { message: "no".to_owned(), transactions: 0, in_doubt: false });
        }
        self.kernel.apply(difference)
    }

    fn found(&mut self, wanted: &Ruleset) -> Result<Found, Failure> {
        if self.unreadable > 0 {
            self.unreadable -= 1;
            return Err(Failure { message: "cannot".to_owned(), transactions: 0, in_doubt: false });
        }
        if self.muddled {
            return Ok(Found::Other { ruleset: wanted.clone(), drift: vec!["something".to_owned()] });
        }
        self.kernel.found(wanted)
    }
}

#[test]
fn each_failure_leads_to_a_harder_means() {
    let (before, after) = (ruleset(1), ruleset(2));
    // Refusals, then: retries, rebuilds, replacements.
    for (refuses, means) in [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (2, 1, 0)), (3, (3, 1, 1)), (4, (4, 2, 1))] {
        let kernel = OneKernel::default();
        let mut enforcer = Enforcer::new(Stubborn::new(&kernel));
        enforcer.draft().become_ruleset(before.clone());
        enforcer.attempt().unwrap();
        let first = enforcer.counters();
        assert_eq!(first, Counters { transactions: first.transactions, ..Counters::default() });
        enforcer.table().refuses = refuses;
        enforcer.draft().become_ruleset(after.clone());
        assert_eq!(settle(&mut enforcer), refuses);
        let counters = enforcer.counters();
        assert_eq!((counters.retries, counters.rebuilds, counters.replacements), means);
        assert_eq!(kernel.ruleset(), Some(after.clone()));
        assert_eq!(enforcer.wait(), None);
    }
}

#[test]
fn a_table_that_is_not_there_is_replaced_too() {
    let kernel = OneKernel::default();
    let mut enforcer = Enforcer::new(Stubborn { refuses: 3, ..Stubborn::new(&kernel) });
    enforcer.draft().become_ruleset(ruleset(1));
    assert_eq!(settle(&mut enforcer), 3);
    assert_eq!((kernel.ruleset(), enforcer.counters().replacements), (Some(ruleset(1)), 1));
}

#[test]
fn what_no_difference_explains_is_replaced() {
    let kernel = OneKernel::default();
    let mut enforcer = Enforcer::new(Stubborn { muddled: true, ..Stubborn::new(&kernel) });
    enforcer.draft().become_ruleset(ruleset(1));
    let done = enforcer.attempt().unwrap();
    assert_eq!((done.transactions, done.drift), (1, vec!["something".to_owned()]));
    assert_eq!((kernel.ruleset(), enforcer.counters().replacements), (Some(ruleset(1)), 1));
}

#[test]
fn waits_grow_and_end_growing() {
    let mut enforcer = Enforcer::new(Stubborn { refuses: 100, ..Stubborn::new(&OneKernel::default()) });
    enforcer.draft().become_ruleset(ruleset(1));
    let waits: Vec<u128> = (0..40)
        .map(|_| {
            enforcer.attempt().unwrap_err();
            enforcer.wait().unwrap().as_millis()
        })
        .collect();
    assert_eq!(waits[..4], [10, 20, 40, 80]);
    assert_eq!(waits[39], 5_000);
}

#[test]
fn a_table_that_cannot_be_read_is_replaced() {
    let (kernel, wanted) = (OneKernel::default(), ruleset(3));
    drop(enforced(&kernel, &ruleset(4)));
    let mut enforcer = Enforcer::new(Stubborn { unreadable: 9, ..Stubborn::new(&kernel) });
    enforcer.draft().become_ruleset(wanted.clone());
    assert_eq!(settle(&mut enforcer), 3);
    assert_eq!((kernel.ruleset(), enforcer.counters().replacements), (Some(wanted), 1));
    // An audit that cannot read says so and does nothing.
    assert_eq!(enforcer.audit().unwrap_err().message, "cannot");
    assert!(enforcer.is_enforced());
}

#[test]
fn a_start_recognises_what_is_there() {
    let (kernel, wanted) = (OneKernel::default(), ruleset(5));
    drop(enforced(&kernel, &wanted));
    let before = kernel.transactions();
    let again = enforced(&kernel, &wanted);
    assert_eq!((kernel.transactions(), again.counters()), (before, Counters::default()));
    // What was done meanwhile by nobody is caught up with by a difference.
    let other = ruleset(6);
    let again = enforced(&kernel, &other);
    assert_eq!((kernel.ruleset(), again.counters().replacements), (Some(other), 0));
}

#[test]
fn an_audit_repairs_what_a_hand_did() {
    for seed in 0..40 {
        let (kernel, wanted) = (OneKernel::default(), ruleset(seed));
        let mut enforcer = enforced(&kernel, &wanted);
        let done = enforcer.audit().unwrap();
        assert_eq!((done.transactions, enforcer.counters().repairs), (0, 0));
        let foreign = Chain { is_base: false, rules: vec![Rule::default()] };
        let strange = Change::AddSet {
            name: "odd".to_owned(),
            kind: SetKind::Ports,
            is_map: false,
            comment: None,
            passing: None,
        };
        let mut hands = vec![
            vec![Change::DeleteTable],
            vec![Change::FlushChain("forward".to_owned())],
            vec![Change::AddChain { name: "odd".to_owned(), is_base: foreign.is_base }, strange],
            vec![Change::AddRule("forward".to_owned(), Rule::default())],
        ];
        for (set, elements) in wanted.sets.iter().filter(|(_, set)| !set.elements.is_empty()) {
            let keys = vec![*elements.elements.keys().next().unwrap()];
            hands.push(vec![Change::DeleteElements { set: set.clone(), kind: elements.kind, keys }]);
        }
        // A map that became a set of the same name: no difference leads away from it.
        let map = Change::DeleteSet("egress4".to_owned());
        let kind = SetKind::Ports;
        let set = Change::AddSet { name: "egress4".to_owned(), kind, is_map: false, comment: None, passing: None };
        hands.push(vec![Change::FlushChain("judge".to_owned()), map, set]);
        for (number, hand) in (1..).zip(&hands) {
            kernel.with(|kernel| kernel.commit(hand)).unwrap();
            assert_ne!(kernel.ruleset().as_ref(), Some(&wanted));
            let done = enforcer.audit().unwrap();
            assert!(done.transactions > 0 && !done.drift.is_empty());
            assert_eq!(kernel.ruleset().as_ref(), Some(&wanted), "{hand:?}");
            assert_eq!(enforcer.counters().repairs, number);
        }
        assert_eq!(enforcer.counters().replacements, 1);
    }
}

#[test]
fn a_repair_that_fails_is_tried_again() {
    let (kernel, wanted) = (OneKernel::default(), ruleset(7));
    let mut enforcer = enforced(&kernel, &wanted);
    for n in 0..5 {
        kernel.with(|kernel| {
            kernel.commit(&[Change::DeleteTable]).unwrap();
            kernel.fail_at(kernel.transactions() + n);
        });
        if enforcer.audit().is_err() {
            settle(&mut enforcer);
        }
        assert_eq!(kernel.ruleset().as_ref(), Some(&wanted));
    }
}

#[test]
fn two_at_once_end_where_both_want_to() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let kernel = OneKernel::default();
        let steps: Vec<Ruleset> = (0..5).map(|step| ruleset(seed * 5 + step)).collect();
        let mut agents = [Enforcer::new(kernel.clone()), Enforcer::new(kernel.clone())];
        let mut at = [0; 2];
        while at != [steps.len(); 2] {
            let who = dice.below(2);
            match dice.below(3) {
                // A failure is left for later, as the loop does.
                0 => _ = agents[who].attempt(),
                1 => _ = agents[who].audit(),
                _ => {
                    if let Some(ruleset) = steps.get(at[who]) {
                        agents[who].draft().become_ruleset(ruleset.clone());
                        at[who] += 1;
                    }
                }
            }
        }
        agents.iter_mut().for_each(|agent| _ = settle(agent));
        agents.iter_mut().for_each(|agent| {
            _ = agent.audit();
            settle(agent);
        });
        assert_eq!(kernel.ruleset().as_ref(), steps.last(), "seed {seed}");
        let before = kernel.transactions();
        agents.iter_mut().for_each(|agent| assert_eq!(agent.audit().unwrap().transactions, 0));
        assert_eq!(kernel.transactions(), before);
    }
}

#[test]
fn cleanup_removes_the_table() {
    let kernel = OneKernel::default();
    let mut nobody = kernel.clone();
    cleanup(&mut nobody).unwrap();
    assert_eq!(kernel.ruleset(), None);
    let enforcer = enforced(&kernel, &ruleset(8));
    enforcer.cleanup().unwrap();
    assert_eq!(kernel.ruleset(), None);
}
