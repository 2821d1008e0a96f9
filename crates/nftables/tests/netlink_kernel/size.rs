//! Large rulesets through a small socket.

use std::time::Instant;

use palisade_nftables::difference::Difference;
use palisade_nftables::netlink::{ApplyError, Kernel};

use crate::rulesets::many;
use crate::{Outcome, to};

/// `SO_SNDBUF` of 212,992 bytes, which is the default everywhere: the kernel doubles what it is asked for.
const ORDINARY_SEND_BUFFER: usize = 212_992 / 2;

pub(crate) fn large_sets() -> Outcome {
    let mut kernel = Kernel::open_with_send_buffer(ORDINARY_SEND_BUFFER)?;
    assert_eq!(kernel.transaction_limit(), 212_992 - 64);
    let wanted = many(60_000, 20_000);
    let start = Instant::now();
    let applied = kernel.apply(&Difference::between(None, &wanted))?;
    let applying = start.elapsed();
    let differences = kernel.compare(&wanted)?.1;
    println!("{applied}: {applying:?}; reading back: {:?}", start.elapsed() - applying);
    assert!(applied.transactions >= 8, "{applied}");
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}

pub(crate) fn too_large() -> Outcome {
    let mut kernel = Kernel::open_with_send_buffer(ORDINARY_SEND_BUFFER)?;
    let (empty, full) = (many(0, 0), many(60_000, 0));
    to(&mut kernel, None, &empty)?;
    let difference = Difference::between(Some(&empty), &full);
    let error = kernel.apply(&difference).unwrap_err();
    println!("{error}");
    let ApplyError::TooLarge { bytes, limit } = error else { panic!("{error:?}") };
    assert!(bytes > 960_000 && limit == 212_992 - 64);
    assert_eq!(kernel.snapshot()?.differences(&empty), Vec::<String>::new());
    // The largest that fits is really taken by the kernel.
    let count = u32::try_from((limit - 600) / 16)?;
    to(&mut kernel, Some(&empty), &many(count, 0))
}
