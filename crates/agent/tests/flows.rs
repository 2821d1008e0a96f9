//! The flow log: what its lines say, and who gets them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails so; clippy does not see that helpers are of tests"
)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use palisade_agent::{
    FlowLog, Shared,
    cut::{Ended, WouldDeny},
    flow_log::{
        LoggedPacket, Target,
        record::{FlowDirection, FlowRecord, FlowVerdict, Line, RuleName, Who},
    },
};
use palisade_engine::{
    PolicyProgram,
    explain::{Explanation, HalfExplanation},
    model::{Cluster, Direction, Endpoint, Flow, Inventory, Mode, NetworkPolicy, Protocol, Traffic},
    verdict::{Half, Outcome, Verdict},
};
use palisade_nftables::{
    interpret::{self, Packet, Payload},
    plan::{ACCEPTED, Log, Options, Plan, Sample, plan},
};
use support::{Dice, inventory, only, pod};

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first bytes of a packet, as the kernel hands them over.
fn bytes(from: IpAddr, to: IpAddr, traffic: Traffic) -> Vec<u8> {
    let (number, ports) = match traffic {
        Traffic::Port(protocol, port) => (protocol.number(), [40_000_u16.to_be_bytes(), port.to_be_bytes()].concat()),
        Traffic::Portless if from.is_ipv4() => (1, vec![8, 0, 0, 0, 0, 7]),
        Traffic::Portless => (58, vec![128, 0, 0, 0, 0, 7]),
    };
    let mut bytes = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, number, 0, 0];
            bytes.extend(from.octets().into_iter().chain(to.octets()));
            bytes
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut bytes = vec![0x60, 0, 0, 0, 0, 0, number, 64];
            bytes.extend(from.octets().into_iter().chain(to.octets()));
            bytes
        }
        other => panic!("{other:?}"),
    };
    bytes.extend(ports);
    bytes
}

fn half(explanation: &Explanation, direction: Direction) -> &HalfExplanation {
    match direction {
        Direction::Ingress => explanation.ingress.as_ref().unwrap(),
        Direction::Egress => explanation.egress.as_ref().unwrap(),
    }
}

