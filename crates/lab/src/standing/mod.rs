//! A lab that stays up: brought up once, changed while it runs, gone with its process.
//!
//! ```text
//! Inventory ──► Standing::up ──► wiring, rulesets, Services, servers
//!     │                              ▲
//!  apply ──► Standing::change ───────┘   pods that go, rules (one transaction a node), Services, pods that come
//! ```
//!
//! In this order nobody is ever more open than both the state before and the one after allow: a new pod
//! has its rules before it has its link.

mod hosts;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Conflict, Family, Inventory, ObjectRef},
};
use palisade_linux::netns::{NetNs, NetNsError};
use palisade_nftables::{
    difference::Difference,
    netlink::{ApplyError, Kernel, OpenError},
    plan::{Options, plan},
    ruleset::Ruleset,
    translation::Translation,
};

pub use self::hosts::Who;
use self::hosts::{Before, Placed};
use crate::{
    outside,
    serve::{Port, ServeError, Servers, Zone},
    services::{self, Given},
    wiring::{self, Network, NodeHost, OutsideHost, Topology, Wiring, WiringError},
};

/// A running lab.
#[derive(Debug)]
pub struct Standing {
    cluster: Cluster,
    network: Network,
    nodes: Vec<NodeState>,
    pods: BTreeMap<ObjectRef, Placed>,
    outside: BTreeMap<IpAddr, usize>,
    servers: Servers,
    given: Given,
    before: Before,
}

#[derive(Debug)]
struct NodeState {
    kernel: Kernel,
    ruleset: Ruleset,
    translation: Translation,
}

/// What a change did to the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Pods that came.
    pub came: Vec<ObjectRef>,
    /// Pods that went.
    pub went: Vec<ObjectRef>,
    /// Pods that are there again, elsewhere or with another address.
    pub moved: Vec<ObjectRef>,
    /// Nodes whose rules changed.
    pub rules: usize,
}

/// Why the lab is not up, or not as wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// The objects contradict each other.
    #[error("the objects contradict each other: {}", list(.0))]
    Conflicts(Vec<Conflict>),
    /// A node came, went or has other addresses.
    #[error(
        "the nodes would change ({0}), and those of a running lab stay: take it down with `palisade lab down` and up again"
    )]
    Nodes(String),
    /// The network could not be made or changed.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// A namespace could not be entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
    /// The kernel did not take a ruleset.
    #[error("node {node}: {source}")]
    Apply {
        /// The node.
        node: String,
        /// Why.
        source: ApplyError,
    },
    /// No netlink socket.
    #[error("node {node}: {source}")]
    Open {
        /// The node.
        node: String,
        /// Why.
        source: OpenError,
    },
    /// A port does not answer.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

