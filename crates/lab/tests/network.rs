#![expect(clippy::indexing_slicing, reason = "clippy knows only libtest's tests as tests")]
//! The wiring carries every probe, and what the probes say is what happened.

mod support;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use palisade_engine::model::{Protocol, Traffic};
use palisade_lab::probe::{Outcome, Probe, ProbeError, Timing};
use palisade_lab::wiring::{HostRef, Network, Topology, WiringError};
use palisade_linux::nflog::{Collector, NfLog, Options};
use palisade_linux::packet::Tuple;
use rustix::io::Errno;
use support::{EVERY_TRAFFIC, Outcomes, all_to_all, expect, hosts, load, run, topology, v4, v6};

fn main() -> ExitCode {
    support::main(&[
        ("everything_reaches_everything_in_both_families", everything_reaches_everything),
        ("one_family_alone_and_a_node_without_addresses_do", one_family),
        ("a_second_run_needs_no_new_network", a_second_run),
        ("drops_are_silent_and_each_is_in_the_log_by_its_tuple", drops_are_logged),
        ("rejections_are_told_from_silence", rejections),
        ("an_earlier_connection_does_not_open_the_way_for_a_later_probe", no_stale_connections),
        ("what_cannot_be_probed_is_said", what_cannot_be_probed),
        ("a_wrong_topology_is_said", a_wrong_topology),
        ("nothing_is_left", nothing_is_left),
    ])
}

fn everything_reaches_everything() -> Outcomes {
    let topology = topology(6);
    let network = Network::up(&topology)?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    let mut told = Vec::new();
    let observations =
        palisade_lab::probe::run(&network, &probes, Timing::default(), &mut |done, total| told.push((done, total)))?;
    expect(&probes, &observations, |_| Outcome::Reached)?;
    assert_eq!(told.first(), Some(&(0, probes.len())));
    assert_eq!(told.last(), Some(&(probes.len(), probes.len())));
    let slowest = observations.iter().map(|seen| seen.elapsed).max().unwrap_or_default();
    assert!(slowest < Duration::from_millis(300), "{slowest:?}: something was repeated");
    let tuples: HashSet<Tuple> = observations.iter().map(|seen| seen.tuple).collect();
    assert_eq!(tuples.len(), probes.len());
    Ok(())
}

fn one_family() -> Outcomes {
    for v4 in [true, false] {
        let mut topology = topology(3);
        topology.nodes.iter_mut().for_each(|node| node.addresses.clear());
        for pod in &mut topology.pods {
            (pod.v4, pod.v6) = if v4 { (pod.v4, None) } else { (None, pod.v6) };
        }
        topology.outside.retain(|host| host.address.is_ipv4() == v4);
        let network = Network::up(&topology)?;
        let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
        expect(&probes, &run(&network, &probes)?, |_| Outcome::Reached)?;
    }
    Network::up(&Topology::default())?;
    Ok(())
}

fn a_second_run() -> Outcomes {
    let topology = topology(2);
    let network = Network::up(&topology)?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    let mut tuples = HashSet::new();
    for _ in 0..3 {
        let observations = run(&network, &probes)?;
        expect(&probes, &observations, |_| Outcome::Reached)?;
        tuples.extend(observations.iter().map(|seen| seen.tuple));
    }
    assert_eq!(tuples.len(), probes.len() * 3);
    Ok(())
}

fn drops_are_logged() -> Outcomes {
    let topology = topology(4);
    let network = Network::up(&topology)?;
    // Pods 1 and 3 are on node 1; what is forwarded to pod 1 is dropped there.
    let node = network.node(1).ok_or("no node 1")?;
    let rules = format!(
        "table inet t {{ chain f {{ type filter hook forward priority 0; \
           ct state established,related accept; \
           ip daddr {} log prefix \"to pod 1\" group 7 drop; ip6 daddr {} log prefix \"to pod 1\" group 7 drop; }}; }}",
        v4(1),
        v6(1)
    );
    let log = NfLog::open(node, 7, Options::default())?;
    if !load(node, &rules)? {
        return Ok(());
    }
    let collector = Collector::start(vec![log])?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    let observations = run(&network, &probes)?;
    let collected = collector.stop()?;
    // Itself and its own node are not forwarded.
    let dropped =
        |probe: &Probe| probe.to == HostRef::Pod(1) && probe.from != HostRef::Pod(1) && probe.from != HostRef::Node(1);
    expect(&probes, &observations, |probe| if dropped(probe) { Outcome::NoAnswer } else { Outcome::Reached })?;

    assert!(collected[0].losses.none(), "{:?}", collected[0].losses);
    let mut logged: HashMap<Tuple, usize> = HashMap::new();
    for record in &collected[0].records {
        assert_eq!((record.prefix.as_str(), record.hook), ("to pod 1", 2));
        assert_eq!(record.link_out, network.pod_link(1).map(|link| link.index));
        *logged.entry(record.tuple().ok_or("a record without a tuple")?).or_default() += 1;
    }
    let expected: HashSet<Tuple> =
        probes.iter().zip(&observations).filter(|(probe, _)| dropped(probe)).map(|(_, seen)| seen.tuple).collect();
    assert_eq!(logged.keys().copied().collect::<HashSet<_>>(), expected);
    for (tuple, times) in logged {
        // Three attempts of ours, or the first SYN and one repetition by the kernel.
        let attempts = if tuple.protocol == palisade_linux::packet::protocol::TCP { 2 } else { 3 };
        assert_eq!(times, attempts, "{tuple}");
    }
    Ok(())
}

