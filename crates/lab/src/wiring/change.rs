//! Pods and outside hosts that come and go while the others stay.

use palisade_linux::links::{Request, Rtnetlink};
use palisade_linux::netns::{NetNs, on_hopping_thread};

use super::plan::{self, Plan, UPLINK};
use super::{Network, OutsideHost, PodHost, PodLink, RUNNING_WITHIN, Wiring, WiringError, prepare};

impl Network {
    /// Wires one more pod, and returns its index. When this returns, packets flow.
    ///
    /// # Errors
    /// When it makes no sense or the kernel refuses; the pod is not there then.
    pub fn add_pod(&mut self, pod: PodHost) -> Result<usize, WiringError> {
        let index = self.topology.pods.len();
        if let Some(address) = pod.v6.filter(|_| !self.ipv6) {
            return Err(WiringError::NoIpv6 { address: address.into(), owner: format!("pod {}", pod.name) });
        }
        let namespace = NetNs::create(&format!("of pod {}", pod.name))?;
        let link =
            PodLink { node: pod.node, name: plan::pod_link_name(index), index: self.plan().pod_link(index).index };
        self.topology.pods.push(pod.clone());
        self.pods.push(Some(namespace));
        self.pod_links.push(link);
        let wired = self.present().check().map_err(WiringError::from).and_then(|()| self.wire_pod(index, &pod));
        if let Err(error) = wired {
            // Whatever of it is there goes; that nothing of it may be is no second error.
            _ = self.remove_pod(index);
            return Err(error);
        }
        Ok(index)
    }

    /// Takes a pod away. Sockets and processes in its namespace keep that, but reach nobody.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_pod(&mut self, index: usize) -> Result<(), WiringError> {
        let Some(pod) = self.topology.pods.get(index).cloned() else { return Ok(()) };
        let Some(namespace) = self.pods.get_mut(index).and_then(Option::take) else { return Ok(()) };
        let plan = self.plan();
        let link = plan.pod_link(index).index;
        let mut node = self.rtnetlink_of_node(pod.node)?;
        if let (Wiring::Bridged, Some(host)) = (self.wiring, self.topology.nodes.get(pod.node)) {
            node.submit(&removed(plan.to_pod(index, &pod, host)))?;
            for (number, other) in plan.bridged_with(index, &pod) {
                if let Some(namespace) = self.pod(number) {
                    Rtnetlink::open(namespace)?.submit(&removed(plan::on_link(other, &pod).collect()))?;
                }
            }
        }
        node.submit(&[Request::Remove { link }])?;
        // Not before: the kernel takes the link down with the namespace, some time later.
        drop(namespace);
        let behind = pod.addresses().map(|address| Plan::behind(address, Plan::node_link(pod.node)));
        Rtnetlink::open(&self.fabric)?.submit(&removed(behind.collect()))?;
        if let Some(gone) = self.topology.pods.get_mut(index) {
            // Its number stays taken, its addresses do not.
            (gone.v4, gone.v6) = (None, None);
        }
        Ok(())
    }

    /// One more host outside, and its index.
    ///
    /// # Errors
    /// When it makes no sense or the kernel refuses.
    pub fn add_outside(&mut self, host: OutsideHost) -> Result<usize, WiringError> {
        self.topology.outside.push(host);
        if let Err(error) = self.present().check() {
            self.topology.outside.pop();
            return Err(error.into());
        }
        let plan = self.plan();
        Rtnetlink::open(&self.outside)?
            .submit(&[Request::host_address(host.address, palisade_linux::links::LOOPBACK)])?;
        Rtnetlink::open(&self.fabric)?.submit(&[Plan::behind(host.address, plan.outside_link())])?;
        Ok(self.topology.outside.len() - 1)
    }

    fn plan(&self) -> Plan<'_> {
        Plan { topology: &self.topology, wiring: self.wiring, ipv6: self.ipv6 }
    }

    /// The topology without the pods that are gone, whose addresses others may have by now.
    fn present(&self) -> super::Topology {
        let mut topology = self.topology.clone();
        let mut there = self.pods.iter().map(Option::is_some);
        topology.pods.retain(|_| there.next().unwrap_or(false));
        topology
    }

    fn wire_pod(&self, index: usize, pod: &PodHost) -> Result<(), WiringError> {
        let plan = self.plan();
        let (Some(namespace), Some(host)) = (self.pod(index), self.topology.nodes.get(pod.node)) else { return Ok(()) };
        let mut own = on_hopping_thread(|hopper| prepare(hopper, namespace, &plan.settings(false)))??;
        let mut node = self.rtnetlink_of_node(pod.node)?;
        node.submit(
            &[plan.pod_pair(index, namespace)].into_iter().chain(plan.port_of_bridge(index)).collect::<Vec<_>>(),
        )?;
        own.submit(&plan.pod(index, pod))?;
        node.submit(&plan.to_pod(index, pod, host))?;
        for (number, other) in plan.bridged_with(index, pod) {
            if let Some(namespace) = self.pod(number) {
                // They may remember somebody else at the address, as they would without a gratuitous ARP.
                let known = plan.neighbours(index, pod);
                Rtnetlink::open(namespace)?.submit(&known.chain(plan::on_link(other, pod)).collect::<Vec<_>>())?;
            }
        }
        let behind = pod.addresses().map(|address| Plan::behind(address, Plan::node_link(pod.node)));
        Rtnetlink::open(&self.fabric)?.submit(&behind.collect::<Vec<_>>())?;
        node.wait_until_running(&plan.pod_links_of([plan.pod_link(index).index].into_iter()), RUNNING_WITHIN)?;
        own.wait_until_running(&[UPLINK], RUNNING_WITHIN)?;
        Ok(())
    }

    fn rtnetlink_of_node(&self, node: usize) -> Result<Rtnetlink, WiringError> {
        Ok(Rtnetlink::open(self.node(node).unwrap_or(&self.fabric))?)
    }
}

/// The routes of these requests, to be removed; neighbours are replaced when they come again.
fn removed(requests: Vec<Request<'static>>) -> Vec<Request<'static>> {
    let route = |request| match request {
        Request::Route(route) => Some(Request::RemoveRoute(route)),
        _ => None,
    };
    requests.into_iter().filter_map(route).collect()
}
