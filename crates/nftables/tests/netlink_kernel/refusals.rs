//! What is refused is named, and leaves everything as it was.

use palisade_engine::model::Family;
use palisade_nftables::difference::{Change, Difference};
use palisade_nftables::netlink::{ApplyError, Kernel, Stage};
use palisade_nftables::ruleset::{Chain, Elements, Expression, Key, Rule, SetKind, Verdict};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::rulesets::{address, everything, jump, v4};
use crate::{Outcome, to};

pub(crate) fn a_broken_switch() -> Outcome {
    let mut kernel = Kernel::open()?;
    let old = everything();
    to(&mut kernel, None, &old)?;
    let mut new = old.clone();
    let rules = &mut new.chains.get_mut("profile").unwrap().rules;
    rules.insert(0, Rule::new([Expression::Counter, Expression::Verdict(jump("nowhere"))]));
    new.sets.get_mut("a4").unwrap().elements = Elements::default();
    let error = kernel.apply(&Difference::between(Some(&old), &new)).unwrap_err();
    println!("{error}");
    let ApplyError::Refused { stage: Stage::Switch, refusals, .. } = &error else { panic!("{error:?}") };
    assert_eq!(refusals[0].change, "add rule to chain profile");
    assert_eq!(refusals[0].part.as_deref(), Some("[ immediate reg 0 jump -> nowhere ]"));
    assert!(error.to_string().contains("No such file or directory (ENOENT"), "{error}");
    assert_eq!(kernel.snapshot()?.differences(&old), Vec::<String>::new());
    // The socket is as good as before.
    let mut mended = new.clone();
    mended.chains.insert("nowhere".to_owned(), Chain::default());
    to(&mut kernel, Some(&old), &mended)
}

pub(crate) fn refusals_are_named() -> Outcome {
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &everything())?;
    let elements = |set: &str, kind, elements: Vec<_>| {
        let elements = elements.into_iter().collect();
        Change::AddElements { set: set.to_owned(), kind, elements }
    };
    let cases = [
        (
            elements(
                "egress4",
                SetKind::Addresses(Family::V4),
                vec![(address("10.0.0.9"), Some(Verdict::Drop)), (address("10.0.0.1"), Some(Verdict::Drop))],
            ),
            "add 2 elements to map egress4: File exists (EEXIST",
            "at element 10.0.0.1 : drop",
        ),
        (
            elements(
                "r4",
                SetKind::AddressRanges(Family::V4),
                vec![
                    (Key::Range4(v4("20.0.0.0"), v4("20.0.0.9")), None),
                    (Key::Range4(v4("10.0.0.7"), v4("10.0.0.20")), None),
                ],
            ),
            "add 2 elements to set r4: File exists (EEXIST",
            "at element 10.0.0.7-10.0.0.20",
        ),
        (
            Change::DeleteElements {
                set: "a4".to_owned(),
                kind: SetKind::Addresses(Family::V4),
                keys: vec![address("10.0.0.1"), address("10.0.0.77")],
            },
            "delete 2 elements of set a4: No such file or directory (ENOENT",
            "at element 10.0.0.77",
        ),
        (
            Change::DeleteChain("profile".to_owned()),
            "delete chain profile: Device or resource busy (EBUSY; something still refers to it)",
            "",
        ),
        (
            Change::AddRule(
                "cell".to_owned(),
                Rule::new([Expression::Log { group: 1, prefix: "x".repeat(128) }]).comment("why"),
            ),
            "add rule \"why\" to chain cell: Numerical result out of range (ERANGE",
            "at [ log prefix",
        ),
        (
            Change::AddSet { name: "x".repeat(300), kind: SetKind::Ports, is_map: false, comment: None, passing: None },
            "add set xxx",
            "Attribute failed policy validation",
        ),
    ];
    for (change, change_words, part) in cases {
        let error = kernel.apply(&Difference { switch: vec![change], ..Difference::default() }).unwrap_err();
        let words = error.to_string();
        println!("{words}");
        assert!(words.contains(change_words) && words.contains(part), "{words}\nwanted: {change_words} … {part}");
    }
    assert_eq!(kernel.snapshot()?.differences(&everything()), Vec::<String>::new());
    Ok(())
}

pub(crate) fn a_flood_of_errors() -> Outcome {
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &everything())?;
    let switch = (0..20_000).map(|n| Change::DeleteChain(format!("nobody-{n}"))).collect();
    let error = kernel.apply(&Difference { switch, ..Difference::default() }).unwrap_err();
    let ApplyError::Refused { refusals, .. } = &error else { panic!("{error:?}") };
    println!("{} of 20,000 errors were read: {error}", refusals.len());
    assert!(refusals.len() >= 200 && refusals[0].change == "delete chain nobody-0");
    assert!(error.to_string().len() < 1_000, "{error}");
    // What is read next is not mistaken for an answer to what is asked next.
    to(&mut kernel, Some(&everything()), &everything())
}

pub(crate) fn without_privilege() -> Outcome {
    // Of this thread only, which ends with the test.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    let error = Kernel::open()?.apply(&Difference::between(None, &everything())).unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("(EPERM; CAP_NET_ADMIN is missing"), "{error}");
    Ok(())
}
