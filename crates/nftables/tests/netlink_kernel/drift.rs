//! What is read back, whoever changed it and meanwhile.

use palisade_nftables::difference::{Change, Difference};
use palisade_nftables::netlink::{Kernel, ReadError};

use crate::against_nft::nft;
use crate::rulesets::everything;
use crate::{HAS_NFT, Outcome, to};

pub(crate) fn a_stranger_is_seen() -> Outcome {
    if !*HAS_NFT {
        return Ok(());
    }
    let mut kernel = Kernel::open()?;
    let wanted = everything();
    to(&mut kernel, None, &wanted)?;
    for (command, seen) in [
        (
            "add element inet palisade a4 { 1.2.3.4 }",
            "set a4 has 1 elements too many or with another verdict, first 1.2.3.4",
        ),
        (
            "delete element inet palisade a6 { fd00::1 }",
            "set a6 has 1 elements too few or with another verdict, first fd00::1",
        ),
        ("insert rule inet palisade cell accept", "chain cell has 9 rules and not 8"),
        ("add chain inet palisade theirs", "chain theirs is one too many"),
        ("add set inet palisade odd { type mark; }", "set odd is one too many"),
        ("add table inet palisade { flags dormant; }", "the table is dormant: none of its rules has an effect"),
        ("add table inet other; add chain inet other forward", ""),
    ] {
        nft(&[command], "")?;
        let differences = kernel.snapshot()?.differences(&wanted);
        assert!(seen.is_empty() || differences.iter().any(|line| line == seen), "{command}: {differences:?}");
    }
    nft(&["delete table inet palisade"], "")?;
    assert_eq!(kernel.snapshot()?.differences(&wanted), ["the table is gone"]);
    Ok(())
}

pub(crate) fn rules_count() -> Outcome {
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &everything())?;
    let counters = kernel.counters()?;
    let named: Vec<_> =
        counters.iter().map(|counter| (counter.chain.as_str(), counter.comment.as_deref(), counter.packets)).collect();
    assert_eq!(counters.len(), 3);
    assert!(named.contains(&("forward", Some("forged source"), 0)), "{named:?}");
    assert!(named.contains(&("last", None, 0)), "{named:?}");
    assert_eq!((kernel.packets_counted("last")?, kernel.packets_counted("no such chain")?), (Some(0), None));
    if *HAS_NFT {
        nft(&["-f", "-"], "add rule inet palisade cell counter packets 7 bytes 4294967296 comment \"seven\"")?;
        let counters = kernel.counters()?;
        let seven = counters.iter().find(|counter| counter.comment.as_deref() == Some("seven")).ok_or("not there")?;
        assert_eq!((seven.packets, seven.bytes), (7, 1 << 32));
        // One chain alone, also beside a chain of that name in another table.
        nft(&["-f", "-"], "table inet other { chain cell { counter packets 9 bytes 9; }; }")?;
        nft(&["-f", "-"], "add rule inet palisade cell counter packets 5 bytes 1")?;
        assert_eq!(kernel.packets_counted("cell")?, Some(12));
    }
    Ok(())
}

pub(crate) fn reading_is_never_torn() -> Outcome {
    let mut kernel = Kernel::open()?;
    let mut writer = Kernel::open()?;
    let wanted = everything();
    to(&mut kernel, None, &wanted)?;
    let rules = ["profile", "cell", "last"].into_iter().flat_map(|chain| {
        let rules = wanted.chains[chain].rules.iter();
        std::iter::once(Change::FlushChain(chain.to_owned()))
            .chain(rules.map(move |rule| Change::AddRule(chain.to_owned(), rule.clone())))
    });
    let elements = ["a4", "r4", "p6", "egress4", "wide"].into_iter().flat_map(|name| {
        let (set, kind) = (name.to_owned(), wanted.sets[name].kind);
        let elements = wanted.sets[name].elements.clone();
        let keys = elements.keys().copied().collect();
        [Change::DeleteElements { set: set.clone(), kind, keys }, Change::AddElements { set, kind, elements }]
    });
    let switch = rules.chain(elements).collect();
    let rewrite = Difference { switch, ..Difference::default() };
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || (0..5_000).try_for_each(|_| writer.apply(&rewrite).map(|_| ())));
        let (mut read, mut gave_up) = (0, 0);
        while !writing.is_finished() {
            match kernel.snapshot() {
                Ok(snapshot) => {
                    assert_eq!(snapshot.differences(&wanted), Vec::<String>::new());
                    read += 1;
                }
                Err(ReadError::Unsettled { .. }) => gave_up += 1,
                Err(error) => return Err(error.into()),
            }
        }
        println!("{read} snapshots during 5,000 rewrites, {gave_up} given up");
        writing.join().map_err(|_| "the writer panicked")??;
        Ok(())
    })
}
