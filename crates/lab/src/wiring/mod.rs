//! A topology as network namespaces, joined by veth pairs.
//!
//! [`Network::up`] wires a [`Topology`]; dropping the [`Network`] takes it
//! down, and so does the end of the process, however it ends, for nothing but
//! its file descriptors holds the namespaces. The process must be in a
//! [`Sandbox`](palisade_linux::sandbox::Sandbox). How hosts are joined stands
//! in `plan`.
//!
//! A packet between two pods, or between a pod and anything that is not its
//! own node, passes the `forward` hook of the nodes of both; to or from its
//! own node it passes that node's `input` and `output`. The fabric has no
//! ruleset.

mod change;
mod plan;
mod topology;

pub use topology::{HostRef, NodeHost, Options, OutsideHost, PodHost, Topology, TopologyError, Wiring};

use std::sync::Mutex;
use std::time::Duration;

use palisade_linux::links::{LinkError, Rtnetlink};
use palisade_linux::netns::{Hopper, NetNs, NetNsError, on_hopping_thread};
use palisade_linux::sandbox::descriptor_limit;
use palisade_linux::sysctl::{self, SysctlError};

use crate::probe::SourceNumbers;
use plan::{Plan, UPLINK};

/// How long a link may take until it carries packets; usually 1 ms.
const RUNNING_WITHIN: Duration = Duration::from_secs(5);

/// Why the network is not up. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The topology makes no sense.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// IPv6 is asked for and this kernel has none.
    #[error(
        "{owner} has the IPv6 address {address}, and this kernel has no IPv6 (not compiled in, or ipv6.disable=1 on its command line): \
         leave IPv6 out of the lab, or run it on another machine"
    )]
    NoIpv6 {
        /// The first IPv6 address of the topology.
        address: std::net::IpAddr,
        /// Whose it is.
        owner: String,
    },
    /// Bridged packets would pass no rule.
    #[error(
        "this kernel does not show bridged packets to the rules (no net.{setting} in namespace {namespace}), so policies between \
         pods of one node would not hold: load the module with `sudo modprobe br_netfilter`, or leave out `--wiring bridged`"
    )]
    NoBridgeNetfilter {
        /// The setting that is missing.
        setting: String,
        /// Where.
        namespace: String,
    },
    /// There are too many hosts for this process.
    #[error(
        "the lab needs {needed} open files for its namespaces alone, and this process may have {limit}: raise it with `ulimit -Hn`, or wire fewer pods"
    )]
    Descriptors {
        /// Descriptors needed.
        needed: u64,
        /// Descriptors allowed.
        limit: u64,
    },
    /// A namespace could not be made or entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
    /// A setting could not be made.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// A link, address or route could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// A running topology.
#[derive(Debug)]
pub struct Network {
    topology: Topology,
    wiring: Wiring,
    ipv6: bool,
    nodes: Vec<NetNs>,
    /// None for one that was removed: the places of the others stay.
    pods: Vec<Option<NetNs>>,
    pod_links: Vec<PodLink>,
    outside: NetNs,
    fabric: NetNs,
    /// Which source ports the probes have used, for they must not come again.
    pub(crate) source_numbers: Mutex<SourceNumbers>,
}

/// The node's end of a pod's veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLink {
    /// The index of the node in the topology.
    pub node: usize,
    /// The name of the link in the node's namespace: `pod` and a number.
    pub name: String,
    /// Its index there, as NFLOG records tell it.
    pub index: u32,
}

impl Network {
    /// Wires `topology`. When this returns, packets flow: links are up, IPv6
    /// addresses are usable, every neighbour is known.
    pub fn up(topology: &Topology) -> Result<Self, WiringError> {
        Self::up_with(topology, Options::default())
    }

    /// As [`up`](Self::up), otherwise wired.
    pub fn up_with(topology: &Topology, options: Options) -> Result<Self, WiringError> {
        topology.check()?;
        let ipv6 = topology.addresses().find(|(address, _)| address.is_ipv6());
        if let Some((address, owner)) = &ipv6
            && !sysctl::ipv6_exists()
        {
            return Err(WiringError::NoIpv6 { address: *address, owner: owner.clone() });
        }
        // Each host has a namespace and, while it is wired, a socket.
        let hosts = topology.nodes.len() + topology.pods.len() + 2;
        let (needed, limit) = (u64::try_from(hosts * 2 + 32).unwrap_or(u64::MAX), descriptor_limit());
        if needed > limit {
            return Err(WiringError::Descriptors { needed, limit });
        }

        let ipv6 = ipv6.is_some() || (options.always_ipv6 && sysctl::ipv6_exists());
        let plan = Plan { topology, ipv6, wiring: options.wiring };
        let names = |kind: &str, names: Vec<&str>| -> Vec<String> {
            names.into_iter().map(|name| format!("of {kind} {name}")).collect()
        };
        let pods = NetNs::create_all(names("pod", topology.pods.iter().map(|p| p.name.as_str()).collect()))?;
        let network = Self {
            topology: topology.clone(),
            wiring: options.wiring,
            ipv6,
            nodes: NetNs::create_all(names("node", topology.nodes.iter().map(|n| n.name.as_str()).collect()))?,
            pods: pods.into_iter().map(Some).collect(),
            pod_links: topology
                .pods
                .iter()
                .enumerate()
                .map(|(index, pod)| PodLink {
                    node: pod.node,
                    name: plan::pod_link_name(index),
                    index: plan.pod_link(index).index,
                })
                .collect(),
            outside: NetNs::create("of the outside hosts")?,
            fabric: NetNs::create("of the fabric")?,
            source_numbers: Mutex::default(),
        };
        on_hopping_thread(|hopper| network.wire(&plan, hopper))??;
        Ok(network)
    }

