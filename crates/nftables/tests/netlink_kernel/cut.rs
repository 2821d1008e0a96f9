//! The table that drops cut connections.

use std::process::Command;

use palisade_nftables::netlink::Kernel;

use super::{HAS_NFT, Outcome, rulesets::*, to};

/// It comes, is seen to be there or gone whoever took it away, and nft reads it as it is meant.
pub(super) fn comes_and_goes() -> Outcome {
    let mut kernel = Kernel::open()?;
    assert!(!kernel.drops_cut()?);
    kernel.drop_cut(false)?;
    to(&mut kernel, None, &everything())?;
    assert!(!kernel.drops_cut()?, "other tables have a chain of that name");
    for _ in 0..2 {
        kernel.drop_cut(true)?;
        assert!(kernel.drops_cut()?);
    }
    assert_eq!(kernel.snapshot()?.differences(&everything()), Vec::<String>::new());
    if *HAS_NFT {
        let nft = |arguments: &[&str]| -> Result<String, std::io::Error> {
            Ok(String::from_utf8_lossy(&Command::new("nft").args(arguments).output()?.stdout).into_owned())
        };
        let text = nft(&["list", "table", "inet", "palisade-cut"])?;
        for expected in [
            "type filter hook forward priority filter - 1; policy accept;",
            "ct mark & 0x08000000 == 0x08000000 counter packets 0 bytes 0 drop",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        nft(&["flush", "table", "inet", "palisade-cut"])?;
        assert!(!kernel.drops_cut()?);
        kernel.drop_cut(true)?;
        assert!(kernel.drops_cut()?);
    }
    kernel.drop_cut(false)?;
    assert!(!kernel.drops_cut()?);
    Ok(())
}
