//! Each difference leads to the wanted state.

use palisade_engine::model::{Family, PortRange, Protocol};
use palisade_nftables::difference::{Change, Difference};
use palisade_nftables::netlink::Kernel;
use palisade_nftables::ruleset::{Chain, Elements, Expression, Key, Rule, Ruleset, SetKind, Verdict};

use crate::rulesets::{address, everything, goto, jump, map, ports, ruleset, set, v4};
use crate::{Outcome, to};

pub(crate) fn an_empty_kernel() -> Outcome {
    let mut kernel = Kernel::open()?;
    let snapshot = kernel.snapshot()?;
    assert!(!snapshot.exists && snapshot.chains.is_empty(), "{snapshot:?}");
    assert_eq!(snapshot.differences(&Ruleset::default()), ["the table is gone"]);
    assert!(kernel.counters()?.is_empty());
    assert_eq!(kernel.apply(&Difference::default())?.transactions, 0);
    let gone = Difference { switch: vec![Change::DeleteTable], ..Difference::default() };
    let error = kernel.apply(&gone).unwrap_err().to_string();
    assert!(error.contains("delete table inet palisade: No such file or directory (ENOENT"), "{error}");
    Ok(())
}

pub(crate) fn everything_reads_back() -> Outcome {
    let mut kernel = Kernel::open()?;
    let wanted = everything();
    let applied = kernel.apply(&Difference::between(None, &wanted))?;
    println!("{applied}");
    assert_eq!((applied.transactions, applied.changes), (2, Difference::between(None, &wanted).changes().count()));
    let snapshot = kernel.snapshot()?;
    assert_eq!(snapshot.differences(&wanted), Vec::<String>::new());
    assert!(snapshot.is_one_moment);
    // Not only by the listing that both sides share.
    assert_eq!(snapshot.sets["wide"].elements, wanted.sets["wide"].elements);
    assert_eq!(snapshot.sets["r4"].elements, wanted.sets["r4"].elements);
    assert_eq!(snapshot.sets["egress4"].comment.as_deref(), Some("local pods ö"));
    assert_eq!(snapshot.chains["forward"].rules.len(), 8);
    // Doing it again over what is there is refused, not doubled.
    let error = kernel.apply(&Difference::between(None, &wanted)).unwrap_err().to_string();
    assert!(error.contains("EEXIST"), "{error}");
    assert_eq!(kernel.snapshot()?.differences(&wanted), Vec::<String>::new());
    to(&mut kernel, Some(&wanted), &Ruleset::default())?;
    kernel.apply(&Difference { switch: vec![Change::DeleteTable], ..Difference::default() })?;
    assert!(!kernel.snapshot()?.exists);
    Ok(())
}

pub(crate) fn differences_lead_there() -> Outcome {
    let mut kernel = Kernel::open()?;
    let first = everything();
    to(&mut kernel, None, &first)?;
    to(&mut kernel, Some(&first), &first)?;

    // Elements: one gone, one new, one with another verdict.
    let mut second = first.clone();
    let elements = &mut second.sets.get_mut("egress4").unwrap().elements;
    elements.remove(&address("10.0.0.2"));
    elements.insert(address("10.0.0.3"), Some(goto("last")));
    elements.insert(address("10.0.0.4"), Some(Verdict::Return));
    let elements = &mut second.sets.get_mut("wide").unwrap().elements;
    elements.remove(&Key::Ports(Protocol::Tcp, ports(1, 79)));
    elements.insert(Key::Ports(Protocol::Tcp, ports(1, 40)), Some(Verdict::Drop));
    elements.insert(Key::Ports(Protocol::Tcp, ports(41, 79)), Some(jump("last")));
    elements.insert(Key::Ports(Protocol::Sctp, PortRange::ALL), Some(Verdict::Return));
    to(&mut kernel, Some(&first), &second)?;

    // Rules: replaced, and with another comment only.
    let mut third = second.clone();
    third.chains.get_mut("profile").unwrap().rules.remove(2);
    let forward = &mut third.chains.get_mut("forward").unwrap().rules;
    forward[0].comment = Some("cut off".to_owned());
    forward.swap(3, 4);
    to(&mut kernel, Some(&second), &third)?;

    // A chain and its map go, others come.
    let mut fourth = third.clone();
    fourth.chains.remove("cell");
    fourth.chains.remove("profile");
    for gone in ["cells", "wide", "a4", "r4", "a6", "r6"] {
        fourth.sets.remove(gone);
    }
    let elements = &mut fourth.sets.get_mut("egress4").unwrap().elements;
    elements.insert(address("10.0.0.1"), Some(jump("new")));
    fourth.sets.get_mut("egress6").unwrap().elements = Elements::default();
    fourth.sets.insert("fresh".to_owned(), map(SetKind::Ports, [(Key::Port(Protocol::Tcp, 1), goto("last"))]));
    let new =
        vec![Rule::new([Expression::PortMap("fresh".to_owned())]), Rule::new([Expression::Verdict(goto("last"))])];
    fourth.chains.insert("new".to_owned(), Chain { is_base: false, rules: new });
    to(&mut kernel, Some(&third), &fourth)?;

    // And all the way back.
    to(&mut kernel, Some(&fourth), &first)
}

pub(crate) fn ranges_change() -> Outcome {
    let of = |ranges: &[(&str, &str)]| {
        let keys = ranges.iter().map(|(first, last)| Key::Range4(v4(first), v4(last)));
        ruleset([("r", set(SetKind::AddressRanges(Family::V4), keys))], [])
    };
    let steps = [
        of(&[("10.0.0.0", "10.0.0.255")]),
        // Split, joined, grown at both ends, to the top, from the bottom, everything.
        of(&[("10.0.0.0", "10.0.0.99"), ("10.0.0.101", "10.0.0.255")]),
        of(&[("10.0.0.0", "10.0.1.255")]),
        of(&[("9.0.0.0", "255.255.255.255")]),
        of(&[("0.0.0.0", "8.255.255.255"), ("240.0.0.0", "255.255.255.255")]),
        of(&[("0.0.0.0", "255.255.255.255")]),
        of(&[]),
        of(&[("255.255.255.255", "255.255.255.255"), ("0.0.0.0", "0.0.0.0")]),
    ];
    let mut kernel = Kernel::open()?;
    let mut before = None;
    for step in &steps {
        to(&mut kernel, before, step)?;
        before = Some(step);
    }
    Ok(())
}