    /// The namespace of a node.
    pub fn node(&self, index: usize) -> Option<&NetNs> {
        self.nodes.get(index)
    }

    /// The namespace of a pod.
    pub fn pod(&self, index: usize) -> Option<&NetNs> {
        self.pods.get(index)?.as_ref()
    }

    /// The namespace of an outside host; they all share one.
    pub fn outside(&self, index: usize) -> Option<&NetNs> {
        (index < self.topology.outside.len()).then_some(&self.outside)
    }

    /// The namespace of a host.
    pub fn host(&self, host: HostRef) -> Option<&NetNs> {
        match host {
            HostRef::Node(index) => self.node(index),
            HostRef::Pod(index) => self.pod(index),
            HostRef::Outside(index) => self.outside(index),
        }
    }

    /// The namespaces of all nodes, in order.
    pub fn nodes(&self) -> &[NetNs] {
        &self.nodes
    }

    /// The node's end of the link to a pod.
    pub fn pod_link(&self, pod: usize) -> Option<&PodLink> {
        self.pod_links.get(pod)
    }

    /// The namespace that joins the nodes and the outside.
    pub fn fabric(&self) -> &NetNs {
        &self.fabric
    }

    fn wire(&self, plan: &Plan<'_>, hopper: &mut Hopper) -> Result<(), WiringError> {
        // Settings first, in every namespace, and one socket into each.
        let mut fabric = prepare(hopper, &self.fabric, &plan.settings(true))?;
        let mut outside = prepare(hopper, &self.outside, &plan.settings(false))?;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            nodes.push(prepare(hopper, node, &plan.settings(true))?);
            if self.wiring == Wiring::Bridged {
                rules_see_bridged_packets(hopper)?;
            }
        }
        let mut pods = Vec::with_capacity(self.pods.len());
        for pod in self.pods.iter().flatten() {
            pods.push(prepare(hopper, pod, &plan.settings(false))?);
        }

        // Then the links, each made from its end nearer to the fabric, and
        // that end is up.
        let mut pairs: Vec<_> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| plan.uplink(Plan::node_link(index), format!("node{index}"), node))
            .collect();
        pairs.push(plan.uplink(plan.outside_link(), "outside".to_owned(), &self.outside));
        fabric.submit(&pairs)?;
        for (index, node) in nodes.iter_mut().enumerate() {
            let own = self.pod_links.iter().zip(self.pods.iter().flatten()).enumerate();
            let own = own.filter(|(_, (link, _))| link.node == index);
            let mut requests: Vec<_> = plan.bridge(index).into_iter().collect();
            for (pod, (_, ns)) in own {
                requests.push(plan.pod_pair(pod, ns));
                requests.extend(plan.port_of_bridge(pod));
            }
            node.submit(&requests)?;
        }

        // Then the other ends, from the leaves on: a link that is up at both
        // ends is running when its routes are made.
        for (index, (rtnetlink, pod)) in pods.iter_mut().zip(&plan.topology.pods).enumerate() {
            rtnetlink.submit(&plan.pod(index, pod))?;
        }
        outside.submit(&plan.outside())?;
        for (index, (rtnetlink, node)) in nodes.iter_mut().zip(&plan.topology.nodes).enumerate() {
            rtnetlink.submit(&plan.node(index, node))?;
        }
        fabric.submit(&plan.fabric())?;

        for (index, rtnetlink) in nodes.iter_mut().enumerate() {
            let own = self.pod_links.iter().filter(|link| link.node == index);
            let mut links = plan.pod_links_of(own.map(|link| link.index));
            links.push(UPLINK);
            rtnetlink.wait_until_running(&links, RUNNING_WITHIN)?;
        }
        let links: Vec<u32> =
            (0..nodes.len()).map(Plan::node_link).chain([plan.outside_link()]).map(|link| link.index).collect();
        fabric.wait_until_running(&links, RUNNING_WITHIN)?;
        Ok(())
    }
}

/// Lets the rules of the namespace that `hopper` is in see what its bridge forwards.
fn rules_see_bridged_packets(hopper: &Hopper) -> Result<(), WiringError> {
    for (key, value) in plan::BRIDGE_SETTINGS {
        sysctl::write(hopper, key, value).map_err(|error| match error {
            SysctlError::Missing { namespace, key } => WiringError::NoBridgeNetfilter { setting: key, namespace },
            error => error.into(),
        })?;
    }
    Ok(())
}

fn prepare(
    hopper: &mut Hopper,
    ns: &NetNs,
    settings: &[(&'static str, &'static str)],
) -> Result<Rtnetlink, WiringError> {
    hopper.enter(ns)?;
    for (key, value) in settings {
        sysctl::write(hopper, key, value)?;
    }
    Ok(Rtnetlink::open_here(hopper)?)
}