fn rejections() -> Outcomes {
    let topology = topology(2);
    let network = Network::up(&topology)?;
    let node = network.node(1).ok_or("no node 1")?;
    let rules = "table inet t { chain f { type filter hook forward priority 0; \
         tcp dport 80 reject with tcp reset; udp dport 53 reject with icmpx admin-prohibited; }; }";
    if !load(node, rules)? {
        return Ok(());
    }
    let probe = |traffic| Probe {
        from: HostRef::Pod(0),
        source: v4(0).into(),
        to: HostRef::Pod(1),
        destination: v4(1).into(),
        traffic,
    };
    let probes = EVERY_TRAFFIC.map(probe);
    let observations = run(&network, &probes)?;
    let outcomes: Vec<Outcome> = observations.iter().map(|seen| seen.outcome).collect();
    assert_eq!(outcomes[0], Outcome::Refused(Errno::CONNREFUSED));
    assert!(matches!(outcomes[1], Outcome::Refused(_)), "{:?}", outcomes[1]);
    assert_eq!(outcomes[2..], [Outcome::Reached; 2]);
    Ok(())
}

fn no_stale_connections() -> Outcomes {
    let topology = topology(4);
    let network = Network::up(&topology)?;
    let open =
        "table inet t { chain f { type filter hook forward priority 0; ct state established,related accept; }; }";
    for node in network.nodes() {
        if !load(node, open)? {
            return Ok(());
        }
    }
    let pods: Vec<(HostRef, IpAddr)> =
        hosts(&topology).into_iter().filter(|(host, _)| matches!(host, HostRef::Pod(_))).collect();
    let probes = all_to_all(&pods, &EVERY_TRAFFIC);
    let observations = run(&network, &probes)?;
    expect(&probes, &observations, |_| Outcome::Reached)?;
    for node in network.nodes() {
        load(node, "add rule inet t f drop")?;
    }
    let observations = run(&network, &probes)?;
    expect(&probes, &observations, |probe| if probe.from == probe.to { Outcome::Reached } else { Outcome::NoAnswer })
}

fn what_cannot_be_probed() -> Outcomes {
    let topology = topology(1);
    let network = Network::up(&topology)?;
    let probe = Probe {
        from: HostRef::Pod(0),
        source: v4(0).into(),
        to: HostRef::Outside(0),
        destination: topology.outside[0].address,
        traffic: Traffic::Port(Protocol::Tcp, 443),
    };
    let fails = |probe| palisade_lab::probe::run(&network, &[probe], Timing::default(), &mut |_, _| {});
    assert!(matches!(fails(probe), Ok(seen) if seen[0].outcome == Outcome::Reached));
    let error = fails(Probe { to: HostRef::Pod(1), ..probe });
    assert!(matches!(error, Err(ProbeError::NoSuchHost { index: 0, host: HostRef::Pod(1) })), "{error:?}");
    let error = fails(Probe { source: v6(0).into(), ..probe });
    assert!(matches!(error, Err(ProbeError::Families { .. })), "{error:?}");
    // The address of somebody else.
    let error = fails(Probe { source: v4(5).into(), ..probe });
    let Err(error @ ProbeError::Socket { errno: Errno::ADDRNOTAVAIL, .. }) = error else {
        return Err(format!("{error:?}").into());
    };
    let text = error.to_string();
    assert!(text.contains("of pod default/pod-0") && text.contains("TCP 10.244.0.6:"), "{text}");
    Ok(())
}

fn a_wrong_topology() -> Outcomes {
    let mut topology = topology(2);
    topology.pods[1].v4 = Some(v4(0));
    let error = Network::up(&topology);
    assert!(matches!(error, Err(WiringError::Topology(_))), "{error:?}");
    Ok(())
}

fn nothing_is_left() -> Outcomes {
    let count = |path: &str| -> std::io::Result<usize> { Ok(std::fs::read_dir(path)?.count()) };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let (descriptors, threads) = (count("/proc/self/fd")?, count("/proc/self/task")?);
    let own = palisade_linux::netns::NetNs::current("own")?.inode();
    {
        let topology = topology(6);
        let network = Network::up(&topology)?;
        let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
        run(&network, &probes)?;
        assert!(count("/proc/self/fd")? > descriptors + 9);
    }
    assert_eq!(count("/proc/self/fd")?, descriptors);
    assert_eq!(count("/proc/self/task")?, threads);
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo")?, mounts);
    assert_eq!(palisade_linux::netns::NetNs::current("own")?.inode(), own);
    let children = std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()));
    assert_eq!(children.unwrap_or_default(), "");
    Ok(())
}
