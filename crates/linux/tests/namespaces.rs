#![expect(clippy::indexing_slicing, reason = "clippy knows only libtest's tests as tests")]
//! What this crate does to a kernel, tried on the one that runs the tests.
//!
//! Not under libtest's harness: it starts threads before the first test, and a
//! process with threads cannot enter a user namespace. `libtest-mimic` runs
//! after [`Sandbox::enter`], and speaks the same language to cargo and nextest.

use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_linux::conntrack::{Changed, Conntrack, MarkChange, PortProtocol, Transport, Zone};
use palisade_linux::links::{Gateway, LOOPBACK, LinkError, Mac, Neighbour, Request, Rtnetlink, VethEnd};
use palisade_linux::netns::{NetNs, on_hopping_thread};
use palisade_linux::nflog::{Collector, NfLog, NfLogError, Options, Record, reader_of};
use palisade_linux::packet::{Flow, Tuple, protocol};
use palisade_linux::sandbox::{Sandbox, SandboxError};
use palisade_linux::sysctl::{self, SysctlError};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

type Test = fn() -> Outcome;

const TRIALS: &[(&str, Test)] = &[
    ("a_second_sandbox_is_refused_when_there_are_threads", threads_are_refused),
    ("work_in_a_namespace_leaves_the_caller_where_it_is", the_caller_stays),
    ("settings_belong_to_the_namespace", settings_belong_to_the_namespace),
    ("a_veth_pair_carries_both_families_at_once", a_pair_carries_packets),
    ("a_refused_request_is_named", a_refused_request_is_named),
    ("requests_beyond_one_batch_are_all_answered", many_requests),
    ("a_logged_packet_tells_its_connection", a_logged_packet),
    ("lost_records_are_counted", lost_records_are_counted),
    ("a_group_has_one_reader", a_group_has_one_reader),
    ("connections_are_listed_and_marked", connections_are_marked),
    ("a_namespace_tells_its_addresses", addresses_are_listed),
    ("descriptors_are_given_back", descriptors_are_given_back),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no test of crates/linux that needs namespaces was run: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = TRIALS
        .iter()
        .map(|&(name, test)| {
            Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
                .with_ignored_flag(entered.is_err())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn threads_are_refused() -> Outcome {
    let refused = on_hopping_thread(|_| Sandbox::enter())?;
    assert!(matches!(refused, Err(SandboxError::Threads { threads }) if threads > 1), "{refused:?}");
    Ok(())
}

fn the_caller_stays() -> Outcome {
    let before = NetNs::current("here")?;
    let spaces = NetNs::create_all(vec!["one".into(), "two".into()])?;
    for ns in &spaces {
        let inside = ns.run(|| NetNs::current("inside"))??;
        assert_eq!(inside.inode(), ns.inode());
        assert_ne!(inside.inode(), before.inode());
    }
    assert_ne!(spaces[0].inode(), spaces[1].inode());
    assert_eq!(NetNs::current("here")?.inode(), before.inode());
    Ok(())
}

fn settings_belong_to_the_namespace() -> Outcome {
    let (one, two) = (NetNs::create("one")?, NetNs::create("two")?);
    on_hopping_thread(|hopper| -> Outcome {
        hopper.enter(&one)?;
        sysctl::write(hopper, "ipv4.ip_forward", "1")?;
        hopper.enter(&two)?;
        sysctl::write(hopper, "ipv4.ip_forward", "0")?;
        hopper.enter(&one)?;
        assert_eq!(sysctl::read(hopper, "ipv4.ip_forward")?, "1");
        let missing = sysctl::write(hopper, "ipv4.no_such_setting", "1");
        assert!(matches!(missing, Err(SysctlError::Missing { .. })), "{missing:?}");
        Ok(())
    })?
}

/// Two namespaces joined by a veth pair, the addresses of both families, and
/// permanent neighbours.
struct Pair {
    left: NetNs,
    right: NetNs,
}

const LEFT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))];
const RIGHT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2))];

