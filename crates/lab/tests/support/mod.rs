//! What the tests in namespaces share.

use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_engine::model::{Protocol, Traffic};
use palisade_lab::probe::{Observation, Outcome, Probe, Timing};
use palisade_lab::wiring::{HostRef, Network, NodeHost, OutsideHost, PodHost, Topology};
use palisade_linux::netns::NetNs;
use palisade_linux::sandbox::Sandbox;

pub(crate) type Outcomes = Result<(), Box<dyn Error + Send + Sync>>;
pub(crate) type Test = fn() -> Outcomes;

/// Runs the tests one after the other, in a sandbox; says so when there is none.
pub(crate) fn main(tests: &[(&'static str, Test)]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They measure time, and one of them changes the process's limits.
    arguments.test_threads.get_or_insert(1);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no test with real packets was run: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = tests
        .iter()
        .map(|&(name, test)| {
            Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
                .with_ignored_flag(entered.is_err())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

pub(crate) fn v4(pod: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0af4_0001 + pod as u32)
}

pub(crate) fn v6(pod: usize) -> Ipv6Addr {
    Ipv6Addr::from(0xfd00_0244_0000_0000_0000_0000_0000_0001 + pod as u128)
}

/// Two nodes, `pods` pods in turn on both, and an outside host of each family
/// and a metadata server.
pub(crate) fn topology(pods: usize) -> Topology {
    let node = |number: u8| NodeHost {
        name: format!("node-{number}"),
        addresses: vec![
            Ipv4Addr::new(192, 168, 0, number).into(),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()).into(),
        ],
    };
    let pod = |number: usize| PodHost {
        name: format!("default/pod-{number}"),
        node: number % 2,
        v4: Some(v4(number)),
        v6: Some(v6(number)),
    };
    let outside: [IpAddr; 3] = [
        Ipv4Addr::new(203, 0, 113, 9).into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into(),
        Ipv4Addr::new(169, 254, 169, 254).into(),
    ];
    Topology {
        nodes: vec![node(1), node(2)],
        pods: (0..pods).map(pod).collect(),
        outside: outside.map(|address| OutsideHost { address }).into(),
    }
}

/// Every host of a topology with each of its addresses.
pub(crate) fn hosts(topology: &Topology) -> Vec<(HostRef, IpAddr)> {
    let nodes = topology.nodes.iter().enumerate();
    let nodes = nodes.flat_map(|(i, node)| node.addresses.iter().map(move |a| (HostRef::Node(i), *a)));
    let pods = topology.pods.iter().enumerate();
    let pods = pods.flat_map(|(i, pod)| pod.addresses().map(move |a| (HostRef::Pod(i), a)));
    let outside = topology.outside.iter().enumerate();
    let outside = outside.map(|(i, host)| (HostRef::Outside(i), host.address));
    nodes.chain(pods).chain(outside).collect()
}

/// From every address to every address of the same family, with each kind of traffic.
pub(crate) fn all_to_all(hosts: &[(HostRef, IpAddr)], traffic: &[Traffic]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for &(from, source) in hosts {
        for &(to, destination) in hosts {
            if source.is_ipv4() == destination.is_ipv4() {
                probes.extend(traffic.iter().map(|&traffic| Probe { from, source, to, destination, traffic }));
            }
        }
    }
    probes
}

pub(crate) const EVERY_TRAFFIC: [Traffic; 4] = [
    Traffic::Port(Protocol::Tcp, 80),
    Traffic::Port(Protocol::Udp, 53),
    Traffic::Port(Protocol::Sctp, 3868),
    Traffic::Portless,
];

pub(crate) fn run(network: &Network, probes: &[Probe]) -> Result<Vec<Observation>, Box<dyn Error + Send + Sync>> {
    let observations = palisade_lab::probe::run(network, probes, Timing::default(), &mut |_, _| {})?;
    assert_eq!(observations.len(), probes.len());
    Ok(observations)
}

/// An error that lists the first probes with another outcome than expected.
pub(crate) fn expect(probes: &[Probe], observations: &[Observation], expected: impl Fn(&Probe) -> Outcome) -> Outcomes {
    let wrong: Vec<String> = probes
        .iter()
        .zip(observations)
        .filter(|(probe, seen)| seen.outcome != expected(probe))
        .map(|(probe, seen)| format!("{seen:?}, expected {:?} from {} to {}", expected(probe), probe.from, probe.to))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let count = wrong.len();
    Err(format!(
        "{count} of {} not as expected:\n{}",
        probes.len(),
        wrong.into_iter().take(5).collect::<Vec<_>>().join("\n")
    )
    .into())
}

/// Loads nftables rules in a namespace with the program `nft`; false, said
/// loudly, when this machine has none.
pub(crate) fn load(ns: &NetNs, rules: &str) -> Result<bool, Box<dyn Error + Send + Sync>> {
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
