//! The example of a shop under audit: nothing is lost, what would be is logged, and enforcing it cuts just that.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::Duration,
};

use palisade_agent::flow_log::record::{FlowDirection, FlowProtocol, FlowRecord, FlowVerdict, Line};
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Direction, Family, Flow, Mode, ObjectRef, PolicyRef, Protocol, Side, Traffic},
};
use palisade_manifest::{ReadOptions, read_text};
use palisade_testbed::{Result, Row, Setup, Testbed, read_rows, stream::Stream, until};

use crate::stage::{GROUND, only, pods, setup};

/// The shop's namespace, with or without its annotation.
fn namespace(mode: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata:
  name: ecommerce
  labels: {{kubernetes.io/metadata.name: ecommerce, name: ecommerce}}
  annotations: {{palisade.dev/mode: {mode}}}
"
    )
}

/// The example.
struct Shop {
    cluster: String,
    policies: String,
    rows: Vec<Row>,
}

impl Shop {
    fn read() -> Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/e-commerce");
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        // What has no port is no row here.
        let table: Vec<String> =
            read("flows.tsv")?.lines().filter(|line| !line.contains("\tICMP\t")).map(str::to_owned).collect();
        let (cluster, policies) = (read("cluster.yaml")?, read("policies.yaml")?);
        Ok(Self { cluster, policies, rows: read_rows(&table.join("\n"))? })
    }

    fn outside(&self) -> Vec<IpAddr> {
        let ends = self.rows.iter().flat_map(|row| [&row.from, &row.to]);
        let addresses: BTreeSet<IpAddr> = ends.filter_map(|end| end.parse().ok()).collect();
        addresses.into_iter().collect()
    }

    /// The rows as they are while nothing is enforced.
    fn all_allowed(&self) -> Vec<Row> {
        self.rows.iter().map(|row| Row { allowed: true, ..row.clone() }).collect()
    }
}

/// What a line of the flow log is about, as far as a row can say it.
type Key = (IpAddr, IpAddr, Traffic);
/// At each end that would deny it: the audited policies that would.
type Would = BTreeMap<Direction, Vec<String>>;

/// What the engine says that audited policies would deny of each row.
fn foretold(shop: &Shop) -> Result<BTreeMap<Key, Would>> {
    let text = format!("{}\n---\n{}", shop.cluster, shop.policies);
    let mut inventory = read_text("shop", &text, &ReadOptions::default()).inventory;
    inventory.namespaces.retain(|namespace| namespace.name.as_str() != "ecommerce");
    inventory.namespaces.extend(read_text("shop", &namespace("audit"), &ReadOptions::default()).inventory.namespaces);
    let cluster = inventory.into_cluster().map_err(|conflicts| format!("{conflicts:?}"))?;
    let program = PolicyProgram::compile(&cluster);
    let mut found = BTreeMap::new();
    for (row, family) in shop.rows.iter().flat_map(|row| Family::ALL.map(|family| (row, family))) {
        let ends = (side(&cluster, &row.from, family), side(&cluster, &row.to, family));
        let (Some(from), Some(to)) = ends else { continue };
        let (Some(source), Some(destination)) = (from.address, to.address) else { continue };
        let Ok(flow) = Flow::new(from, to, row.traffic) else { continue };
        let would = program.would_deny_on_the_way(&cluster, &flow);
        // What is in the table is what enforcing leads to, so the example itself says which connections these are.
        assert_eq!(would.is_empty(), row.allowed, "{row:?}");
        let names = |policies: &[PolicyRef]| {
            let mut names: Vec<String> = policies.iter().map(|policy| cluster.policy_name(*policy)).collect();
            names.sort();
            names
        };
        let would = would.into_iter().map(|(direction, would)| (direction, names(&would.policies))).collect();
        found.insert((source, destination, row.traffic), would);
    }
    Ok(found)
}

fn side(cluster: &Cluster, name: &str, family: Family) -> Option<Side> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return (Family::of(address) == family).then(|| cluster.side_of_address(address));
    }
    let (namespace, pod) = name.split_once('/')?;
    let id = cluster.find_pod(&ObjectRef::new(namespace, pod))?;
    cluster.side_of_pod(id, family)
}

