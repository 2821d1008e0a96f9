//! Many pods, many probes, few descriptors, a busy machine: nothing of it may
//! change an outcome. Prints what it took.

mod support;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use palisade_engine::model::{Protocol, Traffic};
use palisade_lab::probe::{Outcome, Probe, Timing};
use palisade_lab::wiring::{HostRef, Network};
use palisade_linux::nflog::{Collector, NfLog, Options};
use palisade_linux::sandbox::descriptor_limit;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{EVERY_TRAFFIC, Outcomes, all_to_all, expect, hosts, load, run, topology};

const TCP: Traffic = Traffic::Port(Protocol::Tcp, 80);

fn main() -> ExitCode {
    support::main(&[
        ("a_hundred_pods_all_to_all", a_hundred_pods),
        ("every_traffic_of_forty_pods_in_both_families", every_traffic),
        ("few_descriptors_only_take_longer", few_descriptors),
        ("a_late_process_only_takes_longer", a_late_process),
        ("a_busy_machine_only_takes_longer", a_busy_machine),
    ])
}

/// Pods whose number is divisible by three are closed, on both nodes.
fn closed(host: HostRef) -> bool {
    matches!(host, HostRef::Pod(number) if number % 3 == 0)
}

/// The rules for [`closed`], in the nodes' forward hook.
fn close(network: &Network, pods: usize) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let set = |address: &dyn Fn(usize) -> String| {
        (0..pods).filter(|number| number % 3 == 0).map(address).collect::<Vec<_>>().join(", ")
    };
    let rules = format!(
        "table inet t {{ chain f {{ type filter hook forward priority 0; ct state established,related accept; \
         ip daddr {{ {} }} log group 7 drop; ip6 daddr {{ {} }} log group 7 drop; }}; }}",
        set(&|pod| support::v4(pod).to_string()),
        set(&|pod| support::v6(pod).to_string()),
    );
    for node in network.nodes() {
        if !load(node, &rules)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn expected(probe: &Probe) -> Outcome {
    if closed(probe.to) && probe.from != probe.to { Outcome::NoAnswer } else { Outcome::Reached }
}

fn a_hundred_pods() -> Outcomes {
    let topology = topology(100);
    let begin = Instant::now();
    let network = Network::up(&topology)?;
    let up = begin.elapsed();
    let pods: Vec<_> =
        hosts(&topology).into_iter().filter(|(host, a)| matches!(host, HostRef::Pod(_)) && a.is_ipv4()).collect();
    let probes = all_to_all(&pods, &[TCP]);

    let begin = Instant::now();
    let observations = run(&network, &probes)?;
    let open = begin.elapsed();
    expect(&probes, &observations, |_| Outcome::Reached)?;

    if !close(&network, 100)? {
        return Ok(());
    }
    let begin = Instant::now();
    let observations = run(&network, &probes)?;
    let mixed = begin.elapsed();
    expect(&probes, &observations, expected)?;

    for node in network.nodes() {
        load(node, "add rule inet t f drop")?;
    }
    let begin = Instant::now();
    let observations = run(&network, &probes)?;
    let shut = begin.elapsed();
    expect(&probes, &observations, |probe| if probe.from == probe.to { Outcome::Reached } else { Outcome::NoAnswer })?;

    let begin = Instant::now();
    drop(network);
    let down = begin.elapsed();
    eprintln!(
        "100 pods: up {up:.2?}, down {down:.2?}; {} TCP probes: no rules {open:.2?}, a third dropped {mixed:.2?}, all dropped {shut:.2?}",
        probes.len()
    );
    Ok(())
}

fn every_traffic() -> Outcomes {
    let topology = topology(40);
    let network = Network::up(&topology)?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    let begin = Instant::now();
    let observations = run(&network, &probes)?;
    let open = begin.elapsed();
    expect(&probes, &observations, |_| Outcome::Reached)?;
    if !close(&network, 40)? {
        return Ok(());
    }
    // The buffer that an unprivileged user gets on a stock kernel.
    let options = Options { receive_buffer: 212_992, ..Options::default() };
    let logs = network.nodes().iter().map(|node| NfLog::open(node, 7, options)).collect::<Result<_, _>>()?;
    let collector = Collector::start(logs)?;
    let begin = Instant::now();
    let observations = run(&network, &probes)?;
    let mixed = begin.elapsed();
    let collected = collector.stop()?;
    expect(&probes, &observations, |probe| match (probe.from, probe.to) {
        // A node reaches its own pods past the forward hook.
        (HostRef::Node(node), HostRef::Pod(pod)) if pod % 2 == node => Outcome::Reached,
        _ => expected(probe),
    })?;
    // Every silence has its record, and every record its silence.
    assert!(collected.iter().all(|log| log.losses.none()), "records were lost");
    let logged: HashSet<_> =
        collected.iter().flat_map(|log| &log.records).filter_map(|record| record.tuple()).collect();
    let silent = observations.iter().filter(|seen| seen.outcome == Outcome::NoAnswer).map(|seen| seen.tuple);
    assert_eq!(logged, silent.collect());
    eprintln!("{} probes of every traffic: no rules {open:.2?}, a third dropped {mixed:.2?}", probes.len());
    Ok(())
}

fn few_descriptors() -> Outcomes {
    let topology = topology(10);
    let network = Network::up(&topology)?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd")?.count() as u64;
    // 60 for the probes, of which half are listeners at most.
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 64 + 60), maximum: before.maximum })?;
    let limit = descriptor_limit();
    let begin = Instant::now();
    let observations = run(&network, &probes);
    setrlimit(Resource::Nofile, before)?;
    expect(&probes, &observations?, |_| Outcome::Reached)?;
    eprintln!("{} probes with {limit} descriptors: {:.2?}", probes.len(), begin.elapsed());
    Ok(())
}

fn a_busy_machine() -> Outcomes {
    let topology = topology(20);
    let network = Network::up(&topology)?;
    if !close(&network, 20)? {
        return Ok(());
    }
    let pods: Vec<_> = hosts(&topology).into_iter().filter(|(host, _)| matches!(host, HostRef::Pod(_))).collect();
    let probes = all_to_all(&pods, &EVERY_TRAFFIC);
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let observations = thread::scope(|scope| {
        let hogs = thread::available_parallelism().map_or(2, usize::from) * 4;
        for _ in 0..hogs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let observations = run(&network, &probes);
        stop.store(true, Ordering::Relaxed);
        observations
    })?;
    expect(&probes, &observations, expected)?;
    eprintln!("{} probes beside four busy threads a processor: {:.2?}", probes.len(), begin.elapsed());
    Ok(())
}

fn a_late_process() -> Outcomes {
    let topology = topology(20);
    let network = Network::up(&topology)?;
    let probes = all_to_all(&hosts(&topology), &EVERY_TRAFFIC);
    // As if stopped three times in the middle, for longer than any deadline.
    let mut stops = 3;
    let observations = palisade_lab::probe::run(&network, &probes, Timing::default(), &mut |done, _| {
        if done > 0 && stops > 0 {
            stops -= 1;
            thread::sleep(Duration::from_millis(1600));
        }
    })?;
    expect(&probes, &observations, |_| Outcome::Reached)
}
