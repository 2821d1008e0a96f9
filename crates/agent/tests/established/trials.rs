//! What is tried.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use palisade_agent::{Change, Established, Key, Object};
use palisade_engine::model::{
    LabelSelector, Labels, Namespace, NamespaceScope, ObjectRef, Peer, PolicyRule, Requirement,
};
use palisade_linux::conntrack::PortProtocol;
use palisade_nftables::{cut::MARK, netlink::Kernel};

use super::{
    Fallible,
    stream::{PingPong, Sends, Stream},
    world::{DB, OTHER, Running, WEB, World, closed, open, policy},
};
use crate::support::only;

/// How long nothing has to arrive.
const SILENCE: Duration = Duration::from_millis(300);

/// Denies what a stream needs, then allows it again.
fn denied_and_allowed(agent: &Running, stream: &Stream, deny: Change, allow: Change, what: &str) -> Fallible<()> {
    stream.flows()?;
    let (cut, told) = (agent.status().established.cut, Instant::now());
    agent.tell(deny)?;
    agent.until(&format!("{what} is cut"), |status| status.established.cut > cut)?;
    let marked = told.elapsed();
    // What had left the node by then arrives.
    thread::sleep(Duration::from_millis(50));
    let (_, last) = stream.arrived();
    let arrived = stream.within(SILENCE);
    if arrived > 0 {
        return Err(format!("{what}: {arrived} more arrived, {:?} after the change", told.elapsed()).into());
    }
    agent.tell(allow)?;
    stream.flows().map_err(|error| format!("{what}, allowed again: {error}"))?;
    println!(
        "{what}: the last arrived {:?} after the change, marked after {marked:?}",
        last.saturating_duration_since(told)
    );
    Ok(())
}

pub(crate) fn to_and_fro() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    let mut port = 8000;
    for &v6 in world.families() {
        for protocol in PortProtocol::ALL {
            for sends in [Sends::Client, Sends::Server] {
                port += 1;
                let what = format!("{protocol}, IPv{}, sent by {sends:?}", if v6 { 6 } else { 4 });
                let (client, server) = (world.place(WEB, v6, port), world.place(DB, v6, port));
                let stream = Stream::open(protocol, sends, client, server.address, server)?;
                if protocol == PortProtocol::Sctp && !is_followed(&world, protocol)? {
                    eprintln!(
                        "skipped: {what}: this kernel's conntrack does not follow SCTP (CONFIG_NF_CT_PROTO_SCTP)"
                    );
                    continue;
                }
                denied_and_allowed(&agent, &stream, closed(), open(), &what)?;
                // And once more: nothing of the first time is left.
                denied_and_allowed(&agent, &stream, closed(), open(), &what)?;
            }
        }
    }
    let status = agent.status().established;
    assert_eq!((status.errors, status.error), (0, None));
    Ok(())
}

fn is_followed(world: &World, protocol: PortProtocol) -> Fallible<bool> {
    use palisade_linux::conntrack::Transport;
    let flows = world.conntrack()?.list(None)?;
    let of = |transport| matches!(transport, Transport::Ports { protocol: of, .. } if of == protocol);
    Ok(flows.iter().any(|flow| of(flow.original.transport)))
}

pub(crate) fn labels() -> Fallible<()> {
    let world = World::up()?;
    let team = |team: &str| {
        let labels = [("team", team)].into_iter().collect();
        Change::Set(Object::Namespace(Namespace { name: "prod".into(), labels, mode: None, at: None }))
    };
    // Whoever is in a namespace of team a, and is called web.
    let namespaces =
        NamespaceScope::Matching([Requirement::equals("team", "a")].into_iter().collect::<LabelSelector>());
    let pods = [Requirement::equals("app", "web")].into_iter().collect::<LabelSelector>();
    let peer = Peer::Pods { namespaces, pods, at: None };
    let ingress = vec![PolicyRule { peers: vec![peer], ports: Vec::new(), at: None }];
    let mut objects = world.objects();
    objects.push(policy(palisade_engine::model::NetworkPolicy { ingress, ..only("web", "db") }));
    objects.push(team("a"));
    let agent = world.agent(Some(Established::Cut), objects)?;
    let mut relabelled = world.pod(WEB);
    relabelled.labels = [("app", "elsewhere")].into_iter().collect::<Labels>();
    for protocol in [PortProtocol::Tcp, PortProtocol::Udp] {
        let (client, server) = (world.place(WEB, false, 9000), world.place(DB, false, 9000));
        let stream = Stream::open(protocol, Sends::Server, client, server.address, server)?;
        let relabelled = Change::Set(Object::Pod(relabelled.clone()));
        let back = Change::Set(Object::Pod(world.pod(WEB)));
        denied_and_allowed(&agent, &stream, relabelled, back, &format!("{protocol}, by a pod's label"))?;
        denied_and_allowed(&agent, &stream, team("b"), team("a"), &format!("{protocol}, by a namespace's label"))?;
    }
    Ok(())
}

