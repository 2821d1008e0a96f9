//! Sets of learned addresses, and the table that holds answers.

use std::{collections::BTreeSet, net::IpAddr, process::Command, time::Duration};

use palisade_engine::model::Family;
use palisade_nftables::{
    difference::{Change, Difference, Learned},
    held::Held,
    netlink::Kernel,
    ruleset::{Passing, Set, SetKind},
};

use super::{HAS_NFT, Outcome, rulesets::*, to};

fn learned(address: &str, left: u64, why: &str) -> Learned {
    Learned { address: address.parse().unwrap(), left: Duration::from_secs(left), why: why.to_owned() }
}

fn one(change: Change) -> Difference {
    Difference { switch: vec![change], ..Difference::default() }
}

/// They are kept with the time that is left and what they were learned from, and are no drift.
pub(super) fn what_is_learned() -> Outcome {
    let empty = |family| Set { passing: Some(Passing::LEARNED), ..set(SetKind::Addresses(family), []) };
    let wanted = ruleset([("names4-a", empty(Family::V4)), ("names6-a", empty(Family::V6))], []);
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &wanted)?;
    let many: Vec<Learned> =
        (0..=255).map(|last| learned(&format!("203.0.113.{last}"), 60, "api.example.com")).collect();
    kernel.apply(&one(Change::AddLearned { set: "names4-a".to_owned(), elements: many }))?;
    let six = vec![learned("2001:db8::7", 3600, "*.example.com")];
    kernel.apply(&one(Change::AddLearned { set: "names6-a".to_owned(), elements: six }))?;
    assert_eq!(kernel.snapshot()?.differences(&wanted), Vec::<String>::new());
    let found = kernel.learned()?;
    assert_eq!((found["names4-a"].len(), found["names6-a"].len()), (256, 1));
    let back = &found["names6-a"][0];
    assert_eq!((back.address, back.why.as_str()), ("2001:db8::7".parse()?, "*.example.com"));
    assert!(back.left > Duration::from_secs(3000) && back.left <= Duration::from_secs(3600), "{:?}", back.left);
    // One that is there gets more time by going and coming in one transaction.
    let address: IpAddr = "203.0.113.7".parse()?;
    let kind = SetKind::Addresses(Family::V4);
    let keys = vec![palisade_nftables::ruleset::Key::Address(address)];
    let longer = vec![learned("203.0.113.7", 1000, "api.example.com")];
    let (set, again) = ("names4-a".to_owned(), "names4-a".to_owned());
    let switch = vec![Change::DeleteElements { set, kind, keys }, Change::AddLearned { set: again, elements: longer }];
    kernel.apply(&Difference { switch, ..Difference::default() })?;
    let found = kernel.learned()?;
    let left = found["names4-a"].iter().find(|one| one.address == address).map(|one| one.left);
    assert!(left > Some(Duration::from_secs(900)), "{left:?}");
    Ok(())
}

/// The table comes, is replaced and goes, and nft reads it as it is meant.
pub(super) fn answers_are_held() -> Outcome {
    let mut kernel = Kernel::open()?;
    kernel.hold(None)?;
    let pods: BTreeSet<IpAddr> = ["10.244.0.2".parse()?, "10.244.0.3".parse()?, "fd00::2".parse()?].into();
    kernel.hold(Some(&Held { pods, port: 5353 }))?;
    let listed = || -> Result<String, std::io::Error> {
        let output = Command::new("nft").args(["list", "ruleset"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    if *HAS_NFT {
        let text = listed()?;
        for expected in [
            "udp sport 53 ip daddr @pods1 ct direction reply tproxy ip to 127.0.0.1:5353",
            "tproxy ip6 to [::1]:5353",
            "elements = { 10.244.0.2, 10.244.0.3 }",
            "type filter hook prerouting priority dstnat + 10; policy accept;",
            "type filter hook output priority raw; policy accept;",
            "meta mark & 0x00003000 == 0x00002000 notrack",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
    kernel.hold(Some(&Held { pods: ["10.244.0.9".parse()?].into(), port: 5354 }))?;
    if *HAS_NFT {
        let text = listed()?;
        assert!(text.contains("127.0.0.1:5354") && !text.contains("5353") && !text.contains("fd00::2"), "{text}");
    }
    kernel.hold(None)?;
    if *HAS_NFT {
        assert!(!listed()?.contains("palisade-names"));
    }
    Ok(())
}
