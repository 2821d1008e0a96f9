//! Ports: which traffic the items of `ports` mean. Rules 4.1 to 4.6.

use palisade_engine::model::{Cluster, Endpoint, PolicyPort, PortMatch, Side, Traffic};

use crate::selectors::has_own_network;

/// Whether a rule's `ports` let the traffic through, `to` being the flow's destination, whichever
/// direction the rule is of.
pub(crate) fn ports_match(cluster: &Cluster, ports: &[PolicyPort], to: Side, traffic: Traffic) -> bool {
    // 4.1: no ports, all traffic, also of other protocols.
    if ports.is_empty() {
        return true;
    }
    // 4.6: ports never match traffic that has none.
    let Traffic::Port(protocol, number) = traffic else { return false };
    ports.iter().any(|item| {
        // 4.2: an item without a protocol is TCP; the model has that filled in.
        item.protocol == protocol
            && match &item.port {
                // 4.2: an item without a port is every port of the protocol.
                PortMatch::All => true,
                // 4.4: both ends are included.
                PortMatch::Range(range) => range.first() <= number && number <= range.last(),
                // 4.5: what the destination pod calls by that name, in that protocol.
                PortMatch::Named(name) => match to.endpoint {
                    Endpoint::Pod(id) if has_own_network(cluster.pod(id)) => cluster.pod(id).ports.iter().any(|port| {
                        port.name.as_ref() == Some(name) && port.protocol == item.protocol && port.port == number
                    }),
                    // 4.5: an outside address has no named ports; 1.3: nor has a node.
                    Endpoint::Pod(_) | Endpoint::Node(_) | Endpoint::Outside => false,
                },
            }
    })
}
