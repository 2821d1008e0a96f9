//! The flow log with real packets: what the kernel drops and passes, and what it keeps from the log.

use std::{
    error::Error,
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use palisade_agent::{
    Agent, Event, FlowLog, Input, Settings, Shared,
    flow_log::{
        Target,
        record::{FlowDirection, FlowProtocol, FlowRecord, FlowVerdict, Line, Who},
    },
};
use palisade_engine::model::{Direction, Mode, NetworkPolicy, ObjectRef, PolicyTypes, Protocol};
use palisade_nftables::plan::{Log, Options, Sample};

use crate::{closed, kernel_in, network, policy, reached, small, synced};

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const GROUP: u16 = 1;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[track_caller]
fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The whole lines of a file that somebody is writing.
fn records(path: &Path) -> Vec<FlowRecord> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let records = whole.lines().map(|line| match Line::parse(line).unwrap() {
        Line::Flow(record) => *record,
        other => panic!("{other:?}"),
    });
    records.collect()
}

fn is_pod(who: &Who, name: &str) -> bool {
    matches!(who, Who::Pod(pod) if pod.namespace == "prod" && pod.pod == name)
}

pub(crate) fn lines() -> Outcome {
    let network = network()?;
    let node = network.node(0).ok_or("no node")?;
    let mut hand = kernel_in(node)?;
    let path: PathBuf = std::env::temp_dir().join(format!("palisade-flow-lines-{}", std::process::id()));
    _ = fs::remove_file(&path);
    let options = Options {
        log: Some(Log { group: GROUP, limit: Some((20, 40)) }),
        log_accepted: Some(Sample { one_of: 1, log: Log { group: GROUP, limit: None } }),
        ..Options::default()
    };
    let mut agent = Agent::new(Settings { options, ..Settings::of("n1") }, kernel_in(node)?);
    let status = agent.status();
    let (sender, inputs) = mpsc::channel::<Input>();
    let wake = sender.clone();
    let mut flows = FlowLog::of("n1", status.clone());
    node.run(|| flows.listen(Some(GROUP), move || _ = wake.send(Input::Wake)))??;
    flows.write_to(&Target::File(path.clone()))?;
    agent.log_flows(flows);
    // It goes on until the test ends: the flow log holds a sender, too.
    thread::spawn(move || agent.run_woken(&inputs));
    let changes = small().into_iter().chain(synced()).chain([policy(closed())]);
    for change in changes {
        sender.send(Input::Event(Event::from(change)))?;
    }
    until(|| status.get().ready.then_some(()));
    until(|| (status.get().sizes.policies == 2).then_some(()));
    until(|| hand.packets_counted("forward").ok());

    assert_eq!(reached(&network)?, [true, false]);
    let denied = until(|| records(&path).into_iter().find(|record| record.verdict == FlowVerdict::Denied));
    assert_eq!((denied.direction, denied.node.as_str()), (FlowDirection::Ingress, "n1"));
    assert_eq!(denied.protocol, FlowProtocol::WithPorts(Protocol::Tcp));
    assert!(is_pod(&denied.src.who, "db") && is_pod(&denied.dst.who, "web"), "{denied:?}");
    assert_eq!((denied.dst.ip, denied.dst.port), ([10, 244, 0, 1].into(), Some(80)));
    assert!(denied.src.port.is_some());
    assert_eq!((denied.isolated_by.as_slice(), denied.nearest), (["prod/nobody-to-web".to_owned()].as_slice(), None));
    let accepted = until(|| records(&path).into_iter().find(|record| record.verdict == FlowVerdict::Accepted));
    assert!(is_pod(&accepted.src.who, "web") && is_pod(&accepted.dst.who, "db"), "{accepted:?}");
    assert_eq!((accepted.direction, accepted.dst.port), (FlowDirection::Both, Some(80)));
    assert_eq!(accepted.decided_by.first().map(|rule| rule.rule.to_string()).as_deref(), Some("ingress[0]"));

    // A burst beyond what the kernel logs: lines and what they say is missing come to what it counted.
    let burst = |packets: usize| {
        network.pod(1).ok_or("no pod")?.run(|| -> std::io::Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            (0..packets).try_for_each(|_| socket.send_to(b"x", "10.244.0.1:9").map(|_| ()))
        })??;
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    };
    burst(500)?;
    let chain = hand.counters()?.into_iter().find(|counter| counter.comment.as_deref() == Some("prod/nobody-to-web"));
    let chain = chain.ok_or("no chain of that policy")?.chain;
    let begin = Instant::now();
    loop {
        let of_it = records(&path).into_iter().filter(|record| record.isolated_by == ["prod/nobody-to-web"]);
        let (lines, suppressed) = of_it.fold((0, 0), |(lines, sum), record| (lines + 1, sum + record.suppressed));
        let counted = hand.packets_counted(&chain)?.ok_or("the chain is gone")?;
        assert!(lines + suppressed <= counted, "{lines} lines and {suppressed} more of {counted}");
        if lines + suppressed == counted {
            assert!(suppressed > 100, "{lines} lines and {suppressed} more of {counted}");
            println!("{counted} packets dropped: {lines} lines, which tell of {suppressed} more");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{lines} lines and {suppressed} more of {counted}");
        burst(1)?;
        thread::sleep(Duration::from_millis(300));
    }
    let counted = hand.packets_counted(&chain)?;
    let key = ("prod/nobody-to-web".to_owned(), Direction::Ingress);
    until(|| (status.get().denied.get(&key).copied() == counted).then_some(()));

    // What an audited policy would deny passes, and that it does is no second line.
    let id = ObjectRef::new("prod", "web-to-nobody");
    let policy_types = Some(PolicyTypes { ingress: false, egress: true });
    let audited = NetworkPolicy { id, mode: Some(Mode::Audit), policy_types, ..closed() };
    sender.send(Input::Event(Event::from(policy(audited))))?;
    until(|| (status.get().sizes.policies == 3).then_some(()));
    let would = || -> Vec<FlowRecord> {
        records(&path).into_iter().filter(|record| record.verdict == FlowVerdict::WouldDeny).collect()
    };
    // The rules follow a moment later.
    until(|| {
        reached(&network).ok()?;
        (!would().is_empty()).then_some(())
    });
    let before = would().len();
    assert_eq!(reached(&network)?, [true, false]);
    until(|| (would().len() > before).then_some(()));
    // What the kernel said after the line before that one has come.
    for told in would().iter().take(before) {
        assert_eq!(told.audited, ["prod/web-to-nobody"]);
        let again = records(&path).into_iter().find(|record| {
            record.verdict == FlowVerdict::Accepted && (&record.src, &record.dst) == (&told.src, &told.dst)
        });
        assert_eq!(again, None, "told as {told:?}");
    }
    fs::remove_file(&path)?;
    Ok(())
}

pub(crate) fn taken() -> Outcome {
    let network = network()?;
    let node = network.node(0).ok_or("no node")?;
    let statuses = [Shared::default(), Shared::default()];
    let mut logs = Vec::new();
    for status in &statuses {
        let mut log = FlowLog::of("n1", status.clone());
        node.run(|| log.listen(Some(GROUP), || ()))??;
        logs.push(log);
    }
    // Whoever was quicker has it; the other one says so.
    let why = until(|| statuses.iter().find_map(|status| status.get().flow_trouble));
    assert!(why.contains("NFLOG group 1 is read by") && why.contains("enforcement goes on"), "{why}");
    Ok(())
}