pub(crate) fn through_a_service() -> Fallible<()> {
    const RULES: &str = "table ip nat { chain pre { type nat hook prerouting priority dstnat; \
        ip daddr 10.96.0.1 tcp dport 80 dnat to 10.244.0.2:8080; ip daddr 10.96.0.1 udp dport 80 dnat to 10.244.0.2:8080; }; \
        chain post { type nat hook postrouting priority srcnat; ip saddr 10.244.0.1 masquerade; }; }";
    let world = World::up()?;
    match world.node().run(|| Command::new("nft").arg(RULES).status())? {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("nft: {status}").into()),
        Err(error) => {
            eprintln!("skipped: a connection through a Service: nft cannot be run: {error} (apt-get install nftables)");
            return Ok(());
        }
    }
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    for protocol in [PortProtocol::Tcp, PortProtocol::Udp] {
        for sends in [Sends::Client, Sends::Server] {
            let client = world.place(WEB, false, if sends == Sends::Client { 5001 } else { 5002 });
            let stream =
                Stream::open(protocol, sends, client, ([10, 96, 0, 1], 80).into(), world.place(DB, false, 8080))?;
            let what = format!("{protocol} through a Service and masqueraded, sent by {sends:?}");
            denied_and_allowed(&agent, &stream, closed(), open(), &what)?;
        }
    }
    Ok(())
}

/// Nobody speaks while it is cut, and then the server does: no timeout has let it out meanwhile.
pub(crate) fn idle() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    let (client, server) = (world.place(WEB, false, 0), world.place(DB, false, 7000));
    let listener = server.namespace.run(|| TcpListener::bind(server.address))??;
    let mut client = client.namespace.run(|| TcpStream::connect(server.address))??;
    let (mut served, _) = listener.accept()?;
    let timeouts = || -> Fallible<String> {
        let listed = world.node().run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))?;
        Ok(listed.unwrap_or_default())
    };
    agent.tell(closed())?;
    agent.until("it is cut", |status| status.established.cut == 1)?;
    let marked = world.conntrack()?.list(Some(MARK))?;
    assert_eq!(marked.len(), 1, "{marked:?} {}", timeouts()?);
    // Longer than the timeout that would be set on something that is to go away soon.
    thread::sleep(Duration::from_secs(3));
    client.set_read_timeout(Some(SILENCE))?;
    served.write_all(b"here I am")?;
    let mut buffer = [0; 64];
    assert!(client.read(&mut buffer).is_err(), "it came out");
    assert_eq!(world.conntrack()?.list(None)?.iter().filter(|flow| flow.mark & MARK == 0).count(), 0);
    agent.tell(open())?;
    client.set_read_timeout(Some(super::PATIENCE))?;
    assert_eq!(client.read(&mut buffer)?, 9);
    Ok(())
}

/// One that changes the rules and dies before it cuts, and one that comes after.
pub(crate) fn restart() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(None, world.objects())?;
    let (client, server) = (world.place(WEB, false, 7000), world.place(DB, false, 7000));
    let stream = Stream::open(PortProtocol::Tcp, Sends::Server, client, server.address, server)?;
    stream.flows()?;
    agent.tell(closed())?;
    drop(agent);
    // The rules deny it, and it lives: that is what cutting is for.
    stream.flows()?;
    let mut objects = world.objects();
    objects.push(closed());
    let next = world.agent(Some(Established::Cut), objects)?;
    next.until("it is cut", |status| status.established.cut == 1)?;
    assert_eq!(next.status().counters.transactions, 0, "the rules were there already");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(stream.within(SILENCE), 0);
    // The end of an agent changes nothing, and the next one knows what to restore.
    drop(next);
    assert_eq!(stream.within(SILENCE), 0);
    let last = world.agent(Some(Established::Cut), world.objects())?;
    stream.flows()?;
    last.until("it is counted", |status| status.established.restored == 1)
}

/// What drops cut connections goes by a hand and by the last of them, and comes back with a look.
pub(crate) fn dropped_by() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    let mut kernel = world.node().run(Kernel::open)??;
    let (client, server) = (world.place(WEB, false, 7000), world.place(DB, false, 7000));
    let stream = Stream::open(PortProtocol::Tcp, Sends::Server, client, server.address, server)?;
    stream.flows()?;
    assert!(!kernel.drops_cut()?, "nothing is cut");
    agent.tell(closed())?;
    agent.until("it is cut", |status| status.established.cut == 1)?;
    assert!(kernel.drops_cut()?);
    let looks = agent.status().established.looks;
    agent.until("the second look is over", |status| status.established.looks > looks)?;
    kernel.drop_cut(false)?;
    stream.flows()?;
    // Any change at all.
    agent.tell(policy(only("other", "other")))?;
    let begun = Instant::now();
    while !kernel.drops_cut()? {
        assert!(begun.elapsed() < super::PATIENCE, "it never came back");
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(50));
    assert_eq!(stream.within(SILENCE), 0);
    agent.tell(open())?;
    stream.flows()?;
    agent.until("it is counted", |status| status.established.restored == 1)?;
    assert!(!kernel.drops_cut()?, "nothing is cut any more");
    Ok(())
}

