//! Who is where: the namespaces that the objects of manifests need.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

use palisade_engine::model::Inventory;
use palisade_lab::wiring::{HostRef, NodeHost, OutsideHost, PodHost, Topology, Wiring};
use palisade_manifest::{ReadOptions, read_text};

use crate::Result;

/// Where a kernel says that it can show bridged packets to the rules.
const BRIDGE_SETTING: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Every wiring that this machine can have. What it cannot is said on standard error.
pub fn wirings() -> Vec<Wiring> {
    if Path::new(BRIDGE_SETTING).exists() {
        return vec![Wiring::Routed, Wiring::Bridged];
    }
    eprintln!("skipped: nothing is tried on bridges: there is no {BRIDGE_SETTING} (sudo modprobe br_netfilter)");
    vec![Wiring::Routed]
}

/// The hosts of a testbed, by the names that tests use.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) topology: Topology,
    /// The names of the nodes, in the order of the topology.
    pub(crate) nodes: Vec<String>,
    hosts: BTreeMap<String, (HostRef, Vec<IpAddr>)>,
}

/// What a text says, whole.
pub(crate) fn inventory(text: &str) -> Result<Inventory> {
    let reading = read_text("stage", text, &ReadOptions::default());
    if reading.has_errors() {
        return Err(format!("the manifests cannot be read: {:?}", reading.diagnostics).into());
    }
    Ok(reading.inventory)
}

impl Stage {
    /// A place for every node and live pod of all texts, and for these addresses outside. A pod may be in
    /// several texts; where it runs and its addresses are those of the first that has them.
    pub(crate) fn of(texts: &[&str], outside: &[IpAddr]) -> Result<Self> {
        let mut stage = Self::default();
        for text in texts {
            let inventory = inventory(text)?;
            for node in inventory.nodes {
                if !stage.hosts.contains_key(&*node.name) {
                    let place = HostRef::Node(stage.nodes.len());
                    stage.nodes.push(node.name.to_string());
                    stage.hosts.insert(node.name.to_string(), (place, node.addresses.clone()));
                    let host = NodeHost { name: node.name.to_string(), addresses: node.addresses };
                    stage.topology.nodes.push(host);
                }
            }
            for pod in inventory.pods.iter().filter(|pod| pod.is_live()) {
                let (name, node) = (pod.id.to_string(), pod.node.as_deref().unwrap_or_default());
                let Some(place) = stage.nodes.iter().position(|name| name == node) else {
                    return Err(format!("pod {name} is on node {node:?}, which is not among {:?}", stage.nodes).into());
                };
                if stage.hosts.contains_key(&name) {
                    continue;
                }
                if pod.host_network {
                    let addresses = stage.topology.nodes.get(place).map(|node| node.addresses.clone());
                    stage.hosts.insert(name, (HostRef::Node(place), addresses.unwrap_or_default()));
                    continue;
                }
                let host = PodHost { name: name.clone(), node: place, v4: pod.addresses.v4, v6: pod.addresses.v6 };
                let number = HostRef::Pod(stage.topology.pods.len());
                stage.hosts.insert(name, (number, pod.addresses.iter().collect()));
                stage.topology.pods.push(host);
            }
        }
        let taken: BTreeSet<IpAddr> = stage.hosts.values().flat_map(|(_, addresses)| addresses.clone()).collect();
        for address in outside.iter().filter(|address| !taken.contains(address)) {
            let place = HostRef::Outside(stage.topology.outside.len());
            if stage.hosts.insert(address.to_string(), (place, vec![*address])).is_none() {
                stage.topology.outside.push(OutsideHost { address: *address });
            }
        }
        Ok(stage)
    }

    /// The host of a name (`namespace/pod`, a node, an address), with its address of a family.
    pub(crate) fn find(&self, name: &str, is_ipv4: bool) -> Option<(HostRef, IpAddr)> {
        let of_address = |address: IpAddr| {
            let found = self.hosts.values().find(|(_, addresses)| addresses.contains(&address));
            found.map(|(host, _)| (*host, address))
        };
        if let Ok(address) = name.parse::<IpAddr>() {
            return of_address(address).filter(|(_, address)| address.is_ipv4() == is_ipv4);
        }
        let (host, addresses) = self.hosts.get(name)?;
        addresses.iter().find(|address| address.is_ipv4() == is_ipv4).map(|address| (*host, *address))
    }
}
