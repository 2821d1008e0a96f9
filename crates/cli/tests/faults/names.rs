//! Domain names: what a pod was told of is open before it is told, and nothing else is.
//!
//! ```text
//! prod/web (node 2) ──question──► dns/far on node 1, dns/near on node 2, a Service of the first, and one outside
//!          ──first SYN──────────► the address that the answer gave, outside: 500 of each family
//! ```

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use palisade_engine::model::{ClusterPolicyKind, Protocol};
use palisade_nftables::translation::{Door, DoorAddress, Translation};
use palisade_testbed::{Result, Setup, Testbed, until};
use palisade_watch::Watched;

use crate::stage::{GROUND, pod, pods, setup};

/// How many addresses there are outside, of each family.
const ADDRESSES: u16 = 500;
/// The Service of the name server on node 1, and the name server outside.
const SERVICE: &str = "10.96.0.10";
const OUTSIDE_SERVER: &str = "192.0.2.53";
const PATIENCE: Duration = Duration::from_secs(5);

const POLICY: &str = "
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: names}
spec:
  tier: Admin
  priority: 10
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
  egress:
  - name: lookups
    action: Accept
    to:
    - namespaces: {}
    - networks: [192.0.2.53/32]
    protocols: [{udp: {destinationPort: {number: 53}}}]
  - name: what-was-looked-up
    action: Accept
    to: [{domainNames: ['*.example.com', api.example.net]}]
    protocols: [{tcp: {destinationPort: {number: 80}}}]
  - name: nothing-else
    action: Deny
    to: [{networks: [0.0.0.0/0, '::/0']}]
";

/// The address that the name `n<number>.example.com` has.
fn address(number: u16, is_ipv4: bool) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match is_ipv4 {
        true => Ipv4Addr::new(198, 18, high, low).into(),
        false => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, number).into(),
    }
}

fn outside() -> Vec<IpAddr> {
    let of = |is_ipv4| (1..=ADDRESSES).map(move |number| address(number, is_ipv4));
    let server = OUTSIDE_SERVER.parse::<IpAddr>().into_iter();
    of(true).chain(of(false)).chain(server).collect()
}

fn up(arguments: &[&str]) -> Result<(Testbed, Servers)> {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    let setup = Setup { arguments, ..setup() };
    let servers = [pod("dns/far", "dns", 1, 9), pod("dns/near", "dns", 2, 9)].join("---");
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: dns}}";
    let (ground, pods) = (format!("{GROUND}---\n{namespace}"), format!("{}---{servers}", pods()));
    let mut bed = Testbed::up(setup, &[&ground, &pods], &outside())?;
    bed.api().apply(&ground)?;
    bed.api().apply(&pods)?;
    let of = Watched::ClusterPolicies(ClusterPolicyKind::Cluster).resource();
    bed.api().fake().ok_or("not the fake server")?.install(of);
    bed.api().apply(POLICY)?;
    let (_, behind) = bed.end("dns/far", true)?;
    let door = Door {
        at: DoorAddress::Service(SERVICE.parse()?),
        protocol: Protocol::Udp,
        port: 53,
        behind: vec![SocketAddr::new(behind, 53)],
        comment: "dns/far".to_owned(),
    };
    bed.kernel(1)?.translate(&Translation { doors: vec![door], own: Vec::new() })?;
    let servers = Servers::start(&bed)?;
    bed.start_agents()?;
    bed.settle()?;
    Ok((bed, servers))
}