pub(crate) fn keep() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(Some(Established::Keep), world.objects())?;
    let (client, server) = (world.place(WEB, false, 7000), world.place(DB, false, 7000));
    // Not sent by the client: what was never answered is no established connection.
    let stream = Stream::open(PortProtocol::Udp, Sends::Server, client, server.address, server)?;
    stream.flows()?;
    agent.tell(closed())?;
    for _ in 0..3 {
        stream.flows()?;
        thread::sleep(SILENCE);
    }
    assert_eq!(agent.status().established.cut, 0);
    Ok(())
}

/// How many changes: 200, or as many as `PALISADE_CHANGES` says.
fn changes() -> usize {
    std::env::var("PALISADE_CHANGES").ok().and_then(|count| count.parse().ok()).unwrap_or(200)
}

/// Two conversations, one through rules and one past all of them, while the rules change and others are cut.
pub(crate) fn nothing_is_lost() -> Fallible<()> {
    let world = World::up()?;
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    let mut conversations = Vec::new();
    for &v6 in world.families() {
        conversations.push(PingPong::open(world.place(WEB, v6, 7001), world.place(DB, v6, 7001))?);
        conversations.push(PingPong::open(world.place(DB, v6, 7002), world.place(WEB, v6, 7002))?);
    }
    let start = agent.status().programming.count();
    let end = start + changes() as u64;
    let mut rounds = 0;
    // Each change is told as soon as the one before is in force, in its own time.
    thread::scope(|scope| -> Fallible<()> {
        let changing = scope.spawn(|| -> Fallible<()> {
            for number in 0..changes() {
                let others = only("other", "other");
                // db's own rules change too, to and from ones that allow the same and more.
                agent.tell(match number % 4 {
                    0 => policy(others),
                    1 => policy(only("other", "db")),
                    2 => Change::Gone(Key::Policy(others.id)),
                    _ => Change::Gone(Key::Policy(ObjectRef::new("prod", "other-to-db"))),
                })?;
            }
            Ok(())
        });
        while !changing.is_finished() {
            for conversation in &mut conversations {
                conversation.round()?;
                rounds += 1;
            }
        }
        changing.join().map_err(|_| "it panicked")?
    })?;
    assert!(agent.status().programming.count() >= end);
    let established = agent.status().established;
    println!("{rounds} rounds, none lost, during {} changes and {} looks", changes(), established.looks);
    assert_eq!((established.cut, established.errors), (0, 0), "{established:?}");
    Ok(())
}

/// So many connections that the kernel throws out some to make room. The limit itself cannot be lowered
/// without root of the machine: it is reached.
pub(crate) fn crowded() -> Fallible<()> {
    const MOST: usize = 300_000;
    let world = World::up()?;
    let agent = world.agent(Some(Established::Cut), world.objects())?;
    let max = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap_or_default();
    let max: usize = max.trim().parse().unwrap_or(usize::MAX);
    if max > MOST {
        eprintln!(
            "skipped: a full conntrack table: its limit is {max} here, and only root may lower it (net.netfilter.nf_conntrack_max)"
        );
        return Ok(());
    }
    let (client, server) = (world.place(WEB, false, 7000), world.place(DB, false, 7000));
    let stream = Stream::open(PortProtocol::Tcp, Sends::Server, client, server.address, server)?;
    let other = world.place(OTHER, false, 7001);
    let talk = PingPong::open(world.place(WEB, false, 7001), other)?;
    let mut talk = talk;
    stream.flows()?;
    talk.round()?;
    // From web to every port of other, from as many sockets as it takes.
    let mut sent = 0;
    while sent < max + 5_000 {
        let socket = client.namespace.run(|| UdpSocket::bind((client.address.ip(), 0)))??;
        for port in 1..=u16::MAX {
            // A refusal that an answer brought is that answer's.
            _ = socket.send_to(b"x", (other.address.ip(), port));
            sent += 1;
        }
    }
    let count = world.node().run(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"))??;
    println!("{} of {max} connections", count.trim());
    talk.round()?;
    denied_and_allowed(&agent, &stream, closed(), open(), "TCP, in a crowd")?;
    talk.round()?;
    println!("{:?}", agent.status().established);
    Ok(())
}