fn pair() -> Result<Pair, Box<dyn Error + Send + Sync>> {
    let pair = Pair { left: NetNs::create("left")?, right: NetNs::create("right")? };
    let end = |name: &str, index| VethEnd { name: name.into(), index, mac: Mac::numbered(index) };
    let mut left = Rtnetlink::open(&pair.left)?;
    left.submit(&[Request::veth(end("to-right", 100), end("to-left", 200), &pair.right)])?;
    for (ns, own, peer, link, peer_mac) in [(&pair.right, RIGHT, LEFT, 200, 100), (&pair.left, LEFT, RIGHT, 100, 200)] {
        let mut requests = vec![Request::Up { link: LOOPBACK }, Request::Up { link }];
        for (own, peer) in own.into_iter().zip(peer) {
            if own.is_ipv6() && !sysctl::ipv6_exists() {
                continue;
            }
            requests.push(Request::host_address(own, link));
            requests.push(Request::host_route(peer, link, Gateway::OnLink, Some(own)));
            requests.push(Request::Neighbour(Neighbour { address: peer, link, mac: Mac::numbered(peer_mac) }));
        }
        Rtnetlink::open(ns)?.submit(&requests)?;
    }
    left.wait_until_running(&[100], Duration::from_secs(2))?;
    Ok(pair)
}

fn a_pair_carries_packets() -> Outcome {
    let pair = pair()?;
    for (left, right) in LEFT.into_iter().zip(RIGHT) {
        if left.is_ipv6() && !sysctl::ipv6_exists() {
            eprintln!("skipped: IPv6: this kernel has none");
            continue;
        }
        let here = pair.left.run(|| UdpSocket::bind((left, 0)))??;
        let there = pair.right.run(|| UdpSocket::bind((right, 53)))??;
        there.set_read_timeout(Some(Duration::from_secs(30)))?;
        here.send_to(b"hello", (right, 53))?;
        let mut buffer = [0; 16];
        let (length, from) = there.recv_from(&mut buffer)?;
        assert_eq!((&buffer[..length], from), (&b"hello"[..], here.local_addr()?));
    }
    Ok(())
}

fn a_refused_request_is_named() -> Outcome {
    let ns = NetNs::create("lonely")?;
    let refused = Rtnetlink::open(&ns)?.submit(&[
        Request::Up { link: LOOPBACK },
        Request::host_route(RIGHT[0], 77, Gateway::OnLink, None),
        Request::host_address(LEFT[0], LOOPBACK),
    ]);
    let Err(error @ LinkError::Refused { .. }) = refused else {
        return Err(format!("{refused:?}").into());
    };
    let text = error.to_string();
    assert!(text.contains("namespace lonely") && text.contains("add the route 10.0.0.2/32 over link 77"), "{text}");
    // What stood around it was done.
    ns.run(|| UdpSocket::bind((LEFT[0], 0)))??;
    Ok(())
}

fn many_requests() -> Outcome {
    let ns = NetNs::create("many")?;
    let mut requests = vec![Request::Up { link: LOOPBACK }];
    requests.extend((0..500_u32).map(|n| Request::host_address(Ipv4Addr::from(0x0a00_0001 + n).into(), LOOPBACK)));
    let mut rtnetlink = Rtnetlink::open(&ns)?;
    rtnetlink.submit(&requests)?;
    ns.run(|| UdpSocket::bind((Ipv4Addr::from(0x0a00_0001 + 499), 0)))??;
    // Again: every one of 500 errors is read, and the first is told.
    let again = rtnetlink.submit(&requests[1..]);
    assert!(matches!(&again, Err(LinkError::Refused { request, .. }) if request.contains("10.0.0.1/32")), "{again:?}");
    rtnetlink.submit(&[Request::Up { link: LOOPBACK }])?;
    Ok(())
}