/// The lines of the agents of both nodes so far.
fn records(path: &PathBuf) -> Result<Vec<FlowRecord>> {
    let text = std::fs::read_to_string(path)?;
    let mut found = Vec::new();
    // The last line may be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        if let Line::Flow(record) = Line::parse(line)? {
            found.push(*record);
        }
    }
    Ok(found)
}

/// What they logged as would-deny.
fn logged(path: &PathBuf) -> Result<BTreeMap<Key, Would>> {
    let mut found: BTreeMap<Key, Would> = BTreeMap::new();
    for record in records(path)? {
        let (FlowProtocol::WithPorts(protocol), Some(port)) = (record.protocol, record.dst.port) else { continue };
        if record.verdict != FlowVerdict::WouldDeny {
            continue;
        }
        let direction = match record.direction {
            FlowDirection::Ingress => Direction::Ingress,
            FlowDirection::Egress => Direction::Egress,
            FlowDirection::Both => return Err(format!("one end is judged at a time: {record:?}").into()),
        };
        let ends = found.entry((record.src.ip, record.dst.ip, Traffic::Port(protocol, port))).or_default();
        if let Some(before) = ends.insert(direction, record.audited.clone())
            && before != record.audited
        {
            return Err(format!("two lines of one connection differ: {before:?}, {record:?}").into());
        }
    }
    Ok(found)
}

/// A TCP connection that stands.
struct Conversation {
    row: Row,
    client: TcpStream,
    server: TcpStream,
}