fn list(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Standing {
    /// Brings `inventory` up. The process must be in a [`Sandbox`](crate::sandbox::Sandbox).
    ///
    /// # Errors
    /// When it makes no sense or the kernel refuses; nothing is left of it then.
    pub fn up(inventory: Inventory, wiring: Wiring) -> Result<Self, StandingError> {
        let (mut given, mut before) = (Given::default(), Before::default());
        let cluster = completed(inventory, &mut given, &mut before)?;
        let mut topology = Topology::default();
        for (_, node) in cluster.nodes() {
            topology.nodes.push(NodeHost { name: node.name.to_string(), addresses: node.addresses.clone() });
        }
        let mut pods = BTreeMap::new();
        for (id, host) in hosts::of(&cluster) {
            pods.insert(id, Placed { index: topology.pods.len(), host: host.clone() });
            topology.pods.push(host);
        }
        let mut outside = BTreeMap::new();
        for address in outside_of(&cluster) {
            outside.insert(address, topology.outside.len());
            topology.outside.push(OutsideHost { address });
        }
        let network = Network::up_with(&topology, wiring::Options { wiring, always_ipv6: true })?;
        let mut nodes = Vec::new();
        for ((_, node), namespace) in cluster.nodes().zip(network.nodes()) {
            let opened = namespace.run(Kernel::open)?;
            let kernel = opened.map_err(|source| StandingError::Open { node: node.name.to_string(), source })?;
            nodes.push(NodeState { kernel, ruleset: Ruleset::default(), translation: Translation::default() });
        }
        let servers = Servers::start()?;
        let mut lab = Self { cluster, network, nodes, pods, outside, servers, given, before };
        lab.enforce(&rulesets(&lab.cluster))?;
        lab.translate()?;
        lab.answer()?;
        Ok(lab)
    }

    /// Makes the running lab that of `inventory`.
    ///
    /// # Errors
    /// When it makes no sense, and nothing has changed then; or when the kernel refuses a part.
    pub fn change(&mut self, inventory: Inventory) -> Result<Changes, StandingError> {
        let (mut given, mut before) = (self.given.clone(), self.before.clone());
        let cluster = completed(inventory, &mut given, &mut before)?;
        self.same_nodes(&cluster)?;
        let wanted = hosts::of(&cluster);
        let rules = rulesets(&cluster);
        let mut changes = Changes::default();
        let mut going = Vec::new();
        for (id, placed) in &self.pods {
            match wanted.get(id) {
                None => changes.went.push(id.clone()),
                Some(host) if *host != placed.host => changes.moved.push(id.clone()),
                Some(_) => continue,
            }
            going.push((id.clone(), placed.index));
        }
        changes.came = wanted.keys().filter(|id| !self.pods.contains_key(*id)).cloned().collect();

        for (id, index) in going {
            self.servers.close(&id.to_string());
            self.network.remove_pod(index)?;
            self.pods.remove(&id);
        }
        (self.cluster, self.given, self.before) = (cluster, given, before);
        changes.rules = self.enforce(&rules)?;
        self.translate()?;
        for (id, host) in wanted {
            if !self.pods.contains_key(&id) {
                let index = self.network.add_pod(host.clone())?;
                self.pods.insert(id, Placed { index, host });
            }
        }
        for address in outside_of(&self.cluster) {
            if !self.outside.contains_key(&address) {
                let index = self.network.add_outside(OutsideHost { address })?;
                self.outside.insert(address, index);
            }
        }
        self.answer()?;
        Ok(changes)
    }

    /// The cluster as it runs: everyone has a node and addresses.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The hosts outside, by address.
    pub fn outside(&self) -> impl Iterator<Item = IpAddr> {
        self.outside.keys().copied()
    }

    /// The namespace that a command for somebody runs in.
    pub fn namespace(&self, who: &Who) -> Option<&NetNs> {
        match who {
            Who::Pod(id) => {
                let pod = self.cluster.find_pod(id)?;
                if self.cluster.pod(pod).host_network {
                    return self.network.node(self.cluster.node_of(pod)?.index());
                }
                self.network.pod(self.pods.get(id)?.index)
            }
            Who::Node(node) => self.network.node(node.index()),
            Who::Outside(address) => self.network.outside(*self.outside.get(address)?),
        }
    }

    /// The address of the resolver that pods ask, IPv4 first.
    pub fn resolver(&self) -> Option<IpAddr> {
        services::resolver(&self.cluster)?.addresses.iter().copied().min_by_key(IpAddr::is_ipv6)
    }

    fn same_nodes(&self, cluster: &Cluster) -> Result<(), StandingError> {
        let said = |cluster: &Cluster| -> BTreeSet<String> {
            let nodes = cluster.nodes().map(|(_, node)| {
                let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
                format!("{} at {}", node.name, addresses.join(" and "))
            });
            nodes.collect()
        };
        let (old, new) = (said(&self.cluster), said(cluster));
        let order = |cluster: &Cluster| cluster.nodes().map(|(_, node)| node.name.clone()).collect::<Vec<_>>();
        if old == new && order(&self.cluster) == order(cluster) {
            return Ok(());
        }
        let different: Vec<String> = old.symmetric_difference(&new).cloned().collect();
        Err(StandingError::Nodes(if different.is_empty() { "their order".to_owned() } else { different.join("; ") }))
    }

    /// Brings the wanted rulesets into force; how many nodes got another one.
    fn enforce(&mut self, wanted: &[Ruleset]) -> Result<usize, StandingError> {
        let mut changed = 0;
        for (((_, node), state), wanted) in self.cluster.nodes().zip(&mut self.nodes).zip(wanted) {
            if state.ruleset == *wanted {
                continue;
            }
            let old = (state.ruleset != Ruleset::default()).then_some(&state.ruleset);
            let applied = state.kernel.apply(&Difference::between(old, wanted));
            applied.map_err(|source| StandingError::Apply { node: node.name.to_string(), source })?;
            state.ruleset.clone_from(wanted);
            changed += 1;
        }
        Ok(changed)
    }

    fn translate(&mut self) -> Result<(), StandingError> {
        for ((_, node), state) in self.cluster.nodes().zip(&mut self.nodes) {
            let wanted = services::translation(&self.cluster, node);
            if state.translation != wanted {
                let done = state.kernel.translate(&wanted);
                done.map_err(|source| StandingError::Apply { node: node.name.to_string(), source })?;
                state.translation = wanted;
            }
        }
        Ok(())
    }

    /// Every declared port answers, and the resolver knows every name.
    fn answer(&self) -> Result<(), StandingError> {
        self.servers.set_zone(Zone::of(&self.cluster));
        let mut failed = Ok(());
        let mut set = |who: &str, namespace: Option<&NetNs>, ports: &[Port]| {
            if let Some(namespace) = namespace {
                let done = self.servers.set(who, namespace, ports);
                // All the others are tried; the first that failed is told.
                failed = std::mem::replace(&mut failed, Ok(())).and(done);
            }
        };
        for (id, ports) in hosts::ports(&self.cluster) {
            set(&id.to_string(), self.namespace(&Who::Pod(id.clone())), &ports);
        }
        for address in self.outside() {
            set(&address.to_string(), self.namespace(&Who::Outside(address)), &hosts::outside_ports(address));
        }
        Ok(failed?)
    }
}

/// The cluster with a resolver, and with nodes and addresses for all; those given before stay.
fn completed(mut inventory: Inventory, given: &mut Given, before: &mut Before) -> Result<Cluster, StandingError> {
    services::add_resolver(&mut inventory);
    let cluster = inventory.into_cluster().map_err(StandingError::Conflicts)?;
    let cluster = before.place(cluster).map_err(StandingError::Conflicts)?;
    let families = families(&cluster);
    Ok(services::give(cluster, &families, given))
}

/// The hosts outside: some of what policies name, and all that names were told to resolve to.
fn outside_of(cluster: &Cluster) -> BTreeSet<IpAddr> {
    outside::addresses(cluster, &families(cluster)).into_iter().chain(outside::told(cluster)).collect()
}

/// The families that pods have.
fn families(cluster: &Cluster) -> Vec<Family> {
    let has = |family: &Family| cluster.pods().any(|(_, pod)| pod.is_live() && pod.addresses.of(*family).is_some());
    Family::ALL.into_iter().filter(has).collect()
}

fn rulesets(cluster: &Cluster) -> Vec<Ruleset> {
    let program = PolicyProgram::compile(cluster);
    let options = Options { pod_interfaces: vec![crate::enforcement::POD_INTERFACES.to_owned()], ..Options::default() };
    cluster.nodes().map(|(node, _)| plan(cluster, &program, node, &options).ruleset).collect()
}