/// Loads `rules` in `ns`, or says why the test cannot be made.
fn load(ns: &NetNs, rules: &str) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let spawned = ns.run(|| {
        let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(rules.as_bytes())?;
        }
        child.wait()
    })?;
    match spawned {
        Ok(status) if status.success() => Ok(true),
        Ok(status) => Err(format!("nft: {status}").into()),
        Err(error) => {
            eprintln!("skipped: nft cannot be run: {error}");
            Ok(false)
        }
    }
}

const LOGGING: &str = "table inet t { chain in { type filter hook input priority 0; udp dport 53 log prefix \"no dns \" group 5 drop; }; }";

fn send_packets(pair: &Pair, family: usize, count: usize) -> Result<u16, Box<dyn Error + Send + Sync>> {
    let socket = pair.left.run(|| UdpSocket::bind((LEFT[family], 0)))??;
    for _ in 0..count {
        socket.send_to(b"who are you", (RIGHT[family], 53))?;
    }
    Ok(socket.local_addr()?.port())
}

fn a_logged_packet() -> Outcome {
    let pair = pair()?;
    let log = NfLog::open(&pair.right, 5, Options::default())?;
    if !load(&pair.right, LOGGING)? {
        return Ok(());
    }
    let collector = Collector::start(vec![log])?;
    let mut ports = vec![send_packets(&pair, 0, 1)?];
    if sysctl::ipv6_exists() {
        ports.push(send_packets(&pair, 1, 1)?);
    }
    let collected = collector.stop()?;
    assert_eq!(collected.len(), 1);
    assert_eq!(collected[0].namespace, "right");
    assert!(collected[0].losses.none(), "{:?}", collected[0].losses);
    for (family, (record, &port)) in collected[0].records.iter().zip(&ports).enumerate() {
        assert_eq!((record.prefix.as_str(), record.hook, record.link_in), ("no dns ", 1, Some(200)));
        let expected = Tuple {
            source: LEFT[family],
            destination: RIGHT[family],
            protocol: protocol::UDP,
            flow: Flow::Ports { source: port, destination: 53 },
        };
        assert_eq!(record.tuple(), Some(expected));
    }
    assert_eq!(collected[0].records.len(), ports.len());
    Ok(())
}

fn lost_records_are_counted() -> Outcome {
    const SENT: usize = 5000;
    let pair = pair()?;
    let options = Options { receive_buffer: 4096, ..Options::default() };
    let mut log = NfLog::open(&pair.right, 5, options)?;
    if !load(&pair.right, LOGGING)? {
        return Ok(());
    }
    send_packets(&pair, 0, SENT)?;
    std::thread::sleep(log.flush() * 3);
    let mut records: Vec<Record> = Vec::new();
    log.read(&mut records)?;
    assert!(records.len() < SENT && log.losses().overruns > 0, "{} {:?}", records.len(), log.losses());
    // The next one that arrives brings the number that tells how many are missing.
    let before = records.len();
    send_packets(&pair, 0, 1)?;
    std::thread::sleep(log.flush() * 3);
    log.read(&mut records)?;
    assert_eq!(records.len(), before + 1);
    assert_eq!(records.len() as u64 + log.losses().records, SENT as u64 + 1);
    Ok(())
}

fn a_group_has_one_reader() -> Outcome {
    let ns = NetNs::create("read")?;
    let _first = NfLog::open(&ns, 5, Options::default())?;
    let second = NfLog::open(&ns, 5, Options::default());
    assert!(matches!(second, Err(NfLogError::Refused { .. })), "{second:?}");
    let (is_taken, here, reader, nobody) = ns.run(|| {
        let is_taken = second.is_err_and(|error| error.is_taken());
        (is_taken, NfLog::open_current(6, Options::default()), reader_of(5), reader_of(7))
    })?;
    assert!(is_taken);
    assert!(!here?.wait(Duration::ZERO)?);
    assert!(reader.is_some_and(|reader| reader.contains("process") || reader.contains("program")));
    assert_eq!(nobody, None);
    Ok(())
}