/// The first SYN to an address that was just looked up passes, whoever answered; what was not looked up is closed.
pub(crate) fn first_syn() -> Result {
    let (mut bed, _servers) = up(&[])?;
    let masquerades = masquerade(&bed)?;
    assert!(!connects(&bed, address(1, true))?.0 && !connects(&bed, address(1, false))?.0);
    let before = bed.dropped()?;
    let (mut slowest_answer, mut slow, mut slowest) = (Duration::ZERO, 0, Duration::ZERO);
    for number in 1..=ADDRESSES {
        for is_ipv4 in [true, false] {
            let server = match (number % 4, is_ipv4) {
                (0, _) => bed.end("dns/near", is_ipv4)?.1,
                (1, true) => SERVICE.parse()?,
                (2, true) if masquerades => OUTSIDE_SERVER.parse()?,
                _ => bed.end("dns/far", is_ipv4)?.1,
            };
            let begun = Instant::now();
            let told = look_up(&bed, server, &format!("n{number}.example.com"), is_ipv4)?;
            slowest_answer = slowest_answer.max(begun.elapsed());
            assert_eq!(told, Some(address(number, is_ipv4)), "{server}");
            let (connected, took) = connects(&bed, address(number, is_ipv4))?;
            assert!(connected, "n{number}.example.com, told by {server}");
            slowest = slowest.max(took);
            slow += u32::from(took >= Duration::from_millis(200));
        }
    }
    let dropped = bed.dropped()? - before;
    println!(
        "{} cold lookups: {dropped} first packets dropped, {slow} connects of 200 ms or more, slowest {slowest:?}, \
         slowest answer {slowest_answer:?}",
        2 * ADDRESSES
    );
    assert_eq!(dropped, 0, "a first SYN was dropped");
    // Another list of names is another set, which begins with what was learned: nothing is closed in between.
    for names in ["['*.example.com', api.example.net, more.example.net]", "['*.example.com', api.example.net]"] {
        bed.api().apply(&POLICY.replace("['*.example.com', api.example.net]", names))?;
        for number in 1..=ADDRESSES {
            assert!(connects(&bed, address(number, number % 2 == 0))?.0, "{number} while the policy changed");
        }
        bed.settle()?;
    }
    // A chain that was made anew counts from nothing.
    assert!(bed.dropped()? <= before, "a first SYN was dropped while the policy changed");
    Ok(())
}

/// An address leaves when its time ends, connections stay, lookups go on without an agent, and hostile answers and
/// pods that no rule concerns change nothing.
pub(crate) fn time_and_trust() -> Result {
    let (mut bed, _servers) = up(&["--names-min-ttl=1", "--names-max-ttl=1", "--names-server=10.244.0.0/16"])?;
    let far = bed.end("dns/far", true)?.1;
    let ask = |bed: &Testbed, name: &str| look_up(bed, far, name, true);
    assert_eq!(ask(&bed, "n1.example.com")?, Some(address(1, true)));
    let mut stream = connect(&bed, address(1, true))?;
    works(&mut stream)?;
    let closed = |bed: &Testbed| match connects(bed, address(1, true))?.0 {
        true => Err("the address is still open".into()),
        false => Ok(()),
    };
    until("the address leaves", || closed(&bed))?;
    works(&mut stream)?;
    // A change of policy makes the agent look at every connection: this one was right when it began.
    bed.api().apply(&crate::stage::only("db", "web", "db", &[]))?;
    bed.settle()?;
    thread::sleep(Duration::from_millis(500));
    works(&mut stream)?;
    assert_eq!(ask(&bed, "n1.example.com")?, Some(address(1, true)));
    assert!(connects(&bed, address(1, true))?.0);

    // Beside what was asked for, of another name, of a server that is not believed.
    for name in ["beside.example.com", "n3.example.org", "huge.example.com"] {
        ask(&bed, name)?;
    }
    look_up(&bed, OUTSIDE_SERVER.parse()?, "n5.example.com", true)?;
    for number in [2, 3, 5] {
        assert!(!connects(&bed, address(number, true))?.0, "{number}");
    }
    let held = bed.metric(1, "palisade_names_answers_total")?;
    let (near, _) = bed.end("other/far", true)?;
    assert_eq!(resolve(near, far, "n6.example.com", true)?, Some(address(6, true)));
    assert!((bed.metric(1, "palisade_names_answers_total")? - held).abs() < 0.5, "no rule concerns that pod");

    bed.kill_agents(1)?;
    let begun = Instant::now();
    assert_eq!(ask(&bed, "n7.example.com")?, Some(address(7, true)));
    println!("a lookup without an agent took {:?}", begun.elapsed());
    assert!(!connects(&bed, address(7, true))?.0, "nobody learned it");
    works(&mut stream)?;
    bed.start_agent(1)?;
    bed.settle()?;
    thread::sleep(Duration::from_millis(500));
    works(&mut stream)?;
    assert_eq!(ask(&bed, "n7.example.com")?, Some(address(7, true)));
    assert!(connects(&bed, address(7, true))?.0);
    Ok(())
}

/// Packets from pods to the server outside leave with the node's address, as most CNIs do it. Says whether that
/// could be done.
fn masquerade(bed: &Testbed) -> Result<bool> {
    let rule = "table inet test { chain post { type nat hook postrouting priority srcnat; ip daddr 192.0.2.53 masquerade; }; }";
    let ran = bed.node(1)?.run(|| Command::new("nft").arg(rule).output())?;
    if ran.as_ref().is_ok_and(|output| output.status.success()) {
        return Ok(true);
    }
    eprintln!("skipped: answers that were masqueraded are not tried: nft is not installed");
    Ok(false)
}

