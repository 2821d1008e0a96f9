//! Addresses and node ports for the Services that have none, and the same again after a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use palisade_engine::model::{Cluster, Endpoint, Family, ObjectRef, Protocol, Service, ServiceType};

/// What was given before, so that a Service keeps it.
#[derive(Clone, Debug, Default)]
pub struct Given {
    addresses: BTreeMap<(ObjectRef, Family), IpAddr>,
    node_ports: BTreeMap<(ObjectRef, Protocol, u16), u16>,
}

/// The numbers of addresses: that of the resolver, as kubeadm and most others have it, and the first of the rest.
const RESOLVER: u16 = 10;
const FIRST: u16 = 11;
/// The first of the node ports that API servers give out by default.
const FIRST_NODE_PORT: u16 = 30_000;

/// Gives every Service that is no alias and not headless an address of each of `families`, and every
/// `NodePort` its ports, where it has none. What the input says stays.
pub fn give(cluster: Cluster, families: &[Family], given: &mut Given) -> Cluster {
    let mut taken: BTreeSet<IpAddr> =
        cluster.services().iter().flat_map(|service| &service.addresses).copied().collect();
    taken.extend(given.addresses.values());
    let hosts = |address: IpAddr| cluster.endpoint_of(address) != Endpoint::Outside;
    let free: BTreeMap<Family, Vec<IpAddr>> = families
        .iter()
        .map(|family| {
            let all = (FIRST..).map(|number| address(*family, number));
            let free = all.filter(|address| !taken.contains(address) && !hosts(*address));
            (*family, free.take(cluster.services().len()).collect())
        })
        .collect();
    let mut free: BTreeMap<Family, std::vec::IntoIter<IpAddr>> =
        free.into_iter().map(|(family, addresses)| (family, addresses.into_iter())).collect();
    let resolver = super::resolver(&cluster).map(|service| service.id.clone());
    let mut ports: BTreeSet<u16> =
        cluster.services().iter().flat_map(|service| &service.ports).filter_map(|port| port.node_port).collect();
    ports.extend(given.node_ports.values());
    let wanted = |family: Family| {
        let address = address(family, RESOLVER);
        (!taken.contains(&address) && !hosts(address)).then_some(address)
    };
    let resolvers = Family::ALL.map(|family| (family, wanted(family)));
    cluster.with_services(|services| {
        for service in services {
            if service.addresses.is_empty() && service.kind != ServiceType::Headless && service.external_name.is_none()
            {
                for family in families {
                    let key = (service.id.clone(), *family);
                    let usual = resolvers.iter().find(|(of, _)| of == family).and_then(|(_, address)| *address);
                    let usual = usual.filter(|_| resolver.as_ref() == Some(&service.id));
                    let next = || usual.or_else(|| free.get_mut(family)?.next());
                    if let Some(address) = given.addresses.get(&key).copied().or_else(next) {
                        given.addresses.insert(key, address);
                        service.addresses.push(address);
                    }
                }
            }
            give_node_ports(service, &mut ports, given);
        }
    })
}

fn give_node_ports(service: &mut Service, taken: &mut BTreeSet<u16>, given: &mut Given) {
    if service.kind != ServiceType::NodePort {
        return;
    }
    for port in service.ports.iter_mut().filter(|port| port.node_port.is_none()) {
        let key = (service.id.clone(), port.protocol, port.port);
        let next = || (FIRST_NODE_PORT..=u16::MAX).find(|number| !taken.contains(number));
        if let Some(number) = given.node_ports.get(&key).copied().or_else(next) {
            taken.insert(number);
            given.node_ports.insert(key, number);
            port.node_port = Some(number);
        }
    }
}

/// `10.96.x.n`, `fd00:10:96::n`: the ranges that kubeadm gives Services.
fn address(family: Family, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    match family {
        Family::V4 => Ipv4Addr::new(10, 96, high, low).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, number).into(),
    }
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::{Inventory, ServicePort, TargetPort};

    use super::*;

    fn service(name: &str, kind: ServiceType) -> Service {
        let target = TargetPort::Number(80);
        Service {
            id: ObjectRef::new("default", name),
            kind,
            selector: None,
            addresses: Vec::new(),
            ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port: 80, target, node_port: None }],
            external_name: None,
            at: None,
        }
    }

    fn given(services: Vec<Service>, given: &mut Given) -> Vec<(String, Vec<String>, Option<u16>)> {
        let cluster = Inventory { services, ..Inventory::default() }.into_cluster().unwrap();
        let cluster = give(cluster, &Family::ALL, given);
        let said = |service: &Service| {
            let addresses = service.addresses.iter().map(ToString::to_string).collect();
            (service.id.name.to_string(), addresses, service.ports[0].node_port)
        };
        cluster.services().iter().map(said).collect()
    }

    #[test]
    fn what_was_given_once_stays() {
        let mut before = Given::default();
        let first = given(vec![service("b", ServiceType::NodePort), service("h", ServiceType::Headless)], &mut before);
        assert_eq!(first[0].1, ["10.96.0.11", "fd00:10:96::b"]);
        assert_eq!((first[0].2, first[1].1.len()), (Some(30_000), 0));
        let more = vec![service("a", ServiceType::NodePort), service("b", ServiceType::NodePort)];
        let second = given(more, &mut before);
        assert_eq!(second[1], first[0]);
        assert_eq!((second[0].1[0].as_str(), second[0].2), ("10.96.0.12", Some(30_001)));
    }
}
