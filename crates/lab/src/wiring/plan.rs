//! Which links, addresses, routes and settings each namespace gets.
//!
//! ```text
//!                     fabric                       no ruleset, no addresses
//!           node0       │node1      outsideN
//!             │         │              │
//!            up0       up0            up0
//!          node 0     node 1       outside         addresses on the loopback
//!       pod0  pod1      pod2
//!        │     │         │
//!      eth0  eth0      eth0                        /32 and /128, default route
//! ```
//!
//! With bridges, the pods of a node are ports of its bridge `podbr0` instead: pods of one node find each
//! other by ARP and neighbour discovery, and everything else goes to the bridge as the gateway. The name
//! begins like those of the pods' links, because rules that see a bridged packet see the bridge.
//!
//! Routed, every link is point to point. Each end sees the other as the gateways
//! 169.254.1.1 and fe80::1, which are permanent neighbour entries and not
//! addresses of anybody: so no ARP, no neighbour discovery, and no conflict
//! with an outside host that has such an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_linux::links::{Gateway, LOOPBACK, Mac, Neighbour, Request, Route, VethEnd};
use palisade_linux::netns::NetNs;

use super::topology::{NodeHost, PodHost, Topology, Wiring};

/// The index of the link towards the fabric, in nodes, pods and outside. The
/// first hundred are left to what a kernel puts into every namespace (lo,
/// sit0, tunl0 …).
pub(super) const UPLINK: u32 = 100;

/// The first index of the links that lead away from the fabric; different
/// from [`UPLINK`] for the reason that [`VethEnd::index`] gives.
const FIRST_DOWNLINK: u32 = 1000;

/// The index of a node's bridge.
pub(super) const BRIDGE: u32 = 900;
const BRIDGE_NAME: &str = "podbr0";

/// Both families of packets that a bridge forwards pass the rules for routed ones only with these.
pub(super) const BRIDGE_SETTINGS: [(&str, &str); 2] =
    [("bridge.bridge-nf-call-iptables", "1"), ("bridge.bridge-nf-call-ip6tables", "1")];

const GATEWAYS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)), IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))];

/// A link that leads away from the fabric, by its number in the upper namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Downlink {
    pub(super) index: u32,
    /// Distinct in the whole lab.
    number: u32,
}

/// Everything that the requests are made from.
pub(super) struct Plan<'a> {
    pub(super) topology: &'a Topology,
    /// How pods are joined with their node.
    pub(super) wiring: Wiring,
    /// Whether IPv6 is set up at all.
    pub(super) ipv6: bool,
}

