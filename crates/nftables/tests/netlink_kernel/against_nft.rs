//! What nft makes of the text is what the kernel has from here.

use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};

use palisade_linux::netns::NetNs;
use palisade_nftables::difference::Difference;
use palisade_nftables::netlink::Kernel;
use palisade_nftables::text::render;

use crate::rulesets::everything;
use crate::{HAS_NFT, Outcome};

/// nft in the calling thread's namespace.
pub(crate) fn nft(arguments: &[&str], input: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut nft = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    nft.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes())?;
    let output = nft.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("nft {arguments:?}: {}\n{input}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

pub(crate) fn listing() -> Result<String, Box<dyn Error + Send + Sync>> {
    nft(&["list", "table", "inet", "palisade"], "")
}

pub(crate) fn nft_lists_the_same() -> Outcome {
    if !*HAS_NFT {
        return Ok(());
    }
    let wanted = everything();
    let text = render(&wanted);
    // nft lists chains and sets in the order they were made: the text's order here too.
    let mut kernel = Kernel::open()?;
    kernel.apply(&Difference::between(None, &wanted))?;
    let ours = listing()?;
    let theirs = NetNs::create("nft")?.run(|| -> Result<String, Box<dyn Error + Send + Sync>> {
        nft(&["-f", "-"], &text)?;
        listing()
    })??;
    assert_eq!(blocks(&ours), blocks(&theirs));
    // And what nft lists of ours can be loaded again.
    NetNs::create("again")?.run(|| nft(&["-f", "-"], &ours))??;
    Ok(())
}

/// The chains and sets of a listing, sorted: their order depends on the order of the messages. So
/// does that of elements, which the kernel hashes with a key of its own for each set.
pub(crate) fn blocks(listing: &str) -> Vec<String> {
    let mut blocks: Vec<String> = listing
        .split("\n\t}\n")
        .map(|block| {
            let Some((head, elements)) = block.split_once("elements = {") else { return block.trim().to_owned() };
            let mut elements: Vec<&str> = elements.trim_end_matches([' ', '}']).split(',').map(str::trim).collect();
            elements.sort_unstable();
            format!("{}\nelements = {{ {} }}", head.trim(), elements.join(", "))
        })
        .collect();
    if let Some(first) = blocks.first_mut() {
        *first = first.replace("table inet palisade {\n", "").trim().to_owned();
    }
    blocks.sort_unstable();
    blocks
}

pub(crate) fn nft_holds_the_same() -> Outcome {
    if !*HAS_NFT {
        return Ok(());
    }
    let wanted = everything();
    let mut kernel = Kernel::open()?;
    kernel.apply(&Difference::between(None, &wanted))?;
    let ours = kernel.snapshot()?;
    let theirs = NetNs::create("nft")?.run(|| -> Result<_, Box<dyn Error + Send + Sync>> {
        nft(&["-f", "-"], &render(&wanted))?;
        Ok(Kernel::open()?.snapshot()?)
    })??;
    for (name, chain) in &ours.chains {
        let pairs = chain.rules.iter().zip(&theirs.chains[name].rules);
        for (position, (our, their)) in pairs.enumerate() {
            // nft swaps the bytes of a field of one byte before it looks into ranges: nothing happens.
            let no_op = |line: &String| line.starts_with("[ byteorder");
            let their_listing: Vec<String> = their.listing().into_iter().filter(|line| !no_op(line)).collect();
            assert_eq!(our.listing(), their_listing, "rule {position} of chain {name}");
            if their_listing.len() == their.listing().len() {
                assert_eq!(our.expressions, their.expressions, "rule {position} of chain {name}");
            }
        }
        assert_eq!((&chain.entry, chain.rules.len()), (&theirs.chains[name].entry, theirs.chains[name].rules.len()));
    }
    assert_eq!(ours.sets, theirs.sets);
    Ok(())
}