/// Follows what comes in, and puts DNS into a zone.
const TRACKING: &str = "table inet t { \
    chain raw { type filter hook prerouting priority raw; udp dport 53 ct zone set 7; }; \
    chain in { type filter hook input priority 0; ct state new accept; }; }";

fn connections_are_marked() -> Outcome {
    const BIT: u32 = 1 << 27;
    let pair = pair()?;
    if !load(&pair.right, TRACKING)? {
        return Ok(());
    }
    let mut conntrack = pair.right.run(Conntrack::open)??;
    assert_eq!(conntrack.list(None)?, []);
    let families = 1 + usize::from(sysctl::ipv6_exists());
    for family in 0..families {
        let source = send_packets(&pair, family, 2)?;
        let flows = conntrack.list(None)?;
        assert_eq!(flows.len(), family + 1, "{flows:?}");
        let flow = *flows.iter().find(|flow| flow.original.source == LEFT[family]).ok_or("not listed")?;
        let ends = |source, destination| Transport::Ports { protocol: PortProtocol::Udp, source, destination };
        assert_eq!((flow.original.destination, flow.original.transport), (RIGHT[family], ends(source, 53)));
        assert_eq!((flow.reply.source, flow.reply.transport), (RIGHT[family], ends(53, source)));
        assert_eq!((flow.mark, flow.zone, flow.master), (0, Zone::Both(7), None));
        let mark = |value| MarkChange { original: flow.original, zone: flow.zone, bits: BIT, value };
        let once = Changed { done: 1, gone: 0 };
        assert_eq!(conntrack.change_marks(&[mark(BIT)])?, once);
        // Another bit, which stays when ours goes.
        assert_eq!(conntrack.change_marks(&[MarkChange { bits: 3, value: 2, ..mark(0) }])?, once);
        let marked = conntrack.list(Some(BIT))?;
        assert_eq!(marked.iter().map(|flow| (flow.mark, flow.id)).collect::<Vec<_>>(), [(BIT | 2, flow.id)]);
        assert_eq!(conntrack.change_marks(&[mark(0)])?, once);
        assert_eq!((conntrack.list(Some(BIT))?.len(), conntrack.list(Some(2))?.len()), (0, family + 1));
        // What is not there is counted, and does not keep the rest away.
        let absent = MarkChange { zone: Zone::Default, ..mark(BIT) };
        let many: Vec<_> = (0..200).map(|n| if n == 100 { mark(BIT) } else { absent }).collect();
        assert_eq!(conntrack.change_marks(&many)?, Changed { done: 1, gone: 199 });
        conntrack.change_marks(&[mark(0)])?;
    }
    Ok(())
}

fn addresses_are_listed() -> Outcome {
    let pair = pair()?;
    let addresses = pair.right.run(|| on_hopping_thread(|hopper| Rtnetlink::open_here(hopper)?.addresses()))???;
    for address in RIGHT.iter().take(1 + usize::from(sysctl::ipv6_exists())) {
        assert!(addresses.contains(address), "{addresses:?}");
    }
    assert!(!addresses.contains(&LEFT[0]), "{addresses:?}");
    Ok(())
}

fn descriptors_are_given_back() -> Outcome {
    // Counted in a process of its own would be surer; the trials run side by
    // side, so only a leak of many shows here.
    let count = || -> std::io::Result<usize> { Ok(std::fs::read_dir("/proc/self/fd")?.count()) };
    let before = count()?;
    for _ in 0..50 {
        let pair = pair()?;
        assert!(pair.left.as_fd().try_clone_to_owned().is_ok());
    }
    let after = count()?;
    assert!(after < before + 60, "{before} descriptors before, {after} after 50 pairs");
    Ok(())
}