fn look_up(bed: &Testbed, server: IpAddr, name: &str, is_ipv4: bool) -> Result<Option<IpAddr>> {
    resolve(bed.end("prod/web", true)?.0, server, name, is_ipv4)
}

fn connects(bed: &Testbed, to: IpAddr) -> Result<(bool, Duration)> {
    let (web, _) = bed.end("prod/web", true)?;
    let begun = Instant::now();
    let connected = web.run(|| TcpStream::connect_timeout(&SocketAddr::new(to, 80), Duration::from_millis(900)))?;
    Ok((connected.is_ok(), begun.elapsed()))
}

fn connect(bed: &Testbed, to: IpAddr) -> Result<TcpStream> {
    let (web, _) = bed.end("prod/web", true)?;
    let stream = web.run(|| TcpStream::connect_timeout(&SocketAddr::new(to, 80), PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn works(stream: &mut TcpStream) -> Result {
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])?;
    Ok(())
}

/// Asks once, and takes the first address of the answer.
fn resolve(from: &palisade_linux::netns::NetNs, server: IpAddr, name: &str, is_ipv4: bool) -> Result<Option<IpAddr>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = from.run(|| UdpSocket::bind((any, 0)))??;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((server, 53))?;
    let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, if is_ipv4 { 1 } else { 28 }, 0, 1]);
    socket.send(&question)?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).map_err(|error| format!("{server} did not answer {name}: {error}"))?;
    let rest = answer.get(question.len()..length).ok_or("no answer to that question")?;
    // An owner (two bytes), type, class, TTL, length, and the address.
    Ok(match (is_ipv4, rest.get(12..)) {
        (true, Some(data)) => data.first_chunk().map(|octets: &[u8; 4]| IpAddr::from(*octets)),
        (false, Some(data)) => data.first_chunk().map(|octets: &[u8; 16]| IpAddr::from(*octets)),
        (_, None) => None,
    })
}

/// Name servers in the two pods and outside, and whoever has the addresses. They end when this is dropped.
struct Servers(Arc<AtomicBool>);

impl Servers {
    fn start(bed: &Testbed) -> Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        for name in ["dns/far", "dns/near", OUTSIDE_SERVER] {
            for is_ipv4 in [true, false] {
                let Ok((namespace, at)) = bed.end(name, is_ipv4) else { continue };
                let socket = namespace.run(|| UdpSocket::bind((at, 53)))??;
                socket.set_read_timeout(Some(Duration::from_millis(200)))?;
                let ended = Arc::clone(&ended);
                thread::spawn(move || answer_all(&socket, &ended));
            }
        }
        let (namespace, _) = bed.end(&address(1, true).to_string(), true)?;
        // Of both families.
        let listener = namespace.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80)))??;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Ok(Self(ended))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
}

fn answer_all(socket: &UdpSocket, ended: &AtomicBool) {
    let mut question = [0; 512];
    while !ended.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut question)
            && let Some(answer) = question.get(..length).and_then(answer)
        {
            _ = socket.send_to(&answer, from);
        }
    }
}

/// `n7.example.com` has the seventh address; some names are answered with what nobody asked for.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while *question.get(at)? > 0 {
        let end = at + 1 + usize::from(*question.get(at)?);
        labels.push(String::from_utf8_lossy(question.get(at + 1..end)?).into_owned());
        at = end;
    }
    let is_ipv4 = *question.get(at + 2)? == 1;
    let first = labels.first()?;
    let number: u16 = first.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap_or(1);
    // The name of the question, and one that it does not have.
    let (own, other) = ([0xc0, 12], [&[4], b"evil".as_slice(), &[2], b"io", &[0]].concat());
    let mut records = vec![(own.to_vec(), address(number, is_ipv4))];
    match first.as_str() {
        "beside" => records.push((other, address(2, is_ipv4))),
        "huge" => records.extend((0..60).map(|_| (other.clone(), address(2, is_ipv4)))),
        _ => {}
    }
    let mut answer = question.to_vec();
    answer.splice(2..4, [0x81, 0x80]);
    answer.splice(6..8, u16::try_from(records.len()).ok()?.to_be_bytes());
    for (owner, address) in records {
        answer.extend(owner);
        let (kind, data) = match address {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (28, v6.octets().to_vec()),
        };
        answer.extend([0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(data.len()).ok()?]);
        answer.extend(data);
    }
    Some(answer)
}
