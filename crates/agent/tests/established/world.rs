//! A node with three pods, and its agent.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use palisade_agent::{Agent, Change, Cutter, Established, Event, KernelConnections, Object, Settings, Shared, Status};
use palisade_engine::model::{NetworkPolicy, Pod};
use palisade_lab::wiring::{Network, NodeHost, PodHost, Topology};
use palisade_linux::{conntrack::Conntrack, netns::NetNs, sysctl};
use palisade_nftables::{netlink::Kernel, plan::Options};

use super::{Fallible, PATIENCE, stream::Place};
use crate::support::{self, only, pod, synced};

/// The pods: who asks, who is asked, and one more.
pub(crate) const WEB: usize = 0;
pub(crate) const DB: usize = 1;
pub(crate) const OTHER: usize = 2;
const NAMES: [&str; 3] = ["web", "db", "other"];

/// The network, without an agent.
pub(crate) struct World {
    network: Network,
    v6: bool,
}

/// An agent that runs until this is dropped.
pub(crate) struct Running {
    events: Option<Sender<Event>>,
    status: Shared,
    thread: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) fn up() -> Fallible<Self> {
        let v6 = sysctl::ipv6_exists();
        if !v6 {
            eprintln!("skipped: this kernel has no IPv6: only IPv4 was tried");
        }
        let host = |index: usize| PodHost {
            name: format!("prod/{}", NAMES[index]),
            node: 0,
            v4: Some([10, 244, 0, index as u8 + 1].into()),
            v6: v6.then(|| address6(index)),
        };
        let mut addresses: Vec<IpAddr> = vec![[192, 168, 0, 1].into()];
        addresses.extend(v6.then(|| IpAddr::from([0xfd00, 1, 0, 0, 0, 0, 0, 1])));
        let nodes = vec![NodeHost { name: "n1".to_owned(), addresses }];
        let pods = (0..NAMES.len()).map(host).collect();
        Ok(Self { network: Network::up(&Topology { nodes, pods, outside: Vec::new() })?, v6 })
    }

    /// The families that there are: false for IPv4.
    pub(crate) fn families(&self) -> &'static [bool] {
        if self.v6 { &[false, true] } else { &[false] }
    }

    pub(crate) fn node(&self) -> &NetNs {
        self.network.node(0).unwrap()
    }

    pub(crate) fn place(&self, pod: usize, v6: bool, port: u16) -> Place<'_> {
        let address = if v6 { address6(pod).into() } else { IpAddr::from([10, 244, 0, pod as u8 + 1]) };
        Place { namespace: self.network.pod(pod).unwrap(), address: SocketAddr::new(address, port) }
    }

    pub(crate) fn conntrack(&self) -> Fallible<Conntrack> {
        Ok(self.node().run(Conntrack::open)??)
    }

    /// What an agent is told at first: web may speak with db.
    pub(crate) fn objects(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = support::small();
        changes.retain(|change| !matches!(change, Change::Set(Object::Pod(_))));
        changes.extend((0..NAMES.len()).map(|index| Change::Set(Object::Pod(self.pod(index)))));
        changes
    }

    /// A pod as the API server tells it.
    pub(crate) fn pod(&self, index: usize) -> Pod {
        let mut pod = pod(NAMES[index], "n1", index as u8 + 1);
        pod.addresses.v6 = self.v6.then(|| address6(index));
        pod
    }

    /// An agent that has brought these into force.
    pub(crate) fn agent(&self, mode: Option<Established>, objects: Vec<Change>) -> Fallible<Running> {
        let options = Options { pod_interfaces: vec!["pod".to_owned()], ..Options::default() };
        let settings = Settings { options, ..Settings::of("n1") };
        let kernel = self.node().run(Kernel::open)??;
        let mut agent = Agent::new(settings, kernel);
        if let Some(mode) = mode {
            let connections = self.node().run(KernelConnections::open)??;
            agent = agent.with_cutter(Cutter::start(mode, Box::new(connections))?);
        }
        let status = agent.status();
        let (sender, events) = mpsc::channel();
        let thread = thread::spawn(move || agent.run(&events));
        let running = Running { events: Some(sender), status, thread: Some(thread) };
        objects.into_iter().chain(synced()).try_for_each(|change| running.send(change))?;
        running.until("it is ready", |status| status.ready)?;
        Ok(running)
    }
}

impl Running {
    pub(crate) fn status(&self) -> Status {
        self.status.get()
    }

    fn send(&self, change: Change) -> Fallible<()> {
        self.events.as_ref().ok_or("it has ended")?.send(change.into())?;
        Ok(())
    }

    /// Tells a change, and waits until the kernel has it.
    pub(crate) fn tell(&self, change: Change) -> Fallible<()> {
        let before = self.status().programming.count();
        self.send(change)?;
        self.until("the change is in force", |status| status.programming.count() > before)
    }

    pub(crate) fn until(&self, what: &str, is: impl Fn(&Status) -> bool) -> Fallible<()> {
        let start = Instant::now();
        while !is(&self.status()) {
            if start.elapsed() > PATIENCE {
                return Err(format!("never: {what}: {:?}", self.status()).into());
            }
            thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.events = None;
        _ = self.thread.take().map(JoinHandle::join);
    }
}

pub(crate) fn policy(policy: NetworkPolicy) -> Change {
    Change::Set(Object::Policy(policy))
}

/// The policy of [`World::objects`], as it is there, and so that nobody may speak with db.
pub(crate) fn open() -> Change {
    policy(only("web", "db"))
}

pub(crate) fn closed() -> Change {
    policy(NetworkPolicy { ingress: Vec::new(), ..only("web", "db") })
}

fn address6(pod: usize) -> Ipv6Addr {
    [0xfd00, 0x10, 0x244, 0, 0, 0, 0, pod as u16 + 1].into()
}