fn policies<'a>(cluster: &Cluster, halves: impl IntoIterator<Item = &'a HalfExplanation>) -> Vec<String> {
    let ids = halves.into_iter().flat_map(|half| &half.isolated_by);
    let mut names: Vec<String> = ids.map(|id| cluster.policy(*id).id.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

/// Addresses of everybody, and of two outside.
fn addresses(cluster: &Cluster) -> Vec<IpAddr> {
    let pods = cluster.pods().filter(|(_, pod)| pod.is_live()).flat_map(|(_, pod)| pod.addresses.iter());
    let nodes = cluster.nodes().flat_map(|(_, node)| node.addresses.iter().copied());
    pods.chain(nodes).chain(["203.0.113.9".parse().unwrap(), "2001:db8::9".parse().unwrap()]).collect()
}

/// A denied record says what the engine's explanation of the same flow says.
fn check_denied(cluster: &Cluster, program: &PolicyProgram, flow: &Flow, record: &FlowRecord) {
    let explanation = program.explain(cluster, flow);
    let direction = match record.direction {
        FlowDirection::Ingress => Direction::Ingress,
        FlowDirection::Egress => Direction::Egress,
        FlowDirection::Both => panic!("{record:?}"),
    };
    let half = half(&explanation, direction);
    assert_eq!((record.verdict, half.half.outcome()), (FlowVerdict::Denied, Outcome::Deny), "{record:?}");
    assert_eq!(explanation.verdict.outcome(), Outcome::Deny);
    assert_eq!(record.isolated_by, policies(cluster, [half]), "{record:?}");
    let nearest = half.misses.first().map(|miss| program.rule(miss.rule).origin);
    let said = record.nearest.as_ref();
    assert_eq!(
        said.map(|nearest| (nearest.policy.clone(), nearest.rule.direction, nearest.rule.index)),
        nearest.map(|origin| (cluster.policy_name(origin.policy), origin.direction, origin.index))
    );
    let subject = half.subject.map(|pod| &cluster.pod(pod).id).unwrap();
    let judged = if direction == Direction::Ingress { &record.dst } else { &record.src };
    let Who::Pod(end) = &judged.who else { panic!("{record:?}") };
    assert_eq!((end.namespace.as_str(), end.pod.as_str()), (&*subject.namespace, &*subject.name));
}

fn check_accepted(cluster: &Cluster, program: &PolicyProgram, flow: &Flow, node: &str, record: Option<&FlowRecord>) {
    let is_local = |endpoint| match endpoint {
        Endpoint::Pod(pod) => cluster.pod(pod).node.as_deref() == Some(node),
        _ => false,
    };
    let explanation = program.explain(cluster, flow);
    let mut halves = Vec::new();
    halves.extend(is_local(flow.from().endpoint).then(|| half(&explanation, Direction::Egress)));
    halves.extend(is_local(flow.to().endpoint).then(|| half(&explanation, Direction::Ingress)));
    let Some(record) = record else { return assert!(halves.is_empty()) };
    assert_eq!(record.verdict, FlowVerdict::Accepted);
    assert!(halves.iter().all(|half| half.half.outcome() == Outcome::Allow), "{record:?}");
    assert_eq!(record.isolated_by, policies(cluster, halves.iter().copied()));
    let rules = halves.iter().filter_map(|half| match half.half {
        Half::Allowed(matched) => Some(program.rule(matched.rule).origin),
        _ => None,
    });
    let rules: Vec<_> = rules.map(|o| (cluster.policy_name(o.policy), o.direction, o.index)).collect();
    let said = |rule: &RuleName| (rule.policy.clone(), rule.rule.direction, rule.rule.index);
    assert_eq!(record.decided_by.iter().map(said).collect::<Vec<_>>(), rules);
    assert_eq!(record.nearest, None);
}

fn check_would_deny(cluster: &Cluster, program: &PolicyProgram, flow: &Flow, record: &FlowRecord) {
    assert_eq!(record.verdict, FlowVerdict::WouldDeny);
    let direction = match record.direction {
        FlowDirection::Ingress => Direction::Ingress,
        FlowDirection::Egress => Direction::Egress,
        FlowDirection::Both => panic!("{record:?}"),
    };
    let would = program.would_deny(cluster, flow, direction).unwrap();
    let mut names: Vec<String> = would.policies.iter().map(|policy| cluster.policy_name(*policy)).collect();
    names.sort();
    assert_eq!(record.audited, names, "{record:?}");
    assert!(record.isolated_by.iter().all(|policy| names.contains(policy)), "{record:?}");
    let half = program.explain_with_audited(cluster, flow, direction).unwrap();
    assert_eq!(half.half, would.half);
    let nearest = half.misses.first().map(|miss| program.rule(miss.rule).origin);
    let said = record.nearest.as_ref().map(|nearest| (nearest.policy.clone(), nearest.rule.index));
    assert_eq!(said, nearest.map(|origin| (cluster.policy_name(origin.policy), origin.index)));
}

/// Random clusters, every node, random packets: what the ruleset logs, the log explains as the engine does.
#[test]
fn lines_say_what_the_engine_says() {
    let sample = Sample { one_of: 1, log: Log { group: 1, limit: None } };
    let options = Options { log_accepted: Some(sample), ..Options::default() };
    let (mut denied, mut accepted, mut would) = (0, 0, 0);
    for seed in 0..60 {
        let cluster = inventory(seed).into_cluster().unwrap();
        let program = PolicyProgram::compile(&cluster);
        let nodes: Vec<_> =
            cluster.nodes().map(|(id, node)| (node.name.clone(), plan(&cluster, &program, id, &options))).collect();
        let logs: Vec<_> = nodes
            .iter()
            .map(|(name, plan)| {
                let mut log = FlowLog::of(name.clone(), Shared::default());
                log.planned(&cluster, &program, &plan.denials, &plan.audits);
                log
            })
            .collect();
        let (all, mut dice) = (addresses(&cluster), Dice(seed));
        for _ in 0..200 {
            let (from, to) = (all[dice.below(all.len())], all[dice.below(all.len())]);
            let port = [80, 53, 443, 8080, 5432, 1][dice.below(6)];
            let traffic = match dice.below(4) {
                0 => Traffic::Portless,
                1 => Traffic::Port(Protocol::Udp, port),
                2 => Traffic::Port(Protocol::Sctp, port),
                _ => Traffic::Port(Protocol::Tcp, port),
            };
            let (source, destination) = (cluster.side_of_address(from), cluster.side_of_address(to));
            let Ok(flow) = Flow::new(source, destination, traffic) else { continue };
            if matches!(program.verdict(&cluster, &flow), Verdict::Exempt(_)) {
                continue;
            }
            let payload = match traffic {
                Traffic::Port(protocol, port) => Payload::Port(protocol, port),
                Traffic::Portless => Payload::Icmp(if from.is_ipv4() { 8 } else { 128 }),
            };
            let packet = Packet {
                source: from,
                destination: to,
                payload,
                interface: "veth0".to_owned(),
                source_behind_interface: true,
                established: false,
            };
            for ((name, plan), log) in nodes.iter().zip(&logs) {
                let passage = interpret::forward(&plan.ruleset, &packet).unwrap();
                let (last, before) = passage.logged.split_last().unwrap();
                let judge = |prefix: &String| {
                    log.judge(&LoggedPacket::new(&**prefix, &bytes(from, to, traffic)), &cluster, &program)
                };
                assert!(before.iter().all(|chain| plan.audits.contains_key(chain)), "one thing or the other, once");
                let mut records: Vec<FlowRecord> = before.iter().map(|prefix| judge(prefix).unwrap()).collect();
                records.iter().for_each(|record| check_would_deny(&cluster, &program, &flow, record));
                would += records.len();
                let record = judge(last);
                if passage.accepted {
                    assert_eq!(last, ACCEPTED);
                    check_accepted(&cluster, &program, &flow, name, record.as_ref());
                    accepted += usize::from(record.is_some());
                } else {
                    check_denied(&cluster, &program, &flow, record.as_ref().unwrap());
                    denied += 1;
                }
                records.extend(record);
                for record in records {
                    let line = Line::Flow(Box::new(record));
                    assert_eq!(Line::parse(&line.to_json()).unwrap(), line);
                }
            }
        }
    }
    assert!(denied > 500 && accepted > 500 && would > 200, "{denied} denied, {accepted} accepted, {would} would be");
}

/// Two pods of n1, of which nobody but `other` may reach db.
fn small() -> (Cluster, PolicyProgram) {
    let inventory = Inventory {
        pods: vec![pod("web", "n1", 1), pod("db", "n1", 2)],
        policies: vec![only("other", "db")],
        ..Inventory::default()
    };
    let cluster = inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    (cluster, program)
}

fn denials(cluster: &Cluster, program: &PolicyProgram) -> BTreeMap<String, palisade_engine::compile::ProfileId> {
    plan(cluster, program, cluster.find_node("n1").unwrap(), &Options::default()).denials
}

/// A log of n1, and a packet that it denies.
fn log(cluster: &Cluster, program: &PolicyProgram) -> (FlowLog, Shared, LoggedPacket) {
    let status = Shared::default();
    let mut log = FlowLog::of("n1", status.clone());
    let denials = denials(cluster, program);
    log.planned(cluster, program, &denials, &BTreeMap::new());
    let tcp = Traffic::Port(Protocol::Tcp, 80);
    let packet = bytes("10.244.0.1".parse().unwrap(), "10.244.0.2".parse().unwrap(), tcp);
    (log, status, LoggedPacket::new(&**denials.keys().next().unwrap(), &packet))
}

/// A folder that is gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("palisade-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Line::parse(line).unwrap()).collect()
}

#[track_caller]
fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_packet_of_a_chain_that_is_gone_is_still_understood() {
    let (cluster, program) = small();
    let (mut log, status, packet) = log(&cluster, &program);
    let before = log.judge(&packet, &cluster, &program).unwrap();
    assert_eq!(before.isolated_by, ["prod/other-to-db"]);
    assert_eq!(before.nearest.as_ref().unwrap().policy, "prod/other-to-db");
    // The policy goes, and a packet that it denied comes after.
    let inventory = Inventory { pods: vec![pod("web", "n1", 1), pod("db", "n1", 2)], ..Inventory::default() };
    let cluster = inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    log.planned(&cluster, &program, &denials(&cluster, &program), &BTreeMap::new());
    let after = log.judge(&packet, &cluster, &program).unwrap();
    assert_eq!((after.verdict, after.isolated_by), (FlowVerdict::Denied, before.isolated_by));
    assert_eq!(after.nearest, None);
    // What nobody knows, and what is no packet, makes no line.
    let strange = LoggedPacket { prefix: "somebody else's".to_owned(), ..packet.clone() };
    assert_eq!(log.judge(&strange, &cluster, &program), None);
    log.record(&LoggedPacket { tuple: None, ..packet }, &cluster, &program);
    assert_eq!((status.get().flows.records, status.get().flows.unreadable), (0, 1));
}

/// [`small`], with its policy audited.
fn audited() -> (Cluster, PolicyProgram, Plan) {
    let inventory = Inventory {
        pods: vec![pod("web", "n1", 1), pod("db", "n1", 2)],
        policies: vec![NetworkPolicy { mode: Some(Mode::Audit), ..only("other", "db") }],
        ..Inventory::default()
    };
    let cluster = inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    let plan = plan(&cluster, &program, cluster.find_node("n1").unwrap(), &Options::default());
    (cluster, program, plan)
}

/// A log of n1 that is written nowhere.
fn log_of(cluster: &Cluster, program: &PolicyProgram, plan: &Plan) -> FlowLog {
    let mut log = FlowLog::of("n1", Shared::default());
    log.planned(cluster, program, &plan.denials, &plan.audits);
    log
}

/// A packet that audited policies would deny is logged by their chain, and once more when it has passed.
#[test]
fn a_packet_that_passes_is_told_once() {
    let folder = Folder::new("once");
    let path = folder.0.join("flows.jsonl");
    let (cluster, program, plan) = audited();
    let mut log = log_of(&cluster, &program, &plan);
    log.write_to(&Target::File(path.clone())).unwrap();
    let chain = plan.audits.keys().next().unwrap().as_str();
    let (web, db) = ("10.244.0.1".parse().unwrap(), "10.244.0.2".parse().unwrap());
    let [audited, other] = [80, 81].map(|port| bytes(web, db, Traffic::Port(Protocol::Tcp, port)));
    // Another processor's packet comes between, and one that the rate limit kept from that chain's log is told as accepted.
    for (prefix, bytes) in
        [(chain, &audited), (ACCEPTED, &other), (ACCEPTED, &audited), (ACCEPTED, &audited), (chain, &audited)]
    {
        log.record(&LoggedPacket::new(prefix, bytes), &cluster, &program);
    }
    drop(log);
    let said = lines(&path).into_iter().map(|line| match line {
        Line::Flow(record) => (record.verdict, record.dst.port),
        other => panic!("{other:?}"),
    });
    let (would, accepted) = (FlowVerdict::WouldDeny, FlowVerdict::Accepted);
    let wanted = [(would, Some(80)), (accepted, Some(81)), (accepted, Some(80)), (would, Some(80))];
    assert_eq!(said.collect::<Vec<_>>(), wanted);
}

/// What a look finds that the kernel has told of as it began is told no more; the rest is, with all that the program
/// says of it.
#[test]
fn a_connection_that_stands_is_told_once() {
    let folder = Folder::new("standing");
    let path = folder.0.join("flows.jsonl");
    let (cluster, program, plan) = audited();
    let status = Shared::default();
    let mut log = FlowLog::of("n1", status.clone());
    log.planned(&cluster, &program, &plan.denials, &plan.audits);
    log.write_to(&Target::File(path.clone())).unwrap();
    let chain = plan.audits.keys().next().unwrap().as_str();
    let (web, db) = ("10.244.0.1".parse().unwrap(), "10.244.0.2".parse().unwrap());
    let packets = [80, 81].map(|port| LoggedPacket::new(chain, &bytes(web, db, Traffic::Port(Protocol::Tcp, port))));
    let [new, standing] = &packets;
    log.record(new, &cluster, &program);
    let connections = packets.iter().map(|packet| (chain.to_owned(), packet.tuple.unwrap())).collect();
    let look = WouldDeny { connections, ended: Some(Ended::Whole) };
    let start = Instant::now();
    for second in 0..3 {
        let at = start + Duration::from_secs(second);
        log.stands(at, look.clone(), Options::default().log);
        log.turn(at, &cluster, &program);
    }
    let counted = BTreeMap::from([(("prod/other-to-db".to_owned(), Direction::Ingress), 2)]);
    assert_eq!((status.get().would_deny_standing, status.get().flows.records), (counted, 2));
    // Where nothing is logged it is counted all the same.
    let mut silent = FlowLog::of("n1", status.clone());
    silent.planned(&cluster, &program, &plan.denials, &plan.audits);
    silent.stands(start, WouldDeny { ended: Some(Ended::Whole), ..WouldDeny::default() }, None);
    assert_eq!(status.get().would_deny_standing.into_values().collect::<Vec<_>>(), [0]);
    silent.stands(start, look, None);
    silent.turn(start + Duration::from_secs(1), &cluster, &program);
    assert_eq!(status.get().would_deny_standing.into_values().collect::<Vec<_>>(), [2]);
    assert_eq!(status.get().flows.records, 2);
    drop(log);
    let told = lines(&path).into_iter().map(|line| match line {
        Line::Flow(record) => *record,
        other => panic!("{other:?}"),
    });
    let told: Vec<FlowRecord> = told.collect();
    assert_eq!(told.iter().map(|record| record.standing).collect::<Vec<_>>(), [false, true]);
    let as_new = log_of(&cluster, &program, &plan).judge(standing, &cluster, &program).unwrap();
    assert_eq!(told[1], FlowRecord { standing: true, time: told[1].time, ..as_new });
    assert_eq!(told[1].audited, ["prod/other-to-db"]);
}

#[test]
fn cut_and_garbled_packets_never_panic() {
    let (cluster, program) = small();
    let (log, _, packet) = log(&cluster, &program);
    let mut dice = Dice(7);
    let whole = [
        bytes("10.244.0.1".parse().unwrap(), "10.244.0.2".parse().unwrap(), Traffic::Port(Protocol::Tcp, 80)),
        bytes("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), Traffic::Portless),
    ];
    for round in 0..20_000 {
        let mut bytes = whole[round % 2].clone();
        bytes.truncate(dice.below(bytes.len() + 1));
        for _ in 0..dice.below(4) {
            let (at, value) = (dice.below(bytes.len()), dice.below(256));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value as u8;
            }
        }
        for prefix in [packet.prefix.as_str(), ACCEPTED, ""] {
            if let Some(record) = log.judge(&LoggedPacket::new(prefix, &bytes), &cluster, &program) {
                let line = Line::Flow(Box::new(record));
                assert_eq!(Line::parse(&line.to_json()).unwrap(), line);
            }
        }
    }
}

#[test]
fn a_file_is_appended_to_and_made_anew_when_it_is_rotated_away() {
    let folder = Folder::new("rotation");
    let (path, rotated) = (folder.0.join("flows.jsonl"), folder.0.join("flows.jsonl.1"));
    fs::write(&path, "{\"v\":1,\"lost\":7}\n").unwrap();
    let (cluster, program) = small();
    let (mut log, _, packet) = log(&cluster, &program);
    log.write_to(&Target::File(path.clone())).unwrap();
    for _ in 0..3 {
        log.record(&packet, &cluster, &program);
    }
    until(|| lines(&path).len() == 4);
    fs::rename(&path, &rotated).unwrap();
    log.record(&packet, &cluster, &program);
    until(|| lines(&path).len() == 1);
    log.record(&packet, &cluster, &program);
    // Its end writes what waits.
    drop(log);
    assert_eq!((lines(&rotated).len(), lines(&path).len()), (4, 2));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = FlowLog::of("n1", Shared::default()).write_to(&Target::File(folder.0.join("no/such/folder")));
    assert!(refused.is_err());
}

/// What a reader of the socket is told next.
fn next(reader: &mut BufReader<UnixStream>) -> Option<Line> {
    let mut text = String::new();
    let read = reader.read_line(&mut text).unwrap_or(0);
    (read > 0).then(|| Line::parse(text.trim_end()).unwrap())
}

fn connect(path: &Path) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

#[test]
fn slow_readers_hold_nobody_and_are_told_what_they_missed() {
    const MANY: u64 = 8_000;
    let folder = Folder::new("socket");
    let path = folder.0.join("flows.sock");
    let (cluster, program) = small();
    let (mut log, status, packet) = log(&cluster, &program);
    log.record(&packet, &cluster, &program);
    log.tell_at(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Somebody else may not listen there, and nothing else is removed.
    assert!(FlowLog::of("n1", Shared::default()).tell_at(&path).is_err());
    let other = folder.0.join("other");
    fs::write(&other, "").unwrap();
    assert!(FlowLog::of("n1", Shared::default()).tell_at(&other).is_err() && other.exists());

    log.record(&packet, &cluster, &program);
    let mut slow: Vec<_> = (0..3).map(|_| connect(&path)).collect();
    for reader in &mut slow {
        assert!(matches!(next(reader), Some(Line::Flow(_))), "what was last comes first");
        assert_eq!(next(reader), Some(Line::CaughtUp));
    }
    // This one hangs up.
    drop(slow.pop());
    let mut sent = MANY;
    (0..sent).for_each(|_| log.record(&packet, &cluster, &program));
    assert!(status.get().flows.dropped > 0);
    for reader in &mut slow {
        let (mut flows, mut lost) = (0, 0);
        while flows + lost < sent {
            match next(reader) {
                Some(Line::Flow(_)) => flows += 1,
                Some(Line::Lost(lines)) => lost += lines,
                other => panic!("{other:?} after {flows} lines and {lost} lost"),
            }
            // What is missing is told before the next line that there is room for.
            if flows % 100 == 0 {
                log.record(&packet, &cluster, &program);
                sent += 1;
            }
        }
        assert!(flows > 0 && lost > 0, "{flows} lines, {lost} lost");
    }
    drop(log);
    assert!(!path.exists(), "the socket goes with the log");
}

#[test]
fn readers_that_are_gone_make_room() {
    let folder = Folder::new("readers");
    let path = folder.0.join("flows.sock");
    let (cluster, program) = small();
    let (mut log, ..) = log(&cluster, &program);
    // What a killed run left is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    log.tell_at(&path).unwrap();
    let mut held: Vec<_> = (0..16).map(|_| connect(&path)).collect();
    for reader in &mut held {
        assert_eq!(next(reader), Some(Line::CaughtUp));
    }
    assert_eq!(next(&mut connect(&path)), None, "one too many is shut out");
    drop(held);
    until(|| next(&mut connect(&path)) == Some(Line::CaughtUp));
}
