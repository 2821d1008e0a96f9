//! Pods that are not known yet are closed from their first packet, and open as soon as they are known.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use palisade_testbed::{Result, Setup, Testbed, until};
use palisade_watch::Watched;

use crate::stage::{GROUND, number, pod, pods, setup};

/// The pod that comes and goes, and who speaks to it from the other node.
const COMES: &str = "other/near";
const SPEAKS: &str = "other/far";
/// From one datagram to the next, each of a connection of its own.
const PACE: Duration = Duration::from_micros(500);
/// How long none may arrive while the pod is not known.
const CLOSED: Duration = Duration::from_millis(100);

pub(crate) fn closed_until_known() -> Result {
    let prefixes = ["--unknown-pods=deny", "--pod-cidr", "10.244.0.0/16", "--pod-cidr", "fd00:10:244::/48"];
    let setup = Setup { arguments: prefixes.map(str::to_owned).into(), ..setup() };
    let (pods, comes) = (pods(), pod(COMES, "near", 1, 3));
    let mut bed = Testbed::up(setup, &[GROUND, &pods], &[])?;
    bed.api().apply(GROUND)?;
    bed.api().apply(&pods)?;
    bed.start_agents()?;
    until("the agents are ready", || bed.ready())?;
    for is_ipv4 in [true, false] {
        let mut took = Vec::new();
        for _ in 0..number("PALISADE_NEW_PODS", 10) {
            bed.api().delete(Watched::Pods, COMES)?;
            let probe = Probe::of(&bed, is_ipv4)?;
            until("the pod is closed", || match probe.first_arrival(CLOSED)? {
                Some(_) => Err("its packets still arrive".into()),
                None => Ok(()),
            })?;
            let told = Instant::now();
            bed.api().apply(&comes)?;
            probe.first_arrival(Duration::from_secs(30))?.ok_or("the pod is known, and never reached")?;
            took.push(told.elapsed());
        }
        took.sort();
        let ms = |at: usize| took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        println!(
            "IPv{}: {} pods, reached {:.0} to {:.0} ms after the API server was told of them, {:.0} as a median",
            if is_ipv4 { 4 } else { 6 },
            took.len(),
            ms(0),
            ms(took.len().saturating_sub(1)),
            ms(took.len() / 2),
        );
    }
    Ok(())
}

/// Datagrams from one pod to the other.
struct Probe<'a> {
    bed: &'a Testbed,
    is_ipv4: bool,
    server: UdpSocket,
    to: SocketAddr,
}

impl<'a> Probe<'a> {
    fn of(bed: &'a Testbed, is_ipv4: bool) -> Result<Self> {
        let (namespace, address) = bed.end(COMES, is_ipv4)?;
        let server = namespace.run(|| UdpSocket::bind((address, 80)))??;
        server.set_nonblocking(true)?;
        Ok(Self { bed, is_ipv4, server, to: (address, 80).into() })
    }

    /// Sends until one arrives, or for so long; after how long the first arrived.
    fn first_arrival(&self, patience: Duration) -> Result<Option<Duration>> {
        let mut buffer = [0; 8];
        // What came before is of no interest.
        while self.server.recv(&mut buffer).is_ok() {}
        let (namespace, source) = self.bed.end(SPEAKS, self.is_ipv4)?;
        let began = Instant::now();
        while began.elapsed() < patience {
            let client = namespace.run(|| UdpSocket::bind((source, 0)))??;
            client.send_to(b"hello", self.to)?;
            thread::sleep(PACE);
            if self.server.recv(&mut buffer).is_ok() {
                return Ok(Some(began.elapsed()));
            }
        }
        Ok(None)
    }
}
