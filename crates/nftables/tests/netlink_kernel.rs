//! What `netlink` does to a kernel, tried on the one that runs the tests, and compared with what nft
//! does to it.
//!
//! Not under libtest's harness: it starts threads before the first test, and a process with threads
//! cannot enter a user namespace. `libtest-mimic` runs after `Sandbox::enter`, and speaks the same
//! language to cargo and nextest. Every test has a network namespace of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, ExitCode, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_engine::model::{Family, PortRange, Protocol};
use palisade_linux::netns::NetNs;
use palisade_linux::sandbox::Sandbox;
use palisade_nftables::difference::{Change, Difference};
use palisade_nftables::netlink::{ApplyError, Kernel, ReadError, Stage};
use palisade_nftables::ruleset::{Chain, End, Expression, Key, Rule, Ruleset, Set, SetKind, Verdict};
use palisade_nftables::text::render;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// `SO_SNDBUF` of 212,992 bytes, which is the default everywhere: the kernel doubles what it is asked for.
const ORDINARY_SEND_BUFFER: usize = 212_992 / 2;

const TRIALS: &[(&str, fn() -> Outcome)] = &[
    ("an_empty_kernel_has_no_table", an_empty_kernel),
    ("everything_reads_back_as_it_was_wanted", everything_reads_back),
    ("nft_lists_the_same_as_after_loading_the_text", nft_lists_the_same),
    ("the_kernel_holds_the_same_expressions_as_after_loading_the_text", nft_holds_the_same),
    ("differences_lead_to_the_wanted_state", differences_lead_there),
    ("ranges_are_split_joined_and_moved", ranges_change),
    ("a_broken_switch_is_named_and_changes_nothing", a_broken_switch),
    ("each_refused_thing_is_named", refusals_are_named),
    ("more_errors_than_the_socket_holds_are_still_a_failure", a_flood_of_errors),
    ("a_stranger_who_changes_the_table_is_seen", a_stranger_is_seen),
    ("rules_count_packets", rules_count),
    ("a_snapshot_is_never_torn", reading_is_never_torn),
    ("large_sets_pass_an_ordinary_send_buffer", large_sets),
    ("what_is_too_large_for_one_transaction_is_not_sent", too_large),
    ("without_privilege_the_error_says_what_is_missing", without_privilege),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no test of crates/nftables that needs a kernel was run: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    if entered.is_ok() && !*HAS_NFT {
        eprintln!("skipped: nft is not installed, so nothing was compared with it (apt-get install nftables)");
    }
    let trials = TRIALS
        .iter()
        .map(|&(name, test)| {
            Trial::test(name, move || {
                let namespace = NetNs::create(name).map_err(|error| Failed::from(error.to_string()))?;
                let result = namespace.run(test).map_err(|error| Failed::from(error.to_string()))?;
                result.map_err(|error| Failed::from(error.to_string()))
            })
            .with_ignored_flag(entered.is_err())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

static HAS_NFT: LazyLock<bool> =
    LazyLock::new(|| Command::new("nft").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());

/// nft in the calling thread's namespace.
fn nft(arguments: &[&str], input: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
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

fn listing() -> Result<String, Box<dyn Error + Send + Sync>> {
    nft(&["list", "table", "inet", "palisade"], "")
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn address(text: &str) -> Key {
    Key::Address(text.parse().unwrap())
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn jump(chain: &str) -> Verdict {
    Verdict::Jump(chain.to_owned())
}

fn goto(chain: &str) -> Verdict {
    Verdict::Goto(chain.to_owned())
}

fn set(kind: SetKind, keys: impl IntoIterator<Item = Key>) -> Set {
    Set { kind, is_map: false, comment: None, elements: keys.into_iter().map(|key| (key, None)).collect() }
}

fn map(kind: SetKind, elements: impl IntoIterator<Item = (Key, Verdict)>) -> Set {
    let elements = elements.into_iter().map(|(key, verdict)| (key, Some(verdict))).collect();
    Set { kind, is_map: true, comment: None, elements }
}

fn ruleset(
    sets: impl IntoIterator<Item = (&'static str, Set)>,
    chains: impl IntoIterator<Item = (&'static str, bool, Vec<Rule>)>,
) -> Ruleset {
    Ruleset {
        sets: sets.into_iter().map(|(name, set)| (name.to_owned(), set)).collect(),
        chains: chains
            .into_iter()
            .map(|(name, is_base, rules)| (name.to_owned(), Chain { is_base, rules }))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A ruleset with every expression, kind of set and verdict.
fn everything() -> Ruleset {
    use Expression as E;
    let verdict = E::Verdict;
    let name = str::to_owned;
    let mut commented = map(
        SetKind::Addresses(Family::V4),
        [
            (address("10.0.0.1"), jump("profile")),
            (address("10.0.0.2"), Verdict::Accept),
            (address("10.0.0.3"), Verdict::Drop),
        ],
    );
    commented.comment = Some("local pods ö".to_owned());
    let sets = [
        ("a4", set(SetKind::Addresses(Family::V4), [address("10.0.0.1"), address("10.0.0.2")])),
        ("a6", set(SetKind::Addresses(Family::V6), [address("fd00::1")])),
        ("empty", set(SetKind::Addresses(Family::V6), [])),
        (
            "r4",
            set(
                SetKind::AddressRanges(Family::V4),
                [
                    Key::Range4(v4("0.0.0.0"), v4("0.255.255.255")),
                    Key::Range4(v4("10.0.0.5"), v4("10.0.0.9")),
                    Key::Range4(v4("192.0.2.7"), v4("192.0.2.7")),
                    Key::Range4(v4("255.0.0.0"), v4("255.255.255.255")),
                ],
            ),
        ),
        (
            "r6",
            set(
                SetKind::AddressRanges(Family::V6),
                [
                    Key::Range6(v6("fd00::"), v6("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
                    Key::Range6(v6("fe80::5"), v6("fe80::9")),
                ],
            ),
        ),
        ("all6", {
            let all = Key::Range6(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from_bits(u128::MAX));
            set(SetKind::AddressRanges(Family::V6), [all])
        }),
        (
            "p4",
            set(SetKind::AddressPairs(Family::V4), [Key::Pair(IpAddr::V4(v4("10.0.0.1")), IpAddr::V4(v4("10.0.0.1")))]),
        ),
        (
            "p6",
            set(SetKind::AddressPairs(Family::V6), [Key::Pair(IpAddr::V6(v6("fd00::1")), IpAddr::V6(v6("fd00::2")))]),
        ),
        ("egress4", commented),
        ("egress6", map(SetKind::Addresses(Family::V6), [(address("fd00::1"), goto("profile"))])),
        (
            "cells",
            map(
                SetKind::Ports,
                [(Key::Port(Protocol::Tcp, 80), goto("cell")), (Key::Port(Protocol::Udp, 53), Verdict::Return)],
            ),
        ),
        (
            "wide",
            map(
                SetKind::PortRanges,
                [
                    (Key::Ports(Protocol::Tcp, ports(1, 79)), goto("cell")),
                    (Key::Ports(Protocol::Tcp, ports(80, 80)), Verdict::Return),
                    (Key::Ports(Protocol::Sctp, PortRange::ALL), Verdict::Drop),
                ],
            ),
        ),
    ];
    let forward = vec![
        Rule::new([E::ConnectionMark(0x10), E::Counter, verdict(Verdict::Drop)]).comment("cut"),
        Rule::new([E::EstablishedOrRelated, verdict(Verdict::Accept)]),
        Rule::new([E::InterfacePrefix(name("veth")), E::SourceNotBehindInterface, E::Counter, verdict(Verdict::Drop)])
            .comment("forged source"),
        Rule::new([E::Icmpv6Types(133, 137), verdict(Verdict::Accept)]),
        Rule::new([E::PairIn(Family::V4, name("p4")), verdict(Verdict::Accept)]),
        Rule::new([E::PairIn(Family::V6, name("p6")), verdict(Verdict::Accept)]),
        Rule::new([E::AddressMap(End::Source, Family::V4, name("egress4"))]),
        Rule::new([E::AddressMap(End::Destination, Family::V6, name("egress6"))]),
    ];
    let profile = vec![
        Rule::new([E::PortMap(name("cells"))]),
        Rule::new([E::PortMap(name("wide"))]),
        Rule::new([E::Ports(Protocol::Tcp, ports(8080, 8080)), verdict(jump("cell"))]),
        Rule::new([E::Ports(Protocol::Udp, ports(0, 90)), verdict(Verdict::Return)]),
        Rule::new([E::Ports(Protocol::Sctp, PortRange::ALL), verdict(Verdict::Return)]),
        Rule::new([E::Family(Family::V4), verdict(Verdict::Return)]),
        Rule::new([E::Limit { rate: 10, burst: 20 }, E::Log { group: 7, prefix: name("denied ingress") }]),
        Rule::new([E::Counter, verdict(Verdict::Drop)]).comment("end of the profile"),
    ];
    let cell = vec![
        Rule::new([E::AddressIn(End::Source, Family::V4, name("a4")), verdict(Verdict::Return)]),
        Rule::new([
            E::AddressIn(End::Source, Family::V4, name("r4")),
            E::Ports(Protocol::Tcp, ports(80, 90)),
            verdict(Verdict::Return),
        ]),
        Rule::new([E::AddressIn(End::Destination, Family::V6, name("a6")), verdict(Verdict::Return)]),
        Rule::new([E::AddressIn(End::Destination, Family::V6, name("r6")), verdict(goto("last"))]),
    ];
    let last = vec![Rule::new([E::Limit { rate: 5, burst: 5 }, E::Counter, verdict(Verdict::Drop)])];
    ruleset(
        sets,
        [("forward", true, forward), ("profile", false, profile), ("cell", false, cell), ("last", false, last)],
    )
}

/// Applies and says what is then different from `new`.
fn to(kernel: &mut Kernel, old: Option<&Ruleset>, new: &Ruleset) -> Outcome {
    kernel.apply(&Difference::between(old, new))?;
    assert_eq!(kernel.snapshot()?.differences(new), Vec::<String>::new());
    Ok(())
}

fn an_empty_kernel() -> Outcome {
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

fn everything_reads_back() -> Outcome {
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

fn nft_lists_the_same() -> Outcome {
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
fn blocks(listing: &str) -> Vec<String> {
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

fn nft_holds_the_same() -> Outcome {
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

fn differences_lead_there() -> Outcome {
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
    fourth.sets.get_mut("egress6").unwrap().elements.clear();
    fourth.sets.insert("fresh".to_owned(), map(SetKind::Ports, [(Key::Port(Protocol::Tcp, 1), goto("last"))]));
    let new =
        vec![Rule::new([Expression::PortMap("fresh".to_owned())]), Rule::new([Expression::Verdict(goto("last"))])];
    fourth.chains.insert("new".to_owned(), Chain { is_base: false, rules: new });
    to(&mut kernel, Some(&third), &fourth)?;

    // And all the way back.
    to(&mut kernel, Some(&fourth), &first)
}

fn ranges_change() -> Outcome {
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

fn a_broken_switch() -> Outcome {
    let mut kernel = Kernel::open()?;
    let old = everything();
    to(&mut kernel, None, &old)?;
    let mut new = old.clone();
    let rules = &mut new.chains.get_mut("profile").unwrap().rules;
    rules.insert(0, Rule::new([Expression::Counter, Expression::Verdict(jump("nowhere"))]));
    new.sets.get_mut("a4").unwrap().elements.clear();
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

fn refusals_are_named() -> Outcome {
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &everything())?;
    let elements = |set: &str, kind, elements| Change::AddElements { set: set.to_owned(), kind, elements };
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
            Change::AddSet { name: "x".repeat(300), kind: SetKind::Ports, is_map: false, comment: None },
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

fn a_flood_of_errors() -> Outcome {
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

fn a_stranger_is_seen() -> Outcome {
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
        ("insert rule inet palisade cell accept", "chain cell has 5 rules and not 4"),
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

fn rules_count() -> Outcome {
    let mut kernel = Kernel::open()?;
    to(&mut kernel, None, &everything())?;
    let counters = kernel.counters()?;
    let named: Vec<_> =
        counters.iter().map(|counter| (counter.chain.as_str(), counter.comment.as_deref(), counter.packets)).collect();
    assert_eq!(counters.len(), 4);
    assert!(named.contains(&("forward", Some("forged source"), 0)), "{named:?}");
    assert!(named.contains(&("last", None, 0)), "{named:?}");
    if *HAS_NFT {
        nft(&["-f", "-"], "add rule inet palisade cell counter packets 7 bytes 4294967296 comment \"seven\"")?;
        let counters = kernel.counters()?;
        let seven = counters.iter().find(|counter| counter.comment.as_deref() == Some("seven")).ok_or("not there")?;
        assert_eq!((seven.packets, seven.bytes), (7, 1 << 32));
    }
    Ok(())
}

fn many(addresses: u32, ranges: u32) -> Ruleset {
    let hosts = (0..addresses).map(|n| Key::Address(Ipv4Addr::from_bits(0x0a00_0000 + n).into()));
    let ranges = (0..ranges).map(|n| {
        let first = 0x2000_0000 + n * 16;
        Key::Range4(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(first + 7))
    });
    ruleset(
        [
            ("hosts", set(SetKind::Addresses(Family::V4), hosts)),
            ("ranges", set(SetKind::AddressRanges(Family::V4), ranges)),
        ],
        [],
    )
}

fn large_sets() -> Outcome {
    let mut kernel = Kernel::open_with_send_buffer(ORDINARY_SEND_BUFFER)?;
    assert_eq!(kernel.transaction_limit(), 212_992 - 64);
    let wanted = many(60_000, 20_000);
    let start = Instant::now();
    let applied = kernel.apply(&Difference::between(None, &wanted))?;
    let applying = start.elapsed();
    let differences = kernel.snapshot()?.differences(&wanted);
    println!("{applied}: {applying:?}; reading back: {:?}", start.elapsed() - applying);
    assert!(applied.transactions >= 8, "{applied}");
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}

fn too_large() -> Outcome {
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

fn without_privilege() -> Outcome {
    // Of this thread only, which ends with the test.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    let error = Kernel::open()?.apply(&Difference::between(None, &everything())).unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("(EPERM; CAP_NET_ADMIN is missing"), "{error}");
    Ok(())
}

fn reading_is_never_torn() -> Outcome {
    let mut kernel = Kernel::open()?;
    let mut writer = Kernel::open()?;
    let wanted = everything();
    to(&mut kernel, None, &wanted)?;
    let switch: Vec<Change> = ["profile", "cell", "last"]
        .iter()
        .flat_map(|chain| {
            let rules = wanted.chains[*chain].rules.iter();
            std::iter::once(Change::FlushChain((*chain).to_owned()))
                .chain(rules.map(|rule| Change::AddRule((*chain).to_owned(), rule.clone())))
        })
        .collect();
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