impl Plan<'_> {
    /// The link from the fabric to node `node`.
    pub(super) fn node_link(node: usize) -> Downlink {
        let number = number(node);
        Downlink { index: FIRST_DOWNLINK + number, number }
    }

    /// The link from the fabric to the outside.
    pub(super) fn outside_link(&self) -> Downlink {
        Self::node_link(self.topology.nodes.len())
    }

    /// The link from its node to pod `pod`.
    pub(super) fn pod_link(&self, pod: usize) -> Downlink {
        let index = FIRST_DOWNLINK + number(pod);
        Downlink { index, number: number(self.topology.nodes.len() + 1 + pod) }
    }

    /// The settings below /proc/sys/net that a namespace needs before it has
    /// links, for links take theirs from `default` when they are made.
    pub(super) fn settings(&self, router: bool) -> Vec<(&'static str, &'static str)> {
        let mut settings = Vec::new();
        if router {
            settings.extend([
                ("ipv4.ip_forward", "1"),
                // The stricter of `all` and the link's own counts.
                ("ipv4.conf.all.rp_filter", "0"),
                ("ipv4.conf.default.rp_filter", "0"),
                ("ipv4.conf.all.send_redirects", "0"),
                ("ipv4.conf.default.send_redirects", "0"),
            ]);
        }
        if self.ipv6 {
            settings.extend([
                // A machine may have turned IPv6 off for all namespaces to come.
                ("ipv6.conf.all.disable_ipv6", "0"),
                ("ipv6.conf.default.disable_ipv6", "0"),
                // No link-local addresses (1 = IN6_ADDR_GEN_MODE_NONE), no
                // address detection, no router solicitations: no packets but
                // the probes.
                ("ipv6.conf.default.addr_gen_mode", "1"),
                ("ipv6.conf.default.accept_dad", "0"),
                ("ipv6.conf.default.accept_ra", "0"),
                ("ipv6.conf.default.router_solicitations", "0"),
            ]);
            if router {
                settings.push(("ipv6.conf.all.forwarding", "1"));
            }
        }
        settings
    }

    /// The pair from the fabric to a node or the outside.
    pub(super) fn uplink<'ns>(&self, link: Downlink, name: String, below: &'ns NetNs) -> Request<'ns> {
        pair(link, name, "up0", below)
    }

    /// The pair from a node to pod `pod`.
    pub(super) fn pod_pair<'ns>(&self, pod: usize, below: &'ns NetNs) -> Request<'ns> {
        pair(self.pod_link(pod), pod_link_name(pod), "eth0", below)
    }

    /// The bridge of a node, before its pods' links; nothing where there is none.
    pub(super) fn bridge(&self, node: usize) -> Option<Request<'static>> {
        let bridge = Request::Bridge { name: BRIDGE_NAME.to_owned(), index: BRIDGE, mac: bridge_mac(node) };
        (self.wiring == Wiring::Bridged).then_some(bridge)
    }

    /// The link of a pod into the bridge of its node.
    pub(super) fn port_of_bridge(&self, pod: usize) -> Option<Request<'static>> {
        let link = self.pod_link(pod).index;
        (self.wiring == Wiring::Bridged).then_some(Request::Enslave { link, bridge: BRIDGE })
    }

    /// The links of a node that must run before packets flow, besides that to the fabric.
    pub(super) fn pod_links_of(&self, pods: impl Iterator<Item = u32>) -> Vec<u32> {
        let bridge = (self.wiring == Wiring::Bridged).then_some(BRIDGE);
        let pods: Vec<u32> = pods.collect();
        // A bridge without ports runs no more than a cable that nobody has plugged in.
        bridge.filter(|_| !pods.is_empty()).into_iter().chain(pods).collect()
    }

    /// What a pod needs once its link is there.
    pub(super) fn pod(&self, index: usize, pod: &PodHost) -> Vec<Request<'static>> {
        let addresses: Vec<IpAddr> = pod.addresses().collect();
        let gateway = match self.wiring {
            Wiring::Routed => upper_mac(self.pod_link(index)),
            Wiring::Bridged => bridge_mac(pod.node),
        };
        let mut requests = self.uplink_side(gateway);
        requests.extend(addresses.iter().map(|&address| Request::host_address(address, UPLINK)));
        requests.extend(self.default_routes(&addresses));
        for (_, other) in self.bridged_with(index, pod) {
            requests.extend(on_link(pod, other));
        }
        requests
    }

    /// The other pods on the bridge of `pod`, the `index`-th.
    pub(super) fn bridged_with(&self, index: usize, pod: &PodHost) -> impl Iterator<Item = (usize, &PodHost)> {
        let (node, bridged) = (pod.node, self.wiring == Wiring::Bridged);
        let others = self.topology.pods.iter().enumerate();
        others.filter(move |(number, other)| bridged && *number != index && other.node == node)
    }

    /// Where the others on a bridge find a pod.
    pub(super) fn neighbours(&self, index: usize, pod: &PodHost) -> impl Iterator<Item = Request<'static>> {
        let mac = lower_mac(self.pod_link(index));
        pod.addresses().map(move |address| Request::Neighbour(Neighbour { address, link: UPLINK, mac }))
    }

    /// What a node needs to reach one of its pods.
    pub(super) fn to_pod(&self, number: usize, pod: &PodHost, node: &NodeHost) -> Vec<Request<'static>> {
        let link = self.pod_link(number);
        let over = match self.wiring {
            Wiring::Routed => link.index,
            Wiring::Bridged => BRIDGE,
        };
        let one = |address: IpAddr| {
            // The pod itself is the neighbour; the node speaks to it with its own address.
            let source = node.addresses.iter().copied().find(|own| own.is_ipv4() == address.is_ipv4());
            let neighbour = Neighbour { address, link: over, mac: lower_mac(link) };
            [Request::Neighbour(neighbour), Request::host_route(address, over, Gateway::OnLink, source)]
        };
        pod.addresses().flat_map(one).collect()
    }

    /// What the fabric needs to reach an address behind a link.
    pub(super) fn behind(address: IpAddr, link: Downlink) -> Request<'static> {
        Request::host_route(address, link.index, Gateway::Via(gateway(address)), None)
    }

    /// What a node needs once all links are there.
    pub(super) fn node(&self, index: usize, node: &NodeHost) -> Vec<Request<'static>> {
        let mut requests = self.uplink_side(upper_mac(Self::node_link(index)));
        requests.extend(node.addresses.iter().map(|&address| Request::host_address(address, UPLINK)));
        requests.extend(self.default_routes(&node.addresses));
        for (number, pod) in self.topology.pods.iter().enumerate().filter(|(_, pod)| pod.node == index) {
            requests.extend(self.to_pod(number, pod, node));
        }
        requests
    }

    /// What the namespace of the outside hosts needs once its link is there.
    pub(super) fn outside(&self) -> Vec<Request<'static>> {
        let mut requests = self.uplink_side(upper_mac(self.outside_link()));
        // On the loopback, because they are many and none is special.
        requests.extend(self.topology.outside.iter().map(|host| Request::host_address(host.address, LOOPBACK)));
        requests.extend(self.default_routes(&[]));
        requests
    }

    /// What the fabric needs once all its links are there.
    pub(super) fn fabric(&self) -> Vec<Request<'static>> {
        let mut requests = vec![Request::Up { link: LOOPBACK }];
        let links = (0..self.topology.nodes.len()).map(Self::node_link).chain([self.outside_link()]);
        for link in links {
            requests.extend(self.gateways(link.index, lower_mac(link)));
        }
        let mut behind = |address: IpAddr, link: Downlink| requests.push(Self::behind(address, link));
        for (index, node) in self.topology.nodes.iter().enumerate() {
            node.addresses.iter().for_each(|&address| behind(address, Self::node_link(index)));
        }
        for pod in &self.topology.pods {
            pod.addresses().for_each(|address| behind(address, Self::node_link(pod.node)));
        }
        self.topology.outside.iter().for_each(|host| behind(host.address, self.outside_link()));
        requests
    }

    /// Loopback and uplink up, and who is at the other end.
    fn uplink_side(&self, gateway: Mac) -> Vec<Request<'static>> {
        let mut requests = vec![Request::Up { link: LOOPBACK }, Request::Up { link: UPLINK }];
        requests.extend(self.gateways(UPLINK, gateway));
        requests
    }

    fn gateways(&self, link: u32, mac: Mac) -> impl Iterator<Item = Request<'static>> {
        self.families().map(move |address| Request::Neighbour(Neighbour { address, link, mac }))
    }

    fn default_routes(&self, own: &[IpAddr]) -> impl Iterator<Item = Request<'static>> {
        self.families().map(move |gateway| {
            let source = own.iter().copied().find(|own| own.is_ipv4() == gateway.is_ipv4());
            let destination = match gateway {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let gateway = Gateway::Via(gateway);
            Request::Route(Route { destination, length: 0, link: UPLINK, gateway, source })
        })
    }

    fn families(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let ipv6 = self.ipv6;
        GATEWAYS.into_iter().filter(move |gateway| gateway.is_ipv4() || ipv6)
    }
}