impl Conversation {
    /// Whether a word gets through within that time.
    fn works(&mut self, within: Duration) -> Result<bool> {
        self.client.write_all(b"?")?;
        self.server.set_read_timeout(Some(within))?;
        match self.server.read(&mut [0; 64]) {
            Ok(0) => Err(format!("{:?} was closed", self.row).into()),
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// A connection for every row of TCP whose ends have addresses of a family.
fn converse(bed: &Testbed, rows: &[Row], is_ipv4: bool) -> Result<Vec<Conversation>> {
    let mut listeners: BTreeMap<SocketAddr, TcpListener> = BTreeMap::new();
    let mut found = Vec::new();
    for row in rows {
        let Traffic::Port(Protocol::Tcp, port) = row.traffic else { continue };
        let (Ok((near, _)), Ok((far, address))) = (bed.end(&row.from, is_ipv4), bed.end(&row.to, is_ipv4)) else {
            continue;
        };
        let at = SocketAddr::new(address, port);
        let listener = match listeners.entry(at) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(far.run(|| TcpListener::bind(at))??),
        };
        let client = near.run(|| TcpStream::connect_timeout(&at, Duration::from_secs(10)))??;
        client.set_nodelay(true)?;
        found.push(Conversation { row: row.clone(), client, server: listener.accept()?.0 });
    }
    Ok(found)
}

/// Waits until of all connections exactly those work that are `wanted` to.
fn only_work(conversations: &mut [Conversation], wanted: impl Fn(&Row) -> bool + Sync) -> Result {
    // One by one, those that are cut would take long.
    let wrong: Vec<String> = thread::scope(|scope| {
        let wanted = &wanted;
        let ask = |conversation: &mut Conversation| -> Result {
            let wants = wanted(&conversation.row);
            // A word that was sent while it was cut comes when it is sent again, later each time.
            let within = if wants { Duration::from_secs(60) } else { Duration::from_millis(500) };
            until("it is as wanted", || match conversation.works(within)? {
                works if works == wants => Ok(()),
                works => Err(format!("{:?} works: {works}", conversation.row).into()),
            })
        };
        let asked: Vec<_> = conversations.iter_mut().map(|one| scope.spawn(move || ask(one))).collect();
        asked
            .into_iter()
            .filter_map(|thread| match thread.join() {
                Ok(answer) => answer.err().map(|error| error.to_string()),
                Err(_) => Some("a thread panicked".to_owned()),
            })
            .collect()
    });
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

pub(crate) fn shop() -> Result {
    let shop = Shop::read()?;
    let foretold = foretold(&shop)?;
    let would: BTreeMap<Key, Would> =
        foretold.iter().filter(|(_, would)| !would.is_empty()).map(|(key, would)| (*key, would.clone())).collect();
    assert!(would.len() > 20 && foretold.len() > would.len() + 20, "{} of {}", would.len(), foretold.len());
    let log = std::env::temp_dir().join(format!("palisade-audited-{}.jsonl", std::process::id()));
    _ = std::fs::remove_file(&log);
    let arguments = vec!["--flow-log".to_owned(), log.display().to_string()];
    let mut bed = Testbed::up(Setup { arguments, ..setup() }, &[&shop.cluster], &shop.outside())?;
    let all = shop.all_allowed();
    for is_ipv4 in [true, false] {
        bed.all_arrive(&all, is_ipv4)?;
    }
    bed.api().apply(&shop.cluster)?;
    bed.api().apply(&namespace("audit"))?;
    bed.api().apply(&shop.policies)?;
    bed.start_agents()?;
    bed.settle()?;

    // Under audit nothing is lost, and what would be is logged: these connections, by these policies, and no others.
    for is_ipv4 in [true, false] {
        bed.expect(&all, is_ipv4)?;
    }
    until("what would be denied is logged", || match logged(&log)? {
        found if found == would => Ok(()),
        found => Err(format!("logged {found:#?}, and would be denied {would:#?}").into()),
    })?;

    let mut conversations = converse(&bed, &all, true)?;
    conversations.extend(converse(&bed, &all, false)?);
    let denied: BTreeSet<&Row> = shop.rows.iter().filter(|row| !row.allowed).collect();
    let is_denied = |row: &Row| denied.contains(&Row { allowed: false, ..row.clone() });
    only_work(&mut conversations, |_| true)?;

    // Enforcing cuts these, and no others; auditing again mends them.
    bed.api().apply(&namespace("enforce"))?;
    bed.settle()?;
    only_work(&mut conversations, |row| !is_denied(row))?;
    bed.api().apply(&namespace("audit"))?;
    bed.settle()?;
    only_work(&mut conversations, |_| true)?;
    println!("{} connections stood, {} of them were cut and mended", conversations.len(), {
        conversations.iter().filter(|one| is_denied(&one.row)).count()
    });
    drop(conversations);

    // And so do new ones.
    for (mode, rows) in [("enforce", &shop.rows), ("audit", &all)] {
        bed.api().apply(&namespace(mode))?;
        bed.settle()?;
        for is_ipv4 in [true, false] {
            bed.expect(rows, is_ipv4)?;
        }
    }
    let name = "palisade_would_deny_packets_total{policy=\"ecommerce/default-deny-all\",direction=\"ingress\"}";
    until("what would be denied is counted", || match bed.metric(0, name)? {
        0.0 => Err("nothing is counted".into()),
        _ => Ok(()),
    })?;
    std::fs::remove_file(&log)?;
    Ok(())
}

/// `--mode=audit`: whatever policies and namespaces say, the node denies nothing.
pub(crate) fn nodes() -> Result {
    let shop = Shop::read()?;
    let arguments = vec!["--mode=audit".to_owned()];
    let mut bed = Testbed::up(Setup { arguments, ..setup() }, &[&shop.cluster], &shop.outside())?;
    bed.api().apply(&shop.cluster)?;
    bed.api().apply(&namespace("enforce"))?;
    bed.api().apply(&shop.policies)?;
    bed.start_agents()?;
    bed.settle_as(|inventory| inventory.policies.iter_mut().for_each(|policy| policy.mode = Some(Mode::Audit)))?;
    for is_ipv4 in [true, false] {
        bed.expect(&shop.all_allowed(), is_ipv4)?;
    }
    Ok(())
}

/// One more message is answered.
fn goes_on(stream: &Stream) -> Result {
    let before = stream.answered();
    until("it goes on", || match stream.answered() {
        now if now > before && !stream.is_over() => Ok(()),
        now => Err(format!("{now} messages").into()),
    })
}

/// What the connections that stand make of an audited policy's coming, and then of its being enforced.
fn standing(established: &str) -> Result {
    let log = std::env::temp_dir().join(format!("palisade-standing-{established}-{}.jsonl", std::process::id()));
    _ = std::fs::remove_file(&log);
    let arguments = vec!["--flow-log".to_owned(), log.display().to_string(), format!("--established={established}")];
    // Looks come by themselves, too.
    let mut bed = Testbed::up(Setup { arguments, audit_every: 1, ..setup() }, &[GROUND, &pods()], &[])?;
    bed.api().apply(GROUND)?;
    bed.api().apply(&pods())?;
    bed.start_agents()?;
    bed.settle()?;
    let denied: Vec<Stream> =
        [true, false].into_iter().map(|is_ipv4| bed.tcp("other/far", "prod/db", 80, is_ipv4)).collect::<Result<_>>()?;
    let allowed = bed.tcp("prod/web", "prod/db", 81, true)?;

    let policy = |mode: &str| {
        only("db", "web", "db", &[81])
            .replace("namespace: prod}", &format!("namespace: prod, annotations: {{palisade.dev/mode: {mode}}}}}"))
    };
    bed.api().apply(&policy("audit"))?;
    bed.settle()?;
    let would = |path: &PathBuf| -> Result<Vec<FlowRecord>> {
        let mut records = records(path)?;
        records.retain(|record| record.verdict == FlowVerdict::WouldDeny);
        Ok(records)
    };
    until("what stands is told", || match would(&log)? {
        found if found.len() >= denied.len() => Ok(()),
        found => Err(format!("told so far: {found:?}").into()),
    })?;
    // One that is new is told once, as it begins, and no more when it stands.
    let new = bed.tcp("other/near", "prod/db", 80, true)?;
    let metric = "palisade_would_deny_connections{policy=\"prod/db\",direction=\"ingress\"}";
    until("they are counted", || match bed.metric(0, metric)? {
        3.0 => Ok(()),
        other => Err(format!("{other} stand").into()),
    })?;
    let looks = |bed: &Testbed| bed.metric(0, "palisade_connections_looks_total");
    let before = looks(&bed)?;
    until("there are more looks", || match looks(&bed)? {
        looks if looks >= before + 3.0 => Ok(()),
        looks => Err(format!("{looks} after {before}").into()),
    })?;
    let found = would(&log)?;
    let who = |record: &FlowRecord| (record.src.ip.to_string(), record.dst.port, record.standing);
    let mut told: Vec<_> = found.iter().map(who).collect();
    told.sort();
    let told_once = [("10.244.1.3", false), ("10.244.2.3", true), ("fd00:10:244:2::3", true)];
    assert_eq!(told, told_once.map(|(source, stands)| (source.to_owned(), Some(80), stands)), "{found:#?}");
    for record in &found {
        assert_eq!((&*record.node, record.direction), ("node-1", FlowDirection::Ingress), "{record:?}");
        assert_eq!(record.audited, ["prod/db"], "{record:?}");
    }
    // All went on without loss: each message is answered before the next one is sent.
    denied.iter().chain([&allowed, &new]).try_for_each(goes_on)?;

    bed.api().apply(&policy("enforce"))?;
    bed.settle()?;
    until("none is left to tell of", || match bed.metric(0, metric) {
        Err(error) if error.to_string().starts_with("there is no metric") => Ok(()),
        other => Err(format!("{other:?} stand").into()),
    })?;
    for stream in denied.into_iter().chain([new]) {
        if established == "cut" {
            until("it is cut", || if stream.is_over() { Ok(()) } else { Err("it goes on".into()) })?;
            assert!(stream.finish().is_err());
        } else {
            goes_on(&stream)?;
            stream.finish()?;
        }
    }
    allowed.finish()?;
    std::fs::remove_file(&log)?;
    Ok(())
}

/// Cut when it is enforced.
pub(crate) fn standing_cut() -> Result {
    standing("cut")
}

/// Let live, and told all the same.
pub(crate) fn standing_kept() -> Result {
    standing("keep")
}