/// The route from a pod to another one on its bridge.
pub(super) fn on_link(from: &PodHost, to: &PodHost) -> impl Iterator<Item = Request<'static>> {
    let own: Vec<IpAddr> = from.addresses().collect();
    to.addresses().filter_map(move |address| {
        let source = own.iter().copied().find(|own| own.is_ipv4() == address.is_ipv4())?;
        Some(Request::host_route(address, UPLINK, Gateway::OnLink, Some(source)))
    })
}

/// The name of the link from its node to pod `pod`.
pub(super) fn pod_link_name(pod: usize) -> String {
    format!("pod{pod}")
}

fn pair<'ns>(link: Downlink, name: String, below_name: &str, below: &'ns NetNs) -> Request<'ns> {
    let here = VethEnd { name, index: link.index, mac: upper_mac(link) };
    let there = VethEnd { name: below_name.to_owned(), index: UPLINK, mac: lower_mac(link) };
    Request::veth(here, there, below)
}

/// The hardware address of a node's bridge; those of links are numbered from 0.
fn bridge_mac(node: usize) -> Mac {
    Mac::numbered(u32::MAX - number(node))
}

/// The hardware address of a link's end nearer to the fabric.
fn upper_mac(link: Downlink) -> Mac {
    Mac::numbered(link.number * 2)
}

/// The hardware address of a link's other end.
fn lower_mac(link: Downlink) -> Mac {
    Mac::numbered(link.number * 2 + 1)
}

fn gateway(address: IpAddr) -> IpAddr {
    let [v4, v6] = GATEWAYS;
    if address.is_ipv4() { v4 } else { v6 }
}

/// A machine has not so many hosts that this could overflow.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX / 4)
}
